"""Hits of a mask in windows: against `numpy.nonzero`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.kernels.select import over_hits, pack_bits


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
