"""Coulomb's cone of contact forces: projection on it, sharp and rounded, and the slopes of it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.vectors import Sym, Vec

Scalar = float | Float[Array, ""]

TINY = 1e-30
"""Less than any number that matters, to divide by."""


def rounded_projection(v: Vec, mu: Scalar, width: Scalar | Array) -> tuple[Vec, Sym]:
    """Projection on a cone with a rounded edge and tip, and its slopes; the sharp one at width 0.

    Where `load` is negative nothing presses, where `grip` is positive nothing slides, and the
    projection is made of their absolute values. Rounded ones, √(x² + soft), give the gradient of a
    convex function all the same.
    """
    x, y, z = v
    across = jnp.sqrt(x * x + y * y)
    load, grip = mu * across + z, mu * z - across
    soft = 4.0 * (1.0 + mu * mu) * width * width
    abs_load = jnp.sqrt(load * load + soft + TINY)
    abs_grip = jnp.sqrt(grip * grip + mu * mu * soft + TINY)
    kept = 0.5 + 0.5 * (mu * load + grip) / (mu * abs_load + abs_grip)
    up = 0.5 * (z + (abs_load + mu * abs_grip) / (1.0 + mu * mu))
    slopes = _slopes(v, mu, kept, 0.5 + 0.5 * load / abs_load, 0.5 + 0.5 * grip / abs_grip)
    return (kept * x, kept * y, up), slopes


def held_slopes(v: Vec, mu: Scalar) -> Sym:
    """Slopes of the sharp projection, without a gradient of their own.

    A projection on a cone is its own slope times what it projects. With the slope held fixed the
    derivatives are exact as well, and finite on the cone's edge and at its tip.
    """
    x, y, z = jax.lax.stop_gradient(v)
    across = jnp.sqrt(x * x + y * y)
    load, grip = mu * across + z, mu * z - across
    kept = 0.5 + 0.5 * (mu * load + grip) / (mu * jnp.abs(load) + jnp.abs(grip) + TINY)
    loaded, gripping = (0.5 + 0.5 * jnp.sign(c) for c in (load, grip))
    return _slopes((x, y, z), mu, kept, loaded, gripping)


def within(mu: Scalar, forces: Vec) -> Vec:
    """The same forces, less the rounding errors by which they may stick out of the cone."""
    x, y, up = forces[0], forces[1], jnp.maximum(forces[2], 0.0)
    across = jax.lax.stop_gradient(jnp.sqrt(x * x + y * y))
    limit = jax.lax.stop_gradient(mu * up) * (1.0 - 8.0 * jnp.finfo(up.dtype).eps)
    beyond = across > limit
    kept = jnp.where(beyond, limit / jnp.where(beyond, across, 1.0), 1.0)
    return x * kept, y * kept, up


def _slopes(v: Vec, mu: Scalar, kept: Array, loaded: Array, gripping: Array) -> Sym:
    """Derivative of the projection, from the share that it keeps of a change in each direction.

    `loaded` along the cone's edge, `gripping` across the edge in the upright plane through v, and
    `kept` at right angles to that plane.
    """
    across = jnp.sqrt(v[0] * v[0] + v[1] * v[1]) + TINY
    square = 1.0 + mu * mu
    x, y = v[0] / across, v[1] / across
    more = (mu * mu * loaded + gripping) / square - kept
    slant = mu * (loaded - gripping) / square
    up = (loaded + mu * mu * gripping) / square
    return kept + more * x * x, kept + more * y * y, up, more * x * y, slant * x, slant * y
