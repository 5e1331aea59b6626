"""The published parts, by its formulas (`_analyze_kinematics`, `score_trajectory`), as violations.

Where a switch is off, the part is the nearest honest form of the same quantity.
"""

from itertools import pairwise

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.mesh_penetration import MeshPenetration
from phymotion_jax.body.published import FOOT_LINKS
from phymotion_jax.body.skeleton import N_BODIES, body_index
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.support import hull_distance
from phymotion_jax.kernels.vectors import Vec, add, norm, sub
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.presets import PAPER, ReferencePreset
from phymotion_jax.reference.scene import Scene

_LIMBS = tuple(
    (body_index(f"left_{a}"), body_index(f"left_{b}"))
    for chain in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle"))
    for a, b in pairwise(chain)
)
"""The published code looks at the left side only."""

_FREE_FLIGHT_BW = 0.5
"""Force, in body weights, that a body in the air cannot have: `paper`'s."""

_MENDED_FORCE_BW = (8.0, 2.5)
"""Vertical and horizontal force that no human reaches at video frame rates: triple jumps land at 7
to 12 (Ramey and Williams 1985, Perttunen 2000), unfiltered; the horizontal one is a proposal."""


def frame_mean(frame: Float[Array, "B T"], scene: Scene) -> Float[Array, " B"]:
    """Mean over real frames."""
    count = jnp.maximum(jnp.sum(scene.state.mask, axis=1), 1)
    return jnp.sum(jnp.where(scene.state.mask, frame, 0.0), axis=1) / count


def limb_length(scene: Scene, preset: ReferencePreset) -> Violation:
    """Ten times the relative spread of limb lengths: zero but for rounding on any skeleton."""
    del preset
    length = jnp.concatenate([norm(sub(_row(scene, b), _row(scene, a))) for a, b in _LIMBS])
    mean = jnp.stack([frame_mean(limb, scene) for limb in length])
    away = jnp.where(scene.state.mask, length - mean[..., None], 0.0)
    spread = jnp.stack([jnp.sqrt(frame_mean(limb**2, scene)) for limb in away])
    value = jnp.mean(jnp.minimum(10.0 * spread / (mean + 1e-6), 1.0), axis=0)
    rows = jnp.minimum(10.0 * jnp.abs(away) / (mean[..., None] + 1e-6), 1.0)
    return Violation(jnp.mean(rows, axis=0), rows, tuple(b for _, b in _LIMBS), value)


def speed(scene: Scene, preset: ReferencePreset) -> Violation:
    """Frames on which the origin of any link is faster than 5 m/s (`np.gradient`'s velocity)."""
    state = scene.state
    steps = sub(*(tuple(c[..., s] for c in _world(scene)) for s in (slice(1, None), slice(-1))))  # pyright: ignore
    edge = jnp.zeros_like(steps[0][..., :1])
    step = state.mask[:, 1:] & state.mask[:, :-1]
    none = jnp.zeros_like(state.mask[:, :1])
    before, after = jnp.concatenate([none, step], 1), jnp.concatenate([step, none], 1)
    share = 1.0 / jnp.maximum(before.astype(int) + after.astype(int), 1)
    velocity = (
        share
        * state.fps
        * (
            jnp.where(before, jnp.concatenate([edge, c], -1), 0.0)
            + jnp.where(after, jnp.concatenate([c, edge], -1), 0.0)
        )
        for c in steps
    )
    over = (norm(tuple(velocity)) > preset.speed_max_m_s).astype(edge.dtype)  # pyright: ignore
    return Violation(jnp.max(over, axis=0), over, tuple(range(N_BODIES)))


def crossing(found: MeshPenetration, scene: Scene, preset: ReferencePreset) -> Violation:
    """Pairs of crossing triangles in percent of all triangles, between 2 and 20.

    The published code looks at all pairs that share no vertex, eight a triangle at most; these are
    those of the skin's pairs of parts, all of them.
    """

    def violation(percent: Array) -> Array:
        baseline, span = preset.crossing_percent
        return jnp.clip((percent - baseline) / span, 0.0, 1.0)

    rows = violation(found.percent * found.by_link / jnp.maximum(found.hits, 1))
    links = tuple(range(N_BODIES))[::-1]
    value = violation(frame_mean(found.percent, scene))
    return Violation(violation(found.percent), rows[::-1], links, value)


def jitter(scene: Scene, preset: ReferencePreset) -> tuple[Violation, Float[Array, " B"]]:
    """Second differences of the links' origins, in the world and to the pelvis, in m/s²."""
    state = scene.state
    relative = tuple(_second(c) for c in state.motion.pos)
    root = tuple(_second(c) for c in state.joints.root_pos)
    size = norm(add(relative, root)) + norm(relative)  # pyright: ignore[reportArgumentType]
    inner = state.mask[:, 2:] & state.mask[:, 1:-1] & state.mask[:, :-2]
    size = jnp.pad(jnp.where(inner, size, 0.0) * state.fps**2, ((0, 0), (0, 0), (1, 1)))
    frame = jnp.mean(size, axis=0)
    mean = jnp.sum(frame, axis=1) / jnp.maximum(jnp.sum(inner, axis=1), 1)
    base, span = preset.jitter_m_s2
    rows, frames, value = (jnp.clip((x - base) / span, 0.0, 1.0) for x in (size, frame, mean))
    return Violation(frames, rows, tuple(range(N_BODIES)), value), mean


