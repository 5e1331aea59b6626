"""The shortest way out of each other for two convex hulls.

Moving one hull by the penetration depth along the way parts them: the least width, over all unit
directions, by which they overlap (van den Bergen 2001, EPA).

The search walks over the surface of the hulls' Minkowski difference, as Minkowski portal refinement
does (Snethen 2008): it finds the face that a ray from the origin leaves through, and takes the
face's normal as the next ray. No way along a face's normal is longer than the ray's was, and where
the normal leaves through its own face the way is shorter than its neighbours. Several rays tell
most of these apart. Every width met bounds the depth from above, and one of nothing or less proves
the hulls apart: what is returned is never too small. The widths along the rays themselves come
first: well chosen, they tell most hulls apart that are.
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.kernels.per_frame import Memory, if_any, pallas_or_xla, per_frame
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import (
    Mat,
    Vec,
    add,
    cross,
    dot,
    mat_t_vec,
    mat_vec,
    scale,
    select,
    sub,
)

_FLAT_M = 1e-5
"""A face that the hulls reach beyond by less than this is theirs: float32 tells no less."""

NOTHING_M = 1e-6
"""Hulls that overlap by less are apart, and not worth a further step. Walls of the cone that a ray
is sought in pass through the origin: across one that the difference only touches from outside the
width is zero, but for rounding."""

_TINY = 1e-24

_PLACES = 2**30
"""More vertices than this, of 745,000 bodies of 24 hulls, are not looked up by the GPU kernel. It
tells the compiler that places are below that: pointers to a hull's vertices count up then, where
each would be a product of 64 bits."""


class Hulls(NamedTuple):
    """Pairs of hulls ``(K,)``, the second of each turned and moved to the axes of the first."""

    vertex: Vec
    """Of all links of all bodies, in the links' own axes, ``(B, L, M)``; rows may repeat."""

    clip: Int[Array, " K"]
    """Whose body."""

    link: tuple[Int[Array, " K"], Int[Array, " K"]]
    """The one and the other."""

    turn: Mat
    """Rotation of the second to the first."""

    shift: Vec
    """Place of the second's origin in the first's axes, in metres."""

    wanted: Bool[Array, " K"]
    """Of the others anything may be said."""


class WayOut(NamedTuple):
    """The shortest way that was found, and what it is measured between."""

    width: Float[Array, "*K"]
    """How far the second hull has to move, in metres; negative where the hulls are apart."""

    way: Vec
    """In which direction: a unit vector, in the first's axes."""

    first: tuple[Array, Array, Array]
    """Vertices of the first hull that lie outermost along the way, counted from its first."""

    second: tuple[Array, Array, Array]
    """Vertices of the other that lie outermost the other way."""

    share: tuple[Array, Array, Array]
    """Of each of the three in the point that moves out soonest. They add up to one."""


class _Corner(NamedTuple):
    """A point of the Minkowski difference, and the two vertices that it is between."""

    point: Vec
    first: Array
    second: Array


class _Walk(NamedTuple):
    corners: tuple[_Corner, _Corner, _Corner]
    """The ray is sought in the cone over them."""

    ray: Vec
    """Unit direction whose face is sought."""

    best: WayOut

    done: Array
    """Whether a further step would find nothing else."""


_Support = Callable[[Vec], tuple[_Corner, Array]]
"""The outermost point of the difference in a direction, and how far out it is."""


def shortest_way_out(hulls: Hulls, rays: Vec, *, walks: int, steps: int) -> WayOut:
    """Penetration depth of pairs of hulls, for each pair ``(K,)``.

    Args:
      hulls: the pairs.
      rays: unit directions to measure, in the first hull's axes, ``(S, K)``.
      walks: how many of them, from the first on, the walk begins from too.
      steps: supports looked up in each walk, beyond the first three.
    """
    pallas, xla = (partial(form, walks=walks, steps=steps) for form in (walk_pallas, walk_xla))
    if rays[0].dtype != jnp.float32 or hulls.vertex[0].size > _PLACES:
        return xla(hulls, rays)
    return pallas_or_xla(hulls, rays, pallas=pallas, xla=xla)


