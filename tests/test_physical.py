"""The `physical` preset: laws, motions with known forces, and violations beside clean clips."""

import json
from functools import partial
from importlib.resources import files
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from motions import CLIPS, LENGTH, batch_of, clip, doubled, rotated, smooth, zeros_like_batch
from nanomanifold import SO3

from phymotion_jax import scorer
from phymotion_jax.assets import demo_clips
from phymotion_jax.assets.calibrate import CALIBRATED
from phymotion_jax.body.skeleton import body_index
from phymotion_jax.errors import Status, UnknownNameError
from phymotion_jax.io import load_motion
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import PHYSICAL
from phymotion_jax.redteam import violate

SIDES = ("left", "right")

MOVED = ("root_pos", "joint_quat", "static_conf")

score = partial(scorer.score, preset="physical", forces=True)

BATCH_ATOL = 1e-5
"""The same float32 arithmetic in another shape."""

TURN_ATOL = 1e-3
"""Float32 rounding of positions some metres out, in accelerations, over ramps a few cm wide."""

FAR_M = 1e-3
"""A few steps of float32 three kilometres out."""

RATE_ATOL = 0.03
"""Between 30 and 60 frames a second: what the issue asks for."""

FORCE_BW = 0.05
"""Vertical force in steady contact, against the simulator's: what the issue asks for."""


def parts_of(report, row):
    return np.array([report.parts[name][row] for name in PHYSICAL.parts])


def report_of(*motions, **options):
    return score(batch_of(*motions), **options).on_host()


@pytest.fixture(scope="module")
def demo():
    return {path.stem: load_motion(path) for path in demo_clips()}


@pytest.fixture(scope="module")
def clean(demo):
    """Stand, squat and walk, with one row of padding."""
    return report_of(demo["stand"], demo["squat"], demo["walk"])


def test_twelve_parts_and_their_axes(clean):
    assert len(PHYSICAL.parts) == 12
    for axis, names in PHYSICAL.axes.items():
        assert len(names) == 4
        mean = np.mean([clean.parts[name] for name in names], axis=0)
        np.testing.assert_allclose(clean.axes[axis], 1.0 - mean, atol=1e-6)


def test_clean_simulations_score_high(clean):
    assert clean.valid[:3].all()
    assert (clean.reward[:3] > 0.98).all()
    assert max(parts_of(clean, row).max() for row in range(3)) < 0.1


def test_alone_padded_and_among_strangers(demo, clean):
    walk = demo["walk"]
    bare = score(MotionBatch.from_motions([walk], length=walk.n_frames)).on_host()
    np.testing.assert_allclose(parts_of(bare, 0), parts_of(clean, 2), atol=BATCH_ATOL)
    shuffled = report_of(clip(pose=smooth), walk, demo["fall"])
    np.testing.assert_allclose(parts_of(shuffled, 1), parts_of(clean, 2), atol=BATCH_ATOL)


def test_padding_may_be_nan(demo, clean):
    batch = batch_of(demo["stand"], demo["squat"], demo["walk"])
    hole = ~batch.mask
    dirty = batch.replace(
        root_pos=jnp.where(hole[..., None], jnp.nan, batch.root_pos),
        joint_quat=jnp.where(hole[..., None, None], jnp.nan, batch.joint_quat),
    )
    report = score(dirty).on_host()
    for row in range(3):
        np.testing.assert_array_equal(parts_of(report, row), parts_of(clean, row))


def test_turning_the_world_changes_nothing(demo):
    walk = demo["walk"]
    report = report_of(walk, rotated(walk, 1.1, shift=(3.0, -2.0)))
    np.testing.assert_allclose(parts_of(report, 1), parts_of(report, 0), atol=TURN_ATOL)


