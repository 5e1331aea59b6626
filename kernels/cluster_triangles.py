"""Of clusters that may meet: which of their triangles may, and where the corners of these are."""

from typing import NamedTuple

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Float, Int, UInt16, UInt32

from phymotion_jax.kernels.clusters import Bounds, extremes
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.select import Products, look_up, products
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.triangles import Triangle
from phymotion_jax.kernels.vectors import Vec, cross, dot, sub


class ClustersHere(NamedTuple):
    """Clusters in some frames, K of them, with their vertices: neighbours in memory, which those
    of one frame of a posed surface are not."""

    cluster: Int[Array, " K"]
    """Which each is."""

    vertex: Vec
    """Its vertices, components ``(K, M)``."""

    box: Bounds
    """Its box, ``(K,)``."""


def clusters_here(
    vertices: Vec, bounds: Bounds, cluster: Array, frame: Array, collider: MeshCollider
) -> ClustersHere:
    """Clusters ``(K,)`` of a posed surface, of its vertices ``(V, F)`` and boxes ``(C, F)``."""
    rows = look_up(collider.vertex, cluster)
    x, y, z = (look_up(c, rows, frame[:, None]) for c in vertices)
    vertex = stored((x, y, z))
    return ClustersHere(cluster, vertex, bounds.at(cluster, frame))


def near_triangles(
    a: ClustersHere, b: ClustersHere, valid: Bool[Array, " K"], collider: MeshCollider
) -> Products:
    """The triangles of each cluster that may meet the other, in column k those of its k-th pair.

    A triangle is left out where all its corners are beyond the other cluster along an axis, along
    the normal that either of them is thin along, or along the line between their middles. (On real
    clips of the default body 5,600 pairs of triangles a frame are left; by the axes alone, 13,000.)
    """
    middle = [tuple(0.5 * (u + v) for u, v in zip(*side.box, strict=True)) for side in (a, b)]
    gap: Vec = sub(middle[1], middle[0])  # pyright: ignore[reportArgumentType]
    ways = (_thin_way(a), _thin_way(b), gap)
    along = [[_heights(x.vertex, way) for way in ways] for x in (a, b)]
    words = (
        _not_beyond(x, other.box, mine, others, collider)
        for x, other, mine, others in ((a, b, *along), (b, a, *along[::-1]))
    )
    first, second = (jnp.where(valid, word, 0)[None] for word in words)
    return products(first, second)


def triangles_at(
    here: ClustersHere, item: Int[Array, " J"], row: Int[Array, " J"], collider: MeshCollider
) -> Triangle:
    """Corners of triangles: number `row` of the cluster at place `item`."""
    place = look_up(here.cluster, item) * CLUSTER + row
    corners = look_up(collider.corner, place)
    a, b, c = (tuple(look_up(x, item, corners[:, k]) for x in here.vertex) for k in range(3))
    return a, b, c  # pyright: ignore[reportReturnType]


def _heights(vertex: Vec, way: Vec) -> Float[Array, "K M"]:
    x, y, z = (c[:, None] for c in way)
    return dot((x, y, z), vertex)


def _thin_way(here: ClustersHere) -> Vec:
    """Normal of the plane of the first three vertices, of any length ``(K,)``."""
    a, b, c = (tuple(x[:, k] for x in here.vertex) for k in range(3))
    return cross(sub(b, a), sub(c, a))  # pyright: ignore[reportArgumentType]


def _not_beyond(
    here: ClustersHere, box: Bounds, mine: list[Array], others: list[Array], collider: MeshCollider
) -> UInt32[Array, " K"]:
    """Bits of the real triangles of each cluster that have no side of another all beyond it."""
    sides = [*zip(here.vertex, box.low, box.high, strict=True)]
    sides += [(x, *extremes(y, axis=1)) for x, y in zip(mine, others, strict=True)]
    # Stored: else XLA computes a vertex's bits anew for every triangle that it is a corner of.
    beyond = stored(_sides_beyond(sides))
    corners = rearrange(collider.corner, "(c i) k -> c k i", i=CLUSTER)
    item = jnp.arange(beyond.shape[0], dtype=jnp.int32)[:, None, None]
    beyond = stored(look_up(beyond, item, look_up(corners, here.cluster)))
    real = jnp.arange(CLUSTER) < look_up(collider.size, here.cluster)[:, None]
    meets = ((beyond[:, 0] & beyond[:, 1] & beyond[:, 2]) == 0) & real
    bit = jnp.uint32(1) << jnp.arange(CLUSTER, dtype=jnp.uint32)
    return jnp.sum(jnp.where(meets, bit, 0), axis=1, dtype=jnp.uint32)


def _sides_beyond(sides: list[tuple[Array, Array, Array]]) -> UInt16[Array, "K M"]:
    """Two bits for each way along which points ``(K, M)`` may be below or above a piece ``(K,)``:
    Cohen and Sutherland's outcode."""
    code = jnp.zeros(sides[0][0].shape, jnp.uint16)
    for k, (place, low, high) in enumerate(sides):
        code |= (place < low[:, None]).astype(jnp.uint16) << (2 * k)
        code |= (place > high[:, None]).astype(jnp.uint16) << (2 * k + 1)
    return code
