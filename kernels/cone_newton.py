"""Newton's method for the twist that pushes contact forces, as a program of one frame.

The minimum of `ground_forces` pushes a point at p by w times the projection on the cone of u + v ×
p. The six numbers (u, v) minimise a convex function. They are found first on a softer problem with
rounded cones, and with a close line search, so that every step descends but those too short to
tell.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from phymotion_jax.kernels.cones import TINY, Scalar, line_of, rounded_projection, slope_along
from phymotion_jax.kernels.per_frame import Fold, IfAny, Rows, always
from phymotion_jax.kernels.small_solve import solve_symmetric
from phymotion_jax.kernels.vectors import Vec, cross, scale

Wrench = tuple[Array, ...]
"""Three components of force and three of moment; of a twist, velocity at the origin and turning."""

STEPS = 12
"""Steps on the hard and sharp problem alone must be 20 and more where a load is far from what the
points can carry. These 12 leave 1 in 10,000 of such loads off by more than 1e-3 of it, and one in
1000 at a softness of 0.01; of loads that bodies on their feet have, none was seen."""

PLAIN_STEPS = 7
"""Steps on the hard and sharp problem that may be tried first, from where all points stick. Of
frames of 36 real clips 38 in 100 are there after the first, and 996 in 1000 after these."""

_ROUND, _SOFT = 9, 6
"""How many of them are on rounded cones, and on a softer problem."""

_WIDEST, _WIDTH_FALLS = 4.0, (0.01 / 4.0) ** (1.0 / (_ROUND - 1))
"""How far the cone is rounded at first, in units of an even share of the load: down to 0.01."""

_SOFTEST, _SOFTNESS_FALLS = 0.03, (0.001 / 0.03) ** (1.0 / (_SOFT - 1))
"""The least softness at first, as a share of the sum of weights: down to 0.001."""

_SHARES = ((0.1 / 1.2, 0.4 / 1.2, 1.0), (0.25, 0.5, 0.75))
"""Places that each round of the line search tries, as shares of the bracket."""

_LONGEST = 1.2
"""Longest step, in Newton steps: where the line search's first bracket ends."""

_CLOSE = 8.0
"""Twice what a step gains at most that needs no search, in rounding errors (1e-6 in float32) of a
load whose largest component is one: with a softness of 0.01 it moves what is carried by 1e-4 at
most."""

Fence = Callable[[Any], Any]
Terms = Callable[[Vec, Array, Fence], Sequence[Array]]
"""What a point adds to some sums, from its place and its weight."""

OverPoints = Callable[[Terms, int], list[Array]]
"""Adds up some sums, so many of them, over the points."""


class Problem(NamedTuple):
    """What is known of a frame. Arrays over frames, of one shape."""

    needed: Wrench
    weights: Array
    """Of all points in sum."""

    friction: Scalar
    length: Scalar
    softness: Scalar | Array

    @property
    def ridge(self) -> tuple[Scalar | Array, ...]:
        """What a unit of twist leaves of force and of moment."""
        return (self.softness,) * 3 + (self.softness * self.length * self.length,) * 3

    def gradient(self, twist: Wrench, carried: Sequence[Array]) -> list[Array]:
        """Of the convex function that the twist minimises, where the points carry so much."""
        parts = zip(self.ridge, twist, self.needed, carried, strict=True)
        return [ridge * u - needed + got for ridge, u, needed, got in parts]


class _State(NamedTuple):
    twist: Wrench

    done: Array
    """Whether no further step is needed."""


def minimum(
    problem: Problem, over_points: OverPoints, if_any: IfAny = always, plain_steps: int = 0
) -> Wrench:
    """The twist at the minimum.

    A step that gains next to nothing is taken whole, without a search; on the hard and sharp
    problem it is the last one. `if_any` may leave out what no frame needs: then it is worth to try
    some `plain_steps` first, on that problem, before the others begin anew.
    """
    size = abs(problem.needed[0])
    for c in problem.needed[1:]:
        size = jnp.maximum(size, abs(c))
    size = jnp.where(size > 0.0, size, 1.0)
    problem = problem._replace(needed=tuple(c / size for c in problem.needed))

    def step(turn: Array, state: _State) -> _State:
        k = turn - plain_steps
        width, least = _ease(k, size.dtype)
        softness = jnp.maximum(problem.softness, least * problem.weights)
        eased = problem._replace(softness=softness)
        width = width / (softness + problem.weights)

        def move(state: _State) -> _State:
            twist, done = state
            anew = ~done & (k == 0)
            twist = tuple(jnp.where(anew, 0.0, u) for u in twist)
            gradient, hessian = derivatives(eased, twist, width, over_points)
            direction = tuple(solve_symmetric(hessian, [-g for g in gradient]))
            slope = inner(gradient, direction)
            close = -slope < _CLOSE * jnp.finfo(slope.dtype).eps
            whole = close | (turn < first)

            def search(_: Array) -> Array:
                return _step_length(eased, twist, direction, width, slope, over_points)

            length = jnp.where(whole, 1.0, if_any(~whole, search, jnp.ones_like(slope)))
            length = jnp.where(done, 0.0, length)
            moved = tuple(u + length * d for u, d in zip(twist, direction, strict=True))
            return _State(moved, done | (close & ((k < 0) | (k >= _ROUND))))

        return if_any(~state.done, move, state)

    # Pushed straight up no point slides: the first step leads to where none would, if it could.
    none, first = jnp.zeros_like(size), min(plain_steps, 1)
    start = _State((none, none, none + 1.0, none, none, none), size < 0.0)
    twist = jax.lax.fori_loop(0, plain_steps + STEPS, step, start).twist
    return tuple(c * size for c in twist)


