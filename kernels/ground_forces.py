"""Contact forces in Coulomb cones that best carry the wrench that a motion needs."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.kernels.small_solve import solve_symmetric
from phymotion_jax.kernels.vectors import Sym, Vec, add, cross, dot, scale, sub, sym_vec

Wrench = tuple[Array, ...]
"""Three components of force and three of moment; of a twist, velocity at the origin and turning."""

Scalar = float | Float[Array, ""]

_WIDTHS = (*np.geomspace(4.0, 0.01, 9), 0.0, 0.0, 0.0)
"""How far the cone is rounded in each Newton step, in units of an even share of the load."""

_SOFTNESS = (*np.geomspace(0.03, 0.001, 6), *np.zeros(6))
"""The least softness in each step, as a share of the sum of weights.

Steps on the hard and sharp problem alone must be 20 and more where a load is far from what the
points can carry. These 12 leave 1 in 10,000 of such loads off by more than 1e-3 of it, and one in
1000 at a softness of 0.01; of loads that bodies on their feet have, none was seen."""

_SHARES = ((0.1 / 1.2, 0.4 / 1.2, 1.0), (0.25, 0.5, 0.75))
"""Places that each round of the line search tries, as shares of the bracket."""

_LONGEST = 1.2
"""Longest step, in Newton steps: where the line search's first bracket ends."""

_TINY = 1e-30


class GroundForces(NamedTuple):
    """What the ground gives, and what it cannot."""

    forces: Vec
    """On each point, ``(P, B, T)``, in body weights: inside the cone, exactly."""

    residual_force: Vec
    """What they lack of the needed force, ``(B, T)``, in body weights."""

    residual_moment: Vec
    """What they lack of the needed moment, in body weights times metres."""


class _Problem(NamedTuple):
    points: Vec
    weight: Float[Array, "P B T"]
    needed: Wrench
    friction: Scalar
    length: Scalar
    softness: Scalar | Array

    @property
    def ridge(self) -> tuple[Scalar | Array, ...]:
        """What a unit of twist leaves of force and of moment."""
        return (self.softness,) * 3 + (self.softness * self.length * self.length,) * 3


@jax.jit
def ground_forces(
    points: Vec,
    weight: Float[Array, "P B T"],
    force: Vec,
    moment: Vec,
    friction: Scalar = 0.8,
    length: Scalar = 0.3,
    softness: Scalar = 0.02,
) -> GroundForces:
    """Forces at points of contact that best carry a needed force and moment.

    With F and M needed, w the weights and p the points, the forces f minimise::

        |F - Σ f|² + |M - Σ p × f|² / length² + softness Σ |f|² / w
        with  f_z ≥ 0  and  |f_xy| ≤ friction f_z.

    There is one minimum. It scales with F and M, turns with the world about z, and changes smoothly
    with the weights. Where no point has weight, everything is left over. The default softness
    leaves 0.1 % of a body's weight on two feet of eight points each, 0.3 % on one. Moments give
    way more: 5 cm off the middle of two feet 1 % is left over, on one foot 1.5 %, and it lies
    sideways, where a metre over the floor it is the cheapest moment that there is.

    The first derivatives are those of the exact minimum, finite everywhere; second ones are not
    to be had. A point without weight has none, whatever its position.

    Method: the minimum pushes a point at p by w times the projection on the cone of u + v × p.
    The six numbers (u, v), the `twist`, times the softness are the residual, and minimise a convex
    function. Newton's method finds them, at first on a softer problem with rounded cones, and with
    a close line search, so that every step descends. Some 40 bytes a point and frame are in flight.

    Args:
      points: positions relative to the centre of mass, ``(P, B, T)``, in metres, z up.
      weight: how surely each point touches, in [0, 1]. Zero on padding, where points may be NaN.
      force: needed from the ground, ``(B, T)``, in body weights.
      moment: needed about the centre of mass, in body weights times metres.
      friction: Coulomb's coefficient on the floor, whose normal is z.
      length: metres that put moments on a par with forces.
      softness: body weights that the residual may give way by for a unit of force on a point of
        weight one; above zero. The steps are made for 0.01 and more.
    """
    problem = _Problem(points, weight, (*force, *moment), friction, length, softness)
    twist = _solve(problem)
    forces, carried = _push(problem, twist)
    x, y, z, about_x, about_y, about_z = carried
    share = jax.lax.stop_gradient(_best_share(problem, twist, carried))
    return GroundForces(
        scale(forces, share),
        sub(force, scale((x, y, z), share)),
        sub(moment, scale((about_x, about_y, about_z), share)),
    )


