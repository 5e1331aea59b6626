"""Captures on another skeleton, made into motion files: bones point where they pointed."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.body.skeleton import BODY_NAMES, PARENTS, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.io import load_motion

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
bvh_clips = import_module("bvh_clips")

FRAMES, FPS = 5, 30.0
ANGLE_ATOL = 1e-3
"""Files keep four digits of a degree, and clips are float32."""

REST = default_template().joint_mean
LEGS = 1.25
"""The captured person is so much taller."""


def captured_tree():
    """Joints of the captured skeleton, their parents, and where they stand, in metres, y up."""
    place = {bone: LEGS * REST[body_index(joint)] for joint, (bone, *_) in bvh_clips.BONES.items()}
    for side, sign in (("L", 1.0), ("R", -1.0)):  # arms hang
        shoulder = place[f"UpperArm_{side}"]
        place[f"LowerArm_{side}"] = shoulder + LEGS * np.array([0.02 * sign, -0.26, 0.0])
        place[f"Hand_{side}"] = place[f"LowerArm_{side}"] + LEGS * np.array([0.0, -0.25, 0.02])
    captured = {joint: bone for joint, (bone, *_) in bvh_clips.BONES.items()}
    parents = {}
    for joint, bone in captured.items():
        above = PARENTS[body_index(joint)]
        while above >= 0 and BODY_NAMES[above] not in captured:
            above = PARENTS[above]
        parents[bone] = captured[BODY_NAMES[above]] if above >= 0 else None
    return parents, place


def write_bvh(path, parents, place, frames, turns):
    """A file in which every joint has a frame of its own, and six channels."""
    values = []

    def joint(name, depth):
        above, pad = parents[name], "  " * depth
        offset = place[name] if above is None else place[name] - place[above]
        offset = offset if above is None else frames[above].inv().apply(offset)
        now = turns[name] * frames[name]
        local = now if above is None else (turns[above] * frames[above]).inv() * now
        moved = np.tile(100.0 * offset, (FRAMES, 1))
        values.append(np.c_[moved, local.as_euler("ZXY", degrees=True)])
        lines = [f"{pad}{'JOINT' if above else 'ROOT'} {name}", f"{pad}{{"]
        lines += [f"{pad}  OFFSET {' '.join(f'{x:.6f}' for x in 100.0 * offset)}"]
        channels = "Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        lines += [f"{pad}  CHANNELS 6 {channels}"]
        below = [child for child, parent in parents.items() if parent == name]
        for child in below:
            lines += joint(child, depth + 1)
        if not below:
            lines += [f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0 0 0", f"{pad}  }}"]
        return [*lines, f"{pad}}}"]

    lines = ["HIERARCHY", *joint("Hips", 0), "MOTION", f"Frames: {FRAMES}"]
    rows = [" ".join(f"{x:.4f}" for x in row) for row in np.concatenate(values, axis=1)]
    path.write_text("\n".join([*lines, f"Frame Time: {1 / FPS:.7f}", *rows, ""]))


@pytest.fixture
def capture(tmp_path, rng):
    """A file on whose first frame the person stands, and how each joint turns from there."""
    parents, place = captured_tree()
    frames = {name: Rotation.from_rotvec(rng.normal(0.0, 1.5, 3)) for name in parents}
    ways = rng.normal(0.0, 0.5, (len(parents), FRAMES, 3))
    ways[:, 0] = 0.0
    turns = map(Rotation.from_rotvec, np.cumsum(ways, axis=1))
    turns = dict(zip(parents, turns, strict=True))
    write_bvh(tmp_path / "clip.bvh", parents, place, frames, turns)
    return tmp_path, parents, place, turns


def joint_rotations(motion):
    """Of all links in the world, z up."""
    local = [Rotation.from_quat(motion.joint_quat[:, i][:, [1, 2, 3, 0]]) for i in range(24)]
    world = [local[0]]
    for link in range(1, 24):
        world.append(world[PARENTS[link]] * local[link])
    return world


def test_bones_point_where_they_pointed(capture):
    folder, _, place, turns = capture
    options = bvh_clips.Options(folder, folder / "out", folder / "clip.bvh")
    assert bvh_clips.main(options) == 0
    motion = load_motion(folder / "out" / "clip.npz")
    assert motion.fps == pytest.approx(FPS) and motion.n_frames == FRAMES
    world = joint_rotations(motion)
    up = Rotation.from_euler("x", 90, degrees=True)
    for joint, (bone, end, tip) in bvh_clips.BONES.items():
        if end is None:
            continue
        pointed = up.apply(turns[bone].apply(place[end] - place[bone]))
        points = world[body_index(joint)].apply(REST[body_index(tip)] - REST[body_index(joint)])
        across = np.linalg.norm(np.cross(pointed, points), axis=-1)
        angle = np.arctan2(across, np.sum(pointed * points, axis=-1))
        assert angle.max() < ANGLE_ATOL, joint


def test_hips_go_as_far_as_legs_are_long(capture):
    folder, _, place, turns = capture
    read = bvh_clips.read(folder / "clip.bvh")
    arrays = bvh_clips.smpl_arrays(read, bvh_clips.fit(read))
    np.savez(folder / "clip.npz", **arrays)
    motion = load_motion(folder / "clip.npz")
    middle = 0.5 * (REST[1] + REST[2]) - REST[0]
    hips = motion.root_pos + joint_rotations(motion)[0].apply(middle)
    captured = 0.5 * (place["UpperLeg_L"] + place["UpperLeg_R"]) - place["Hips"]
    captured = place["Hips"] + turns["Hips"].apply(captured)
    up = Rotation.from_euler("x", 90, degrees=True)
    np.testing.assert_allclose(hips, up.apply(captured) / LEGS, atol=1e-4)


def test_a_file_that_cannot_be_read_is_named(capture, capsys):
    folder = capture[0]
    (folder / "broken.bvh").write_text("HIERARCHY\nROOT Hips\n{\n")
    options = bvh_clips.Options(folder, folder / "out", folder / "clip.bvh")
    assert bvh_clips.main(options) == 1
    assert "broken.bvh" in capsys.readouterr().err
    assert (folder / "out" / "clip.npz").is_file()


def test_a_row_that_is_too_long_and_no_file_at_all(capture, capsys):
    folder = capture[0]
    (folder / "deep").mkdir()
    text = (folder / "clip.bvh").read_text().rstrip().split("\n")
    rows = [*text[:-FRAMES], *(row + " 0.0" for row in text[-FRAMES:])]
    (folder / "deep" / "long.bvh").write_text("\n".join(rows))
    options = bvh_clips.Options(folder, folder / "out", folder / "clip.bvh")
    assert bvh_clips.main(options) == 1
    assert "channels" in capsys.readouterr().err
    (folder / "deep" / "long.bvh").write_text("\n".join(text))
    assert bvh_clips.main(options) == 0
    assert (folder / "out" / "deep" / "long.npz").is_file()
    (folder / "none").mkdir()
    assert bvh_clips.main(bvh_clips.Options(folder / "none", folder, folder / "clip.bvh")) == 1
