"""Moving values up and down a tree of links, all links at once.

What a link has in sum from the root, and what a subtree has in sum, are products with a matrix of
zeros and ones. Level by level they are one small kernel for each component of each level, some 300
to compile, and three times as many in a gradient.
"""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Quat, quat_mul, select

Parents = tuple[int, ...]
"""Index of each link's parent, smaller than its own; -1 for the root, which is link 0."""


def chains(parents: Parents) -> Float[np.ndarray, "L L"]:
    """1 where the column's link is the row's, or lies between it and the root; else 0.

    Times a quantity of each link it is the sum over its chain; its transpose, over its subtree.

    Raises:
      ValueError: if there is not one root, at 0, or a link stands before its parent.
    """
    found = np.eye(len(parents))
    for link, parent in enumerate(parents):
        if (parent < 0) != (link == 0) or parent >= link:
            raise ValueError(f"link {link} has parent {parent}: one root first, parents before")
        found[link] += found[parent] if link else 0.0
    return found


def sums(weights: Float[np.ndarray, "N L"], rows: Sequence[Array]) -> tuple[Array, ...]:
    """Weighted sums over the rows of each of some arrays ``(L, B, T)``: ``(N, B, T)``.

    What is not finite in one row is NaN in all sums, of its clip and frame.
    """
    joined = jnp.concatenate(rows, axis=1)
    matrix = jnp.asarray(weights, joined.dtype)
    # Never rounded to TF32: to float32, as a sum is.
    summed = jnp.tensordot(matrix, joined, axes=1, precision=jax.lax.Precision.HIGHEST)
    return tuple(jnp.split(summed, len(rows), axis=1))


def rotations_to_world(parents: Parents, quat: Quat) -> Quat:
    """Rotation of every link to the world, from those to its parent: ``(L, B, T)``.

    Each link takes on what its parent has gathered, which doubles the length of its chain: four
    rounds for a body of nine levels. The root's own rotation is to the world already.
    """
    up = list(parents)
    while max(up) >= 0:
        above = tuple(c[np.maximum(up, 0)] for c in quat)
        hangs = np.array(up)[:, None, None] >= 0
        # A barrier: without it each round would work out the one before it at every link it reads.
        quat = select(hangs, quat_mul(above, quat), quat)  # pyright: ignore
        quat = stored(quat)
        up = [up[link] if link >= 0 else -1 for link in up]
    return quat


def take_rows(array: Array, rows: Sequence[int]) -> Array:
    """Rows of the leading axis: one row to broadcast where all are the same, else slices joined."""
    if all(r == rows[0] for r in rows):
        return array[rows[0] : rows[0] + 1]
    breaks = [k for k in range(1, len(rows)) if rows[k] != rows[k - 1] + 1]
    runs = [rows[a:b] for a, b in pairwise([0, *breaks, len(rows)])]
    slices = [array[run[0] : run[-1] + 1] for run in runs]
    return slices[0] if len(slices) == 1 else jnp.concatenate(slices, axis=0)
