"""The published code's joint coordinates and their differences.

Joints are three hinges in a row, and rates are backward differences of their angles, as its
`smpl_params_to_qpos` and `score_trajectory` have it. No other preset does either.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.body.qpos import JointMotion
from phymotion_jax.kernels.euler import euler_xyz
from phymotion_jax.kernels.hinges import hinge_axes, hinge_motion
from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    dot,
    quat_conj,
    quat_log,
    quat_mul,
    quat_normalize,
    unstack_frames,
)
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import ReferenceQuirks

_XYZ = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


class Coordinates(NamedTuple):
    """Three coordinates a joint, and what follows from them. Arrays are ``(23, B, T)``."""

    joints: JointMotion
    """The same as motion of the links."""

    axes: tuple[Vec, Vec, Vec]
    """Axes that the coordinates turn about, in link axes."""

    rate: Vec
    """Rates of the coordinates, in rad/s."""

    accel: Vec
    """Their accelerations, in rad/s²."""

    root_vel: Vec
    """Velocity of the pelvis, ``(1, B, T)``, in m/s."""


def coordinates(
    batch: MotionBatch, fps: Float[Array, "B 1"], quirks: ReferenceQuirks
) -> Coordinates:
    """Joint coordinates of a batch without NaN (from `rest_padding`)."""
    differ = partial(backward_rates, mask=batch.mask, fps=fps, false_start=quirks.false_start)
    quat = quat_normalize(unstack_frames(batch.joint_quat))  # pyright: ignore[reportArgumentType]
    child: Quat = tuple(c[1:] for c in quat)  # pyright: ignore[reportAssignmentType]
    if quirks.euler_angles:
        angles = euler_xyz(child)
        rate, accel = _each(differ, _steps(angles))
        axes = tuple(hinge_axes(_XYZ, angles))  # pyright: ignore[reportArgumentType]
        ang_vel, ang_acc = hinge_motion(axes, rate, accel)
    else:
        rate, accel = _each(differ, _turns(child))
        one, zero = jnp.ones_like(child[0]), jnp.zeros_like(child[0])
        axes = ((one, zero, zero), (zero, one, zero), (zero, zero, one))
        ang_vel, ang_acc = rate, accel
    root = tuple(c[:1] for c in quat)
    root_spin: Any = _each(differ, _turns(root))  # pyright: ignore[reportArgumentType]
    if quirks.root_rotation_ignored:
        root_spin = jax.tree.map(jnp.zeros_like, root_spin)
    root_pos = batch.root_rows
    root_vel, root_acc = _each(differ, _steps(root_pos))
    joints = JointMotion(
        quat, _join(root_spin[0], ang_vel), _join(root_spin[1], ang_acc), root_pos, root_acc
    )
    return Coordinates(joints, axes, rate, accel, root_vel)  # pyright: ignore[reportArgumentType]


def backward_rates(
    step: Float[Array, "*items B S"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    *,
    false_start: bool,
) -> tuple[Float[Array, "*items B T"], Float[Array, "*items B T"]]:
    """Rates as backward differences, accelerations as central differences of those.

    The first and last frames take the acceleration of the frame beside them.

    Args:
      step: change from frame t to t + 1, S = T - 1.
      mask: real frames, which come first; three or more.
      fps: frames a second.
      false_start: the first rate is zero, as published; otherwise it is extrapolated.
    """
    back = step * fps
    first = jnp.zeros_like(back[..., :1])
    if not false_start:
        first = 2.0 * back[..., :1] - back[..., 1:2]
    rate = jnp.concatenate([first, back], axis=-1)
    inner = 0.5 * fps * (rate[..., 2:] - rate[..., :-2])
    edge = jnp.zeros_like(first)
    accel = jnp.concatenate([inner[..., :1], inner, edge], axis=-1)
    last = mask & ~jnp.concatenate([mask[:, 1:], jnp.zeros_like(mask[:, :1])], axis=1)
    before = jnp.concatenate([edge, accel[..., :-1]], axis=-1)
    return jnp.where(mask, rate, 0.0), jnp.where(last, before, jnp.where(mask, accel, 0.0))


def coordinate_torque(coords: Coordinates, moment: Vec, armature: Array) -> Vec:
    """Torque about each coordinate's axis, armature included, ``(23, B, T)``, in N·m."""
    below: Vec = tuple(c[1:] for c in moment)  # pyright: ignore[reportAssignmentType]
    drive = armature[1:, None, None]
    torque = (dot(a, below) + drive * x for a, x in zip(coords.axes, coords.accel, strict=True))
    return tuple(torque)  # pyright: ignore[reportReturnType]


def _steps(vec: Vec) -> Vec:
    return tuple(c[..., 1:] - c[..., :-1] for c in vec)  # pyright: ignore[reportReturnType]


def _turns(quat: Quat) -> Vec:
    """Rotation vector from each frame to the next, in the rotating frame's axes."""
    now, then = (tuple(c[..., s] for c in quat) for s in (slice(None, -1), slice(1, None)))
    return quat_log(quat_mul(quat_conj(now), then))  # pyright: ignore[reportArgumentType]


def _each(differ, steps: Vec) -> tuple[Vec, Vec]:
    rate, accel = zip(*(differ(c) for c in steps), strict=True)
    return rate, accel  # pyright: ignore[reportReturnType]


def _join(root: Vec, child: Vec) -> Vec:
    joined = (jnp.concatenate([r, c]) for r, c in zip(root, child, strict=True))
    return tuple(joined)  # pyright: ignore[reportReturnType]
