"""Points on the links in the world, and how far a foot slides while it stands."""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.vectors import Mat, Vec, add, mat_vec


def link_points(rot: Mat, pos: Vec, point: Vec, links: tuple[int, ...]) -> Vec:
    """Place points that are fixed to links.

    Args:
      rot: rotation of every link to the world, ``(L, B, T)``.
      pos: position of every link, in metres.
      point: in the frame of its link, ``(P, B or 1, 1)``.
      links: link of each point.

    Returns:
      Positions ``(P, B, T)``.
    """
    row = np.array(links)
    here, there = (tuple(c[row] for c in of) for of in (rot, pos))
    return add(mat_vec(here, point), there)  # pyright: ignore[reportArgumentType]


class Steps(NamedTuple):
    """How one foot moves on the ground over the S = T - 1 steps between neighbouring frames."""

    x: Float[Array, "B S"]
    """Along x, in metres; zero where the foot does not touch at both ends."""

    y: Float[Array, "B S"]
    """Along y."""

    length: Float[Array, "B S"]
    """Its length; infinite where the foot does not touch at both ends."""

    rise: Float[Array, "B S"]
    """How much higher or lower the foot's lowest point stands after the step, in metres."""


_LOAD_DEPTH_M = 0.005
"""Height over the lowest point at which a point counts for 1/e of it: what a sole gives way by."""


def loaded_steps(
    x: Float[Array, "P B T"],
    y: Float[Array, "P B T"],
    z: Float[Array, "P B T"],
    touching: Bool[Array, "P B T"],
) -> Steps:
    """How a foot moves on the ground between frames: as the lowest part of its sole does.

    The mean over the points that touch at both ends, those within half a centimetre of the lowest
    counting most: rolling from heel to toe and turning on a raised foot's ball then move nowhere.
    Which part carries is told by the pose alone, so that the frame rate drops out of the sum.

    Args:
      x: of the sole's points, in metres.
      y: of the sole's points.
      z: of the sole's points.
      touching: which of them touch the floor. False on padding, where positions may be anything.
    """
    both = touching[..., 1:] & touching[..., :-1]
    any_both = jnp.any(both, axis=0)
    moved = [jnp.where(both, c[..., 1:] - c[..., :-1], 0.0) for c in (x, y)]
    middle = jnp.where(both, 0.5 * (z[..., 1:] + z[..., :-1]), jnp.inf)
    lowest = jnp.where(any_both, jnp.min(middle, axis=0), 0.0)
    above = jnp.where(both, middle - lowest, 0.0)
    weight = jnp.where(both, jnp.exp(-above / _LOAD_DEPTH_M), 0.0)
    total = jnp.where(any_both, jnp.sum(weight, axis=0), 1.0)
    step = [jnp.sum(weight * m, axis=0) / total for m in moved]
    bottom = jnp.min(jnp.where(touching, z, jnp.inf), axis=0)
    bottom = jnp.where(jnp.isfinite(bottom), bottom, 0.0)
    return Steps(
        step[0],
        step[1],
        jnp.where(any_both, _length(step[0], step[1]), jnp.inf),
        bottom[..., 1:] - bottom[..., :-1],
    )


def _length(x: Array, y: Array) -> Array:
    """Of a vector in the plane, with a zero gradient where it is zero."""
    square = x * x + y * y
    moved = square > 0.0
    return jnp.where(moved, jnp.sqrt(jnp.where(moved, square, 1.0)), 0.0)


def stance_slides(
    feet: Sequence[Steps], fps: Float[Array, "B 1"], swing_m_s: float, landing_m_s: float
) -> list[Float[Array, "B T"]]:
    """How far each foot has slid since its stance began, in metres.

    A foot that touches stands unless it is faster than the slowest touching foot by `swing_m_s`, or
    rises or sinks by `landing_m_s`: a foot that swings close over the floor, comes down or takes
    off does not stand, and a body that skates on both feet does, at any speed. Steps are added as
    vectors, so that the noise of a standing foot cancels instead of adding up.

    Args:
      feet: steps of each foot.
      fps: frames a second.
      swing_m_s: how much faster than a standing foot a swinging one is.
      landing_m_s: how fast a foot that does not stand yet comes down.

    Returns:
      For each foot; zero while it does not stand, and on the frame on which its stance begins.
    """
    slowest = reduce(jnp.minimum, (foot.length for foot in feet))
    limit = slowest + swing_m_s / fps
    slides = []
    for foot in feet:
        settled = jnp.abs(foot.rise) * fps < landing_m_s
        stands = jnp.isfinite(foot.length) & (foot.length <= limit) & settled
        slides.append(_since_gap(foot, stands))
    return slides


def _since_gap(foot: Steps, stands: Bool[Array, "B S"]) -> Float[Array, "B T"]:
    """Length of the sum of steps since the last one on which the foot did not stand."""

    def join(a, b):
        # Sums that start over wherever the later piece holds a gap.
        return (
            jnp.where(b[2], b[0], a[0] + b[0]),
            jnp.where(b[2], b[1], a[1] + b[1]),
            a[2] | b[2],
        )

    start = (jnp.where(stands, foot.x, 0.0), jnp.where(stands, foot.y, 0.0), ~stands)
    slid_x, slid_y, _ = jax.lax.associative_scan(join, start, axis=1)
    slid = _length(slid_x, slid_y)
    return jnp.concatenate([jnp.zeros_like(slid[:, :1]), slid], axis=1)
