"""Violations of how the body is turned: joints beyond their range, noise, spinning, leaning."""

import numpy as np
from nanomanifold import SO3

from phymotion_jax.body.skeleton import body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.motion import Motion
from phymotion_jax.redteam.edits import (
    UP,
    about,
    blend,
    middle_half,
    moved,
    seconds,
    side_of,
    sideways,
    with_links,
)
from phymotion_jax.redteam.posing import (
    LEGS,
    UNIT_X,
    UNIT_Y,
    UNIT_Z,
    forward,
    lowest_height,
    offsets,
    reach,
    shortest_turn,
    turned,
    with_feet,
)
from phymotion_jax.redteam.timing import freeze

_LIMBS = tuple(
    body_index(f"{side}_{joint}")
    for side in ("left", "right")
    for joint in ("hip", "knee", "shoulder", "elbow")
)

_SHAKEN = tuple(body_index(name) for name in ("head", "left_elbow", "right_elbow"))
"""Joints that move no foot and little mass."""

_SHAKEN_HZ = 6.0

_ROTATING = 22
"""Links that SMPL-X's body pose turns. The hands' own, the last two, stay as they are."""

_ARM_DOWN = np.radians(70.0)
"""From the T-pose to an arm that hangs a little off the body: the hand comes from the front."""


_DOWN_M = 0.05
"""An ankle this little above its lowest is that of a foot on the floor."""


def _sided(joint: str, side: int) -> int:
    return body_index(("left_" if side > 0 else "right_") + joint)


def joint_jitter(motion: Motion, spread: float, seed: int = 0) -> Motion:
    """White noise on the 21 body joints, of a standard deviation in radians about each axis."""
    return _shaken(motion, range(1, _ROTATING), spread, np.random.default_rng(seed))


def add_noise(
    motion: Motion, *, position_m: float = 0.0, rotation_rad: float = 0.0, seed: int = 0
) -> Motion:
    """The white noise of an estimator, independent from frame to frame.

    Args:
      motion: any clip.
      position_m: standard deviation of each axis of the pelvis' position, in metres.
      rotation_rad: standard deviation about each axis of pelvis and 21 body joints, in radians.
      seed: of the noise.
    """
    rng = np.random.default_rng(seed)
    motion = moved(motion, position_m * rng.standard_normal((motion.n_frames, 3)))
    return _shaken(motion, range(_ROTATING), rotation_rad, rng)


def _shaken(motion: Motion, links: range, spread: float, rng: np.random.Generator) -> Motion:
    noise = spread * rng.standard_normal((len(links), motion.n_frames, 3))
    quat = motion.joint_quat.astype(np.float64)
    shaken = SO3.multiply(quat[:, links].swapaxes(0, 1), SO3.from_axis_angle(noise))
    return with_links(motion, dict(zip(links, shaken, strict=True)))