def walk_xla(hulls: Hulls, rays: Vec, *, walks: int, steps: int) -> WayOut:
    """From all rays at once, with all vertices of a pair brought together before."""

    def gathered(link: Array) -> Vec:
        vertices = jnp.arange(hulls.vertex[0].shape[2])[:, None]
        return tuple(c[hulls.clip, link, vertices] for c in hulls.vertex)  # pyright: ignore

    first, second = (gathered(link) for link in hulls.link)
    second = add(mat_vec(hulls.turn, second), hulls.shift)
    # The search reads them many times: without the barrier XLA gathers and turns them each time.
    first, second = stored((first, second))
    first, second = jax.tree.map(lambda c: c[:, None], (first, second))

    def support(direction: Vec) -> tuple[_Corner, Array]:
        x, y, z = direction
        here, one, ahead = _outermost(first, direction)
        there, other, behind = _outermost(second, (-x, -y, -z))
        return _Corner(sub(here, there), one, other), ahead + behind

    def shortest(of: WayOut) -> WayOut:
        return reduce(_shorter, [jax.tree.map(lambda x, s=s: x[s], of) for s in range(len(of[0]))])

    along = _along(support, rays)
    rays, best = jax.tree.map(lambda x: x[:walks], (rays, along))
    walk = _around(support, rays, best)
    best = jax.lax.fori_loop(0, steps, lambda _, walk: _step(support, walk), walk).best
    return _shorter(shortest(along), shortest(best))


def _shorter(best: WayOut, other: WayOut) -> WayOut:
    return select(other.width < best.width, other, best)


def walk_pallas(
    hulls: Hulls, rays: Vec, *, walks: int, steps: int, interpret: bool = False
) -> WayOut:
    """From one ray after the other, in one GPU kernel that looks the vertices up where they are.

    It stops where all pairs of a block are known to be apart, or have nothing else to find: what it
    says of pairs that are apart is only that they are.
    """
    _, links, most = hulls.vertex[0].shape
    start = [(hulls.clip * links + link) * most for link in hulls.link]
    arrays = [c[None, None] for c in (*start, *hulls.turn, *hulls.shift)]
    arrays += [c[:, None] for c in rays]

    def program(memory: Memory) -> None:
        start = [memory.rows(k, 0) & (_PLACES - 1) for k in range(2)]
        pose = [memory.rows(2 + k, 0) for k in range(12)]
        rot, shift = tuple(pose[:9]), tuple(pose[9:])

        def vertex(k: int, m: Array) -> Vec:
            return tuple(memory.look_up(c, start[k] + m) for c in range(3))  # pyright: ignore

        def support(direction: Vec) -> tuple[_Corner, Array]:
            x, y, z = direction
            ways = direction, mat_t_vec(rot, (-x, -y, -z))  # pyright: ignore

            def keep(m: Any, best: tuple[tuple[Array, Array], ...]) -> Any:
                along = [dot(vertex(k, m), ways[k]) for k in range(2)]
                found = [(a, jnp.full_like(start[0], m)) for a in along]
                return tuple(select(f[0] > b[0], f, b) for f, b in zip(found, best, strict=True))

            nothing = jnp.full_like(x, -jnp.inf), jnp.zeros_like(start[0])
            (ahead, one), (behind, other) = jax.lax.fori_loop(0, most, keep, (nothing, nothing))
            there = add(mat_vec(rot, vertex(1, other)), shift)  # pyright: ignore
            width = ahead + behind - dot(shift, direction)  # pyright: ignore
            return _Corner(sub(vertex(0, one), there), one, other), width

        def ray(s: Any) -> Vec:
            return tuple(memory.rows(14 + k, s) for k in range(3))  # pyright: ignore

        def measure(s: Any, best: WayOut) -> WayOut:
            return _if_inside(best, lambda best: _shorter(best, _along(support, ray(s))))

        # Triton, of jaxlib 0.11, crashes over a `while_loop` that ends by what a block has found.
        def turn(_: Any, walk: _Walk) -> _Walk:
            return if_any(~(walk.done | _apart(walk.best)), partial(_step, support), walk)

        def walk(s: Any, best: WayOut) -> WayOut:
            def from_ray(best: WayOut) -> WayOut:
                return jax.lax.fori_loop(0, steps, turn, _around(support, ray(s), best)).best

            return _if_inside(best, from_ray)

        def search(_: Any, best: WayOut) -> WayOut:
            best = jax.lax.fori_loop(0, len(rays[0]), measure, best)
            return jax.lax.fori_loop(0, walks, walk, best)

        none, k = jnp.zeros_like(pose[0]), jnp.zeros_like(start[0])
        nothing = WayOut(none + jnp.inf, (none,) * 3, (k,) * 3, (k,) * 3, (none,) * 3)  # pyright: ignore
        best = memory.fold(search, nothing)
        for k, c in enumerate((best.width, *best.way, *best.share)):
            memory.store(0, k, c)
        for k, c in enumerate((*best.first, *best.second)):
            memory.store(1, k, c)

    tables = [c.reshape(-1) for c in hulls.vertex]
    results = [(7, jnp.float32), (6, jnp.int32)]
    found, corners = per_frame(
        *(program, arrays, results),
        active=hulls.wanted[None, None],
        tables=tables,
        interpret=interpret,
    )
    found, corners = found[:, 0], corners[:, 0]
    way, share, first, second = (
        (c[0], c[1], c[2]) for c in (found[1:4], found[4:], corners[:3], corners[3:])
    )
    return WayOut(found[0], way, first, second, share)


