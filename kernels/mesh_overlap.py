"""Which triangles of a body's parts pass through each other.

Boxes of clusters tell the clusters that may meet, the box of one cluster the triangles of the other
that may meet it, and signs of volumes the triangles that do. Each goes over what the one before it
has left, a window at a time (`select`), so that nothing has a capacity to overflow.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Bool, Int

from phymotion_jax.kernels.cluster_triangles import clusters_here, near_triangles, triangles_at
from phymotion_jax.kernels.clusters import Bounds, bounds_meet, cluster_bounds, clusters_near
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.select import (
    WORD,
    Hits,
    PairHits,
    look_up,
    over_hits,
    over_products,
    pack_bits,
)
from phymotion_jax.kernels.triangles import triangles_intersect
from phymotion_jax.kernels.vectors import Vec


class MeshOverlap(NamedTuple):
    """What of a body's surface passes through another part of it, frame by frame."""

    hits: Int[Array, "P B T"]
    """Pairs of crossing triangles, by pair of parts."""

    triangles: Int[Array, "B T"]
    """Triangles that cross at least one other."""


class _Windows(NamedTuple):
    """How many are looked at at once: a turn of a loop costs something however few there are.
    The CPU's are the fastest of some for chunks of 64 frames; a GPU's are to keep it busy."""

    clusters: int
    """Pairs of clusters in each other's parts' boxes."""

    near: int
    """Pairs of clusters whose boxes meet."""

    triangles: int
    """Pairs of triangles in each other's clusters' boxes."""

    crossing: int
    """Pairs of triangles that cross."""


_CPU = _Windows(1 << 16, 1 << 11, 1 << 14, 1 << 9)
_GPU = _Windows(1 << 20, 1 << 16, 1 << 21, 1 << 15)

_CLUSTERS_A_FRAME = 1024
"""Pairs of clusters in each other's parts' boxes of a frame, where a few frames are looked at."""


class _Posed(NamedTuple):
    """A surface in some frames."""

    collider: MeshCollider

    vertices: Vec
    """``(V, F)``."""

    bounds: Bounds
    """Of the clusters, ``(C, F)``."""


class _Near(NamedTuple):
    """Pairs of clusters that may meet."""

    first: Int[Array, " K"]
    second: Int[Array, " K"]

    pair: Int[Array, " K"]
    """Pair of parts that they are of."""

    frame: Int[Array, " K"]

    valid: Bool[Array, " K"]
    """Whether they are to be tried at all."""

    def at(self, place: Int[Array, " J"], valid: Bool[Array, " J"]) -> "_Near":
        """Some of them."""
        first, second, pair, frame = (look_up(x, place) for x in self[:4])
        return _Near(first, second, pair, frame, valid)


class _Found(NamedTuple):
    """What crosses."""

    hits: Int[Array, "P F"]

    crossing: Bool[Array, "N F"]
    """Triangles that do, in the collider's order."""


def mesh_overlap(vertices: Vec, collider: MeshCollider) -> MeshOverlap:
    """Pairs of triangles that cross, of all pairs of parts that are tried.

    Triangles cross as `triangles_intersect` says: touching ones do not, nor do neighbours, which
    have a vertex in common. Where vertices are NaN nothing crosses.

    Args:
      vertices: of the posed surface, ``(V, B, T)``, from the pelvis or another place nearby.
      collider: its triangles and pairs of parts.

    Raises:
      ValueError: for more frames than 32-bit numbers can count the pairs of clusters of: 2,255
        for the default body. `map_posed` gives them in chunks.
    """
    shape = vertices[0].shape[1:]
    x, y, z = (rearrange(c, "v b t -> v (b t)") for c in vertices)
    found = _search((x, y, z), collider)
    triangles = jnp.sum(found.crossing, axis=0, dtype=jnp.int32)
    return MeshOverlap(found.hits.reshape(-1, *shape), triangles.reshape(shape))


