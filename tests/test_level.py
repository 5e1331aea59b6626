"""Clips whose world is tilted, levelled: laws, simulated clips, and real ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import batch_of, clip, rotated, smooth
from scipy.spatial.transform import Rotation

from phymotion_jax import scorer
from phymotion_jax.assets import demo_clips
from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io import load_motion
from phymotion_jax.level import level_floor, standing_plane
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.scorer import Scorer
from phymotion_jax.state import rest_padding

AXES = np.radians([20.0, 140.0, 260.0])
"""Directions of the axes about which worlds are tilted."""

PLACE_ATOL = 2e-5  # metres and matrix entries: float32 roundings a few metres out
WALKING_DEG = 3.5  # 95th percentile of 216 tilts of nine walking and stepping clips
LEVEL_DEG = 1.1  # the most that one of those is turned as it is


@pytest.fixture(scope="module")
def demo():
    return {path.stem: load_motion(path) for path in demo_clips()}


def tilted(motion: Motion, degrees: float, axis: float) -> Motion:
    """The clip in a world turned about a horizontal axis through its origin."""
    turn = Rotation.from_rotvec(np.radians(degrees) * np.array([np.cos(axis), np.sin(axis), 0.0]))
    quat = motion.joint_quat.copy()
    root = turn * Rotation.from_quat(quat[:, 0], scalar_first=True)
    quat[:, 0] = root.as_quat(scalar_first=True)
    pos = turn.apply(motion.root_pos)
    return motion.replace(joint_quat=quat, root_pos=pos.astype(np.float32))


def missed(*clips: Motion) -> np.ndarray:
    """Degrees by which the pelvis of each clip, once levelled, stands off the first clip's own."""
    batch = MotionBatch.from_motions(clips, length=512)
    flat = np.asarray(level_floor(batch).joint_quat[:, 0, 0], np.float64)
    own = Rotation.from_quat(clips[0].joint_quat[0, 0], scalar_first=True)
    turn = Rotation.from_quat(flat, scalar_first=True) * own.inv()
    up = turn.apply([0.0, 0.0, 1.0])
    return np.degrees(np.arccos(np.clip(up[:, 2], -1.0, 1.0)))


@pytest.mark.parametrize("name", ["walk", "squat", "stand"])
def test_level_clips_stay(demo, name):
    assert missed(demo[name])[0] < 0.5


@pytest.mark.parametrize("degrees", [5.0, 10.0, 20.0])
def test_tilted_walks_are_levelled(demo, degrees):
    walk = demo["walk"]
    assert missed(walk, *(tilted(walk, degrees, axis) for axis in AXES))[1:].max() < WALKING_DEG


def test_a_jump_and_a_teleport_are_outvoted(demo):
    """Neither flight nor one place half a metre lower tilts the floor."""
    high = demo["walk"].root_pos.copy()
    high[40:60, 2] += 0.5
    assert missed(demo["walk"].replace(root_pos=high))[0] < 1.0


def test_a_raised_foot_is_no_slope():
    """Standing on one leg, the other foot still in the air beside it."""
    crane = clip(pose={"right_hip": (-1.2, 0.0, 0.0), "right_knee": (1.6, 0.0, 0.0)}, seconds=3.0)
    assert missed(crane)[0] < 1.0


def test_levelling_turns_the_whole_clip(demo):
    """About one point: distances stay, and no joint but the pelvis turns."""
    walk = tilted(demo["walk"], 12.0, 0.7)
    batch = batch_of(walk, demo["squat"])
    flat = level_floor(batch)
    np.testing.assert_array_equal(flat.joint_quat[:, :, 1:], batch.joint_quat[:, :, 1:])
    before, after = (np.asarray(b.root_pos, np.float64)[0, : walk.n_frames] for b in (batch, flat))
    length = [np.linalg.norm(x - x[0], axis=1) for x in (before, after)]
    np.testing.assert_allclose(length[1], length[0], atol=PLACE_ATOL)
    norm = np.linalg.norm(np.asarray(flat.joint_quat[:2, :100, 0]), axis=-1)
    np.testing.assert_allclose(norm, 1.0, atol=PLACE_ATOL)
    for field in ("mask", "fps", "betas", "mass_kg", "static_conf"):
        np.testing.assert_array_equal(getattr(flat, field), getattr(batch, field))


