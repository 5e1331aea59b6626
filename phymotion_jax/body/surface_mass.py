"""Masses, centres and inertias of the 24 links from a subject's own skin: volume times density."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.moments import Moments
from phymotion_jax.body.skeleton import BODY_NAMES
from phymotion_jax.body.surface_parts import ClosedParts
from phymotion_jax.kernels.volume import solid_moments

BODY_DENSITY = 985.0
"""Of a whole living body with air in its lungs, in kg/m³: the usual round figure; bodies float when
they breathe in and sink when they breathe out."""

LIMB_DENSITY = {
    "neck": 1110.0,
    "head": 1110.0,
    "shoulder": 1070.0,
    "elbow": 1130.0,
    "wrist": 1160.0,
    "hand": 1160.0,
    "hip": 1050.0,
    "knee": 1090.0,
    "ankle": 1100.0,
    "foot": 1100.0,
}
"""Of head and limbs, in kg/m³: Dempster 1955, as in Winter, Biomechanics and Motor Control of Human
Movement, 3rd edition, 2005, table 4.1. The trunk has what is left of the body's: it holds the air
(0.90 of water for the test's body, where Winter has 1.03 without air, and 0.92 for the thorax)."""


def link_masses(
    vertex: Float[Array, "*B V 3"],
    joint: Float[Array, "*B 24 3"],
    parts: ClosedParts,
    mass_kg: Float[Array, " *B"],
) -> Moments:
    """Moments ``*B 24`` of each link about its joint, in its axes at rest.

    Args:
      vertex: skins at rest, in metres.
      joint: origins of the links at rest.
      parts: of the skin, by `closed_parts`.
      mass_kg: whole-body mass. Where it is NaN, the skin's volume has `BODY_DENSITY`.
    """
    solids = solid_moments(parts.vertices(vertex), parts.faces, parts.sizes, joint)
    density = _densities(solids.volume)
    own = BODY_DENSITY * jnp.sum(solids.volume, axis=-1)
    density *= (jnp.where(jnp.isnan(mass_kg), own, mass_kg) / own)[..., None]
    return Moments(
        density * solids.volume,
        density[..., None] * solids.first,
        density[..., None, None] * solids.second,
    )


def _densities(volume: Float[Array, "*B 24"]) -> Float[Array, "*B 24"]:
    """Of each link of a body of `BODY_DENSITY`."""
    limb = jnp.array([LIMB_DENSITY.get(name.split("_")[-1], 0.0) for name in BODY_NAMES])
    trunk = jnp.where(limb == 0.0, 1.0, 0.0)
    left = BODY_DENSITY * jnp.sum(volume, axis=-1) - jnp.sum(limb * volume, axis=-1)
    return limb + trunk * (left / jnp.sum(trunk * volume, axis=-1))[..., None]
