"""Contact parts but for slip: does the ground hold the body up, as a solid thing does?

Anything that is near the floor may carry: hands, knees and back as well as feet.
"""

from itertools import groupby

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.pooling import group_extremes
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.loads import needed_wrench
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.physical.ramps import ramp, worst
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset

_SMEAR_S = 0.2
"""Over which the low-pass at 5 Hz spreads a blow, for the most part."""

_SMEARED = 2.5
"""What it may leave in the air of the mean force carried within that time: of a blow in the middle
of it, a half."""


def ground_penetration(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Depth of the lowest point of the body below the floor, and of each link's."""
    links, sizes = zip(
        *((link, len(list(same))) for link, same in groupby(humanoid.contact_link)), strict=True
    )
    lowest = group_extremes(jnp.min, scene.state.points[2], sizes)
    rows = ramp(-lowest, preset.penetration_m, preset.smooth)
    return Violation(worst(rows, preset.smooth), rows, links)


def floating(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force that the body needs while nothing is there to give it."""
    del humanoid
    return whole_body(ramp(unsupported(scene), preset.unsupported_bw, preset.smooth))


def unsupported(scene: Scene) -> Float[Array, "B T"]:
    """Force needed while nothing touches, in body weights: support out of thin air, or a pull that
    makes the body fall faster than it can."""
    return jnp.maximum(held_up(scene), pulled_down(scene))


def held_up(scene: Scene) -> Float[Array, "B T"]:
    """Force needed while nothing touches, in body weights, less what the low-pass smears of the
    pushes before and after over the flight between them."""
    state, touch = scene.state, scene.stands
    needed = norm(needed_wrench(state)[0])
    carried = moving_sum(touch * needed, state.mask, state.fps, _SMEAR_S)
    frames = moving_sum(jnp.ones_like(touch), state.mask, state.fps, _SMEAR_S)
    smeared = _SMEARED * carried / jnp.maximum(frames, 1.0)
    return stored((1.0 - touch) * jnp.maximum(needed - smeared, 0.0))  # else done once a reader


def pulled_down(scene: Scene) -> Float[Array, "B T"]:
    """Force downwards, beside gravity's, that is needed while nothing touches, in body weights.
    What the low-pass smears into a flight are pushes, which point upwards: it excuses none."""
    needed = needed_wrench(scene.state)[0]
    # Else XLA works it out once more for each of the supports.
    return stored((1.0 - scene.stands) * jnp.maximum(-needed[2], 0.0))


def balance(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """How far the centre of mass would have to be elsewhere for the ground to hold the body."""
    del humanoid
    return whole_body(ramp(scene.imbalance, preset.imbalance_m, preset.smooth))
