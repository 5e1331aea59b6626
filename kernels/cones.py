"""Coulomb's cone of contact forces: projection on it, sharp and rounded, and the slopes of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.vectors import Sym, Vec

Scalar = float | Float[Array, ""]

TINY = 1e-30
"""Less than any number that matters, to divide by."""


class _Edges(NamedTuple):
    """A velocity in its upright plane, by the cone's edge and what is at right angles to it."""

    way: tuple[Array, Array]
    """Unit vector along the floor; 0 where there is none."""

    across: Array
    """Speed that way."""

    load: Array
    """Along the edge: where it is negative nothing presses."""

    grip: Array
    """Across the edge: where it is positive nothing slides."""


def _edges(v: Vec, mu: Scalar) -> _Edges:
    x, y, z = v
    square = x * x + y * y + TINY
    inverse = jax.lax.rsqrt(square)
    across = square * inverse
    return _Edges((x * inverse, y * inverse), across, mu * across + z, mu * z - across)


def _rounded(x: Array, soft: Scalar | Array) -> tuple[Array, Array]:
    """√(x² + soft), and x over it."""
    square = x * x + (soft + TINY)
    inverse = jax.lax.rsqrt(square)
    return square * inverse, x * inverse


def rounded_projection(v: Vec, mu: Scalar, width: Scalar | Array) -> tuple[Vec, Sym]:
    """Projection on a cone with a rounded edge and tip, and its slopes; the sharp one at width 0.

    The projection is made of the absolute values of `load` and `grip`. Rounded ones give the
    gradient of a convex function all the same.
    """
    x, y, z = v
    edges, soft = _edges(v, mu), 4.0 * (1.0 + mu * mu) * width * width
    abs_load, load = _rounded(edges.load, soft)
    abs_grip, grip = _rounded(edges.grip, mu * mu * soft)
    kept = 0.5 + 0.5 * (mu * edges.load + edges.grip) / (mu * abs_load + abs_grip)
    up = 0.5 * z + (abs_load + mu * abs_grip) * (0.5 / (1.0 + mu * mu))
    slopes = _slopes(edges.way, mu, kept, 0.5 + 0.5 * load, 0.5 + 0.5 * grip)
    return (kept * x, kept * y, up), slopes


class Line(NamedTuple):
    """Velocities v + a d of a point along a line search, seen along the floor's part of d: aside
    of it they are all the same."""

    start: tuple[Array, Array]
    """Of v, along it and up."""

    change: tuple[Array, Array]
    """Of d."""

    aside: Array
    """Of v, at right angles to it, squared."""

    pull: tuple[Array, Array]
    """Of d again, by half of the point's weight."""


def line_of(v: Vec, d: Vec, weight: Array) -> Line:
    """The line v + a d of a point of some weight."""
    square = d[0] * d[0] + d[1] * d[1] + TINY
    inverse = jax.lax.rsqrt(square)
    aside = (v[0] * d[1] - v[1] * d[0]) * inverse
    start = (v[0] * d[0] + v[1] * d[1]) * inverse, v[2]
    change, half = (square * inverse, d[2]), 0.5 * weight
    return Line(start, change, aside * aside + TINY, (half * change[0], half * change[1]))


def slope_along(line: Line, length: Array, mu: Scalar, width: Scalar | Array) -> Array:
    """Inner product of d and `rounded_projection` at a length a of the line, by the weight.

    In half the operations: what the projection keeps of the way along the floor is a difference
    here, which rounding takes a millionth of the speed off. A Hessian would need more.
    """
    along, z = (a + length * b for a, b in zip(line.start, line.change, strict=True))
    square = along * along + line.aside
    inverse = jax.lax.rsqrt(square)
    across = square * inverse
    soft = 4.0 * (1.0 + mu * mu) * width * width
    load, grip = mu * across + z, mu * z - across
    abs_load = jnp.sqrt(load * load + soft)
    abs_grip = jnp.sqrt(grip * grip + mu * mu * soft)
    share = 1.0 / (1.0 + mu * mu)
    across = across + share * (mu * abs_load - abs_grip)
    up = z + share * (abs_load + mu * abs_grip)
    return across * (along * inverse) * line.pull[0] + up * line.pull[1]


def held_slopes(v: Vec, mu: Scalar) -> Sym:
    """Slopes of the sharp projection, without a gradient of their own.

    A projection on a cone is its own slope times what it projects. With the slope held fixed the
    derivatives are exact as well, and finite on the cone's edge and at its tip.
    """
    way, _, load, grip = _edges(jax.lax.stop_gradient(v), mu)
    kept = 0.5 + 0.5 * (mu * load + grip) / (mu * jnp.abs(load) + jnp.abs(grip) + TINY)
    loaded, gripping = (0.5 + 0.5 * jnp.sign(c) for c in (load, grip))
    return _slopes(way, mu, kept, loaded, gripping)


def within(mu: Scalar, forces: Vec) -> Vec:
    """The same forces, less the rounding errors by which they may stick out of the cone."""
    x, y, up = forces[0], forces[1], jnp.maximum(forces[2], 0.0)
    across = jax.lax.stop_gradient(jnp.sqrt(x * x + y * y))
    limit = jax.lax.stop_gradient(mu * up) * (1.0 - 8.0 * jnp.finfo(up.dtype).eps)
    beyond = across > limit
    kept = jnp.where(beyond, limit / jnp.where(beyond, across, 1.0), 1.0)
    return x * kept, y * kept, up


def _slopes(
    way: tuple[Array, Array], mu: Scalar, kept: Array, loaded: Array, gripping: Array
) -> Sym:
    """Derivative of the projection, from the share that it keeps of a change in each direction.

    `loaded` along the cone's edge, `gripping` across the edge in the upright plane of `way`, and
    `kept` at right angles to that plane.
    """
    x, y = way
    part = 1.0 / (1.0 + mu * mu)
    more = (mu * mu * loaded + gripping) * part - kept
    slant = mu * part * (loaded - gripping)
    up = (loaded + mu * mu * gripping) * part
    return kept + more * x * x, kept + more * y * y, up, more * x * y, slant * x, slant * y
