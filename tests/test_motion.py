"""Clips and batches: what is refused and why, frames of reference, and padding."""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from mannequin import Mannequin
from scipy.spatial.transform import Rotation

from phymotion_jax.body.template import default_template
from phymotion_jax.checks import BUCKETS, bucket_length
from phymotion_jax.errors import MotionError, Status, UnknownNameError
from phymotion_jax.motion import Motion, MotionBatch

B, T, J = 3, 20, 22
FPS = (16.0, 30.0, 120.0)
LENGTHS = (20, 7, 3)

POSITION_ATOL = 2e-6  # metres: float32 roundings of positions up to 10 m
ROTATION_ATOL = 1e-6  # of matrix entries: float32 roundings of a quaternion's products


def parameters(rng, frames: int = T) -> dict[str, Any]:
    """A clip that wanders slowly, as SMPL-X parameters."""
    return {
        "transl": rng.normal(size=3) + 0.01 * rng.normal(size=(frames, 3)).cumsum(axis=0),
        "global_orient": rng.normal(size=(frames, 3)),
        "body_pose": rng.normal(size=(frames, 63)),
        "betas": rng.normal(size=10),
        "fps": 30.0,
    }


def matrices(quat) -> np.ndarray:
    """Rotation matrices of quaternions (..., 4)."""
    quat = np.asarray(quat, np.float64)
    flat = Rotation.from_quat(quat.reshape(-1, 4), scalar_first=True).as_matrix()
    return flat.reshape(*quat.shape[:-1], 3, 3)


# --- what is refused ------------------------------------------------------------------------------


def long(frames: int) -> dict[str, Any]:
    zero = np.zeros((frames, 3), np.float32)
    return {"transl": zero, "global_orient": zero, "body_pose": np.zeros((frames, 63), np.float32)}


def with_nan(array, *at):
    array = np.array(array, np.float64)
    array[at] = np.nan
    return array