def _ease(k: Array | int, dtype: Any) -> tuple[Array, Array]:
    """How far cones are rounded in a step, and the least softness: powers, so that no table is
    looked up in a loop. Nothing in plain steps, whose numbers are negative."""
    turn = jnp.asarray(k, dtype)  # a plain number where nothing is jitted
    width = _WIDEST * jnp.exp(turn * float(np.log(_WIDTH_FALLS)))
    softness = _SOFTEST * jnp.exp(turn * float(np.log(_SOFTNESS_FALLS)))
    eased = turn >= 0.0
    return (
        jnp.where(eased & (turn < _ROUND), width, 0.0),
        jnp.where(eased & (turn < _SOFT), softness, 0.0),
    )


def derivatives(
    problem: Problem, twist: Wrench, width: Scalar | Array, over_points: OverPoints
) -> tuple[list[Array], list[list[Array]]]:
    """Gradient and Hessian, the latter by rows up to the diagonal."""

    def terms(p: Vec, w: Array, fence: Fence) -> list[Array]:
        f, slopes = rounded_projection(velocity(twist, p), problem.friction, width)
        f, slopes = fence((scale(f, w), tuple(w * c for c in slopes)))
        xx, yy, zz, xy, xz, yz = slopes
        columns = fence([cross(p, c) for c in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))])
        rows = list(zip(*columns, strict=True))
        q, r, s = (cross(p, row) for row in rows)
        lower = [xx, xy, yy, xz, yz, zz]
        lower += [*rows[0], q[0], *rows[1], r[0], r[1], *rows[2], *s]
        return [*f, *cross(p, f), *lower]

    sums = over_points(terms, 27)
    carried, lower = sums[:6], iter(sums[6:])
    hessian = [[next(lower) for _ in range(i + 1)] for i in range(6)]
    for i, ridge in enumerate(problem.ridge):
        hessian[i][i] = hessian[i][i] + ridge
    return problem.gradient(twist, carried), hessian


def _step_length(
    problem: Problem,
    twist: Wrench,
    direction: Wrench,
    width: Scalar | Array,
    slope: Array,
    over_points: OverPoints,
) -> Array:
    """Where on its way the function stops to fall, from a bracket that is narrowed twice."""
    low, low_slope = jnp.zeros_like(slope), slope
    high, high_slope = jnp.full_like(slope, _LONGEST), jnp.full_like(slope, jnp.inf)
    for shares in _SHARES:
        tried = [low + share * (high - low) for share in shares]
        slopes = _slopes_along(problem, twist, direction, width, tried, over_points)
        for a, s in zip(tried, slopes, strict=True):
            low, low_slope = jnp.where(s < 0.0, a, low), jnp.where(s < 0.0, s, low_slope)
        for a, s in zip(tried[::-1], slopes[::-1], strict=True):
            high, high_slope = jnp.where(s < 0.0, high, a), jnp.where(s < 0.0, high_slope, s)
    share = -low_slope / (high_slope - low_slope + TINY)
    return low + (high - low) * jnp.clip(share, 0.0, 1.0)


def _slopes_along(
    problem: Problem,
    twist: Wrench,
    direction: Wrench,
    width: Scalar | Array,
    lengths: list[Array],
    over_points: OverPoints,
) -> list[Array]:
    """Slope of the function at some lengths of a step."""

    def terms(p: Vec, w: Array, fence: Fence) -> list[Array]:
        line = fence(line_of(velocity(twist, p), velocity(direction, p), w))
        return [slope_along(line, a, problem.friction, width) for a in lengths]

    nothing = (jnp.zeros_like(lengths[0]),) * 6
    start = inner(problem.gradient(twist, nothing), direction)
    growth = inner([r * d for r, d in zip(problem.ridge, direction, strict=True)], direction)
    sums = over_points(terms, len(lengths))
    return [start + a * growth + s for a, s in zip(lengths, sums, strict=True)]


def summed(rows: Rows, fold: Fold, like: Array, fence: Fence = lambda x: x) -> OverPoints:
    """Sums over points whose x, y, z and weight are the rows of the first four arrays, in running
    totals, so that nothing has the size of all of them."""

    def over_points(terms: Terms, sums: int) -> list[Array]:
        def add_one(i: Any, totals: list[Array]) -> list[Array]:
            x, y, z, w = (rows(k, i) for k in range(4))
            found = terms(*touching((x, y, z), w), fence)
            return [total + term for total, term in zip(totals, found, strict=True)]

        return fold(add_one, [jnp.zeros_like(like)] * sums)

    return over_points


def touching(points: Vec, weight: Array) -> tuple[Vec, Array]:
    """Points and weights with zeros for the points that cannot carry, which may be anything."""
    x, y, z, weight = (jnp.where(weight > 0.0, c, 0.0) for c in (*points, weight))
    return (x, y, z), weight


def velocity(twist: Wrench, points: Vec) -> Vec:
    """Of points that move with a twist."""
    u, v, w, a, b, c = twist
    x, y, z = points
    return u + b * z - c * y, v + c * x - a * z, w + a * y - b * x  # six fused operations


def inner(a: Sequence[Any], b: Sequence[Any]) -> Array:
    """Inner product of wrenches and twists."""
    total = a[0] * b[0]
    for u, v in zip(a[1:], b[1:], strict=True):
        total = total + u * v
    return total
