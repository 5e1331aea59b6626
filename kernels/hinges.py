"""Several hinges in a row on one link: its rotation, its angular motion, and the hinges' axes."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    add,
    cross,
    mat_t_vec,
    quat_mul,
    quat_to_mat,
    scale,
    sub,
)


def hinge_quat(axes: Sequence[Vec], angles: Sequence[Array]) -> Quat:
    """Rotation of a link by hinges that turn one after another, each about an axis of the last.

    Args:
      axes: unit axes at rest, outermost hinge first; components are scalars.
      angles: in radians, any one shape.
    """
    quat = _one_hinge(axes[0], angles[0])
    for axis, angle in zip(axes[1:], angles[1:], strict=True):
        quat = quat_mul(quat, _one_hinge(axis, angle))
    return quat


def hinge_axes(axes: Sequence[Vec], angles: Sequence[Array]) -> list[Vec]:
    """Each hinge's axis in the axes of the link that they carry: turned back by those after it."""
    out = []
    for k, axis in enumerate(axes):
        now = tuple(jnp.broadcast_to(c, angles[k].shape) for c in axis)
        for later, angle in zip(axes[k + 1 :], angles[k + 1 :], strict=True):
            now = mat_t_vec(quat_to_mat(_one_hinge(later, angle)), now)  # pyright: ignore
        out.append(now)
    return out


def hinge_motion(
    axes: Sequence[Vec], rates: Sequence[Array], accels: Sequence[Array]
) -> tuple[Vec, Vec]:
    """Relative angular velocity and the derivative of its components, in the link's axes.

    Args:
      axes: from `hinge_axes`.
      rates: of the hinges, in rad/s.
      accels: of the hinges, in rad/s².
    """
    zero = jnp.zeros_like(rates[0])
    after: Vec = (zero, zero, zero)
    acc: Vec = (zero, zero, zero)
    for axis, rate, accel in reversed(list(zip(axes, rates, accels, strict=True))):
        spin = scale(axis, rate)
        # Seen from the link, an axis of an earlier hinge turns against those after it.
        acc = add(acc, sub(scale(axis, accel), cross(after, spin)))
        after = add(after, spin)
    return after, acc


def _one_hinge(axis: Vec, angle: Array) -> Quat:
    sine = jnp.sin(0.5 * angle)
    return jnp.cos(0.5 * angle), axis[0] * sine, axis[1] * sine, axis[2] * sine
