"""Frames between the frames of slow clips: at 16 a second a foot lands within one step.

What feet do between landing and take-off is told by windows of a tenth of a second, which has a
frame or two at that rate, and a load that comes and goes within one counts half or not at all. On
the spline through its frames the same clip scores as at 30 frames a second, as far as its frames
say what happened between.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Int

from phymotion_jax.kernels.filters import continuous
from phymotion_jax.kernels.splines import cubic_spline
from phymotion_jax.kernels.vectors import unstack_frames
from phymotion_jax.kernels.windows import take_frames
from phymotion_jax.motion import MotionBatch, substeps_at


class Substeps(NamedTuple):
    """A batch with frames between its frames, F = substeps · T."""

    batch: MotionBatch
    """Clips at the rate that they are scored at; those that are fast enough are as given."""

    given: Int[Array, "B T"] | None
    """Where the frames given are among them; None where they are all there is."""

    nearest: Int[Array, "B F"] | None
    """The frame given that is nearest to each."""

    def at_given(self, values: Array) -> Array:
        """Of values ``(..., B, F)``, those on the frames that were given."""
        return values if self.given is None else take_frames(values, self.given)

    def from_given(self, values: Array) -> Array:
        """Values ``(..., B, T)`` of the frames given, on those nearest to them."""
        return values if self.nearest is None else take_frames(values, self.nearest)


def with_substeps(batch: MotionBatch) -> Substeps:
    """Fill slow clips up, each as far as its own rate wants and the batch has room for.

    Args:
      batch: without NaN (from `rest_padding`), with its `substeps`.
    """
    if batch.substeps == 1:
        return Substeps(batch, None, None)
    length = batch.mask.shape[1]
    steps = jnp.minimum(substeps_at(batch.fps), batch.substeps)[:, None]
    count = jnp.sum(batch.mask, axis=1)
    frame = jnp.arange(batch.substeps * length)[None]
    place = frame / steps
    mask = frame <= (count[:, None] - 1) * steps
    last = jnp.maximum(count - 1, 0)[:, None]
    before = jnp.minimum(frame // steps, last)
    nearest = jnp.minimum((2 * frame + steps) // (2 * steps), last)
    quat = continuous(unstack_frames(batch.joint_quat), batch.mask)  # pyright: ignore
    rows = jnp.concatenate([*batch.root_rows, *quat])
    fine = cubic_spline(rows, count, place.astype(rows.dtype))
    turn = jnp.moveaxis(fine[3:].reshape(4, -1, *mask.shape), (0, 1), (3, 2))
    turn = turn / jnp.linalg.norm(turn, axis=-1, keepdims=True)
    filled = batch.replace(
        root_pos=jnp.moveaxis(fine[:3], 0, -1),
        joint_quat=turn,
        mask=mask,
        fps=batch.fps * steps[:, 0],
        static_conf=jnp.take_along_axis(batch.static_conf, before[..., None], axis=1),
        substeps=1,
    )
    return Substeps(filled, steps * jnp.arange(length)[None], nearest)
