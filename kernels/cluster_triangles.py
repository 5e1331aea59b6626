"""Of clusters that may meet: which of their triangles may, and where the corners of these are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Bool, Int, UInt8, UInt32

from phymotion_jax.kernels.clusters import Bounds
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.select import look_up
from phymotion_jax.kernels.triangles import Triangle
from phymotion_jax.kernels.vectors import Vec


class ClustersHere(NamedTuple):
    """Clusters in some frames, K of them, with their vertices: neighbours in memory, which those
    of one frame of a posed surface are not."""

    cluster: Int[Array, " K"]
    """Which each is."""

    vertex: Vec
    """Its vertices, components ``(K, M)``."""


def clusters_here(
    vertices: Vec, cluster: Int[Array, " K"], frame: Int[Array, " K"], collider: MeshCollider
) -> ClustersHere:
    """Clusters of a posed surface ``(V, F)``."""
    rows = look_up(collider.vertex, cluster)
    x, y, z = (look_up(c, rows, frame[:, None]) for c in vertices)
    return ClustersHere(cluster, jax.lax.optimization_barrier((x, y, z)))


def near_triangles(
    here: ClustersHere, valid: Bool[Array, " K"], box: Bounds, collider: MeshCollider
) -> UInt32[Array, "1 K"]:
    """Bits of the real triangles of each cluster that a box ``(K,)`` may meet: no side of it has
    all three corners beyond it."""
    # Stored: else XLA computes a vertex's bits anew for every triangle that it is a corner of.
    beyond = jax.lax.optimization_barrier(_sides_beyond(here.vertex, box))
    corners = rearrange(collider.corner, "(c i) k -> c k i", i=CLUSTER)
    item = jnp.arange(beyond.shape[0], dtype=jnp.int32)[:, None, None]
    beyond = jax.lax.optimization_barrier(look_up(beyond, item, look_up(corners, here.cluster)))
    real = jnp.arange(CLUSTER) < look_up(collider.size, here.cluster)[:, None]
    meets = ((beyond[:, 0] & beyond[:, 1] & beyond[:, 2]) == 0) & real & valid[:, None]
    bit = jnp.uint32(1) << jnp.arange(CLUSTER, dtype=jnp.uint32)
    return jnp.sum(jnp.where(meets, bit, 0), axis=1, dtype=jnp.uint32)[None]


def triangles_at(
    here: ClustersHere, item: Int[Array, " J"], row: Int[Array, " J"], collider: MeshCollider
) -> Triangle:
    """Corners of triangles: number `row` of the cluster at place `item`."""
    place = look_up(here.cluster, item) * CLUSTER + row
    corners = look_up(collider.corner, place)
    a, b, c = (tuple(look_up(x, item, corners[:, k]) for x in here.vertex) for k in range(3))
    return a, b, c  # pyright: ignore[reportReturnType]


def _sides_beyond(points: Vec, box: Bounds) -> UInt8[Array, "K M"]:
    """One bit for each side of a box that a point is beyond (Cohen and Sutherland's outcode)."""
    code = jnp.zeros(points[0].shape, jnp.uint8)
    for k in range(3):
        below, above = points[k] < box.low[k][:, None], points[k] > box.high[k][:, None]
        code |= below.astype(jnp.uint8) << (2 * k) | above.astype(jnp.uint8) << (2 * k + 1)
    return code
