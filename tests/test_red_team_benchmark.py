"""What the red-team benchmark decides and counts: which clips qualify, and what its rows say."""

import json
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from phymotion_jax.assets import demo_clips
from phymotion_jax.io import load_motion
from phymotion_jax.presets import PAPER
from phymotion_jax.redteam import CONTROLS, LEVELS, VIOLATIONS, freeze, violate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
cases = import_module("red_team_cases")
red_team = import_module("red_team")
tables = import_module("red_team_tables")


@cache
def demo(name):
    return load_motion(next(path for path in demo_clips() if path.stem == name))


@cache
def jump(gravity=9.81):
    """Stands for a second, leaves the floor at 2.5 m/s, and stands: at 120 fps."""
    flown = np.clip(np.arange(300) / 120 - 1.0, 0.0, 5.0 / gravity)
    stand = freeze(demo("stand"), 0)
    still = np.zeros(len(flown), int)
    pos = stand.root_pos[still].astype(np.float64)
    pos[:, 2] += 2.5 * flown - 0.5 * gravity * flown**2
    return stand.take(still).replace(root_pos=pos.astype(np.float32), fps=120.0, name="jump")


@pytest.mark.parametrize(
    ("clip", "met"),
    [
        (lambda: demo("stand"), {"stance"}),
        (lambda: demo("squat"), {"stance", "movement"}),
        (lambda: demo("walk"), {"stance", "movement", "travel"}),
        (lambda: demo("fall"), {"movement"}),
        (jump, {"stance", "flight"}),
        (lambda: jump(2.0), set()),  # most of it in the air, falling as on the moon
        (lambda: demo("stand_floating"), {"stance"}),  # lifted, not flying
    ],
    ids=["stand", "squat", "walk", "fall", "jump", "moon", "floating"],
)
def test_needs_met(clip, met):
    assert set(cases.needs_met(clip())) - {"any"} == met


def test_every_need_has_its_function():
    assert {violation.needs for violation in VIOLATIONS.values()} <= set(cases.NEEDS)


def test_what_is_flown_is_no_travel():
    jumped = jump()
    air = ~cases.grounded(jumped)
    pos = jumped.root_pos.copy()
    pos[:, 0] += 1.5 * np.cumsum(air) / air.sum()
    assert not cases.travels(jumped.replace(root_pos=pos))
    pos[:, 0] = 1.5 * np.arange(len(air)) / len(air)
    assert cases.travels(jumped.replace(root_pos=pos))


def test_held_frames_stand():
    assert cases.held_frames(demo("stand")) == (30, 60, 90)
    held = list(cases.held_frames(jump()))
    assert held and cases.on_feet(jump())[held].all()
    assert 150 not in held  # the middle, 0.25 s into the flight
    assert cases.held_frames(demo("fall"))[-1] < 35  # later it lies


def test_cases_and_their_clips():
    stand = demo("stand")
    planned = cases.cases_of(0, stand, LEVELS)
    assert len(set(planned)) == len(planned)
    kinds = {case.kind for case in planned}
    assert {"clean", "freeze", "levitate", "sink", "position_noise"} <= kinds
    assert not {"too_fast", "moonwalk", "slowed_jump"} & kinds
    assert cases.build(planned[0], stand) is stand
    pop = cases.Case(0, "pop", "middle")
    same, again, other = (cases.build(pop, stand, seed).joint_quat for seed in (0, 0, 1))
    assert np.array_equal(same, again) and not np.array_equal(same, other)


def test_longest_counts_slow_motion():
    clips = [demo("walk"), jump()]
    slowed = cases.Case(1, "slowed_jump", "strong")
    assert cases.longest([cases.Case(0, "clean")], clips) == 300
    assert cases.longest([slowed], clips) == violate(jump(), "slowed_jump", "strong").n_frames > 300


NAMES = ("reward", "kinematic", "contact", "dynamic", *PAPER.parts, "activity")


