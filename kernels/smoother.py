"""The Kalman smoother behind `filters`: what a low-pass takes away.

The normal equations have a condition number of 1 + 16 λ, 3e4 for 6 Hz at 240 fps: solved in float32
they miss by 0.8 mm at 5 m from the origin, and for 1 Hz by metres. The same x is what a Kalman
smoother makes of a point whose velocity is a random walk with steps of variance 1 / λ (Durbin and
Koopman, Time Series Analysis by State Space Methods, 2012, §4.5). Its recursions forget their
roundings within a period of the cut-off, it needs only differences of neighbouring frames, which
are exact wherever the origin is, and it gives y − x itself, which is small. So x is right to a
rounding or two of y, for any cut-off.
"""

from math import gcd
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.per_frame import Memory, per_frame

UNROLL = 4
"""Frames a turn of a loop. On a CPU 2 and 4 run the fastest; 8 take twice as long to compile."""

_READ_AT_ONCE = 8
"""Frames that a GPU's thread asks for before it goes on to the first of them, where their number is
a multiple: each depends on the one before, and waits for memory alone otherwise."""


class Gains(NamedTuple):
    """How far a frame's own data move the prediction made for it; the same for all data."""

    position: Array  # share of the prediction's error by which the position is put right
    slope: Array  # the same for the step from one frame to the next
    weight: Array  # reciprocal variance of the error, if that of the data is 1: 1 − position

    @property
    def pair(self) -> Array:
        """Frames with a real predecessor: the first of a run is given no slope."""
        return self.slope > 0.0


def gains_of(
    bend: Float[Array, " B"], pair: Bool[Array, "T B"], triple: Bool[Array, "T B"]
) -> Gains:
    """Gains frame by frame; `pair` and `triple`: one and two real predecessors.

    The first frame of a run is its own position, the second its own slope, whatever they were
    predicted to be. The gains are also the covariances of the position with itself and the slope.
    """

    def update(carry, frame):
        return _next_gains(carry, bend, frame)

    return jax.lax.scan(update, _first_gains(bend), (pair, triple), unroll=UNROLL)[1]