ZERO, POSE = np.zeros((T, 3)), np.zeros((T, 63))
REFUSED = {  # change of a good clip, status, what the message must contain
    "no frames": (long(0), Status.EMPTY, ["no frames"]),
    "one frame": (long(1), Status.TOO_SHORT, ["1 frames", "at least 3"]),
    "two frames": (long(2), Status.TOO_SHORT, ["2 frames", "at least 3"]),
    "too long": (long(BUCKETS[-1] + 1), Status.TOO_LONG, ["32769 frames", "at most 32768"]),
    "flat transl": ({"transl": np.zeros(T)}, Status.BAD_SHAPE, ["transl is (20,)", "(20, 3)"]),
    "no transl": ({"transl": 1.0}, Status.BAD_SHAPE, ["transl is ()"]),
    "four columns": (
        {"transl": np.zeros((T, 4))},
        Status.BAD_SHAPE,
        ["transl is (20, 4)", "(20, 3) was wanted"],
    ),
    "text": ({"transl": [["a"] * 3] * T}, Status.BAD_SHAPE, ["transl holds", "numbers"]),
    "ragged": ({"transl": [[0.0] * 3, [0.0]]}, Status.BAD_SHAPE, ["transl is no array"]),
    "truth values": ({"transl": ZERO > 0.0}, Status.BAD_SHAPE, ["transl holds bool", "numbers"]),
    "complex": ({"body_pose": POSE * 1j}, Status.BAD_SHAPE, ["body_pose holds complex128"]),
    "quaternions": (
        {"global_orient": np.zeros((T, 4))},
        Status.BAD_SHAPE,
        ["global_orient is (20, 4)", "(20, 3)"],
    ),
    "fewer orientations": (
        {"global_orient": np.zeros((T - 1, 3))},
        Status.BAD_SHAPE,
        ["global_orient is (19, 3)", "(20, 3)"],
    ),
    "SMPL's 23 joints": (
        {"body_pose": np.zeros((T, 69))},
        Status.BAD_SHAPE,
        ["body_pose is (20, 69)", "(20, 63)"],
    ),
    "betas a frame": (
        {"betas": np.zeros((T, 10))},
        Status.BAD_SHAPE,
        ["betas is (20, 10)", "one row"],
    ),
    "NaN in a pose": (
        {"body_pose": with_nan(POSE, [3, 5], 7)},
        Status.NOT_FINITE,
        ["poses is not finite on 2 of 20 frames, first on 3"],
    ),
    "infinite orientation": (
        {"global_orient": ZERO - np.inf},
        Status.NOT_FINITE,
        ["poses is not finite on 20 of 20 frames, first on 0"],
    ),
    "NaN in transl": (
        {"transl": with_nan(ZERO, -1, 2)},
        Status.NOT_FINITE,
        ["transl is not finite on 1 of 20 frames, first on 19"],
    ),
    "NaN in betas": ({"betas": with_nan(np.zeros(10), 0)}, Status.NOT_FINITE, ["betas"]),
    "degrees": (
        {"body_pose": POSE + 360.0},
        Status.BAD_ROTATION,
        ["360 rad", "radians under 100"],
    ),
    "small degrees": (
        {"body_pose": POSE + 9.0 * (np.arange(T) >= 9)[:, None]},
        Status.BAD_ROTATION,
        ["body_pose", "up to 15.6", "on 11 of 20 frames", "look like degrees; radians were wanted"],
    ),
    "no frame rate": ({"fps": 0.0}, Status.BAD_FPS, ["a frame rate of 0", "1 to 2000"]),
    "backwards": ({"fps": -30.0}, Status.BAD_FPS, ["a frame rate of -30", "1 to 2000"]),
    "NaN frames a second": ({"fps": np.nan}, Status.BAD_FPS, ["a frame rate of nan"]),
    "infinitely fast": ({"fps": np.inf}, Status.BAD_FPS, ["a frame rate of inf"]),
    "far away": (
        {"transl": ZERO + 2e5},
        Status.BAD_UNITS,
        ["transl goes up to 2e+05", "metres under 10000"],
    ),
    "millimetres": ({"transl": ZERO + 900.0}, Status.BAD_UNITS, ["900 m high", "metres"]),
    "centimetres": (
        {"transl": np.arange(T)[:, None] * [4.0, 0.0, 0.0]},
        Status.BAD_UNITS,
        ["120 m/s", "metres were wanted"],
    ),
    "a jump": (
        {"transl": 100.0 * (np.arange(T) > 9)[:, None] * [1.0, 0.0, 0.0]},
        Status.BAD_UNITS,
        ["jumps 100 m between frames 9 and 10"],
    ),
    "a frame far away": (
        {"transl": 100.0 * (np.arange(T) == 10)[:, None] * [1.0, 0.0, 0.0]},
        Status.BAD_UNITS,
        ["jumps 100 m between frames 9 and 10"],
    ),
    "a jump upwards": (
        {"transl": 60.0 * (np.arange(T) > 9)[:, None] * [0.0, 0.0, 1.0]},
        Status.BAD_UNITS,
        ["jumps 60 m between frames 9 and 10"],
    ),
    "three frames in millimetres": (
        {**long(3), "transl": np.array([[0.0, 0, 0], [30.0, 0, 0], [61.0, 0, 0]])},
        Status.BAD_UNITS,
        ["look like millimetres"],
    ),
    "huge betas": (
        {"betas": np.full(10, 300.0)},
        Status.BAD_UNITS,
        ["betas goes up to 300", "standard deviations under 6"],
    ),
    "five confidences": (
        {"static_conf": np.zeros((T, 5))},
        Status.BAD_SHAPE,
        ["static_conf is (20, 5)", "(20, 6) was wanted"],
    ),
    "logits": (
        {"static_conf": np.full((T, 6), -4.5)},
        Status.BAD_UNITS,
        ["static_conf holds -4.5", "probabilities from 0 to 1"],
    ),
    "no mass": ({"mass_kg": 0.0}, Status.BAD_UNITS, ["mass_kg of 0", "1 to 1000"]),
    "NaN mass": ({"mass_kg": np.nan}, Status.BAD_UNITS, ["mass_kg of nan"]),
}


@pytest.mark.parametrize("change, status, words", REFUSED.values(), ids=REFUSED.keys())
def test_bad_clips_are_refused(change, status, words):
    """With the status that a table shows and a line that says what was found and wanted."""
    good: dict[str, Any] = {"transl": ZERO, "global_orient": ZERO, "body_pose": POSE, "fps": 30.0}
    with pytest.raises(MotionError) as caught:
        Motion.from_smplx(**good | change)
    assert caught.value.status == status
    assert caught.value.reason == str(caught.value)
    assert "\n" not in caught.value.reason
    for word in words:
        assert word in caught.value.reason


def test_every_status_of_a_clip_is_tried():
    """All but those that only a file can have, or a batch."""
    others = {Status.OK, Status.FPS_UNKNOWN, Status.UNREADABLE, Status.UNSAFE, Status.MISSING}
    assert {status for _, status, _ in REFUSED.values()} == set(Status) - others - {Status.GAP}


@pytest.mark.parametrize("up", ["x", "Y", "", None])
def test_an_unknown_axis_is_refused(up, rng):
    """It was once taken for z without a word."""
    message = re.escape(f"no up axis {str(up)!r}; there are y, z")
    with pytest.raises(UnknownNameError, match=message):
        Motion.from_smplx(**parameters(rng), up=up)
    with pytest.raises(UnknownNameError, match=message):
        MotionBatch.from_arrays(
            transl=jnp.zeros((B, T, 3)), poses=jnp.zeros((B, T, J, 3)), fps=30.0, up=up
        )


