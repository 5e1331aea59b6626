"""What the red team scores: which clips can be made wrong in which way, and the list of all cases.

An edit is a violation only where the clip has what it needs: slow motion breaks a jump, not a
stand. The floor of these functions is where the body's lowest point is, or is below, on a tenth of
the frames, as it is for the edits themselves.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np
from jaxtyping import Bool, Float
from nanomanifold import SO3

from phymotion_jax import Motion
from phymotion_jax.body.skeleton import FEET
from phymotion_jax.body.template import default_template
from phymotion_jax.redteam import CONTROLS, LEVELS, VIOLATIONS, freeze, violate
from phymotion_jax.redteam.edits import GRAVITY
from phymotion_jax.redteam.posing import forward
from phymotion_jax.redteam.timing import flight

NEAR_M = 0.05
"""A point this near the floor may touch it: one person's soles differ by nearly as much in height
where they were recovered from video, and a shank ends 0.054 or more above the sole of its foot."""

MOVING_M_S = 0.1
"""Mean speed of the joints relative to the pelvis. Standing measures 0.004, balancing on one leg
0.06 to 0.09, slow squats and side steps 0.12 and more."""

TRAVELLED_M = 1.0
"""How far a walk takes the pelvis. A fall takes it less far than its height."""

FALLING = 0.5
"""A flight falls with this many g at least. Real ones measure 0.7 and more; a body that was lifted,
or whose hands went below the floor so that all else seems to fly, 0.12 and less."""

CLEAN, FREEZE = "clean", "freeze"
NOISES = tuple(name for name in CONTROLS if name != FREEZE)


def point_heights(motion: Motion) -> Float[np.ndarray, "T P"]:
    """Height above the floor of every point of the body that may touch it."""
    pose, points = forward(motion), default_template().contact
    place = points.mean + points.dirs @ motion.betas
    up = SO3.to_rotmat(pose.quat)[:, points.link, 2]
    height = pose.pos[:, points.link, 2] + np.einsum("tpk,pk->tp", up, place)
    return height - np.quantile(height.min(axis=1), 0.1)


def grounded(motion: Motion) -> Bool[np.ndarray, " T"]:
    """Frames on which any part of the body is near the floor."""
    return point_heights(motion).min(axis=1) < NEAR_M


def on_feet(motion: Motion) -> Bool[np.ndarray, " T"]:
    """Frames on which a foot is near the floor and nothing else is."""
    height = point_heights(motion)
    foot = np.isin(default_template().contact.link, np.ravel(FEET))
    return (height[:, foot].min(axis=1) < NEAR_M) & (height[:, ~foot].min(axis=1) > NEAR_M)


def moves(motion: Motion) -> bool:
    """Joints move about the pelvis."""
    place = forward(motion).pos
    step = np.diff(place[:, 1:] - place[:, :1], axis=0)
    return bool(np.linalg.norm(step, axis=-1).mean() * motion.fps >= MOVING_M_S)


def travels(motion: Motion) -> bool:
    """The pelvis gets far from where it began, not counting what it flies."""
    step = np.diff(motion.root_pos[:, :2], axis=0) * grounded(motion)[1:, None]
    return bool(np.linalg.norm(np.cumsum(step, axis=0), axis=1).max() >= TRAVELLED_M)


def flies(motion: Motion) -> bool:
    """The body is off the floor for some frames in a row, and falls meanwhile as bodies do.

    That is the curvature of the parabola that fits the mean height of its joints best.
    """
    start, stop = flight(motion)
    if (start, stop) == (0, motion.n_frames) or stop - start < 3:
        return False
    time = np.arange(stop - start) / motion.fps
    height = forward(motion).pos[start:stop, :, 2].mean(axis=1)
    return bool(-2.0 * np.polyfit(time, height, 2)[0] >= FALLING * GRAVITY)


def stands(motion: Motion) -> bool:
    """Feet alone carry the body on most frames."""
    return bool(on_feet(motion).mean() > 0.5)


NEEDS: dict[str, Callable[[Motion], bool]] = {
    "any": lambda motion: True,
    "movement": moves,
    "travel": travels,
    "flight": flies,
    "stance": stands,
}
"""Whether a clip has what a violation needs."""


def needs_met(motion: Motion) -> tuple[str, ...]:
    """All needs that a clip meets."""
    return tuple(need for need, met in NEEDS.items() if met(motion))


def held_frames(motion: Motion) -> tuple[int, ...]:
    """Frames on feet, nearest to a quarter, half and three quarters of the clip; none if none."""
    stance = np.flatnonzero(on_feet(motion))
    wanted = [share * (motion.n_frames - 1) for share in CONTROLS[FREEZE].strengths]
    return tuple(sorted({int(stance[np.abs(stance - w).argmin()]) for w in wanted if len(stance)}))


class Case(NamedTuple):
    """One clip to score."""

    clip: int
    """Which clean clip it comes from."""

    kind: str
    """Violation or control, or `CLEAN`."""

    level: str = ""
    """Strength of it."""

    frame: int = -1
    """Frame that `FREEZE` holds."""


def cases_of(clip: int, motion: Motion, levels: Sequence[str]) -> list[Case]:
    """All that is scored of one clip: itself, made wrong, held still, with noise."""
    met = needs_met(motion)
    kinds = [violation.name for violation in VIOLATIONS.values() if violation.needs in met]
    wrong = [Case(clip, kind, level) for kind in kinds for level in levels]
    held = [Case(clip, FREEZE, frame=frame) for frame in held_frames(motion)]
    noisy = [Case(clip, kind, level) for kind in NOISES for level in LEVELS]
    return [Case(clip, CLEAN), *wrong, *held, *noisy]


def build(case: Case, motion: Motion, seed: int = 0) -> Motion:
    """The clip of a case. Noise, sides and moments follow from the clip's name and the seed."""
    if case.kind == CLEAN:
        return motion
    if case.kind == FREEZE:
        return freeze(motion, case.frame)
    return violate(motion, case.kind, case.level, seed + crc32(motion.name.encode()))


def longest(cases: Sequence[Case], motions: Sequence[Motion]) -> int:
    """Frames of the longest clip of all: a jump in slow motion may be it, other edits add none."""
    slowed = (c for c in cases if c.kind in VIOLATIONS and VIOLATIONS[c.kind].needs == "flight")
    lengths = [build(case, motions[case.clip]).n_frames for case in slowed]
    return max(lengths + [motion.n_frames for motion in motions])
