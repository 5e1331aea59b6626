"""The whole call: laws that every score keeps, and motions whose violations are known."""

from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import (
    CLIPS,
    LENGTH,
    batch_of,
    clip,
    doubled,
    report_of,
    rotated,
    smooth,
    state_of,
    zeros_like_batch,
)
from scipy.spatial.transform import Rotation

from phymotion_jax import scorer
from phymotion_jax.assets import demo_clips
from phymotion_jax.body.mjcf_reader import from_mjcf
from phymotion_jax.body.template import default_template
from phymotion_jax.errors import ModelError, MotionError, Status, UnknownNameError
from phymotion_jax.io import load_motion
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.presets import PAPER
from phymotion_jax.scorer import Scorer

score = partial(scorer.score, preset="paper")
"""The laws are tried on this preset; `test_physical.py` has the other one's."""

TWO_LINKS = """<mujoco><worldbody><body><freejoint/><geom size=".1"/>
<body><joint type="ball"/><geom size=".1"/></body></body></worldbody></mujoco>"""

BATCH_ATOL = 1e-5
"""The same float32 arithmetic in another shape."""

TURN_ATOL = 1e-4
"""Float32 rounding of positions some metres out, in accelerations at 30 fps."""

RATE_ATOL = 0.02
"""Finite differences of a smooth motion at 30 and 60 fps: second order in the step."""


def parts_of(report, row: int) -> np.ndarray:
    return np.array([report.parts[name][row] for name in PAPER.parts])


@pytest.fixture(scope="module")
def motion():
    return clip(pose=smooth, name="smooth")


@pytest.fixture(scope="module")
def alone(motion):
    return report_of(motion)


def test_smooth_standing_is_clean(alone):
    assert alone.valid[0]
    assert alone.reward[0] > 0.95
    assert abs(alone.floor_height[0]) < 1e-3


def test_axes_are_means(alone):
    for axis, names in PAPER.axes.items():
        mean = np.mean([alone.parts[n][0] for n in names])
        assert alone.axes[axis][0] == pytest.approx(1.0 - mean, abs=1e-6)
    assert alone.reward[0] == pytest.approx(np.mean([a[0] for a in alone.axes.values()]), abs=1e-6)


def test_padding_and_strangers(motion, alone):
    """Alone without padding, padded, and among strangers: the same clip, the same score."""
    strangers = [clip(fps=17.0, frames=80), clip(turn=lambda t: Rotation.from_euler("x", 4 * t))]
    among = report_of(strangers[0], motion, strangers[1])
    bare = score(MotionBatch.from_motions([motion], length=motion.n_frames)).on_host()
    for other, row in ((among, 1), (bare, 0)):
        np.testing.assert_allclose(parts_of(other, row), parts_of(alone, 0), atol=BATCH_ATOL)
        assert other.activity[row] == pytest.approx(alone.activity[0], abs=BATCH_ATOL)


def test_padding_may_hold_nan(motion, alone):
    batch = batch_of(motion)
    pad = ~batch.mask
    dirty = batch.replace(
        root_pos=jnp.where(pad[..., None], jnp.nan, batch.root_pos),
        joint_quat=jnp.where(pad[..., None, None], jnp.nan, batch.joint_quat),
    )
    np.testing.assert_array_equal(parts_of(score(dirty).on_host(), 0), parts_of(alone, 0))


def test_turning_the_world(motion, alone):
    turned = report_of(rotated(motion, 2.0, (3.0, -5.0)))
    np.testing.assert_allclose(parts_of(turned, 0), parts_of(alone, 0), atol=TURN_ATOL)


def test_frame_rate_drops_out():
    """Twice the frame rate gives the same answer."""

    def moving(t):
        return {**smooth(t), "left_knee": (0.4 - 0.4 * np.cos(3 * t), 0.0, 0.0)}

    clips = [clip(pose=p, fps=fps) for p in (moving, smooth) for fps in (30.0, 60.0)]
    report = report_of(*clips)
    for row in (0, 2):
        np.testing.assert_allclose(parts_of(report, row + 1), parts_of(report, row), atol=RATE_ATOL)


def test_a_floor_must_be_a_height(motion):
    floor = jnp.array([0.0, jnp.nan, jnp.inf, 0.0])
    report = score(batch_of(motion, motion, motion), floor=floor).on_host()
    assert report.status.tolist() == [0, *[int(Status.BAD_UNITS)] * 2, int(Status.EMPTY)]
    with pytest.raises(MotionError, match="floor is nan"):
        Scorer(floor=float("nan"))


