"""Moving values up and down a tree whose links stand level by level.

Links are sorted breadth first, so that each level is one slice and its parents lie in the level
before. Children of neighbouring parents are mostly neighbours too: then a level's parents are a
plain slice or one broadcast row, and nothing is gathered.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

Parents = tuple[int, ...]
"""Index of each link's parent, smaller than its own; -1 for the root, which is link 0."""


def levels(parents: Parents) -> list[tuple[int, int]]:
    """First and one-past-last link of each level.

    Raises:
      ValueError: if the links are not sorted breadth first with one root at 0.
    """
    depth: list[int] = []
    for link, parent in enumerate(parents):
        if (parent < 0) != (link == 0) or parent >= link:
            raise ValueError(f"link {link} has parent {parent}: one root first, parents before")
        depth.append(0 if parent < 0 else depth[parent] + 1)
    if depth != sorted(depth):
        raise ValueError(f"links are not sorted by level: depths {depth}")
    starts = [depth.index(d) for d in range(depth[-1] + 1)]
    return list(zip(starts, [*starts[1:], len(depth)], strict=True))


def take_rows(array: Array, rows: Sequence[int]) -> Array:
    """Rows of the leading axis: a slice, one row to broadcast, or single rows joined."""
    first = rows[0]
    if all(r == first for r in rows):
        return array[first : first + 1]
    if all(r == first + k for k, r in enumerate(rows)):
        return array[first : first + len(rows)]
    return jnp.concatenate([array[r : r + 1] for r in rows], axis=0)


def add_to_parents(base: Array, child: Array, rows: Sequence[int]) -> Array:
    """Add row k of `child` to row ``rows[k]`` of `base`."""
    if list(rows) == list(range(base.shape[0])):
        return base + child
    out = []
    for row in range(base.shape[0]):
        value = base[row : row + 1]
        for k, parent in enumerate(rows):
            if parent == row:
                value = value + child[k : k + 1]
        out.append(value)
    return jnp.concatenate(out, axis=0)
