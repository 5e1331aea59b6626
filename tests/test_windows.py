"""Windows of time against loops over fine time, and the laws of every score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.kernels.windows import (
    fading_mean,
    mean_and_worst,
    moving_sum,
    moving_sum_of_powers,
    take_frames,
)

LENGTH, WINDOW_S = 40, 0.5
ATOL = 1e-5  # float32 differences of running totals of 40 numbers under 1
POWER_RTOL = 3e-6  # eight float32 products, and some sums

sums = jax.jit(moving_sum, static_argnums=3)
powers = jax.jit(moving_sum_of_powers, static_argnums=(3, 4))
means = jax.jit(mean_and_worst, static_argnums=3)
fading = jax.jit(fading_mean, static_argnums=3)


def batch(rng, *lengths, fps=(20.0, 30.0, 17.0)):
    """Random frames with NaN for padding."""
    values = rng.random((len(lengths), LENGTH)).astype(np.float32)
    mask = np.arange(LENGTH) < np.array(lengths)[:, None]
    rates = np.array(fps[: len(lengths)], np.float32)[:, None]
    return np.where(mask, values, np.nan), mask, rates


def overlap(start, stop, n):
    """How much of each of n frames, one unit long, lies between two moments."""
    frames = np.arange(n)
    return np.clip(np.minimum(frames + 1, stop) - np.maximum(frames, start), 0.0, 1.0)


def test_moving_sum_against_loops(rng):
    values, mask, fps = batch(rng, 40, 25, 3)
    got = sums(jnp.asarray(values), mask, fps, WINDOW_S)
    for row, (clip, here, rate) in enumerate(zip(values, mask, fps[:, 0], strict=True)):
        count, half = int(here.sum()), 0.5 * WINDOW_S * rate
        want = [overlap(t + 0.5 - half, t + 0.5 + half, count) @ clip[:count] for t in range(count)]
        np.testing.assert_allclose(got[row, :count], want, atol=ATOL)
        assert (np.asarray(got[row, count:]) == 0.0).all()


def test_moving_sum_of_powers_against_loops(rng):
    """Of numbers from 1 down to a thousandth, whose eighth powers are 24 digits apart, after a long
    stretch of ones: each sum is right to its own last digits. The last clip's window is less than a
    frame."""
    values, mask, fps = batch(rng, 40, 25, 3, 40, fps=(20.0, 30.0, 17.0, 1.5))
    values = (values * 10.0 ** rng.integers(-3, 1, values.shape)).astype(np.float32)
    values[:, :12] = np.where(mask[:, :12], 1.0, np.nan)
    got = powers(jnp.asarray(values), mask, fps, WINDOW_S, 8)
    for row, (clip, here, rate) in enumerate(zip(values, mask, fps[:, 0], strict=True)):
        count, half = int(here.sum()), 0.5 * WINDOW_S * rate
        terms = clip[:count].astype(float) ** 8
        want = [overlap(t + 0.5 - half, t + 0.5 + half, count) @ terms for t in range(count)]
        np.testing.assert_allclose(got[row, :count], want, rtol=POWER_RTOL)
        assert (np.asarray(got[row, count:]) == 0.0).all()


@pytest.mark.parametrize("items", [(), (2,), (2, 5)])
def test_frames_are_taken_clip_by_clip(items, rng):
    values, frame = rng.random((*items, 3, LENGTH)), rng.integers(0, LENGTH, (3, 7))
    want = np.take_along_axis(values, np.broadcast_to(frame, (*items, 3, 7)), axis=-1)
    np.testing.assert_array_equal(take_frames(jnp.asarray(values), frame), want.astype(np.float32))


def test_mean_and_worst_against_loops(rng):
    values, mask, fps = batch(rng, 40, 25, 3)
    mean, worst = means(jnp.asarray(values), mask, fps, WINDOW_S)
    for row, (padded, here, rate) in enumerate(zip(values, mask, fps[:, 0], strict=True)):
        clip = padded[: here.sum()]
        length = min(WINDOW_S * rate, len(clip))
        starts = [min(t, len(clip) - length) for t in range(len(clip))]
        want = max(overlap(s, s + length, len(clip)) @ clip / length for s in starts)
        np.testing.assert_allclose(mean[row], clip.mean(), atol=ATOL)
        np.testing.assert_allclose(worst[row], want, atol=ATOL)


def test_what_is_not_trusted_drops_out(rng):
    """Of the mean, and of windows that are trusted as much as the clip; others count less."""
    values, mask, fps = batch(rng, 40, 25, 3)
    trust = np.where(rng.random(values.shape) < 0.3, 0.3, 1.0)
    trusted = [jnp.asarray(x) for x in (trust * values, trust)]
    real, rate = jnp.asarray(mask), jnp.asarray(fps)
    mean, worst = mean_and_worst(trusted[0], real, rate, WINDOW_S, trust=trusted[1])
    for row, (padded, here, rate) in enumerate(zip(values, mask, fps[:, 0], strict=True)):
        clip, share = padded[: here.sum()], trust[row, : here.sum()]
        length = min(WINDOW_S * rate, len(clip))
        starts = [min(t, len(clip) - length) for t in range(len(clip))]
        weights = [overlap(s, s + length, len(clip)) / length for s in starts]
        want = max(w @ (share * clip) / max(w @ share, share.mean()) for w in weights)
        np.testing.assert_allclose(mean[row], np.average(clip, weights=share), atol=ATOL)
        np.testing.assert_allclose(worst[row], want, atol=ATOL)


def test_fading_mean_against_weights(rng):
    values, mask, fps = batch(rng, 40, 25, 3)
    got = fading(jnp.asarray([values, -values]), mask, fps, WINDOW_S)
    for row, (padded, here, rate) in enumerate(zip(values, mask, fps[:, 0], strict=True)):
        frame = np.arange(here.sum())
        weight = np.exp(-np.abs(frame[:, None] - frame) / (WINDOW_S * rate))
        want = weight @ padded[: len(frame)] / weight.sum(axis=1)
        np.testing.assert_allclose(got[0, row, : len(frame)], want, atol=ATOL)
        assert (np.asarray(got[0, row, len(frame) :]) == 0.0).all()
    np.testing.assert_array_equal(got[1], -got[0])


def test_fading_mean_of_one_frame():
    one = jnp.full((1, 1), 3.0)
    assert fading(one, jnp.ones((1, 1), bool), jnp.full((1, 1), 30.0), WINDOW_S) == 3.0


def test_soft_worst_window_lies_between_mean_and_worst(rng):
    """Of windows, the last of which are the same at a clip's end; near the worst where it is far
    above the others."""
    values, mask, fps = batch(rng, 40, 25, 3)
    frames, real, rate = (jnp.asarray(x) for x in (values, mask, fps))
    soft = mean_and_worst(frames, real, rate, WINDOW_S, 20.0)[1]
    hard = mean_and_worst(frames, real, rate, WINDOW_S)[1]
    assert (np.asarray(soft) <= np.asarray(hard) + ATOL).all()
    assert (np.asarray(soft) > np.asarray(hard) - 0.15).all()
    burst = jnp.zeros((1, LENGTH)).at[0, 10:25].set(1.0)
    whole = jnp.ones((1, LENGTH), bool)
    sharp = mean_and_worst(burst, whole, jnp.full((1, 1), 20.0), WINDOW_S, 50.0)[1]
    assert sharp[0] == pytest.approx(1.0, abs=0.01)


def test_constant_and_empty():
    mask = jnp.arange(LENGTH) < jnp.array([[30], [0]])
    mean, worst = means(jnp.full((2, LENGTH), 0.7), mask, jnp.full((2, 1), 30.0), WINDOW_S)
    np.testing.assert_allclose(mean, [0.7, 0.0], atol=ATOL)
    np.testing.assert_allclose(worst, [0.7, 0.0], atol=ATOL)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0, 120.0])
def test_frame_rate_drops_out(fps):
    """A violation of 0.4 s in 2 s: the worst half second holds all of it."""
    times = (np.arange(round(2 * fps)) + 0.5) / fps
    values = ((times > 0.8) & (times < 1.2)).astype(np.float32)[None]
    mask = jnp.ones(values.shape, bool)
    mean, worst = mean_and_worst(jnp.asarray(values), mask, jnp.full((1, 1), fps), WINDOW_S)
    np.testing.assert_allclose(mean[0], 0.2, atol=ATOL)
    np.testing.assert_allclose(worst[0], 0.8, atol=ATOL)


def test_gradient_is_finite_on_padding(rng):
    values, hole, rates = batch(rng, 40, 25, 3)
    mask, fps = jnp.asarray(hole), jnp.asarray(rates)

    def loss(x):
        mean, worst = mean_and_worst(x, mask, fps, WINDOW_S)
        return jnp.sum(mean + worst) + jnp.sum(moving_sum(x, mask, fps, WINDOW_S))

    gradient = np.asarray(jax.grad(loss)(jnp.asarray(values)))
    assert np.isfinite(gradient).all()
    assert (gradient[~hole] == 0.0).all()
