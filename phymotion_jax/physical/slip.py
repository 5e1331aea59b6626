"""The slip part: how fast what lies on the floor slides over it."""

from itertools import accumulate
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.loads import forces_on, support_sizes
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical.contact import held_up
from phymotion_jax.physical.ramps import ramp, worst
from phymotion_jax.physical.scene import Scene
from phymotion_jax.physical.supports import support_links, support_velocity
from phymotion_jax.presets import PhysicalPreset, Ramp

_CHORD_S = 0.2
"""Long enough for noise to be small beside a slide, short enough to see a foot that shuffles."""

_MILLIMETRE = 1e-3
"""Rounds off the square root at nothing, where it has no slope."""

_CHORD_NOISE = 1.15
"""Root mean square of the distance on the floor between two places, for one of noise in a place."""

_WINDOW_S = 1.0
"""Long enough that what a foot shifts as it takes its load counts little beside skating."""

_SHORTEST_STANCE_S = 0.3
"""A foot that stands more briefly slides its way in this time: one step says little of a speed."""

_LOADED_BW = 0.1
"""A foot that carries this much stands on the floor whole; one that carries less, in part."""

_RISING = Ramp(0.1, 0.4)
"""Vertical speed of a foot, in m/s, at which it ceases to stand."""

_SETTLE_S = 0.1
"""The half of it after a landing, and before a take-off, is not counted: the low-pass has a foot
loaded while it is still in flight, and a runner's moves at metres a second there."""

_LOWEST_M = 0.03
"""Height over the lowest point at which another carries 1/e of it, where air carries both."""

_NOISE_RATE = 18.0
"""Speed of what is left of noise behind a low-pass at 5 Hz, for its size, in 1/s: 2π 5 / √3."""

_BRAKING = 0.2
"""Least coefficient of friction of what slides. Walking uses as much, dry shoes hold 0.5 to 1."""

_LIES = Ramp(0.3, 0.7)
"""Share of what carries the body that something else than its feet has, where it ceases to stand on
them, and where it lies."""

_LITTLE = 1e-6
"""Body weights, beside what carries nothing."""


class _Steps(NamedTuple):
    """What the feet do on each frame, ``(2, B, T)``."""

    x: Array
    """Way to the next frame, in metres."""

    y: Array

    stands: Array
    """How much it stands, from 0 to 1."""