@jax.custom_jvp
def _solve(problem: _Problem) -> Wrench:
    """The twist at the minimum."""
    size = jnp.max(jnp.abs(jnp.stack(problem.needed)), axis=0)
    size = jnp.where(size > 0.0, size, 1.0)
    problem = problem._replace(needed=tuple(c / size for c in problem.needed))
    weights = jnp.sum(problem.weight, axis=0)

    def step(twist: Wrench, ease: tuple[Array, Array]) -> tuple[Wrench, None]:
        softness = jnp.maximum(problem.softness, ease[1] * weights)
        eased, width = problem._replace(softness=softness), ease[0] / (softness + weights)
        gradient, hessian = _derivatives(eased, twist, width)
        direction = tuple(solve_symmetric(hessian, [-g for g in gradient]))
        longer = _step_length(eased, twist, direction, width, _dot(gradient, direction))
        return tuple(u + longer * d for u, d in zip(twist, direction, strict=True)), None

    eases = jnp.asarray(_WIDTHS, size.dtype), jnp.asarray(_SOFTNESS, size.dtype)
    twist, _ = jax.lax.scan(step, (jnp.zeros_like(size),) * 6, eases)
    return tuple(c * size for c in twist)


@_solve.defjvp
def _solve_jvp(primals: tuple[_Problem], tangents: tuple[_Problem]) -> tuple[Wrench, Wrench]:
    """By the implicit function theorem: the gradient stays zero."""
    twist = _solve(*primals)

    def gradient(problem: _Problem) -> list[Array]:
        return _gradient(problem, twist, _push(problem, twist)[1])

    _, change = jax.jvp(gradient, primals, tangents)
    _, hessian = _derivatives(*primals, twist, 0.0)
    return twist, tuple(solve_symmetric(hessian, [-c for c in change]))


def _gradient(problem: _Problem, twist: Wrench, carried: Wrench) -> list[Array]:
    """Of the convex function that the twist minimises."""
    parts = zip(problem.ridge, twist, problem.needed, carried, strict=True)
    return [ridge * u - needed + got for ridge, u, needed, got in parts]


def _derivatives(
    problem: _Problem, twist: Wrench, width: Scalar | Array
) -> tuple[list[Array], list[list[Array]]]:
    """Gradient and Hessian, the latter by rows up to the diagonal."""

    def terms(p: Vec, w: Array, fence: Callable[[Any], Any]) -> tuple[Wrench, list[tuple]]:
        f, slopes = _rounded(_velocity(twist, p), problem.friction, width)
        f, slopes = fence((scale(f, w), tuple(w * c for c in slopes)))
        xx, yy, zz, xy, xz, yz = slopes
        columns = fence([cross(p, c) for c in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))])
        rows = list(zip(*columns, strict=True))
        q, r, s = (cross(p, row) for row in rows)
        lower = [(xx,), (xy, yy), (xz, yz, zz)]
        lower += [(*rows[0], q[0]), (*rows[1], r[0], r[1]), (*rows[2], *s)]
        return (*f, *cross(p, f)), lower

    carried, lower = _over_points(problem, terms)
    hessian = [list(row) for row in lower]
    for i, ridge in enumerate(problem.ridge):
        hessian[i][i] = hessian[i][i] + ridge
    return _gradient(problem, twist, carried), hessian


