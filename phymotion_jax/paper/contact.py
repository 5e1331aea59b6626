"""Contact parts: do the feet meet the ground like solid things, and is the body held up?

Definitions: PhyMotion (arXiv 2605.14269), section 3.2, measured on sole points. Any contact point
of the body counts as support, not the feet's alone: hands, knees and back carry weight too.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.contacts import loaded_steps, stance_slides
from phymotion_jax.kernels.support import hull_distance
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.presets import PaperPreset
from phymotion_jax.state import State


def touching(state: State, preset: PaperPreset) -> Bool[Array, "P B T"]:
    """Which contact points touch the floor. False on padding."""
    return (state.points[2] < preset.contact_height_m) & state.mask


def slip(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """How far the worse foot has slid in its stance, over `slip_scale_m`."""
    touch = touching(state, preset)
    rows = [slice(sole[0], sole[-1] + 1) for sole in humanoid.feet]
    x, y, z = state.points
    steps = [loaded_steps(x[r], y[r], z[r], touch[r]) for r in rows]
    slides = stance_slides(steps, state.fps, preset.swing_speed_m_s, preset.landing_speed_m_s)
    return _worse_foot(
        [jnp.clip(slid / preset.slip_scale_m, 0.0, 1.0) for slid in slides], humanoid
    )


def ground_penetration(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Depth of the deeper foot's lowest sole point below the floor, over `penetration_scale_m`."""
    feet = []
    for sole in humanoid.feet:
        depth = -jnp.min(state.points[2][sole[0] : sole[-1] + 1], axis=0)
        feet.append(jnp.clip(depth / preset.penetration_scale_m, 0.0, 1.0))
    return _worse_foot(feet, humanoid)


def floating(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Frames on which nothing touches the floor and the body is not in free flight."""
    del humanoid
    airborne = ~jnp.any(touching(state, preset), axis=0)
    held_up = norm(state.wrenches.root_force)[0] / state.weight > preset.ballistic_tolerance
    return whole_body((airborne & held_up).astype(jnp.float32))


def balance(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Frames on which the projected centre of mass lies outside the support polygon.

    A frame without contact has no polygon and is not counted: flight is `floating`'s business.
    """
    del humanoid
    touch = touching(state, preset)
    away = hull_distance(state.com[:2], state.points[:2], touch)
    outside = (away > 0.0) & jnp.any(touch, axis=0)
    return whole_body(outside.astype(jnp.float32))


def _worse_foot(feet: list[Array], humanoid: Humanoid) -> Violation:
    """The worse foot on each frame; each foot is blamed by the link of its first sole point."""
    by_foot = jnp.stack(feet)
    links = tuple(humanoid.contact_link[sole[0]] for sole in humanoid.feet)
    return Violation(jnp.max(by_foot, axis=0), by_foot, links)