def _apart(best: WayOut) -> Array:
    """Whether the hulls are known to be."""
    return best.width < NOTHING_M


def _if_inside(best: WayOut, look: Callable[[WayOut], WayOut]) -> WayOut:
    """What a further look finds, unless all pairs of the block are known to be apart."""
    return if_any(~_apart(best), look, best)


def _along(support: _Support, ray: Vec) -> WayOut:
    """The width along a ray."""
    corner, width = support(ray)
    return _at_corner(corner, width, ray)


def _around(support: _Support, ray: Vec, best: WayOut) -> _Walk:
    """Supports in three directions 45 degrees from each ray, a third of a turn apart, and the
    shortest way among theirs and the best before."""
    least = jnp.minimum(jnp.minimum(abs(ray[0]), abs(ray[1])), abs(ray[2]))
    x, y, z = (jnp.where(abs(c) == least, 1.0, 0.0) for c in ray)
    u = _unit(cross(ray, (x, y, z)), ray)
    v = cross(ray, u)

    def look(k: Any, walk: _Walk) -> _Walk:
        # 1, −1/2, −1/2 and 0, √3/2, −√3/2: Triton cannot choose between constants.
        number = jnp.asarray(k, jnp.float32)
        cos = 1.0 - 1.5 * jnp.minimum(number, 1.0)
        sin = 0.75**0.5 * jnp.minimum(number, 1.0) * (3.0 - 2.0 * number)
        towards = _unit(add(ray, add(scale(u, cos), scale(v, sin))), ray)
        corner, width = support(towards)
        corners = (select(k == i, corner, old) for i, old in enumerate(walk.corners))
        here = _at_corner(corner, width, towards)
        best = select(width < walk.best.width, here, walk.best)
        return walk._replace(corners=tuple(corners), best=best)

    none, index = jnp.zeros_like(ray[0]), jnp.zeros(ray[0].shape, jnp.int32)
    corner = _Corner((none, none, none), index, index)
    nowhere = _Walk((corner, corner, corner), ray, best, ray[0] != ray[0])
    return jax.lax.fori_loop(0, 3, look, nowhere)


