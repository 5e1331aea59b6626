"""Rare hits in a large mask, found a window at a time: nothing overflows, nothing is lost.

`jnp.nonzero` needs a capacity, and passes over the whole mask several times. Here each column's
hits are counted, and the k-th hit of all is looked up: its column by bisection of the running
total, its row by the bits of that column. What follows works on windows of a fixed number of hits
in a `while_loop` that takes as many turns as there are hits for.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

WORD = 32

Carry = TypeVar("Carry")


class Bits(NamedTuple):
    """Which rows are hit in each column, and how many so far."""

    words: UInt32[Array, "W N"]
    """Row ``32 w + b`` is bit b of word w."""

    total: Int[Array, " N"]
    """Hits up to and with each column."""


class Hits(NamedTuple):
    """A window of hits, in order of columns, then of rows."""

    row: Int[Array, " K"]
    """Row of each; some row where there is no hit left."""

    column: Int[Array, " K"]
    """Column of each; some column where there is no hit left."""

    valid: Bool[Array, " K"]
    """Whether it is one."""


def pack_bits(mask: Bool[Array, "R N"]) -> Bits:
    """A mask in a thirty-second of its size, with the running total of its columns' hits.

    Hits are counted in 32 bits: 2,147,483,647 at most.
    """
    words = []
    for start in range(0, mask.shape[0], WORD):
        word = jnp.zeros(mask.shape[1:], jnp.uint32)
        for bit, row in enumerate(mask[start : start + WORD]):
            word |= row.astype(jnp.uint32) << bit
        words.append(word)
    packed = jnp.stack(words)
    count = jnp.sum(jax.lax.population_count(packed).astype(jnp.int32), axis=0)
    return Bits(packed, jnp.cumsum(count))


def hits_from(bits: Bits, first: Int[Array, ""], size: int) -> Hits:
    """The hits number `first` to `first + size - 1`, counted from 0."""
    rank = first + jnp.arange(size, dtype=jnp.int32)
    n = bits.total.shape[0]
    column = jnp.minimum(jnp.searchsorted(bits.total, rank, side="right"), n - 1)
    words = bits.words[:, column]
    within = jax.lax.population_count(words).astype(jnp.int32)
    left = rank - jnp.where(column > 0, bits.total[column - 1], 0)
    word, base = jnp.zeros_like(words[0]), jnp.zeros_like(left)
    found = jnp.zeros(left.shape, bool)
    for w in range(words.shape[0]):
        here = ~found & (left < within[w])
        word = jnp.where(here, words[w], word)
        base = jnp.where(here, w * WORD, base)
        left = jnp.where(found | here, left, left - within[w])
        found |= here
    return Hits(base + _nth_bit(word, left), column, rank < bits.total[-1])


def over_hits(
    step: Callable[[Hits, Carry], Carry], bits: Bits, start: Carry, *, window: int
) -> Carry:
    """Fold `step` over all hits, a window at a time.

    Args:
      step: takes a window and what the turns before it gave. Hits that are not valid must change
        nothing.
      bits: from `pack_bits`.
      start: what the first turn is given.
      window: hits a turn.
    """
    total = bits.total[-1]

    def turn(state: tuple[Array, Carry]) -> tuple[Array, Carry]:
        first, carry = state
        return first + window, step(hits_from(bits, first, window), carry)

    first = jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(lambda state: state[0] < total, turn, (first, start))[1]


def _nth_bit(word: UInt32[Array, " K"], n: Int[Array, " K"]) -> Int[Array, " K"]:
    """Place of the n-th set bit, counted from 0: halves are skipped by what they count."""
    place = jnp.zeros_like(n)
    for width in (16, 8, 4, 2, 1):
        low = (word >> place.astype(jnp.uint32)) & jnp.uint32((1 << width) - 1)
        below = jax.lax.population_count(low).astype(jnp.int32)
        skip = n >= below
        n = jnp.where(skip, n - below, n)
        place = jnp.where(skip, place + width, place)
    return place
