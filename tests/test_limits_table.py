"""The limits table against where its angles take real limbs.

The signs of `limits.json` are only right if a positive angle moves the limb the way that the table
says. So each pose below states both what must happen to the body ("the ankle goes behind the knee")
and whether a human can do it.
"""

from dataclasses import dataclass
from functools import reduce
from operator import mul
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.body.limits import human_limits
from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, PARENTS, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.kernels.dynamics import link_motion
from phymotion_jax.kernels.vectors import unstack
from phymotion_jax.parts.ranges import range_excess

ATOL = 3e-6  # radians: float32 roundings of angles up to pi
LEFT, UP, FRONT = np.eye(3)
MOVED = 0.3  # of the bone's length: how far a limb must have gone for its direction to be certain


Turns = dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Pose:
    """Turns of links in degrees about x, y and z, what they do to the body, and who can do it."""

    turns: Turns
    possible: bool
    moved: str
    """The point that moves (a joint, or "face" and "palm" for directions)."""
    seen_from: str
    """The joint that it moves around."""
    towards: np.ndarray
    """Where it goes, compared with where it was at rest."""


def spine(*turn: float) -> Turns:
    """A third of a turn for each joint of the trunk."""
    return dict.fromkeys(("spine1", "spine2", "spine3"), tuple(angle / 3.0 for angle in turn))


def neck(*turn: float) -> Turns:
    """Half a turn for neck and head each."""
    return dict.fromkeys(("neck", "head"), tuple(angle / 2.0 for angle in turn))


def product(*turns: tuple[str, float]) -> tuple[float, ...]:
    """Rotation vector, in degrees, of turns about x, y or z; the last one comes first."""
    steps = [Rotation.from_euler(axis, angle, degrees=True) for axis, angle in turns]
    return tuple(reduce(mul, steps).as_rotvec(degrees=True).tolist())


