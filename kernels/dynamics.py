"""Forward kinematics and Newton-Euler inverse dynamics of a tree of ball joints, level by level.

Positions are relative to the root, so that float32 does not cancel far from the origin. Between
levels stands an `optimization_barrier`: without it XLA recomputes the chain of parents for every
link that uses it, which is 30 to 60 times slower on a CPU and compiles for minutes.

Source: Featherstone, Rigid Body Dynamics Algorithms (2008), §5.3, in world axes about each joint.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.tree import Parents, add_to_parents, levels, take_rows
from phymotion_jax.kernels.vectors import (
    Mat,
    Quat,
    Sym,
    Vec,
    add,
    cross,
    mat_mat,
    mat_t_vec,
    mat_vec,
    quat_to_mat,
    scale,
    sub,
    sym_vec,
)

_barrier = jax.lax.optimization_barrier


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
) -> tuple[LinkMotion, ...]:
    """Pose, velocity and acceleration of every link, one entry a level of the tree.

    Args:
      parents: the tree, sorted by level.
      offset: origin of each link in its parent's axes, ``(links, B or 1, 1)``, in metres.
      quat: rotation relative to the parent; the root's relative to the world.
      ang_vel: angular velocity relative to the parent in the link's own axes, in rad/s.
      ang_acc: derivative of those components, in rad/s².
      root_acc: acceleration of the root's origin in world axes, ``(1, B, T)``, in m/s².
      gravity: acceleration of free fall in world axes, in m/s².
    """
    zero = jnp.zeros_like(root_acc[0])
    rot = quat_to_mat(_rows(quat, [0]))
    root = LinkMotion(
        rot,
        (zero, zero, zero),
        mat_vec(rot, _rows(ang_vel, [0])),
        mat_vec(rot, _rows(ang_acc, [0])),
        tuple(a - g for a, g in zip(root_acc, gravity, strict=True)),  # pyright: ignore
    )
    done = [root]
    for (before, _), (start, stop) in pairwise(levels(parents)):
        here = list(range(start, stop))
        parent = LinkMotion(
            *(_rows(field, [parents[k] - before for k in here]) for field in done[-1])
        )
        own = [_rows(vec, here) for vec in (offset, quat, ang_vel, ang_acc)]
        done.append(LinkMotion(*_barrier(tuple(next_link(parent, *own)))))
    return tuple(done)


def next_link(
    parent: LinkMotion, offset: Vec, quat: Quat, ang_vel: Vec, ang_acc: Vec
) -> LinkMotion:
    """Motion of links from their parents' and their own joint's."""
    rot = mat_mat(parent.rot, quat_to_mat(quat))
    spin = mat_vec(rot, ang_vel)
    arm = mat_vec(parent.rot, offset)
    return LinkMotion(
        rot,
        add(parent.pos, arm),
        add(parent.ang_vel, spin),
        add(parent.ang_acc, mat_vec(rot, ang_acc), cross(parent.ang_vel, spin)),
        add(
            parent.acc,
            cross(parent.ang_acc, arm),
            cross(parent.ang_vel, cross(parent.ang_vel, arm)),
        ),
    )


def inverse_dynamics(
    parents: Parents, motion: tuple[LinkMotion, ...], mass: Array, com: Vec, inertia: Sym
) -> Wrenches:
    """Moments across the joints and the force from outside that a motion needs.

    Args:
      parents: the tree, sorted by level.
      motion: from `link_motion`; its accelerations carry gravity.
      mass: of each link, ``(links, B or 1, 1)``, in kg.
      com: centre of mass in the link's axes, in metres.
      inertia: about the centre of mass in the link's axes, in kg·m².

    Returns:
      Moments without armature, in N·m, and the root force, in N.
    """
    own = []
    for (start, stop), level in zip(levels(parents), motion, strict=True):
        body = [_rows(vec, list(range(start, stop))) for vec in (com, inertia)]
        own.append(_barrier(own_wrench(level, mass[start:stop], *body)))
    return carry_to_root(parents, motion, own)


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


def carry_to_root(
    parents: Parents, motion: Sequence[LinkMotion], own: Sequence[tuple[Vec, Vec]]
) -> Wrenches:
    """What wrenches on the links add up to, joint by joint from the leaves to the root.

    Linear: the moments that ground forces cause, taken off those of the motion, are what is left
    for the muscles.

    Args:
      parents: the tree, sorted by level.
      motion: its levels, of which rotations and positions are read.
      own: of each level, the force on each of its links and the moment about the link's origin, in
        world axes.
    """
    below: tuple[list[int], Vec, Vec, Vec] | None = None
    moments: list[Vec] = []
    for (start, stop), level, wrench in zip(
        levels(parents)[::-1], motion[::-1], own[::-1], strict=True
    ):
        force, moment = wrench
        if below is not None:
            child, child_pos, child_force, child_moment = below
            up = [parents[k] - start for k in child]
            arm = sub(child_pos, _rows(level.pos, up))
            moment = _add_rows(moment, add(child_moment, cross(arm, child_force)), up)
            force = _add_rows(force, child_force, up)
            force, moment = _barrier((force, moment))
        below = (list(range(start, stop)), level.pos, force, moment)
        moments.append(mat_t_vec(level.rot, moment))
    assert below is not None
    return Wrenches(join_levels(moments[::-1]), below[2])


def join_levels(parts: Sequence[tuple[Array, ...]]) -> Any:
    """One vector or matrix for all links from one a level, component by component."""
    return tuple(jnp.concatenate(c, axis=0) for c in zip(*parts, strict=True))


def own_wrench(motion: LinkMotion, mass: Array, com: Vec, inertia: Sym) -> tuple[Vec, Vec]:
    """Force on each link and moment about its origin that its own motion needs, world axes."""
    arm = mat_vec(motion.rot, com)
    swing = cross(motion.ang_vel, cross(motion.ang_vel, arm))
    force = scale(add(motion.acc, cross(motion.ang_acc, arm), swing), mass)
    spin = mat_t_vec(motion.rot, motion.ang_vel)
    spin_acc = mat_t_vec(motion.rot, motion.ang_acc)
    turning = add(sym_vec(inertia, spin_acc), cross(spin, sym_vec(inertia, spin)))
    return force, add(mat_vec(motion.rot, turning), cross(arm, force))


def _rows(vec: tuple[Array, ...], rows: list[int]) -> Any:
    """Rows of every component: a vector, quaternion or matrix as it came."""
    return tuple(take_rows(c, rows) for c in vec)


def _add_rows(base: Vec, child: Vec, rows: list[int]) -> Vec:
    return tuple(  # pyright: ignore[reportReturnType]
        add_to_parents(b, c, rows) for b, c in zip(base, child, strict=True)
    )
