"""What of a motion is faster than bodies move: jitter, pops and teleports."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.filters import gain, low_pass_motion
from phymotion_jax.kernels.vectors import Quat, Vec, norm, quat_angle, quat_conj, quat_mul, sub
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.presets import PhysicalPreset, Ramp

_POWER = 8
"""The norm that stands for a maximum: one frame of sixteen at half a second weighs all the same."""

_COM_LEVER_M = 0.25
"""How far noise of one radian in every joint moves the centre of mass: 1 degree in all of them
disturbs the forces as 5 mm in the pelvis do."""

_FOOT_LEVER_M = 1.4
"""How far it moves a foot: 0.95, 0.9 and 0.45 m from pelvis, hip and knee, squares added."""

_SOME = 0.7
"""Share of what clean captures have, above which jitter is taken for noise: below, it is motion,
whose frequencies are not those of noise at every frame rate."""

_BINS = 64
"""Frequencies that stand for all."""

_HEARD_HZ = 15.0
"""Nyquist's frequency of most motion there is. How much of jitter lies under the low-pass is told
from what lies up to here, since above here motion that was brought to a higher rate has none."""

_EVERY_LINK = 4
"""Of so many links one is listened to for that: all come to their frame rate in one way."""

_BY_CHANCE = 0.05
"""Share that white noise may seem to have more there than it has: a second of it at 120 frames a
second has a standard deviation of 0.04."""

_QUICKEST = 4.0
"""Mean square step, for a unit of the mean square, of what changes its sign on every frame."""

_TOLD = 1e-6
"""Share of white noise, in power, that a low-pass has to take away to tell how much there is."""


class Roughness(NamedTuple):
    """Artefacts of a motion. Arrays are ``(links, B, T)`` and ``(B, T)``."""

    rotation: Float[Array, "L B T"]
    """Angle by which each joint is off its low-passed rotation, in radians."""

    root: Float[Array, "B T"]
    """Distance by which the pelvis is off its low-passed path, in metres."""

    jitter_rad: Float[Array, "B T"]
    """Root mean square of the angle over joints and the window around a frame."""

    jitter_m: Float[Array, "B T"]
    """The same of the distance."""

    artefact: Float[Array, "B T"]
    """How far what is within half a window of a frame is an artefact, from 0 to 1."""

    force_noise: Float[Array, "B T"]
    """Force that jitter alone would seem to need, root mean square, in body weights."""

    place_noise: Float[Array, "B T"]
    """How far jitter alone would move a low-passed foot, root mean square, in metres."""


def roughness(
    root_pos: Vec,
    quat: Quat,
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    forces: tuple[Float[Array, "B 1"], Float[Array, "B 1"]],
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
      forces: frame rate and cut-off of the motion that forces are worked out from.
      preset: its artefact settings.
    """
    smooth, window = preset.smooth, (mask, fps, preset.window_s)
    cutoff = jnp.minimum(preset.artefact_hz, preset.cutoff_share * fps)
    smooth_pos, smooth_quat = low_pass_motion(root_pos, quat, mask, fps, cutoff)
    turned, moved = quat_mul(quat_conj(smooth_quat), quat), sub(root_pos, smooth_pos)
    rotation, root, steps = jax.lax.optimization_barrier(
        (
            jnp.where(mask, quat_angle(turned), 0.0),
            jnp.where(mask, norm(moved)[0], 0.0),
            _steps(turned, moved, mask),
        )
    )
    # At low frame rates the cut-off is lower, and more of what bodies do lies above it: amplitudes
    # of bounded accelerations fall with the square of the frequency.
    share = (cutoff / preset.artefact_hz) ** 2
    jitter_rad = _rms(jnp.mean(rotation**2, axis=0), *window)
    jitter_m = _rms(root**2, *window)
    pop = jnp.maximum(
        ramp(share * jnp.max(rotation, axis=0), preset.pop_rad, smooth),
        ramp(share * root, preset.pop_m, smooth),
    )
    jitter = jnp.maximum(
        ramp(share * jitter_rad, preset.jitter_rad, smooth),
        ramp(share * jitter_m, preset.jitter_m, smooth),
    )
    near = jnp.minimum(_positive_power(moving_sum(pop**_POWER, *window), 1.0 / _POWER), 1.0)
    noise_m, noise_rad = (
        size * ramp(share * size, Ramp(_SOME * limits.soft, limits.soft), smooth)
        for size, limits in ((jitter_m, preset.jitter_m), (jitter_rad, preset.jitter_rad))
    )
    white = _white_noise(fps, *forces, cutoff)
    redder = jnp.sqrt(white.redder(steps))

    def noise(lever: float) -> Array:
        return redder * _positive_power(noise_m**2 + (lever * noise_rad) ** 2, 0.5)

    return Roughness(
        share * rotation,
        share * root,
        share * jitter_rad,
        share * jitter_m,
        jnp.maximum(near, jitter),
        white.acceleration / -GRAVITY[2] * noise(_COM_LEVER_M),
        white.place * noise(_FOOT_LEVER_M),
    )


