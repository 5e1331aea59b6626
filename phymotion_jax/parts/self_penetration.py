"""How deep a body stands in itself, at three levels of detail.

`capsule` and `hull` measure a depth in metres; `mesh` tells whether triangles cross.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.capsule_penetration import capsule_depth
from phymotion_jax.kernels.contacts import link_points
from phymotion_jax.kernels.hull_penetration import hull_depth
from phymotion_jax.kernels.overlap import Overlap, Pairs, worst_overlap
from phymotion_jax.kernels.vectors import unstack
from phymotion_jax.state import State


def link_overlap(state: State, humanoid: Humanoid, level: str) -> Overlap:
    """Depth of the links of `humanoid.separate` in each other, in metres, by link."""
    depth, pairs = _DEPTHS[level](state, humanoid)
    return worst_overlap(depth, pairs, humanoid.n_links)


def _capsule_depths(state: State, humanoid: Humanoid) -> tuple[Float[Array, "P B T"], Pairs]:
    owner = humanoid.capsule_link
    capsules = tuple(
        (a, b)
        for first, second in humanoid.separate
        for a in range(len(owner))
        for b in range(len(owner))
        if (owner[a], owner[b]) == (first, second)
    )
    start, stop = (
        link_points(state.motion.rot, state.motion.pos, unstack(half), owner)
        for half in jnp.split(humanoid.capsule_ends, 2, axis=-2)
    )
    # Without it XLA places the capsules anew for every pair that they are in: 20 times slower.
    start, stop = jax.lax.optimization_barrier((start, stop))
    radius = unstack(humanoid.capsule_radius[..., None])[0]
    depth = capsule_depth(start, stop, radius, capsules)
    return depth, tuple((owner[a], owner[b]) for a, b in capsules)


def _hull_depths(state: State, humanoid: Humanoid) -> tuple[Float[Array, "P B T"], Pairs]:
    vertex = unstack(humanoid.hull_point)
    motion = state.motion
    depth = hull_depth(motion.rot, motion.pos, vertex, humanoid.hull_sizes, humanoid.separate)
    return depth, humanoid.separate


_DEPTHS = {"capsule": _capsule_depths, "hull": _hull_depths}
