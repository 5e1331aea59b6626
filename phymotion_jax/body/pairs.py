"""Which pairs of links must not meet."""

from functools import cache
from itertools import combinations

from phymotion_jax.body.part_hulls import hull_overlaps
from phymotion_jax.body.skeleton import BODY_NAMES, PARENTS, body_index
from phymotion_jax.body.template_build import BodyTemplate
from phymotion_jax.errors import ModelError

Pairs = tuple[tuple[int, int], ...]
"""Links, the lower number first."""

NEAR_IN_TREE = 2
"""Links this close in the tree touch by construction and are never tested for penetration."""

CLASPING = tuple(body_index(f"{s}_{n}") for s in ("left", "right") for n in ("wrist", "hand"))
"""Hands may hold each other, and without fingers that cannot be told from passing through."""

_REST_CLEARANCE_M = 0.01
"""Hulls nearer than this in the T-pose say nothing about the motion."""


def tree_distance(a: int, b: int, parents: tuple[int, ...]) -> int:
    """Number of joints between two links."""
    steps = 0
    while a != b:
        a, b = (parents[a], b) if a > b else (a, parents[b])
        steps += 1
    return steps


@cache
def separate_pairs(template: BodyTemplate) -> Pairs:
    """Pairs of links whose hulls must not meet.

    They have hulls, are more than two joints apart, do not meet in the T-pose, and are not both
    hands. SMPL-X's mean body is not quite symmetric: a pair is left out if its mirror image is.
    """
    overlap = hull_overlaps(template.hull, template.joint_mean)
    links = sorted(set(template.hull.link.tolist()))
    pairs = {
        (a, b)
        for a, b in combinations(links, 2)
        if far_in_tree(a, b) and overlap[a, b] < -_REST_CLEARANCE_M
    }
    return tuple(sorted(pair for pair in pairs if mirror_image(*pair) in pairs))


def far_in_tree(a: int, b: int) -> bool:
    """Whether two links may be told apart: they adjoin neither each other nor a common neighbour,
    and are not both hands."""
    clasping = a in CLASPING and b in CLASPING
    return not clasping and tree_distance(a, b, PARENTS) > NEAR_IN_TREE


def mirror_image(a: int, b: int) -> tuple[int, int]:
    """The same pair of links on the other side of the body."""
    other = {"left": "right", "right": "left"}
    sides = (BODY_NAMES[link].partition("_") for link in (a, b))
    first, second = sorted(body_index(other.get(s, s) + bar + rest) for s, bar, rest in sides)
    return first, second


def checked_pairs(pairs: Pairs, links: set[int], what: str) -> Pairs:
    """The same, each once, the lower number first, in order.

    Args:
      pairs: links, in any order.
      links: those that may be in a pair.
      what: they have and others have not, for the error.

    Raises:
      ModelError: for a pair that is not of two different ones of them.
    """
    for pair in pairs:
        if len(set(pair)) != 2:
            raise ModelError(f"pair {pair}: two different links make a pair")
        for link in pair:
            if link not in range(len(BODY_NAMES)):
                raise ModelError(f"pair {pair}: links are 0 to {len(BODY_NAMES) - 1}")
            if link not in links:
                raise ModelError(f"pair {pair}: {BODY_NAMES[link]} has no {what}")
    return tuple(sorted({(min(pair), max(pair)) for pair in pairs}))


def describe_pairs(pairs: Pairs) -> list[str]:
    """The pairs by name, for inspection."""
    return [f"{BODY_NAMES[a]} - {BODY_NAMES[b]}" for a, b in pairs]
