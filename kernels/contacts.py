"""Points on the links in the world, and how far a foot slides while it stands."""

from collections.abc import Sequence
from functools import reduce
from itertools import groupby
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.vectors import Mat, Vec, add, mat_vec


def link_points(rot: Mat, pos: Vec, point: Vec, links: tuple[int, ...]) -> Vec:
    """Place points that are fixed to links.

    Args:
      rot: rotation of every link to the world, ``(L, B, T)``.
      pos: position of every link, in metres.
      point: in the frame of its link, ``(P, B or 1, 1)``.
      links: link of each point. Points of one link should stand together: each run is one slice.

    Returns:
      Positions ``(P, B, T)``.
    """
    placed, start = [], 0
    for link, run in groupby(links):
        stop = start + len(list(run))
        here = tuple(c[link : link + 1] for c in rot)
        there = tuple(c[link : link + 1] for c in pos)
        placed.append(add(mat_vec(here, tuple(c[start:stop] for c in point)), there))  # pyright: ignore
        start = stop
    return tuple(jnp.concatenate(c, axis=0) for c in zip(*placed, strict=True))  # pyright: ignore


class Steps(NamedTuple):
    """The S = T - 1 steps of one foot between neighbouring frames, with its most planted point."""

    x: Float[Array, "B S"]
    """Along x, in metres; zero where the foot does not touch at both ends."""

    y: Float[Array, "B S"]
    """Along y."""

    length: Float[Array, "B S"]
    """Its length; infinite where the foot does not touch at both ends."""


def planted_steps(
    x: Float[Array, "P B T"], y: Float[Array, "P B T"], touching: Bool[Array, "P B T"]
) -> Steps:
    """How a foot moves on the ground between frames.

    Of the points that touch at both ends, the one with the shortest step is the foot's: rolling
    from heel to toe and turning on the ball of the foot then move nowhere.

    Args:
      x: of the sole's points, in metres.
      y: of the sole's points.
      touching: which of them touch the floor. False on padding, where x and y may hold anything.
    """
    both = touching[..., 1:] & touching[..., :-1]
    step_x = jnp.where(both, x[..., 1:] - x[..., :-1], 0.0)
    step_y = jnp.where(both, y[..., 1:] - y[..., :-1], 0.0)
    square = jnp.where(both, step_x**2 + step_y**2, jnp.inf)
    least = jnp.min(square, axis=0)
    planted = (square == least) & both
    ties = jnp.maximum(jnp.sum(planted, axis=0), 1)
    positive = least > 0.0
    return Steps(
        jnp.sum(jnp.where(planted, step_x, 0.0), axis=0) / ties,
        jnp.sum(jnp.where(planted, step_y, 0.0), axis=0) / ties,
        jnp.where(positive, jnp.sqrt(jnp.where(positive, least, 1.0)), 0.0),
    )


def stance_slides(
    feet: Sequence[Steps], fps: Float[Array, "B 1"], swing_m_s: float
) -> list[Float[Array, "B T"]]:
    """How far each foot has slid since its stance began, in metres.

    A foot that touches stands unless it is faster than the slowest touching foot by `swing_m_s`: a
    swinging foot that passes close over the floor does not stand, and a body that skates on both
    feet does, at any speed. Steps are added as vectors, so that the noise of a standing foot
    cancels instead of adding up, and the frame rate drops out.

    Args:
      feet: steps of each foot.
      fps: frames a second.
      swing_m_s: how much faster than a standing foot a swinging one is.

    Returns:
      For each foot; zero while it does not stand, and on the frame on which its stance begins.
    """
    slowest = reduce(jnp.minimum, (foot.length for foot in feet))
    limit = slowest + swing_m_s / fps
    slides = []
    for foot in feet:
        stands = jnp.isfinite(foot.length) & (foot.length <= limit)
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
    square = slid_x**2 + slid_y**2
    moved = square > 0.0
    slid = jnp.where(moved, jnp.sqrt(jnp.where(moved, square, 1.0)), 0.0)
    return jnp.concatenate([jnp.zeros_like(slid[:, :1]), slid], axis=1)