def _step_length(
    problem: _Problem, twist: Wrench, direction: Wrench, width: Scalar | Array, slope: Array
) -> Array:
    """Where on its way the function stops to fall, from a bracket that is narrowed twice."""
    low, low_slope = jnp.zeros_like(slope), slope
    high, high_slope = jnp.full_like(slope, _LONGEST), jnp.full_like(slope, jnp.inf)
    for shares in _SHARES:
        tried = [low + share * (high - low) for share in shares]
        slopes = _slopes_along(problem, twist, direction, width, tried)
        for a, s in zip(tried, slopes, strict=True):
            low, low_slope = jnp.where(s < 0.0, a, low), jnp.where(s < 0.0, s, low_slope)
        for a, s in zip(tried[::-1], slopes[::-1], strict=True):
            high, high_slope = jnp.where(s < 0.0, high, a), jnp.where(s < 0.0, high_slope, s)
    share = -low_slope / (high_slope - low_slope + _TINY)
    return low + (high - low) * jnp.clip(share, 0.0, 1.0)


def _slopes_along(
    problem: _Problem, twist: Wrench, direction: Wrench, width: Scalar | Array, lengths: list[Array]
) -> list[Array]:
    """Slope of the function at some lengths of a step."""

    def terms(p: Vec, w: Array, fence: Callable[[Any], Any]) -> list[Array]:
        v, d = fence((_velocity(twist, p), _velocity(direction, p)))
        there = [add(v, scale(d, a)) for a in lengths]
        return [w * dot(_rounded(u, problem.friction, width)[0], d) for u in there]

    nothing = (jnp.zeros_like(lengths[0]),) * 6
    start = _dot(_gradient(problem, twist, nothing), direction)
    growth = _dot([r * d for r, d in zip(problem.ridge, direction, strict=True)], direction)
    sums = _over_points(problem, terms)
    return [start + a * growth + s for a, s in zip(lengths, sums, strict=True)]


def _over_points(problem: _Problem, terms: Callable[..., Any]) -> Any:
    """Sums over the points, in running totals, so that nothing has the size of all of them.

    On a CPU XLA's loops have one output each, and would work out everything again for each of 27
    sums: hence the fences, between which arrays are kept. A GPU does better without, four points
    a turn.
    """
    arrays = (problem.points, problem.weight)

    def run(fence: Callable[[Any], Any], unroll: int) -> Any:
        def at(i: Any) -> Any:
            one = jax.tree.map(lambda c: jax.lax.dynamic_index_in_dim(c, i, 0, False), arrays)
            return terms(*_touching(*one), fence)

        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(at, 0))
        count = problem.weight.shape[0]
        add_one = lambda i, total: jax.tree.map(jnp.add, total, at(i))  # noqa: E731
        return jax.lax.fori_loop(0, count, add_one, zero, unroll=unroll)

    return jax.lax.platform_dependent(
        cpu=lambda: run(jax.lax.optimization_barrier, 1), default=lambda: run(lambda x: x, 4)
    )


def _touching(points: Vec, weight: Array) -> tuple[Vec, Array]:
    """Points and weights with zeros for the points that cannot carry, which may be anything."""
    x, y, z, weight = (jnp.where(weight > 0.0, c, 0.0) for c in (*points, weight))
    return (x, y, z), weight


def _push(problem: _Problem, twist: Wrench) -> tuple[Vec, Wrench]:
    """Force on each point, and force and moment in sum: velocities projected on the cone.

    A projection on a cone is its own slope times what it projects. With the slope held fixed the
    derivatives are exact as well, and finite on the cone's edge and at its tip.
    """
    points, weight = _touching(problem.points, problem.weight)
    v, mu = _velocity(twist, points), problem.friction
    x, y, z = jax.lax.stop_gradient(v)
    across = jnp.sqrt(x * x + y * y)
    load, grip = mu * across + z, mu * z - across
    kept = 0.5 + 0.5 * (mu * load + grip) / (mu * jnp.abs(load) + jnp.abs(grip) + _TINY)
    loaded, gripping = (0.5 + 0.5 * jnp.sign(c) for c in (load, grip))
    forces = sym_vec(_slopes((x, y, z), mu, kept, loaded, gripping), v)
    forces = _within(mu, scale(forces, weight))
    return forces, tuple(jnp.sum(c, axis=0) for c in (*forces, *cross(points, forces)))


