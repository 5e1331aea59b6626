"""Which clips of a batch can be scored, decided inside the jitted call.

The bounds are those of `checks`, which clips from files have passed already; a generator's arrays
meet them here. But for the length of rotation vectors: here they are quaternions, and degrees that
were taken for radians are some other rotation.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.checks import (
    FPS_RANGE,
    MASS_RANGE_KG,
    MAX_BETA,
    MAX_HEIGHT_M,
    MAX_MEAN_SPEED_M_S,
    MAX_POSITION_M,
    MIN_FRAMES,
    UNIT_NORM_SLACK,
)
from phymotion_jax.errors import Status
from phymotion_jax.motion import MotionBatch


def batch_status(batch: MotionBatch, floor: Float[Array, " B"] | None = None) -> Int[Array, " B"]:
    """A `Status` for each clip: the first thing that is wrong with it or its floor, or OK."""
    flat = True if floor is None else jnp.abs(floor) <= MAX_POSITION_M
    frames = jnp.sum(batch.mask, axis=1)
    real = batch.mask[..., None]
    numbers = jnp.all(jnp.where(real, jnp.isfinite(batch.root_pos), True), axis=(1, 2))
    turns = jnp.where(real[..., None], jnp.isfinite(batch.joint_quat), True)
    finite = numbers & jnp.all(turns, axis=(1, 2, 3)) & jnp.all(jnp.isfinite(batch.betas), axis=1)
    unit = jnp.abs(jnp.sqrt(jnp.sum(batch.joint_quat**2, axis=-1)) - 1.0) < UNIT_NORM_SLACK
    checks = (
        (frames > 0, Status.EMPTY),
        (jnp.all(batch.mask[:, :-1] | ~batch.mask[:, 1:], axis=1), Status.GAP),
        (frames >= MIN_FRAMES, Status.TOO_SHORT),
        ((batch.fps >= FPS_RANGE[0]) & (batch.fps <= FPS_RANGE[1]), Status.BAD_FPS),
        (finite, Status.NOT_FINITE),
        (jnp.all(jnp.where(real, unit, True), axis=(1, 2)), Status.BAD_ROTATION),
        (_in_units(batch, frames) & flat, Status.BAD_UNITS),
    )
    code = jnp.full(frames.shape, int(Status.OK))
    for good, status in reversed(checks):
        code = jnp.where(good, code, int(status))
    return code


def _in_units(batch: MotionBatch, frames: Int[Array, " B"]) -> Bool[Array, " B"]:
    """Whether positions can be metres, betas standard deviations and masses kilograms."""
    pos = jnp.where(batch.mask[..., None], batch.root_pos, 0.0)
    steps = batch.mask[:, 1:] & batch.mask[:, :-1]
    square = jnp.sum((pos[:, 1:] - pos[:, :-1]) ** 2, axis=-1)
    speed = jnp.sum(jnp.where(steps, jnp.sqrt(square), 0.0), axis=1) * batch.fps
    height = jnp.sum(jnp.abs(pos[..., 2]), axis=1)
    mass = (batch.mass_kg >= MASS_RANGE_KG[0]) & (batch.mass_kg <= MASS_RANGE_KG[1])
    return (
        (jnp.max(jnp.abs(pos), axis=(1, 2)) <= MAX_POSITION_M)
        & (height <= MAX_HEIGHT_M * jnp.maximum(frames, 1))
        & (speed <= MAX_MEAN_SPEED_M_S * jnp.maximum(frames - 1, 1))
        & (jnp.max(jnp.abs(batch.betas), axis=1) <= MAX_BETA)
        & (jnp.isnan(batch.mass_kg) | mass)
        & jnp.all(_probable(batch.static_conf) | ~batch.mask[..., None], axis=(1, 2))
    )


def _probable(share: Float[Array, "B T 6"]) -> Bool[Array, "B T 6"]:
    """Whether it is a probability, or not known."""
    return jnp.isnan(share) | ((share >= 0.0) & (share <= 1.0))


def mask_out(batch: MotionBatch, usable: Bool[Array, " B"]) -> MotionBatch:
    """The batch with clips that cannot be scored emptied, so that nothing is computed from them."""
    return batch.replace(
        mask=batch.mask & usable[:, None],
        fps=jnp.where(usable, batch.fps, 1.0),
        betas=jnp.where(usable[:, None], batch.betas, 0.0),
        mass_kg=jnp.where(usable, batch.mass_kg, jnp.nan),
    )
