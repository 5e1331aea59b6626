"""Natural cubic splines through the frames of padded clips."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


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
    bend = _second_differences(rows, count)
    last = jnp.maximum(count - 1, 0)[:, None]
    place = jnp.clip(place, 0.0, last)
    below = jnp.clip(jnp.floor(place).astype(jnp.int32), 0, jnp.maximum(last - 1, 0))
    above = jnp.minimum(below + 1, last)
    after = place - below
    before = 1.0 - after

    def end(index: Array, weight: Array) -> Array:
        where = jnp.broadcast_to(index, (len(rows), *index.shape))
        value, curve = (jnp.take_along_axis(c, where, axis=-1) for c in (rows, bend))
        return weight * value + (weight**3 - weight) / 6.0 * curve

    found = end(below, before) + end(above, after)
    return found.reshape(*values.shape[:-2], *place.shape)


def _second_differences(
    rows: Float[Array, "R B T"], count: Int[Array, " B"]
) -> Float[Array, "R B T"]:
    """Second derivatives on frames, a frame being 1: zero at both ends of a clip, and on padding.

    Where M are these and y the values, (M(t − 1) + 4 M(t) + M(t + 1)) / 6 is the second difference
    of y, so that slopes do not jump.
    """
    frame = jnp.arange(rows.shape[-1])
    inner = (frame > 0) & (frame < count[:, None] - 1)
    side = jnp.where(inner, 1.0, 0.0).astype(rows.dtype)
    middle = jnp.where(inner, 4.0, 1.0).astype(rows.dtype)
    second = jnp.roll(rows, 1, axis=-1) - 2.0 * rows + jnp.roll(rows, -1, axis=-1)
    wanted = jnp.where(inner, 6.0 * second, 0.0)
    solved = jax.lax.linalg.tridiagonal_solve(side, middle, side, jnp.moveaxis(wanted, 0, -1))
    return jax.lax.optimization_barrier(jnp.moveaxis(solved, -1, 0))
