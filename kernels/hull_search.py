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
from jaxtyping import Array, Float

from phymotion_jax.kernels.vectors import Vec, add, cross, dot, scale, select, sub

_FLAT_M = 1e-5
"""A face that the hulls reach beyond by less than this is theirs: float32 tells no less."""

_AROUND = ((1.0, 0.0), (-0.5, 0.75**0.5), (-0.5, -(0.75**0.5)))
"""A third of a turn apart."""

_TINY = 1e-24


class _Walk(NamedTuple):
    corners: tuple[Vec, Vec, Vec]
    """Points of the Minkowski difference; the ray is sought in the cone over them."""

    ray: Vec
    """Unit direction whose face is sought."""

    width: Array
    """The least so far."""

    way: Vec
    """Its unit direction."""


def shortest_way_out(
    first: Vec, second: Vec, rays: Vec, steps: int
) -> tuple[Float[Array, " K"], Vec]:
    """Penetration depth of pairs of hulls.

    Args:
      first: vertices of one hull of each pair, components ``(V, K)``, in metres. Rows may repeat.
      second: of the other, in the same frame.
      rays: unit directions to begin from, ``(S, K)``.
      steps: supports looked up from each ray, beyond the first three.

    Returns:
      Width in metres: how far the second hull has to move along the way, negative where the hulls
      are apart; and the way, a unit vector with components ``(K,)``.
    """
    hulls: tuple[Vec, Vec] = jax.tree.map(lambda c: c[:, None], (first, second))
    start = _around(hulls, rays)
    walk = jax.lax.fori_loop(0, steps, lambda _, walk: _step(hulls, walk), start)
    width, way = walk.width[0], _row(walk.way, 0)
    for s in range(1, rays[0].shape[0]):
        way = select(walk.width[s] < width, _row(walk.way, s), way)
        width = jnp.minimum(walk.width[s], width)
    return width, way


def _around(hulls: tuple[Vec, Vec], ray: Vec) -> _Walk:
    """Supports in three directions 45 degrees from each ray."""
    least = jnp.minimum(jnp.minimum(abs(ray[0]), abs(ray[1])), abs(ray[2]))
    x, y, z = (jnp.where(abs(c) == least, 1.0, 0.0) for c in ray)
    u = _unit(cross(ray, (x, y, z)), ray)
    v = cross(ray, u)
    corners, width, way = [], jnp.full_like(ray[0], jnp.inf), ray
    for cos, sin in _AROUND:
        across = (cos * u[0] + sin * v[0], cos * u[1] + sin * v[1], cos * u[2] + sin * v[2])
        towards = _unit(add(ray, across), ray)
        corner, here = _support(hulls, towards)
        corners.append(corner)
        way = select(here < width, towards, way)
        width = jnp.minimum(here, width)
    return _Walk((corners[0], corners[1], corners[2]), ray, width, way)


def _step(hulls: tuple[Vec, Vec], walk: _Walk) -> _Walk:
    """One more support: across the wall that the ray passes, or beyond the face that it leaves."""
    w0, w1, w2 = walk.corners
    turn = jnp.where(dot(w0, cross(w1, w2)) < 0.0, -1.0, 1.0)
    walls = [_unit(scale(cross(a, b), turn), walk.ray) for a, b in ((w1, w2), (w2, w0), (w0, w1))]
    within = [dot(wall, walk.ray) for wall in walls]
    least = jnp.minimum(jnp.minimum(within[0], within[1]), within[2])
    passed = least < 0.0
    wall = select(within[0] == least, walls[0], select(within[1] == least, walls[1], walls[2]))
    face = _unit(cross(sub(w1, w0), sub(w2, w0)), walk.ray)
    face = scale(face, jnp.where(dot(face, w0) < 0.0, -1.0, 1.0))
    towards = select(passed, (-wall[0], -wall[1], -wall[2]), face)
    corner, width = _support(hulls, towards)
    found = ~passed & (width - dot(face, w0) < _FLAT_M)

    # The new corner replaces the one opposite the wall; or that without which the ray is within.
    side = [turn * dot(cross(corner, w), walk.ray) for w in walk.corners]
    drop0 = jnp.where(passed, within[0] == least, (side[1] >= 0.0) & (side[2] <= 0.0))
    drop1 = ~drop0 & jnp.where(passed, within[1] == least, (side[2] >= 0.0) & (side[0] <= 0.0))
    corners = (
        select(drop0 & ~found, corner, w0),
        select(drop1 & ~found, corner, w1),
        select(~drop0 & ~drop1 & ~found, corner, w2),
    )
    shorter = width < walk.width
    return _Walk(
        corners=corners,
        ray=select(found, face, walk.ray),
        width=jnp.where(shorter, width, walk.width),
        way=select(shorter, towards, walk.way),
    )


def _support(hulls: tuple[Vec, Vec], direction: Vec) -> tuple[Vec, Array]:
    """The outermost point of the difference in a direction, and how far out it is."""
    x, y, z = direction
    (here, ahead), (there, behind) = (
        _outermost(hulls[0], (x, y, z)),
        _outermost(hulls[1], (-x, -y, -z)),
    )
    return sub(here, there), ahead + behind


def _outermost(vertices: Vec, direction: Vec) -> tuple[Vec, Array]:
    """The vertex that lies outermost in a direction, the first of equals, and how far.

    Args:
      vertices: components ``(V, ...)``.
      direction: components that broadcast against one vertex's.
    """
    along = dot(vertices, direction)
    x, y, z = (jnp.broadcast_to(c, along.shape) for c in vertices)
    nothing = (jnp.full((), -jnp.inf, along.dtype), *[jnp.zeros((), along.dtype)] * 3)

    def farther(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(jnp.where(b[0] > a[0], q, p) for p, q in zip(a, b, strict=True))

    most, x, y, z = jax.lax.reduce((along, x, y, z), nothing, farther, (0,))
    return (x, y, z), most


def _unit(v: Vec, otherwise: Vec) -> Vec:
    """The direction of a vector; another where it has none."""
    square = dot(v, v)
    good = square > _TINY
    return select(good, scale(v, jax.lax.rsqrt(jnp.where(good, square, 1.0))), otherwise)


def _row(v: Vec, index: int) -> Vec:
    return v[0][index], v[1][index], v[2][index]
