"""Violations do what they say, measured with forward kinematics of the test's own."""

from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.assets import demo_clips
from phymotion_jax.body.skeleton import FEET, PARENTS, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.errors import MotionError, Status, UnknownNameError
from phymotion_jax.io import load_motion
from phymotion_jax.redteam import CONTROLS, LEVELS, VIOLATIONS, add_noise, freeze, violate

EXACT = 2e-5  # positions and quaternions are float32, and walk three metres from the origin
ALL = VIOLATIONS | CONTROLS

each_edit = pytest.mark.parametrize("name", ALL)
each_level = pytest.mark.parametrize("level", LEVELS)
each_seed = pytest.mark.parametrize("seed", [0, 1, 7])


@cache
def demo(name):
    return load_motion(next(path for path in demo_clips() if path.stem == name))


@cache
def jump():
    """Stands for a second, flies for 0.51 s, and stands: feet first, at 120 fps."""
    t = np.arange(300) / 120 - 1.0
    flown = np.clip(t, 0.0, 2 * 2.5 / 9.81)
    stand = freeze(demo("stand"), 0)
    still = np.zeros(len(t), int)
    pos = stand.root_pos[still].astype(np.float64)
    pos[:, 2] += 2.5 * flown - 0.5 * 9.81 * flown**2
    return stand.take(still).replace(root_pos=pos.astype(np.float32), fps=120.0, name="jump")


def part_of(motion, start, stop):
    return motion.take(slice(start, stop))


def rotations(motion, link):
    return Rotation.from_quat(motion.joint_quat[:, link], scalar_first=True)


def posed(motion):
    """Rotations and positions of the links in the world."""
    joints = default_template().joint_mean + default_template().joint_dirs @ motion.betas
    turns, places = [], []
    for link, parent in enumerate(PARENTS):
        local = rotations(motion, link)
        turns.append(turns[parent] * local if link else local)
        bone = turns[parent].apply(joints[link] - joints[parent]) if link else 0.0
        places.append((places[parent] if link else motion.root_pos.astype(float)) + bone)
    return turns, np.stack(places, axis=1)


def place(motion, joint):
    return posed(motion)[1][:, body_index(joint)]


def lowest(motion):
    turns, places = posed(motion)
    points = default_template().contact
    height = [
        places[:, link, 2] + turns[link].apply(point + dirs @ motion.betas)[:, 2]
        for link, point, dirs in zip(points.link, points.mean, points.dirs, strict=True)
    ]
    return np.min(height, axis=0)


def shift(clean, wrong):
    return wrong.root_pos.astype(float) - clean.root_pos


def turn_between(clean, wrong, link):
    return rotations(clean, link).inv() * rotations(wrong, link)


def inside(motion):
    """Frames of the middle half."""
    share = np.arange(motion.n_frames) / (motion.n_frames - 1)
    return (share > 0.25) & (share < 0.75)


def bend(motion, joint, end, axis):
    """Degrees, about a link axis of the upper bone, from the rest pose to the lower bone."""
    turns, places = posed(motion)
    link, tip = body_index(joint), body_index(end)
    rest = (default_template().joint_mean[tip] - default_template().joint_mean[link])[None]
    now = turns[PARENTS[link]].inv().apply(places[:, tip] - places[:, link])
    across = [(axis + 1) % 3, (axis + 2) % 3]
    angle = [np.arctan2(v[:, across[1]], v[:, across[0]]) for v in (now, rest)]
    return np.degrees(np.angle(np.exp(1j * (angle[0] - angle[1]))))


def raised(clean, wrong):
    up = shift(clean, wrong)
    assert np.all(up[:, :2] == 0.0) and np.all(up[~inside(clean)] == 0.0)
    return up[np.argmax(np.abs(up[:, 2])), 2]


def climb(clean, wrong):
    rate = np.diff(shift(clean, wrong)[:, 2]) * clean.fps
    assert np.ptp(rate) < 1e-3
    return rate.mean()