def test_one_program_however_it_is_called(motion):
    batch = batch_of(motion)
    Scorer("paper")(batch)
    before = scorer._score._cache_size()
    scorer.score(batch, None, "paper")
    scorer.score(batch, preset=PAPER, backend="fused", floor=None)
    assert scorer._score._cache_size() == before
    floors: tuple[Any, ...] = (0, 0.0, np.float32(0.0), jnp.zeros(CLIPS))
    for floor in floors:
        score(batch, floor=floor)
    assert scorer._score._cache_size() <= before + 1


def test_frame_rate_drops_out_of_real_steps():
    """The simulated clips at twice their rate: feet that land, roll, slide and fall over."""
    clips = [load_motion(p) for p in demo_clips() if p.stem in {"walk", "squat"}]
    report = score(MotionBatch.from_motions([*clips, *map(doubled, clips)], length=256)).on_host()
    for row, _ in enumerate(clips):
        twice = parts_of(report, row + len(clips))
        np.testing.assert_allclose(twice, parts_of(report, row), atol=RATE_ATOL)


def test_one_program_for_all_rates_that_need_no_substeps():
    traced = jax.jit(chex.assert_max_traces(lambda b: score(b).reward, n=1))
    for fps in (20.0, 30.0, 120.0):
        traced.trace(batch_of(clip(fps=fps, frames=60)))


