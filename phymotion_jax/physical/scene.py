"""What the physical parts are measured on: the smoothed body, what touches, and what carries it."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import Backend
from phymotion_jax.kernels.differences import linear_rates
from phymotion_jax.kernels.filters import low_pass_motion
from phymotion_jax.kernels.floor import floor_under_feet
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    norm,
    quat_normalize,
    unstack_frames,
)
from phymotion_jax.loads import Loads, ground_loads, joint_power
from phymotion_jax.motion import MotionBatch
from phymotion_jax.physical.balance import imbalance
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.physical.roughness import Roughness, roughness
from phymotion_jax.physical.standing import standing, static_points
from phymotion_jax.physical.substeps import Substeps, with_substeps
from phymotion_jax.presets import PhysicalPreset
from phymotion_jax.state import State, moving_body, rates_of


class Scene(NamedTuple):
    """A batch ready to be judged. Arrays are ``(items, B, T)``, with the substeps of slow clips."""

    state: State
    """The low-passed motion."""

    touch: Float[Array, "P B T"]
    """How surely each contact point touches, from 0 to 1; 0 on padding."""

    stands: Float[Array, "B T"]
    """How surely the body stands on any: the surest, if the lowest is low enough. Of two soles that
    stand one may be the higher, but not both."""

    loads: Loads
    """Ground forces, what they leave over, and joint moments with them at work."""

    power: Float[Array, "B T"]
    """Positive power of all joints, in W/kg."""

    imbalance: Float[Array, "B T"]
    """How far the centre of mass would have to be elsewhere to be held, in metres."""

    roughness: Roughness
    """What of the motion is faster than bodies move."""

    frames: Substeps
    """Which of these frames were given; a slow clip has more."""

    @property
    def force_noise(self) -> Float[Array, "B T"]:
        """Force that jitter alone would seem to need, in body weights."""
        return self.roughness.force_noise

    @property
    def moment_noise(self) -> Float[Array, "B T"]:
        """What that force does about the floor, in body weights times metres: also how far it
        moves the centre of pressure, in metres."""
        return self.force_noise * self.com_height

    @property
    def com_height(self) -> Float[Array, "B T"]:
        """Height of the centre of mass over the floor, in metres."""
        return self.state.com[2] - self.state.floor[:, None]


def scene(
    batch: MotionBatch,
    humanoid: Humanoid,
    floor: Float[Array, " B"] | None,
    preset: PhysicalPreset,
    backend: Backend,
) -> Scene:
    """Smooth a batch without NaN, find what it stands on, and load it."""
    given, frames = batch, with_substeps(batch)
    batch = frames.batch
    fps = batch.fps[:, None]
    cutoff = jnp.minimum(preset.cutoff_hz, preset.cutoff_share * fps)
    raw_root, raw = _raw(batch)
    root, quat = low_pass_motion(raw_root, raw, batch.mask, fps, cutoff)
    slow: Any = tuple(frames.at_given(c) for c in quat)
    rough = roughness(*_raw(given), given.mask, given.fps[:, None], slow, (fps, cutoff), preset)
    rough = Roughness(*(frames.from_given(c) for c in rough))
    joints = rates_of(quat, root, batch.mask, fps)
    state = moving_body(
        *(batch, humanoid),
        joints=joints,
        backend=backend,
        floor=floor,
        find_floor=lambda votes: floor_under_feet(*votes),
    )
    conf = static_points(batch.static_conf, humanoid.contact_link)
    touch, lowest = _touch(state, humanoid, conf, preset)
    landed = 1.0 - ramp(lowest, preset.stand_height_m, preset.smooth)
    touch, stands = stored((touch, landed * jnp.max(touch, axis=0)))
    loads = ground_loads(state, humanoid, touch, friction=preset.friction)
    loads, out = stored((loads, imbalance(state, touch, stands)))
    power = stored(jnp.sum(joint_power(state, loads), axis=0))
    return Scene(state, touch, stands, loads, power, out, rough, frames)


def _raw(batch: MotionBatch) -> tuple[Vec, Quat]:
    """Pelvis and rotations as they come, in the hot layout."""
    return batch.root_rows, quat_normalize(unstack_frames(batch.joint_quat))  # pyright: ignore


def _touch(
    state: State, humanoid: Humanoid, static_conf: Float[Array, "P B T"], preset: PhysicalPreset
) -> tuple[Float[Array, "P B T"], Float[Array, "B T"]]:
    """How surely each point stands: near the floor, and no faster over it than what stands best.
    And the height of the lowest.

    What stands best is the slowest of the points that are near: a swinging foot is faster than the
    standing one however low it passes, and all of a body that skates has one speed.
    """
    near = _near(state.points[2], humanoid, preset)
    velocity, _ = linear_rates(state.points, state.mask, state.fps)
    speed = norm(velocity[:2])
    speed = stored(speed)  # else two velocities are stored in its place
    slowest = jnp.min(jnp.where(near > 0.5, speed, jnp.inf), axis=0)
    slowest = jnp.where(jnp.isfinite(slowest), slowest, 0.0)
    stands = 1.0 - ramp(speed - slowest, preset.touch_speed_m_s, preset.smooth)
    sure = standing(near, static_conf)
    height = state.points[2] - preset.static_height_m * sure
    near = _near(height, humanoid, preset)
    # What is said to stand still touches, however fast it slides: a slide is a slip then.
    stands = stands + (1.0 - stands) * jnp.maximum(sure, 0.0)
    return jnp.where(state.mask, near * stands, 0.0), jnp.min(height, axis=0)


def _near(
    height: Float[Array, "P B T"], humanoid: Humanoid, preset: PhysicalPreset
) -> Float[Array, "P B T"]:
    """How near each point is to the floor, from 0 to 1: soles, which come first, and the others."""
    n_sole = sum(len(foot) for foot in humanoid.feet)
    split = height[:n_sole], height[n_sole:]
    ramps = preset.touch_height_m, preset.touch_height_other_m
    return jnp.concatenate(
        [1.0 - ramp(h, limits, preset.smooth) for h, limits in zip(split, ramps, strict=True)]
    )
