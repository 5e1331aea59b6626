"""The command on real files, and real clips beside their corrupted twins."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet as pq
import pytest
from motions import state_of

from phymotion_jax.io import load_motion
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.presets import PAPER
from phymotion_jax.scorer import score

README = Path(__file__).resolve().parents[1] / "README.md"


def run(*arguments, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "phymotion_jax", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_main_command(shared, tmp_path):
    """37 files, 37 rows in order, none of them invalid."""
    table = tmp_path / "scores.parquet"
    done = run("score", shared / "clips", shared / "gvhmr", "-o", table)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(table).to_pylist()
    assert len(rows) == 37
    assert [r["status"] for r in rows] == ["ok"] * 37
    paths = [r["path"] for r in rows]
    assert paths == sorted(paths)
    rewards = np.array([r["reward"] for r in rows])
    assert ((rewards > 0.5) & (rewards <= 1.0)).all()
    assert "scored 37 of 37" in done.stderr


def scores_of(table: str) -> dict[str, list[float]]:
    """The reward and axes of each clip of a printed table."""
    rows = re.findall(r"^(\S+\.npz) +((?:\d\.\d{3} *){4})", table, re.MULTILINE)
    return {name: [*map(float, scores.split())] for name, scores in rows}


def test_readme_shows_what_its_first_command_prints():
    """Compiled as for a user, unlike all other tests: see `conftest.py`."""
    users = {k: v for k, v in os.environ.items() if k != "JAX_DISABLE_MOST_OPTIMIZATIONS"}
    done = run("score", env=users)
    assert done.returncode == 0, done.stderr
    printed, shown = scores_of(done.stderr), scores_of(README.read_text())
    assert len(shown) == 13 and list(printed) == list(shown)
    # A unit of what is printed: processors differ in their last bits.
    np.testing.assert_allclose([*printed.values()], [*shown.values()], atol=1.1e-3)


def test_explain_names_frames_and_joints(shared):
    done = run("explain", shared / "gvhmr" / "tennis_hmr4d_results.pt")
    assert done.returncode == 0, done.stderr
    assert "312 frames, 30 fps" in done.stdout
    assert "con.ground_penetration" in done.stdout
    assert "left_ankle" in done.stdout


def test_gvhmr_stands_on_its_floor(shared):
    """y is up in the file. Its height drifts by 0.15 m, so that no flat floor fits all of it."""
    motion = load_motion(shared / "gvhmr" / "tennis_hmr4d_results.pt")
    state = jax.device_get(state_of(MotionBatch.from_motions([motion])))
    lowest = state.points[2].min(axis=0)[0, : motion.n_frames]
    assert abs(np.median(lowest)) < 0.02
    assert (lowest < PAPER.contact_height_m).mean() > 0.75
    upright = motion.root_pos[:, 2]
    assert 0.8 < upright.min() < upright.max() < 1.25


def lifted(motion: Motion, height: float) -> Motion:
    """Raised, or sunk, during the middle third, smoothly within 0.2 s."""
    t = np.linspace(0.0, 1.0, motion.n_frames)
    ramp = 0.2 * motion.fps / motion.n_frames
    up = np.clip((t - 1 / 3) / ramp, 0.0, 1.0) * np.clip((2 / 3 - t) / ramp, 0.0, 1.0)
    pos = motion.root_pos.copy()
    pos[:, 2] += height * up
    return motion.replace(root_pos=pos)


def skated(motion: Motion, speed: float) -> Motion:
    """Carried sideways at a constant speed, feet and all."""
    pos = motion.root_pos.copy()
    pos[:, 0] += speed / motion.fps * np.arange(motion.n_frames)
    return motion.replace(root_pos=pos)


TWINS = {
    "con.float": lambda m: lifted(m, 0.3),
    "con.slip": lambda m: skated(m, 0.7),
    "con.ground_penetration": lambda m: lifted(m, -0.1),
}
CLEAN = (
    "clips/asap_walk_level1",
    "clips/asap_single_foot_balance_level1",
    "clips/asap_squat_level2",
    "clips/deepmimic_walk",
    "grf/subject4_walking1",
    "grf/laiarnold6_walking1",
)


@pytest.fixture(scope="module")
def twin_report(shared):
    motions = [load_motion(shared / f"{name}.npz") for name in CLEAN]
    twins = [make(m) for make in TWINS.values() for m in motions]
    batch = MotionBatch.from_motions([*motions, *twins], length=256)
    return score(batch, preset="paper").on_host()


@pytest.mark.parametrize("clip", CLEAN)
@pytest.mark.parametrize("part", TWINS)
def test_real_clips_beat_their_twins(twin_report, part, clip):
    """Walking, standing and squatting against floating, skating and sinking, on the part.

    Not on the reward: frames in the air have no slip, so that a recovered clip that slips and sinks
    by itself may gain as much as its float costs.
    """
    clean = CLEAN.index(clip)
    twin = len(CLEAN) * (1 + list(TWINS).index(part)) + clean
    assert twin_report.parts[part][twin] > twin_report.parts[part][clean] + 0.1
