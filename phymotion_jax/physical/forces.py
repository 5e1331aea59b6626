"""The forces of a scene as its report gives them: clips first, in newtons."""

from functools import partial

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import Vec, scale
from phymotion_jax.loads import forces_on
from phymotion_jax.physical.scene import Scene
from phymotion_jax.physical.substeps import Substeps
from phymotion_jax.report import Forces

_CARRIES_N = 20.0
"""Less says nothing of where a foot presses."""


def forces_of(scene: Scene, humanoid: Humanoid) -> Forces:
    """Gather the forces of a scene. XLA drops this where no one asks for it."""
    state, ground = scene.state, scene.loads.ground
    every = range(len(humanoid.contact_link))
    on_points = forces_on(every, scene.loads, state, humanoid, scene.touch)
    newtons = scale(on_points, state.weight)
    others = sorted(set(every) - {k for f in humanoid.feet for k in f})
    groups = (*humanoid.feet, tuple(others))
    on = [jnp.stack([jnp.sum(take_rows(c, g), axis=0) for c in newtons], -1) for g in groups]
    feet = [_centre(newtons[2], state.points, state.floor, foot) for foot in humanoid.feet]
    found = Forces(
        ground=jnp.stack(on, axis=2),
        cop=jnp.stack(feet, axis=2),
        residual_force=jnp.stack(scale(ground.residual_force, state.weight), axis=-1),
        residual_moment=jnp.stack(scale(ground.residual_moment, state.weight), axis=-1),
        torque=jnp.stack([rearrange(c, "l b t -> b t l") for c in scene.loads.moment], axis=-1),
    )
    found = jax.tree.map(partial(_where_real, mask=state.mask), found)
    found = found.replace(cop=jnp.where(state.mask[..., None, None], found.cop, jnp.nan))
    return jax.tree.map(partial(_at_given, scene.frames), found)


def _where_real(values: Float[Array, "B F *any"], mask: Bool[Array, "B F"]) -> Array:
    """A body at rest on padding weighs, and its knees hold it: nobody asked for that."""
    return jnp.where(mask.reshape(*mask.shape, *[1] * (values.ndim - 2)), values, 0.0)


def _at_given(frames: Substeps, values: Float[Array, "B F *any"]) -> Float[Array, "B T *any"]:
    return jnp.moveaxis(frames.at_given(jnp.moveaxis(values, (0, 1), (-2, -1))), (-2, -1), (0, 1))


def _centre(
    load: Array, points: Vec, floor: Float[Array, " B"], sole: tuple[int, ...]
) -> Float[Array, "B T 3"]:
    """Mean of a sole's points by what each carries, on the floor."""
    share = take_rows(load, sole)
    total = jnp.sum(share, axis=0)
    carries = total > _CARRIES_N
    safe = jnp.where(carries, total, 1.0)
    x, y = (jnp.sum(share * take_rows(c, sole), axis=0) / safe for c in points[:2])
    place = jnp.stack([x, y, jnp.broadcast_to(floor[:, None], x.shape)], axis=-1)
    return jnp.where(carries[..., None], place, jnp.nan)
