"""Natural cubic splines through the frames of padded clips."""

from itertools import accumulate

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.windows import take_frames

_REACHES = (1, 2, 4, 8, 16)
"""Frames that a recursion is doubled over. A share of a share is at most 0.268: float64 tells
nothing of what comes from 32 frames away."""


def cubic_spline(
    values: Float[Array, "*items B T"],
    count: Int[Array, " B"],
    place: Float[Array, "B F"],
) -> Float[Array, "*items B F"]:
    """Values between frames, by the natural cubic spline through the real ones.

    Args:
      values: anything that may be averaged, finite on padding too.
      count: real frames of each clip, which come first.
      place: where to read the spline, in frames, from 0 to the last real one; a place beyond takes
        the nearest end's value.

    Returns:
      Values at these places; at whole ones those given. The value of frame 0 for a clip of one
      frame, or of none.
    """
    rows = values.reshape(-1, *values.shape[-2:])
    bend = _second_derivatives(rows, count)
    last = jnp.maximum(count - 1, 0)[:, None]
    place = jnp.clip(place, 0.0, last)
    below = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, jnp.maximum(last - 1, 0))
    above = jnp.minimum(below + 1, last)
    after = place - below
    before = 1.0 - after

    def end(index: Array, weight: Array) -> Array:
        value, curve = (take_frames(c, index) for c in (rows, bend))
        return weight * value + (weight**3 - weight) / 6.0 * curve

    found = end(below, before) + end(above, after)
    return found.reshape(*values.shape[:-2], *place.shape)


def _second_derivatives(
    rows: Float[Array, "R B T"], count: Int[Array, " B"]
) -> Float[Array, "R B T"]:
    """Second derivatives on frames, a frame being 1: zero at both ends of a clip, and on padding.

    Where M are these and y the values, M(t − 1) + 4 M(t) + M(t + 1) is six times the second
    difference of y, so that slopes do not jump. Elimination (Thomas) forwards and back.
    """
    length = rows.shape[-1]
    frame = jnp.arange(length)
    inner = (frame > 0) & (frame < count[:, None] - 1)
    share = jnp.where(inner, _eliminated(length), 0.0).astype(rows.dtype)
    second = jnp.roll(rows, 1, axis=-1) - 2.0 * rows + jnp.roll(rows, -1, axis=-1)
    forwards = _recursion(6.0 * share * second, -share, 1)
    return stored(_recursion(forwards, -share, -1))


def _eliminated(length: int) -> Float[np.ndarray, " T"]:
    """What is left of the next one's share once those before are eliminated, on each frame."""
    return np.array(list(accumulate(range(1, length), lambda c, _: 1.0 / (4.0 - c), initial=0.0)))


def _recursion(
    values: Float[Array, "R B T"], share: Float[Array, "B T"], step: int
) -> Float[Array, "R B T"]:
    """Each plus a share of the result before it (`step` 1) or after it (-1), by doubling.

    The shares' products fall so fast that `_REACHES` are enough for clips of any length.
    """
    for reach in _REACHES:
        before = _moved(values, step * reach)
        values, share = values + share * before, share * _moved(share, step * reach)
        values, share = stored((values, share))
    return values


def _moved(values: Float[Array, "*any T"], frames: int) -> Float[Array, "*any T"]:
    """Later by some frames, with zeros in their place."""
    length, by = values.shape[-1], min(abs(frames), values.shape[-1])
    ends = [(0, 0)] * (values.ndim - 1)
    if frames > 0:
        return jnp.pad(values[..., : length - by], [*ends, (by, 0)])
    return jnp.pad(values[..., by:], [*ends, (0, by)])