def pop(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """One hip, knee, shoulder or elbow is off by an angle in radians, on one frame.

    Which, when in the middle half of the clip, and about which axis, the seed decides.
    """
    rng = np.random.default_rng(seed)
    last = motion.n_frames - 1
    link = int(rng.choice(_LIMBS))
    frame = int(rng.integers(last // 4 + 1, 3 * last // 4 + 1))
    axis = rng.standard_normal(3)
    off = angle * (np.arange(motion.n_frames) == frame)
    turn = about(axis / np.linalg.norm(axis), off)
    return with_links(motion, {link: SO3.multiply(motion.joint_quat[:, link].astype(float), turn)})


def shaking(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """The head, or an elbow, turns to and fro at 6 Hz, by degrees from its middle, on every frame.

    Which, and where in the swing it begins, the seed decides.
    """
    rng = np.random.default_rng(seed)
    link, start = int(rng.choice(_SHAKEN)), rng.uniform(0.0, 2.0 * np.pi)
    swing = np.radians(angle) * np.sin(2.0 * np.pi * _SHAKEN_HZ * seconds(motion) + start)
    turn = about(UNIT_Y, swing)
    return with_links(motion, {link: SO3.multiply(motion.joint_quat[:, link].astype(float), turn)})


def knee_backwards(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """One knee bends the wrong way, by degrees or more, on every frame: an even seed, the left.

    The feet stay where they are, and the pelvis comes down as far as that takes: all else is as
    possible as it was.
    """
    leg = LEGS[0 if side_of(seed) > 0 else 1]
    root = motion.root_pos - _drop(motion, leg, np.radians(angle)) * UP
    return with_feet(motion, root, np.zeros(motion.n_frames), backwards=leg[1])


def _drop(motion: Motion, leg: tuple[int, ...], angle: float) -> float:
    """How far a hip must come down until the leg is as short as one that is bent by an angle, on
    all frames on which its foot is down."""
    hip, knee, ankle = leg
    offset, pos = offsets(motion), forward(motion).pos
    shank = turned(about(-UNIT_X, np.full(1, angle)), offset[ankle])[0]
    length = np.linalg.norm(offset[knee] + shank)
    apart = pos[:, hip] - pos[:, ankle]
    down = pos[:, ankle, 2] < pos[:, ankle, 2].min() + _DOWN_M
    level = np.maximum(length**2 - (apart[:, :2] ** 2).sum(axis=1), 0.0)
    return float(np.maximum(apart[:, 2] - np.sqrt(level), 0.0)[down].max())


def elbow_backwards(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """One elbow bends the wrong way by degrees, in the middle half: an even seed takes the left."""
    side = side_of(seed)
    return _bent(motion, {_sided("elbow", side): side * UNIT_Y}, angle)


def head_turned(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """The head looks sideways by degrees, half in neck and half in head, in the middle half.

    To the left with an even seed, else to the right.
    """
    axis = side_of(seed) * UNIT_Y
    return _bent(motion, {body_index("neck"): axis, body_index("head"): axis}, 0.5 * angle)


def arm_wrung(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """One upper arm is turned inwards about itself, by degrees from where it would hang, in the
    middle half: an even seed takes the left. It points where it pointed; what hangs on it follows.
    """
    side = side_of(seed)
    collar, shoulder = _sided("collar", side), _sided("shoulder", side)
    quat, frames = motion.joint_quat.astype(np.float64), np.ones(motion.n_frames)
    arm = turned(SO3.multiply(quat[:, collar], quat[:, shoulder]), side * UNIT_X)
    raised = shortest_turn(np.broadcast_to(-UNIT_Y, arm.shape), arm)
    inwards = about(-side * UNIT_Y, np.radians(angle) * frames)
    hanging = about(-side * UNIT_Z, 0.5 * np.pi * frames)
    goal = SO3.multiply(raised, SO3.multiply(inwards, hanging))
    goal = SO3.multiply(SO3.inverse(quat[:, collar]), goal)
    return with_links(motion, {shoulder: blend(quat[:, shoulder], goal, middle_half(motion))})


def spine_folded(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """The lowest link of the spine bends by degrees and the highest back again, in the middle half.

    Forwards first with an even seed, else backwards.
    """
    axis = side_of(seed) * UNIT_X
    return _bent(motion, {body_index("spine1"): axis, body_index("spine3"): -axis}, angle)


def _bent(motion: Motion, axes: dict[int, np.ndarray], angle: float) -> Motion:
    """Joints that leave what they do for an angle in degrees about an axis, and come back to it."""
    weight, links = middle_half(motion)[:, None], {}
    for link, axis in axes.items():
        # Between rotation vectors, since a knee that is bent by 110 degrees is led to 80 the other
        # way through straight: the shortest way is through the calf.
        now = SO3.log(motion.joint_quat[:, link].astype(np.float64))
        links[link] = SO3.exp((1.0 - weight) * now + weight * np.radians(angle) * axis)
    return with_links(motion, links)


def limb_through_body(motion: Motion, depth: float, seed: int = 0) -> Motion:
    """One wrist goes into the chest, in the middle half: an even seed takes the left.

    It ends up on the line from the chest's joint straight ahead, `depth` metres behind the foremost
    point of the chest. The collar moves as it did.
    """
    side, chest = side_of(seed), body_index("spine3")
    collar, shoulder, elbow, wrist = (
        _sided(joint, side) for joint in ("collar", "shoulder", "elbow", "wrist")
    )
    pose, offset = forward(motion), offsets(motion)
    root = pose.pos[:, collar] + turned(pose.quat[:, collar], offset[shoulder])
    inside = turned(pose.quat[:, chest], (_chest_front(motion) - depth) * UNIT_Z)
    target = turned(SO3.inverse(pose.quat[:, collar]), pose.pos[:, chest] + inside - root)
    hanging = about(-side * UNIT_Z, np.full(motion.n_frames, _ARM_DOWN))
    straight = about(UNIT_Y, np.zeros(motion.n_frames))
    bones = offset[elbow], offset[wrist]
    arm, forearm = reach(hanging, straight, bones, -side * UNIT_Y, target)
    weight = middle_half(motion)
    links = {
        link: blend(motion.joint_quat[:, link], goal, weight)
        for link, goal in ((shoulder, arm), (elbow, forearm))
    }
    return with_links(motion, links)


def _chest_front(motion: Motion) -> float:
    """How far the hull of the chest reaches ahead of its joint, in metres."""
    hull = default_template().hull
    mine = hull.take(np.flatnonzero(hull.link == body_index("spine3")))
    return float((mine.mean + mine.dirs @ motion.betas)[:, 2].max())


def spin(motion: Motion, rate: float, seed: int = 0) -> Motion:
    """The whole body turns about the vertical through its pelvis, in revolutions a second."""
    angle = 2.0 * np.pi * rate * side_of(seed) * seconds(motion)
    return _reoriented(motion, about(UP, angle))


def lean(motion: Motion, angle: float, seed: int = 0) -> Motion:
    """The whole body is tilted sideways like a plank, by degrees, on every frame.

    About the floor under its pelvis, to its left with an even seed; and lifted or lowered so that
    its lowest point has the height it had.
    """
    return _tilted(motion, side_of(seed) * np.cross(UP, sideways(motion)), angle)


def glide_lying(motion: Motion, speed: float, seed: int = 0) -> Motion:
    """The body lies in the pose of its first frame and glides over the floor, head first and
    without end, in metres a second: on its back with an even seed, else on its face."""
    still = freeze(motion, 0)
    left = sideways(still)
    lying = _tilted(still, -side_of(seed) * left, 90.0)
    head_first = side_of(seed) * np.cross(UP, left)
    return moved(lying, speed * seconds(motion)[:, None] * head_first)


def _tilted(motion: Motion, axis: np.ndarray, angle: float) -> Motion:
    """The whole body turned by degrees about an axis through the floor under its pelvis, and lifted
    or lowered so that its lowest point has the height it had."""
    low = lowest_height(motion)
    tilt = about(axis, np.full(motion.n_frames, np.radians(angle)))
    arm = (motion.root_pos[:, 2] - low)[:, None] * UP
    leaning = moved(_reoriented(motion, tilt), turned(tilt, arm) - arm)
    return moved(leaning, (low - lowest_height(leaning))[:, None] * UP)


def _reoriented(motion: Motion, turn: np.ndarray) -> Motion:
    """The clip with its whole body turned about its pelvis."""
    return with_links(motion, {0: SO3.multiply(turn, motion.joint_quat[:, 0].astype(np.float64))})
