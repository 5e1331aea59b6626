"""Forward kinematics and Newton-Euler inverse dynamics of a tree of ball joints.

In world axes velocities and accelerations of a link are sums over its chain of joints, and forces
are sums over its subtree (`tree`). Positions are relative to the root, so that float32 does not
cancel far from the origin.

Source: Featherstone, Rigid Body Dynamics Algorithms (2008), §5.3, in world axes about each joint.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import Parents, chains, rotations_to_world, sums
from phymotion_jax.kernels.vectors import (
    Mat,
    Quat,
    Sym,
    Vec,
    add,
    cross,
    mat_t_vec,
    mat_vec,
    quat_conj,
    quat_rotate,
    quat_to_mat,
    scale,
    sub,
    sym_vec,
)


class LinkMotion(NamedTuple):
    """Motion of links in world axes. Arrays are ``(links, B, T)``."""

    rot: Mat
    """Rotation from the link to the world."""

    pos: Vec
    """Origin of the link relative to the root's origin, in metres."""

    ang_vel: Vec
    """Angular velocity, in rad/s."""

    ang_acc: Vec
    """Angular acceleration, in rad/s²."""

    acc: Vec
    """Acceleration of the link's origin minus gravity, in m/s²."""


class Wrenches(NamedTuple):
    """What must act on the links. Arrays are ``(links, B, T)`` and ``(1, B, T)``."""

    moment: Vec
    """Across each joint, in the link's own axes, in N·m; the root's must come from outside."""

    root_force: Vec
    """Force that must act on the whole body from outside, in world axes, in N."""


def link_motion(
    parents: Parents,
    offset: Vec,
    quat: Quat,
    ang_vel: Vec,
    ang_acc: Vec,
    *,
    root_acc: Vec,
    gravity: tuple[float, float, float],
) -> LinkMotion:
    """Pose, velocity and acceleration of every link.

    Args:
      parents: the tree, parents before their children.
      offset: origin of each link in its parent's axes, ``(links, B or 1, 1)``, in metres.
      quat: rotation relative to the parent; the root's relative to the world.
      ang_vel: angular velocity relative to the parent in the link's own axes, in rad/s.
      ang_acc: derivative of those components, in rad/s².
      root_acc: acceleration of the root's origin in world axes, ``(1, B, T)``, in m/s².
      gravity: acceleration of free fall in world axes, in m/s².
    """
    chain = chains(parents)
    rot = stored(quat_to_mat(rotations_to_world(parents, quat)))
    hangs = jnp.arange(len(parents))[:, None, None] > 0
    # The parent's axes by way of the link's own, which spares a look-up at the parent.
    arm = mat_vec(rot, quat_rotate(quat_conj(quat), scale(offset, hangs)))
    spin = mat_vec(rot, ang_vel)
    *pos, x, y, z = sums(chain, (*arm, *spin))
    total = (x, y, z)
    above = sub(total, spin)
    turn = add(mat_vec(rot, ang_acc), cross(above, spin))
    total_acc: Vec = sums(chain, turn)  # pyright: ignore[reportAssignmentType]
    swing = add(cross(sub(total_acc, turn), arm), cross(above, cross(above, arm)))
    acc = (s + (a - g) for s, a, g in zip(sums(chain, swing), root_acc, gravity, strict=True))
    return LinkMotion(rot, tuple(pos), total, total_acc, tuple(acc))  # pyright: ignore


def inverse_dynamics(
    parents: Parents, motion: LinkMotion, mass: Array, com: Vec, inertia: Sym
) -> Wrenches:
    """Moments across the joints and the force from outside that a motion needs.

    Args:
      parents: the tree, parents before their children.
      motion: from `link_motion`; its accelerations carry gravity.
      mass: of each link, ``(links, B or 1, 1)``, in kg.
      com: centre of mass in the link's axes, in metres.
      inertia: about the centre of mass in the link's axes, in kg·m².

    Returns:
      Moments without armature, in N·m, and the root force, in N.
    """
    force, moment = own_wrench(motion, mass, com, inertia)
    about_root = add(moment, cross(motion.pos, force))
    *forces, x, y, z = sums(chains(parents).T, (*force, *about_root))
    about_joint = sub((x, y, z), cross(motion.pos, tuple(forces)))  # pyright: ignore
    root_force = tuple(c[:1] for c in forces)
    return Wrenches(mat_t_vec(motion.rot, about_joint), root_force)  # pyright: ignore


def centre_of_mass(motion: LinkMotion, mass: Array, com: Vec) -> Vec:
    """Of all links in sum, relative to the root's origin, ``(1, B, T)``, in metres.

    Args:
      motion: of all links; rotations and positions are read.
      mass: of each link, ``(links, B or 1, 1)``.
      com: its own in its axes, in metres.
    """
    share = mass / jnp.sum(mass, axis=0, keepdims=True)
    weighted = scale(add(motion.pos, mat_vec(motion.rot, com)), share)
    return tuple(jnp.sum(c, axis=0, keepdims=True) for c in weighted)  # pyright: ignore


def own_wrench(motion: LinkMotion, mass: Array, com: Vec, inertia: Sym) -> tuple[Vec, Vec]:
    """Force on each link and moment about its origin that its own motion needs, world axes."""
    arm = mat_vec(motion.rot, com)
    swing = cross(motion.ang_vel, cross(motion.ang_vel, arm))
    force = scale(add(motion.acc, cross(motion.ang_acc, arm), swing), mass)
    spin = mat_t_vec(motion.rot, motion.ang_vel)
    spin_acc = mat_t_vec(motion.rot, motion.ang_acc)
    turning = add(sym_vec(inertia, spin_acc), cross(spin, sym_vec(inertia, spin)))
    return force, add(mat_vec(motion.rot, turning), cross(arm, force))
