"""Contact parts: do the feet meet the ground like solid things, and is the body held up?

Anything that is near the floor may carry: hands, knees and back as well as feet.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.support import hull_distance
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import norm
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.loads import needed_wrench
from phymotion_jax.parts.violation import Violation, whole_body
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.physical.scene import Scene
from phymotion_jax.presets import PhysicalPreset, Ramp

_SLIDE_WINDOW_S = 1.0
"""Long enough that what a foot shifts as it takes its load counts little beside skating."""

_SHORTEST_STANCE_S = 0.3
"""A foot that stands more briefly slides its way in this time: one step says little of a speed."""

_LOADED_BW = 0.1
"""A foot that carries this much stands on the floor whole; one that carries less, in part."""

_RISING = Ramp(0.1, 0.4)
"""Vertical speed of a foot, in m/s, at which it ceases to stand."""

_HELD_BW = 0.2
"""Below this vertical force a centre of pressure means nothing."""


def slip(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Speed at which the worse foot slides while it is loaded.

    A foot moves as those of its points do that carry, each by its share, so that rolling over it
    moves nothing. Steps are added as vectors: noise cancels, sliding does not.
    """
    rows = jnp.stack([ramp(_slide(scene, sole), preset.slide_m_s) for sole in humanoid.feet])
    links = tuple(humanoid.contact_link[sole[0]] for sole in humanoid.feet)
    return Violation(jnp.max(rows, axis=0), rows, links)


def _slide(scene: Scene, sole: tuple[int, ...]) -> Float[Array, "B T"]:
    state = scene.state
    load = take_rows(scene.loads.ground.forces[2], sole)
    load = jnp.minimum(load[..., 1:], load[..., :-1])
    total = jnp.sum(load, axis=0)
    share = load / (total + 1e-6)
    both = state.mask[:, 1:] & state.mask[:, :-1]
    x, y, rise = (
        jnp.where(both, jnp.sum(share * (rows[..., 1:] - rows[..., :-1]), axis=0), 0.0)
        for rows in (take_rows(c, sole) for c in state.points)
    )
    # A foot that comes down or takes off does not stand yet, or any more.
    stands = jnp.minimum(total / _LOADED_BW, 1.0) * (1.0 - ramp(jnp.abs(rise) * state.fps, _RISING))
    way_x, way_y, loaded = (
        moving_sum(jnp.pad(c, ((0, 0), (0, 1))), state.mask, state.fps, _SLIDE_WINDOW_S)
        for c in (stands * x, stands * y, jnp.where(both, stands, 0.0))
    )
    way = norm((way_x, way_y, jnp.zeros_like(way_x)))
    return way / jnp.maximum(loaded / state.fps, _SHORTEST_STANCE_S)


def ground_penetration(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Depth of the lowest point of the body below the floor."""
    depth = -scene.state.points[2]
    rows = ramp(depth, preset.penetration_m)
    return Violation(jnp.max(rows, axis=0), rows, humanoid.contact_link)


def floating(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Force that the body needs while nothing is there to give it: support out of thin air."""
    del humanoid
    airborne = 1.0 - jnp.max(scene.touch, axis=0)
    needed = norm(scene.loads.ground.residual_force)
    return whole_body(airborne * ramp(needed, preset.unsupported_bw))


def balance(scene: Scene, humanoid: Humanoid, preset: PhysicalPreset) -> Violation:
    """Distance of the centre of pressure that the motion requires from the support polygon.

    Nothing is required while the body is in the air, or weighs next to nothing.
    """
    del humanoid
    state = scene.state
    cop, up = required_cop(scene)
    touches = scene.touch > 0.0
    away = hull_distance(cop, state.points[:2], touches)
    stands = jnp.any(touches, axis=0) & (up > _HELD_BW)
    out = jnp.where(stands, away, 0.0)
    return whole_body(ramp(jnp.where(jnp.isfinite(out), out, 0.0), preset.imbalance_m))


def required_cop(scene: Scene) -> tuple[tuple[Array, Array], Float[Array, "B T"]]:
    """Where on the floor one force would give the needed moment, and its vertical part.

    The zero-moment point (Vukobratović 2004), in metres; force in body weights. Where the force is
    small the point is of no use, and finite.
    """
    state = scene.state
    force, moment = needed_wrench(state)
    drop = state.floor[:, None] - state.com[2]
    up = jnp.where(force[2] > _HELD_BW, force[2], 1.0)
    x = state.com[0] + (drop * force[0] - moment[1]) / up
    y = state.com[1] + (drop * force[1] + moment[0]) / up
    return (x, y), force[2]
