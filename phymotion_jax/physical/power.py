"""Who does the work: joints do, and the ground, which is at rest where it carries, does none."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.windows import moving_sum
from phymotion_jax.physical.scene import Scene
from phymotion_jax.physical.supports import support_velocity

_MEAN_S = 1.0
"""What the limit of mean power is about."""

_PUSH_S = 0.5
"""A push for a jump, and a step, are over in it."""


def mean_power(scene: Scene) -> Float[Array, "B T"]:
    """Positive power of all joints, averaged over a second, in W/kg."""
    state = scene.state
    second = moving_sum(scene.power, state.mask, state.fps, _MEAN_S)
    seconds = moving_sum(jnp.ones_like(scene.power), state.mask, state.fps, _MEAN_S)
    return second / jnp.maximum(seconds, 1.0)


def lift(scene: Scene, humanoid: Humanoid) -> Float[Array, "B T"]:
    """Height in metres by which the ground lifts the body, within the half second around a frame.

    The work of its vertical force on what rises with it, less the positive work of all joints, over
    the body's weight: who jumps is raised by joints, over a foot that stands. Behind a low-pass a
    foot is still loaded as it takes off, and the ground seems to lift it, by less than the legs do.
    """
    state = scene.state
    rise = support_velocity(scene, humanoid)[2]
    by_ground = jnp.sum(jnp.maximum(scene.loads.ground.forces[2] * rise, 0.0), axis=0)
    by_joints = scene.power / -GRAVITY[2]
    height = moving_sum(by_ground - by_joints, state.mask, state.fps, _PUSH_S) / state.fps
    return jnp.maximum(height, 0.0)
