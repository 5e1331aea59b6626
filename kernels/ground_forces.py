"""Contact forces in Coulomb cones that best carry the wrench that a motion needs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.cone_newton import (
    PLAIN_STEPS,
    OverPoints,
    Problem,
    Wrench,
    derivatives,
    inner,
    minimum,
    summed,
    touching,
    velocity,
)
from phymotion_jax.kernels.cones import Scalar, held_slopes, within
from phymotion_jax.kernels.per_frame import (
    Memory,
    fold_over,
    if_any,
    pallas_or_xla,
    per_frame,
    rows_of,
)
from phymotion_jax.kernels.small_solve import solve_symmetric
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Vec, cross, scale, sub, sym_vec


class GroundForces(NamedTuple):
    """What the ground gives, and what it cannot."""

    forces: Vec
    """On each point, ``(P, B, T)``, in body weights: inside the cone, exactly."""

    residual_force: Vec
    """What they lack of the needed force, ``(B, T)``, in body weights."""

    residual_moment: Vec
    """What they lack of the needed moment, in body weights times metres."""


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
    a close line search, so that every step descends (`cone_newton`). On an NVIDIA GPU all steps
    of a frame are one kernel, which reads the 16 bytes of a point from memory once.

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
    contacts, numbers = Contacts(points, weight), (friction, length, softness)
    needed = (*force, *moment)
    twist = _solve(contacts, needed, numbers)
    forces, carried = _push(contacts, twist, friction)
    problem = Problem(needed, jnp.sum(weight, axis=0), *numbers)
    x, y, z, about_x, about_y, about_z = carried
    share = jax.lax.stop_gradient(_best_share(problem, twist, carried))
    return GroundForces(
        scale(forces, share),
        sub(force, scale((x, y, z), share)),
        sub(moment, scale((about_x, about_y, about_z), share)),
    )


class Contacts(NamedTuple):
    """Where the ground may push."""

    points: Vec
    """Relative to the centre of mass, ``(P, B, T)``, in metres."""

    weight: Float[Array, "P B T"]
    """How surely each touches."""


@jax.custom_jvp
def _solve(contacts: Contacts, needed: Wrench, numbers: tuple[Scalar, ...]) -> Wrench:
    """The twist at the minimum."""
    if contacts.weight.dtype != jnp.float32:
        return solve_xla(contacts, needed, numbers)
    return pallas_or_xla(*(contacts, needed, numbers), pallas=solve_pallas, xla=solve_xla)


def solve_xla(contacts: Contacts, needed: Wrench, numbers: tuple[Scalar, ...]) -> Wrench:
    """Newton's steps as loops of XLA over arrays of all frames.

    On a CPU XLA's loops have one output each, and would work out everything again for each of 27
    sums: hence the fences, between which arrays are kept.
    """
    problem = Problem(needed, jnp.sum(contacts.weight, axis=0), *numbers)
    return minimum(problem, _over_points(contacts))


def _over_points(contacts: Contacts) -> OverPoints:
    rows, fold = rows_of((*contacts.points, contacts.weight)), fold_over(len(contacts.weight))
    return summed(rows, fold, contacts.weight[0], stored)


def solve_pallas(
    contacts: Contacts,
    needed: Wrench,
    numbers: tuple[Scalar, ...],
    *,
    interpret: bool = False,
) -> Wrench:
    """The same as one GPU kernel."""

    def program(memory: Memory) -> None:
        frame = [memory.rows(4, k) for k in range(7)]
        problem = Problem(tuple(frame[:6]), frame[6], *memory.numbers)
        over_points = summed(memory.rows, memory.fold, frame[6])
        twist = minimum(problem, over_points, if_any, PLAIN_STEPS)
        for k, c in enumerate(twist):
            memory.store(0, k, c)

    frame = jnp.stack([*needed, jnp.sum(contacts.weight, axis=0)])
    arrays = (*contacts.points, contacts.weight, frame)
    results, active = [(6, jnp.float32)], contacts.weight > 0.0
    (twist,) = per_frame(
        program, arrays, results, active=active, numbers=numbers, interpret=interpret
    )
    return tuple(twist)


@_solve.defjvp
def _solve_jvp(primals: tuple, tangents: tuple) -> tuple[Wrench, Wrench]:
    """By the implicit function theorem: the gradient stays zero."""
    twist = _solve(*primals)

    def gradient(contacts: Contacts, needed: Wrench, numbers: tuple[Scalar, ...]) -> list[Array]:
        problem = Problem(needed, jnp.sum(contacts.weight, axis=0), *numbers)
        return problem.gradient(twist, _push(contacts, twist, numbers[0])[1])

    _, change = jax.jvp(gradient, primals, tangents)
    contacts, needed, numbers = primals
    problem = Problem(needed, jnp.sum(contacts.weight, axis=0), *numbers)
    _, hessian = derivatives(problem, twist, 0.0, _over_points(contacts))
    return twist, tuple(solve_symmetric(hessian, [-c for c in change]))


def _push(contacts: Contacts, twist: Wrench, friction: Scalar) -> tuple[Vec, Wrench]:
    """Force on each point, and force and moment in sum: velocities projected on the cone."""
    points, weight = touching(*contacts)
    v = velocity(twist, points)
    forces = sym_vec(held_slopes(v, friction), v)
    forces = within(friction, scale(forces, weight))
    # Stored before they are added up: a sum of products takes a GPU three times as long.
    rows = stored((*forces, *cross(points, forces)))
    return rows[:3], tuple(jnp.sum(c, axis=0) for c in rows)


def _best_share(problem: Problem, twist: Wrench, carried: Wrench) -> Array:
    """Share of the forces that does best: 1 at the minimum.

    Where the steps were too few it keeps the outcome from being worse than no forces at all.
    """
    weighed = [c / ridge for c, ridge in zip(carried, problem.ridge, strict=True)]
    most = inner(weighed, carried) + inner(twist, carried)
    share = inner(weighed, problem.needed) / jnp.where(most > 0.0, most, 1.0)
    return jnp.where(most > 0.0, jnp.clip(share, 0.0, 1.0), 1.0)
