"""Kinematic parts: could a body take these poses, at these speeds, without passing through itself?

Definitions: PhyMotion (arXiv 2605.14269), section 3.2.
"""

import jax.numpy as jnp

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.overlap import Overlap
from phymotion_jax.kernels.vectors import norm, unstack
from phymotion_jax.parts.ranges import range_excess
from phymotion_jax.parts.violation import Violation
from phymotion_jax.presets import PaperPreset
from phymotion_jax.state import State


def velocity(state: State, humanoid: Humanoid, preset: PaperPreset) -> Violation:
    """Angular speed of the fastest joint above its tolerance; twice the tolerance is 1.

    The tolerance is the soft limit of each joint's speed. The pelvis is no joint: a spin of the
    whole body is not measured here.
    """
    del preset  # the tolerances are the body's
    tolerance = unstack(humanoid.speed_limit)[0]
    excess = jnp.clip(norm(state.joints.ang_vel) / tolerance - 1.0, 0.0, 1.0)
    return Violation(jnp.max(excess, axis=0), excess, tuple(range(humanoid.n_links)))


def self_penetration(overlap: Overlap, preset: PaperPreset) -> Violation:
    """Frames on which parts that do not adjoin pass through each other."""
    allowed = 0.0 if preset.self_penetration == "mesh" else preset.overlap_tolerance_m
    through = overlap.depth > allowed
    # The deepest are blamed first, and of the two that overlap the one farther out in the tree:
    # rows stand in reverse, since the first of equals is named.
    share = overlap.by_part / (overlap.depth + 1e-9)
    by_link = jnp.where(overlap.by_part > allowed, share, 0.0)
    links = tuple(range(len(by_link)))[::-1]
    return Violation(through.astype(jnp.float32), by_link[::-1], links)


def joint_limit(state: State, humanoid: Humanoid, preset: PaperPreset | None = None) -> Violation:
    """Fraction of the anatomical joints that stand outside their range of motion."""
    del preset  # the ranges are the body's
    by_joint = range_excess(state, humanoid)
    outside = (by_joint > 0.0).astype(jnp.float32)
    # A row's own finding says how far outside it is, so that the worst joint can be named.
    blame = outside * (by_joint / (jnp.max(by_joint, axis=0, keepdims=True) + 1e-9))
    links = tuple(chain.links[-1] for chain in humanoid.ranges)
    return Violation(jnp.mean(outside, axis=0), blame, links)
