"""Which pairs of capsules must not overlap."""

from functools import cache
from itertools import combinations

import numpy as np
from jaxtyping import Float
from nanomanifold import SO3

from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, PARENTS, body_index
from phymotion_jax.body.template import BodyTemplate

_NEAR_IN_TREE = 2
"""Links this close in the tree touch by construction and are never tested for penetration."""

_REST_CLEARANCE_M = 0.01
"""Capsules nearer than this in a resting pose say nothing about the motion."""

_HANGING_RAD = np.radians(80.0)
"""From the T-pose to arms that hang at the sides. There the wrists are 5 degrees lower than the
shoulders, so that 5 are left to the vertical: hands that graze the thighs."""

_CLASPING = tuple(body_index(f"{s}_{n}") for s in ("left", "right") for n in ("wrist", "hand"))
"""Hands may hold each other, and without fingers that cannot be told from passing through."""


def tree_distance(a: int, b: int, parents: tuple[int, ...]) -> int:
    """Number of joints between two links."""
    steps = 0
    while a != b:
        a, b = (parents[a], b) if a > b else (a, parents[b])
        steps += 1
    return steps


@cache
def capsule_pairs(template: BodyTemplate) -> tuple[tuple[int, int], ...]:
    """Pairs of links that must not overlap, capsules being one a link.

    They are more than two joints apart, do not meet at rest (neither in the T-pose nor with the
    arms hanging, where a mean body's upper arms lie against its trunk), and are not both hands.
    SMPL-X's mean body is not quite symmetric: a pair is left out if its mirror image is.
    """
    poses = [_posed(template, angle) for angle in (0.0, _HANGING_RAD)]
    pairs = []
    for a, b in combinations(range(N_BODIES), 2):
        clasping = a in _CLASPING and b in _CLASPING
        if clasping or tree_distance(a, b, PARENTS) <= _NEAR_IN_TREE:
            continue
        reach = template.capsule_radius[a] + template.capsule_radius[b] + _REST_CLEARANCE_M
        if all(_core_distance(ends[[a, b]]) > reach for ends in poses):
            pairs.append((a, b))
    return tuple(pair for pair in pairs if _mirror_image(*pair) in pairs)


def _mirror_image(a: int, b: int) -> tuple[int, int]:
    """The same pair of links on the other side of the body."""
    other = {"left": "right", "right": "left"}
    sides = (BODY_NAMES[link].partition("_") for link in (a, b))
    first, second = sorted(body_index(other.get(s, s) + bar + rest) for s, bar, rest in sides)
    return first, second


def _posed(template: BodyTemplate, angle: float) -> Float[np.ndarray, "24 2 3"]:
    """Capsule ends of the mean body with both arms turned down by an angle."""
    ends = template.capsule_ends.mean + template.joint_mean[template.capsule_ends.link]
    ends = np.stack([ends[:N_BODIES], ends[N_BODIES:]], axis=1)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        links = [body_index(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist", "hand")]
        joint = template.joint_mean[links[0]]
        turn = SO3.to_rotmat(SO3.from_axis_angle(np.array([0.0, 0.0, sign * angle])))
        ends[links] = (ends[links] - joint) @ turn.T + joint
    return ends


def _core_distance(ends: Float[np.ndarray, "2 2 3"]) -> float:
    """Distance between two segments on a fine grid: within 1 mm, enough to choose pairs by."""
    t = np.linspace(0.0, 1.0, 101)[:, None]
    first, second = (start + t * (end - start) for start, end in ends)
    return float(np.linalg.norm(first[:, None] - second[None], axis=-1).min())


def describe_pairs(pairs: tuple[tuple[int, int], ...]) -> list[str]:
    """The pairs by name, for inspection."""
    return [f"{BODY_NAMES[a]} - {BODY_NAMES[b]}" for a, b in pairs]