def _rounded(v: Vec, mu: Scalar, width: Scalar | Array) -> tuple[Vec, Sym]:
    """Projection on a cone with a rounded edge and tip, and its slopes; the sharp one at width 0.

    Where `load` is negative nothing presses, where `grip` is positive nothing slides, and the
    projection is made of their absolute values. Rounded ones, √(x² + soft), give the gradient of a
    convex function all the same.
    """
    x, y, z = v
    across = jnp.sqrt(x * x + y * y)
    load, grip = mu * across + z, mu * z - across
    soft = 4.0 * (1.0 + mu * mu) * width * width
    abs_load = jnp.sqrt(load * load + soft + _TINY)
    abs_grip = jnp.sqrt(grip * grip + mu * mu * soft + _TINY)
    kept = 0.5 + 0.5 * (mu * load + grip) / (mu * abs_load + abs_grip)
    up = 0.5 * (z + (abs_load + mu * abs_grip) / (1.0 + mu * mu))
    slopes = _slopes(v, mu, kept, 0.5 + 0.5 * load / abs_load, 0.5 + 0.5 * grip / abs_grip)
    return (kept * x, kept * y, up), slopes


def _slopes(v: Vec, mu: Scalar, kept: Array, loaded: Array, gripping: Array) -> Sym:
    """Derivative of the projection, from the share that it keeps of a change in each direction.

    `loaded` along the cone's edge, `gripping` across the edge in the upright plane through v, and
    `kept` at right angles to that plane.
    """
    across = jnp.sqrt(v[0] * v[0] + v[1] * v[1]) + _TINY
    square = 1.0 + mu * mu
    x, y = v[0] / across, v[1] / across
    more = (mu * mu * loaded + gripping) / square - kept
    slant = mu * (loaded - gripping) / square
    up = (loaded + mu * mu * gripping) / square
    return kept + more * x * x, kept + more * y * y, up, more * x * y, slant * x, slant * y


def _within(mu: Scalar, forces: Vec) -> Vec:
    """The same forces, less the rounding errors by which they may stick out of the cone."""
    x, y, up = forces[0], forces[1], jnp.maximum(forces[2], 0.0)
    across = jax.lax.stop_gradient(jnp.sqrt(x * x + y * y))
    limit = jax.lax.stop_gradient(mu * up) * (1.0 - 8.0 * jnp.finfo(up.dtype).eps)
    beyond = across > limit
    kept = jnp.where(beyond, limit / jnp.where(beyond, across, 1.0), 1.0)
    return x * kept, y * kept, up


def _best_share(problem: _Problem, twist: Wrench, carried: Wrench) -> Array:
    """Share of the forces that does best: 1 at the minimum.

    Where the steps were too few it keeps the outcome from being worse than no forces at all.
    """
    weighed = [c / ridge for c, ridge in zip(carried, problem.ridge, strict=True)]
    most = _dot(weighed, carried) + _dot(twist, carried)
    share = _dot(weighed, problem.needed) / jnp.where(most > 0.0, most, 1.0)
    return jnp.where(most > 0.0, jnp.clip(share, 0.0, 1.0), 1.0)


def _velocity(twist: Wrench, points: Vec) -> Vec:
    x, y, z, *turning = twist
    return add((x, y, z), cross(tuple(turning), points))  # pyright: ignore[reportArgumentType]


def _dot(a: Sequence[Any], b: Sequence[Any]) -> Array:
    total = a[0] * b[0]
    for u, v in zip(a[1:], b[1:], strict=True):
        total = total + u * v
    return total
