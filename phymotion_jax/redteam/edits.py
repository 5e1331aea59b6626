"""What the violations share: windows over time, directions, and clips with new numbers in them."""

import numpy as np
from jaxtyping import Bool, Float
from nanomanifold import SO3

from phymotion_jax.motion import Motion

GRAVITY = 9.81
"""Metres per second squared."""

FEWEST_FRAMES = 3
"""What an acceleration needs."""

UP = np.array([0.0, 0.0, 1.0])

_RAMP_S = 0.5
"""Slow enough that coming and going is no violation of its own: 0.2 m within it is 0.4 g."""


def ease(x: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """Raised cosine: 0 below 0, 1 above 1, with slope zero at both ends."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0))


def middle_half(motion: Motion) -> Float[np.ndarray, " T"]:
    """1 inside the middle half of a clip, 0 outside, with smooth flanks that lie inside it.

    Half a second each, and an eighth of a shorter clip. No more than half of the frames differ from
    the clean clip, so that a floor that is found by a vote of frames stays where it was.
    """
    last = motion.n_frames - 1
    frame = np.arange(motion.n_frames)
    ramp = min(_RAMP_S * motion.fps, last / 8)
    nearer_end = np.minimum(frame - last / 4, 3 * last / 4 - frame)
    weight = ease(nearer_end / ramp)
    return weight / weight.max()  # four frames: none of them is far enough inside


def seconds(motion: Motion) -> Float[np.ndarray, " T"]:
    """Time of each frame."""
    return np.arange(motion.n_frames) / motion.fps


def side_of(seed: int) -> int:
    """Which side of the body: an even seed takes the left (1), an odd one the right (-1)."""
    return 1 if seed % 2 == 0 else -1


def sideways(motion: Motion) -> Float[np.ndarray, "3"]:
    """Unit vector along the floor, to the body's left as it stands on the first frame.

    Of a body that lies on its side, with its left to the sky, the way it faces.
    """
    left, _, forward = SO3.to_rotmat(motion.joint_quat[0, 0].astype(np.float64)).T
    along = left if np.hypot(*left[:2]) > 0.5 else forward
    return np.array([*along[:2], 0.0]) / np.hypot(*along[:2])


def moved(motion: Motion, shift: Float[np.ndarray, "T 3"]) -> Motion:
    """The clip with its whole body displaced, in metres."""
    return motion.replace(root_pos=(motion.root_pos + shift).astype(np.float32))


def with_links(motion: Motion, links: dict[int, Float[np.ndarray, "T 4"]]) -> Motion:
    """The clip with new rotations of some links, relative to their parents."""
    quat = motion.joint_quat.astype(np.float64)
    for link, rotation in links.items():
        quat[:, link] = SO3.canonicalize(rotation)
    return motion.replace(joint_quat=quat.astype(np.float32))


def blend(
    first: Float[np.ndarray, "T 4"],
    second: Float[np.ndarray, "T 4"],
    weight: Float[np.ndarray, " T"],
) -> Float[np.ndarray, "T 4"]:
    """Rotations on the shortest way from the first to the second."""
    return SO3.slerp(first.astype(np.float64), second, weight[:, None])[:, 0]


def about(axis: Float[np.ndarray, "3"], angle: Float[np.ndarray, " T"]) -> Float[np.ndarray, "T 4"]:
    """Quaternions of turns about one unit axis, in radians."""
    half = 0.5 * np.asarray(angle, np.float64)[:, None]
    return np.concatenate([np.cos(half), np.sin(half) * axis], axis=1)


def longest_run(flag: Bool[np.ndarray, " T"]) -> tuple[int, int]:
    """Start and stop of the longest run of True; equal where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flag, [False]]).astype(int)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return 0, 0
    start, stop = runs[np.argmax(runs[:, 1] - runs[:, 0])]
    return int(start), int(stop)