def slip(scene: Scene, preset: ReferencePreset) -> Violation:
    """Way of the foot bodies while they touch, half of it, a frame, over 0.05 m."""
    gate = scene.contact if preset.quirks.slip_gated_by_speed else scene.near
    way = scene.foot_speed * gate / scene.state.fps
    return _over_feet(0.5 * way / preset.slip_scale_m, scene)


def ground_penetration(scene: Scene, preset: ReferencePreset) -> Violation:
    """Depth of the foot bodies under the floor, half of their sum, over 0.05 m."""
    depth = jnp.maximum(0.0, -scene.height)
    return _over_feet(0.5 * depth / preset.penetration_scale_m, scene)


def floating(scene: Scene, preset: ReferencePreset) -> Violation:
    """Foot bodies whose speed relative to the pelvis is out of proportion to the pelvis' own."""
    if not preset.quirks.float_ungated:
        return whole_body(_held_up(scene))
    root_speed = norm(scene.coords.root_vel) + 1e-6
    ratio = scene.foot_speed_to_root / root_speed
    low, high = preset.float_ratio
    out = ((ratio < low) | (ratio > high)).astype(ratio.dtype)
    return Violation(jnp.mean(out, axis=0), out, FOOT_LINKS)


def balance(scene: Scene, preset: ReferencePreset) -> Violation:
    """Distance of the centre of mass from the hull of what touches, over 0.5 m."""
    state = scene.state
    away = hull_distance(state.com[:2], state.points[:2], scene.touching)
    stands = jnp.max(scene.contact, axis=0)
    airborne = 1.0 if preset.quirks.airborne_is_unbalanced else 0.0
    out = jnp.clip(away / preset.balance_scale_m, 0.0, 1.0)
    return whole_body(stands * out + (1.0 - stands) * airborne)


def torque(scene: Scene, preset: ReferencePreset, limit: Float[Array, " L"]) -> Violation:
    """Hinges whose torque is over its limit (N·m)."""
    del preset
    over = jnp.stack([jnp.abs(c) > limit[1:, None, None] for c in scene.torque])
    rows = jnp.mean(over, axis=0, dtype=scene.torque[0].dtype)
    return Violation(jnp.mean(rows, axis=0), rows, tuple(range(1, N_BODIES)))


def forces(scene: Scene, preset: ReferencePreset) -> tuple[Violation, Array, Array]:
    """Root force over 3 body weights vertically, half, and over 0.5 horizontally, half."""
    x, y, z = (c[0] / scene.state.weight for c in scene.state.wrenches.root_force)
    limits = (3.0, 0.5) if preset.quirks.low_force_limits else _MENDED_FORCE_BW
    vertical = (z > limits[0]).astype(z.dtype)
    horizontal = (norm((x, y)) > limits[1]).astype(z.dtype)
    frame = 0.5 * (vertical + horizontal)
    if not preset.quirks.residual_as_grf:
        stands = jnp.max(scene.contact, axis=0)
        frame = stands * frame + (1.0 - stands) * _held_up(scene)
    return whole_body(frame), frame_mean(vertical, scene), frame_mean(horizontal, scene)


def effort(scene: Scene, preset: ReferencePreset) -> tuple[Violation, Float[Array, " B"]]:
    """Work of the hinges, |torque| |speed|, in joules: over 10 kJ a clip, or 27.5 W a kilogram."""
    state = scene.state
    pairs = zip(scene.torque, scene.coords.rate, strict=True)
    power = sum(jnp.abs(t * w) for t, w in pairs)
    count = jnp.sum(state.mask, axis=1)[:, None]
    work = frame_mean(jnp.sum(power, axis=0) / state.fps, scene) * count[:, 0]
    if preset.quirks.effort_per_clip:
        rows = power / state.fps * count / preset.work_max_j
        value = jnp.minimum(work / preset.work_max_j, 1.0)
    else:
        rows = power / (state.weight / -GRAVITY[2]) / PAPER.power_max_w_kg
        value = None
    frame = jnp.clip(jnp.sum(rows, axis=0), 0.0, 1.0)
    return Violation(frame, rows, tuple(range(1, N_BODIES)), value), work


def _held_up(scene: Scene) -> Float[Array, "B T"]:
    """Frames on which nothing touches and the body is not in free flight."""
    state = scene.state
    airborne = jnp.max(scene.contact, axis=0) == 0.0
    held = norm(state.wrenches.root_force)[0] / state.weight > _FREE_FLIGHT_BW
    return (airborne & held).astype(state.weight.dtype)


def _over_feet(rows: Float[Array, "F B T"], scene: Scene) -> Violation:
    """Sum over the foot bodies on a frame; over the clip the mean, at most 1."""
    frame = jnp.sum(rows, axis=0)
    value = jnp.clip(frame_mean(frame, scene), 0.0, 1.0)
    return Violation(jnp.minimum(frame, 1.0), rows, FOOT_LINKS, value)


def _world(scene: Scene) -> Vec:
    return add(scene.state.motion.pos, scene.state.joints.root_pos)


def _row(scene: Scene, link: int) -> Vec:
    return tuple(c[link : link + 1] for c in scene.state.motion.pos)  # pyright: ignore


def _second(c: Array) -> Array:
    return c[..., 2:] - 2.0 * c[..., 1:-1] + c[..., :-2]
