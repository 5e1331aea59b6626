"""Zero-lag low-pass filters with a cut-off in hertz that stop at the edge of the mask.

The Whittaker-Henderson smoother: of all x, the one that makes

    Σ (x(t) − y(t))² + λ Σ (x(t) − 2 x(t − 1) + x(t − 2))²

least, where the second sum counts frames whose two predecessors are real too. Far from the ends its
gain at f hertz is 1 / (1 + (s(f) / s(cut-off))⁴) with s(f) = sin(π f / fps): a second-order
Butterworth filter run forwards and backwards, with a sine for the tangent. A straight line costs
nothing, so it passes unchanged up to its ends, and no false acceleration appears there.

The normal equations have a condition number of 1 + 16 λ, 3e4 for 6 Hz at 240 fps: solved in float32
they miss by 0.8 mm at 5 m from the origin, and for 1 Hz by metres. The same x is what a Kalman
smoother makes of a point whose velocity is a random walk with steps of variance 1 / λ (Durbin and
Koopman, Time Series Analysis by State Space Methods, 2012, §4.5). Its recursions forget their
roundings within a period of the cut-off, it needs only differences of neighbouring frames, which
are exact wherever the origin is, and it gives y − x itself, which is small. So x is right to a
rounding or two of y, for any cut-off.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.vectors import Quat, Vec, quat_normalize

UNROLL = 4
"""Frames a turn of a loop. On a CPU 2 and 4 run the fastest; 8 take twice as long to compile."""


def low_pass(
    values: Float[Array, "*items B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> Float[Array, "*items B T"]:
    """Values without what is faster than the cut-off, in the same units.

    Args:
      values: anything that may be averaged. Padding may be anything, NaN included.
      mask: real frames. A gap parts a clip in two that do not know of each other.
      fps: frames a second.
      cutoff_hz: where the gain is a half. At half of `fps` and above there is nothing to take away
        and values come out as they went in; at zero, each run's regression line comes out.

    Returns:
      Filtered values on real frames; runs of one or two frames, and padding, as given.
    """
    return low_pass_all((values,), mask, fps, cutoff_hz)[0]


def gain(
    frequency_hz: Float[Array, "*any"],
    fps: Float[Array, "*any"],
    cutoff_hz: Float[Array, "*any"],
) -> Float[Array, "*any"]:
    """What `low_pass` keeps of a wave, far from the ends: a half at the cut-off."""
    ratio = jnp.sin(jnp.pi * frequency_hz / fps) / jnp.sin(jnp.pi * cutoff_hz / fps)
    return jnp.where(cutoff_hz < 0.5 * fps, 1.0 / (1.0 + ratio**4), 1.0)


def low_pass_all(
    arrays: Sequence[Float[Array, "... B T"]],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> tuple[Array, ...]:
    """`low_pass` of several arrays, whatever their items, in one pass over the frames."""
    mask = mask & (cutoff_hz < 0.5 * fps)
    rows = [rearrange(a, "... b t -> t (...) b") for a in arrays]
    noise = _noise(jnp.concatenate(rows, axis=1), mask, cutoff_hz / fps)
    ends = np.cumsum([row.shape[1] for row in rows])[:-1]
    parts = [rearrange(part, "t c b -> c b t") for part in jnp.split(noise, ends, axis=1)]
    smooth = tuple(a - part.reshape(a.shape) for a, part in zip(arrays, parts, strict=True))
    # Else what reads several components, a norm say, turns the axes back anew for each of them.
    return jax.lax.optimization_barrier(smooth)


def low_pass_quat(
    quat: Quat,
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> Quat:
    """Rotations without what is faster than the cut-off, as unit quaternions.

    The four components are filtered like any values, then normalised. A constant rotation before or
    after all frames does the same to what comes out. q and −q are one rotation: signs may jump in
    what goes in, and do not within a run of what comes out. Padding comes out as given.
    """
    return _unit(low_pass_all(_continuous(quat, mask), mask, fps, cutoff_hz), quat, mask)


def low_pass_motion(
    root_pos: Vec,
    quat: Quat,
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> tuple[Vec, Quat]:
    """`low_pass` of positions and `low_pass_quat` of rotations, in one pass over the frames."""
    smooth = low_pass_all((*root_pos, *_continuous(quat, mask)), mask, fps, cutoff_hz)
    return smooth[:3], _unit(smooth[3:], quat, mask)  # pyright: ignore[reportReturnType]


class _Gains(NamedTuple):
    """How far a frame's own data move the prediction made for it; the same for all data."""

    position: Array  # share of the prediction's error by which the position is put right
    slope: Array  # the same for the step from one frame to the next
    weight: Array  # reciprocal variance of the error, if that of the data is 1: 1 − position


