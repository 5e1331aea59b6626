"""Euler angles of rotations: coordinates that three hinges on one link have."""

import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.vectors import Quat, Vec, quat_to_mat


def euler_xyz(quat: Quat) -> Vec:
    """Angles about x, then the turned y, then the twice turned z, in radians.

    The first and the last lie in (-π, π], the middle one in [-π/2, π/2], as scipy's "XYZ". Singular
    where the middle one is ±π/2: there the other two are not defined one by one, and near it they
    swing by half a turn for hardly any rotation, which is why nothing but `reference` uses them.
    """
    m = quat_to_mat(quat)
    level = m[0] * m[0] + m[1] * m[1]
    # An arctangent and not an arcsine, which loses half of the digits near ±π/2.
    return _angle(-m[5], m[8]), _angle(m[2], _root(level)), _angle(-m[1], m[0])


def _angle(sine: Array, cosine: Array) -> Array:
    """Their arctangent; 0, and without a gradient, where both vanish."""
    nowhere = (sine == 0.0) & (cosine == 0.0)
    return jnp.arctan2(sine, jnp.where(nowhere, 1.0, cosine))


def _root(square: Array) -> Array:
    zero = square == 0.0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.where(zero, 1.0, square)))
