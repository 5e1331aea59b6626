"""Sums and means over windows of time, the same at every frame rate."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from phymotion_jax.kernels.stored import stored

_LEAST = 1e-3
"""Trusted share of a clip, for clips without frames."""


def moving_sum(
    values: Float[Array, "*items B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    seconds: float,
) -> Float[Array, "*items B T"]:
    """Sum over the window around each frame, its outer frames counted in part.

    Args:
      values: anything on frames.
      mask: real frames, which come first; the others count nothing.
      fps: frames a second.
      seconds: length of the window. At the ends of a clip only what is there counts.
    """
    total = _running_total(jnp.where(mask, values, 0.0))
    start, stop = (_at(total, end) for end in _window(mask, fps, seconds))
    return jnp.where(mask, stop - start, 0.0)


def moving_sum_of_powers(
    values: Float[Array, "B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    seconds: float,
    power: int,
) -> Float[Array, "B T"]:
    """`moving_sum` of powers, of which small ones drown in a running total: by sums of blocks of
    1, 2, 4, ... frames, of which each window has some, so that nothing is ever subtracted.

    Args as for `moving_sum`, and the power; zero on padding.
    """
    powers = jnp.where(mask, values, 0.0) ** power
    start, stop = _window(mask, fps, seconds)
    first, last = jnp.ceil(start), jnp.floor(stop)  # whole frames; the rest counts in part
    left, right = (take_frames(powers, c.astype(int)) for c in (jnp.floor(start), last))
    whole = _sum_of_blocks(powers, first.astype(int), last.astype(int))
    within_one = jnp.where(last < first, left, 0.0)
    total = whole + (first - start) * left + (stop - last) * right - within_one
    return jnp.where(mask, total, 0.0)


def _sum_of_blocks(
    values: Float[Array, "B T"], start: Int[Array, "B T"], stop: Int[Array, "B T"]
) -> Float[Array, "B T"]:
    """Sum of the frames from one to before another, by the binary digits of their number."""
    total, place, count = jnp.zeros_like(values), start, jnp.maximum(stop - start, 0)
    block = values
    for size in (1 << k for k in range(values.shape[-1].bit_length())):
        some = (count // size) % 2 == 1
        total = total + jnp.where(some, take_frames(block, place), 0.0)
        place = place + jnp.where(some, size, 0)
        block = block + jnp.pad(block[..., size:], [(0, 0), (0, size)])
        # Else each block of the next size adds up its frames anew.
        block = stored(block)
    return total


def _window(
    mask: Bool[Array, "B T"], fps: Float[Array, "B 1"], seconds: float
) -> list[Float[Array, "B T"]]:
    """Where the window around each frame begins and ends, within the clip, in frames."""
    middle = jnp.arange(mask.shape[1], dtype=fps.dtype)[None] + 0.5
    half = 0.5 * seconds * fps
    count = jnp.sum(mask, axis=1, keepdims=True).astype(fps.dtype)
    return [jnp.clip(middle + sign * half, 0.0, count) for sign in (-1.0, 1.0)]


def fading_mean(
    values: Float[Array, "*items B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    seconds: float,
) -> Float[Array, "*items B T"]:
    """Mean over a clip, in which a frame that is so many seconds away weighs 1/e.

    Args as for `moving_sum`; zero on padding.
    """
    real = jnp.broadcast_to(mask, (1, *mask.shape))
    rows = jnp.concatenate([values.reshape(-1, *mask.shape), real.astype(values.dtype)])
    rows = jnp.where(mask, rows, 0.0)
    keep = jnp.exp(-1.0 / (seconds * fps))
    before, after = _faded_total(jnp.stack([rows, rows[..., ::-1]]), keep)
    total = before + after[..., ::-1] - rows  # both have the frame itself
    mean = total[:-1] / jnp.where(mask, total[-1], 1.0)
    return jnp.where(mask, mean, 0.0).reshape(values.shape)


def _faded_total(
    values: Float[Array, "*items B T"], keep: Float[Array, "B 1"]
) -> Float[Array, "*items B T"]:
    """Sum of a frame and those before it, times `keep` for each frame of distance.

    By doubling: each step adds what the sums have that end where these begin.
    """
    length = values.shape[-1]
    for step in (1 << k for k in range((length - 1).bit_length())):
        shift = [(0, 0)] * (values.ndim - 1) + [(step, 0)]
        values = values + keep**step * jnp.pad(values[..., :-step], shift)
        # Else each frame of the result reads all that it is the sum of.
        values = stored(values)
    return values


def mean_and_worst(
    values: Float[Array, "*items B T"],
    mask: Bool[Array, "B T"],
    fps: Float[Array, "B 1"],
    seconds: float,
    sharpness: float = float("inf"),
    trust: Float[Array, "*items B T"] | None = None,
) -> tuple[Float[Array, "*items B"], Float[Array, "*items B"]]:
    """Mean over a clip, and mean over its worst window.

    A clip shorter than the window is one window. Zero for a clip without frames. With a finite
    sharpness all windows count, one that is 1 / sharpness less than the worst for 1/e of it.

    Where frames are trusted in part, and their values hold so much less, the mean is over what is
    trusted. So is a window's, as far as it is trusted as much as the clip is: one that is trusted
    less counts less, and nothing counts more for what is not trusted elsewhere.

    Args as for `moving_sum`, and:
      sharpness: of the worst window's maximum.
      trust: share of each frame that is in its value.
    """
    if trust is None:
        trust = jnp.ones_like(values)
    # In one row of items: of two a GPU turns the axes about before it gathers.
    rows = jnp.concatenate([c.reshape(-1, *mask.shape) for c in (values, trust)])
    total = _running_total(jnp.where(mask, rows, 0.0))
    count = jnp.sum(mask, axis=1, keepdims=True).astype(fps.dtype)
    length = jnp.clip(seconds * fps, 1.0, jnp.maximum(count, 1.0))
    start = jnp.arange(mask.shape[1], dtype=fps.dtype)[None]
    start = jnp.minimum(start, jnp.maximum(count - length, 0.0))
    window = (_at(total, start + length) - _at(total, start)) / length
    window, judged = window.reshape(2, *values.shape)
    mean = total[..., -1] / jnp.maximum(count[:, 0], 1.0)
    mean, judged_in_all = mean.reshape(2, *values.shape[:-1])
    judged_in_all = jnp.maximum(judged_in_all, _LEAST)
    mean = mean / judged_in_all
    window = window / jnp.maximum(judged, judged_in_all[..., None])
    if sharpness == float("inf"):
        return mean, jnp.max(window, axis=-1)
    weight = jax.nn.softmax(jnp.where(mask, sharpness * window, -jnp.inf), axis=-1)
    return mean, jnp.sum(jnp.where(mask, weight * window, 0.0), axis=-1)


def _running_total(values: Float[Array, "*items B T"]) -> Float[Array, "*items B N"]:
    """Sums of what comes before each frame, N = T + 1."""
    zero = jnp.zeros_like(values[..., :1])
    return jnp.concatenate([zero, jnp.cumsum(values, axis=-1)], axis=-1)


def _at(total: Float[Array, "*items B N"], place: Float[Array, "B T"]) -> Array:
    """A running total between frames, by a straight line."""
    below = jnp.clip(jnp.floor(place).astype(int), 0, total.shape[-1] - 2)
    low, high = (take_frames(total, below + k) for k in (0, 1))
    return low + (high - low) * (place - below)


def take_frames(values: Shaped[Array, "*items B N"], frame: Int[Array, "B T"]) -> Array:
    """Of each clip's values those on some of its frames: ``(*items, B, T)``.

    The last one for frames past it. One operation of the program where `jnp.take_along_axis`, which
    also counts from the end, is thirty.
    """
    items = values.ndim - 2
    numbers = jax.lax.GatherDimensionNumbers(
        offset_dims=tuple(range(items)),
        collapsed_slice_dims=(items + 1,),
        start_index_map=(items + 1,),
        operand_batching_dims=(items,),
        start_indices_batching_dims=(0,),
    )
    sizes = (*values.shape[:items], 1, 1)
    return jax.lax.gather(values, frame[..., None], numbers, slice_sizes=sizes, mode="clip")
