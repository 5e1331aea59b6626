"""From a quantity to its violation."""

import jax.numpy as jnp
from jaxtyping import Array

from phymotion_jax.presets import Ramp


def ramp(value: Array, limits: Ramp) -> Array:
    """0 up to the soft limit, 1 from the hard one on, and a line between."""
    return jnp.clip((value - limits.soft) / (limits.hard - limits.soft), 0.0, 1.0)