def test_the_floor_keeps_its_height(demo):
    """Where the feet stood: what the report says of the floor is of that place."""
    raised = tilted(demo["walk"], 15.0, 0.2)
    raised = raised.replace(root_pos=raised.root_pos + np.array([0.0, 0.0, 0.7], np.float32))
    batch = batch_of(raised, demo["walk"])
    point = standing_plane(rest_padding(batch)).point
    report = scorer.score(batch, preset="paper", level_floor=True).on_host()
    np.testing.assert_allclose(report.floor_height[:2], point[2][:2], atol=0.02)


def test_padding_and_strangers(demo):
    """NaN in padding stays there, and no clip is turned otherwise among others."""
    walk = tilted(demo["walk"], 10.0, 1.0)
    batch = batch_of(walk, demo["squat"])
    hole = ~batch.mask
    dirty = batch.replace(
        root_pos=jnp.where(hole[..., None], jnp.nan, batch.root_pos),
        joint_quat=jnp.where(hole[..., None, None], jnp.nan, batch.joint_quat),
    )
    want, got = level_floor(batch), level_floor(dirty)
    swapped = level_floor(batch_of(clip(pose=smooth), walk))
    for field in ("root_pos", "joint_quat"):
        real = np.asarray(getattr(want, field))
        np.testing.assert_array_equal(np.asarray(getattr(got, field))[batch.mask], real[batch.mask])
        assert np.isnan(np.asarray(getattr(got, field))[0][hole[0]]).all()
        n = walk.n_frames
        np.testing.assert_array_equal(getattr(swapped, field)[1, :n], real[0, :n])


def test_turning_about_z_commutes(demo):
    walk = tilted(demo["walk"], 10.0, 1.0)
    turned = level_floor(batch_of(walk, rotated(walk, 0.9, shift=(2.0, -1.0))))
    flat = level_floor(batch_of(walk)).unpad()[0]
    want = batch_of(rotated(flat, 0.9, shift=(2.0, -1.0)))
    real = slice(0, walk.n_frames)
    np.testing.assert_allclose(
        turned.root_pos[1, real], want.root_pos[0, real], atol=5 * PLACE_ATOL
    )


def test_levelled_clips_score_as_level_ones(demo):
    """By 0.01; without levelling a tilted world is a violation. A bad clip stays its own affair."""
    walk = demo["walk"]
    bad = walk.replace(root_pos=walk.root_pos * np.float32(np.nan))
    batch = batch_of(walk, tilted(walk, 20.0, 2.5), bad)
    plain = scorer.score(batch, preset="paper").on_host()
    flat = scorer.score(batch, preset="paper", level_floor=True).on_host()
    assert plain.reward[1] < plain.reward[0] - 0.1
    np.testing.assert_allclose(flat.reward[:2], plain.reward[0], atol=0.01)
    assert flat.status[2] == Status.NOT_FINITE
    made = Scorer("paper", level_floor=True)(batch).on_host()
    np.testing.assert_array_equal(made.reward, flat.reward)


def test_a_given_floor_is_not_levelled(demo):
    message = "give floor or level_floor, not both"
    with pytest.raises(MotionError, match=message):
        scorer.score(batch_of(demo["walk"]), floor=0.0, level_floor=True)
    with pytest.raises(MotionError, match=message):
        Scorer(floor=0.0, level_floor=True)


def test_a_given_body(demo):
    batch = batch_of(demo["walk"])
    own = level_floor(batch, Humanoid.from_betas(batch.betas, batch.mass_kg))
    np.testing.assert_array_equal(own.root_pos, level_floor(batch).root_pos)


def test_gradient_is_finite(demo):
    """Of a walk, of a body at rest, and of padding."""
    batch = batch_of(tilted(demo["walk"], 10.0, 1.0), clip())

    @jax.jit
    @jax.grad
    def gradient(leaves):
        flat = level_floor(batch.replace(root_pos=leaves[0], joint_quat=leaves[1]))
        return jnp.sum(jnp.where(batch.mask[..., None], flat.root_pos, 0.0) ** 2)

    for leaf in gradient((batch.root_pos, batch.joint_quat)):
        assert np.isfinite(np.asarray(leaf)).all()


WALKS = ("asap_walk_level1", "asap_walk_level2", "asap_step_forward_forward_level4")


@pytest.mark.parametrize("name", WALKS)
def test_real_walks(shared, name):
    walk = load_motion(shared / "clips" / f"{name}.npz")
    tilts = [tilted(walk, degrees, axis) for degrees in (5.0, 10.0, 20.0) for axis in AXES]
    off = missed(walk, *tilts)
    assert off[0] < LEVEL_DEG
    assert np.median(off[1:]) < 2.0
    assert off[1:].max() < 1.5 * WALKING_DEG
