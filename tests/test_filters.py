"""Low-pass filters: against dense algebra and scipy's Butterworth, and the laws of a filter."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.filters import (
    end_share,
    gain,
    low_pass,
    low_pass_all,
    low_pass_motion,
    low_pass_quat,
)

FPS = np.array([30.0, 60.0, 120.0, 240.0])  # one a clip
CUTOFF = 6.0  # hertz, the field's habit for walking
C, B, T = 5, len(FPS), 240  # one shape for all, so that each function is compiled once
TIME = np.arange(T)[None] / FPS[:, None]
ALL = np.ones((B, T), bool)
MIDDLE = slice(T // 2 - 5, T // 2 + 5)

ROUNDING = 4 * 2.0**-24
"""Of the largest value: one rounding where y − x is subtracted, and a few smaller ones in it."""

FROM_THE_ENDS = 1e-5
"""What the ends do to the middle of a clip: exp(−d / √2) at d = 2π 6 Hz · 0.5 s radians of the
cut-off, its least, at 240 fps."""

SINE_FOR_TANGENT = 0.01
"""Of the root mean square acceleration at 120 fps, filtered by Butterworth: its gain has a tangent
where ours has a sine, so that of white noise it takes away more near half the frame rate."""

COARSE_RATE = 0.01
"""Of the amplitude: the gain at 2.5 Hz is 0.964 at 30 fps and 0.971 at any high rate, since the
sine of the cut-off, not the cut-off itself, sets it."""

filtered, turned = jax.jit(low_pass), jax.jit(low_pass_quat)


def kept(frequency, fps, cutoff=CUTOFF) -> np.ndarray:
    """The kernel's own gain."""
    return np.asarray(gain(*(jnp.asarray(x) for x in (frequency, fps, cutoff))))


def column(per_clip, dtype: type = np.float32):
    return jnp.broadcast_to(jnp.asarray(per_clip, dtype), (B,))[:, None]


def run(values, mask=ALL, cutoff=CUTOFF, fps=FPS) -> np.ndarray:
    """Filter (C, B, T) in float32; the answer in float64."""
    values = jnp.asarray(values, jnp.float32)
    return np.asarray(filtered(values, mask, column(fps), column(cutoff)), np.float64)


def quats(rotation: Rotation, sign=1.0) -> Any:
    """Components (C, B, T) of C·B·T rotations, or of one for all."""
    array = rotation.as_quat(scalar_first=True)
    array = array.reshape(C, B, T, 4) if array.ndim > 1 else array
    array = sign * np.broadcast_to(array, (C, B, T, 4))
    return tuple(jnp.asarray(array[..., k], jnp.float32) for k in range(4))


def run_quat(quat, mask=ALL, cutoff=CUTOFF) -> np.ndarray:
    """Filter quaternions of components (C, B, T) to (C, B, T, 4)."""
    got = turned(quat, mask, column(FPS), column(cutoff))
    return np.stack([np.asarray(c, np.float64) for c in got], axis=-1)


def walk(rng, noise=2e-3) -> np.ndarray:
    """Positions (C, B, T) in metres, 5 m from the origin: a sway, a path, and noise, as float32."""
    phase = rng.uniform(0.0, 2.0 * np.pi, (2, C, B, 1))
    sway = 0.3 * np.sin(9.0 * TIME + phase[0]) + 0.05 * np.sin(30.0 * TIME + phase[1])
    value = 5.0 + 0.5 * TIME + sway + noise * rng.normal(size=(C, B, T))
    return value.astype(np.float32).astype(np.float64)


def wobble(rng, size=1.0) -> Rotation:
    """Smooth turns with noise, C·B·T of them."""
    vector = size * (walk(rng, 0.02)[None] - 5.0) * rng.normal(size=(3, C, B, 1))
    return Rotation.from_rotvec(vector.reshape(3, -1).T)


def dense(values, mask, cutoff, fps=FPS):
    """The normal equations of each clip, padding's own rows struck out, solved in float64."""
    want = values.copy()
    for b in range(B):
        bends = np.diff(np.eye(T), 2, axis=0)
        bends = bends[mask[b, 2:] & mask[b, 1:-1] & mask[b, :-2]]
        weight = (2.0 * np.sin(np.pi * np.broadcast_to(cutoff, B)[b] / fps[b])) ** -4
        matrix = (np.eye(T) + weight * bends.T @ bends)[np.ix_(mask[b], mask[b])]
        want[:, b, mask[b]] = np.linalg.solve(matrix, values[:, b, mask[b]].T).T
    return want


