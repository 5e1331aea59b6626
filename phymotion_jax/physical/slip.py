"""The slip part: how fast what lies on the floor slides over it."""

from itertools import accumulate
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.differences import linear_rates
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, add, cross, sub
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.loads import forces_on, support_sizes
from phymotion_jax.parts.violation import Violation
from phymotion_jax.physical.contact import unsupported
from phymotion_jax.physical.ramps import ramp, worst
from phymotion_jax.physical.scene import Scene
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

_BRAKING = 0.2
"""Least coefficient of friction of what slides. Walking uses as much, dry shoes hold 0.5 to 1."""


_LITTLE = 1e-6
"""Body weights, beside what carries nothing."""


class _Steps(NamedTuple):
    """What some rows do on each frame, ``(R, B, T)``."""

    x: Array
    """Way to the next frame, in metres."""

    y: Array

    stands: Array
    """How much it stands, from 0 to 1."""

    load: Array
    """What it weighs beside others, in body weights; a foot is judged by itself."""


def slip(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Speed at which the worse foot, or what else the body lies on, slides while it is loaded.

    A foot moves as those of its points do that carry, each by its share, so that rolling over it
    moves nothing. Steps are added as vectors: noise cancels, sliding does not. A body that is held
    up by nothing is taken to stand on its lowest points: hovering does not excuse from sliding.

    Hands, knees and backs do slide, and friction brakes them meanwhile: as far as the ground's
    force on them does that, it is no violation.
    """
    feet, others = slide_speed(scene, humanoid, preset)
    *_, links = _supports(humanoid)
    level = ramp(jnp.sum(others, axis=0), preset.slide_m_s, preset.smooth)
    blame = others / (jnp.max(others, axis=0, initial=0.0) + 1e-9)
    rows = ramp(feet, preset.slide_m_s, preset.smooth)
    soles = tuple(humanoid.contact_link[sole[0]] for sole in humanoid.feet)
    return Violation(
        worst(jnp.concatenate([rows, level[None]]), preset.smooth),
        jnp.concatenate([rows, level * blame]),
        soles + links,
    )


def slide_speed(
    scene: Scene, humanoid: Humanoid, preset: PhysicalPreset
) -> tuple[Float[Array, "2 B T"], Float[Array, "S B T"]]:
    """Speed at which what carries slides, over the time within a second that it does, in m/s.

    The mean of its chords: the ways between the ends of a fifth of a second, which a shuffle to and
    fro, or on a circle, does not shorten as it would that of the whole second.

    Returns:
      Of each foot; and what each support that is no foot's adds to the mean of all of those, by
      what they carry.
    """
    state = scene.state
    held = ramp(unsupported(scene), preset.unsupported_bw, preset.smooth)
    # Noise adds to the square of a chord: what jitter alone would make is taken off it.
    noise = _CHORD_NOISE * scene.roughness.place_noise

    def summed(values: Array, seconds: float) -> Array:
        return moving_sum(values, state.mask, state.fps, seconds)

    feet = [_foot_steps(scene, humanoid, sole, held) for sole in humanoid.feet]
    steps = *(jax.tree.map(lambda c: c[None], foot) for foot in feet), _other_steps(scene, humanoid)
    x, y, stands, load = (jnp.concatenate(c) for c in zip(*steps, strict=True))
    around = summed(stands, _SETTLE_S) / (_SETTLE_S * state.fps)
    stands = stands * jnp.clip(2.0 * around - 1.0, 0.0, 1.0) * load
    way_x, way_y, stands = summed(jnp.stack([stands * x, stands * y, stands]), _CHORD_S)
    square = way_x**2 + way_y**2 - (noise * stands / (_CHORD_S * state.fps)) ** 2
    chord = jnp.sqrt(jnp.maximum(square, 0.0) + _MILLIMETRE**2) - _MILLIMETRE
    chord = chord * (1.0 - _braked(scene, humanoid, way_x, way_y))
    way, stood = summed(jnp.stack([chord, stands]), _WINDOW_S)
    shortest = _SHORTEST_STANCE_S * _CHORD_S * state.fps
    one, rest = slice(len(feet)), slice(len(feet), None)
    by_foot = way[one] / jnp.maximum(stood[one] / state.fps, shortest)
    return by_foot, way[rest] / jnp.maximum(jnp.sum(stood[rest], axis=0) / state.fps, shortest)


def _braked(
    scene: Scene, humanoid: Humanoid, way_x: Float[Array, "R B T"], way_y: Float[Array, "R B T"]
) -> Float[Array, "R B T"]:
    """How far the ground's force on what slides, over a chord, is against its way, as friction's
    is: from 0 to 1 at the least that friction would be.

    Whoever stands on his feet is braked and pushed by turns, also where they skate: of feet it
    counts as far as the body lies on something else, and whole where half its weight does.
    """
    state, (soles, others, _) = scene.state, _supports(humanoid)
    rows = [
        jnp.stack([*(jnp.sum(take_rows(c, foot), axis=0) for foot in soles), *take_rows(c, others)])
        for c in scene.loads.ground.forces
    ]
    push_x, push_y, load = moving_sum(jnp.stack(rows), state.mask, state.fps, _CHORD_S)
    length = jnp.sqrt(way_x**2 + way_y**2 + _MILLIMETRE**2)
    against = -(push_x * way_x + push_y * way_y) / length
    braked = jnp.clip(against / (_BRAKING * load + _LITTLE), 0.0, 1.0)
    n_feet = len(soles)
    lies = jnp.sum(load[n_feet:], axis=0) / (jnp.sum(load, axis=0) + _LITTLE)
    return jnp.concatenate([jnp.minimum(2.0 * lies, 1.0) * braked[:n_feet], braked[n_feet:]])


def _supports(
    humanoid: Humanoid,
) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[int, ...]]:
    """Numbers of each foot's supports, and of all others, and the links of those."""
    last = [stop - 1 for stop in accumulate(support_sizes(humanoid))]
    soles = tuple(
        tuple(g for g, point in enumerate(last) if point in foot) for foot in humanoid.feet
    )
    others = tuple(g for g in range(len(last)) if not any(g in foot for foot in soles))
    return soles, others, tuple(humanoid.contact_link[last[g]] for g in others)


def _other_steps(scene: Scene, humanoid: Humanoid) -> _Steps:
    """Of supports that are no foot's: as the link moves at the place where the force acts, so that
    rolling over it moves nothing."""
    state, (_, here, links) = scene.state, _supports(humanoid)
    origin, turning = (
        tuple(take_rows(c, links) for c in v) for v in (state.motion.pos, state.motion.ang_vel)
    )
    velocity, _ = linear_rates(add(origin, state.joints.root_pos), state.mask, state.fps)  # pyright: ignore
    com = tuple(c[None] - r for c, r in zip(state.com, state.joints.root_pos, strict=True))
    place: Vec = tuple(take_rows(c, here) for c in scene.loads.place)  # pyright: ignore
    arm = sub(add(place, com), origin)  # pyright: ignore
    x, y, rise = add(velocity, cross(turning, arm))  # pyright: ignore
    load = take_rows(scene.loads.ground.forces[2], here)
    stands = jnp.where(state.mask, _stands(load, rise), 0.0)
    return _Steps(x / state.fps, y / state.fps, stands, load)


def _stands(load: Array, rise: Array) -> Array:
    """How much something stands that carries so much, in body weights, and rises so fast: what
    comes down or takes off does not stand yet, or any more."""
    return jnp.minimum(load / _LOADED_BW, 1.0) * (1.0 - ramp(jnp.abs(rise), _RISING))


def _foot_steps(
    scene: Scene, humanoid: Humanoid, sole: tuple[int, ...], held: Float[Array, "B T"]
) -> _Steps:
    """Way of a foot along x and y to the next frame, and how much it stands.

    Args:
      scene: with its forces.
      humanoid: whose feet.
      sole: its points.
      held: body weights that nothing carries: the lowest points have them.
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
    x, y, stands = (jnp.pad(c, ((0, 0), (0, 1))) for c in (x, y, stands))
    return _Steps(x, y, stands, jnp.ones_like(stands))
