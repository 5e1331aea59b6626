"""Which clips of a batch can be scored, decided inside the jitted call."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from phymotion_jax.checks import MAX_HEIGHT_M, MIN_FRAMES, UNIT_NORM_SLACK
from phymotion_jax.errors import Status
from phymotion_jax.motion import MotionBatch


def batch_status(batch: MotionBatch) -> Int[Array, " B"]:
    """A `Status` for each clip: the first thing that is wrong with it, or OK."""
    frames = jnp.sum(batch.mask, axis=1)
    real = batch.mask[..., None]
    numbers = jnp.all(jnp.where(real, jnp.isfinite(batch.root_pos), True), axis=(1, 2))
    turns = jnp.where(real[..., None], jnp.isfinite(batch.joint_quat), True)
    finite = numbers & jnp.all(turns, axis=(1, 2, 3)) & jnp.all(jnp.isfinite(batch.betas), axis=1)
    unit = jnp.abs(jnp.sqrt(jnp.sum(batch.joint_quat**2, axis=-1)) - 1.0) < UNIT_NORM_SLACK
    height = jnp.mean(jnp.where(batch.mask, jnp.abs(batch.root_pos[..., 2]), 0.0), axis=1)
    low = height * batch.mask.shape[1] < MAX_HEIGHT_M * jnp.maximum(frames, 1)
    checks = (
        (frames > 0, Status.EMPTY),
        (frames >= MIN_FRAMES, Status.TOO_SHORT),
        (jnp.isfinite(batch.fps) & (batch.fps > 0.0), Status.BAD_FPS),
        (finite, Status.NOT_FINITE),
        (jnp.all(jnp.where(real, unit, True), axis=(1, 2)), Status.BAD_ROTATION),
        (low & ~jnp.isinf(batch.mass_kg) & ~(batch.mass_kg <= 0.0), Status.BAD_UNITS),
    )
    code = jnp.full(frames.shape, int(Status.OK))
    for good, status in reversed(checks):
        code = jnp.where(good, code, int(status))
    return code


def mask_out(batch: MotionBatch, usable: Array) -> MotionBatch:
    """The batch with clips that cannot be scored emptied, so that nothing is computed from them."""
    return batch.replace(
        mask=batch.mask & usable[:, None],
        fps=jnp.where(usable, batch.fps, 1.0),
        betas=jnp.where(usable[:, None], batch.betas, 0.0),
        mass_kg=jnp.where(usable, batch.mass_kg, jnp.nan),
    )
