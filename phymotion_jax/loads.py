"""Where the ground holds the body up, and what is left for muscles to do."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.ground_forces import GroundForces, ground_forces
from phymotion_jax.kernels.pooling import pool_contacts, spread_forces
from phymotion_jax.kernels.pushes import Links, Pushes, moments_left
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, cross, dot, mat_vec, scale, sub
from phymotion_jax.state import State

_SOFTNESS = 0.01
"""What a support gives way by, of what it carries: 16 of them leave 0.06 % of a weight over."""


class Loads(NamedTuple):
    """Forces of the ground on the body, and what they leave over."""

    ground: GroundForces
    """Forces on the supports, and what they cannot carry, in body weights."""

    place: Vec
    """Where the forces act, from the centre of mass, ``(supports, B, T)``, in metres."""

    moment: Vec
    """Across each joint, in the link's own axes, with the ground's forces at work, in N·m."""


def ground_loads(
    state: State, humanoid: Humanoid, weight: Float[Array, "P B T"], *, friction: float
) -> Loads:
    """Contact forces that best carry the motion, and joint moments with them applied.

    A support's points share its force, which so acts at their mean place: joint moments are worked
    out from the supports alone, a fifth of the points.

    Args:
      state: the moving body.
      humanoid: whose contact points the state has.
      weight: how surely each contact point touches, from 0 to 1; 0 on padding.
      friction: coefficient of friction.
    """
    sizes = support_sizes(humanoid)
    supports = pool_contacts(sizes, state.points, weight, _com_over_floor(state))
    # Read by several kernels from here on, and a support's sum is long.
    supports = stored(supports)
    force, moment = needed_wrench(state)
    found = ground_forces(*supports, force, moment, friction=friction, softness=_SOFTNESS)
    owners = tuple(humanoid.contact_link[stop - 1] for stop in accumulate(sizes))
    com = tuple(c[0] for c in _com_from_root(state))
    pushes = Pushes(found.forces, supports.place, com, state.weight)  # pyright: ignore
    links = Links(state.motion.rot, state.motion.pos)
    left = moments_left(humanoid.parents, owners, links, state.wrenches.moment, pushes)
    return Loads(found, supports.place, left)


def joint_power(state: State, loads: Loads) -> Float[Array, "J B T"]:
    """Positive power of each joint, in W/kg."""
    mass = (state.weight / -GRAVITY[2])[None]
    return jnp.maximum(dot(loads.moment, state.joints.ang_vel) / mass, 0.0)[1:]


def forces_on(
    points: Sequence[int],
    loads: Loads,
    state: State,
    humanoid: Humanoid,
    weight: Float[Array, "P B T"],
) -> Vec:
    """Forces on some contact points, the whole of some supports, in body weights.

    Args:
      points: which, in order.
      loads: from `ground_loads`, and what they were found for:
      state: the moving body.
      humanoid: whose points they are.
      weight: how surely each of all points touches.
    """
    sizes, stops = support_sizes(humanoid), list(accumulate(support_sizes(humanoid)))
    here = [g for g, stop in enumerate(stops) if stop - 1 in points]
    own = tuple(sizes[g] for g in here)
    forces = tuple(take_rows(c, here) for c in loads.ground.forces)
    height, weight = take_rows(state.points[2], points), take_rows(weight, points)
    return spread_forces(forces, height, weight, own)  # pyright: ignore[reportArgumentType]


def support_sizes(humanoid: Humanoid) -> tuple[int, ...]:
    """Points of each support."""
    return humanoid.supports or (1,) * len(humanoid.contact_link)


def needed_wrench(state: State) -> tuple[Vec, Vec]:
    """Force, in body weights, and moment about the centre of mass, in body weights times metres,
    that must come from outside."""
    root = tuple(c[:1] for c in state.motion.rot)
    about_root = mat_vec(root, tuple(c[:1] for c in state.wrenches.moment))  # pyright: ignore
    turning = cross(_com_from_root(state), state.wrenches.root_force)
    force, moment = (
        scale(v, 1.0 / state.weight) for v in (state.wrenches.root_force, sub(about_root, turning))
    )
    return tuple(c[0] for c in force), tuple(c[0] for c in moment)  # pyright: ignore


def _com_from_root(state: State) -> Vec:
    root = state.joints.root_pos
    return tuple(c[None] - r for c, r in zip(state.com, root, strict=True))  # pyright: ignore


def _com_over_floor(state: State) -> Vec:
    """The centre of mass, whose height is taken from the floor as those of the points are."""
    x, y, z = state.com
    return x, y, z - state.floor[:, None]
