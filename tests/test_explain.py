"""The account of one clip: what it says, in 80 columns and without colour."""

import io

import numpy as np
import pytest
from fakes import make_motion, make_report
from rich.console import Console

from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, body_index
from phymotion_jax.checks import BUCKETS
from phymotion_jax.errors import Status
from phymotion_jax.explain import costs, explain, worst_runs
from phymotion_jax.presets import PAPER


@pytest.fixture
def report():
    """Two clips of 60 frames; the second slides on its left foot and is else without fault."""
    report = make_report(2, 60, np.random.default_rng(0))
    for values in (*report.parts.values(), *report.frames.values(), *report.links.values()):
        values[1] = 0.0
    for part in PAPER.parts:
        report.worst_frame[part][1] = report.worst_link[part][1] = -1
    report.parts["con.slip"][1] = 0.24
    report.frames["con.slip"][1, 31:45] = 0.5
    report.frames["con.slip"][1, 38] = 0.8
    report.frames["con.slip"][1, 52] = 0.6
    report.frames["con.slip"][1, 5:20] = 0.1
    report.links["con.slip"][1, body_index("left_foot")] = 0.2
    report.links["con.slip"][1, body_index("left_ankle")] = 0.04
    report.worst_frame["con.slip"][1] = 38
    report.worst_link["con.slip"][1] = body_index("left_foot")
    for axis in PAPER.axes:
        report.axes[axis][1] = 0.94 if axis == "contact" else 1.0
    report.reward[1] = 0.98
    report.activity[1], report.floor_height[1] = 0.61, -0.012
    return report


def told(motion, report, clip, width=80):
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(explain(motion, report, clip))
    return out.getvalue()


def test_account(report):
    text = told(make_motion(60, name="walk.npz"), report, 1)
    for line in (
        "walk.npz",
        "60 frames, 30 fps, 2.00 s",
        "reward 0.980 = mean of kinematic 1.000, contact 0.940, dynamic 1.000",
        "con.slip costs 0.020",
        "  frames 31–44 (1.03–1.47 s); frame 52 (1.73 s)",
        "  each by itself, on average: left_foot 0.200, left_ankle 0.040",
        "floor at -0.012 m; the body moves at 0.61 m/s on average",
        "kin.self_penetration was measured with capsules",
    ):
        assert line in text.splitlines()
    (row,) = (line for line in text.splitlines() if line.startswith("con.slip  "))
    assert row.split() == "con.slip 0.240 █····· 0.020 38 (1.27 s) left_foot".split()
    assert text.count(" costs ") == 1


def test_fits_80_columns(report):
    """Also when all is at its worst, late in the longest clip, by the joint of longest name."""
    for part in PAPER.parts:
        report.parts[part][0] = 1.0
        report.worst_frame[part][0] = BUCKETS[-1] - 1
        report.worst_link[part][0] = max(range(N_BODIES), key=lambda i: len(BODY_NAMES[i]))
    report = report.replace(percentiles=dict.fromkeys(("reward", *PAPER.parts), np.ones(2)))
    text = told(make_motion(60, fps=30.0), report, 0, width=80)
    table = [line for line in text.splitlines() if line.startswith(PAPER.parts)]
    assert max(map(len, text.splitlines())) <= 80
    assert len(table) >= len(PAPER.parts)
    assert "…" not in text


def test_costs_add_up(report):
    for clip in (0, 1):
        assert np.isclose(sum(costs(report, clip).values()), 1 - report.reward[clip], atol=1e-6)


def test_faultless_clip(report):
    for values in (*report.parts.values(), *report.frames.values(), *report.links.values()):
        values[1] = 0.0
    assert " costs " not in told(make_motion(60), report, 1)


def test_clip_that_was_not_scored(rng):
    status = np.array([Status.OK, Status.NOT_FINITE], np.int32)
    text = told(make_motion(20, name="a.npz"), make_report(2, 20, rng, status=status), 1)
    assert text.splitlines() == [
        "a.npz",
        "20 frames, 30 fps, 0.67 s",
        "not scored: not_finite: NaN or infinity on a real frame",
    ]


def test_padding_is_not_told(report):
    """Whatever a report holds after the clip's own frames is nobody's fault."""
    report.frames["con.slip"][1, 50:] = 1.0
    text = told(make_motion(50), report, 1)
    assert "  frames 31–44 (1.03–1.47 s)" in text.splitlines()


@pytest.mark.parametrize(
    ("violation", "runs"),
    [
        ([], []),
        ([0.0, 0.0], []),
        ([1.0, 1.0, 1.0], [(0, 2)]),
        ([0.0, 0.9, 0.0, 0.5, 0.5, 0.1], [(3, 4), (1, 1)]),
        ([1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1], [(9, 12), (5, 7), (2, 3)]),
    ],
    ids=["empty", "none", "all", "two", "most_first"],
)
def test_worst_runs(violation, runs):
    assert worst_runs(np.array(violation, np.float32)) == runs
