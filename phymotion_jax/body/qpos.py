"""Between MuJoCo's coordinates and ours: qpos, qvel and qacc to link motion, wrenches to qfrc."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.dynamics import Wrenches
from phymotion_jax.kernels.hinges import hinge_axes, hinge_motion, hinge_quat
from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    dot,
    mat_t_vec,
    mat_vec,
    quat_conj,
    quat_mul,
    quat_normalize,
    quat_to_mat,
    unstack,
)


class JointMotion(NamedTuple):
    """Local motion of every joint. Arrays are ``(links, B, T)``; the root's ``(1, B, T)``."""

    quat: Quat
    """Rotation relative to the parent; the root's relative to the world."""

    ang_vel: Vec
    """Relative angular velocity in the link's axes, in rad/s."""

    ang_acc: Vec
    """Derivative of its components, in rad/s²."""

    root_pos: Vec
    """Position of the root's origin, in metres."""

    root_acc: Vec
    """Its acceleration, in m/s²."""


def joint_motion(
    humanoid: Humanoid,
    qpos: Float[Array, "B T nq"],
    qvel: Float[Array, "B T nv"],
    qacc: Float[Array, "B T nv"],
) -> JointMotion:
    """Link motion from MuJoCo's coordinates of the model that the humanoid came from."""
    quats, vels, accs = [], [], []
    turn = unstack(humanoid.rest_quat)
    for link in range(humanoid.n_links):
        at, dof = humanoid.qpos_address[link], humanoid.dof_address[link]
        mine = _row(turn, link)
        if at < 0:
            one, zero = jnp.ones_like(qpos[None, ..., 0]), jnp.zeros_like(qpos[None, ..., 0])
            quat, vel, acc = (one, zero, zero, zero), (zero,) * 3, (zero,) * 3
        elif link in humanoid.hinge_link:
            axes, angles, rates, accels = _hinges(humanoid, link, at, dof, qpos, qvel, qacc)
            quat = hinge_quat(axes, angles)
            vel, acc = hinge_motion(hinge_axes(axes, angles), rates, accels)
        else:
            skip = 3 if link == 0 else 0
            quat = quat_normalize(_columns(qpos, at + skip, 4))
            vel, acc = (_columns(x, dof + skip, 3) for x in (qvel, qacc))
            if link:  # the root's own frame is the file's
                quat = quat_mul(quat_mul(mine, quat), quat_conj(mine))
                vel, acc = (mat_vec(quat_to_mat(mine), v) for v in (vel, acc))
        quats.append(quat)
        vels.append(vel)
        accs.append(acc)
    joined = (tuple(jnp.concatenate(c) for c in zip(*x, strict=True)) for x in (quats, vels, accs))
    return JointMotion(*joined, _columns(qpos, 0, 3), _columns(qacc, 0, 3))  # pyright: ignore


def generalized_force(
    humanoid: Humanoid,
    wrenches: Wrenches,
    qpos: Float[Array, "B T nq"],
    qacc: Float[Array, "B T nv"],
) -> Float[Array, "B T nv"]:
    """MuJoCo's qfrc_inverse: moments projected on the joints' axes, with armature."""
    out = jnp.zeros_like(qacc)
    turn = unstack(humanoid.rest_quat)
    out = out.at[..., 0:3].set(jnp.stack([c[0] for c in wrenches.root_force], axis=-1))
    for link in range(humanoid.n_links):
        at, dof = humanoid.qpos_address[link], humanoid.dof_address[link]
        moment = _row(wrenches.moment, link)
        if at < 0:
            continue
        if link in humanoid.hinge_link:
            axes, angles, _, _ = _hinges(humanoid, link, at, dof, qpos, qacc, qacc)
            values = [dot(axis, moment)[0] for axis in hinge_axes(axes, angles)]
        else:
            mine = _row(turn, link)
            moment = moment if link == 0 else mat_t_vec(quat_to_mat(mine), moment)
            values = [c[0] for c in moment]
            dof = dof + 3 if link == 0 else dof
        for k, value in enumerate(values):
            drive = humanoid.armature[link] * qacc[..., dof + k]
            out = out.at[..., dof + k].set(value + drive)
    return out


def _row(vec: tuple[Array, ...], link: int) -> Any:
    """One link's row of every component."""
    return tuple(c[link : link + 1] for c in vec)


def _columns(array: Array, start: int, count: int) -> Any:
    """Columns of ``(B, T, n)`` as components ``(1, B, T)``."""
    return tuple(array[None, ..., start + k] for k in range(count))


def _hinges(humanoid: Humanoid, link: int, at: int, dof: int, qpos, qvel, qacc) -> Any:
    """Rest axes, angles, rates and accelerations of a link's hinges, one after another."""
    index = [k for k, owner in enumerate(humanoid.hinge_link) if owner == link]
    axes = [tuple(humanoid.hinge_axis[k, c] for c in range(3)) for k in index]
    columns = range(len(index))
    return (
        axes,
        [qpos[None, ..., at + k] for k in columns],
        [qvel[None, ..., dof + k] for k in columns],
        [qacc[None, ..., dof + k] for k in columns],
    )