def test_turns_beyond_one_are_taken():
    """A pelvis that has turned on and on, and joints that did so for up to half of the frames."""
    turned = POSE + 9.0 * (np.arange(T) >= 10)[:, None]
    spinning = np.arange(T)[:, None] * [0.0, 0.0, 1.0]
    Motion.from_smplx(transl=ZERO, global_orient=spinning, body_pose=turned, fps=30.0)


def test_what_is_good_enough_is_taken(rng):
    """Integers, lists, 21 x 3 poses, float32, more or fewer betas than ten, the longest clip."""
    clip = parameters(rng)
    want = Motion.from_smplx(**clip)
    clip["body_pose"] = clip["body_pose"].reshape(T, 21, 3)
    clip["transl"] = clip["transl"].tolist()
    got = Motion.from_smplx(**clip)
    np.testing.assert_array_equal(got.joint_quat, want.joint_quat)
    np.testing.assert_array_equal(got.root_pos, want.root_pos)
    betas = clip.pop("betas")
    sixteen = Motion.from_smplx(**clip, betas=np.r_[betas, np.ones(6)])
    np.testing.assert_array_equal(sixteen.betas, want.betas)
    two = Motion.from_smplx(**clip, betas=np.array([1, 2]))
    np.testing.assert_array_equal(two.betas, [1, 2, 0, 0, 0, 0, 0, 0, 0, 0])
    none = Motion.from_smplx(**clip)
    np.testing.assert_array_equal(none.betas, np.zeros(10))
    assert np.isnan(none.mass_kg)
    assert Motion.from_smplx(**clip, mass_kg=71).mass_kg == 71.0
    assert Motion.from_smplx(**long(BUCKETS[-1]), fps=120).n_frames == BUCKETS[-1]


# --- frames of reference --------------------------------------------------------------------------


def test_the_pelvis_is_where_mannequin_has_it(rng):
    """SMPL-X turns the body about its pelvis, which stands at transl plus its place at rest."""
    clip = parameters(rng)
    model = Mannequin("convex", lod=1)
    model.reshape(clip["betas"])
    motion = Motion.from_smplx(**clip)
    rest = model.rest_pose(dtype=np.float64)
    for t in range(T):
        pose = rest | {
            "global_translation": clip["transl"][t],
            "pelvis_rotation": clip["global_orient"][t],
            "body_pose": clip["body_pose"][t].reshape(21, 3),
        }
        want = model.joint_transforms(pose)[0]
        np.testing.assert_allclose(motion.root_pos[t], want[:3, 3], atol=POSITION_ATOL)
        got = matrices(motion.joint_quat[t, 0])
        np.testing.assert_allclose(got, want[:3, :3], atol=ROTATION_ATOL)


def test_rotations_are_scipys(rng):
    """Rotation vectors of any length, zero among them, in SMPL's order; hands do not turn."""
    clip = parameters(rng)
    clip["body_pose"] *= np.geomspace(1e-6, 30.0, T)[:, None]
    clip["body_pose"][5] = 0.0
    motion = Motion.from_smplx(**clip)
    vector = np.concatenate([clip["global_orient"], clip["body_pose"], np.zeros((T, 6))], axis=1)
    want = Rotation.from_rotvec(vector.reshape(-1, 3)).as_matrix().reshape(T, 24, 3, 3)
    np.testing.assert_allclose(matrices(motion.joint_quat), want, atol=ROTATION_ATOL)
    np.testing.assert_allclose(np.linalg.norm(motion.joint_quat, axis=-1), 1.0, atol=ROTATION_ATOL)


def y_up(clip: dict[str, Any]) -> dict[str, Any]:
    """The same motion in a file whose y points up: (x, y, z) becomes (x, z, -y)."""
    turn = Rotation.from_euler("x", -90, degrees=True)
    template = default_template()
    pelvis = template.joint_mean[0] + template.joint_dirs[0] @ clip["betas"]
    orient = turn * Rotation.from_rotvec(clip["global_orient"])
    return clip | {
        "transl": turn.apply(clip["transl"] + pelvis) - pelvis,
        "global_orient": orient.as_rotvec(),
    }


def test_y_up_is_z_up_after_a_turn(rng):
    """What points along y in the file points along z in the world, and the pose is the same."""
    clip = parameters(rng)
    want = Motion.from_smplx(**clip)
    got = Motion.from_smplx(**y_up(clip), up="y")
    np.testing.assert_allclose(got.root_pos, want.root_pos, atol=POSITION_ATOL)
    np.testing.assert_allclose(
        matrices(got.joint_quat), matrices(want.joint_quat), atol=2 * ROTATION_ATOL
    )
    np.testing.assert_array_equal(got.joint_quat[:, 1:], want.joint_quat[:, 1:])
    wrong = Motion.from_smplx(**y_up(clip))
    assert np.abs(wrong.root_pos - want.root_pos).max() > 0.1


