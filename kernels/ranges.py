"""Anatomical angles of joints by swing and twist, and how far they lie outside their range."""

import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.vectors import Quat, Vec, quat_conj, quat_log, quat_mul, quat_normalize


def swing_twist(quat: Quat, axis: int) -> Vec:
    """Angles of a rotation about x, y and z, in radians: a twist about one axis, then a swing.

    The twist is the rotation about `axis` nearest to the whole; what is left, the swing, turns
    about an axis square to it, and its rotation vector has the other two components. Unlike Euler
    angles, neither is singular before the swing reaches half a turn.

    Args:
      quat: unit quaternions.
      axis: 0, 1 or 2, the bone's direction.
    """
    zero = jnp.zeros_like(quat[0])
    part = [quat[0], zero, zero, zero]
    part[1 + axis] = quat[1 + axis]
    # At half a turn of swing any twist is as near as another: none is chosen.
    lost = quat[0] ** 2 + quat[1 + axis] ** 2 < 1e-12
    part[0] = jnp.where(lost, 1.0, part[0])
    twist = quat_normalize(tuple(part))  # pyright: ignore[reportArgumentType]
    swing = list(quat_log(quat_mul(quat, quat_conj(twist))))
    swing[axis] = quat_log(twist)[axis]
    return tuple(swing)  # pyright: ignore[reportReturnType]


def outside_range(angles: Vec, low: Vec, high: Vec) -> Array:
    """Largest excess over a joint's range in any of its three angles, in radians; 0 inside."""
    excess = [
        jnp.maximum(jnp.maximum(lo - a, a - hi), 0.0)
        for a, lo, hi in zip(angles, low, high, strict=True)
    ]
    return jnp.maximum(jnp.maximum(excess[0], excess[1]), excess[2])
