"""Where the ground holds the body up, and what is left for muscles to do."""

from itertools import accumulate, pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.dynamics import LinkMotion, carry_to_root, split_levels
from phymotion_jax.kernels.ground_forces import GroundForces, ground_forces
from phymotion_jax.kernels.tree import levels, take_rows
from phymotion_jax.kernels.vectors import Vec, add, cross, mat_vec, scale, sub
from phymotion_jax.state import State

_SOFTNESS = 0.01
"""What a support gives way by, of what it carries: 16 of them leave 0.06 % of a weight over."""

_barrier = jax.lax.optimization_barrier


class Loads(NamedTuple):
    """Forces of the ground on the body, and what they leave over."""

    ground: GroundForces
    """Forces on the contact points and what they cannot carry, in body weights."""

    moment: Vec
    """Across each joint, in the link's own axes, with the ground's forces at work, in N·m."""


def ground_loads(
    state: State, humanoid: Humanoid, weight: Float[Array, "P B T"], *, friction: float
) -> Loads:
    """Contact forces that best carry the motion, and joint moments with them applied.

    Args:
      state: the moving body.
      humanoid: whose contact points the state has.
      weight: how surely each contact point touches, from 0 to 1; 0 on padding.
      friction: coefficient of friction.
    """
    arm = _from_com(state)
    sizes = humanoid.supports or (1,) * weight.shape[0]
    share, sure = _shares(arm[2], weight, sizes)
    middle = tuple(_by_support(share * c, sizes) for c in arm)
    force, moment = needed_wrench(state)
    found = ground_forces(
        *_barrier((middle, sure)), force, moment, friction=friction, softness=_SOFTNESS
    )  # pyright: ignore
    each: Vec = tuple(share * _to_points(c, sizes) for c in found.forces)  # pyright: ignore
    found = found._replace(forces=each)
    newtons = scale(each, state.weight)
    parents = humanoid.parents
    own = _link_wrenches(state.motion, add(arm, _com_from_root(state)), newtons, humanoid)
    by_level = [tuple(_slice(v, start, stop) for v in own) for start, stop in levels(parents)]
    ground = carry_to_root(parents, split_levels(parents, state.motion), by_level)  # pyright: ignore
    return Loads(found, sub(state.wrenches.moment, ground.moment))


_GIVE_M = 0.01
"""Height over a support's lowest point at which a point carries 1/e of what that one does."""


def _shares(
    height: Float[Array, "P B T"], weight: Float[Array, "P B T"], sizes: tuple[int, ...]
) -> tuple[Float[Array, "P B T"], Float[Array, "G B T"]]:
    """What each point carries of its support's force, and how surely each support touches."""
    lowest = jnp.concatenate(
        [jnp.min(height[start:stop], axis=0, keepdims=True) for start, stop in _spans(sizes)]
    )
    load = (weight + 1e-6) * jnp.exp((_to_points(lowest, sizes) - height) / _GIVE_M)
    sure = [jnp.max(weight[start:stop], axis=0, keepdims=True) for start, stop in _spans(sizes)]
    return load / _to_points(_by_support(load, sizes), sizes), jnp.concatenate(sure)


def _by_support(rows: Float[Array, "P B T"], sizes: tuple[int, ...]) -> Float[Array, "G B T"]:
    spans = _spans(sizes)
    return jnp.concatenate([jnp.sum(rows[a:b], axis=0, keepdims=True) for a, b in spans])


def _to_points(rows: Float[Array, "G B T"], sizes: tuple[int, ...]) -> Float[Array, "P B T"]:
    spans = enumerate(sizes)
    return jnp.concatenate([jnp.broadcast_to(rows[k], (n, *rows.shape[1:])) for k, n in spans])


def _spans(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(accumulate(sizes, initial=0)))


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


def _from_com(state: State) -> Vec:
    """Contact points relative to the centre of mass; heights of both are taken from the floor."""
    x, y, z = state.com
    return sub(state.points, (x[None], y[None], z[None] - state.floor[:, None]))


def _link_wrenches(
    motion: LinkMotion, points: Vec, forces: Vec, humanoid: Humanoid
) -> tuple[Vec, Vec]:
    """Force on every link and its moment about the link's origin, from those at its points."""
    links = humanoid.contact_link
    arm = sub(points, tuple(take_rows(c, links) for c in motion.pos))  # pyright: ignore
    moments = cross(arm, forces)
    zero = jnp.zeros_like(motion.pos[0][:1])

    def gathered(vec: Vec) -> Vec:
        rows = []
        for link in range(humanoid.n_links):
            mine = [k for k, owner in enumerate(links) if owner == link]
            rows.append(
                tuple(jnp.sum(take_rows(c, mine), axis=0, keepdims=True) for c in vec)
                if mine
                else (zero, zero, zero)
            )
        return tuple(jnp.concatenate(c) for c in zip(*rows, strict=True))  # pyright: ignore

    return gathered(forces), gathered(moments)


def _slice(vec: Vec, start: int, stop: int) -> Vec:
    return tuple(c[start:stop] for c in vec)  # pyright: ignore[reportReturnType]