def test_a_person_standing_in_a_y_up_file_stands():
    """Head above pelvis in the world, looking along -y as the file's z becomes."""
    motion = Motion.from_smplx(transl=ZERO, global_orient=ZERO, body_pose=POSE, fps=30.0, up="y")
    turn = matrices(motion.joint_quat[0, 0])
    np.testing.assert_allclose(turn @ [0, 1, 0], [0, 0, 1], atol=ROTATION_ATOL)
    np.testing.assert_allclose(turn @ [0, 0, 1], [0, -1, 0], atol=ROTATION_ATOL)


# --- batches --------------------------------------------------------------------------------------


def clips(rng) -> list[Motion]:
    motions = []
    for k, mass_kg in enumerate((None, 50.0, 90.0)):
        clip = parameters(rng, LENGTHS[k])
        clip["fps"] = FPS[k]
        if k:  # the first from a source that has none
            clip["static_conf"] = rng.uniform(size=(LENGTHS[k], 6))
        motions.append(Motion.from_smplx(**clip, name=f"clip {k}", mass_kg=mass_kg))
    return motions


def test_padding_and_back(rng):
    """A batch holds its clips, its mask says where, and unpad gives them back to the last bit."""
    motions = clips(rng)
    batch = MotionBatch.from_motions(motions)
    assert batch.root_pos.shape == (B, BUCKETS[0], 3)
    assert batch.joint_quat.shape == (B, BUCKETS[0], 24, 4)
    np.testing.assert_array_equal(batch.mask, np.arange(BUCKETS[0]) < np.array(LENGTHS)[:, None])
    # Padding is a body at rest, whatever may be computed on it.
    np.testing.assert_array_equal(batch.joint_quat[~batch.mask][..., 0], 1.0)
    again = batch.unpad([m.name for m in motions])
    assert len(again) == B
    for got, want in zip(again, motions, strict=True):
        for field in ("root_pos", "joint_quat", "betas", "fps", "static_conf", "mass_kg"):
            np.testing.assert_array_equal(getattr(got, field), getattr(want, field))
        assert got.name == want.name


def test_confidences_are_padded_with_what_is_not_known(rng):
    motions = clips(rng)
    conf = np.asarray(MotionBatch.from_motions(motions).static_conf)
    known = np.arange(BUCKETS[0]) < np.array([0, *LENGTHS[1:]])[:, None]
    np.testing.assert_array_equal(np.isfinite(conf), np.broadcast_to(known[..., None], conf.shape))
    cut = motions[1].take(slice(2, 6))
    np.testing.assert_array_equal(cut.static_conf, motions[1].static_conf[2:6])
    np.testing.assert_array_equal(cut.joint_quat, motions[1].joint_quat[2:6])
    torn = motions[1].replace(root_pos=cut.root_pos, joint_quat=cut.joint_quat)
    with pytest.raises(MotionError, match="static_conf of 7 frames in a clip of 4"):
        MotionBatch.from_motions([torn])


def test_empty_rows_are_no_clips(rng):
    """Rows that fill a batch up have no frames, and unpad leaves them out."""
    motions = clips(rng)
    batch = MotionBatch.from_motions(motions, length=32, n_clips=5)
    assert batch.n_clips == 5
    assert batch.mask.shape == (5, 32)
    np.testing.assert_array_equal(batch.mask.sum(axis=1), [*LENGTHS, 0, 0])
    assert np.isfinite(batch.fps).all()
    assert (np.asarray(batch.fps) > 0.0).all()
    assert len(batch.unpad()) == B


def test_batches_that_cannot_hold_their_clips(rng):
    motions = clips(rng)
    with pytest.raises(MotionError, match="a clip of 20 frames in length 19") as caught:
        MotionBatch.from_motions(motions, length=19)
    assert caught.value.status == Status.TOO_LONG
    with pytest.raises(MotionError, match="3 clips in a batch of 2"):
        MotionBatch.from_motions(motions, n_clips=2)
    with pytest.raises(MotionError, match="no clips"):
        MotionBatch.from_motions([])


def test_buckets():
    """The smallest that holds the clip; none holds more than the largest."""
    assert list(BUCKETS) == sorted(BUCKETS)
    for small, large in zip((0, *BUCKETS), BUCKETS, strict=False):
        assert bucket_length(small + 1) == bucket_length(large) == large
    assert bucket_length(0) == BUCKETS[0]
    with pytest.raises(MotionError) as caught:
        bucket_length(BUCKETS[-1] + 1)
    assert caught.value.status == Status.TOO_LONG