def test_up_axis():
    """One motion given with y up and with z up."""
    poses = 0.1 * np.random.default_rng(0).normal(size=(40, 22, 3)).cumsum(axis=0) / 10
    given = {"body_pose": poses[:, 1:].reshape(40, 63), "fps": 30.0}
    path = np.linspace([0.0, 0.9, 0.0], [0.4, 1.0, 0.3], 40)
    upright = Motion.from_smplx(transl=path, global_orient=poses[:, 0], up="y", **given)
    turn = Rotation.from_euler("x", 90, degrees=True)
    orient = (turn * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    # SMPL-X adds J0 unturned: the z-up file's translation makes up for the difference.
    pelvis = default_template().joint_mean[0]
    transl = turn.apply(path + pelvis) - pelvis
    again = Motion.from_smplx(transl=transl, global_orient=orient, up="z", **given)
    report = report_of(upright, again)
    np.testing.assert_allclose(parts_of(report, 1), parts_of(report, 0), atol=TURN_ATOL)


def hover(t):
    """Up by 0.3 m and down again between 0.2 and 1.8 s, at a quarter of gravity at most."""
    phase = np.clip(2.0 * np.pi * (t - 0.2) / 1.6, 0.0, 2.0 * np.pi)
    return (0.0, 0.0, 0.15 - 0.15 * np.cos(phase))


def test_hovering_floats():
    """A body that rises 0.3 m and comes down slowly is held up by nothing."""
    report = report_of(clip(root=hover, seconds=4.0))
    in_air = report.frames["con.float"][0]
    assert in_air[20:40].min() == 1.0
    assert in_air[:8].max() == in_air[54:].max() == 0.0


def test_ballistic_flight_is_free():
    """Thrown up by 0.6 s of flight: no contact, and nothing to explain."""

    def thrown(t):
        since = np.clip(t - 0.7, 0.0, 0.6)
        return (0.0, 0.0, 0.5 * 9.81 * since * (0.6 - since))

    report = report_of(clip(root=thrown))
    state = jax.device_get(state_of(batch_of(clip(root=thrown))))
    height = state.points[2].min(axis=0)[0, :61]
    assert (height > 0.1).sum() > 10
    assert report.parts["con.float"][0] == 0.0


@pytest.mark.parametrize("speed", [0.1, 0.5, 2.0])
def test_skating_slips(speed):
    """A standing body that glides at 0.1, 0.5 and 2 m/s."""
    report = report_of(clip(root=lambda t: (speed * t, 0.0, 0.0)), clip())
    # 5 cm are slid after 0.5, 0.1 and 0.025 s of 2
    assert report.parts["con.slip"][0] > 0.8
    assert report.parts["con.slip"][1] == 0.0
    assert report.worst_joint_name("con.slip", 0) in {"left_ankle", "right_ankle"}


def test_sinking_penetrates():
    def sink(t):
        return (0.0, 0.0, -0.1 if 0.8 < t < 1.4 else 0.0)

    report = report_of(clip(root=sink))
    deep = report.frames["con.ground_penetration"][0, :61]
    assert deep[26:41].min() == 1.0
    assert deep[:24].max() < 0.01
    assert 25 <= report.worst_frame["con.ground_penetration"][0] <= 42


def test_given_floor():
    """What floats or sinks throughout is seen against a given floor."""
    high = clip(root=lambda _: (0.0, 0.0, 0.2))
    assert report_of(high).parts["con.float"][0] == 0.0
    assert report_of(high, floor=0.0).parts["con.float"][0] == 1.0
    assert report_of(high, floor=0.3).parts["con.ground_penetration"][0] == 1.0


def test_leaning_is_unbalanced():
    """Leaning 25° about the ankles puts the centre of mass 0.4 m before the feet."""
    lean = Rotation.from_euler("x", 25, degrees=True)

    def feet_stay(t):
        swing = lean.apply([0.0, 0.0, 0.95]) - [0.0, 0.0, 0.95]
        return tuple(swing)

    report = report_of(clip(turn=lambda t: lean, root=feet_stay), clip())
    assert report.parts["con.balance"][0] == 1.0
    assert report.parts["con.balance"][1] == 0.0


def test_backward_knee_is_named():
    report = report_of(clip(pose={"left_knee": (-0.6, 0.0, 0.0)}), clip())
    n_joints = 16
    assert report.parts["kin.joint_limit"][0] == pytest.approx(1 / n_joints)
    assert report.worst_joint_name("kin.joint_limit", 0) == "left_knee"
    assert report.parts["kin.joint_limit"][1] == 0.0


def test_whipping_elbow_is_too_fast():
    """An elbow at 60 rad/s (3,400°/s), where 26 are tolerated; a spin of the body is no joint's."""

    def whip(t):
        return {"right_elbow": (0.0, 1.0 + np.sin(60.0 * t), 0.0)}

    fast = clip(pose=whip, fps=120.0, frames=120)
    spin = clip(turn=lambda t: Rotation.from_euler("z", 20.0 * t), fps=120.0, frames=120)
    report = report_of(fast, spin)
    assert report.parts["kin.velocity"][0] > 0.3
    assert report.worst_joint_name("kin.velocity", 0) == "right_elbow"
    assert report.parts["kin.velocity"][1] == 0.0


def test_arm_through_the_body():
    through = {"left_shoulder": (0.0, -1.3, -0.9), "left_elbow": (0.0, -2.4, 0.0)}
    report = report_of(clip(pose=through), clip())
    assert report.parts["kin.self_penetration"][0] == 1.0
    assert report.parts["kin.self_penetration"][1] == 0.0


def test_shaking_needs_force():
    """Shaken up and down by 5 cm at 12 Hz with the arms held out: up to 29 g."""
    arms_out = {"left_shoulder": (0.0, 0.0, 0.0), "right_shoulder": (0.0, 0.0, 0.0)}

    def shake(t):
        return (0.0, 0.0, 0.05 * np.sin(24.0 * np.pi * t))

    shaken = clip(root=shake, pose=arms_out, fps=120.0, frames=120)
    report = report_of(shaken, clip())
    assert report.parts["dyn.grf"][0] > 0.5
    assert report.parts["dyn.torque"][0] > 0.05
    assert report.worst_joint_name("dyn.torque", 0) in {
        f"{side}_{joint}" for side in ("left", "right") for joint in ("collar", "shoulder")
    }
    assert report.parts["dyn.effort"][0] == pytest.approx(0.0, abs=1e-6)  # no joint moves
    assert report.parts["dyn.grf"][1] == 0.0


def test_worst_frame_is_where_it_happened():
    def kick_back(t):
        return {"right_knee": (-0.8, 0.0, 0.0)} if abs(t - 1.0) < 0.01 else {}

    report = report_of(clip(pose=kick_back))
    assert report.worst_frame["kin.joint_limit"][0] == 30
    assert report.worst_frame["con.float"][0] == -1
    assert report.worst_joint_name("con.float", 0) == ""


BAD = {
    Status.EMPTY: lambda b: b.replace(mask=b.mask.at[1].set(False)),
    Status.GAP: lambda b: b.replace(mask=b.mask.at[1, 20].set(False)),
    Status.TOO_SHORT: lambda b: b.replace(mask=b.mask.at[1, 2:].set(False)),
    Status.BAD_FPS: lambda b: b.replace(fps=b.fps.at[1].set(-30.0)),
    Status.NOT_FINITE: lambda b: b.replace(root_pos=b.root_pos.at[1, 5, 0].set(jnp.nan)),
    Status.BAD_ROTATION: lambda b: b.replace(joint_quat=b.joint_quat.at[1, 7, 3].set(0.0)),
    Status.BAD_UNITS: lambda b: b.replace(root_pos=b.root_pos.at[1].mul(1000.0)),
}
ABSURD = {
    "late": (Status.GAP, lambda b: b.replace(mask=b.mask.at[1, 0].set(False))),
    "far away": (Status.BAD_UNITS, lambda b: b.replace(root_pos=b.root_pos.at[1, 9, 0].set(1e20))),
    "level in mm": (
        Status.BAD_UNITS,
        lambda b: b.replace(root_pos=b.root_pos.at[1, ::2, 0].add(9e2)),
    ),
    "betas": (Status.BAD_UNITS, lambda b: b.replace(betas=b.betas.at[1, 3].set(1e4))),
    "a logit for a probability": (
        Status.BAD_UNITS,
        lambda b: b.replace(static_conf=b.static_conf.at[1, 5, 0].set(7.0)),
    ),
    "light": (Status.BAD_UNITS, lambda b: b.replace(mass_kg=b.mass_kg.at[1].set(1e-39))),
    "heavy": (Status.BAD_UNITS, lambda b: b.replace(mass_kg=b.mass_kg.at[1].set(1e38))),
    "infinite mass": (Status.BAD_UNITS, lambda b: b.replace(mass_kg=b.mass_kg.at[1].set(jnp.inf))),
    "fast": (Status.BAD_FPS, lambda b: b.replace(fps=b.fps.at[1].set(1e30))),
    "slow": (Status.BAD_FPS, lambda b: b.replace(fps=b.fps.at[1].set(1e-6))),
    "no fps": (Status.BAD_FPS, lambda b: b.replace(fps=b.fps.at[1].set(jnp.nan))),
}
BAD_CASES = {status.label: (status, spoil) for status, spoil in BAD.items()} | ABSURD


@pytest.mark.parametrize("case", BAD_CASES)
def test_bad_clip_is_told_and_touches_no_other(case, motion, alone):
    status, spoil = BAD_CASES[case]
    report = score(spoil(batch_of(motion, motion))).on_host()
    assert report.status.tolist() == [0, int(status), int(Status.EMPTY), int(Status.EMPTY)]
    assert report.valid.tolist() == [True, False, False, False]
    assert np.isnan(report.reward[1:]).all()
    assert all(np.isnan(report.parts[name][1:]).all() for name in PAPER.parts)
    np.testing.assert_array_equal(parts_of(report, 0), parts_of(alone, 0))
    assert report.reason(1)


def test_empty_batch():
    report = score(zeros_like_batch()).on_host()
    assert not report.valid.any()
    assert report.status.tolist() == [int(Status.EMPTY)] * CLIPS


def test_shapes_and_ranges(motion):
    report = report_of(motion, clip(root=lambda t: (t, 0, 0)))
    for name in PAPER.parts:
        assert report.frames[name].shape == (CLIPS, LENGTH)
        assert report.links[name].shape == (CLIPS, 24)
        values = report.frames[name][:2]
        assert values.min() >= 0.0 and values.max() <= 1.0
        assert np.all(values[:, 61:] == 0.0), "padding adds nothing"


def test_gradient_is_finite_at_rest():
    """A motionless body: where norms have no slope, the reward's gradient is still a number."""
    batch = batch_of(clip(frames=20), clip(pose=smooth, frames=40))

    def total(leaves):
        report = score(batch.replace(**leaves))
        return jnp.sum(jnp.where(report.valid, report.reward, 0.0))

    leaves = {name: getattr(batch, name) for name in ("root_pos", "joint_quat", "betas")}
    leaves["mass_kg"] = jnp.full(CLIPS, 70.0)
    grads = jax.jit(jax.grad(total))(leaves)
    for g in grads.values():
        assert np.isfinite(np.asarray(g)).all()
        assert np.abs(np.asarray(g)).max() > 0.0


def test_other_bodies_are_refused(motion):
    with pytest.raises(ModelError, match="2 links and 0 feet"):
        scorer.score(batch_of(motion), from_mjcf(TWO_LINKS))


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="paper"):
        Scorer("papr")
    with pytest.raises(UnknownNameError, match="fused, mjx"):
        Scorer(backend="numpy")  # pyright: ignore[reportArgumentType]
