"""Rare hits in a large mask, found a window at a time: nothing overflows, nothing is lost.

`jnp.nonzero` needs a capacity, and passes over the whole mask several times. Here each column's
hits are counted, and the k-th hit of all is looked up: its column by bisection of the running
total, its row by the bits of that column. What follows works on windows of a fixed number of hits
in a `while_loop` that takes as many turns as there are hits for. So too for all pairs of a hit of
one mask with a hit of another in the same column, with no mask of the pairs.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt32

from phymotion_jax.kernels.stored import stored

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


class Products(NamedTuple):
    """Which rows of two masks are hit in each column. Each hit of one makes a pair with each of
    the other."""

    first: UInt32[Array, "W N"]
    """Words as in `Bits`."""

    second: UInt32[Array, "U N"]
    """Of the other mask."""

    total: Int[Array, " N"]
    """Pairs up to and with each column."""


class PairHits(NamedTuple):
    """A window of pairs, in order of columns, then of the first rows, then of the second."""

    first: Int[Array, " K"]
    """Row in the first mask; some row where there is no pair left."""

    second: Int[Array, " K"]
    """Row in the second."""

    column: Int[Array, " K"]
    """Column of both; some column where there is no pair left."""

    valid: Bool[Array, " K"]
    """Whether it is one."""


def look_up(array: Array, *place: Array) -> Array:
    """Elements at places of the leading axes that are known to exist: no tests are compiled."""
    return array.at[place].get(mode="clip", wrap_negative_indices=False)


def pack_bits(mask: Bool[Array, "R N"]) -> Bits:
    """A mask in a thirty-second of its size, with the running total of its columns' hits.

    Hits are counted in 32 bits: 2,147,483,647 at most.
    """
    return bits_of_words(pack_words(mask))


def bits_of_words(words: UInt32[Array, "W N"]) -> Bits:
    """The same of a mask that is packed already."""
    return Bits(words, jnp.cumsum(_count(words)))


def pack_words(mask: Bool[Array, "R ..."]) -> UInt32[Array, "W ..."]:
    """The words alone: row ``32 w + b`` is bit b of word w."""
    words = []
    for start in range(0, mask.shape[0], WORD):
        word = jnp.zeros(mask.shape[1:], jnp.uint32)
        for bit, row in enumerate(mask[start : start + WORD]):
            word |= row.astype(jnp.uint32) << bit
        words.append(word)
    return jnp.stack(words)


def products(first: UInt32[Array, "W N"], second: UInt32[Array, "U N"]) -> Products:
    """All pairs of hits of two masks' words, column by column: 2,147,483,647 at most."""
    return Products(first, second, jnp.cumsum(_count(first) * _count(second)))


def hits_from(bits: Bits, first: Int[Array, ""], size: int) -> Hits:
    """The hits number `first` to `first + size - 1`, counted from 0."""
    rank = first + jnp.arange(size, dtype=jnp.int32)
    column, left = _column(bits.total, rank)
    hits = Hits(_nth_row(bits.words[:, column], left), column, rank < bits.total[-1])
    # Stored: else XLA looks a hit up anew for everything that is gathered for it.
    return stored(hits)


def pairs_from(pairs: Products, first: Int[Array, ""], size: int) -> PairHits:
    """The pairs number `first` to `first + size - 1`, counted from 0."""
    rank = first + jnp.arange(size, dtype=jnp.int32)
    column, left = _column(pairs.total, rank)
    words = pairs.second[:, column]
    row, column_left = jnp.divmod(left, jnp.maximum(_count(words), 1))
    hits = PairHits(
        _nth_row(pairs.first[:, column], row),
        _nth_row(words, column_left),
        column,
        rank < pairs.total[-1],
    )
    return stored(hits)


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
    return _over(
        lambda first, carry: step(hits_from(bits, first, window), carry),
        bits.total[-1],
        start,
        window,
    )


def over_products(
    step: Callable[[PairHits, Carry], Carry], pairs: Products, start: Carry, *, window: int
) -> Carry:
    """Fold `step` over all pairs of hits, as `over_hits` does over hits."""
    return _over(
        lambda first, carry: step(pairs_from(pairs, first, window), carry),
        pairs.total[-1],
        start,
        window,
    )


def _over(step: Callable[[Array, Carry], Carry], total: Array, start: Carry, window: int) -> Carry:
    def turn(state: tuple[Array, Carry]) -> tuple[Array, Carry]:
        first, carry = state
        return first + window, step(first, carry)

    first = jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(lambda state: state[0] < total, turn, (first, start))[1]


def _count(words: UInt32[Array, "W N"]) -> Int[Array, " N"]:
    """Hits of each column."""
    return jnp.sum(jax.lax.population_count(words).astype(jnp.int32), axis=0)


def _column(total: Int[Array, " N"], rank: Int[Array, " K"]) -> tuple[Array, Array]:
    """Column of each rank, and the rank among that column's own."""
    search = partial(jnp.searchsorted, side="right")
    # Unrolled it is one GPU kernel, and not some 60 launches; a CPU compiles that for minutes.
    column = jax.lax.platform_dependent(
        *(total, rank), cpu=search, default=partial(search, method="scan_unrolled")
    )
    column = jnp.minimum(column, total.shape[0] - 1).astype(jnp.int32)
    return column, rank - jnp.where(column > 0, total[column - 1], 0)


def _nth_row(words: UInt32[Array, "W K"], n: Int[Array, " K"]) -> Int[Array, " K"]:
    """Row of the n-th hit of each column, counted from 0."""
    within = jax.lax.population_count(words).astype(jnp.int32)
    word, base = jnp.zeros_like(words[0]), jnp.zeros_like(n)
    found = jnp.zeros(n.shape, bool)
    for w in range(words.shape[0]):
        here = ~found & (n < within[w])
        word = jnp.where(here, words[w], word)
        base = jnp.where(here, w * WORD, base)
        n = jnp.where(found | here, n, n - within[w])
        found |= here
    return base + _nth_bit(word, n)


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