def foot_drift(clean, wrong):
    feet = [link for foot in FEET for link in foot]
    drift = np.diff((posed(wrong)[1] - posed(clean)[1])[:, feet], axis=0) * clean.fps
    assert np.abs(drift - drift.mean(axis=(0, 1))).max() < 1e-3
    assert abs(drift[..., 2]).max() < 1e-6
    return np.linalg.norm(drift.mean(axis=(0, 1)))


def lost_progress(clean, wrong):
    path, rest = np.ptp(clean.root_pos[:, 0]), np.diff(wrong.root_pos[[0, -1], 0])[0]
    assert np.allclose(wrong.root_pos[:, 2], clean.root_pos[:, 2])
    return 1.0 - rest / path


def turned_away(clean, wrong):
    """Revolutions a second about the vertical."""
    turn = rotations(wrong, 0) * rotations(clean, 0).inv()
    step = (turn[1:] * turn[:-1].inv()).as_rotvec()
    assert np.abs(step[:, :2]).max() < 1e-3 and np.all(shift(clean, wrong) == 0.0)
    return abs(step[:, 2].mean()) * clean.fps / (2 * np.pi)


def tilt(clean, wrong):
    turn = (rotations(wrong, 0) * rotations(clean, 0).inv()).as_rotvec(degrees=True)
    assert np.abs(turn - turn[0]).max() < 0.01 and abs(turn[:, 2]).max() < 0.01
    assert np.allclose(lowest(wrong), lowest(clean), atol=EXACT)
    return np.linalg.norm(turn[0])


