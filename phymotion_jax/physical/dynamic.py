"""Dynamic parts: could muscles and the ground supply the forces that this motion needs?"""

import jax.numpy as jnp

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.vectors import dot, norm, unstack
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset

_POWER_WINDOW_S = 1.0
"""What the limit of mean power is about."""


def torque(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Torque a kilogram of the worst joint, between its own soft and hard limit."""
    del preset  # the limits are the body's
    soft, hard = (limit[1:] for limit in unstack(humanoid.torque_limit))
    mass = (scene.state.weight / -GRAVITY[2])[None]
    size = norm(scene.loads.moment)[1:] / mass
    rows = jnp.clip((size - soft) / (hard - soft), 0.0, 1.0)
    return Violation(jnp.max(rows, axis=0), rows, tuple(range(1, humanoid.n_links)))


def ground_force(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force of the ground, vertical or horizontal, in body weights."""
    del humanoid
    x, y, z = (jnp.sum(c, axis=0) for c in scene.loads.ground.forces)
    level = norm((x, y, jnp.zeros_like(x)))
    return whole_body(jnp.maximum(ramp(z, preset.vertical_bw), ramp(level, preset.horizontal_bw)))


def effort(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Positive power of all joints, a kilogram: over a second, and at the moment."""
    state = scene.state
    mass = (state.weight / -GRAVITY[2])[None]
    rows = jnp.maximum(dot(scene.loads.moment, state.joints.ang_vel) / mass, 0.0)[1:]
    power = jnp.sum(rows, axis=0)
    second = moving_sum(power, state.mask, state.fps, _POWER_WINDOW_S)
    seconds = moving_sum(jnp.ones_like(power), state.mask, state.fps, _POWER_WINDOW_S)
    mean = second / jnp.maximum(seconds, 1.0)
    frame = jnp.maximum(ramp(mean, preset.power_w_kg), ramp(power, preset.peak_power_w_kg))
    blame = frame * rows / jnp.maximum(power, 1e-6)
    return Violation(frame, blame, tuple(range(1, humanoid.n_links)))


def residual(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force and moment that the ground could not supply where something touches it.

    Where nothing does, what is left over is `con.float`'s: nothing is charged twice.
    """
    del humanoid
    ground = scene.loads.ground
    force = ramp(norm(ground.residual_force), preset.residual_bw)
    moment = ramp(norm(ground.residual_moment), preset.residual_moment_bw_m)
    return whole_body(jnp.max(scene.touch, axis=0) * jnp.maximum(force, moment))
