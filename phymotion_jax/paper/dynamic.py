"""Dynamic parts: could muscles and the ground supply the forces that this motion needs?

Definitions: PhyMotion (arXiv 2605.14269), section 3.2. No contact forces are solved for here, as in
the published code: torques are those of a body that is held at the pelvis.
"""

import jax.numpy as jnp

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.vectors import dot, norm, unstack
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.presets import PaperPreset
from phymotion_jax.state import State


def torque(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Torque of the worst joint over its hard limit; twice the limit is 1."""
    del preset  # the limits are the body's
    mass = (state.weight / -GRAVITY[2])[None]
    limit = unstack(jnp.max(humanoid.torque_limit, axis=-2))[1]
    # Divided twice: the pelvis' infinite limit times the mass has no gradient.
    excess = jnp.clip(norm(state.wrenches.moment) / mass / limit - 1.0, 0.0, 1.0)
    return Violation(jnp.max(excess, axis=0), excess, tuple(range(humanoid.n_links)))


def ground_force(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Force that the body needs from outside over `grf_max` body weights; twice of it is 1."""
    del humanoid
    force = norm(state.wrenches.root_force)[0] / state.weight
    return whole_body(jnp.clip(force / preset.grf_max - 1.0, 0.0, 1.0))


def effort(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Torque times speed, summed over the joints, a kilogram, over `power_max_w_kg`."""
    mass = (state.weight / -GRAVITY[2])[None]
    power = jnp.abs(dot(state.wrenches.moment, state.joints.ang_vel)) / mass
    share = power[1:] / preset.power_max_w_kg  # the root's is no muscle's
    frame = jnp.clip(jnp.sum(share, axis=0), 0.0, 1.0)
    return Violation(frame, share, tuple(range(1, humanoid.n_links)))
