"""How a body stands in itself, at three levels of detail: the definition of each."""

from itertools import product

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skin import Skin
from phymotion_jax.kernels.capsule_overlap import capsule_overlap
from phymotion_jax.kernels.contacts import link_points
from phymotion_jax.kernels.hull_penetration import hull_depth
from phymotion_jax.kernels.overlap import Overlap, worst_overlap
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import unstack
from phymotion_jax.presets import Level
from phymotion_jax.state import State


def link_overlap(
    level: Level,
    state: State,
    humanoid: Humanoid,
    skin: Skin | None = None,
    betas: Float[Array, "B 10"] | None = None,
) -> Overlap:
    """How the links of a body stand in each other, frame by frame, by link.

    Args:
      level: `capsule` and `hull` give the depth in metres of the pairs `humanoid.separate`; `mesh`
        gives how many pairs of triangles cross, of the pairs of the skin.
      state: the motion.
      humanoid: the body.
      skin: its surface, for `mesh`.
      betas: the skin's shape, for `mesh`.
    """
    if level == "mesh":
        assert skin is not None and betas is not None
        hits = skin.penetration(betas, state.motion.rot).by_pair.astype(betas.dtype)
        return worst_overlap(hits, skin.collider.pairs, humanoid.n_links)
    if level == "capsule":
        return _capsules(state, humanoid)
    vertex, motion, pairs = unstack(humanoid.hull_point), state.motion, humanoid.separate
    depth = hull_depth(motion.rot, motion.pos, vertex, humanoid.hull_sizes, pairs)
    return worst_overlap(depth, pairs, humanoid.n_links)


def method(level: Level | None, skin: Skin | None) -> str:
    """What a report says of how self-penetration was measured."""
    if level is None:
        return "not measured, counted as none"
    return level if skin is None else f"{level} of {skin.model.topology.name}"


def _capsules(state: State, humanoid: Humanoid) -> Overlap:
    owner = humanoid.capsule_link
    pairs = tuple(
        (a, b)
        for a, b in product(range(len(owner)), repeat=2)
        if (owner[a], owner[b]) in humanoid.separate
    )
    ends = (
        link_points(state.motion.rot, state.motion.pos, unstack(half), owner)
        for half in jnp.split(humanoid.capsule_ends, 2, axis=-2)
    )
    # Without it XLA places the capsules anew for every pair that they are in: 20 times slower.
    start, stop = stored(tuple(ends))
    radius = unstack(humanoid.capsule_radius[..., None])[0]
    return capsule_overlap(pairs, owner, humanoid.n_links, start, stop, radius)
