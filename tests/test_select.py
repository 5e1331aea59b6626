"""Hits of a mask in windows: against `numpy.nonzero`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.kernels.select import over_hits, over_products, pack_bits, pack_words, products


def collected(mask: np.ndarray, window: int) -> list[tuple[int, int]]:
    """All hits in order, by windows that write behind one another."""
    room = mask.size + window

    @jax.jit
    def run(mask):
        def step(hits, state):
            rows, columns, n = state
            place = jnp.where(hits.valid, n + jnp.arange(window), room)
            rows = rows.at[place].set(hits.row, mode="drop")
            columns = columns.at[place].set(hits.column, mode="drop")
            return rows, columns, n + jnp.sum(hits.valid)

        empty = jnp.full(room, -1)
        return over_hits(step, pack_bits(mask), (empty, empty, 0), window=window)

    rows, columns, n = run(jnp.asarray(mask))
    return list(zip(columns[:n].tolist(), rows[:n].tolist(), strict=True))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("rows", [1, 32, 75])
def test_finds_what_nonzero_finds(share, rows, rng):
    mask = rng.random((rows, 41)) < share
    want = [tuple(pair) for pair in np.argwhere(mask.T).tolist()]
    assert collected(mask, 16) == want


def test_a_window_larger_than_all_hits(rng):
    mask = rng.random((40, 9)) < 0.1
    assert collected(mask, 1000) == [tuple(pair) for pair in np.argwhere(mask.T).tolist()]


@pytest.mark.parametrize("window", [7, 5000])
def test_finds_all_pairs_of_hits(window, rng):
    """Of two masks of several words, some columns without hits of one or of both."""
    first, second = rng.random((70, 12)) < 0.2, rng.random((33, 12)) < 0.1
    first[:, 3] = second[:, 5] = False

    @jax.jit
    def count(first, second):
        def step(hits, counts):
            place = (hits.first, hits.second, hits.column)
            return counts.at[place].add(hits.valid.astype(jnp.int32))

        pairs = products(pack_words(first), pack_words(second))
        return over_products(step, pairs, jnp.zeros((96, 64, 12), jnp.int32), window=window)

    want = first[:, None] & second[None]
    np.testing.assert_array_equal(count(first, second)[:70, :33], want)
