"""Inverse dynamics of a humanoid through one of two backends that give the same answer."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array
from nanomanifold import SO3

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.qpos import JointMotion
from phymotion_jax.body.skeleton import mujoco_order
from phymotion_jax.errors import UnknownNameError
from phymotion_jax.kernels.dynamics import (
    LinkMotion,
    Wrenches,
    centre_of_mass,
    inverse_dynamics,
    link_motion,
)
from phymotion_jax.kernels.dynamics_frame import Body, Joints, dynamics_pallas
from phymotion_jax.kernels.per_frame import pallas_or_xla
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import Parents
from phymotion_jax.kernels.vectors import Sym, Vec, unstack

Backend = Literal["fused", "mjx"]
BACKENDS: tuple[Backend, ...] = ("fused", "mjx")

GRAVITY = (0.0, 0.0, -9.81)
"""MuJoCo's default and the published scorer's, in m/s²."""


class Dynamics(NamedTuple):
    """Motion of all links and what it needs. Arrays are ``(links, B, T)``."""

    motion: LinkMotion
    """World pose (relative to the root), velocities and accelerations."""

    wrenches: Wrenches
    """Moments across the joints and force on the root."""

    com: Vec
    """Centre of mass relative to the root's origin, ``(1, B, T)``, in metres."""


def dynamics(humanoid: Humanoid, joints: JointMotion, *, backend: Backend = "fused") -> Dynamics:
    """Forward kinematics and inverse dynamics, without forces from the ground.

    Args:
      humanoid: one body, or one a clip.
      joints: local motion of the joints.
      backend: "fused" is this project's kernel; "mjx" vmaps MuJoCo MJX's own functions.
    """
    if backend not in BACKENDS:
        raise UnknownNameError("dynamics backend", backend, BACKENDS)
    mass = unstack(humanoid.mass[..., None])[0]
    inertia = _symmetric(humanoid.inertia)
    body = Body(unstack(humanoid.offset), mass, unstack(humanoid.com), inertia)
    moved = Joints(joints.quat, joints.ang_vel, joints.ang_acc, joints.root_acc)
    if backend == "fused":
        return Dynamics(*_fused(humanoid.parents, body, moved))
    found = Dynamics(*_as_sums(humanoid.parents, body, moved))
    return found._replace(wrenches=_mjx_wrenches(humanoid, joints))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _fused(parents: Parents, body: Body, joints: Joints) -> tuple[LinkMotion, Wrenches, Vec]:
    as_sums = partial(_as_sums, parents)
    if joints.quat[0].dtype != jnp.float32:
        return as_sums(body, joints)
    pallas = partial(dynamics_pallas, parents, GRAVITY)
    return pallas_or_xla(body, joints, pallas=pallas, xla=as_sums)


@_fused.defjvp
def _fused_jvp(parents: Parents, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(_as_sums, parents), primals, tangents)


def _as_sums(parents: Parents, body: Body, joints: Joints) -> tuple[LinkMotion, Wrenches, Vec]:
    """As plain XLA."""
    # Barriers: what follows reads all of it many times, and XLA would work it out at each.
    body, joints = stored((body, joints))
    motion = link_motion(
        *(parents, body.offset, joints.quat, joints.ang_vel, joints.ang_acc),
        root_acc=joints.root_acc,
        gravity=GRAVITY,
    )
    motion = stored(motion)
    wrenches = inverse_dynamics(parents, motion, body.mass, body.com, body.inertia)
    return motion, wrenches, centre_of_mass(motion, body.mass, body.com)


def _symmetric(inertia: Array) -> Sym:
    order = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
    return unstack(jnp.stack([inertia[..., i, j] for i, j in order], axis=-1))  # pyright: ignore