POSES: dict[str, Pose] = {
    # legs
    "knee flexed 90": Pose({"left_knee": (90, 0, 0)}, True, "left_ankle", "left_knee", -FRONT),
    "knee flexed 140": Pose({"left_knee": (140, 0, 0)}, True, "left_ankle", "left_knee", -FRONT),
    "knee bent backwards": Pose(
        {"left_knee": (-30, 0, 0)}, False, "left_ankle", "left_knee", FRONT
    ),
    "knee bent sideways": Pose({"left_knee": (0, 0, 40)}, False, "left_ankle", "left_knee", LEFT),
    "shank turned": Pose({"left_knee": (0, 50, 0)}, False, "left_foot", "left_ankle", LEFT),
    "hip flexed 110": Pose({"left_hip": (-110, 0, 0)}, True, "left_knee", "left_hip", FRONT),
    "hip extended 25": Pose({"left_hip": (25, 0, 0)}, True, "left_knee", "left_hip", -FRONT),
    "hip extended 60": Pose({"left_hip": (60, 0, 0)}, False, "left_knee", "left_hip", -FRONT),
    "hip abducted 45": Pose({"left_hip": (0, 0, 45)}, True, "left_knee", "left_hip", LEFT),
    "thigh flexed and out, as cross-legged": Pose(
        {"left_hip": product(("y", 45), ("x", -90))}, True, "left_knee", "left_hip", FRONT
    ),
    "hip abducted 90": Pose({"left_hip": (0, 0, 90)}, False, "left_knee", "left_hip", LEFT),
    "hip adducted 25": Pose({"left_hip": (0, 0, -25)}, True, "left_knee", "left_hip", -LEFT),
    "hip adducted 50": Pose({"left_hip": (0, 0, -50)}, False, "left_knee", "left_hip", -LEFT),
    "hip turned out 40": Pose({"left_hip": (0, 40, 0)}, True, "left_foot", "left_ankle", LEFT),
    "hip turned out 70": Pose({"left_hip": (0, 70, 0)}, False, "left_foot", "left_ankle", LEFT),
    "hip turned in 70": Pose({"left_hip": (0, -70, 0)}, False, "left_foot", "left_ankle", -LEFT),
    "ankle plantar-flexed 40": Pose(
        {"left_ankle": (40, 0, 0)}, True, "left_foot", "left_ankle", -UP
    ),
    "ankle plantar-flexed 80": Pose(
        {"left_ankle": (80, 0, 0)}, False, "left_foot", "left_ankle", -UP
    ),
    "ankle dorsiflexed 25": Pose({"left_ankle": (-25, 0, 0)}, True, "left_foot", "left_ankle", UP),
    "ankle dorsiflexed 55": Pose({"left_ankle": (-55, 0, 0)}, False, "left_foot", "left_ankle", UP),
    "foot turned out 50": Pose({"left_ankle": (0, 50, 0)}, False, "left_foot", "left_ankle", LEFT),
    "toes up 60": Pose({"left_foot": (-60, 0, 0)}, True, "left_toes", "left_foot", UP),
    "toes down 60": Pose({"left_foot": (60, 0, 0)}, False, "left_toes", "left_foot", -UP),
    # trunk and head
    "bent forward 80": Pose(spine(80, 0, 0), True, "neck", "spine1", FRONT),
    "bent backward 40": Pose(spine(-40, 0, 0), True, "neck", "spine1", -FRONT),
    "bent backward 70": Pose(spine(-70, 0, 0), False, "neck", "spine1", -FRONT),
    "bent sideways 40": Pose(spine(0, 0, 40), True, "neck", "spine1", -LEFT),
    "bent sideways 70": Pose(spine(0, 0, 70), False, "neck", "spine1", -LEFT),
    "trunk turned 45": Pose(spine(0, 45, 0), True, "left_shoulder", "neck", -FRONT),
    "trunk turned 75": Pose(spine(0, 75, 0), False, "left_shoulder", "neck", -FRONT),
    "head turned 60": Pose(neck(0, 60, 0), True, "face", "head", LEFT),
    "head turned 120": Pose(neck(0, 120, 0), False, "face", "head", LEFT),
    "chin on the chest": Pose(neck(50, 0, 0), True, "face", "head", -UP),
    "head bowed 90": Pose(neck(90, 0, 0), False, "face", "head", -UP),
    "looking up 70": Pose(neck(-70, 0, 0), True, "face", "head", UP),
    "looking up 110": Pose(neck(-110, 0, 0), False, "face", "head", UP),
    "ear on the shoulder": Pose(neck(0, 0, -40), True, "vertex", "head", LEFT),
    "ear below the shoulder": Pose(neck(0, 0, -80), False, "vertex", "head", LEFT),
    # arms: the palms of the T-pose look down
    "arm hanging": Pose({"left_shoulder": (0, 0, -85)}, True, "left_elbow", "left_shoulder", -UP),
    "hanging arm turned in 80": Pose(
        {"left_shoulder": product(("z", -85), ("x", 80))}, True, "palm", "left_hand", -FRONT
    ),
    "hanging arm turned in 130": Pose(
        {"left_shoulder": product(("z", -85), ("x", 130))}, False, "palm", "left_hand", -FRONT
    ),
    "hanging arm turned out 100": Pose(
        {"left_shoulder": product(("z", -85), ("x", -100))}, True, "palm", "left_hand", FRONT
    ),
    "hanging arm turned out 170": Pose(
        {"left_shoulder": product(("z", -85), ("x", -170))}, False, "palm", "left_hand", LEFT
    ),
    "arm overhead": Pose({"left_shoulder": (0, 0, 90)}, True, "left_elbow", "left_shoulder", UP),
    "arm in front": Pose(
        {"left_shoulder": (0, -90, 0)}, True, "left_elbow", "left_shoulder", FRONT
    ),
    "hand on the other shoulder": Pose(
        {"left_shoulder": (0, -130, 0)}, True, "left_elbow", "left_shoulder", -LEFT
    ),
    "arm behind 60": Pose(
        {"left_shoulder": (0, 60, 0)}, True, "left_elbow", "left_shoulder", -FRONT
    ),
    "arm behind 110": Pose(
        {"left_shoulder": (0, 110, 0)}, False, "left_elbow", "left_shoulder", -FRONT
    ),
    "arm through the chest": Pose(
        {"left_shoulder": (0, -170, 0)}, False, "left_elbow", "left_shoulder", -LEFT
    ),
    "arm raised forwards to overhead": Pose(
        {"left_shoulder": product(("x", -170), ("z", -80))}, True, "left_elbow", "left_shoulder", UP
    ),
    "shared with the collar": Pose(
        {"left_collar": (0, 0, 20), "left_shoulder": (0, 0, 90)},
        True,
        "left_elbow",
        "left_shoulder",
        UP,
    ),
    "elbow flexed 90": Pose({"left_elbow": (0, -90, 0)}, True, "left_wrist", "left_elbow", FRONT),
    "elbow flexed 145": Pose({"left_elbow": (0, -145, 0)}, True, "left_wrist", "left_elbow", FRONT),
    "elbow bent backwards": Pose(
        {"left_elbow": (0, 40, 0)}, False, "left_wrist", "left_elbow", -FRONT
    ),
    "elbow bent sideways": Pose({"left_elbow": (0, 0, 60)}, False, "left_wrist", "left_elbow", UP),
    "palm turned up": Pose({"left_elbow": (-75, 0, 0)}, True, "palm", "left_hand", FRONT),
    "forearm turned 130": Pose({"left_elbow": (-130, 0, 0)}, False, "palm", "left_hand", FRONT),
    "wrist flexed 70": Pose({"left_wrist": (0, 0, -70)}, True, "left_hand", "left_wrist", -UP),
    "wrist extended 65": Pose({"left_wrist": (0, 0, 65)}, True, "left_hand", "left_wrist", UP),
    "wrist extended 110": Pose({"left_wrist": (0, 0, 110)}, False, "left_hand", "left_wrist", UP),
    "hand to the thumb's side 25": Pose(
        {"left_wrist": (0, -25, 0)}, True, "left_hand", "left_wrist", FRONT
    ),
    "hand to the thumb's side 70": Pose(
        {"left_wrist": (0, -70, 0)}, False, "left_hand", "left_wrist", FRONT
    ),
}

