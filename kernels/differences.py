"""Velocities and accelerations by finite differences that stop at the edge of the mask.

Rates are first taken halfway between frames. A frame with two valid neighbours gets the mean of its
two half-step rates, and their difference for the acceleration: second order. The first and last
frames of a run take the acceleration of the frame beside them and extrapolate the rate with it, the
one-sided form of the same order, so that no false acceleration appears at the ends.
"""

from collections.abc import Callable
from functools import partial

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
    return _rates(partial(_at, half), mask, fps)


def _rates(
    half: Callable[[int], Array], mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> tuple[Array, Array]:
    """`rates`, where `half` gives each frame the step that begins so many frames later."""
    step = mask[:, 1:] & mask[:, :-1]
    here, before2, after2 = (_at(step, offset) for offset in (0, -2, 1))
    before = _at(step, -1)  # whether frame t has a neighbour at t - 1
    both = here & before
    right, left = half(0), half(-1)
    # The same of the neighbouring frames, which the ends of a run take over.
    derivative = jnp.where(
        both,
        right - left,
        jnp.where(
            here & after2,
            half(1) - right,
            jnp.where(before & before2, left - half(-2), 0.0),
        ),
    )
    rate = jnp.where(
        both,
        0.5 * (left + right),
        jnp.where(
            here,
            right - 0.5 * derivative,
            jnp.where(before, left + 0.5 * derivative, 0.0),
        ),
    )
    return rate, derivative * fps


def _at(steps: Array, offset: int) -> Array:
    """For each frame t, the step from t + offset to the frame after; zero where there is none.

    Each a shift of its own, so that XLA works out all of a frame in one pass.
    """
    return _shifted(steps, offset, steps.shape[-1] + 1)


def _shifted(values: Array, offset: int, frames: int) -> Array:
    """For each of so many frames t, the value at t + offset; zero where there is none."""
    before = min(max(-offset, 0), frames)
    some = values[..., max(offset, 0) : frames - before]
    pad = (before, frames - before - some.shape[-1])
    return jnp.pad(some, ((0, 0),) * (values.ndim - 1) + (pad,))


def linear_rates(
    position: Vec, mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> tuple[Vec, Vec]:
    """Velocity (m/s) and acceleration (m/s²) of points, in the frame of `position`."""

    def half(position: Array, offset: int) -> Array:
        # Of shifted positions, not a shift of steps: a GPU stores those first, and reads them.
        now, then = (_shifted(position, offset + k, position.shape[-1]) for k in (0, 1))
        return (then - now) * fps

    return _zip_vec([_rates(partial(half, p), mask, fps) for p in position])


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
