"""Distance from a point of the ground to the support polygon, the convex hull of what touches."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.kernels.per_frame import (
    Fold,
    Memory,
    Rows,
    fold_over,
    pallas_or_xla,
    per_frame,
    rows_of,
)

STEPS = 10
"""Steps of the search. Feet need 5, a regular polygon of 160 corners 7, and the worst sets that we
could think of (corners that crowd together geometrically) 9 to come within 2e-6 m."""

_UNROLL = 8
"""Points a turn of XLA's loop over points: fewer is slower on a CPU, many more compiles longer for
nothing."""

Vec2 = tuple[Array, Array]
"""x, y in the plane of the floor."""


class _Corner(NamedTuple):
    """One of the points, relative to the query."""

    x: Float[Array, "B T"]
    y: Float[Array, "B T"]
    row: Int[Array, "B T"]


@jax.jit
def hull_distance(query: Vec2, points: Vec2, touching: Bool[Array, "N B T"]) -> Float[Array, "B T"]:
    """Horizontal distance from a point to the convex hull of the points that touch.

    Exact (to 1e-5 m in float32, some metres from the origin) for any set: one point, two, points on
    a line, duplicates. The gradient is finite everywhere, and zero inside. It is that of the
    nearest point of the hull, held at fixed shares of the two corners beside it; this is exact
    for first derivatives, since there the distance is stationary in the shares.

    Method: Gilbert, Johnson and Keerthi 1988 (GJK) in the plane, where it closes in on one
    direction from both sides and so cannot cycle. A fixed number of steps, each one pass over the
    points that keeps a running minimum: some 60 bytes a frame in flight, whatever N is. On an
    NVIDIA GPU all steps are one kernel.

    Args:
      query: x and y of the point, each ``(B, T)``, in metres.
      points: x and y of the candidate points, each ``(N, B, T)``, in metres. NaN is allowed where
        they do not touch.
      touching: which points span the hull. False on padding.

    Returns:
      Metres: 0 inside and on the edge, infinite where nothing touches.
    """
    x, y = hull_offset(query, points, touching)
    square = x * x + y * y
    distance = jnp.where(square > 0.0, jnp.sqrt(jnp.where(square > 0.0, square, 1.0)), 0.0)
    return jnp.where(jnp.any(touching, axis=0), distance, jnp.inf)


@jax.jit
def hull_offset(query: Vec2, points: Vec2, touching: Bool[Array, "N B T"]) -> Vec2:
    """The way from a point to the nearest of the convex hull, by x and y, in metres.

    Zero inside, and where nothing touches. Arguments, method and gradient as for `hull_distance`.
    """
    return _offset(query, points, touching)


@jax.custom_jvp
def _offset(query: Vec2, points: Vec2, touching: Bool[Array, "N B T"]) -> Vec2:
    # Where nothing touches both corners are the query itself, at no distance.
    a, b, share, inside = _nearest_edge(query, points, touching)
    x, y = share * a.x + (1.0 - share) * b.x, share * a.y + (1.0 - share) * b.y
    return jnp.where(inside, 0.0, x), jnp.where(inside, 0.0, y)


@_offset.defjvp
def _offset_jvp(primals: tuple, tangents: tuple) -> tuple[Vec2, Vec2]:
    query, points, touching = primals
    a, b, share, inside = _nearest_edge(query, points, touching)
    outside = jnp.any(touching, axis=0) & ~inside

    def between(query: Vec2, points: Vec2) -> Vec2:
        """The corners looked up, so that they have a slope, at shares that are held."""
        ax, ay = _relative(query, points, a.row, outside)
        bx, by = _relative(query, points, b.row, outside)
        return share * ax + (1.0 - share) * bx, share * ay + (1.0 - share) * by

    return jax.jvp(between, (query, points), tangents[:2])


def _nearest_edge(
    query: Vec2, points: Vec2, touching: Bool[Array, "N B T"]
) -> tuple[_Corner, _Corner, Float[Array, "B T"], Bool[Array, "B T"]]:
    """The corners beside the hull's nearest point, the share of the first, and inside or not."""
    if query[0].dtype != jnp.float32:
        return nearest_edge_xla(query, points, touching)
    return pallas_or_xla(
        *(query, points, touching), pallas=nearest_edge_pallas, xla=nearest_edge_xla
    )


def nearest_edge_xla(
    query: Vec2, points: Vec2, touching: Bool[Array, "N B T"]
) -> tuple[_Corner, _Corner, Float[Array, "B T"], Bool[Array, "B T"]]:
    """Each step as a loop of XLA over arrays of all frames."""
    rows = rows_of((*points, touching, jnp.stack(query)))
    return _search(rows, fold_over(len(touching), _UNROLL))


