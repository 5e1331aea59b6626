"""Kinematic parts: could a body take these poses, at these speeds, without passing through itself?

Definitions: PhyMotion (arXiv 2605.14269), section 3.2.
"""

from collections.abc import Sequence
from functools import reduce

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.limits import RangeChain
from phymotion_jax.kernels.overlap import Overlap
from phymotion_jax.kernels.ranges import outside_range, swing_twist
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Quat, norm, quat_angle, quat_mul, unstack
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


def range_excess(state: State, humanoid: Humanoid) -> Float[Array, "R B T"]:
    """Angle of each anatomical joint beyond its range and margin, in radians."""
    chains = humanoid.ranges
    turned = _chain_rotations(state.joints.quat, chains)
    angles, order = [], []
    for axis, rows in _grouped([chain.twist_axis for chain in chains]):
        angles.append(swing_twist(_rows(turned, rows), axis))
        order += rows
    joined = tuple(jnp.concatenate(c) for c in zip(*angles, strict=True))
    low, high = (unstack(c[np.array(order)]) for c in (humanoid.range_low, humanoid.range_high))
    excess = outside_range(joined, low, high)  # pyright: ignore[reportArgumentType]
    return take_rows(excess, np.argsort(order).tolist())


def fold(quat: Quat, chains: Sequence[RangeChain]) -> Float[Array, "R B T"]:
    """Angle by which the links of each chain turn against each other, in radians: what they turn
    one by one, less what the chain does. Zero where it is one link."""
    angle = quat_angle(quat)
    one_by_one = [jnp.sum(take_rows(angle, c.links), axis=0, keepdims=True) for c in chains]
    several = np.array([len(chain.links) > 1 for chain in chains])[:, None, None]
    less = jnp.concatenate(one_by_one) - quat_angle(_chain_rotations(quat, chains))
    return jnp.where(several, less, 0.0)


def _chain_rotations(quat: Quat, chains: Sequence[RangeChain]) -> Quat:
    """Rotation of the last link of each chain relative to the parent of the first, ``(R, B, T)``.

    Chains of one length go together: one by one they are a tenth of the whole program.
    """
    found, order = [], []
    for _, rows in _grouped([len(chain.links) for chain in chains]):
        steps = zip(*(chains[row].links for row in rows), strict=True)
        found.append(reduce(quat_mul, (_rows(quat, step) for step in steps)))
        order += rows
    joined = tuple(jnp.concatenate(c) for c in zip(*found, strict=True))
    return _rows(joined, np.argsort(order).tolist())


def _grouped(keys: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Each key, in ascending order, and the places that have it."""
    return [(key, [k for k, own in enumerate(keys) if own == key]) for key in sorted(set(keys))]


def _rows(quat: tuple[Array, ...], rows: Sequence[int]) -> Quat:
    return tuple(take_rows(c, rows) for c in quat)  # pyright: ignore[reportReturnType]
