"""How a body's capsules stand in each other: the worst of each frame and of each part."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.kernels.capsule_penetration import capsule_depth, segment_distance
from phymotion_jax.kernels.overlap import Overlap, Pairs, runs_of, worst_overlap
from phymotion_jax.kernels.per_frame import Memory, if_any, pallas_or_xla, per_frame
from phymotion_jax.kernels.vectors import Vec, add, dot, norm, scale, sub

Owners = tuple[int, ...]
"""The part that each capsule belongs to."""


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def capsule_overlap(
    pairs: Pairs,
    owner: Owners,
    n_parts: int,
    ends_a: Vec,
    ends_b: Vec,
    radius: Float[Array, "K #B #1"],
) -> Overlap:
    """`worst_overlap` of `capsule_depth`. On an NVIDIA GPU one kernel, which keeps no pair's depth.

    Args:
      pairs: indices of the capsules to try against each other, as for `capsule_depth`.
      owner: of each capsule.
      n_parts: number of parts.
      ends_a: one end of the axis of each capsule, components ``(K, B, T)``, in metres.
      ends_b: the other end.
      radius: in metres.

    Returns:
      Depths in metres; which of `pairs` is the worst one.
    """
    body = ends_a, ends_b, radius
    xla = partial(overlap_xla, pairs, owner, n_parts)
    if not pairs or any(c.dtype != jnp.float32 for c in jax.tree.leaves(body)):
        return xla(*body)
    return pallas_or_xla(*body, pallas=partial(overlap_pallas, pairs, owner, n_parts), xla=xla)


@capsule_overlap.defjvp
def _overlap_jvp(pairs: Pairs, owner: Owners, n_parts: int, primals: Any, tangents: Any) -> Any:
    return jax.jvp(partial(overlap_xla, pairs, owner, n_parts), primals, tangents)


def overlap_xla(
    pairs: Pairs, owner: Owners, n_parts: int, ends_a: Vec, ends_b: Vec, radius: Array
) -> Overlap:
    """As plain array operations: the depths of all pairs, and the worst of them."""
    depth = capsule_depth(ends_a, ends_b, radius, pairs)
    return worst_overlap(depth, tuple((owner[a], owner[b]) for a, b in pairs), n_parts)


def overlap_pallas(
    pairs: Pairs,
    owner: Owners,
    n_parts: int,
    ends_a: Vec,
    ends_b: Vec,
    radius: Array,
    *,
    interpret: bool = False,
) -> Overlap:
    """A loop over the pairs of a frame in one GPU kernel, run by run of one first capsule, which
    stays in registers meanwhile, as does how deep it stands. Most pairs are far apart: segments are
    looked at where the balls around them meet on any frame of the block."""
    own = radius.shape[1]
    clip = jnp.arange(own, dtype=jnp.int32)[None, :, None]

    def program(memory: Memory) -> None:
        here = memory.rows(6, 0)
        nothing = jnp.zeros_like(memory.rows(0, 0))

        def capsule(k: Any) -> tuple[Vec, Vec, Array]:
            start, stop = (tuple(memory.rows(i + c, k) for c in range(3)) for i in (0, 3))
            return start, sub(stop, start), memory.look_up(4, k * own + here)  # pyright: ignore

        def keep(k: Any, depth: Array) -> None:
            part = memory.look_up(3, k)
            memory.store(2, part, jnp.maximum(memory.result(2, part), depth))

        def clear(part: Any, done: Any) -> Any:
            memory.store(2, part, nothing)
            return done

        def run(n: Any, worst: tuple[Array, Array]) -> tuple[Array, Array]:
            first = memory.look_up(1, n)
            a, u, r = capsule(first)

            def one(p: Any, found: tuple[Array, ...]) -> tuple[Array, ...]:
                second = memory.look_up(2, p)
                b, v, s = capsule(second)

                def meet(found: tuple[Array, ...]) -> tuple[Array, ...]:
                    most, pair, own_most = found
                    depth = jnp.maximum(r + s - segment_distance(a, u, b, v), 0.0)
                    keep(second, depth)
                    worse = jnp.where(depth > most, p, pair)
                    return jnp.maximum(most, depth), worse, jnp.maximum(own_most, depth)

                return if_any(_room_of_balls(sub(b, a), u, v, r + s) > 0.0, meet, found)

            span = memory.look_up(0, n), memory.look_up(0, n + 1)
            most, pair, own_most = jax.lax.fori_loop(*span, one, (*worst, nothing))
            keep(first, own_most)
            return most, pair

        jax.lax.fori_loop(0, n_parts, clear, 0)
        start = nothing, jnp.full_like(here, -1)
        most, pair = jax.lax.fori_loop(0, len(runs.first), run, start)
        memory.store(0, 0, most)
        memory.store(1, 0, pair)

    runs = runs_of(pairs)
    tables = (*runs, jnp.array(owner, jnp.int32), radius.reshape(-1))
    results = [(1, jnp.float32), (1, jnp.int32), (n_parts, jnp.float32)]
    arrays = (*ends_a, *ends_b, clip)
    depth, pair, by_part = per_frame(program, arrays, results, tables=tables, interpret=interpret)
    return Overlap(depth[0], pair[0], by_part)


def _room_of_balls(gap: Vec, u: Vec, v: Vec, reach: Array) -> Array:
    """Square metres by which the balls around two capsules are too near to be apart."""
    half = scale(sub(v, u), jnp.full_like(reach, 0.5))
    between = add(gap, half)
    radii = reach + 0.5 * (norm(u) + norm(v))
    return radii * radii - dot(between, between)
