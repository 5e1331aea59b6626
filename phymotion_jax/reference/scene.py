"""What the published parts are measured on: its body, its floor, its contact gate."""

from typing import NamedTuple

import jax.numpy as jnp
from einops import reduce
from jaxtyping import Array, Bool, Float

from phymotion_jax.body.published import FOOT_LINKS, published_humanoid
from phymotion_jax.dynamics import Backend
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, add, norm
from phymotion_jax.loads import ground_loads
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import ReferencePreset
from phymotion_jax.reference.coordinates import (
    Coordinates,
    backward_rates,
    coordinate_torque,
    coordinates,
)
from phymotion_jax.state import State, Votes, floor_of_slow_frames, moving_body

_FADE_HEIGHT_M, _FADE_SPEED_M_S = 0.06, 0.5
"""Where contact has faded out without `hard_gates`: the error of recovered heights, and the speed
that a hundredth of a radian of noise at 30 frames a second makes of a foot, several times over."""


_FRICTION = 0.7
"""The published code's `FRICTION_MU`."""


class Scene(NamedTuple):
    """A batch as the published code sees it. Arrays are ``(items, B, T)``; F = 4 foot bodies."""

    state: State
    """World motion, forces, contact points; heights above its floor."""

    coords: Coordinates
    """Joint coordinates and their rates."""

    torque: Vec
    """About each coordinate, ``(23, B, T)``, in N·m."""

    height: Float[Array, "F B T"]
    """Of the lowest point of each foot body, in metres."""

    near: Float[Array, "F B T"]
    """Whether it is low enough to touch, from 0 to 1."""

    contact: Float[Array, "F B T"]
    """Whether it is low and slow enough."""

    touching: Bool[Array, "P B T"]
    """Points that span the support polygon."""

    foot_speed: Float[Array, "F B T"]
    """Of each foot body's origin, in m/s."""

    foot_speed_to_root: Float[Array, "F B T"]
    """The same relative to the pelvis."""


def scene(
    batch: MotionBatch, floor: Array | None, preset: ReferencePreset, backend: Backend
) -> Scene:
    """Retarget a batch without NaN to the published humanoid and find its contacts."""
    quirks = preset.quirks
    rate = jnp.full_like(batch.fps, preset.fps) if quirks.fixed_frame_rate else batch.fps
    batch = batch.replace(fps=rate)
    body = published_humanoid(soles=not quirks.joint_origins_as_soles).astype(batch.fps.dtype)
    coords = stored(coordinates(batch, rate[:, None], quirks))
    state = moving_body(
        batch,
        body,
        joints=coords.joints,
        backend=backend,
        floor=floor,
        find_floor=_lowest if quirks.floor_is_lowest else floor_of_slow_frames,
    )
    height = reduce(state.points[2], "(f p) b t -> f b t", "min", f=len(FOOT_LINKS))
    to_root, foot = _foot_velocities(state, coords, quirks.false_start)
    speed = norm(foot)
    highest, fastest = preset.contact_height_m, preset.contact_speed_m_s
    if quirks.hard_gates:
        near = (height < highest).astype(height.dtype)
        slow = speed < fastest
    else:
        near = _fade(height, highest, _FADE_HEIGHT_M)
        slow = _fade(speed, fastest, _FADE_SPEED_M_S)
        highest = _FADE_HEIGHT_M
    near = jnp.where(state.mask, near, 0.0)
    contact = near * slow
    low = (state.points[2] < highest).reshape(*contact.shape[:1], -1, *contact.shape[1:])
    touching = (low & (contact > 0.0)[:, None]).reshape(state.points[2].shape)
    moment = state.wrenches.moment
    if not quirks.forces_at_pelvis:
        per_body = len(body.contact_link) // len(FOOT_LINKS)
        weight = jnp.where(touching, jnp.repeat(contact, per_body, axis=0), 0.0)
        moment = ground_loads(state, body, weight, friction=_FRICTION).moment
    torque = coordinate_torque(coords, moment, body.armature)
    return Scene(state, coords, torque, height, near, contact, touching, speed, norm(to_root))


def _lowest(votes: Votes) -> Float[Array, " B"]:
    """Height of the lowest point of the whole clip; zero for a clip without frames."""
    height = jnp.min(jnp.where(votes.mask, votes.lowest, jnp.inf), axis=1)
    return jnp.where(jnp.isfinite(height), height, 0.0)


def _foot_velocities(state: State, coords: Coordinates, false_start: bool) -> tuple[Vec, Vec]:
    """Velocity of the foot bodies' origins relative to the pelvis, and in the world."""
    to_root = []
    for component in state.motion.pos:
        feet = take_rows(component, FOOT_LINKS)
        step = feet[..., 1:] - feet[..., :-1]
        to_root.append(backward_rates(step, state.mask, state.fps, false_start=false_start)[0])
    relative: Vec = tuple(to_root)  # pyright: ignore[reportAssignmentType]
    return relative, add(relative, coords.root_vel)


def _fade(value: Array, whole: float, none: float) -> Array:
    """1 up to `whole`, 0 from `none` on, and a line between."""
    return jnp.clip((none - value) / (none - whole), 0.0, 1.0)
