"""What of a motion is faster than bodies move: jitter, pops and teleports."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.filters import low_pass_motion
from phymotion_jax.kernels.vectors import Quat, Vec, norm, quat_conj, quat_log, quat_mul, sub
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.presets import PhysicalPreset

_POWER = 8
"""The norm that stands for a maximum: one frame of sixteen at half a second weighs all the same."""


class Roughness(NamedTuple):
    """Artefacts of a motion. Arrays are ``(links, B, T)`` and ``(B, T)``."""

    rotation: Float[Array, "L B T"]
    """Angle by which each joint is off its low-passed rotation, in radians."""

    root: Float[Array, "B T"]
    """Distance by which the pelvis is off its low-passed path, in metres."""

    artefact: Float[Array, "B T"]
    """How far what is within half a window of a frame is an artefact, from 0 to 1."""


def roughness(
    root_pos: Vec,
    quat: Quat,
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    preset: PhysicalPreset,
) -> Roughness:
    """Judge what a low-pass takes away that leaves all that bodies do.

    Jitter is told by its mean over joints and half a second, which one quick foot does not raise;
    pops and teleports by the worst joint, or the pelvis, on a frame, and one such frame counts for
    the half second around it: it is the same event at any frame rate.

    Args:
      root_pos: raw pelvis positions, ``(1, B, T)``.
      quat: raw local rotations, ``(links, B, T)``.
      mask: real frames.
      fps: frames a second.
      preset: its artefact settings.
    """
    cutoff = jnp.minimum(preset.artefact_hz, preset.cutoff_share * fps)
    smooth_pos, smooth_quat = low_pass_motion(root_pos, quat, mask, fps, cutoff)
    # At low frame rates the cut-off is lower, and more of what bodies do lies above it: amplitudes
    # of bounded accelerations fall with the square of the frequency.
    share = (cutoff / preset.artefact_hz) ** 2
    rotation = share * norm(quat_log(quat_mul(quat_conj(smooth_quat), quat)))
    root = share * norm(sub(root_pos, smooth_pos))[0]
    rotation, root = jax.lax.optimization_barrier(
        (jnp.where(mask, rotation, 0.0), jnp.where(mask, root, 0.0))
    )
    pop = jnp.maximum(ramp(jnp.max(rotation, axis=0), preset.pop_rad), ramp(root, preset.pop_m))
    window = (mask, fps, preset.window_s)
    jitter = jnp.maximum(
        ramp(_rms(jnp.mean(rotation**2, axis=0), *window), preset.jitter_rad),
        ramp(_rms(root**2, *window), preset.jitter_m),
    )
    near = jnp.minimum(_positive_power(moving_sum(pop**_POWER, *window), 1.0 / _POWER), 1.0)
    return Roughness(rotation, root, jnp.maximum(near, jitter))


def _rms(
    square: Float[Array, "B T"], mask: Bool[Array, "B T"], fps: Float[Array, "B 1"], seconds: float
) -> Float[Array, "B T"]:
    total = moving_sum(square, mask, fps, seconds)
    count = moving_sum(jnp.ones_like(square), mask, fps, seconds)
    return _positive_power(total / jnp.maximum(count, 1e-6), 0.5)


def _positive_power(value: Array, power: float) -> Array:
    """value ** power, with a zero gradient where the value is next to nothing."""
    some = value > 1e-12
    return jnp.where(some, jnp.where(some, value, 1.0) ** power, 0.0)