def test_far_from_the_origin_too(demo):
    """At 120 frames a second and kilometres away, where float32 moves in steps of 0.1 mm."""
    fine = doubled(doubled(demo["walk"].take(np.arange(LENGTH // 4))))
    far = np.array([3000.3, -2000.6])
    report: Any = report_of(fine, rotated(fine, 0.0, shift=tuple(far)))
    np.testing.assert_allclose(parts_of(report, 1), parts_of(report, 0), atol=TURN_ATOL)
    cop = report.forces.cop[..., :2]
    assert np.nanmedian(np.abs(cop[1] - far - cop[0])) < FAR_M


def test_no_forces_on_padding(demo):
    report: Any = report_of(demo["squat"].take(np.arange(60)))
    assert np.isnan(report.forces.cop[0, 60:]).all()
    for name in ("ground", "residual_force", "residual_moment", "torque"):
        forces = getattr(report.forces, name)[0]
        assert np.abs(forces[:60]).max() > 0.1, name
        assert not forces[60:].any(), name


def test_nothing_to_score():
    report = score(zeros_like_batch()).on_host()
    assert (report.status == Status.EMPTY).all()
    assert np.isnan(report.reward).all()


def test_ground_force_of_simulated_contact(demo, clean):
    """What the simulator's floor did, in steady contact: total, by foot, and where."""
    for row, name in enumerate(("stand", "squat")):
        path = next(p for p in demo_clips() if p.stem == name)
        with np.load(path, allow_pickle=False) as file:
            plates, cop = file["grf_N"], file["cop_m"]
        weight = demo[name].mass_kg * 9.81
        steady = slice(10, len(plates) - 10)
        ours = clean.forces.ground[row, : len(plates)] / weight
        theirs = plates / weight
        total = ours[steady].sum(axis=1)[:, 2] - theirs[steady].sum(axis=1)[:, 2]
        assert np.abs(total).max() < FORCE_BW
        assert np.abs(ours[steady, :2, 2] - theirs[steady, :, 2]).max() < 3 * FORCE_BW
        where = clean.forces.cop[row, : len(plates), :, :2] - cop[..., :2]
        assert np.nanmedian(np.linalg.norm(where[steady], axis=-1)) < 0.06


def test_forces_close_the_balance(demo, clean):
    """Ground and residual together are m(a + g), and little is left over of a clean clip."""
    for row, name in enumerate(("stand", "squat", "walk")):
        frames = demo[name].n_frames
        weight = demo[name].mass_kg * 9.81
        left = np.linalg.norm(clean.forces.residual_force[row, :frames], axis=-1) / weight
        assert np.quantile(left, 0.95) < 0.05
        up = clean.forces.ground[row, :frames].sum(axis=1)[:, 2] / weight
        assert abs(up.mean() - 1.0) < 0.05
        assert (clean.forces.ground[row, :, :, 2] >= 0.0).all()


def test_percentiles_count_the_clean_captures_that_do_better(clean):
    table = json.loads(files("phymotion_jax.assets").joinpath("calibration.json").read_text())
    assert table["clean"].keys() == {"reward", *PHYSICAL.parts} == clean.percentiles.keys()
    for name, scores in table["clean"].items():
        assert len(scores) == table["clips"] and scores == sorted(scores)
        ours = clean.reward if name == "reward" else clean.parts[name]
        better = [np.sum(np.array(scores) < x - 1e-4) for x in ours[:3]]
        if name == "reward":
            better = [np.sum(np.array(scores) > x + 1e-4) for x in ours[:3]]
        want = np.array(better) / table["clips"]
        np.testing.assert_allclose(clean.percentiles[name][:3], want, atol=1e-6)
    assert np.isnan(clean.percentiles["reward"][3])


def test_soft_ends_are_the_tables():
    table = json.loads(files("phymotion_jax.assets").joinpath("calibration.json").read_text())
    for name in CALIBRATED:
        assert getattr(PHYSICAL, name).soft == table["quantities"][name]["soft"]


def test_smooth_form_is_near_the_sharp_one_and_has_a_slope(demo, clean):
    """Its gradient is finite, also at rest, and on padding, where it is zero; of confidences, also
    where none are known."""
    batch = batch_of(clip(), demo["squat"], demo["walk"])

    @jax.jit
    def sloping(*leaves):
        def total(leaves):
            moved = batch.replace(**dict(zip(MOVED, leaves, strict=True)))
            report = scorer.score(moved, smooth=True)
            return jnp.sum(jnp.where(report.valid, report.reward, 0.0)), report

        return jax.grad(total, has_aux=True)(leaves)

    known = batch.static_conf.at[1].set(0.5)
    (*gradient, by_conf), report = sloping(batch.root_pos, batch.joint_quat, known)
    assert np.isfinite(np.asarray(by_conf)).all()
    assert (report.reward[1:3] < clean.reward[1:3] + 1e-3).all()
    assert (report.reward[1:3] > clean.reward[1:3] - 0.05).all()
    assert not report.percentiles  # clean captures were scored by the sharp one
    for leaf in map(np.asarray, gradient):
        assert np.isfinite(leaf).all()
        by_clip = np.abs(leaf).reshape(CLIPS, -1).max(axis=1)
        assert (by_clip[:3] > 0.0).all() and (by_clip[3:] == 0.0).all()
    with pytest.raises(UnknownNameError, match="no smooth form of a preset 'paper'"):
        scorer.score(batch, preset="paper", smooth=True)


def test_hovering_does_not_excuse_from_sliding(demo, clean):
    """A squat that hovers where it skates: float and slip."""
    skating = violate(demo["squat"], "skate_fast")
    both = report_of(skating, violate(skating, "hover", "strong"))
    assert both.parts["con.float"][1] > 0.3
    assert both.parts["con.slip"][1] > both.parts["con.slip"][0] - 0.05


@pytest.mark.parametrize("height", [0.06, 0.2])
def test_a_hover_is_no_higher_standing(demo, clean, height):
    """Soles of one person differ by 4.5 cm, but one of them is down."""
    report = report_of(violate(demo["squat"], "hover", height))
    assert report.parts["con.float"][0] > 0.5
    assert clean.parts["con.float"][1] < 0.01


def test_joints_lift_a_body_and_the_ground_does_not(demo):
    """A squat comes up by its legs; the same pose thrown up has nobody's work to go up by."""
    squat = demo["squat"]
    still = squat.take(np.zeros(LENGTH // 2, int))
    seen = report_of(squat, still, violate(still, "stiff_hops"))
    assert (seen.parts["dyn.residual"][:2] < 0.05).all()
    assert seen.parts["dyn.residual"][2] > 0.8


def test_one_joint_that_jitters_is_not_lost_among_others(demo):
    rng = np.random.default_rng(0)
    squat, head = demo["squat"], body_index("head")
    quat = squat.joint_quat.astype(float)
    noise = SO3.from_axis_angle(0.08 * rng.standard_normal((squat.n_frames, 3)))
    quat[:, head] = SO3.multiply(quat[:, head], noise)
    report = report_of(squat.replace(joint_quat=quat.astype(np.float32)))
    assert report.parts["kin.discontinuity"][0] > 0.4
    assert report.worst_joint_name("kin.discontinuity", 0) == "head"


def off(motion, frame, name, angle=1.0):
    """One joint of a clip turned about an axis of its own on one frame."""
    quat = motion.joint_quat.copy()
    turn = SO3.from_axis_angle(np.array([0.0, angle, 0.0]))
    joint = body_index(name)
    quat[frame, joint] = SO3.multiply(quat[frame, joint].astype(float), turn)
    return motion.replace(joint_quat=quat)


def test_artefacts_are_named_where_they_are(demo):
    """A joint off on one frame of a walk, and a body elsewhere for one: the half second around it
    is as bad, but it is that frame and that joint."""
    walk, names = demo["walk"], ("left_elbow", "right_wrist", "head")
    away = walk.root_pos.copy()
    away[60, 0] += 0.3
    report = report_of(*(off(walk, 60, n) for n in names), walk.replace(root_pos=away))
    assert (report.parts["kin.discontinuity"] > 0.2).all()
    assert (report.worst_frame["kin.discontinuity"] == 60).all()
    for row, name in enumerate((*names, "pelvis")):
        assert report.worst_joint_name("kin.discontinuity", row) == name
        assert report.links["kin.discontinuity"][row].argmax() == body_index(name)


def test_a_slide_is_named_while_it_lasts(demo):
    """Of one who stands on his feet, and of one who lies; each slides for a third of a second."""
    still = demo["squat"].take(np.zeros(LENGTH, int))

    def slid(motion):
        pos = motion.root_pos.copy()
        pos[:, 0] += 0.03 * np.clip(np.arange(len(pos)) - 40, 0, 10)
        return motion.replace(root_pos=pos)

    report = report_of(slid(still), slid(lying(demo, np.zeros_like)))
    assert (report.parts["con.slip"][:2] > 0.2).all()
    worst = report.worst_frame["con.slip"][:2]
    assert ((worst >= 38) & (worst <= 52)).all()
    assert "ankle" in report.worst_joint_name("con.slip", 0)
    assert "ankle" not in report.worst_joint_name("con.slip", 1)


def test_artefacts_elsewhere_do_not_add_to_a_slide(demo):
    """A body slides in one half of a clip, and its arms jitter in the other."""
    rng = np.random.default_rng(0)
    still = demo["squat"].take(np.zeros(LENGTH, int))
    pos, quat = still.root_pos.copy(), still.joint_quat.astype(float)
    pos[:, 0] += 0.004 * np.clip(np.arange(LENGTH), 5, 45)
    noise = SO3.from_axis_angle(0.2 * rng.standard_normal((LENGTH // 4, 3)))
    here, arms = slice(-LENGTH // 4, None), [body_index(f"{side}_elbow") for side in SIDES]
    for arm in arms:
        quat[here, arm] = SO3.multiply(quat[here, arm], noise)
    slides = still.replace(root_pos=pos)
    report = report_of(slides, slides.replace(joint_quat=quat.astype(np.float32)))
    assert report.parts["kin.discontinuity"][1] > 0.3
    smooth, rough = report.parts["con.slip"][:2]
    assert smooth > 0.1
    # Frames that are artefacts drop out: the mean is over the others, of which more slide.
    assert smooth <= rough < 1.2 * smooth


@pytest.mark.parametrize("frame", [0, -1])
def test_a_joint_that_is_off_on_the_first_or_last_frame(demo, frame):
    """A low-pass follows an end; there the frame is held against what its neighbours foretell."""
    squat = demo["squat"]
    report = report_of(squat, off(squat, frame, "left_elbow", 0.7))
    clean, ends = report.parts["kin.discontinuity"][:2]
    assert clean < 0.01
    assert ends > 0.2
    assert report.worst_joint_name("kin.discontinuity", 1) == "left_elbow"
    assert report.worst_frame["kin.discontinuity"][1] == frame % squat.n_frames


def lying(demo, path):
    """The one who has fallen, at rest, moved along x by a path over time."""
    motion = demo["fall"].take(np.full(LENGTH // 2, demo["fall"].n_frames - 1))
    pos = motion.root_pos.copy()
    pos[:, 0] += path(np.arange(len(pos)) / motion.fps)
    return motion.replace(root_pos=pos)


def test_a_lying_body_slides_as_far_as_friction_lets_it(demo):
    """At rest; at 1 m/s without end; and from 2 m/s until a friction of 0.3 has stopped it."""

    def braked(t):
        stop = 2.0 / (0.3 * 9.81)
        t = np.minimum(t, stop)
        return 2.0 * t - 0.5 * 0.3 * 9.81 * t**2

    report = report_of(*(lying(demo, path) for path in (np.zeros_like, lambda t: t, braked)))
    at_rest, gliding, stopping = report.parts["con.slip"][:3]
    assert at_rest < 0.05
    assert gliding == pytest.approx(1.0, abs=0.01)
    assert report.links["con.slip"][1, body_index("spine3")] > 0.5
    assert stopping < 0.5 * gliding


@pytest.mark.parametrize("kind", ["impossible_lean", "skate_fast", "spin"])
def test_noise_raises_no_reward(demo, kind):
    """Forces are not judged on frames that are artefacts: those drop out of the mean, and do not
    count as good ones."""
    wrong = violate(demo["walk"], kind, "strong")
    report = report_of(wrong, violate(wrong, "joint_jitter", "strong"))
    assert report.parts["kin.discontinuity"][1] > 0.3
    assert report.reward[1] < report.reward[0]


def test_who_flies_does_not_say_where_the_floor_is():
    """The height of a jump, where the lowest point is slow, with little besides."""

    def thrown(t):
        s = np.clip(t - 0.5, 0.0, 0.6)
        return (0.0, 0.0, 9.81 * s * (0.6 - s) / 2.0)

    jump = clip(root=thrown, seconds=1.6)
    report = report_of(jump, jump.take(np.arange(11, 37)))
    np.testing.assert_allclose(report.floor_height[:2], 0.0, atol=0.02)


def test_forces_only_where_asked_for(demo):
    shapes = jax.eval_shape(scorer.score, batch_of(demo["stand"]))  # compiles nothing
    assert shapes.forces is None


VIOLATED = {
    "hover": "con.float",
    "sink": "con.ground_penetration",
    "skate_fast": "con.slip",
    "skate_slow": "con.slip",
    "impossible_lean": "con.balance",
    "joint_jitter": "kin.discontinuity",
    "root_jitter": "kin.discontinuity",
    "shaking": "kin.discontinuity",
    "stiff_hops": "dyn.residual",
    "teleport": "kin.discontinuity",
    "pop": "kin.discontinuity",
    "knee_backwards": "kin.joint_limit",
    "elbow_backwards": "kin.joint_limit",
    "head_turned": "kin.joint_limit",
    "spine_folded": "kin.joint_limit",
    "glide_lying": "con.slip",
    "limb_through_body": "kin.self_penetration",
}


@pytest.mark.parametrize("kind", VIOLATED)
@pytest.mark.parametrize("name", ["squat", "walk"])
def test_violations_are_seen_where_they_are(demo, clean, name, kind):
    """At the middle strength, on the part that is meant, by more than 0.01 of the reward."""
    row = 1 if name == "squat" else 2
    twin = report_of(violate(demo[name], kind))
    part = VIOLATED[kind]
    assert twin.parts[part][0] > clean.parts[part][row] + 0.05
    assert clean.reward[row] - twin.reward[0] > 0.01


def test_penetration_blames_links_by_their_lowest_points(demo):
    """However many points a link has: a sole has eight under the floor at once."""
    report = report_of(violate(demo["stand"], "sink", "strong"))
    deepest = report.links["con.ground_penetration"][0].max()
    assert 0.2 < deepest <= report.parts["con.ground_penetration"][0]
    assert report.worst_joint_name("con.ground_penetration", 0).endswith(("ankle", "foot"))


def test_ballistic_flight_is_free():
    """A body thrown up and caught: no float; held in the air, or pulled out of it: float."""

    def thrown(t, gravity=9.81):
        s = np.clip(t - 0.7, 0.0, 0.6)
        return (0.0, 0.0, gravity * s * (0.6 - s) / 2.0)

    def held(t):
        return (0.0, 0.0, 0.44 * np.sin(np.pi * np.clip((t - 0.7) / 0.6, 0.0, 1.0)) ** 0.5)

    pulled = clip(root=lambda t: thrown(t, gravity=2.0 * 9.81))
    report = report_of(clip(root=thrown), clip(root=held), pulled)
    middle = slice(26, 34)  # of the flight, away from the jerks of throwing and catching
    assert report.frames["con.float"][0, middle].max() < 0.05
    assert report.frames["con.float"][1, middle].mean() > 0.3
    assert report.frames["con.float"][2, middle].mean() > 0.9


@pytest.mark.parametrize("name", ["squat", "walk"])
def test_frame_rate_drops_out(demo, name):
    motion = demo[name].take(np.arange(LENGTH // 2))
    report = report_of(motion, doubled(motion))
    np.testing.assert_allclose(parts_of(report, 1), parts_of(report, 0), atol=RATE_ATOL)


def test_derivative_is_finite():
    """Also at rest, and on padding; along a direction, which compiles faster than a gradient. It is
    zero for a perfect clip, which has nothing to gain."""
    batch = batch_of(clip(pose=smooth), clip())
    point = batch.root_pos, batch.joint_quat, batch.static_conf.at[0].set(0.5)
    direction = tuple(jax.random.normal(jax.random.key(k), x.shape) for k, x in enumerate(point))

    @jax.jit
    def along(direction):
        def reward(*leaves):
            report = scorer.score(batch.replace(**dict(zip(MOVED, leaves, strict=True))))
            return jnp.where(report.valid, report.reward, 0.0)

        return jax.jvp(reward, point, direction)[1]

    assert np.isfinite(np.asarray(along(direction))).all()
