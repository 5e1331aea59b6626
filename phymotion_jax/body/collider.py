"""From a surface to what its self-penetration is computed on, once on the host."""

from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from phymotion_jax.body.pairs import Pairs, checked_pairs, far_in_tree, mirror_image
from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.body.surface import SurfaceModel, Topology
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider

_REST_CLEARANCE_M = 0.02
"""Surfaces nearer than this at rest, by their corners and the centres of their triangles (which
stand about a centimetre apart), say nothing about the motion. Of the default body none are: the
nearest are neck and shoulders, 5 cm apart."""


_VERTICES = 36
"""Vertices of a cluster at most. All clusters take as much room as the one with most: 43, for one
in twenty fewer clusters of the default body."""

_THREES = 200
"""Planes tried of those that three vertices of a cluster span. A better one only saves time."""


@dataclass(frozen=True)
class _Rest:
    """The mean body. Compared by the digests of what it is made of."""

    topology: Topology
    digest: str
    vertex: Float[np.ndarray, "V 3"] = field(compare=False, repr=False)

    @classmethod
    def of(cls, model: SurfaceModel) -> "_Rest":
        vertex = np.ascontiguousarray(np.asarray(model.template).T)
        return cls(model.topology, blake2b(vertex.tobytes()).hexdigest(), vertex)


def mesh_collider(model: SurfaceModel, pairs: Pairs | None = None) -> MeshCollider:
    """A surface in clusters of triangles, with the parts that are tried against each other.

    Built on the host and kept: once a process for each body and set of pairs (half a second).

    Args:
      model: the surface. A triangle is of the part ``topology.face_link``; those that have two
        corners at one vertex are left out.
      pairs: links to try, in any order; by default those of `default_mesh_pairs`.

    Raises:
      ModelError: for a pair of links that have no triangles.
    """
    rest = _Rest.of(model)
    if pairs is None:
        return _collider(rest, _default_pairs(rest))
    parts = set(model.topology.face_link.tolist())
    return _collider(rest, checked_pairs(pairs, parts, "triangles"))


def default_mesh_pairs(model: SurfaceModel) -> Pairs:
    """Pairs of links whose surfaces must not meet (`describe_pairs` names them).

    They are more than two joints apart and not both hands, and the surface of the mean body at
    rest keeps them apart. A pair is left out if its mirror image is.
    """
    return _default_pairs(_Rest.of(model))


@cache
def _default_pairs(rest: _Rest) -> Pairs:
    faces, link = rest.topology.faces, rest.topology.face_link
    corners = rest.vertex[faces]
    trees = {
        part: KDTree(np.concatenate([corners[link == part].mean(1), *corners[link == part]]))
        for part in np.unique(link).tolist()
    }

    def apart(a: int, b: int) -> bool:
        near = trees[a].query(trees[b].data, distance_upper_bound=_REST_CLEARANCE_M)[0]
        return not np.any(np.isfinite(near))

    pairs = {(a, b) for a, b in combinations(trees, 2) if far_in_tree(a, b) and apart(a, b)}
    return tuple(sorted(pair for pair in pairs if mirror_image(*pair) in pairs))


@cache
def _collider(rest: _Rest, pairs: Pairs) -> MeshCollider:
    faces, link = rest.topology.faces, rest.topology.face_link
    centre = rest.vertex[faces].mean(axis=1)
    # Two corners at one vertex have no inside; of their rounding something might cross.
    whole = np.all(faces != np.roll(faces, 1, axis=1), axis=1)
    groups, start = [], [0]
    for part in range(N_BODIES):
        groups += _compact_groups(np.flatnonzero(whole & (link == part)), centre, faces)
        start.append(len(groups))
    size = np.array([len(group) for group in groups])
    face = np.concatenate([_filled(group, CLUSTER) for group in groups])
    vertex, corner = _local_vertices(faces[face].reshape(-1, CLUSTER * 3), rest.vertex)
    with jax.ensure_compile_time_eval():  # colliders are kept: no tracer may get into one
        return MeshCollider(
            triangle=jnp.asarray(faces[face], jnp.int32),
            corner=jnp.asarray(corner.reshape(-1, 3), jnp.int32),
            vertex=jnp.asarray(vertex, jnp.int32),
            size=jnp.asarray(size, jnp.int32),
            face=jnp.asarray(face, jnp.int32),
            part=jnp.asarray(np.repeat(np.arange(N_BODIES), np.diff(start)), jnp.int32),
            start=tuple(start),
            pairs=pairs,
            n_triangles=len(faces),
        )


def _compact_groups(
    index: Int[np.ndarray, " K"], centre: Float[np.ndarray, "N 3"], faces: Int[np.ndarray, "N 3"]
) -> list[Int[np.ndarray, " k"]]:
    """Halves along the longest extent, as often as it takes; most groups are full."""
    count = -(-len(index) // CLUSTER)
    if count <= 1 and len(np.unique(faces[index])) <= _VERTICES:
        return [index] if count else []
    mine = centre[index]
    order = np.argsort(mine[:, np.argmax(np.ptp(mine, axis=0))], kind="stable")
    cut = count // 2 * CLUSTER or len(index) // 2
    return [
        group
        for half in (index[order[:cut]], index[order[cut:]])
        for group in _compact_groups(half, centre, faces)
    ]


def _local_vertices(
    corners: Int[np.ndarray, "C K"], places: Float[np.ndarray, "V 3"]
) -> tuple[Int[np.ndarray, "C M"], Int[np.ndarray, "C K"]]:
    """The vertices of each row, flattest three first, and the place of each corner among them."""
    own = [np.unique(row) for row in corners]
    most = max(map(len, own))
    vertex = np.stack([_filled(row, most) for row in own])
    vertex = np.take_along_axis(vertex, _flattest_first(places[vertex]), axis=1)
    # Where a vertex stands twice, in what fills the row up, the first place is as good as any.
    same = corners[:, :, None] == vertex[:, None, :]
    return vertex, np.argmax(same, axis=2)


def _flattest_first(points: Float[np.ndarray, "C M 3"]) -> Int[np.ndarray, "C M"]:
    """An order of each cluster's points: of some threes, that with the plane nearest to all."""
    clusters, count = points.shape[:2]
    threes = np.random.default_rng(0).integers(0, count, (_THREES, 3))
    first, second, third = (points[:, index] for index in threes.T)
    normal = np.cross(second - first, third - first)
    length = np.linalg.norm(normal, axis=2)
    thickness = np.ptp(np.einsum("csx,cmx->csm", normal, points), axis=2)
    thickness = np.divide(thickness, length, out=np.full_like(length, np.inf), where=length > 0.0)
    best = threes[np.argmin(thickness, axis=1)]
    rank = np.tile(np.arange(count) + 3, (clusters, 1))
    np.put_along_axis(rank, best, np.arange(3)[None], axis=1)
    return np.argsort(rank, axis=1, kind="stable")


def _filled(values: Int[np.ndarray, " k"], size: int) -> Int[np.ndarray, " n"]:
    """Of a fixed size: the last value fills it up."""
    return np.concatenate([values, np.repeat(values[-1:], size - len(values))])