DIRECTIONS = {  # not joints: a direction fixed to a link, one metre long
    "face": ("head", FRONT),
    "vertex": ("head", UP),
    "palm": ("left_hand", -UP),
    "left_toes": ("left_foot", FRONT),
}


def mirrored_name(name: str) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def rotations(turns: Turns) -> Rotation:
    """Local rotations of the 24 links."""
    vector = np.zeros((N_BODIES, 3))
    for link, turn in turns.items():
        vector[body_index(link)] = np.radians(turn)
    return Rotation.from_rotvec(vector)


def mirror_image(local: Rotation) -> Rotation:
    """The pose in a mirror whose plane is x = 0."""
    vector = local.as_rotvec() * [1.0, -1.0, -1.0]
    return Rotation.from_rotvec(vector[[body_index(mirrored_name(n)) for n in BODY_NAMES]])


@jax.jit
def place(quat):
    zero = jnp.zeros_like(quat[0])
    still = (zero, zero, zero)
    joints = default_template().joint_mean
    offset = unstack(jnp.asarray(joints - joints[np.maximum(PARENTS, 0)]))
    none = tuple(c[:1] for c in still)
    motion = link_motion(
        PARENTS,
        offset,  # pyright: ignore[reportArgumentType]
        quat,
        still,
        still,
        root_acc=none,  # pyright: ignore[reportArgumentType]
        gravity=(0.0, 0.0, 0.0),
    )
    return motion.rot, motion.pos


def placed(poses: list[Rotation]):
    """World rotations (poses, links, 3, 3) and positions (poses, links, 3) by the kernels."""
    quat = np.stack([p.as_quat(scalar_first=True) for p in poses], axis=1)
    parts = place(tuple(jnp.asarray(quat[None, ..., c]).swapaxes(0, 1) for c in range(4)))
    rot, pos = (np.stack([np.asarray(c)[:, 0].T for c in part], axis=-1) for part in parts)
    return rot.reshape(*rot.shape[:2], 3, 3), pos


def excess(poses: list[Rotation]) -> np.ndarray:
    """How far each anatomical joint (columns) is outside its range in each pose, in degrees."""
    limits = human_limits()
    quat = np.stack([pose.as_quat(scalar_first=True) for pose in poses])  # poses, links, 4
    rows = tuple(jnp.asarray(quat[..., c].T[:, None], jnp.float32) for c in range(4))
    state = SimpleNamespace(joints=SimpleNamespace(quat=rows))
    low, high = limits.low - limits.margin, limits.high + limits.margin
    body = SimpleNamespace(ranges=limits.chains, range_low=low, range_high=high)
    return np.degrees(range_excess(state, body))[:, 0].T  # pyright: ignore