def assert_rounding(got, want, values):
    """Equal to the roundings of the largest value."""
    np.testing.assert_allclose(got, want, rtol=0.0, atol=ROUNDING * np.nanmax(np.abs(values)))


def some(*frames) -> np.ndarray:
    return np.isin(np.arange(T), frames)


MASKS = {
    "no padding": ALL,
    "padding": np.arange(T)[None] < np.array([[T], [170], [31], [4]]),
    "runs of one to three": np.stack([some(0), some(4, 5), some(T - 1), some(7, 8, 9)]),
    "holes": ~some(0, 7, 8, 10, 12, 15, 16, 20, 120, T - 1)[None] & ALL,
    "nothing": ~ALL,
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("cutoff", [CUTOFF, np.array([14.0, 1.0, 2.0, 1.0])], ids=["6 Hz", "other"])
def test_solves_the_normal_equations(mask, cutoff, rng):
    """Any mask, four frame rates, λ of 0.06 to 2e6; what is masked holds NaN and comes out."""
    values = np.where(mask, walk(rng), np.nan)
    got = run(values, mask, cutoff)
    if mask.any():
        assert_rounding(got[:, mask], dense(values, mask, cutoff)[:, mask], values)
    assert np.isnan(got[:, ~mask]).all()


def test_gain():
    """In the middle of a clip waves keep their phase; the gain is the formula's, a half at 6 Hz."""
    assert kept(CUTOFF, FPS) == pytest.approx(0.5)
    assert kept(20.0, 30.0, 15.0) == 1.0  # nothing is taken away
    frequency = np.array([0.5, 3.0, CUTOFF, 9.0, 14.0])[:, None, None]
    wave = np.sin(2.0 * np.pi * frequency * TIME + 0.7)
    want = kept(frequency, FPS[:, None]) * wave
    np.testing.assert_allclose(run(wave)[..., MIDDLE], want[..., MIDDLE], atol=FROM_THE_ENDS)


@pytest.mark.parametrize("cutoff", [CUTOFF, 12.0])
def test_share_that_is_left_at_an_end(cutoff):
    """Of an impulse on a clip's first or last frame, beside one in its middle, by dense algebra."""
    impulse, middle = np.zeros((C, B, T)), T // 2
    for k, t in enumerate((0, T - 1, middle)):
        impulse[k, :, t] = 1.0
    taken = impulse - dense(impulse, ALL, cutoff)
    want = taken[0, :, 0] / taken[2, :, middle]
    np.testing.assert_allclose(taken[1, :, -1] / taken[2, :, middle], want, rtol=FROM_THE_ENDS)
    got = end_share(jnp.asarray(FPS, jnp.float32), jnp.float32(cutoff))
    np.testing.assert_allclose(got, want, rtol=FROM_THE_ENDS)


def test_straight_lines_pass(rng):
    """Up to the ends, for any cut-off; so does a body at rest, to the last digit."""
    start, speed = 5.0 * rng.normal(size=(2, C, B, 1))
    line = (start + speed * TIME).astype(np.float32)
    for cutoff in (1.0, CUTOFF):
        assert_rounding(run(line, cutoff=cutoff), line, line)
    rest = np.broadcast_to(line[..., :1], line.shape)
    np.testing.assert_array_equal(run(rest), rest)


def test_cutoff_of_zero_is_the_regression_line(rng):
    values = walk(rng)
    got = run(values, cutoff=0.0)
    for b in range(B):
        line = np.polynomial.polynomial.polyfit(TIME[b], values[:, b].T, 1)
        want = np.polynomial.polynomial.polyval(TIME[b], line)
        assert_rounding(got[:, b], want, values)


def test_nothing_to_take_away_at_half_the_frame_rate(rng):
    """Clip by clip: 15 Hz is half of 30 fps and not of 60, and says nothing of 120 or 240."""
    values = walk(rng)
    got = run(values, cutoff=15.0)
    np.testing.assert_array_equal(got[:, 0], values[:, 0])
    assert (np.abs(got[:, 1:] - values[:, 1:]).max(axis=(0, 2)) > 1e-4).all()
    np.testing.assert_array_equal(run(values, cutoff=1000.0), values)


def test_short_runs(rng):
    """One or two frames come out as they are; three lose their bend by the closed form."""
    mask = np.stack([some(3), some(3, 4), some(3, 4, 5), some(3)])
    values = walk(rng, noise=0.1)
    got = run(values, mask)
    np.testing.assert_array_equal(got[:, [0, 1, 3]], values[:, [0, 1, 3]])
    weight = (2.0 * np.sin(np.pi * CUTOFF / FPS[2])) ** -4
    bend = np.diff(values[:, 2, 3:6], 2) * np.array([1.0, -2.0, 1.0])
    want = values[:, 2, 3:6] - weight / (1.0 + 6.0 * weight) * bend
    assert_rounding(got[:, 2, 3:6], want, values)


def test_a_clip_is_itself_alone_or_padded_or_among_others(rng):
    values, length = walk(rng), 100
    mask = ALL & (np.arange(T) < length)
    padded = run(np.where(mask, values, np.nan), mask)
    for b in range(B):
        alone = run(np.repeat(values[:, b : b + 1], B, axis=1), mask, fps=np.full(B, FPS[b]))
        assert_rounding(alone[:, 0, :length], padded[:, b, :length], values)
    short = filtered(
        jnp.asarray(values[:, 1:2, :length], jnp.float32),
        jnp.ones((1, length), bool),
        column(FPS)[1:2],
        column(CUTOFF)[1:2],
    )
    assert_rounding(np.asarray(short)[:, 0], padded[:, 1, :length], values)


@pytest.mark.parametrize("other", [3.0, np.nan], ids=["a number", "NaN"])
def test_neither_a_gap_nor_a_clip_is_seen_across(other, rng):
    """Whatever lies before or after a gap of one frame, in another clip or another channel."""
    values, mask = walk(rng), ALL & ~some(100)
    before = run(values, mask)
    changed = values.copy()
    changed[0, :, 101:] = other
    changed[1, :, :100] = other
    changed[:, 2] = other
    after = run(changed, mask)
    for part in (np.s_[0, :, :100], np.s_[1, :, 101:], np.s_[2:]):
        was, now = (np.delete(x[part], 2, axis=-2) for x in (before, after))
        np.testing.assert_array_equal(was, now)


def test_frame_rates_agree():
    """One motion sampled at 30, 60, 120 and 240 fps: the same answer at the same moments."""
    value = np.sin(2.0 * np.pi * np.array([0.5, 1.0, 1.5, 2.0, 2.5])[:, None, None] * TIME + 0.3)
    mask = TIME < 1.0
    got = run(np.where(mask, value, np.nan), mask)
    moments = [got[:, b, :: round(fps / 30.0)][:, 10:20] for b, fps in enumerate(FPS)]
    for moment in moments[:-1]:
        np.testing.assert_allclose(moment, moments[-1], atol=COARSE_RATE)


def test_accelerations_are_butterworths(rng):
    """Of a noisy sway at 120 fps, away from the ends, which scipy pads and we do not."""
    values = walk(rng)[:, 2]
    got = np.diff(run(np.repeat(values[:, None], B, axis=1), fps=np.full(B, 120.0))[:, 0], 2)
    butterworth = signal.butter(2, CUTOFF, fs=120.0, output="sos")
    want = np.diff(signal.sosfiltfilt(butterworth, values), 2)
    inner = slice(60, -60)
    size = np.sqrt(np.mean(want[:, inner] ** 2))
    assert np.sqrt(np.mean((got - want)[:, inner] ** 2)) < SINE_FOR_TANGENT * size


def test_float32_is_enough(rng):
    """At 240 fps, 5 m away, for cut-offs down to 0.2 Hz: float32 is float64 to its roundings."""
    values = walk(rng)
    for cutoff in (CUTOFF, 1.0, 0.2):
        with jax.enable_x64(True):
            columns = column(240.0, np.float64), column(cutoff, np.float64)
            want = np.asarray(filtered(jnp.asarray(values, np.float64), ALL, *columns))
        assert want.dtype == np.float64
        assert_rounding(run(values, cutoff=cutoff, fps=np.full(B, 240.0)), want, values)


def test_gradient_is_the_filter_itself(rng):
    """The matrix is symmetric; padding, NaN or not, gets back what was asked of it, no more."""
    mask = MASKS["holes"] & MASKS["padding"]
    values, weight = np.where(mask, walk(rng), np.nan), rng.normal(size=(C, B, T))

    @jax.jit
    def total(values):
        smooth = low_pass(values, jnp.asarray(mask), column(FPS), CUTOFF)
        return jnp.sum(jnp.where(mask, weight * smooth, 0.0))

    slope = np.asarray(jax.grad(total)(jnp.asarray(values, jnp.float32)))
    want = run(np.where(mask, weight, 0.0), mask)
    assert_rounding(slope, want, weight)
    assert (slope[:, ~mask] == 0.0).all()


def test_one_program_for_all_rates_masks_and_cutoffs(rng):
    values = jnp.asarray(walk(rng), jnp.float32)
    traced = jax.jit(chex.assert_max_traces(low_pass, n=1))
    for fps, cutoff in ((FPS, 6.0), (FPS + 1.0, 100.0)):
        for mask in MASKS.values():
            traced(values, mask, column(fps), column(cutoff))


def test_several_arrays_are_filtered_as_each_alone(rng):
    """Of different leading axes; a motion is its positions and its rotations."""
    values, mask = jnp.asarray(walk(rng), jnp.float32), MASKS["holes"]
    settings = mask, column(FPS), column(CUTOFF)
    want = np.asarray(filtered(values, *settings))
    got = jax.jit(low_pass_all)([values[0], values[1:].reshape(2, 2, B, T)], *settings)
    assert_rounding(got[0], want[0], values)
    assert_rounding(got[1], want[1:].reshape(2, 2, B, T), values)
    quat = quats(wobble(rng), rng.choice([-1.0, 1.0], (C, B, T, 1)))
    root, turns = jax.jit(low_pass_motion)(tuple(values[:3]), quat, *settings)
    assert_rounding(np.stack(root), want[:3], values)
    assert_rounding(np.stack(turns, axis=-1), run_quat(quat, mask), 1.0)


def test_rotations_are_unit_and_smoother(rng):
    """A clip begins with the sign it was given; accelerations lose most of their noise."""
    turn = wobble(rng)
    got = run_quat(quats(turn))
    np.testing.assert_allclose(np.linalg.norm(got, axis=-1), 1.0, atol=ROUNDING)
    given = np.stack(quats(turn), axis=-1)
    assert (np.sum(got[:, :, 0] * given[:, :, 0], axis=-1) > 0.0).all()
    rough, smooth = (np.abs(np.diff(q[:, 1:], 2, axis=2)).mean() for q in (given, got))
    assert smooth < 0.2 * rough


def test_both_signs_are_one_rotation(rng):
    """Flip any real frames: the answer is the same but for one sign a run, here the first's."""
    turn = wobble(rng)
    sign = rng.choice([-1.0, 1.0], (C, B, T, 1))
    want = sign[:, :, :1] * run_quat(quats(turn))
    np.testing.assert_array_equal(run_quat(quats(turn, sign)), want)


def test_turning_the_world_commutes(rng):
    """Before the rotation or after it, in every frame the same."""
    turn, world, bone = wobble(rng), *(Rotation.from_quat(q) for q in rng.normal(size=(2, 4)))
    got = run_quat(quats(world * turn * bone)).reshape(-1, 4)
    want = Rotation.from_quat(run_quat(quats(turn)).reshape(-1, 4), scalar_first=True)
    again = (world * want * bone).as_quat(scalar_first=True)
    # scipy picks the sign of a product as it likes.
    again *= np.sign(np.sum(again * got, axis=1, keepdims=True))
    assert_rounding(got, again, 1.0)


def test_constant_and_steady_rotations_stay(rng):
    """A rest to the ends, a spin about one axis in the middle: normalising undoes the gain."""
    rest = quats(Rotation.from_quat(rng.normal(size=4)))
    assert_rounding(run_quat(rest), np.stack(rest, axis=-1), 1.0)
    axis = rng.normal(size=3)
    spin = quats(Rotation.from_rotvec(np.outer(4.0 * np.tile(TIME, (C, 1, 1)), axis)))
    got = run_quat(spin)[:, :, MIDDLE]
    cosine = np.sum(got * np.stack(spin, axis=-1)[:, :, MIDDLE], axis=-1)
    np.testing.assert_allclose(np.abs(cosine), 1.0, atol=ROUNDING)


def test_rotations_of_padding_come_out_as_they_are(rng):
    """NaN included; its gradient is finite, and so is everyone else's."""
    mask = MASKS["padding"]
    quat: Any = tuple(jnp.where(mask, c, jnp.nan) for c in quats(wobble(rng)))
    got = run_quat(quat, mask)
    assert np.isnan(got[:, ~mask]).all()
    assert np.isfinite(got[:, mask]).all()

    @jax.jit
    def total(quat):
        smooth = low_pass_quat(quat, jnp.asarray(mask), column(FPS), CUTOFF)
        return sum(jnp.sum(jnp.where(mask, c, 0.0) ** 3) for c in smooth)

    slope = np.stack(jax.grad(total)(quat))
    assert np.isfinite(slope).all()
    assert (slope[:, :, ~mask] == 0.0).all()
