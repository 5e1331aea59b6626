"""The shortest way out of each other for two convex hulls.

Moving one hull by the penetration depth along the way parts them: the least width, over all unit
directions, by which they overlap (van den Bergen 2001, EPA).

The search walks over the surface of the hulls' Minkowski difference, as Minkowski portal refinement
does (Snethen 2008): it finds the face that a ray from the origin leaves through, and takes the
face's normal as the next ray. No way along a face's normal is longer than the ray's was, and where
the normal leaves through its own face the way is shorter than its neighbours. Several rays tell
most of these apart. Every width met bounds the depth from above, and one below zero proves the
hulls apart: what is returned is never too small.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.vectors import Vec, add, cross, dot, scale, select, sub

_FLAT_M = 1e-5
"""A face that the hulls reach beyond by less than this is theirs: float32 tells no less."""

_AROUND = ((1.0, 0.0), (-0.5, 0.75**0.5), (-0.5, -(0.75**0.5)))
"""A third of a turn apart."""

_TINY = 1e-24


class WayOut(NamedTuple):
    """The shortest way that was found, and what it is measured between."""

    width: Float[Array, "*S K"]
    """How far the second hull has to move, in metres; negative where the hulls are apart."""

    way: Vec
    """In which direction: a unit vector."""

    first: Int[Array, "3 *S K"]
    """Vertices of the first hull that lie outermost along the way."""

    second: Int[Array, "3 *S K"]
    """Vertices of the other that lie outermost the other way."""

    share: Float[Array, "3 *S K"]
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


def shortest_way_out(first: Vec, second: Vec, rays: Vec, steps: int) -> WayOut:
    """Penetration depth of pairs of hulls, for each pair ``(K,)``.

    Args:
      first: vertices of one hull of each pair, components ``(V, K)``, in metres. Rows may repeat.
      second: of the other, in the same frame.
      rays: unit directions to begin from, ``(S, K)``.
      steps: supports looked up from each ray, beyond the first three.
    """
    hulls: tuple[Vec, Vec] = jax.tree.map(lambda c: c[:, None], (first, second))
    start = _around(hulls, rays)
    walk = jax.lax.fori_loop(0, steps, lambda _, walk: _step(hulls, walk), start)
    each = [jax.tree.map(lambda x, s=s: x[..., s, :], walk.best) for s in range(rays[0].shape[0])]
    best = each[0]
    for other in each[1:]:
        best = select(other.width < best.width, other, best)
    return best


def _around(hulls: tuple[Vec, Vec], ray: Vec) -> _Walk:
    """Supports in three directions 45 degrees from each ray."""
    least = jnp.minimum(jnp.minimum(abs(ray[0]), abs(ray[1])), abs(ray[2]))
    x, y, z = (jnp.where(abs(c) == least, 1.0, 0.0) for c in ray)
    u = _unit(cross(ray, (x, y, z)), ray)
    v = cross(ray, u)
    corners, ways = [], []
    for cos, sin in _AROUND:
        across = (cos * u[0] + sin * v[0], cos * u[1] + sin * v[1], cos * u[2] + sin * v[2])
        towards = _unit(add(ray, across), ray)
        corner, width = _support(hulls, towards)
        corners.append(corner)
        ways.append(_at_corner(corner, width, towards))
    best = select(ways[1].width < ways[0].width, ways[1], ways[0])
    best = select(ways[2].width < best.width, ways[2], best)
    return _Walk((corners[0], corners[1], corners[2]), ray, best)


def _step(hulls: tuple[Vec, Vec], walk: _Walk) -> _Walk:
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
    corner, width = _support(hulls, towards)
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
    return _Walk((c0, c1, c2), select(found, face, walk.ray), best)


def _at_corner(corner: _Corner, width: Array, way: Vec) -> WayOut:
    """A width that is measured at one corner of the difference."""
    one, none = jnp.ones_like(width), jnp.zeros_like(width)
    first, second = (jnp.stack([k, k, k]) for k in (corner.first, corner.second))
    return WayOut(width, way, first, second, jnp.stack([one, none, none]))


def _on_face(corners: tuple[_Corner, _Corner, _Corner], width: Array, way: Vec) -> WayOut:
    """A width that is measured on a face of the difference, at its point nearest the origin.

    The other points of the face are as far along the way, but not once the face has turned.
    """
    w0, w1, w2 = (corner.point for corner in corners)
    areas = [dot(way, cross(a, b)) for a, b in ((w1, w2), (w2, w0), (w0, w1))]
    whole = areas[0] + areas[1] + areas[2]
    flat = abs(whole) < _TINY
    shares = [jnp.where(flat, 1.0 / 3.0, a / jnp.where(flat, 1.0, whole)) for a in areas]
    first, second = (jnp.stack(k) for k in zip(*(c[1:] for c in corners), strict=True))
    return WayOut(width, way, first, second, jnp.stack(shares))


def _support(hulls: tuple[Vec, Vec], direction: Vec) -> tuple[_Corner, Array]:
    """The outermost point of the difference in a direction, and how far out it is."""
    x, y, z = direction
    (here, first, ahead), (there, second, behind) = (
        _outermost(hulls[0], (x, y, z)),
        _outermost(hulls[1], (-x, -y, -z)),
    )
    return _Corner(sub(here, there), first, second), ahead + behind


def _outermost(vertices: Vec, direction: Vec) -> tuple[Vec, Array, Array]:
    """The vertex that lies outermost in a direction, the first of equals, its index, and how far.

    Args:
      vertices: components ``(V, ...)``.
      direction: components that broadcast against one vertex's.
    """
    along = dot(vertices, direction)
    index = jax.lax.broadcasted_iota(jnp.int32, along.shape, 0)
    x, y, z = (jnp.broadcast_to(c, along.shape) for c in vertices)
    none = jnp.zeros((), along.dtype)
    nothing = (jnp.full((), -jnp.inf, along.dtype), jnp.zeros((), jnp.int32), none, none, none)

    def farther(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(jnp.where(b[0] > a[0], q, p) for p, q in zip(a, b, strict=True))

    most, index, x, y, z = jax.lax.reduce((along, index, x, y, z), nothing, farther, (0,))
    return (x, y, z), index, most


def _unit(v: Vec, otherwise: Vec) -> Vec:
    """The direction of a vector; another where it has none."""
    square = dot(v, v)
    good = square > _TINY
    return select(good, scale(v, jax.lax.rsqrt(jnp.where(good, square, 1.0))), otherwise)
