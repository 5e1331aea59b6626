"""The demo clips: clean ones score high, twins fall where they are broken, forces balance."""

import jax
import numpy as np
import pytest

from phymotion_jax.assets import demo_clips
from phymotion_jax.assets.make_demo_clips import (
    MASS_KG,
    MOTIONS,
    TWINNED,
    TWINS,
    make_clip,
)
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.io.load import load_motion
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import PAPER
from phymotion_jax.scorer import Scorer
from phymotion_jax.state import moving_body, rest_padding

CLEAN_REWARD = {"stand": 0.99, "squat": 0.98, "walk": 0.96, "fall": 0.93}
"""Lower bounds; measured 1.000, 0.993, 0.977 and 0.948 (a fall is out of balance, and slides)."""

BROKEN_PART = {
    "floating": "con.float",
    "sinking": "con.ground_penetration",
    "skating": "con.slip",
}
PART_RISE = {"con.float": 0.35, "con.ground_penetration": 0.35, "con.slip": 0.5}
"""A third of the clip floats or sinks; the smallest rise measured is 0.38, of slip 0.57."""
REWARD_FALL = 0.015
"""One part of four of one axis of three: 0.38 / 12 is 0.03, less what the twin's lift takes from
the walk's own slip."""

FORCE_TOLERANCE = 0.001
"""Body weights, after a window of a third of a second: values in the file are rounded to 2^-15 m,
which second differences at 30 fps multiply by 900 (0.003 body weights a frame). Measured 0.0003."""

REPEAT_TOLERANCE = 0.01
"""Metres and radians. Other versions of MuJoCo solve contacts in another order, and what follows
differs; the control brings the body back to its plan."""

MAX_BYTES = 300_000


@pytest.fixture(scope="module")
def motions():
    return {path.stem: load_motion(path) for path in demo_clips()}


@pytest.fixture(scope="module")
def scores(motions):
    """Parts and reward of every clip, from one call."""
    batch = MotionBatch.from_motions(list(motions.values()), length=128)
    report = Scorer("paper")(batch).on_host()
    assert report.valid.all()
    rows = zip(report.reward, *(report.parts[part] for part in PAPER.parts), strict=True)
    names = ("reward", *PAPER.parts)
    return {
        clip: dict(zip(names, row, strict=True)) for clip, row in zip(motions, rows, strict=True)
    }


def test_every_motion_and_twin_is_there():
    wanted = [*MOTIONS, *(f"{name}_{ending}" for name in TWINNED for ending in TWINS)]
    paths = demo_clips()
    assert [path.stem for path in paths] == sorted(wanted)
    assert sum(path.stat().st_size for path in paths) < MAX_BYTES
    for path in paths:
        with np.load(path, allow_pickle=False) as clip:
            assert len(clip["poses"]) == len(clip["trans"]) <= 128
            assert ("grf_N" in clip) == (path.stem in MOTIONS)


@pytest.mark.parametrize("name", MOTIONS)
def test_clean_clips_score_high(name, scores):
    found = scores[name]
    assert found["reward"] > CLEAN_REWARD[name]
    assert found["con.float"] == found["kin.velocity"] == found["kin.joint_limit"] == 0.0
    assert found["kin.self_penetration"] == 0.0
    assert found["con.ground_penetration"] < 0.05


@pytest.mark.parametrize("name", TWINNED)
@pytest.mark.parametrize("ending", TWINS)
def test_twins_fall_where_they_are_broken(name, ending, scores):
    part = BROKEN_PART[ending]
    clean, twin = scores[name], scores[f"{name}_{ending}"]
    assert twin[part] - clean[part] > PART_RISE[part]
    assert clean["reward"] - twin["reward"] > REWARD_FALL


def test_maker_repeats_itself():
    """The committed file is what the maker makes, for the clip that is made fastest."""
    path = next(path for path in demo_clips() if path.stem == "stand")
    made = make_clip("stand")
    with np.load(path, allow_pickle=False) as clip:
        assert set(made) == set(clip.files)
        for name in ("poses", "trans"):
            np.testing.assert_allclose(made[name], clip[name], rtol=0, atol=REPEAT_TOLERANCE)
        weight = MASS_KG * 9.81
        np.testing.assert_allclose(made["grf_N"], clip["grf_N"], rtol=0, atol=0.1 * weight)


def test_recorded_forces_balance_the_motion(motions):
    """The floor's force is m(a + g) of the whole body, as this package differentiates it."""
    names = ("stand", "squat")
    batch = MotionBatch.from_motions([motions[name] for name in names], length=128)
    body = Humanoid.from_betas(batch.betas, batch.mass_kg)
    force = jax.jit(moving_body)(rest_padding(batch), body).wrenches.root_force
    needed = np.stack([np.asarray(component)[0] for component in force], axis=-1)
    window = np.hanning(11)[1:-1] / np.sum(np.hanning(11))
    paths = {path.stem: path for path in demo_clips()}
    for row, name in enumerate(names):
        with np.load(paths[name], allow_pickle=False) as clip:
            given = clip["grf_N"].sum(axis=1) + clip["grf_other_N"]
        off = (needed[row, : len(given)] - given) / (MASS_KG * 9.81)
        smooth = [np.convolve(off[:, axis], window, "valid") for axis in range(3)]
        assert np.abs(smooth).max() < FORCE_TOLERANCE, name
