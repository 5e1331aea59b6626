"""Where the ground holds the body up, and what is left for muscles to do."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.dynamics import moments_of_forces
from phymotion_jax.kernels.ground_forces import GroundForces, ground_forces
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, add, cross, mat_vec, scale, sub
from phymotion_jax.state import State

_SOFTNESS = 0.01
"""What a support gives way by, of what it carries: 16 of them leave 0.06 % of a weight over."""

_barrier = jax.lax.optimization_barrier


class Loads(NamedTuple):
    """Forces of the ground on the body, and what they leave over."""

    ground: GroundForces
    """Forces on the supports, and what they cannot carry, in body weights."""

    share: Float[Array, "P B T"]
    """What each contact point carries of its support's force."""

    moment: Vec
    """Across each joint, in the link's own axes, with the ground's forces at work, in N·m."""

    def on_points(self, humanoid: Humanoid) -> Vec:
        """Forces on the contact points, in body weights."""
        sizes = _sizes(humanoid)
        return tuple(self.share * _to_points(c, sizes) for c in self.ground.forces)  # pyright: ignore


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
    sizes = _sizes(humanoid)
    share, sure = _shares(state.points[2], weight, sizes)
    middle = tuple(_by_support(share * c, sizes) for c in state.points)
    share, sure, middle = _barrier((share, sure, _from_com(middle, state)))  # pyright: ignore
    force, moment = needed_wrench(state)
    found = ground_forces(middle, sure, force, moment, friction=friction, softness=_SOFTNESS)  # pyright: ignore
    newtons = scale(found.forces, state.weight)
    # A barrier: each row of each link's sum would work them out again, a third of the program.
    newtons, moments = _barrier((newtons, cross(add(middle, _com_from_root(state)), newtons)))
    owners = [humanoid.contact_link[start] for start, _ in _spans(sizes)]
    on_links = (_by_link(v, owners, humanoid.n_links) for v in (newtons, moments))
    carried = moments_of_forces(humanoid.parents, state.motion, *on_links)
    return Loads(found, share, sub(state.wrenches.moment, carried))


def _sizes(humanoid: Humanoid) -> tuple[int, ...]:
    """Points of each support."""
    return humanoid.supports or (1,) * len(humanoid.contact_link)


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


def _from_com(points: Vec, state: State) -> Vec:
    """Places relative to the centre of mass; heights of both are taken from the floor."""
    x, y, z = state.com
    return sub(points, (x[None], y[None], z[None] - state.floor[:, None]))


def _by_link(rows: Vec, owners: Sequence[int], n_links: int) -> Vec:
    """Sums over the rows that each link owns."""
    zero = jnp.zeros_like(rows[0][:1])
    mine = [[k for k, owner in enumerate(owners) if owner == link] for link in range(n_links)]
    return tuple(  # pyright: ignore[reportReturnType]
        jnp.concatenate(
            [jnp.sum(take_rows(c, m), axis=0, keepdims=True) if m else zero for m in mine]
        )
        for c in rows
    )