def nearest_edge_pallas(
    query: Vec2, points: Vec2, touching: Bool[Array, "N B T"], *, interpret: bool = False
) -> tuple[_Corner, _Corner, Float[Array, "B T"], Bool[Array, "B T"]]:
    """The same as one GPU kernel."""

    def program(memory: Memory) -> None:
        a, b, share, inside = _search(memory.rows, memory.fold)
        for k, c in enumerate((a.x, a.y, b.x, b.y, share)):
            memory.store(0, k, c)
        for k, c in enumerate((a.row, b.row, inside.astype(jnp.int32))):
            memory.store(1, k, c)

    arrays = (*points, touching.astype(jnp.int8), jnp.stack(query))
    results = [(5, jnp.float32), (3, jnp.int32)]
    found, (a, b, inside) = per_frame(
        program, arrays, results, active=touching, interpret=interpret
    )
    ax, ay, bx, by, share = found
    return _Corner(ax, ay, a), _Corner(bx, by, b), share, inside != 0


def _search(
    rows: Rows, fold: Fold
) -> tuple[_Corner, _Corner, Float[Array, "B T"], Bool[Array, "B T"]]:
    """The search of one frame, over rows of x, y and touching of the points, and of the query.

    Any direction d bounds the distance from below, by the least d·x over the points, and the best d
    is the one sought. Corner `a` stands for the best direction being counterclockwise of the last
    that was tried on its side, `b` clockwise. The next d is the best for these two alone; the
    point that is lowest along it takes the place of one of them.
    """

    def lowest(key: Callable[[Array, Array], Array]) -> _Corner:
        return _lowest(key, rows, fold)

    def step(_, state: tuple[_Corner, _Corner, Array]) -> tuple[_Corner, _Corner, Array]:
        a, b, inside = state
        share, beyond = _nearest_on_segment(a, b)
        between = (share > 0.0) & (share < 1.0)
        # Normal of the edge from its ends' difference: their own directions may be all rounding.
        dx = jnp.where(between, a.y - b.y, jnp.where(share > 0.0, a.x, b.x))
        dy = jnp.where(between, b.x - a.x, jnp.where(share > 0.0, a.y, b.y))
        low = lowest(lambda x, y: x * dx + y * dy)
        counterclockwise = dx * low.y - dy * low.x >= 0.0
        a, b = _where(counterclockwise, low, a), _where(counterclockwise, b, low)
        return a, b, inside | beyond

    start = lowest(lambda x, y: x * x + y * y)
    nowhere = jnp.zeros(start.x.shape, bool)
    a, b, inside = jax.lax.fori_loop(0, STEPS, step, (start, start, nowhere))
    share, beyond = _nearest_on_segment(a, b)
    return a, b, share, inside | beyond


def _nearest_on_segment(a: _Corner, b: _Corner) -> tuple[Float[Array, "B T"], Bool[Array, "B T"]]:
    """Share of `a` in the point of the segment nearest the query, and whether it lies beyond.

    With `a` on the left and `b` on the right, a query that sees them the other way round has gone
    through the edge: no direction separates it from the points.
    """
    x, y = a.x - b.x, a.y - b.y
    square = x * x + y * y
    along = -(b.x * x + b.y * y) / jnp.where(square > 0.0, square, 1.0)
    share = jnp.clip(along, 0.0, 1.0)
    return share, (share > 0.0) & (share < 1.0) & (a.x * y - a.y * x <= 0.0)


def _lowest(key: Callable[[Array, Array], Array], rows: Rows, fold: Fold) -> _Corner:
    """The touching point with the least `key`; the query itself where nothing touches.

    A running minimum and not `argmin`, which is ten times slower over a leading axis on CPU and
    would need a gather after it.
    """
    query = rows(3, 0), rows(3, 1)

    def keep(i, state: tuple[Array, _Corner]) -> tuple[Array, _Corner]:
        least, best = state
        x, y = (rows(k, i) - query[k] for k in range(2))
        value = jnp.where(rows(2, i) != 0, key(x, y), jnp.inf)
        lower = value < least
        corner = _Corner(x, y, jnp.full_like(best.row, i))
        return jnp.where(lower, value, least), _where(lower, corner, best)

    zero = jnp.zeros_like(query[0])
    start = (jnp.full_like(zero, jnp.inf), _Corner(zero, zero, jnp.zeros(zero.shape, jnp.int32)))
    return fold(keep, start)[1]


def _relative(
    query: Vec2, points: Vec2, index: Int[Array, "B T"], wanted: Bool[Array, "B T"]
) -> Vec2:
    """Points by index, relative to the query; zero, and without a gradient, where not wanted."""
    px, py = (jnp.take_along_axis(p, index[None], axis=0)[0] for p in points)
    return jnp.where(wanted, px - query[0], 0.0), jnp.where(wanted, py - query[1], 0.0)


def _where(condition: Bool[Array, "B T"], a: _Corner, b: _Corner) -> _Corner:
    return _Corner(*(jnp.where(condition, u, v) for u, v in zip(a, b, strict=True)))
