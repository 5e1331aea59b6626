"""How deep parts of a body stand in each other, each part a capsule."""

from functools import partial, reduce
from itertools import zip_longest
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.vectors import Vec, add, cross, dot, norm, scale, sub

Pairs = tuple[tuple[int, int], ...]
"""Which capsules are tried against which: static, so that it is part of the program."""

_UNROLL = 8
"""Pairs a turn of the loop that looks for the worst one."""


class Overlap(NamedTuple):
    """Penetration of a body with itself, in metres; 0 where nothing overlaps."""

    depth: Float[Array, "B T"]
    """Depth of the worst pair."""

    pair: Int[Array, "B T"]
    """Which pair that is, the first of equals; -1 where nothing overlaps."""

    by_capsule: Float[Array, "K B T"]
    """Depth of each capsule in the one that it stands deepest in."""


@partial(jax.jit, static_argnames=("pairs",))
def capsule_overlap(
    ends_a: Vec, ends_b: Vec, radius: Float[Array, "K #B #1"], pairs: Pairs
) -> Overlap:
    """Worst penetration of each frame and of each capsule. Arguments as for `capsule_depth`.

    Four bytes a pair and frame are in flight, twenty times that under `jax.grad`. Depths are
    differentiable as `capsule_depth` is; the gradient of `depth` is shared between pairs that are
    equally deep. A capsule in no pair, or a body without pairs, has depth 0.
    """
    none = jnp.zeros_like(ends_a[0])
    if not pairs:
        return Overlap(none[0], jnp.full(none.shape[1:], -1, jnp.int32), none)
    depth = capsule_depth(ends_a, ends_b, radius, pairs)
    # Each turn takes one pair of every capsule. Elementwise maxima of gathers, which XLA fuses.
    turns = (
        jnp.take(depth, jnp.array(turn), axis=0, mode="fill", fill_value=0.0)
        for turn in _turns(pairs, none.shape[0])
    )
    return Overlap(
        depth=jnp.max(depth, axis=0),
        pair=_first_deepest(jax.lax.stop_gradient(depth)),
        by_capsule=reduce(jnp.maximum, turns, none),
    )


@partial(jax.jit, static_argnames=("pairs",))
def capsule_depth(
    ends_a: Vec, ends_b: Vec, radius: Float[Array, "K #B #1"], pairs: Pairs
) -> Float[Array, "P B T"]:
    """How deep the capsules of each pair stand in each other.

    Depth is r_i + r_j less the distance between the two segments, exact for crossing, parallel and
    zero-length segments (a sphere) alike, to 1e-5 m in float32 some metres from the origin. The
    gradient is finite everywhere: that of the nearest points, held at fixed places along their
    segments (exact for first derivatives), and zero where the segments cross or nothing overlaps.

    Args:
      ends_a: one end of the axis of each capsule, components ``(K, B, T)``, in metres.
      ends_b: the other end.
      radius: in metres.
      pairs: indices of the capsules to try against each other.

    Returns:
      Metres, 0 where a pair is apart. What NaN padding gives is not defined.
    """
    axis = sub(ends_b, ends_a)
    first, second = (jnp.array([pair[side] for pair in pairs], jnp.int32) for side in (0, 1))
    p, u, q, v = (_rows(vec, rows) for rows in (first, second) for vec in (ends_a, axis))
    reach = _take(radius, first) + _take(radius, second)
    return jnp.maximum(reach - _segment_distance(p, u, q, v), 0.0)


def _segment_distance(p: Vec, u: Vec, q: Vec, v: Vec) -> Array:
    """Distance between the segments p + s u and q + t v with s and t in [0, 1]."""
    gap = sub(q, p)
    s, t = _nearest_places(*jax.lax.stop_gradient((gap, u, v)))
    return norm(sub(add(gap, scale(v, t)), scale(u, s)))


def _nearest_places(gap: Vec, u: Vec, v: Vec) -> tuple[Array, Array]:
    """Where along u and v the segments are nearest.

    Ericson, Real-Time Collision Detection (2005), 5.1.9: nearest point on the line, clamped, then
    the other segment's, clamped, and back. His determinants cancel in float32 when the segments are
    almost parallel (0.5 mm off at 1e-3 rad); as products of cross products they do not, and
    what error is left in s costs nothing, because it grows as fast as s ceases to matter.
    """
    normal = cross(u, v)
    along_u, along_v, across = dot(gap, u), dot(gap, v), dot(u, v)
    s = _clamped_ratio(dot(cross(gap, v), normal), dot(normal, normal))
    t = _clamped_ratio(s * across - along_v, dot(v, v))
    s = _clamped_ratio(t * across + along_u, dot(u, u))
    return s, t


def _clamped_ratio(above: Array, below: Array) -> Array:
    """Their quotient within [0, 1]; where both vanish, and any place will do, 0."""
    return jnp.clip(above / jnp.where(below > 0.0, below, 1.0), 0.0, 1.0)


def _first_deepest(depth: Float[Array, "P B T"]) -> Int[Array, "B T"]:
    """The pair with the greatest depth, as a running maximum: `argmax` is slow on CPU."""

    def keep(i, state: tuple[Array, Array]) -> tuple[Array, Array]:
        most, best = state
        row = jax.lax.dynamic_index_in_dim(depth, i, 0, False)
        return jnp.maximum(most, row), jnp.where(row > most, jnp.full_like(best, i), best)

    none = jnp.zeros(depth.shape[1:], depth.dtype)
    start = (none, jnp.full(none.shape, -1, jnp.int32))
    return jax.lax.fori_loop(0, depth.shape[0], keep, start, unroll=_UNROLL)[1]


def _turns(pairs: Pairs, n_capsules: int) -> list[list[int]]:
    """Row m has the m-th pair of every capsule; an index past the last pair where it has fewer."""
    own = [[p for p, pair in enumerate(pairs) if k in pair] for k in range(n_capsules)]
    return [list(turn) for turn in zip_longest(*own, fillvalue=len(pairs))]


def _rows(vec: Vec, index: Array) -> Vec:
    x, y, z = (_take(c, index) for c in vec)
    return x, y, z


def _take(array: Array, index: Array) -> Array:
    """Rows by an index known to be good, so that no test of its bounds is compiled."""
    return jnp.take(array, index, axis=0, mode="clip")
