"""Rotations and places of the links of a tree, from those of its joints.

Barriers stand between levels for the reason given in `dynamics`.
"""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp

from phymotion_jax.kernels.dynamics import join_levels
from phymotion_jax.kernels.tree import Parents, levels, take_rows
from phymotion_jax.kernels.vectors import Mat, Quat, Vec, add, mat_mat, mat_vec, quat_to_mat, sub


def link_rotations(parents: Parents, quat: Quat) -> Mat:
    """Rotation of every link to the world, as in `dynamics.link_motion`, and nothing else.

    Args:
      parents: the tree, sorted by level.
      quat: unit quaternions relative to the parent, ``(L, B, T)``; the root's to the world.
    """
    own = quat_to_mat(quat)
    done = [_rows(own, [0])]
    for (before, _), (start, stop) in pairwise(levels(parents)):
        here = list(range(start, stop))
        above = _rows(done[-1], [parents[k] - before for k in here])
        done.append(jax.lax.optimization_barrier(mat_mat(above, _rows(own, here))))
    return join_levels(done)


def link_positions(parents: Parents, rot: Mat, joint: Vec) -> Vec:
    """Origin of every link relative to the root's, in metres.

    Args:
      parents: the tree, sorted by level.
      rot: rotation of every link to the world, ``(L, B, T)``.
      joint: origins at rest, ``(L, B or 1, 1)``.
    """
    zero = jnp.zeros_like(rot[0][:1])
    done: list[Vec] = [(zero, zero, zero)]
    for (before, _), (start, stop) in pairwise(levels(parents)):
        here = list(range(start, stop))
        up = [parents[k] for k in here]
        arm = mat_vec(_rows(rot, up), sub(_rows(joint, here), _rows(joint, up)))
        above = _rows(done[-1], [k - before for k in up])
        done.append(jax.lax.optimization_barrier(add(above, arm)))
    return join_levels(done)


def local_rotations(parents: Parents, rot: Mat) -> Mat:
    """Rotation of each link but the root relative to its parent, ``(L - 1, B, T)``."""
    above = _rows(rot, list(parents[1:]))
    transposed = above[0::3] + above[1::3] + above[2::3]
    return mat_mat(transposed, _rows(rot, list(range(1, len(parents)))))


def _rows(components: tuple, rows: list[int]) -> Any:
    return tuple(take_rows(c, rows) for c in components)