def slip(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Speed at which the worse foot, or what else the body lies on, slides while it is loaded.

    A foot moves as those of its points do that carry, each by its share, so that rolling over it
    moves nothing. Steps are added as vectors: noise cancels, sliding does not. A body that is held
    up by nothing is taken to stand on its lowest points: hovering does not excuse from sliding.

    Hands, knees and backs do slide, and friction brakes them meanwhile: as far as the ground's
    force on them does that, it is no violation.
    """
    state, chords = scene.state, _chords(scene, humanoid, preset)
    feet = ramp(_mean_speed(scene, chords), preset.slide_m_s, preset.smooth)
    by_support, links = _slides_of_others(scene, humanoid)
    way, load = (jnp.sum(c, axis=0) for c in by_support)
    others = ramp(_speed_of_others(scene, way, load), preset.slide_m_s, preset.smooth)
    around = moving_sum(by_support.way, state.mask, state.fps, _WINDOW_S)
    blame = around / (jnp.max(around, axis=0, initial=0.0) + _LITTLE)
    soles = tuple(humanoid.contact_link[sole[0]] for sole in humanoid.feet)
    here = jnp.maximum(jnp.max(chords.way, axis=0) / _CHORD_S, way / jnp.maximum(load, _LOADED_BW))
    return Violation(
        worst(jnp.concatenate([feet, others[None]]), preset.smooth),
        jnp.concatenate([feet, others * blame]),
        soles + links,
        severity=here,
    )


def foot_slide(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Float[Array, "2 B T"]:
    """Speed at which each foot slides, in m/s, over the time within a second that it stands.

    The mean of its chords: the ways between the ends of a fifth of a second, which a shuffle to and
    fro, or on a circle, does not shorten as it would that of the whole second.
    """
    return _mean_speed(scene, _chords(scene, humanoid, preset))


class _Chords(NamedTuple):
    """How far each foot slides in the fifth of a second around a frame, ``(2, B, T)``."""

    way: Array
    """In metres, while it stands."""

    stands: Array
    """Over how many frames it does."""


def _mean_speed(scene: Scene, chords: _Chords) -> Float[Array, "2 B T"]:
    """Of the feet within a second, in m/s."""
    state = scene.state
    way, stood = moving_sum(jnp.stack(chords), state.mask, state.fps, _WINDOW_S)
    return way / jnp.maximum(stood / state.fps, _SHORTEST_STANCE_S * _CHORD_S * state.fps)


def _chords(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> _Chords:
    """Ways of both feet; a body that lies on something else may slide them as an arm."""
    state = scene.state
    held = ramp(held_up(scene), preset.unsupported_bw, preset.smooth)
    # Noise adds to the square of a chord: what jitter alone would make is taken off it.
    noise = _CHORD_NOISE * scene.roughness.place_noise
    feet = [_foot_steps(scene, humanoid, sole, held) for sole in humanoid.feet]
    x, y, stands = (jnp.stack(c) for c in zip(*feet, strict=True))
    stands = _settled(scene, stands)
    steps = jnp.stack([stands * x, stands * y, stands])
    way_x, way_y, stands = moving_sum(steps, state.mask, state.fps, _CHORD_S)
    square = way_x**2 + way_y**2 - (noise * stands / (_CHORD_S * state.fps)) ** 2
    chord = jnp.sqrt(jnp.maximum(square, 0.0) + _MILLIMETRE**2) - _MILLIMETRE
    return _Chords(chord * (1.0 - _lies(scene, humanoid)), stands)


def _foot_steps(
    scene: Scene, humanoid: Humanoid, sole: tuple[int, ...], held: Float[Array, "B T"]
) -> _Steps:
    """Way of a foot along x and y to the next frame, and how much it stands.

    Args:
      scene: with its forces.
      humanoid: whose feet.
      sole: its points.
      held: how surely nothing carries the body, from 0 to 1: its lowest points have that much
        then, in body weights.
    """
    state = scene.state
    height = take_rows(state.points[2], sole)
    lowest = jnp.min(state.points[2], axis=0)
    load = forces_on(sole, scene.loads, state, humanoid, scene.touch)[2]
    load = load + held * jnp.exp((lowest - height) / _LOWEST_M)
    load = jnp.minimum(load[..., 1:], load[..., :-1])
    total = jnp.sum(load, axis=0)
    share = load / (total + 1e-6)
    both = state.mask[:, 1:] & state.mask[:, :-1]
    x, y, rise = (
        jnp.where(both, jnp.sum(share * (rows[..., 1:] - rows[..., :-1]), axis=0), 0.0)
        for rows in (take_rows(c, sole) for c in state.points)
    )
    stands = jnp.where(both, _stands(total, rise * state.fps), 0.0)
    return _Steps(*(jnp.pad(c, ((0, 0), (0, 1))) for c in (x, y, stands)))


def _stands(load: Array, rise: Array) -> Array:
    """How much something stands that carries so much, in body weights, and rises so fast: what
    comes down or takes off does not stand yet, or any more."""
    return jnp.minimum(load / _LOADED_BW, 1.0) * (1.0 - ramp(jnp.abs(rise), _RISING))


def _settled(scene: Scene, stands: Float[Array, "R B T"]) -> Float[Array, "R B T"]:
    """How much something stands that stood a moment ago and will."""
    state = scene.state
    around = moving_sum(stands, state.mask, state.fps, _SETTLE_S) / (_SETTLE_S * state.fps)
    return stands * jnp.clip(2.0 * around - 1.0, 0.0, 1.0)


def _lies(scene: Scene, humanoid: Humanoid) -> Float[Array, "B T"]:
    """How far the body lies on something else than its feet: then they may slide as an arm does."""
    load = scene.loads.ground.forces[2]
    rest = jnp.sum(take_rows(load, _supports_but_feet(humanoid)), axis=0)
    return ramp(rest / (jnp.sum(load, axis=0) + _LITTLE), _LIES)


class _Slides(NamedTuple):
    """How supports that are no foot's slide. Arrays are ``(S, B, T)``."""

    way: Array
    """Speed in m/s, by what each carries in body weights, as far as friction does not brake it."""

    load: Array
    """What each carries while it stands, in body weights."""


def _slides_of_others(scene: Scene, humanoid: Humanoid) -> tuple[_Slides, tuple[int, ...]]:
    """Supports of the links that are no feet, and the links."""
    state, here = scene.state, _supports_but_feet(humanoid)
    x, y, rise = (take_rows(c, here) for c in support_velocity(scene, humanoid))
    force = tuple(take_rows(c, here) for c in scene.loads.ground.forces)
    stands = jnp.where(state.mask, _stands(force[2], rise), 0.0)
    load = force[2] * _settled(scene, stands)
    noise = _NOISE_RATE * scene.roughness.place_noise
    speed = jnp.sqrt(jnp.maximum(x**2 + y**2 - noise**2, 0.0) + _MILLIMETRE**2) - _MILLIMETRE
    against = -(force[0] * x + force[1] * y)
    braked = against / (_BRAKING * force[2] * (speed + _MILLIMETRE) + _LITTLE)
    links = tuple(support_links(humanoid)[k] for k in here)
    return _Slides(load * speed * (1.0 - jnp.clip(braked, 0.0, 1.0)), load), links


def _speed_of_others(
    scene: Scene, way: Float[Array, "B T"], load: Float[Array, "B T"]
) -> Float[Array, "B T"]:
    """Mean speed of all that carries but feet, by what it carries, over the time within a second
    that it does, in m/s."""
    state = scene.state
    way, load = moving_sum(jnp.stack([way, load]), state.mask, state.fps, _WINDOW_S)
    return way / jnp.maximum(load, _SHORTEST_STANCE_S * state.fps)


def _supports_but_feet(humanoid: Humanoid) -> tuple[int, ...]:
    """Numbers of the supports that are no sole's."""
    soles = {k for foot in humanoid.feet for k in foot}
    last = [stop - 1 for stop in accumulate(support_sizes(humanoid))]
    return tuple(g for g, point in enumerate(last) if point not in soles)