def _search(vertices: Vec, collider: MeshCollider) -> _Found:
    """From all clusters to the triangles that cross."""
    frames = vertices[0].shape[1]
    _check_count(frames, collider)
    nothing = _Found(
        jnp.zeros((len(collider.pairs), frames), jnp.int32),
        jnp.zeros((collider.face.shape[0], frames), bool),
    )
    if not collider.pairs:
        return nothing
    windows = _CPU if jax.default_backend() == "cpu" else _GPU
    few = min(windows.clusters, _CLUSTERS_A_FRAME * frames)
    windows = windows._replace(clusters=few)
    bounds = cluster_bounds(vertices, collider)
    posed = _Posed(collider, vertices, bounds)

    def step(hits: PairHits, found: _Found) -> _Found:
        near = _named(hits, frames, collider)
        a, b = (bounds.at(cluster, near.frame) for cluster in near[:2])

        def look_closer(place: Array, valid: Array, found: _Found) -> _Found:
            return _try_triangles(near.at(place, valid), posed, windows, found)

        return _each(near.valid & bounds_meet(a, b), look_closer, found, windows.near)

    near = clusters_near(bounds, collider)
    return over_products(step, near, nothing, window=windows.clusters)


def _named(hits: PairHits, frames: int, collider: MeshCollider) -> _Near:
    """Pairs of clusters of the columns and rows of `clusters_near`."""
    pair, frame = jnp.divmod(hits.column, frames)
    start = jnp.array([[collider.start[part] for part in pair] for pair in collider.pairs])
    first, second = look_up(start, pair).T
    return _Near(hits.first + first, hits.second + second, pair, frame, hits.valid)


def _try_triangles(near: _Near, posed: _Posed, windows: _Windows, found: _Found) -> _Found:
    """Add the crossing triangles of pairs of clusters."""
    collider = posed.collider
    first, second = (
        clusters_here(posed.vertices, posed.bounds, cluster, near.frame, collider)
        for cluster in near[:2]
    )
    tried = near_triangles(first, second, near.valid, collider)

    def step(hits: PairHits, found: _Found) -> _Found:
        a = triangles_at(first, hits.column, hits.first, collider)
        b = triangles_at(second, hits.column, hits.second, collider)

        def note(place: Array, valid: Array, found: _Found) -> _Found:
            row_a, row_b, k = (look_up(x, place) for x in hits[:3])
            of = near.at(k, valid)
            triangles = of.first * CLUSTER + row_a, of.second * CLUSTER + row_b
            a, b = (look_up(collider.triangle, triangle) for triangle in triangles)
            neighbours = jnp.any(a[:, :, None] == b[:, None, :], axis=(1, 2))
            return _noted(found, of, triangles, valid & ~neighbours)

        return _each(hits.valid & triangles_intersect(a, b), note, found, windows.crossing)

    return over_products(step, tried, found, window=windows.triangles)


def _each(
    mask: Bool[Array, " K"],
    step: Callable[[Array, Array, _Found], _Found],
    found: _Found,
    window: int,
) -> _Found:
    """Fold a step over the places of a mask's hits, a window at a time."""
    table = rearrange(mask, "(column row) -> row column", row=WORD)

    def turn(hits: Hits, found: _Found) -> _Found:
        return step(hits.column * WORD + hits.row, hits.valid, found)

    return over_hits(turn, pack_bits(table), found, window=window)


def _noted(found: _Found, of: _Near, triangles: tuple[Array, Array], valid: Array) -> _Found:
    """Count pairs of triangles, and mark them. What is not valid is put out of bounds."""
    row = jnp.where(valid, of.pair, found.hits.shape[0])
    hits = found.hits.at[row, of.frame].add(1, mode="drop")
    crossing = found.crossing
    for triangle in triangles:
        place = jnp.where(valid, triangle, crossing.shape[0])
        crossing = crossing.at[place, of.frame].set(True, mode="drop")
    return _Found(hits, crossing)


def _check_count(frames: int, collider: MeshCollider) -> None:
    count = np.diff(collider.start)
    most = sum(int(count[a] * count[b]) for a, b in collider.pairs)
    if frames * most >= 2**31:
        raise ValueError(f"{frames} frames at once: at most {(2**31 - 1) // most} of this surface")