@pytest.fixture(scope="module")
def measured():
    """All poses and their mirror images, after the pose of rest, in one call of each kernel."""
    poses = [rotations(pose.turns) for pose in POSES.values()]
    poses = [Rotation.identity(N_BODIES), *poses, *(mirror_image(p) for p in poses)]
    return *placed(poses), excess(poses)


def arm_of(pose: Pose, rot, pos, *, mirror: bool):
    """The moving point seen from its joint, in metres; in a mirror image, mirrored back."""
    name = mirrored_name if mirror else str
    if pose.moved in DIRECTIONS:
        link, direction = DIRECTIONS[pose.moved]
        got = rot[body_index(name(link))] @ direction
    else:
        got = pos[body_index(name(pose.moved))] - pos[body_index(name(pose.seen_from))]
    return got * [-1.0, 1.0, 1.0] if mirror else got


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", POSES)
def test_signs_are_anatomical(name, side, measured):
    """The limb goes where the pose's name says, and the table knows whether a human can do it."""
    pose, mirror = POSES[name], side == "right"
    index = 1 + list(POSES).index(name) + (len(POSES) if mirror else 0)
    rot, pos, outside = measured
    rest = arm_of(pose, rot[0], pos[0], mirror=mirror)
    now = arm_of(pose, rot[index], pos[index], mirror=mirror)
    assert (now - rest) @ pose.towards > MOVED * np.linalg.norm(rest)
    assert (outside[index].max() == 0.0) == pose.possible, f"outside by {outside[index]} degrees"


def test_every_range_is_tried(measured):
    """Each anatomical joint is violated by some pose, and by no pose of another joint."""
    outside = measured[2]
    names = [BODY_NAMES[c.links[-1]] for c in human_limits().chains]
    assert (outside[0] == 0.0).all()
    assert (outside.max(axis=0) > 1.0).all(), dict(zip(names, outside.max(axis=0), strict=True))
    assert ((outside > 0.0).sum(axis=1) <= 1).all()


COMBINED: dict[str, Turns] = {  # several joints at once, as humans do it
    "deep squat": {
        f"{side}_{joint}": turn
        for side in ("left", "right")
        for joint, turn in (
            ("hip", (-115, 0, 0)),
            ("knee", (130, 0, 0)),
            ("ankle", (-30, 0, 0)),
        )
    },
    "hands on the head": {
        "left_shoulder": (0, -20, 20),
        "right_shoulder": (0, 20, -20),
        "left_elbow": (0, -130, 0),
        "right_elbow": (0, 130, 0),
    },
    "on all fours": {
        f"{side}_{joint}": (turn[0], sign * turn[1], sign * turn[2])
        for side, sign in (("left", 1), ("right", -1))
        for joint, turn in (
            ("hip", (-90, 0, 0)),
            ("knee", (90, 0, 0)),
            ("shoulder", (0, -90, 0)),
            ("wrist", (0, 0, 70)),
        )
    },
}


@pytest.mark.parametrize("name", COMBINED)
def test_whole_poses_are_possible(name):
    assert excess([rotations(COMBINED[name])]).max() == 0.0


def test_an_arm_that_swings_back(measured):
    """From hanging, 55 degrees of extension are in range, as the table says, and 25 forward."""
    hanging = Rotation.from_euler("z", -85, degrees=True)
    poses = []
    for angle in (-90.0, -25.0, 0.0, 30.0, 55.0):
        vector = np.zeros((N_BODIES, 3))
        swung = Rotation.from_euler("x", angle, degrees=True) * hanging
        vector[body_index("left_shoulder")] = swung.as_rotvec()
        poses.append(Rotation.from_rotvec(vector))
    _, pos = placed(poses)
    elbow = pos[:, body_index("left_elbow")] - pos[:, body_index("left_shoulder")]
    assert (np.diff(elbow[:, 2]) < 0.0).all()  # ever farther back
    assert (excess(poses) == 0.0).all()


def test_mirror_images_are_as_possible(rng):
    """Any pose and its mirror image: the same excess, on the other side."""
    poses = [Rotation.from_rotvec(rng.normal(size=(N_BODIES, 3))) for _ in range(64)]
    here, there = excess(poses), excess([mirror_image(p) for p in poses])
    names = [BODY_NAMES[c.links[-1]] for c in human_limits().chains]
    swap = [names.index(mirrored_name(n)) for n in names]
    assert (here > 0.0).mean() > 0.3
    np.testing.assert_allclose(there, here[:, swap], atol=np.degrees(10 * ATOL))