def _step(support: _Support, walk: _Walk) -> _Walk:
    """One more support: across the wall that the ray passes, or beyond the face that it leaves."""
    w0, w1, w2 = (corner.point for corner in walk.corners)
    turn = jnp.where(dot(w0, cross(w1, w2)) < 0.0, -1.0, 1.0)
    walls = [_unit(scale(cross(a, b), turn), walk.ray) for a, b in ((w1, w2), (w2, w0), (w0, w1))]
    within = [dot(wall, walk.ray) for wall in walls]
    least = jnp.minimum(jnp.minimum(within[0], within[1]), within[2])
    passed = least < 0.0
    wall = select(within[1] == least, walls[1], walls[2])
    wall = select(within[0] == least, walls[0], wall)
    face = _unit(cross(sub(w1, w0), sub(w2, w0)), walk.ray)
    face = scale(face, jnp.where(dot(face, w0) < 0.0, -1.0, 1.0))
    towards = select(passed, (-wall[0], -wall[1], -wall[2]), face)
    corner, width = support(towards)
    found = ~passed & (width - dot(face, w0) < _FLAT_M)

    # The new corner replaces the one opposite the wall; or that without which the ray is within.
    side = [turn * dot(cross(corner.point, w), walk.ray) for w in (w0, w1, w2)]
    drop0 = jnp.where(passed, within[0] == least, (side[1] >= 0.0) & (side[2] <= 0.0))
    drop1 = ~drop0 & jnp.where(passed, within[1] == least, (side[2] >= 0.0) & (side[0] <= 0.0))
    drops = (drop0, drop1, ~drop0 & ~drop1)
    c0, c1, c2 = (
        select(drop & ~found, corner, old) for drop, old in zip(drops, walk.corners, strict=True)
    )
    here = _at_corner(corner, width, towards)
    here = select(found, _on_face(walk.corners, width, face), here)
    best = select(width < walk.best.width, here, walk.best)
    done = found
    for new, old in zip(face, walk.ray, strict=True):
        done &= new == old
    return _Walk((c0, c1, c2), select(found, face, walk.ray), best, done)


def _at_corner(corner: _Corner, width: Array, way: Vec) -> WayOut:
    """A width that is measured at one corner of the difference."""
    one, none = jnp.ones_like(width), jnp.zeros_like(width)
    k, m = corner.first, corner.second
    return WayOut(width, way, (k, k, k), (m, m, m), (one, none, none))


def _on_face(corners: tuple[_Corner, _Corner, _Corner], width: Array, way: Vec) -> WayOut:
    """A width that is measured on a face of the difference, at its point nearest the origin.

    The other points of the face are as far along the way, but not once the face has turned.
    """
    w0, w1, w2 = (corner.point for corner in corners)
    areas = [dot(way, cross(a, b)) for a, b in ((w1, w2), (w2, w0), (w0, w1))]
    whole = areas[0] + areas[1] + areas[2]
    flat = abs(whole) < _TINY
    share = tuple(jnp.where(flat, 1.0 / 3.0, a / jnp.where(flat, 1.0, whole)) for a in areas)
    a, b, c = corners
    first, second = (a.first, b.first, c.first), (a.second, b.second, c.second)
    return WayOut(width, way, first, second, share)  # pyright: ignore[reportArgumentType]


def _outermost(vertices: Vec, direction: Vec) -> tuple[Vec, Array, Array]:
    """The vertex that lies outermost in a direction, the first of equals, its index, and how far.

    Args:
      vertices: components ``(V, 1, K)``.
      direction: components ``(S, K)``.
    """
    along = dot(vertices, direction)
    most = jnp.max(along, axis=0)
    # Not one reduction that carries the index along: a CPU does not vectorise it (4 times slower).
    last = along.shape[0] - 1
    place = jax.lax.broadcasted_iota(jnp.int32, along.shape, 0)
    index = jnp.min(jnp.where(along == most, place, last), axis=0)
    x, y, z = (c[index, 0, jnp.arange(c.shape[-1])] for c in vertices)
    return (x, y, z), index, most


def _unit(v: Vec, otherwise: Vec) -> Vec:
    """The direction of a vector; another where it has none."""
    square = dot(v, v)
    good = square > _TINY
    return select(good, scale(v, jax.lax.rsqrt(jnp.where(good, square, 1.0))), otherwise)
