"""Where the clusters of a posed surface are, and which of them may meet."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Int

from phymotion_jax.kernels.collider import MeshCollider
from phymotion_jax.kernels.select import WORD, Products, look_up, pack_words, products
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.vectors import Vec


class Bounds(NamedTuple):
    """Boxes along the world's axes. NaN meets nothing."""

    low: Vec
    """Least coordinates."""

    high: Vec
    """Greatest."""

    def at(self, *place: Array) -> "Bounds":
        """Those at places of the leading axes."""
        return jax.tree.map(lambda c: look_up(c, *place), self)


def cluster_bounds(vertices: Vec, collider: MeshCollider) -> Bounds:
    """Boxes of the clusters ``(C, F)`` around posed vertices ``(V, F)``."""
    sides = (extremes(look_up(c, collider.vertex), axis=1) for c in vertices)
    low, high = zip(*sides, strict=True)
    return stored(Bounds(low, high))


def extremes(x: Array, axis: int) -> tuple[Array, Array]:
    """Least and greatest along an axis, in one pass: what `x` is gathered from is read once."""

    def widen(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        return jnp.minimum(a[0], b[0]), jnp.maximum(a[1], b[1])

    none = (jnp.array(jnp.inf, x.dtype), jnp.array(-jnp.inf, x.dtype))
    low, high = jax.lax.reduce((x, x), none, widen, (axis,))
    return low, high


def bounds_meet(a: Bounds, b: Bounds) -> Bool[Array, "..."]:
    """Whether boxes share a point; a flat one has some."""
    met = jnp.ones((), bool)
    for k in range(3):
        met &= (a.low[k] <= b.high[k]) & (b.low[k] <= a.high[k])
    return met


def clusters_near(bounds: Bounds, collider: MeshCollider) -> Products:
    """For each pair of parts and frame, column ``pair * F + frame``: the clusters of each part in
    the box of the other. Rows count from the part's first cluster.

    Clusters stand in blocks of 32, a word each, against the box of every partner of their part.
    """
    blocks = _blocks(collider)
    whole = _part_bounds(bounds, collider.start)
    mine = bounds.at(jnp.array(blocks.cluster[:, :, None]))
    others = whole.at(jnp.array(blocks.partner[None]))
    near = bounds_meet(mine, others) & blocks.real[:, :, None, None]
    # Stored: of gathers, tests and all 32 bits in one XLA 0.11 makes a kernel for NVIDIA GPUs that
    # reads at addresses that do not exist, for some numbers of frames (704 and 1,088 are two).
    near = stored(near)
    words = rearrange(pack_words(near)[0], "n p f -> (n p) f")
    words = jnp.pad(words, ((0, 1), (0, 0)))  # a last row for words that a part does not have
    first, second = (
        rearrange(look_up(words, jnp.array(row)), "w p f -> w (p f)") for row in blocks.row
    )
    return products(first, second)


class _Blocks(NamedTuple):
    """How the clusters of parts with partners stand in words."""

    cluster: Int[np.ndarray, "32 n"]
    """Clusters of each block, of one part."""

    real: Bool[np.ndarray, "32 n"]
    """Whether it is one of the part's."""

    partner: Int[np.ndarray, "n p"]
    """Parts that the part of each block is tried against."""

    row: tuple[Int[np.ndarray, "W P"], Int[np.ndarray, "W P"]]
    """Block and partner, ``block * p + partner``, of each word of each pair's first and second
    part; ``n * p`` where the part has no more blocks."""


def _blocks(collider: MeshCollider) -> _Blocks:
    start, pairs = collider.start, collider.pairs
    partners = {k: [sum(pair) - k for pair in pairs if k in pair] for pair in pairs for k in pair}
    most = max(map(len, partners.values()))
    owner = [k for k in partners for _ in range(start[k], start[k + 1], WORD)]
    own = {k: [n for n, part in enumerate(owner) if part == k] for k in partners}
    cluster = np.array([start[k] + WORD * own[k].index(n) for n, k in enumerate(owner)])
    cluster, last = cluster + np.arange(WORD)[:, None], np.array(start)[1:][owner]
    tall = max(map(len, own.values()))

    def row(a: int, b: int) -> list[int]:
        rows = [n * most + partners[a].index(b) for n in own[a]]
        return rows + [len(owner) * most] * (tall - len(rows))

    return _Blocks(
        np.minimum(cluster, last - 1),
        cluster < last,
        np.array([np.resize(partners[k], most) for k in owner]),
        (np.array([row(a, b) for a, b in pairs]).T, np.array([row(b, a) for a, b in pairs]).T),
    )


def _part_bounds(bounds: Bounds, start: tuple[int, ...]) -> Bounds:
    """Boxes of the parts ``(parts, F)``, from those of their clusters; of no clusters, no place."""

    def over_parts(sides: Vec, extreme: Callable, none: float) -> Vec:
        ranges = list(pairwise(start))
        x, y, z = (
            jnp.stack([extreme(c[i:j], axis=0, initial=none) for i, j in ranges]) for c in sides
        )
        return x, y, z

    low = over_parts(bounds.low, jnp.min, np.inf)
    return Bounds(low, over_parts(bounds.high, jnp.max, -np.inf))
