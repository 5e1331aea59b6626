"""Ramps and soft maxima of the `physical` preset, and what jitter is taken for."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import body_index
from phymotion_jax.physical.dynamic import torque, torque_levels
from phymotion_jax.physical.ramps import ramp, worst
from phymotion_jax.physical.roughness import roughness
from phymotion_jax.presets import PHYSICAL, Ramp

LIMITS = Ramp(2.0, 4.0)
OUT_OF_UNIT = 1e-6
"""Of numbers in [0, 1], in float32."""


@pytest.mark.parametrize("smooth", [False, True], ids=["sharp", "smooth"])
def test_ramp_rises_from_nothing_to_one(smooth):
    value = jnp.linspace(-2.0, 8.0, 201)
    got = np.asarray(ramp(value, LIMITS, smooth))
    assert (
        (np.diff(got) > -OUT_OF_UNIT).all() and got.min() >= 0.0 and got.max() < 1.0 + OUT_OF_UNIT
    )
    assert got[0] < 1e-6 and got[-1] > 1.0 - 1e-6
    assert ramp(jnp.array(3.0), LIMITS, smooth) == pytest.approx(0.5, abs=1e-3)


def test_smooth_ramp_is_near_the_sharp_one_and_has_a_slope_everywhere():
    value = jnp.linspace(1.0, 5.0, 101)
    apart = np.abs(ramp(value, LIMITS, True) - ramp(value, LIMITS, False))
    assert apart.max() == pytest.approx(np.log(2.0) / 10.0, abs=1e-3)  # at the bends
    slope = jax.vmap(jax.grad(lambda x: ramp(x, LIMITS, True)))(value)
    assert (np.asarray(slope) > 0.0).all()


def test_soft_maximum(rng):
    """Between the mean and the maximum, and near the latter where one row stands out."""
    rows = jnp.asarray(rng.random((7, 3, 5)), jnp.float32)
    soft, hard = np.asarray(worst(rows, True)), np.asarray(worst(rows, False))
    np.testing.assert_array_equal(hard, np.max(rows, axis=0))
    assert (soft <= hard + OUT_OF_UNIT).all() and (soft >= np.mean(rows, axis=0)).all()
    alone = jnp.zeros((7, 1, 1)).at[3].set(0.5)
    assert worst(alone, True)[0, 0] == pytest.approx(0.5, rel=1e-3)


KNEE, ANKLE, HIP = (body_index(f"left_{joint}") - 1 for joint in ("knee", "ankle", "hip"))


def loaded(x, y=0.0) -> Any:
    """A scene of one frame in which every joint has a moment about its x and its y, in N·m/kg."""
    mass = 70.0
    moment = tuple(jnp.full((24, 1, 1), mass * c) for c in (x, y, 0.0))
    state = SimpleNamespace(weight=jnp.full((1, 1), mass * 9.81))
    return SimpleNamespace(state=state, loads=SimpleNamespace(moment=moment))


@pytest.mark.parametrize(
    ("joint", "x", "soft", "hard"),
    [
        (KNEE, 1.0, 1.8, 3.5),
        (KNEE, -1.0, 3.5, 5.5),
        (ANKLE, -1.0, 1.0, 2.0),
        (ANKLE, 1.0, 3.2, 5.0),
    ],
)
def test_knees_extend_and_ankles_push_more_than_they_pull(joint, x, soft, hard):
    """The limits of the table by direction: LIMITS of knee flexion and extension."""
    levels = torque_levels(loaded(x), Humanoid.from_betas())
    assert levels[0][joint, 0, 0] == pytest.approx(1.0 / soft, rel=1e-5)
    assert levels[1][joint, 0, 0] == pytest.approx(1.0 / hard, rel=1e-5)
    halfway = torque(loaded(x * (soft + hard) / 2.0), Humanoid.from_betas(), PHYSICAL)
    assert halfway.by_row[joint, 0, 0] == pytest.approx(0.5, abs=1e-3)


def test_torque_between_two_axes_has_a_limit_between_theirs():
    level = torque_levels(loaded(1.0, 1.0), Humanoid.from_betas())[0]
    assert level[KNEE, 0, 0] == pytest.approx(np.hypot(1.0 / 1.8, 1.0 / 3.5), rel=1e-5)
    assert level[HIP, 0, 0] == pytest.approx(np.sqrt(2.0) / 3.5, rel=1e-5)


NOISE_M, FRAMES = 5e-3, 4000
NOISE_RTOL = 0.05
"""Of the root mean square of 4000 numbers, a few tenths of which are independent."""


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_force_of_jitter_is_foretold(fps, rng):
    """White noise of a pelvis, through scipy's solution of the low-pass: the acceleration left."""
    noise = NOISE_M * rng.standard_normal((3, 1, 1, FRAMES))
    root: Any = tuple(jnp.asarray(c, jnp.float32) for c in noise)
    still: Any = tuple(
        jnp.broadcast_to(jnp.float32(c), (24, 1, FRAMES)) for c in (1.0, 0.0, 0.0, 0.0)
    )
    rate, cutoff = jnp.full((1, 1), fps), jnp.full((1, 1), 5.0)
    mask = jnp.ones((1, FRAMES), bool)
    found = roughness(root, still, mask, rate, still, (rate, cutoff), PHYSICAL)
    weight = (2.0 * np.sin(np.pi * 5.0 / fps)) ** -4
    turn = 2.0 * np.pi * np.fft.rfftfreq(FRAMES)
    gain = 1.0 / (1.0 + weight * (2.0 * np.sin(0.5 * turn)) ** 4)
    smooth = np.fft.irfft(gain * np.fft.rfft(noise[:, 0, 0]), FRAMES)
    bend = signal.convolve(smooth, [[1.0, -2.0, 1.0]], mode="valid") * fps**2
    want = np.sqrt(np.mean(np.sum(bend**2, axis=0))) / 9.81
    middle = np.asarray(found.force_noise)[0, 100:-100]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(want, rel=NOISE_RTOL)
    place = np.sqrt(np.mean(np.sum(smooth**2, axis=0)))
    assert np.sqrt(np.mean(np.asarray(found.place_noise)[0] ** 2)) == pytest.approx(
        place, rel=NOISE_RTOL
    )


def test_what_takes_nothing_away_foretells_nothing(rng):
    """At a cut-off of Nyquist's frequency no jitter is seen, and none is made up, or NaN."""
    root: Any = tuple(jnp.asarray(c, jnp.float32) for c in rng.standard_normal((3, 1, 1, 60)))
    still: Any = tuple(jnp.broadcast_to(jnp.float32(c), (24, 1, 60)) for c in (1.0, 0.0, 0.0, 0.0))
    rate = jnp.full((1, 1), 30.0)
    preset = replace(PHYSICAL, artefact_hz=15.0, cutoff_share=0.5)
    mask = jnp.ones((1, 60), bool)
    found = roughness(root, still, mask, rate, still, (rate, 0.5 * rate), preset)
    assert (np.asarray(found.force_noise) == 0.0).all()
    assert (np.asarray(found.place_noise) == 0.0).all()
