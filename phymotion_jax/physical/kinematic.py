"""Kinematic parts: could a body take these poses, at these speeds, without meeting itself?"""

import jax.numpy as jnp

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.vectors import norm, unstack
from phymotion_jax.parts.kinematic import capsule_overlaps, range_excess
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset


def velocity(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Angular speed of the fastest joint, between its own soft and hard limit."""
    del preset  # the limits are the body's
    soft, hard = unstack(humanoid.speed_limit)
    speed = norm(scene.state.joints.ang_vel)[1:]
    rows = jnp.clip((speed - soft[1:]) / (hard[1:] - soft[1:]), 0.0, 1.0)
    return Violation(jnp.max(rows, axis=0), rows, tuple(range(1, humanoid.n_links)))


def discontinuity(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Jitter, pops and teleports, which no muscle makes; one frame of them counts half a second."""
    rough = scene.roughness
    # The pelvis is blamed for its place as a joint is for its angle.
    place = rough.root * (preset.pop_rad.soft / preset.pop_m.soft)
    size = jnp.concatenate([jnp.maximum(rough.rotation[:1], place), rough.rotation[1:]])
    share = size / (jnp.max(size, axis=0) + 1e-9)
    return Violation(rough.artefact, share * rough.artefact, tuple(range(humanoid.n_links)))


def self_penetration(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Depth of the deepest capsule in another that it does not adjoin."""
    overlap = capsule_overlaps(scene.state, humanoid)
    # Of two that overlap the one farther out in the tree is blamed: the first of equals is named.
    rows = ramp(overlap.by_capsule, preset.overlap_m)[::-1]
    return Violation(ramp(overlap.depth, preset.overlap_m), rows, humanoid.capsule_link[::-1])


def joint_limit(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Angle of the worst anatomical joint beyond its range of motion and the margin."""
    rows = ramp(range_excess(scene.state, humanoid), preset.range_excess_rad)
    links = tuple(chain.links[-1] for chain in humanoid.ranges)
    return Violation(jnp.max(rows, axis=0), rows, links)
