"""Velocities and accelerations by finite differences that stop at the edge of the mask.

Rates are first taken halfway between frames. A frame with two valid neighbours gets the mean of its
two half-step rates, and their difference for the acceleration: second order. The first and last
frames of a run take the acceleration of the frame beside them and extrapolate the rate with it, the
one-sided form of the same order, so that no false acceleration appears at the ends.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.vectors import Quat, Vec, quat_conj, quat_log, quat_mul


def rates(
    half: Float[Array, "*items B S"], mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> tuple[Float[Array, "*items B T"], Float[Array, "*items B T"]]:
    """Rate and its derivative on frames, from rates halfway between frames.

    Args:
      half: rate between frame t and t + 1, S = T - 1 of them, in units a second. Into and out of
        padding it may be anything, NaN included, unless a gradient is taken, which multiplies it by
        zero.
      mask: real frames.
      fps: frames a second.

    Returns:
      Rate and derivative, per second and per second squared. Zero on padding and on a frame with no
      valid neighbour; a run of two frames has its rate and no derivative.
    """
    step = mask[:, 1:] & mask[:, :-1]
    none = jnp.zeros_like(mask[:, :1])
    after = jnp.concatenate([step, none], axis=1)  # frame t has a neighbour at t + 1
    before = jnp.concatenate([none, step], axis=1)
    both = after & before
    edge = jnp.zeros_like(half[..., :1])
    right = jnp.concatenate([half, edge], axis=-1)
    left = jnp.concatenate([edge, half], axis=-1)
    inner = jnp.where(both, (right - left) * fps, 0.0)
    derivative = (
        inner
        + jnp.where(after & ~before, _shift(inner, -1), 0.0)
        + jnp.where(before & ~after, _shift(inner, 1), 0.0)
    )
    lean = 0.5 * derivative / fps
    rate = jnp.where(
        both,
        0.5 * (left + right),
        jnp.where(after, right - lean, jnp.where(before, left + lean, 0.0)),
    )
    return rate, derivative


def linear_rates(
    position: Vec, mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> tuple[Vec, Vec]:
    """Velocity (m/s) and acceleration (m/s²) of points, in the frame of `position`."""
    pairs = [rates((p[..., 1:] - p[..., :-1]) * fps, mask, fps) for p in position]
    return _zip_vec(pairs)


def angular_rates(
    quat: Quat, mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> tuple[Vec, Vec]:
    """Angular velocity (rad/s) and acceleration (rad/s²) in the rotating frame itself.

    The step from t to t + 1 is the logarithm of q(t)⁻¹ q(t + 1). Its components are the same in the
    frames at both ends, so that differences of them are the derivative of the body-frame angular
    velocity, which is what MuJoCo calls qacc of a ball joint.
    """
    now = tuple(c[..., :-1] for c in quat)
    then = tuple(c[..., 1:] for c in quat)
    step = quat_log(quat_mul(quat_conj(now), then))  # pyright: ignore[reportArgumentType]
    return _zip_vec([rates(c * fps, mask, fps) for c in step])


def _zip_vec(pairs: list[tuple[Array, Array]]) -> tuple[Vec, Vec]:
    first, second = zip(*pairs, strict=True)
    return first, second  # pyright: ignore[reportReturnType]


def _shift(array: Array, by: int) -> Array:
    """Values of the frame before (1) or after (-1), zero where there is none."""
    edge = jnp.zeros_like(array[..., :1])
    if by > 0:
        return jnp.concatenate([edge, array[..., :-1]], axis=-1)
    return jnp.concatenate([array[..., 1:], edge], axis=-1)
