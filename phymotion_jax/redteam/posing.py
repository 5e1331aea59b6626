"""Where the links are, and how to put a hand or a foot somewhere else: numpy, on the host."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from nanomanifold import SO3

from phymotion_jax.body.skeleton import N_BODIES, PARENTS, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.motion import Motion
from phymotion_jax.redteam.edits import about, with_links

UNIT_X, UNIT_Y, UNIT_Z = np.eye(3)
"""Axes of a link at rest: to the body's left, up, and the way it faces."""

LEGS = tuple(
    tuple(body_index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
    for side in ("left", "right")
)

_MOST_FOLDED = np.radians(140.0)
"""How far a knee or an elbow folds from its straightest: within what both can."""


class Pose(NamedTuple):
    """Links in the world."""

    quat: Float[np.ndarray, "T 24 4"]
    """Rotation of each link."""

    pos: Float[np.ndarray, "T 24 3"]
    """Position of each joint, in metres."""


def offsets(motion: Motion) -> Float[np.ndarray, "24 3"]:
    """Each joint in the frame of its parent, in metres; zero for the pelvis."""
    template = default_template()
    joints = template.joint_mean + template.joint_dirs @ motion.betas
    return np.stack(
        [joints[i] - joints[p] if p >= 0 else 0.0 * UNIT_X for i, p in enumerate(PARENTS)]
    )


def forward(motion: Motion) -> Pose:
    """Forward kinematics in float64."""
    offset, local = offsets(motion), motion.joint_quat.astype(np.float64)
    quat, pos = np.empty_like(local), np.empty((*local.shape[:2], 3))
    for link, parent in enumerate(PARENTS):
        if parent < 0:
            quat[:, link], pos[:, link] = SO3.canonicalize(local[:, link]), motion.root_pos
            continue
        quat[:, link] = SO3.multiply(quat[:, parent], local[:, link])
        pos[:, link] = pos[:, parent] + turned(quat[:, parent], offset[link])
    return Pose(quat, pos)


def turned(
    quat: Float[np.ndarray, "T 4"], vector: Float[np.ndarray, "*frames 3"]
) -> Float[np.ndarray, "T 3"]:
    """Vectors, or one vector, turned by rotations."""
    spread = np.broadcast_to(vector, (len(quat), 3))
    return SO3.rotate_points(quat, spread[:, None])[:, 0]


def lowest_height(motion: Motion) -> Float[np.ndarray, " T"]:
    """Height of the lowest point of the body on each frame, soles and all, in metres."""
    pose, points = forward(motion), default_template().contact
    place = points.mean + points.dirs @ motion.betas
    height = np.full(motion.n_frames, np.inf)
    for link in range(N_BODIES):
        mine = place[points.link == link]
        if len(mine):
            spread = np.broadcast_to(mine, (motion.n_frames, *mine.shape))
            world = SO3.rotate_points(pose.quat[:, link], spread)
            height = np.minimum(height, pose.pos[:, link, 2] + world[..., 2].min(axis=1))
    return height


def reach(
    upper: Float[np.ndarray, "T 4"],
    lower: Float[np.ndarray, "T 4"],
    bones: tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]],
    hinge: Float[np.ndarray, "3"],
    target: Float[np.ndarray, "T 3"],
    *,
    backwards: bool = False,
) -> tuple[Float[np.ndarray, "T 4"], Float[np.ndarray, "T 4"]]:
    """Rotations of a limb of two bones that put its end on a target.

    First the hinge folds until the end is as far from the limb's root as the target is, then the
    whole limb turns by the smallest rotation that aligns the two. A target out of reach is only
    pointed at.

    Args:
      upper: rotation of the upper bone now, in the axes that `target` has.
      lower: rotation of the lower bone now, relative to the upper.
      bones: from root to hinge in the upper bone's frame, from hinge to end in the lower's, metres.
      hinge: unit axis of the hinge in the upper bone's frame; turning about it folds the limb.
      target: from the limb's root, in metres.
      backwards: fold the other way.

    Returns:
      `upper` and `lower` anew.
    """
    # |a + R(fold) b|² = |a|² + |b|² + 2 (k + c cos(fold) + s sin(fold)), the bones being a and b as
    # it lies now: Rodrigues' formula for R.
    a, b = bones[0], turned(lower, bones[1])
    k = (a @ hinge) * (b @ hinge)
    c, s = b @ a - k, np.cross(hinge, b) @ a
    square = (target**2).sum(axis=1) - a @ a - bones[1] @ bones[1]
    share = (0.5 * square - k) / np.hypot(c, s)
    folded = np.arccos(np.clip(share, np.cos(_MOST_FOLDED), 1.0))
    fold = np.arctan2(s, c) + (-folded if backwards else folded)
    lower = SO3.multiply(about(hinge, fold), lower)
    end = turned(upper, bones[0] + turned(lower, bones[1]))
    return SO3.multiply(shortest_turn(end, target), upper), lower


def with_feet(
    motion: Motion,
    root_pos: Float[np.ndarray, "T 3"],
    lift: Float[np.ndarray, " T"],
    backwards: int | None = None,
) -> Motion:
    """The clip with its pelvis elsewhere and its feet as they were, but lifted; legs give way.

    Feet keep their rotation in the world. Knees fold by at most 140 degrees: beyond, feet fall
    short. Frames on which neither moves stay exactly as they were.

    Args:
      motion: any clip.
      root_pos: new positions of the pelvis.
      lift: of both feet, in metres.
      backwards: a knee that is to fold the wrong way, on every frame.
    """
    pose, offset = forward(motion), offsets(motion)
    links = {}
    still = (lift == 0.0) & np.all(root_pos == motion.root_pos, axis=1)
    for hip, knee, ankle in LEGS:
        target = pose.pos[:, ankle] - pose.pos[:, hip] - (root_pos - motion.root_pos)
        target[:, 2] += lift
        lower = motion.joint_quat[:, knee].astype(np.float64)
        bones = offset[knee], offset[ankle]
        wrong = knee == backwards
        thigh, shank = reach(pose.quat[:, hip], lower, bones, UNIT_X, target, backwards=wrong)
        new = {
            hip: SO3.multiply(SO3.inverse(pose.quat[:, 0]), thigh),
            knee: shank,
            ankle: SO3.multiply(SO3.inverse(SO3.multiply(thigh, shank)), pose.quat[:, ankle]),
        }
        for link, quat in new.items():  # a knee bent backwards would come out bent forwards
            kept = still[:, None] & (not wrong)
            links[link] = np.where(kept, motion.joint_quat[:, link], quat)
    return with_links(motion, links).replace(root_pos=root_pos.astype(np.float32))


def shortest_turn(
    start: Float[np.ndarray, "T 3"], stop: Float[np.ndarray, "T 3"]
) -> Float[np.ndarray, "T 4"]:
    """Smallest rotations from one direction to another, not its opposite."""
    start, stop = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (start, stop))
    real = 1.0 + (start * stop).sum(axis=1, keepdims=True)
    return SO3.canonicalize(np.concatenate([real, np.cross(start, stop)], axis=1))
