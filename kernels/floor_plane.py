"""The plane that feet stand on, tilted or not, by a robust fit to where they stood."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.vectors import Vec, scale

SOFT_M = 0.02
"""Points farther from the plane count less and less (Cauchy's loss): soles of fits from video lie
within this of the floor as they stand."""

PRIOR_M = 0.1
"""Feet that spread less than this about an axis tell less of the tilt about it than the prior does,
which is for level floors: feet of one person differ by 0.045 m in height in motion from video."""

PRIOR_SLOPE = 0.07
"""Slopes beyond this (4 degrees) are no noise: the prior, Cauchy's too, lets go of them."""

MAX_SLOPE = 0.57735
"""30 degrees: of what leans more, the floor is not what is tilted."""

_WIDE_M, _NARROWING, _STEPS = 0.16, 0.8, 20
"""The first steps look that far for points, since the plane they begin with may be far off; the
last ten stand still at `SOFT_M`."""


class Plane(NamedTuple):
    """A plane a clip. Components are ``(B,)``."""

    normal: Vec
    """Unit vector that points up."""

    point: Vec
    """Where on it the points have their middle, in metres."""


class _Fit(NamedTuple):
    slope: tuple[Array, Array]  # of z along x and y, (B,)
    middle: Vec  # a point on the plane, (B,)


def floor_plane(points: Vec, weight: Float[Array, "P B T"], start: Vec | None = None) -> Plane:
    """The plane z = p + u x + v y that makes least, with W = Σ w and r the height over it,

        Σ w c(r / SOFT_M) SOFT_M² + W PRIOR_M² PRIOR_SLOPE² c(√(u² + v²) / PRIOR_SLOPE)

    where c(x) = log(1 + x²), by iteratively reweighted least squares. The second sum is a prior for
    level floors. It decides where points do not: about the line that all of them lie on, and about
    every axis where they are few centimetres apart.

    The gradient takes the weights of the last step for given, and is finite.

    Args:
      points: ``(P, B, T)``, in metres, z nearly up. Finite, also where the weight is zero.
      weight: how surely each stands on the floor, 0 to 1; 0 on padding.
      start: unit normals to begin with, ``(B,)``; straight up by default.

    Returns:
      Level planes for clips without weight. Steeper than `MAX_SLOPE` is none.
    """
    still, share = jax.lax.stop_gradient((points, weight))
    total = _sum(share) + 1e-6
    middle: Vec = tuple(_sum(share * c) / total for c in still)  # pyright: ignore
    slope = (0.0 * total, 0.0 * total)
    if start is not None:
        x, y, z = jax.lax.stop_gradient(start)
        slope = (-x / z, -y / z)

    def step(k, fit: _Fit) -> _Fit:
        soft = jnp.maximum(SOFT_M, _WIDE_M * _NARROWING**k)
        return _refit(still, _trust(still, share, fit, soft), total, fit)

    fit = jax.lax.fori_loop(0, _STEPS, step, _Fit(slope, middle))
    fit = _refit(points, _trust(still, share, fit, SOFT_M), total, fit)
    return Plane(_normal(fit.slope), fit.middle)


def _trust(points: Vec, weight: Array, fit: _Fit, soft: Array | float) -> Array:
    """Weights of the next least squares, from the distance to the last plane."""
    x, y, z = (c - m[:, None] for c, m in zip(points, fit.middle, strict=True))
    over = (z - fit.slope[0][:, None] * x - fit.slope[1][:, None] * y) / soft
    return weight / (1.0 + over * over)


def _refit(points: Vec, trust: Array, total: Array, last: _Fit) -> _Fit:
    """Weighted least squares about the points' own middle, where float32 is precise."""
    mass = _sum(trust) + 1e-6
    shift = tuple(
        _sum(trust * (c - m[:, None])) / mass for c, m in zip(points, last.middle, strict=True)
    )
    middle = tuple(m + s for m, s in zip(last.middle, shift, strict=True))
    x, y, z = (c - m[:, None] for c, m in zip(points, middle, strict=True))
    u, v = last.slope
    ridge = total * PRIOR_M**2 / (1.0 + (u * u + v * v) / PRIOR_SLOPE**2)
    xx, yy = _sum(trust * x * x) + ridge, _sum(trust * y * y) + ridge
    xy, xz, yz = _sum(trust * x * y), _sum(trust * x * z), _sum(trust * y * z)
    inverse = 1.0 / (xx * yy - xy * xy)
    slope = ((yy * xz - xy * yz) * inverse, (xx * yz - xy * xz) * inverse)
    return _Fit(slope, middle)  # pyright: ignore[reportArgumentType]


def _normal(slope: tuple[Array, Array]) -> Vec:
    u, v = slope
    square = u * u + v * v
    steep = square > MAX_SLOPE**2
    less = jnp.where(steep, MAX_SLOPE / jnp.sqrt(jnp.where(steep, square, 1.0)), 1.0)
    u, v = u * less, v * less
    return scale((-u, -v, jnp.ones_like(u)), 1.0 / jnp.sqrt(1.0 + u * u + v * v))


def _sum(rows: Float[Array, "P B T"]) -> Float[Array, " B"]:
    return jnp.sum(rows, axis=(0, 2))
