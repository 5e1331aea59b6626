"""Kinematics and inverse dynamics of a frame as one GPU kernel: a loop over the links, and back.

The same quantities as in `dynamics`, carried from link to link. What a link leaves to its children
and its parent lies in the results, where the thread that wrote it finds it again.
"""

from itertools import accumulate
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.kernels.dynamics import LinkMotion, Wrenches, own_wrench
from phymotion_jax.kernels.per_frame import Memory, per_frame
from phymotion_jax.kernels.tree import Parents
from phymotion_jax.kernels.vectors import (
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
    select,
    sub,
)

_FIELDS = (9, 3, 3, 3, 3, 3, 3)
"""Components of the five fields of `LinkMotion`, then of the moment and the force."""

_MOMENT, _FORCE, _COM = 21, 24, 27
"""First component of each, and of the centre of mass."""


class Body(NamedTuple):
    """Links of one body, or of one a clip: ``(L, B or 1, 1)``."""

    offset: Vec
    """Origin in the parent's axes, in metres."""

    mass: Array
    """In kg."""

    com: Vec
    """Centre of mass in the link's axes."""

    inertia: Sym
    """About the centre of mass in the link's axes, in kg·m²."""


class Joints(NamedTuple):
    """What moves: ``(L, B, T)``, and ``(1, B, T)`` for the root."""

    quat: Quat
    ang_vel: Vec
    ang_acc: Vec
    root_acc: Vec


def dynamics_pallas(
    parents: Parents,
    gravity: tuple[float, float, float],
    body: Body,
    joints: Joints,
    *,
    interpret: bool = False,
) -> tuple[LinkMotion, Wrenches, Vec]:
    """`link_motion`, `inverse_dynamics` and `centre_of_mass` of all links. Arguments as for
    these."""
    n_links, own = len(parents), body.mass.shape[1]
    clip = jnp.arange(own, dtype=jnp.int32)[None, :, None]

    def program(memory: Memory) -> None:
        clip = memory.rows(11, 0)

        def constants(k: Any) -> Body:
            found = [memory.look_up(1 + c, k * own + clip) for c in range(13)]
            offset, com, inertia = (tuple(found[a:b]) for a, b in ((0, 3), (4, 7), (7, 13)))
            return Body(offset, found[3], com, inertia)  # pyright: ignore[reportArgumentType]

        def joint(k: Any) -> tuple[Quat, Vec, Vec]:
            found = [memory.rows(c, k) for c in range(10)]
            return tuple(found[:4]), tuple(found[4:7]), tuple(found[7:])  # pyright: ignore

        def load(first: int, count: int, k: Any) -> Any:
            return tuple(memory.result(first + c, k) for c in range(count))

        def motion_of(k: Any) -> LinkMotion:
            starts = (0, 9, 12, 15, 18)
            return LinkMotion(*(load(s, n, k) for s, n in zip(starts, _FIELDS, strict=False)))

        def hangs(k: Any) -> Array:
            return jnp.minimum(k, 1).astype(jnp.float32)  # 0 for the root, 1 for the others

        def outwards(k: Any, sums: Any) -> Any:
            link, parent = constants(k), motion_of(memory.look_up(0, k))
            # The root moves as if it hung, without an arm, from an upright link that falls with it.
            parent = select(k > 0, parent, upright)
            arm = scale(link.offset, hangs(k))
            motion = _next_link(parent, arm, *joint(k))
            memory.store_all(0, k, [c for field in motion for c in field])
            force, moment = own_wrench(motion, link.mass, link.com, link.inertia)
            memory.store_all(_MOMENT, k, moment)
            memory.store_all(_FORCE, k, force)
            centre = add(motion.pos, mat_vec(motion.rot, link.com))
            more = (*scale(centre, link.mass), link.mass)
            return tuple(a + b for a, b in zip(sums, more, strict=True))

        def inwards(step: Any, done: Any) -> Any:
            k = n_links - 1 - step
            parent = memory.look_up(0, k)
            force, moment = load(_FORCE, 3, k), load(_MOMENT, 3, k)
            arm = sub(load(9, 3, k), load(9, 3, parent))
            more = scale(add(moment, cross(arm, force)), hangs(k))
            memory.store_all(_MOMENT, parent, add(load(_MOMENT, 3, parent), more))
            memory.store_all(_FORCE, parent, add(load(_FORCE, 3, parent), scale(force, hangs(k))))
            memory.store_all(_MOMENT, k, mat_t_vec(load(0, 9, k), moment))
            return done

        upright = _upright(tuple(memory.rows(10, k) - g for k, g in enumerate(gravity)))
        start = (jnp.zeros_like(upright.acc[0]),) * 4
        *sums, mass = jax.lax.fori_loop(0, n_links, outwards, start)
        memory.store_all(_COM, 0, [s / mass for s in sums])
        jax.lax.fori_loop(0, n_links, inwards, 0)

    arrays = (*joints.quat, *joints.ang_vel, *joints.ang_acc)
    arrays = (*arrays, jnp.concatenate(joints.root_acc), clip)
    upwards = jnp.array([max(p, 0) for p in parents], jnp.int32)
    tables = (upwards, *(c.reshape(-1) for c in jax.tree.leaves(body)))
    results = [(n_links, jnp.float32)] * sum(_FIELDS) + [(1, jnp.float32)] * 3
    found = per_frame(program, arrays, results, tables=tables, interpret=interpret)
    stops = zip(_FIELDS, accumulate(_FIELDS), strict=True)
    parts = [tuple(found[stop - count : stop]) for count, stop in stops]
    *motion, moment, force = parts
    wrenches = Wrenches(moment, tuple(c[:1] for c in force))  # pyright: ignore
    return LinkMotion(*motion), wrenches, tuple(found[_COM:])  # pyright: ignore


def _next_link(
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


def _upright(acc: tuple[Array, ...]) -> LinkMotion:
    """A link that does not turn."""
    zero, one = jnp.zeros_like(acc[0]), jnp.ones_like(acc[0])
    still = (zero, zero, zero)
    rot = (one, zero, zero, zero, one, zero, zero, zero, one)
    return LinkMotion(rot, still, still, still, acc)  # pyright: ignore[reportArgumentType]
