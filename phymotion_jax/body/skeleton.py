"""The SMPL body tree: names, parents and levels of its 24 links."""

from phymotion_jax.errors import ModelError

BODY_NAMES = (
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
)
"""SMPL's order. A link carries the name of the joint at its proximal end."""

PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Index of each link's parent; -1 is the world."""

N_BODIES = len(BODY_NAMES)
N_BETAS = 10
"""Shape coefficients in use. Files may hold 16; the body calibration knows ten."""


def mujoco_order(parents: tuple[int, ...]) -> list[int]:
    """Rank of each link among MuJoCo's bodies, which it numbers depth first."""
    rank = [0] * len(parents)

    def visit(link: int, count: int) -> int:
        rank[link] = count
        count += 1
        for child, parent in enumerate(parents):
            if parent == link:
                count = visit(child, count)
        return count

    visit(0, 0)
    return rank


def ball_addresses(parents: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where MuJoCo keeps each link's coordinates, in qpos and in qvel: a free root, then balls."""
    rank = mujoco_order(parents)
    qpos = tuple(3 + 4 * r if r else 0 for r in rank)
    dof = tuple(3 + 3 * r if r else 0 for r in rank)
    return qpos, dof


def require_smpl(parents: tuple[int, ...], n_feet: int) -> None:
    """Refuse a body that clips of SMPL's links cannot move.

    Raises:
      ModelError: if it is not SMPL's tree, or has no soles.
    """
    if parents != PARENTS or not n_feet:
        raise ModelError(
            f"clips of SMPL's {N_BODIES} links and two feet need a body of the same; "
            f"this one has {len(parents)} links and {n_feet} feet"
        )


def body_index(name: str) -> int:
    """Index of a link by its name."""
    return BODY_NAMES.index(name)


FEET = (
    (body_index("left_ankle"), body_index("left_foot")),
    (body_index("right_ankle"), body_index("right_foot")),
)
"""Links of each foot: the part behind the ball of the foot, and the toes."""

STATIC_JOINTS = (
    *("left_ankle", "left_foot", "right_ankle", "right_foot"),
    *("left_wrist", "right_wrist"),
)
"""Joints of which GVHMR says how surely they stand still, in its order."""
