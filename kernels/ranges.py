"""Anatomical angles of joints by swing and twist, and how far they lie outside their range."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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


_RAISED, _UP = (math.cos(math.radians(degrees)) for degrees in (130.0, 150.0))
"""From hanging: up to there a twist is told from there, and not at all from the other on."""

_HALF = math.sqrt(0.5)


def arm_twist(quat: Quat, hangs: Float[np.ndarray, "*rows 1 1"]) -> Array:
    """Turn of an arm about itself, inwards, from where it hangs and is raised the shortest way.

    From the T-pose, `swing_twist` tells half a turn of an arm that is raised forwards to overhead
    (Codman's paradox). From hanging, an arm that is led across the chest seems turned inwards by as
    much as it goes beyond straight ahead: there it is told from straight ahead. Straight up, any
    twist from hanging is as near as another: it fades out there.

    Args:
      quat: unit quaternions from rest, where the arm lies along x or against it.
      hangs: of each row, the turn about z, a quarter either way, that makes the arm hang along -y.

    Returns:
      Radians, about x.
    """
    kind = quat[0].dtype
    side = jnp.asarray(np.sin(hangs), kind)
    back = (_HALF, 0.0, 0.0, -_HALF * side)  # from hanging to rest
    hanging = quat_mul(quat, back)  # pyright: ignore[reportArgumentType]
    ahead = quat_mul(quat, quat_mul(back, (_HALF, _HALF, 0.0, 0.0)))  # pyright: ignore
    turned = side * swing_twist(hanging, 1)[1]
    across = jnp.maximum(-side * swing_twist(ahead, 2)[2], 0.0)
    w, x, y, z = hanging
    inwards = (turned > 0.0) & (side * (w * z - x * y) > 0.0)  # and pointing to the other side
    twist = jnp.where(inwards, jnp.minimum(turned, across), turned)
    raised = 1.0 - 2.0 * (x**2 + z**2)  # cosine of the angle from hanging
    return jnp.clip((raised - _UP) / (_RAISED - _UP), 0.0, 1.0) * twist


def outside_range(angles: Vec, low: Vec, high: Vec) -> Array:
    """Largest excess over a joint's range in any of its three angles, in radians; 0 inside."""
    excess = [
        jnp.maximum(jnp.maximum(lo - a, a - hi), 0.0)
        for a, lo, hi in zip(angles, low, high, strict=True)
    ]
    return jnp.maximum(jnp.maximum(excess[0], excess[1]), excess[2])
