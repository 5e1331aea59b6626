"""Rotations and places of the links of a tree, from those of its joints."""

from typing import Any

from phymotion_jax.kernels.tree import Parents, chains, rotations_to_world, sums, take_rows
from phymotion_jax.kernels.vectors import Mat, Quat, Vec, mat_mat, mat_vec, quat_to_mat, sub


def link_rotations(parents: Parents, quat: Quat) -> Mat:
    """Rotation of every link to the world, as in `dynamics.link_motion`, and nothing else.

    Args:
      parents: the tree, parents before their children.
      quat: unit quaternions relative to the parent, ``(L, B, T)``; the root's to the world.
    """
    return quat_to_mat(rotations_to_world(parents, quat))


def link_positions(parents: Parents, rot: Mat, joint: Vec) -> Vec:
    """Origin of every link relative to the root's, in metres.

    Args:
      parents: the tree, parents before their children.
      rot: rotation of every link to the world, ``(L, B, T)``.
      joint: origins at rest, ``(L, B or 1, 1)``.
    """
    above = [max(parent, 0) for parent in parents]
    arm = mat_vec(_rows(rot, above), sub(joint, _rows(joint, above)))
    return sums(chains(parents), arm)  # pyright: ignore[reportReturnType]


def local_rotations(parents: Parents, rot: Mat) -> Mat:
    """Rotation of each link but the root relative to its parent, ``(L - 1, B, T)``."""
    above = _rows(rot, list(parents[1:]))
    transposed = above[0::3] + above[1::3] + above[2::3]
    return mat_mat(transposed, _rows(rot, list(range(1, len(parents)))))


def _rows(components: tuple, rows: list[int]) -> Any:
    return tuple(take_rows(c, rows) for c in components)