def gains_pallas(
    bend: Float[Array, " B"],
    pair: Bool[Array, "T B"],
    triple: Bool[Array, "T B"],
    *,
    interpret: bool = False,
) -> Gains:
    """The same as one GPU kernel of a thread a clip: as a loop of XLA it is a launch a frame."""

    def program(memory: Memory) -> None:
        bend = memory.rows(1, 0)

        def update(t: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            real = memory.rows(0, t)  # predecessors
            carry, gains = _next_gains(carry, bend, (real > 0, real > 1))
            memory.store_all(0, t, gains)
            return carry

        jax.lax.fori_loop(0, len(pair), update, _first_gains(bend))

    real = pair.astype(jnp.int8) + triple.astype(jnp.int8)
    results = [(len(pair), jnp.float32)] * 3
    arrays = (real[:, None], bend[None, None])
    return Gains(*(c[:, 0] for c in per_frame(program, arrays, results, interpret=interpret)))


def _first_gains(bend: Array) -> tuple[Array, Array, Array]:
    one = jnp.ones_like(bend)
    return one, 0.0 * one, 2.0 * one


def _next_gains(
    before: tuple[Array, Array, Array], bend: Array, real: tuple[Array, Array]
) -> tuple[tuple[Array, Array, Array], Gains]:
    """Those of a frame from those of the one before it and its own spread."""
    (position, slope, spread), (pair, triple) = before, real
    one = jnp.ones_like(bend)
    spread = spread + bend
    mixed = slope + spread
    predicted = position + slope + mixed  # its variance; the data's is 1
    weight = jnp.where(triple, 1.0 / (predicted + 1.0), 0.0)
    position = jnp.where(triple, predicted * weight, one)
    slope = jnp.where(triple, mixed * weight, pair.astype(bend.dtype))
    spread = jnp.where(triple, spread - mixed * slope, 2.0 * one)
    return (position, slope, spread), Gains(position, slope, weight)


def noise_xla(values: Float[Array, "T C B"], gains: Gains) -> Float[Array, "T C B"]:
    """Two loops of XLA over the frames of all clips."""
    step = jnp.concatenate([jnp.zeros_like(values[:1]), values[1:] - values[:-1]])
    return _backwards(_forwards(step, gains), gains)


def noise_pallas(
    values: Float[Array, "T C B"], gains: Gains, *, interpret: bool = False
) -> Float[Array, "T C B"]:
    """The same as one GPU kernel, whose threads each follow one number of one clip."""
    n_frames, _, clips = values.shape
    at_once = gcd(n_frames, _READ_AT_ONCE)
    clip = jnp.arange(clips, dtype=jnp.int32)[None, None]

    def program(memory: Memory) -> None:
        clip = memory.rows(1, 0)

        def gains_at(t: Array) -> Gains:
            position, slope, weight = (memory.look_up(k, t * clips + clip) for k in range(3))
            return Gains(position, slope, weight)

        def forward(k: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            before, ahead, slope = carry
            frames = [k * at_once + i for i in range(at_once)]
            for t, value, share in [(t, memory.rows(0, t), gains_at(t)) for t in frames]:
                (ahead, slope), error = _forward(ahead, slope, value - before, share)
                memory.store(0, t, error)
                before = value
            return before, ahead, slope

        def backward(k: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            frames = [n_frames - 1 - (k * at_once + i) for i in range(at_once)]
            for t, error, share in [(t, memory.result(0, t), gains_at(t)) for t in frames]:
                carry, noise = _backward(*carry, error, share)
                memory.store(0, t, noise)
            return carry

        first = memory.rows(0, 0)
        rest = jnp.zeros_like(first)
        jax.lax.fori_loop(0, n_frames // at_once, forward, (first, rest, rest))
        jax.lax.fori_loop(0, n_frames // at_once, backward, (rest, rest))

    results, tables = [(n_frames, jnp.float32)], [c.reshape(-1) for c in gains]
    return per_frame(program, (values, clip), results, tables=tables, interpret=interpret)[0]


def _forwards(step: Float[Array, "T C B"], gains: Gains) -> Float[Array, "T C B"]:
    """Weighted errors of predicting each frame from those before it."""

    def update(carry, frame):
        ahead, slope = carry  # the prediction less the last frame's data; the step it is made with
        step, gains = frame
        return _forward(ahead, slope, step, gains)

    rest = jnp.zeros_like(step[0])
    return jax.lax.scan(update, (rest, rest), (step, gains), unroll=UNROLL)[1]


def _backwards(error: Float[Array, "T C B"], gains: Gains) -> Float[Array, "T C B"]:
    """y − x of each frame, from the weighted errors and what the frames after it make of them."""

    def update(carry, frame):
        once, twice = carry  # sums of y − x over the later frames of the run, and sums of the sums
        error, gains = frame
        return _backward(once, twice, error, gains)

    rest = jnp.zeros_like(error[0])
    return jax.lax.scan(update, (rest, rest), (error, gains), reverse=True, unroll=UNROLL)[1]


def _forward(
    ahead: Array, slope: Array, step: Array, gains: Gains
) -> tuple[tuple[Array, Array], Array]:
    error = jnp.where(gains.pair, step - ahead, 0.0)
    slope = jnp.where(gains.pair, slope + gains.slope * error, 0.0)
    error = gains.weight * error
    return (slope - error, slope), error


def _backward(
    once: Array, twice: Array, error: Array, gains: Gains
) -> tuple[tuple[Array, Array], Array]:
    noise = error - (gains.position + gains.slope) * once - gains.slope * twice
    twice = jnp.where(gains.pair, once + twice, 0.0)
    return (jnp.where(gains.pair, once + noise, 0.0), twice), noise
