"""Of the depths of all pairs of a body's parts: the worst, and whose it is."""

from functools import partial, reduce
from itertools import accumulate, groupby, zip_longest
from operator import itemgetter
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.select import look_up

Pairs = tuple[tuple[int, int], ...]
"""Parts that are tried against each other: static, so that it is part of the program."""


class Runs(NamedTuple):
    """Pairs in runs of one first part, which a program keeps in registers meanwhile."""

    start: Int[Array, " N+1"]
    """The pair that each run begins with, and one past the last of all."""

    first: Int[Array, " N"]
    """The first part of each run."""

    second: Int[Array, " P"]
    """The second part of each pair."""


def runs_of(pairs: Pairs) -> Runs:
    """The runs of pairs, in order."""
    firsts, sizes = zip(
        *((k, len(list(same))) for k, same in groupby(pairs, itemgetter(0))), strict=True
    )
    columns = (tuple(accumulate(sizes, initial=0)), firsts, tuple(b for _, b in pairs))
    return Runs(*(jnp.array(c, jnp.int32) for c in columns))


_UNROLL = 8
"""Pairs a turn of the loop that looks for the worst one."""


class Overlap(NamedTuple):
    """Penetration of a body with itself; 0 where nothing overlaps."""

    depth: Float[Array, "B T"]
    """Depth of the worst pair."""

    pair: Int[Array, "B T"]
    """Which pair that is, the first of equals; -1 where nothing overlaps."""

    by_part: Float[Array, "K B T"]
    """Depth of each part in the one that it stands deepest in."""


@partial(jax.jit, static_argnames=("pairs", "n_parts"))
def worst_overlap(depth: Float[Array, "P B T"], pairs: Pairs, n_parts: int) -> Overlap:
    """Worst penetration of each frame and of each part.

    The gradient of `depth` is shared between pairs that are equally deep.

    Args:
      depth: of every pair, 0 where it is apart, in any unit.
      pairs: the two parts of each. The same two may stand several times.
      n_parts: number of parts. One in no pair has depth 0.
    """
    none = jnp.zeros((n_parts, *depth.shape[1:]), depth.dtype)
    if not pairs:
        return Overlap(none[0], jnp.full(none.shape[1:], -1, jnp.int32), none)
    # Each turn takes one pair of every part. Elementwise maxima of gathers, which XLA fuses.
    filled = jnp.concatenate([depth, none[:1]])
    turns = (look_up(filled, jnp.array(turn)) for turn in _turns(pairs, n_parts))
    return Overlap(
        depth=jnp.max(depth, axis=0),
        pair=_first_deepest(jax.lax.stop_gradient(depth)),
        by_part=reduce(jnp.maximum, turns, none),
    )


def _first_deepest(depth: Float[Array, "P B T"]) -> Int[Array, "B T"]:
    """The pair with the greatest depth, as a running maximum: `argmax` is slow on CPU."""

    def keep(i, state: tuple[Array, Array]) -> tuple[Array, Array]:
        most, best = state
        row = jax.lax.dynamic_index_in_dim(depth, i, 0, False)
        return jnp.maximum(most, row), jnp.where(row > most, jnp.full_like(best, i), best)

    none = jnp.zeros(depth.shape[1:], depth.dtype)
    start = (none, jnp.full(none.shape, -1, jnp.int32))
    return jax.lax.fori_loop(0, depth.shape[0], keep, start, unroll=_UNROLL)[1]


def _turns(pairs: Pairs, n_parts: int) -> list[list[int]]:
    """Row m has the m-th pair of every part; an index past the last pair where it has fewer."""
    own = [[p for p, pair in enumerate(pairs) if k in pair] for k in range(n_parts)]
    return [list(turn) for turn in zip_longest(*own, fillvalue=len(pairs))]
