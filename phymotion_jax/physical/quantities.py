"""What the ramps of the `physical` preset are about, in units: to calibrate them."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.parts.ranges import fold, range_excess
from phymotion_jax.parts.self_penetration import link_overlap
from phymotion_jax.physical import contact, dynamic, kinematic
from phymotion_jax.physical.power import lift, mean_power
from phymotion_jax.physical.scene import Scene
from phymotion_jax.physical.slip import foot_slide
from phymotion_jax.presets import PhysicalPreset

Quantity = Callable[[Scene, Humanoid, PhysicalPreset], Float[Array, "B T"]]

QUANTITIES: dict[str, Quantity] = {
    "jitter_rad": lambda s, h, p: s.roughness.jitter_rad,
    "jitter_m": lambda s, h, p: s.roughness.jitter_m,
    "joint_jitter_rad": lambda s, h, p: jnp.max(s.roughness.joint_jitter_rad, axis=0),
    "shake_rad": lambda s, h, p: s.roughness.shake_rad,
    "pop_rad": lambda s, h, p: jnp.max(s.roughness.rotation, axis=0),
    "pop_m": lambda s, h, p: s.roughness.root,
    "overlap_m": lambda s, h, p: link_overlap("hull", s.state, h).depth,
    "range_excess_rad": lambda s, h, p: jnp.max(range_excess(s.state, h), axis=0),
    "fold_rad": lambda s, h, p: jnp.max(fold(s.state.joints.quat, h.ranges), axis=0),
    "slide_m_s": lambda s, h, p: jnp.max(foot_slide(s, h, p), axis=0),
    "penetration_m": lambda s, h, p: jnp.maximum(-jnp.min(s.state.points[2], axis=0), 0.0),
    "unsupported_bw": lambda s, h, p: contact.unsupported(s),
    "imbalance_m": lambda s, h, p: s.imbalance,
    "vertical_bw": lambda s, h, p: dynamic.ground_reaction(s)[0],
    "horizontal_bw": lambda s, h, p: dynamic.ground_reaction(s)[1],
    "power_w_kg": lambda s, h, p: mean_power(s),
    "peak_power_w_kg": lambda s, h, p: s.power,
    "residual_bw": lambda s, h, p: dynamic.left_over(s, p)[0],
    "residual_moment_bw_m": lambda s, h, p: dynamic.left_over(s, p)[1],
    "lift_m": lambda s, h, p: lift(s, h),
    "speed_limit": lambda s, h, p: jnp.max(kinematic.speed_level(s, h), axis=0),
    "torque_limit": lambda s, h, p: jnp.max(dynamic.torque_levels(s, h)[0], axis=0),
}
"""On every frame, by the name of the ramp: a field of `PhysicalPreset`, or of `Humanoid`, where the
quantity is the worst joint's share of its own soft limit."""