class _White(NamedTuple):
    """What is known of white noise at a frame rate. Arrays are ``(B, 1)``."""

    place: Array
    """What is left of it behind one low-pass, for a unit of what it has above another: itself,"""

    acceleration: Array
    """and its second differences in 1/s²; root mean squares."""

    share: Array
    """Share, in power, of what it has above that lies below `_HEARD_HZ`."""

    steps_below: Array
    """Mean square step from frame to frame of what lies there, for a unit of its mean square."""

    steps_above: Array
    """The same of the rest."""

    def redder(self, steps: Float[Array, "B 1"]) -> Float[Array, "B 1"]:
        """How many times as much of the power of jitter lies below `_HEARD_HZ` as of white noise.

        At 30 frames a second all of it does; at 60 all of what 30 were made 60 by, and a quarter of
        a sensor's. Told by the mean square step for a unit of the mean square.
        """
        share = (self.steps_above - steps) / (self.steps_above - self.steps_below)
        return jnp.clip(share - _BY_CHANCE, self.share, 1.0) / self.share


def _white_noise(
    fps: Float[Array, "B 1"],
    fine_fps: Float[Array, "B 1"],
    below: Float[Array, "B 1"],
    above: Float[Array, "B 1"],
) -> _White:
    """What a low-pass below one frequency leaves of white noise, and what it has above another.

    `fine_fps` is what the first works at. Nothing is left where Nyquist's frequency is so low that
    the other takes nothing away.
    """
    turn = (jnp.arange(_BINS) + 0.5) / _BINS * jnp.pi  # a frame, up to Nyquist's
    frequency = turn * fps / (2.0 * jnp.pi)
    kept = gain(frequency, fine_fps, below)
    bend = kept * (2.0 * jnp.sin(0.5 * turn * fps / fine_fps) * fine_fps) ** 2
    seen = (1.0 - gain(frequency, fps, above)) ** 2
    heard = jnp.where(frequency < _HEARD_HZ, seen, 0.0)
    step = (2.0 * jnp.sin(0.5 * turn)) ** 2

    def mean(power: Array) -> Float[Array, "B 1"]:
        return jnp.mean(power, axis=1, keepdims=True)

    def ratio(power: Array, of: Array, otherwise: float) -> Float[Array, "B 1"]:
        some = of > _TOLD
        return jnp.where(some, power / jnp.where(some, of, 1.0), otherwise)

    known = mean(seen)
    return _White(
        jnp.sqrt(ratio(mean(kept**2), known, 0.0)),
        jnp.sqrt(ratio(mean(bend**2), known, 0.0)),
        ratio(mean(heard), known, 1.0),
        ratio(mean(heard * step), mean(heard), 0.0),
        ratio(mean((seen - heard) * step), mean(seen - heard), _QUICKEST),
    )


def _steps(turned: Quat, moved: Vec, mask: Bool[Array, "B T"]) -> Float[Array, "B 1"]:
    """Mean square step from frame to frame of what a low-pass takes away, for a unit of its mean
    square: of a clip, since how it came to its frame rate does not change on the way."""
    w, *xyz = (c[::_EVERY_LINK] for c in turned)
    small = [jnp.where(w < 0.0, -2.0, 2.0) * c for c in xyz]  # rotation vectors

    def mean(there: Array, differ: Callable[[Array], Array]) -> Float[Array, "B 1"]:
        m, rad = (sum(differ(c) ** 2 for c in values) for values in (moved, small))
        both = jnp.mean(m, axis=0) + _COM_LEVER_M**2 * jnp.mean(rad, axis=0)
        return jnp.sum(jnp.where(there, both, 0.0), axis=1, keepdims=True)

    step = mean(mask[:, 1:], lambda c: c[..., 1:] - c[..., :-1])
    return step / jnp.maximum(mean(mask, lambda c: c), 1e-12)


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
