"""Where the ground's force would have to enter, and how far that is from what stands there."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.support import hull_offset
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.kernels.windows import fading_mean
from phymotion_jax.loads import needed_wrench
from phymotion_jax.state import State

_FALL_S = 0.3
"""Time in which an inverted pendulum of the height of a body's centre of mass falls e times as far:
√(h / g), with h = 0.9 m."""

_HELD_BW = 0.2
"""Below this vertical force a centre of pressure means nothing."""


_TOUCHES = 0.01
"""A point that touches less surely is no corner of the support polygon: smooth ramps never end."""


def imbalance(
    state: State, touch: Float[Array, "P B T"], stands: Float[Array, "B T"]
) -> Float[Array, "B T"]:
    """How far the centre of mass would have to be elsewhere for the ground to hold the body.

    The centre of pressure p of a linear inverted pendulum tells its centre of mass c by c'' = (c −
    p) / τ² (Kajita 2001), which of all paths that do not run away is p averaged with the weights
    exp(−|t| / τ). So the same mean of how far the required centre of pressure lies outside the
    support polygon, as a vector and by the load, is what is wrong with the path of the centre of
    mass. What comes and goes faster is a force that is missing, which `dyn.residual` counts, and
    no loss of balance. Nothing is required while the body is in the air, or weighs next to nothing.

    Returns:
      Metres, 0 on padding.
    """
    cop, up = required_cop(state)
    x, y = hull_offset(cop, state.points[:2], touch > _TOUCHES)
    load = jnp.where((stands > 0.0) & (up > _HELD_BW), up, 0.0)
    x, y = fading_mean(jnp.stack([load * x, load * y]), state.mask, state.fps, _FALL_S)
    return norm((x, y))


def required_cop(state: State) -> tuple[tuple[Array, Array], Float[Array, "B T"]]:
    """Where on the floor one force would give the needed moment, and its vertical part.

    The zero-moment point (Vukobratović 2004), in metres; force in body weights. Where the force is
    small the point is of no use, and finite.
    """
    force, moment = needed_wrench(state)
    drop = state.floor[:, None] - state.com[2]
    up = jnp.where(force[2] > _HELD_BW, force[2], 1.0)
    x = state.com[0] + (drop * force[0] - moment[1]) / up
    y = state.com[1] + (drop * force[1] + moment[0]) / up
    return (x, y), force[2]
