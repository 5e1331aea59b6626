"""Zero-lag low-pass filters with a cut-off in hertz that stop at the edge of the mask.

The Whittaker-Henderson smoother: of all x, the one that makes

    Σ (x(t) − y(t))² + λ Σ (x(t) − 2 x(t − 1) + x(t − 2))²

least, where the second sum counts frames whose two predecessors are real too. Far from the ends its
gain at f hertz is 1 / (1 + (s(f) / s(cut-off))⁴) with s(f) = sin(π f / fps): a second-order
Butterworth filter run forwards and backwards, with a sine for the tangent. A straight line costs
nothing, so it passes unchanged up to its ends, and no false acceleration appears there.

How x is found is in `smoother`.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jax.experimental.layout import Layout, with_layout_constraint
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.per_frame import pallas_or_xla
from phymotion_jax.kernels.smoother import (
    Gains,
    gains_of,
    gains_pallas,
    noise_pallas,
    noise_xla,
)
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Quat, Vec, quat_normalize


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


def end_share(fps: Float[Array, "*any"], cutoff_hz: Float[Array, "*any"]) -> Float[Array, "*any"]:
    """What `low_pass` takes away of one frame's error at an end of a long run, as a share of what
    it takes away far from the ends. At an end it has neighbours on one side only, and follows it.

    Either is one less the frame's leverage, in closed form: the mean over frequencies of what
    `gain` leaves, and, at an end, one over the variance of predicting the frame from all before it
    (Kolmogorov's formula: the geometric mean of 1 / λ + s⁴, with s from `filters`).
    """
    root = (2.0 * jnp.sin(jnp.pi * cutoff_hz / fps)) ** 2  # of 1 / λ
    size = root * jnp.sqrt(root**2 + 16.0)
    real, imaginary = (jnp.sqrt(0.5 * (size + way * root**2)) for way in (-1.0, 1.0))
    variance = 0.25 * ((2.0 + real) ** 2 + (root + imaginary) ** 2)
    within = 1.0 - root * imaginary / jnp.maximum(size, 1e-12)
    return 1.0 / (variance * within)


def low_pass_all(
    arrays: Sequence[Float[Array, "... B T"]],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> tuple[Array, ...]:
    """`low_pass` of several arrays, whatever their items, in one pass over the frames."""
    mask = mask & (cutoff_hz < 0.5 * fps)
    rows = [a.reshape(-1, *mask.shape) for a in arrays]
    noise = _noise(jnp.concatenate(rows), mask, cutoff_hz / fps)
    # Else what reads several components, a norm say, turns the axes back anew for each of them.
    noise = stored(noise)
    parts = jnp.split(noise, np.cumsum([len(row) for row in rows])[:-1])
    return tuple(a - part.reshape(a.shape) for a, part in zip(arrays, parts, strict=True))


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
    return _unit(low_pass_all(continuous(quat, mask), mask, fps, cutoff_hz), quat, mask)


def low_pass_motion(
    root_pos: Vec,
    quat: Quat,
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    cutoff_hz: Float[Array, "B 1"] | float,
) -> tuple[Vec, Quat]:
    """`low_pass` of positions and `low_pass_quat` of rotations, in one pass over the frames."""
    smooth = low_pass_all((*root_pos, *continuous(quat, mask)), mask, fps, cutoff_hz)
    return smooth[:3], _unit(smooth[3:], quat, mask)  # pyright: ignore[reportReturnType]


_FRAMES_LAST = {n: Layout(tuple(range(n))) for n in (2, 3)}


@jax.custom_jvp
def _noise(
    values: Float[Array, "C B T"], mask: Bool[Array, "B T"], cutoff: Float[Array, "B 1"]
) -> Float[Array, "C B T"]:
    """What the filter takes away, zero on padding; `cutoff` in periods a frame."""
    if values.dtype != jnp.float32:
        return _noise_xla(values, mask, cutoff)
    return pallas_or_xla(*(values, mask, cutoff), pallas=_noise_pallas, xla=_noise_xla)


@_noise.defjvp
def _noise_jvp(primals: tuple, tangents: tuple) -> tuple[Array, Array]:
    return jax.jvp(_noise_xla, primals, tangents)


def _noise_xla(values: Array, mask: Array, cutoff: Array) -> Array:
    return _by_frames(gains_of, noise_xla, values, mask, cutoff)


def _noise_pallas(values: Array, mask: Array, cutoff: Array) -> Array:
    # Else XLA lays all arrays of the program out as the kernel's are, neighbouring clips together:
    # a call of 4096 clips then takes an H100 32 ms in place of 26.
    values, mask = (with_layout_constraint(c, _FRAMES_LAST[c.ndim]) for c in (values, mask))
    noise = _by_frames(gains_pallas, noise_pallas, values, mask, cutoff)
    return with_layout_constraint(noise, _FRAMES_LAST[3])


def _by_frames(
    find_gains: Callable[[Array, Array, Array], Gains],
    noise: Callable[[Array, Gains], Array],
    values: Array,
    mask: Array,
    cutoff: Array,
) -> Array:
    """Works on arrays with frames first, so that a loop over them reads what lies together."""
    pair = _with_neighbour(mask, mask)
    bend = ((2.0 * jnp.sin(jnp.pi * cutoff)) ** 4).astype(values.dtype)  # 1 / λ, never infinite
    gains = find_gains(bend[:, 0], pair.T, _with_neighbour(pair, pair).T)
    return rearrange(noise(rearrange(values, "c b t -> t c b"), gains), "t c b -> c b t")


def _with_neighbour(here: Bool[Array, "B T"], mask: Bool[Array, "B T"]) -> Bool[Array, "B T"]:
    """Frames of `here` whose predecessor is in `mask`."""
    return here & jnp.pad(mask[:, :-1], ((0, 0), (1, 0)))


def continuous(quat: Quat, mask: Bool[Array, "B T"]) -> Quat:
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
