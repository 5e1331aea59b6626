"""Contact parts: do the feet meet the ground like solid things, and is the body held up?

Anything that is near the floor may carry: hands, knees and back as well as feet.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.loads import forces_on
from phymotion_jax.parts.violation import Violation, whole_body
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

_SMEAR_S = 0.2
"""Over which the low-pass at 5 Hz spreads a blow, for the most part."""

_PUSH_BW = 2.5
"""Of a runner (Keller 1996): jumpers push off and land with as much and more."""

_SETTLE_S = 0.1
"""The half of it after a landing, and before a take-off, is not counted: the low-pass has a foot
loaded while it is still in flight, and a runner's moves at metres a second there."""

_LOWEST_M = 0.03
"""Height over the lowest point at which another carries 1/e of it, where air carries both."""


def slip(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Speed at which the worse foot slides while it is loaded.

    A foot moves as those of its points do that carry, each by its share, so that rolling over it
    moves nothing. Steps are added as vectors: noise cancels, sliding does not. A body that is held
    up by nothing is taken to stand on its lowest points: hovering does not excuse from sliding.
    """
    rows = ramp(slide_speed(scene, humanoid, preset), preset.slide_m_s, preset.smooth)
    links = tuple(humanoid.contact_link[sole[0]] for sole in humanoid.feet)
    return Violation(worst(rows, preset.smooth), rows, links)


def slide_speed(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Float[Array, "2 B T"]:
    """Speed at which each foot slides, in m/s, over the time within a second that it stands.

    The mean of its chords: the ways between the ends of a fifth of a second, which a shuffle to and
    fro, or on a circle, does not shorten as it would that of the whole second.
    """
    state = scene.state
    held = ramp(unsupported(scene), preset.unsupported_bw, preset.smooth)
    # Noise adds to the square of a chord: what jitter alone would make is taken off it.
    noise = _CHORD_NOISE * scene.roughness.place_noise

    def summed(values: Array, seconds: float) -> Array:
        return moving_sum(values, state.mask, state.fps, seconds)

    feet = [_steps(scene, humanoid, sole, held) for sole in humanoid.feet]
    x, y, stands = jnp.stack([jnp.stack(foot) for foot in feet], axis=1)
    around = summed(stands, _SETTLE_S) / (_SETTLE_S * state.fps)
    stands = stands * jnp.clip(2.0 * around - 1.0, 0.0, 1.0)
    way_x, way_y, stands = summed(jnp.stack([stands * x, stands * y, stands]), _CHORD_S)
    square = way_x**2 + way_y**2 - (noise * stands / (_CHORD_S * state.fps)) ** 2
    chord = jnp.sqrt(jnp.maximum(square, 0.0) + _MILLIMETRE**2) - _MILLIMETRE
    way, stood = summed(jnp.stack([chord, stands]), _WINDOW_S)
    return way / jnp.maximum(stood / state.fps, _SHORTEST_STANCE_S * _CHORD_S * state.fps)


def _steps(
    scene: Scene, humanoid: Humanoid, sole: tuple[int, ...], held: Float[Array, "B T"]
) -> tuple[Float[Array, "B T"], Float[Array, "B T"], Float[Array, "B T"]]:
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
    # A foot that comes down or takes off does not stand yet, or any more.
    level = 1.0 - ramp(jnp.abs(rise) * state.fps, _RISING)
    stands = jnp.where(both, jnp.minimum(total / _LOADED_BW, 1.0) * level, 0.0)
    return tuple(jnp.pad(c, ((0, 0), (0, 1))) for c in (x, y, stands))  # pyright: ignore


def ground_penetration(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Depth of the lowest point of the body below the floor."""
    rows = ramp(-scene.state.points[2], preset.penetration_m, preset.smooth)
    return Violation(worst(rows, preset.smooth), rows, humanoid.contact_link)


def floating(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force that the body needs while nothing is there to give it: support out of thin air."""
    del humanoid
    return whole_body(ramp(unsupported(scene), preset.unsupported_bw, preset.smooth))


def unsupported(scene: Scene) -> Float[Array, "B T"]:
    """Force needed while nothing touches, in body weights, less what the low-pass smears of the
    pushes before and after over the flight between them."""
    state, touch = scene.state, scene.stands
    window = (state.mask, state.fps, _SMEAR_S)
    near = moving_sum(touch, *window) / jnp.maximum(moving_sum(jnp.ones_like(touch), *window), 1.0)
    needed = norm(scene.loads.ground.residual_force) - _PUSH_BW * near
    return (1.0 - touch) * jnp.maximum(needed, 0.0)


def balance(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """How far the centre of mass would have to be elsewhere for the ground to hold the body."""
    del humanoid
    return whole_body(ramp(scene.imbalance, preset.imbalance_m, preset.smooth))