def values(**changes):
    """Perfect scores, or what they changed to."""
    clean = {name: 0.0 if "." in name else 1.0 for name in NAMES}
    return np.array([*(clean | changes).values()])


def scored():
    """Three clips that sink: one is seen, one is seen on another axis, one cannot be scored."""
    clips = [demo("stand").replace(name=name) for name in "abc"]
    sunk = [
        values(reward=0.9, contact=0.7, **{"con.ground_penetration": 0.9, "con.slip": 0.3}),
        values(reward=0.996, contact=0.998, dynamic=0.99),
        np.full(len(NAMES), np.nan),
    ]
    found = {cases.Case(i, "clean"): values() for i in range(3)}
    found |= {cases.Case(i, "sink", "middle"): row for i, row in enumerate(sunk)}
    found |= {cases.Case(0, "freeze", frame=7): values(reward=1.02)}
    return red_team.Scored(PAPER, clips, found)


def test_violation_row():
    row = red_team.violation_row(VIOLATIONS["sink"], "middle", scored())
    assert (row["cases"], row["left_out"], row["unscored"]) == (2, 0, ["c"])
    assert row["detected"] == row["axis_falls_most"] == 0.5
    assert row["mean"]["reward"] == pytest.approx(-0.052)
    assert row["intended"] == pytest.approx({"con.ground_penetration": 0.45})
    assert row["others"] == pytest.approx({"con.slip": 0.15})
    assert [entry["clip"] for entry in row["each"]] == ["a", "b"]


def test_a_kind_without_clips_is_a_row():
    row = red_team.violation_row(VIOLATIONS["moonwalk"], "middle", scored())
    assert (row["cases"], row["left_out"]) == (0, 3)
    assert np.isnan(row["detected"]) and tables.share(row, "detected") == "-"


def test_nothing_falls_most_where_nothing_falls():
    still = dict.fromkeys(("kinematic", "contact", "dynamic"), 0.0)
    assert not red_team.falls_most("contact", still)
    assert red_team.falls_most("contact", still | {"contact": -0.1})
    assert not red_team.falls_most("contact", still | {"contact": -0.1, "dynamic": -0.2})


def test_tables_and_summary():
    result = red_team.results(scored(), ("middle",))
    text = tables.tables(result, ("middle",))
    assert "| sink | contact | 2 + 1 unscored | 0 | 50%* | 0.052 | 50%* |" in text
    assert all(f"\n| {kind} |" in text for kind in VIOLATIONS)
    assert "1 held frames of stance change the reward by +0.020" in text
    assert "(a, frame 7)" in text
    line = tables.summary(result, "middle")
    assert "0 of 1 kinds detected" in line and "below the goals: sink;" in line
    assert line.endswith("rank correlation of reward and activity -")  # all alike
    assert "\n" not in line
    json.dumps(red_team.plain(result), allow_nan=False)


def test_rank_correlation_is_of_the_clean_clips():
    clean = [{"reward": r, "activity": a} for r, a in ((0.9, 2.0), (0.95, 1.0), (1.0, 0.5))]
    assert tables.rank_correlation({"clean": clean}) == pytest.approx(-1.0)
    unscored = {"reward": np.nan, "activity": np.nan}
    assert tables.rank_correlation({"clean": [*clean, unscored]}) == pytest.approx(-1.0)


def test_noise_labels():
    rows = [{"kind": kind, "strength": "weak"} for kind in CONTROLS if kind != "freeze"]
    assert [*map(tables.noise_label, rows)] == ["position 2 mm", "rotation 0.5 deg"]


@pytest.mark.parametrize("every", [0, -2])
def test_every_frame_or_fewer(every, capsys):
    """Before anything is loaded."""
    assert red_team.main(red_team.Options(every=every)) == 2
    assert capsys.readouterr().err == f"--every is {every}; 1 or more was wanted\n"
