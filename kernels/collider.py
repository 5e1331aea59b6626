"""A surface made ready to be tried against itself: triangles in small clusters, part after part.

Triangles that lie together at rest stay together when the body moves, so that a cluster's box,
taken anew from the posed vertices of each frame, says where all of its triangles are.
"""

from dataclasses import dataclass, field

import jax
from jaxtyping import Array, Int

from phymotion_jax.kernels.overlap import Pairs

CLUSTER = 32
"""Triangles a cluster: which of them are in question is one 32-bit word."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class MeshCollider:
    """Triangles of a surface, and which parts of it are tried against each other.

    Axes: ``N`` triangles are ``C`` clusters of 32; a cluster has ``M`` vertices at most. A cluster
    belongs to one part. One with fewer triangles, or vertices, repeats its last one: the first
    ``size`` triangles of a cluster are real.
    """

    triangle: Int[Array, "N 3"]
    """Vertices of the surface at the corners of each triangle, cluster after cluster."""

    corner: Int[Array, "N 3"]
    """The same corners as places among their cluster's vertices."""

    vertex: Int[Array, "C M"]
    """Vertices of each cluster, every one once. Along the normal of the first three it is thin."""

    size: Int[Array, " C"]
    """Real triangles of each cluster."""

    face: Int[Array, " N"]
    """Which triangle of the surface each is (`Topology.faces`)."""

    part: Int[Array, " C"]
    """Part of the body that each cluster is of."""

    start: tuple[int, ...] = field(metadata={"static": True})
    """First cluster of each part, and the number of clusters: part k has the clusters ``start[k]``
    to ``start[k + 1] - 1``, none where these are equal."""

    pairs: Pairs = field(metadata={"static": True})
    """Parts that are tried against each other."""

    n_triangles: int = field(metadata={"static": True})
    """Triangles of the surface, also those that are in no cluster since two corners coincide."""
