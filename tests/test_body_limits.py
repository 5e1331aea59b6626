"""Limits of the default body's joints: ranges, speeds and torques of people."""

import json
from importlib.resources import files

import numpy as np
import pytest
from default_body import FLOAT32, built

from phymotion_jax.body.limits import human_limits
from phymotion_jax.body.skeleton import BODY_NAMES, body_index

TABLE = json.loads(files("phymotion_jax.assets").joinpath("limits.json").read_text())


@pytest.mark.parametrize("joint", TABLE["joints"])
def test_rows_have_sources_and_sense(joint):
    row = TABLE["joints"][joint]
    assert row["range_source"]
    for axis in "xyz":
        low, high = row["range_deg"][axis]
        assert -180 <= low < 0 < high <= 180
        assert row["meaning"][axis]
    for field in ("speed_deg_s", "torque_nm_kg"):
        assert 0 < row[field]["soft"] < row[field]["hard"]
        assert row[field]["source"]
    assert joint in row["chain"][-1]


HUMAN = {  # joint: ranges in degrees, speeds in degrees a second, torques in N.m/kg
    "hip": ({"x": [-130, 30], "y": [-45, 45], "z": [-30, 70]}, (700, 1200), (3.5, 6.0)),
    "knee": ({"x": [-7.5, 145], "y": [-20, 20]}, (1000, 2000), (3.5, 5.5)),
    "ankle": ({"x": [-30, 50], "z": [-25, 25]}, (800, 1500), (3.2, 5.0)),
    "foot": ({"x": [-60, 30]}, (800, 1500), (1.0, 2.0)),
    "spine3": ({"x": [-45, 90], "y": [-45, 45], "z": [-45, 45]}, (500, 1000), (3.5, 6.0)),
    "head": ({"x": [-75, 60], "y": [-80, 80], "z": [-45, 45]}, (500, 1000), (0.6, 1.2)),
    "shoulder": ({"y": [-135, 80]}, (1500, 7500), (1.2, 2.5)),
    "elbow": ({"x": [-80, 80], "y": [-150, 5]}, (1500, 2500), (0.8, 1.5)),
    "wrist": ({"y": [-30, 30], "z": [-80, 70]}, (1500, 2500), (0.25, 0.6)),
}


@pytest.mark.parametrize("joint", HUMAN)
def test_limits_are_the_tables(joint):
    """As arrays over links, and mirrored on the right: what the table is for."""
    ranges, speed, torque = HUMAN[joint]
    limits = human_limits()
    names = [BODY_NAMES[chain.links[-1]] for chain in limits.chains]
    sides = ["left_", "right_"] if f"left_{joint}" in names else [""]
    for side in sides:
        link, row = body_index(side + joint), names.index(side + joint)
        np.testing.assert_allclose(np.degrees(limits.speed[link]), speed)
        np.testing.assert_allclose(limits.torque[link].max(axis=0), torque)
        for axis, (low, high) in ranges.items():
            mirrored = side == "right_" and axis != "x"
            want = (-high, -low) if mirrored else (low, high)
            k = "xyz".index(axis)
            np.testing.assert_allclose(np.degrees([limits.low[row, k], limits.high[row, k]]), want)


@pytest.mark.parametrize(
    ("joint", "way", "limit"), [("knee", 1, (1.8, 3.5)), ("ankle", 0, (1.0, 2.0))]
)
def test_weaker_side(joint, way, limit):
    """Knees flex, about +x, with less than they extend; ankles lift the foot, about -x."""
    limits = human_limits()
    for side in ("left_", "right_"):
        torque = limits.torque[body_index(side + joint)]
        np.testing.assert_allclose(torque[way], limit)
        assert (torque[1 - way] > torque[way]).all()
    others = [i for i in range(1, 24) if i not in map(body_index, WEAKER)]
    np.testing.assert_array_equal(limits.torque[others, 0], limits.torque[others, 1])


WEAKER = [f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")]


def test_all_joints_are_limited():
    """23 joints have a speed and a torque; the pelvis, which is none, has not."""
    limits = human_limits()
    for table in (limits.speed, limits.torque[:, 0], limits.torque[:, 1]):
        assert np.isfinite(table[1:]).all()
        assert (table[1:, 0] < table[1:, 1]).all()
        assert np.isinf(table[0]).all()
    covered = [link for chain in limits.chains for link in chain.links]
    assert sorted(covered) == list(range(1, 22))  # each joint once; fingers have no range


def test_the_margin_is_added_on_both_sides():
    body, limits = built(0.0, 70.0), human_limits()
    margin = np.radians(TABLE["margin_deg"]["value"])
    np.testing.assert_allclose(body.range_low, limits.low - margin, rtol=FLOAT32)
    np.testing.assert_allclose(body.range_high, limits.high + margin, rtol=FLOAT32)
