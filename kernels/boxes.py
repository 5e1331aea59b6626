"""Boxes around parts of a body: which are near each other, and along which axis they part soonest.

Gottschalk et al. 1996 (OBBTree): boxes that a face's axis separates are apart. The nine axes
between edges are left out: they tell one in ten more of a body's pairs apart.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool

from phymotion_jax.kernels.vectors import Mat, Vec, mat_t_vec


class Boxes(NamedTuple):
    """Boxes in the axes of their own frames. Components of any shape, metres."""

    centre: Vec
    """Middle of each."""

    half: Vec
    """Half its extents."""


def box_of(points: Vec) -> Boxes:
    """The box around points, components ``(V, ...)``, in the axes that they are given in."""
    low, high = tuple(jnp.min(c, axis=0) for c in points), tuple(jnp.max(c, axis=0) for c in points)
    centre = tuple(0.5 * (a + b) for a, b in zip(low, high, strict=True))
    half = tuple(0.5 * (b - a) for a, b in zip(low, high, strict=True))
    return Boxes(centre, half)  # pyright: ignore[reportArgumentType]


def face_widths(turn: Mat, gap: Vec, first: Vec, second: Vec) -> list[tuple[Array, Array]]:
    """By how much two boxes overlap along the axes of their faces.

    Args:
      turn: rotation of the second to the first.
      gap: from the centre of the first to that of the second, in the first's axes.
      first: half extents.
      second: of the other.

    Returns:
      Of the first's three axes, then of the second's: the overlap in metres, negative where the
      axis separates them; and on which side of the first the second lies.
    """
    across = mat_t_vec(turn, gap)
    widths = []
    for k in range(3):
        reach = first[k] + sum(abs(turn[3 * k + j]) * second[j] for j in range(3))
        widths.append((reach - abs(gap[k]), _sign(gap[k])))
    for k in range(3):
        reach = second[k] + sum(abs(turn[3 * j + k]) * first[j] for j in range(3))
        widths.append((reach - abs(across[k]), _sign(across[k])))
    return widths


def boxes_meet(widths: list[tuple[Array, Array]]) -> Bool[Array, "..."]:
    """Whether no axis of a face separates the boxes."""
    met = widths[0][0] > 0.0
    for width, _ in widths[1:]:
        met &= width > 0.0
    return met


def _sign(x: Array) -> Array:
    return jnp.where(x < 0.0, -1.0, 1.0)