def _noise(
    values: Float[Array, "T C B"], mask: Bool[Array, "B T"], cutoff: Float[Array, "B 1"]
) -> Float[Array, "T C B"]:
    """What the filter takes away, zero on padding; `cutoff` in periods a frame."""
    pair = _with_neighbour(mask, mask)
    bend = ((2.0 * jnp.sin(jnp.pi * cutoff)) ** 4).astype(values.dtype)  # 1 / λ, never infinite
    gains = _gains(bend[:, 0], pair.T, _with_neighbour(pair, pair).T)
    step = jnp.concatenate([jnp.zeros_like(values[:1]), values[1:] - values[:-1]])
    return _backwards(_forwards(step, gains, pair.T), gains, pair.T)


def _gains(
    bend: Float[Array, " B"], pair: Bool[Array, "T B"], triple: Bool[Array, "T B"]
) -> _Gains:
    """Gains frame by frame; `pair` and `triple`: one and two real predecessors.

    The first frame of a run is its own position, the second its own slope, whatever they were
    predicted to be. The gains are also the covariances of the position with itself and the slope.
    """
    one = jnp.ones_like(bend)

    def update(carry, frame):
        position, slope, spread = carry
        pair, triple = frame
        spread = spread + bend
        mixed = slope + spread
        predicted = position + slope + mixed  # its variance; the data's is 1
        weight = jnp.where(triple, 1.0 / (predicted + 1.0), 0.0)
        position = jnp.where(triple, predicted * weight, one)
        slope = jnp.where(triple, mixed * weight, pair.astype(bend.dtype))
        spread = jnp.where(triple, spread - mixed * slope, 2.0 * one)
        return (position, slope, spread), _Gains(position, slope, weight)

    return jax.lax.scan(update, (one, 0.0 * one, 2.0 * one), (pair, triple), unroll=UNROLL)[1]


def _forwards(
    step: Float[Array, "T C B"], gains: _Gains, pair: Bool[Array, "T B"]
) -> Float[Array, "T C B"]:
    """Weighted errors of predicting each frame from those before it."""

    def update(carry, frame):
        ahead, slope = carry  # the prediction less the last frame's data; the step it is made with
        step, gains, pair = frame
        error = jnp.where(pair, step - ahead, 0.0)
        slope = jnp.where(pair, slope + gains.slope * error, 0.0)
        error = gains.weight * error
        return (slope - error, slope), error

    rest = jnp.zeros_like(step[0])
    return jax.lax.scan(update, (rest, rest), (step, gains, pair), unroll=UNROLL)[1]


def _backwards(
    error: Float[Array, "T C B"], gains: _Gains, pair: Bool[Array, "T B"]
) -> Float[Array, "T C B"]:
    """y − x of each frame, from the weighted errors and what the frames after it make of them."""

    def update(carry, frame):
        once, twice = carry  # sums of y − x over the later frames of the run, and sums of the sums
        error, gains, pair = frame
        noise = error - (gains.position + gains.slope) * once - gains.slope * twice
        twice = jnp.where(pair, once + twice, 0.0)
        return (jnp.where(pair, once + noise, 0.0), twice), noise

    rest = jnp.zeros_like(error[0])
    return jax.lax.scan(update, (rest, rest), (error, gains, pair), reverse=True, unroll=UNROLL)[1]


def _with_neighbour(here: Bool[Array, "B T"], mask: Bool[Array, "B T"]) -> Bool[Array, "B T"]:
    """Frames of `here` whose predecessor is in `mask`."""
    return here & jnp.pad(mask[:, :-1], ((0, 0), (1, 0)))


def _continuous(quat: Quat, mask: Bool[Array, "B T"]) -> Quat:
    """Signs by which each frame lies nearest to the one before; padding is no rotation."""
    rest = (1.0, 0.0, 0.0, 0.0)
    w, x, y, z = (jnp.where(mask, c, r) for c, r in zip(quat, rest, strict=True))
    now, then = slice(None, -1), slice(1, None)
    cosine = sum(c[..., now] * c[..., then] for c in (w, x, y, z))
    step = jnp.where(cosine < 0.0, -1.0, 1.0)
    step = jnp.concatenate([jnp.ones_like(step[..., :1]), step], axis=-1)
    sign = jax.lax.cumprod(step.astype(jnp.int8), axis=step.ndim - 1).astype(w.dtype)
    return w * sign, x * sign, y * sign, z * sign


def _unit(smooth: Sequence[Array], quat: Quat, mask: Bool[Array, "B T"]) -> Quat:
    """Unit quaternions on real frames, and on padding what it held."""
    unit = quat_normalize(tuple(smooth))  # pyright: ignore[reportArgumentType]
    both = zip(unit, quat, strict=True)
    return tuple(jnp.where(mask, u, q) for u, q in both)  # pyright: ignore[reportReturnType]