def sole_lift(clean, wrong):
    assert np.all(wrong.root_pos == clean.root_pos)
    lift = (posed(wrong)[1] - posed(clean)[1])[:, [link for foot in FEET for link in foot]]
    assert np.allclose(lift[~inside(clean)], 0.0) and np.abs(lift[..., :2]).max() < 1e-4
    return lift[len(lift) // 2, :, 2].min()


def bounce(clean, wrong):
    """Peak acceleration in g, of feet that stay."""
    for joint in ("left_ankle", "right_foot"):
        assert np.allclose(place(wrong, joint), place(clean, joint), atol=1e-4)
    return np.abs(np.diff(shift(clean, wrong)[:, 2], 2)).max() * clean.fps**2 / 9.81


def jump_between(clean, wrong):
    step = np.linalg.norm(np.diff(shift(clean, wrong), axis=0), axis=1)
    assert (step > 1e-5).sum() == 1 and np.all(shift(clean, wrong)[:, 2] == 0.0)
    return step.max()


def one_off(clean, wrong):
    angle = np.stack([turn_between(clean, wrong, link).magnitude() for link in range(24)])
    assert (angle > 1e-3).sum() == 1
    return angle.max()


def shaking(clean, wrong):
    assert np.all(shift(clean, wrong) == 0.0)
    assert np.allclose(wrong.joint_quat[:, 0], clean.joint_quat[:, 0], atol=EXACT)
    return np.std([turn_between(clean, wrong, link).as_rotvec() for link in range(1, 22)])


def swing(clean, wrong):
    """Degrees of the joint that turns to and fro: the amplitude of its wave at 6 Hz."""
    turns = [turn_between(clean, wrong, link).as_rotvec(degrees=True)[:, 1] for link in range(24)]
    (moving,) = (turn for turn in turns if np.abs(turn).max() > 0.1)
    wave = np.exp(-2j * np.pi * 6.0 * np.arange(len(moving)) / clean.fps)
    return 2.0 * np.abs(np.mean(moving * wave))


def hop(clean, wrong):
    """Metres, as its flights last: between frames it may be higher than on any."""
    lift = shift(clean, wrong)
    assert np.all(lift[:, :2] == 0.0) and np.array_equal(clean.joint_quat, wrong.joint_quat)
    fall = np.diff(lift[:, 2].astype(float), 2) * clean.fps**2
    assert np.median(fall[lift[1:-1, 2] > 0.5 * lift[:, 2].max()]) == pytest.approx(-9.81, abs=0.1)
    return lift[:, 2].max()


def in_chest(clean, wrong):
    """How far the wrist has come towards the chest's joint, which is itself inside."""
    path = np.linalg.norm(place(wrong, "left_wrist") - place(wrong, "spine3"), axis=1)
    assert np.allclose(place(wrong, "right_wrist"), place(clean, "right_wrist"), atol=EXACT)
    return default_template().hull.mean[default_template().hull.link == 9, 2].max() - path.min()


def look(clean, wrong):
    head = rotations(wrong, body_index("neck")) * rotations(wrong, body_index("head"))
    return np.degrees(head.magnitude().max())


def wrung(clean, wrong):
    """Degrees by which the left upper arm is turned about itself from where it would hang; it
    points where it did in the middle, and the right one is as it was."""
    turns = posed(wrong)[0]
    whole = turns[9].inv() * turns[body_index("left_shoulder")]
    middle = inside(wrong)
    pointed = posed(clean)[0][9].inv() * posed(clean)[0][body_index("left_shoulder")]
    apart = np.cross(whole.apply([1.0, 0.0, 0.0]), pointed.apply([1.0, 0.0, 0.0]))[middle]
    assert np.linalg.norm(apart, axis=-1)[len(apart) // 2] < 1e-3
    from_hanging = whole * Rotation.from_euler("z", 90, degrees=True)
    quat = from_hanging.as_quat(canonical=True)[middle]
    return np.degrees(-2.0 * np.arctan2(quat[:, 1], quat[:, 3])).max()


def pace(clean, wrong):
    return (clean.n_frames - 1) / (wrong.n_frames - 1)


def slowness(clean, wrong):
    """From the fall of the flight: a body in slow motion falls with 1 / factor² g."""
    high = wrong.root_pos[:, 2] > wrong.root_pos[0, 2] + 0.1
    fall = np.diff(wrong.root_pos[:, 2].astype(float)[high], 2) * clean.fps**2
    return np.sqrt(9.81 / -fall.mean())


def glide(clean, wrong):
    """Metres a second of one pose that lies on its back on the floor, head first."""
    turns, places = posed(wrong)
    assert np.ptp(wrong.joint_quat, axis=0).max() == 0.0
    assert np.allclose(lowest(wrong), lowest(clean)[0], atol=EXACT)
    assert turns[0][0].apply([0.0, 0.0, 1.0])[2] > 0.9  # the belly is up
    step = np.diff(places[:, 0], axis=0) * clean.fps
    along = places[0, body_index("head")] - places[0, 0]
    assert np.ptp(step, axis=0).max() < 1e-3 and abs(step[0, 2]) < 1e-6
    return step[0] @ along / np.linalg.norm(along[:2])


def folded(clean, wrong):
    """Degrees of the lowest link of the spine and of the highest, against each other."""
    low, high = (
        rotations(wrong, body_index(link)).as_rotvec(degrees=True)[inside(wrong)]
        for link in ("spine1", "spine3")
    )
    middle = len(low) // 2
    assert np.allclose(low[middle], -high[middle], atol=0.1)
    return low[middle, 0]


MEASURES = {
    "levitate": climb,
    "hover": raised,
    "float_walk": sole_lift,
    "sink": lambda clean, wrong: -raised(clean, wrong),
    "skate_slow": foot_drift,
    "skate_fast": foot_drift,
    "moonwalk": lost_progress,
    "spin": turned_away,
    "impossible_lean": tilt,
    "glide_lying": glide,
    "joint_jitter": shaking,
    "root_jitter": lambda clean, wrong: shift(clean, wrong).std(),
    "teleport": jump_between,
    "pop": one_off,
    "knee_backwards": lambda clean, wrong: -bend(wrong, "left_knee", "left_ankle", 0).max(),
    "elbow_backwards": lambda clean, wrong: bend(wrong, "left_elbow", "left_wrist", 1).max(),
    "head_turned": look,
    "arm_wrung": wrung,
    "spine_folded": folded,
    "limb_through_body": in_chest,
    "too_fast": pace,
    "slowed_jump": slowness,
    "super_strength": bounce,
    "stiff_hops": hop,
    "shaking": swing,
}

FOOT_JOINTS = ("ankle", "foot")

TOLERANCE = {
    "joint_jitter": 0.05,  # of so many random numbers
    "root_jitter": 0.1,
    "super_strength": 0.06,  # a second difference sees 0.94 of 4 Hz at 30 fps
    "too_fast": 0.02,  # whole frames
    "stiff_hops": 0.02,  # the highest frame
    "shaking": 0.02,  # periods that the clip cuts off
    "elbow_backwards": 0.03,  # the bone is not square to its hinge
    "knee_backwards": 0.03,
    "glide_lying": 0.03,  # the head is not straight above the pelvis
}


def test_every_violation_is_measured():
    assert MEASURES.keys() == VIOLATIONS.keys()


@each_level
@pytest.mark.parametrize("name", VIOLATIONS)
def test_strength_is_what_the_table_says(name, level):
    clean = jump() if VIOLATIONS[name].needs == "flight" else demo("walk")
    measured = MEASURES[name](clean, violate(clean, name, level))
    want = VIOLATIONS[name].strengths[LEVELS.index(level)]
    assert measured == pytest.approx(want, rel=TOLERANCE.get(name, 2e-3))


@each_edit
def test_table(name):
    edit = ALL[name]
    assert edit.name == name and edit.unit and edit.reason
    assert 0.0 < edit.strengths[0] < edit.strengths[1] < edit.strengths[2]
    prefix = {"kinematic": "kin.", "contact": "con.", "dynamic": "dyn."}
    assert (name in CONTROLS) == (edit.axis == "none") == (not edit.parts)
    assert not edit.parts or edit.parts[0].startswith(prefix[edit.axis])


@each_level
@each_edit
@pytest.mark.parametrize("motion", [demo("walk"), demo("fall"), jump()], ids=lambda m: m.name)
def test_everything_else_stays(motion, name, level):
    before = motion.root_pos.copy(), motion.joint_quat.copy()
    wrong = violate(motion, name, level)
    assert wrong.name == f"{motion.name}_{name}_{level}"
    assert wrong.fps == motion.fps and wrong.mass_kg == motion.mass_kg
    assert wrong.betas is motion.betas
    assert wrong.static_conf.shape == (wrong.n_frames, 6)
    assert wrong.root_pos.dtype == wrong.joint_quat.dtype == np.float32
    assert wrong.root_pos.shape == (wrong.n_frames, 3) and np.isfinite(wrong.root_pos).all()
    assert np.allclose(np.linalg.norm(wrong.joint_quat, axis=-1), 1.0, atol=1e-6)
    assert np.allclose(np.abs(wrong.joint_quat[:, 22:, 0]), 1.0)  # SMPL-X's hands do not turn
    assert np.all(before[0] == motion.root_pos) and np.all(before[1] == motion.joint_quat)


SEEDED = {
    "arm_wrung",
    *("skate_slow", "skate_fast", "spin", "impossible_lean", "joint_jitter", "root_jitter"),
    *("teleport", "pop", "knee_backwards", "elbow_backwards", "head_turned", "limb_through_body"),
    *("glide_lying", "spine_folded", "shaking", "position_noise", "rotation_noise"),
}


@each_edit
def test_seed_decides(name):
    def arrays(seed):
        wrong = violate(demo("walk"), name, seed=seed)
        return np.concatenate([wrong.root_pos, wrong.joint_quat.reshape(wrong.n_frames, -1)], 1)

    assert np.array_equal(arrays(3), arrays(3))
    assert np.array_equal(arrays(3), arrays(4)) == (name not in SEEDED)


@each_edit
@each_level
@pytest.mark.parametrize("frames", [3, 4, 5])
@pytest.mark.parametrize("motion", [demo("walk"), jump()], ids=lambda m: m.name)
def test_short_clips(motion, frames, level, name):
    """The second of them starts in mid-air."""
    short = part_of(motion, 130 - motion.n_frames // 2, 130 - motion.n_frames // 2 + frames)
    short = part_of(motion, 125, 125 + frames) if motion.name == "jump" else short
    wrong = violate(short, name, level)
    assert np.isfinite(wrong.root_pos).all() and wrong.n_frames >= 3
    assert np.allclose(np.linalg.norm(wrong.joint_quat, axis=-1), 1.0, atol=1e-6)


@pytest.mark.parametrize("name", ["hover", "sink", "teleport", "pop", "knee_backwards"])
def test_short_clips_are_wrong_too(name):
    short = part_of(demo("walk"), 60, 65)
    want = VIOLATIONS[name].strength("strong")
    assert MEASURES[name](short, violate(short, name, "strong")) == pytest.approx(want, rel=0.03)


@each_seed
def test_limbs_bend_the_way_that_is_backwards(seed):
    side = ("left", "right")[seed % 2]
    knee = violate(demo("stand"), "knee_backwards", "strong", seed)
    turns, places = posed(knee)
    hip, ankle = (body_index(f"{side}_{joint}") for joint in ("hip", "ankle"))
    thigh = turns[hip].inv().apply(places[:, ankle] - places[:, hip])
    assert thigh[:, 2].min() > 0.3  # the shank is ahead of the thigh's line, metres
    elbow = violate(demo("stand"), "elbow_backwards", "strong", seed)
    turns, places = posed(elbow)
    shoulder, wrist = (body_index(f"{side}_{joint}") for joint in ("shoulder", "wrist"))
    arm = turns[shoulder].inv().apply(places[:, wrist] - places[:, shoulder])
    assert arm[60, 2] < -0.2 < arm[0, 2]  # the forearm is behind the upper arm's


@each_level
@pytest.mark.parametrize("name", ["walk", "squat"])
def test_a_knee_bends_backwards_on_every_frame_and_nothing_else_gives_way(name, level):
    """Also where it was bent by more than 100 degrees; the other knee bends as knees do."""
    clean, wrong = demo(name), violate(demo(name), "knee_backwards", level)
    strength = VIOLATIONS["knee_backwards"].strength(level)
    assert bend(wrong, "left_knee", "left_ankle", 0).max() < -strength + 0.1
    assert bend(wrong, "right_knee", "right_ankle", 0).min() > 0.0
    feet = [body_index(f"{side}_{joint}") for side in ("left", "right") for joint in FOOT_JOINTS]
    before, after = (posed(motion)[1][:, feet] for motion in (clean, wrong))
    np.testing.assert_allclose(after, before, atol=1e-5)  # metres; float32 rotations
    drop = clean.root_pos - wrong.root_pos
    assert np.ptp(drop, axis=0).max() < 1e-6 and 0.0 <= drop[0, 2] < 0.2


@each_seed
@pytest.mark.parametrize("name", ["walk", "squat", "fall"])
def test_wrist_is_inside_the_chest(name, seed):
    """In the body's own axes too: between the front of the chest and the spine."""
    wrong = violate(demo(name), "limb_through_body", "strong", seed)
    turns, places = posed(wrong)
    wrist = places[:, body_index(("left_wrist", "right_wrist")[seed % 2])]
    local = turns[9].inv().apply(wrist - places[:, 9])[wrong.n_frames // 2]
    hull = default_template().hull
    assert np.allclose(local, [0.0, 0.0, hull.mean[hull.link == 9, 2].max() - 0.12], atol=1e-3)


@each_seed
def test_lean_goes_sideways_from_the_feet(seed):
    stand = demo("stand")
    wrong = violate(stand, "impossible_lean", 40.0, seed)
    left = rotations(stand, 0)[0].apply([1.0, 0.0, 0.0])
    side = (1, -1)[seed % 2]
    assert shift(stand, wrong)[0] @ left * side == pytest.approx(0.94 * np.sin(np.radians(40)), 0.1)
    foot = place(wrong, "left_foot") - place(stand, "left_foot")
    assert np.linalg.norm(foot, axis=1).max() < 0.2  # feet are 0.25 apart, and one of them rises


def test_spin_keeps_up_with_a_low_frame_rate():
    wrong = violate(demo("walk").replace(fps=16.0), "spin", "strong")
    assert turned_away(demo("walk").replace(fps=16.0), wrong) == pytest.approx(6.0, rel=1e-3)


def test_integer_factors_take_frames_as_they_are():
    walk = demo("walk")
    wrong = violate(walk, "too_fast", 2.0)
    assert wrong.name == "walk_too_fast_2"
    assert np.allclose(wrong.root_pos, walk.root_pos[::2])
    assert np.allclose(wrong.joint_quat, walk.joint_quat[::2], atol=1e-6)


def test_only_the_flight_is_slowed():
    wrong = violate(jump(), "slowed_jump", 3.0)
    longer = wrong.n_frames - jump().n_frames
    # Higher than 5 cm it is for 0.47 s; the 0.15 s before and after are slowed by half as much.
    assert longer == pytest.approx(2.0 * (0.47 + 0.15) * 120, abs=4)
    assert np.allclose(wrong.root_pos[:90], jump().root_pos[:90], atol=EXACT)
    assert np.allclose(wrong.root_pos[-90:], jump().root_pos[-90:], atol=EXACT)


def test_a_clip_without_flight_is_slowed_throughout():
    squat = demo("squat")
    wrong = violate(squat, "slowed_jump", 2.0)
    assert wrong.n_frames == 2 * squat.n_frames - 1
    assert np.allclose(wrong.root_pos[::2], squat.root_pos, atol=EXACT)


def test_slow_motion_has_no_jerks():
    """Its largest acceleration is the clip's own by the square of the factor.

    Between straight lines and slerps it would be by the factor itself.
    """
    squat = demo("squat")
    slow = violate(squat, "slowed_jump", 3.0)
    peaks = [np.abs(np.diff(place(m, "left_wrist"), 2, axis=0)).max() for m in (squat, slow)]
    assert peaks[1] == pytest.approx(peaks[0] / 9.0, rel=0.3)


def test_freeze_holds_one_frame():
    walk = demo("walk")
    for frame in (0, 40, -1):
        held = freeze(walk, frame)
        assert held.n_frames == walk.n_frames
        assert np.all(held.root_pos == walk.root_pos[frame])
        assert np.all(held.joint_quat == walk.joint_quat[frame])
    assert np.all(freeze(walk).root_pos == walk.root_pos[63])
    with pytest.raises(IndexError):
        freeze(walk, walk.n_frames)


def test_noise_has_the_spread_that_was_asked_for():
    walk = demo("walk")
    noisy = add_noise(walk, position_m=0.01, rotation_rad=0.02, seed=5)
    assert shift(walk, noisy).std() == pytest.approx(0.01, rel=0.1)
    for link in (0, 5, 21):
        spread = turn_between(walk, noisy, link).as_rotvec().std(axis=0)
        assert spread == pytest.approx(0.02, rel=0.25)
    assert np.array_equal(add_noise(walk, seed=5).root_pos, walk.root_pos)


def test_unknown_names_say_what_there_is():
    with pytest.raises(UnknownNameError, match=r"no violation 'fly'.*levitate.*rotation_noise"):
        violate(demo("walk"), "fly")
    with pytest.raises(
        UnknownNameError, match="no strength 'huge'; there are weak, middle, strong"
    ):
        violate(demo("walk"), "hover", "huge")


def test_too_short_to_be_wrong():
    with pytest.raises(MotionError, match="2 frames") as error:
        violate(part_of(demo("walk"), 0, 2), "hover")
    assert error.value.status is Status.TOO_SHORT


def test_real_motions(shared):
    """Real captures: legs that are out of true, other rates, bodies on the floor."""
    for name in ("asap_CR7_level1", "deepmimic_cartwheel", "deepmimic_getup_facedown"):
        clean = load_motion(shared / "clips" / f"{name}.npz")
        for edit in ALL:
            wrong = violate(clean, edit, "strong", seed=2)
            assert np.isfinite(wrong.root_pos).all()
            assert np.allclose(np.linalg.norm(wrong.joint_quat, axis=-1), 1.0, atol=1e-6)
        drift = foot_drift(clean, violate(clean, "skate_fast", "weak"))
        assert drift == pytest.approx(0.5, rel=1e-3)
