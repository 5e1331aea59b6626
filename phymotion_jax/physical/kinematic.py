"""Kinematic parts: could a body take these poses, at these speeds, without meeting itself?"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.overlap import Overlap
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import norm, unstack
from phymotion_jax.parts.ranges import fold, range_excess
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical.ramps import ramp, unit, worst
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset


def velocity(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Angular speed of the fastest joint, between its own soft and hard limit."""
    soft, hard = unstack(humanoid.speed_limit)
    level = speed_level(scene, humanoid)
    rows = unit((level - 1.0) / (hard[1:] / soft[1:] - 1.0), preset.smooth)
    return Violation(worst(rows, preset.smooth), rows, tuple(range(1, humanoid.n_links)))


def speed_level(scene: Scene, humanoid: Humanoid) -> Float[Array, "J B T"]:
    """Angular speed of each joint over its soft limit."""
    return norm(scene.state.joints.ang_vel)[1:] / unstack(humanoid.speed_limit)[0][1:]


def discontinuity(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Jitter, pops and teleports, which no muscle makes, one frame of which counts half a second;
    and any one joint that jitters, or shakes faster than people can, for a second."""
    rough, links = scene.roughness, tuple(range(humanoid.n_links))

    def with_place(rotation: Float[Array, "L B T"], place: Float[Array, "B T"]) -> Array:
        """The pelvis is blamed for its place as a joint is for its angle."""
        as_angle = place * (preset.pop_rad.soft / preset.pop_m.soft)
        return jnp.concatenate([jnp.maximum(rotation[:1], as_angle), rotation[1:]])

    around = with_place(rough.joint_jitter_rad, rough.root_jitter_m)
    jitter = jnp.max(rough.joint_jitter_rad, axis=0)
    jitter = ramp(jitter, preset.joint_jitter_rad, preset.smooth)
    jitter = jnp.maximum(rough.artefact, jitter)
    shaking = ramp(rough.shake_rad, preset.shake_rad, preset.smooth)
    blame = jnp.maximum(jitter * _share(around), shaking * _share(rough.shake))
    here = with_place(rough.rotation, rough.root)
    sizes = (here / preset.pop_rad.soft, rough.shake / preset.shake_rad.soft)
    severity = jnp.maximum(*(jnp.max(size, axis=0) for size in sizes))
    return Violation(jnp.maximum(jitter, shaking), blame, links, severity=severity)


def _share(size: Float[Array, "L B T"]) -> Float[Array, "L B T"]:
    """Of the largest row."""
    return size / (stored(jnp.max(size, axis=0)) + 1e-9)  # else the largest is looked for by each


def self_penetration(overlap: Overlap, preset: PhysicalPreset) -> Violation:
    """Depth of the deepest part in another that it does not adjoin; of a mesh, whether it is in."""

    def violation(found: Array) -> Array:
        if preset.self_penetration == "mesh":
            return (found > 0.0).astype(found.dtype)
        return ramp(found, preset.overlap_m, preset.smooth)

    # Of two that overlap the one farther out in the tree is blamed: the first of equals is named.
    rows = violation(overlap.by_part)[::-1]
    return Violation(violation(overlap.depth), rows, tuple(range(len(rows)))[::-1])


def joint_limit(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Angle of the worst anatomical joint beyond its range of motion and the margin, or by which
    the links of one (a spine's, a neck's) turn against each other."""
    beyond = ramp(range_excess(scene.state, humanoid), preset.range_excess_rad, preset.smooth)
    rows = jnp.maximum(
        beyond, ramp(fold(scene.state.joints.quat, humanoid.ranges), preset.fold_rad, preset.smooth)
    )
    links = tuple(chain.links[-1] for chain in humanoid.ranges)
    return Violation(worst(rows, preset.smooth), rows, links)
