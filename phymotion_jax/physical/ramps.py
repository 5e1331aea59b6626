"""From a quantity to its violation, and from many violations to one."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.presets import Ramp

_KNEE = 10.0
"""Sharpness of a smooth ramp's bends: it is at 0.07 at the soft end, at 0.93 at the hard one."""

SHARPNESS = 20.0
"""Of soft maxima: what is 1/20 less than the worst counts for 1/e of it."""


def ramp(value: Array, limits: Ramp, smooth: bool = False) -> Array:
    """0 up to the soft limit, 1 from the hard one on, and a line between."""
    return unit((value - limits.soft) / (limits.hard - limits.soft), smooth)


def unit(value: Array, smooth: bool = False) -> Array:
    """Values held in [0, 1]. The smooth form has no bends; its slope falls off
    as e^-10x beyond both ends, and is zero in float32 from about twice the width on."""
    if not smooth:
        return jnp.clip(value, 0.0, 1.0)
    rise = jax.nn.softplus(_KNEE * value) - jax.nn.softplus(_KNEE * (value - 1.0))
    return rise / _KNEE


def worst(rows: Float[Array, "R B T"], smooth: bool = False) -> Float[Array, "B T"]:
    """The largest row. The smooth form is the mean of the rows, the large ones weighing most."""
    if not smooth:
        return jnp.max(rows, axis=0)
    return jnp.sum(rows * jax.nn.softmax(SHARPNESS * rows, axis=0), axis=0)