def _mjx_wrenches(humanoid: Humanoid, joints: JointMotion) -> Wrenches:
    """The same moments from MJX, frame by frame and clip by clip under `vmap`."""
    per_frame = mjx_inverse(humanoid.parents)
    rank = mujoco_order(humanoid.parents)
    links = sorted(range(humanoid.n_links), key=rank.__getitem__)  # in MuJoCo's order

    def coordinates(root: tuple[Array, ...], components: tuple[Array, ...]) -> Array:
        rows = [c[link : link + 1] for link in links for c in components]
        return jnp.moveaxis(jnp.concatenate([*root, *rows], axis=0), 0, -1)

    zero = jnp.zeros_like(joints.root_pos[0])
    qpos = coordinates(joints.root_pos, joints.quat)
    qvel = coordinates((zero, zero, zero), joints.ang_vel)
    qacc = coordinates(joints.root_acc, joints.ang_acc)
    order = jnp.array(links)
    fields = (humanoid.offset, humanoid.com, humanoid.inertia)
    body = (
        humanoid.mass[..., order],
        *(f.take(order, axis=humanoid.mass.ndim - 1) for f in fields),
    )
    frames = jax.vmap(per_frame, in_axes=(None, 0, 0, 0))
    clip_axes = 0 if humanoid.mass.ndim == 2 else None
    force = jax.vmap(frames, in_axes=(clip_axes, 0, 0, 0))(body, qpos, qvel, qacc)
    by_dof = jnp.moveaxis(force, -1, 0)
    back = jnp.array(rank)
    moment = tuple(by_dof[3 + k :: 3][back] for k in range(3))
    root = tuple(by_dof[k : k + 1] for k in range(3))
    return Wrenches(moment, root)  # pyright: ignore[reportArgumentType]


@cache
def mjx_inverse(parents: tuple[int, ...]) -> Callable[..., Array]:
    """One frame's qfrc of a ball-jointed tree by MJX: ``f((mass, offset, com, inertia), q, v, a)``.

    kinematics, com_pos, com_vel and rne with accelerations: what `mjx.inverse` needs of them, with
    constraints and contacts left out. Links of `body` stand in MuJoCo's depth-first order.
    """
    from mujoco import mjx  # noqa: PLC0415  imported on use: most runs never need it
    from mujoco.mjx._src import smooth  # noqa: PLC0415  rne is not among mjx's public names

    with jax.ensure_compile_time_eval():
        model = mjx.put_model(_bare_tree(parents), impl="jax")
        data = mjx.make_data(model, impl="jax")

    def inverse(body, qpos, qvel, qacc):
        mass, offset, com, inertia = body
        moments, axes = jnp.linalg.eigh(inertia)
        axes = axes * jnp.sign(jnp.linalg.det(axes))[..., None, None]
        here = model.replace(
            body_pos=model.body_pos.at[2:].set(offset[1:]),
            body_mass=model.body_mass.at[1:].set(mass),
            body_ipos=model.body_ipos.at[1:].set(com),
            body_inertia=model.body_inertia.at[1:].set(moments),
            body_iquat=model.body_iquat.at[1:].set(SO3.from_rotmat(axes, xp=jnp)),
        )
        d = data.replace(qpos=qpos, qvel=qvel, qacc=qacc)
        d = smooth.com_vel(here, smooth.com_pos(here, smooth.kinematics(here, d)))
        return smooth.rne(here, d, flg_acc=True).qfrc_bias

    return inverse


def _bare_tree(parents: tuple[int, ...]) -> mujoco.MjModel:
    """A model of the tree whose numbers are placeholders."""
    spec = mujoco.MjSpec()
    spec.option.gravity = np.array(GRAVITY)
    bodies = []
    for link, parent in enumerate(parents):
        above = spec.worldbody if parent < 0 else bodies[parent]
        body = above.add_body(name=f"link{link}")
        body.mass, body.inertia, body.explicitinertial = 1.0, [1.0, 1.0, 1.0], True
        if parent < 0:
            body.add_freejoint()
        else:
            body.add_joint(type=mujoco.mjtJoint.mjJNT_BALL)
        bodies.append(body)
    return spec.compile()
