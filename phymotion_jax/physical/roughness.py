"""What of a motion is faster than bodies move: jitter, pops and teleports."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.filters import end_share, gain, low_pass_motion
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Quat, Vec, norm, quat_angle, quat_conj, quat_mul, sub
from phymotion_jax.kernels.windows import moving_sum, moving_sum_of_powers
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.presets import PhysicalPreset, Ramp

_POWER = 8
"""The norm that stands for a maximum: one frame of sixteen at half a second weighs all the same."""

_ONE_JOINT_S = 1.0
"""A throw, a kick and a foot that lands are over long before."""

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

_TOLD = 1e-6
"""Share of white noise, in power, that a low-pass has to take away to tell how much there is."""


class Roughness(NamedTuple):
    """Artefacts of a motion. Arrays are ``(links, B, T)`` and ``(B, T)``."""

    rotation: Float[Array, "L B T"]
    """Angle by which each joint is off its low-passed rotation, in radians; at the ends of a clip,
    where the low-pass follows it, what it would be amid a clip."""

    root: Float[Array, "B T"]
    """Distance by which the pelvis is off its low-passed path, in metres; at the ends likewise."""

    jitter_rad: Float[Array, "B T"]
    """Root mean square of the angle over joints and the window around a frame."""

    jitter_m: Float[Array, "B T"]
    """The same of the distance."""

    joint_jitter_rad: Float[Array, "L B T"]
    """Root mean square of each joint's angle over the second around a frame."""

    root_jitter_m: Float[Array, "B T"]
    """The same of the pelvis' distance."""

    shake: Float[Array, "L B T"]
    """Angle of each joint between its two low-passed rotations, in radians."""

    shake_rad: Float[Array, "B T"]
    """Root mean square of the largest of these over the second around a frame."""

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
    slow: Quat,
    forces: tuple[Float[Array, "B 1"], Float[Array, "B 1"]],
    preset: PhysicalPreset,
) -> Roughness:
    """Judge what a low-pass takes away that leaves all that bodies do.

    Jitter is told by its mean over joints and half a second, which one quick foot does not raise;
    pops and teleports by the worst joint, or the pelvis, on a frame, and one such frame counts for
    the half second around it: it is the same event at any frame rate. Of any one joint, what lasts
    for a second counts too: its own jitter, and shaking, which is faster than the low-pass that
    forces are worked out behind.

    Args:
      root_pos: raw pelvis positions, ``(1, B, T)``.
      quat: raw local rotations, ``(links, B, T)``.
      mask: real frames.
      fps: frames a second.
      slow: rotations behind the low-pass that forces are worked out behind.
      forces: frame rate and cut-off of the motion that forces are worked out from.
      preset: its artefact settings.
    """
    window = (mask, fps, preset.window_s)
    cutoff = jnp.minimum(preset.artefact_hz, preset.cutoff_share * fps)
    smooth_pos, smooth_quat = low_pass_motion(root_pos, quat, mask, fps, cutoff)
    rotation = quat_angle(quat_mul(quat_conj(smooth_quat), quat))
    root = norm(sub(root_pos, smooth_pos))[0]
    shake = quat_angle(quat_mul(quat_conj(slow), smooth_quat))
    share = jnp.where(_ends(mask), end_share(fps, cutoff), 1.0)
    rotation, root = rotation / share, root / share
    rotation, root, shake = stored([jnp.where(mask, c, 0.0) for c in (rotation, root, shake)])
    # Of white noise all frames have the same mean square then.
    jitter_rad = _rms(share * jnp.mean(rotation**2, axis=0), *window)
    jitter_m = _rms(share * root**2, *window)
    one_by_one = (share * rotation**2, share * root**2)
    one_by_one = [_rms(square, mask, fps, _ONE_JOINT_S) for square in one_by_one]
    shake_rad = _rms(jnp.max(shake, axis=0) ** 2, mask, fps, _ONE_JOINT_S)
    # At low frame rates the cut-off is lower, and more of what bodies do lies above it: amplitudes
    # of bounded accelerations fall with the square of the frequency.
    slow_share = (cutoff / preset.artefact_hz) ** 2
    rotation, root = slow_share * rotation, slow_share * root
    seen_rad, seen_m = slow_share * jitter_rad, slow_share * jitter_m
    place, acceleration = _left_of_noise(fps, *forces, cutoff)
    noise = _Noise.of(jitter_rad, jitter_m, slow_share, preset)
    return Roughness(
        rotation=rotation,
        root=root,
        jitter_rad=seen_rad,
        jitter_m=seen_m,
        joint_jitter_rad=slow_share * one_by_one[0],
        root_jitter_m=slow_share * one_by_one[1],
        shake=shake,
        shake_rad=shake_rad,
        artefact=_artefact(rotation, root, seen_rad, seen_m, window, preset),
        force_noise=acceleration / -GRAVITY[2] * noise.of_lever(_COM_LEVER_M),
        place_noise=place * noise.of_lever(_FOOT_LEVER_M),
    )


def _ends(mask: Bool[Array, "B T"]) -> Bool[Array, "B T"]:
    """First and last frames of runs of real ones."""
    padded = jnp.pad(mask, ((0, 0), (1, 1)))
    return mask & ~(padded[:, :-2] & padded[:, 2:])


def _artefact(
    rotation: Float[Array, "L B T"],
    root: Float[Array, "B T"],
    jitter_rad: Float[Array, "B T"],
    jitter_m: Float[Array, "B T"],
    window: tuple[Bool[Array, "B T"], Float[Array, "B 1"], float],
    preset: PhysicalPreset,
) -> Float[Array, "B T"]:
    """How far what is near a frame is jitter, a pop or a teleport; quantities as in `Roughness`."""
    pop = jnp.maximum(
        ramp(jnp.max(rotation, axis=0), preset.pop_rad, preset.smooth),
        ramp(root, preset.pop_m, preset.smooth),
    )
    jitter = jnp.maximum(
        ramp(jitter_rad, preset.jitter_rad, preset.smooth),
        ramp(jitter_m, preset.jitter_m, preset.smooth),
    )
    pops = moving_sum_of_powers(pop, *window, _POWER)
    near = jnp.minimum(_positive_power(pops, 1.0 / _POWER), 1.0)
    return stored(jnp.maximum(near, jitter))  # read with each joint, and a root is slow


class _Noise(NamedTuple):
    """Jitter that is more than motion has, root mean squares."""

    rad: Float[Array, "B T"]
    m: Float[Array, "B T"]

    @classmethod
    def of(
        cls,
        jitter_rad: Float[Array, "B T"],
        jitter_m: Float[Array, "B T"],
        share: Float[Array, "B 1"],
        preset: PhysicalPreset,
    ) -> "_Noise":
        """What of jitter is told to be noise, where `share` of it is compared with the limits."""

        def noisy(size: Array, limits: Ramp) -> Array:
            some = Ramp(_SOME * limits.soft, limits.soft)
            return size * ramp(share * size, some, preset.smooth)

        return cls(noisy(jitter_rad, preset.jitter_rad), noisy(jitter_m, preset.jitter_m))

    def of_lever(self, lever: float) -> Float[Array, "B T"]:
        """How far it moves what a turn of one radian in every joint moves by so many metres."""
        return _positive_power(self.m**2 + (lever * self.rad) ** 2, 0.5)


def _left_of_noise(
    fps: Float[Array, "B 1"],
    fine_fps: Float[Array, "B 1"],
    below: Float[Array, "B 1"],
    above: Float[Array, "B 1"],
) -> tuple[Float[Array, "B 1"], Float[Array, "B 1"]]:
    """What white noise leaves behind one low-pass, for a unit of what it has above another: itself,
    and its second differences in 1/s²; root mean squares. `fine_fps` is what the first works at.
    Nothing, where Nyquist's frequency is so low that the other takes nothing away."""
    turn = (jnp.arange(_BINS) + 0.5) / _BINS * jnp.pi  # a frame, up to Nyquist's
    frequency = turn * fps / (2.0 * jnp.pi)
    kept = gain(frequency, fine_fps, below)
    bend = kept * (2.0 * jnp.sin(0.5 * turn * fps / fine_fps) * fine_fps) ** 2
    seen = 1.0 - gain(frequency, fps, above)
    power, bent, known = (jnp.mean(c**2, axis=1, keepdims=True) for c in (kept, bend, seen))
    told = known > _TOLD
    known = jnp.where(told, known, 1.0)
    place, acceleration = (jnp.where(told, jnp.sqrt(c / known), 0.0) for c in (power, bent))
    return place, acceleration


def _rms(
    square: Float[Array, "*items B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    seconds: float,
) -> Float[Array, "*items B T"]:
    total = moving_sum(square, mask, fps, seconds)
    count = moving_sum(jnp.ones(mask.shape, square.dtype), mask, fps, seconds)
    return _positive_power(total / jnp.maximum(count, 1e-6), 0.5)


def _positive_power(value: Array, power: float) -> Array:
    """value ** power, with a zero gradient where the value is next to nothing."""
    some = value > 1e-12
    return jnp.where(some, jnp.where(some, value, 1.0) ** power, 0.0)
