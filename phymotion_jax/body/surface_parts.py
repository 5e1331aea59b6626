"""A body's skin, cut at its joints into closed parts that add up to the body.

At each joint the skin of what lies beyond it, the whole rest of that limb, has a rim. It is capped
by fans from its loops' centroids. The cap closes what lies beyond and, turned around, it closes
what is left. So parts are closed also where three of them meet, and add up exactly.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, PARENTS
from phymotion_jax.errors import ModelError

_LARGEST_HOLE_M = 0.3
"""Way around a hole in the skin that may still be closed: eyes, mouth, but no neck."""


@dataclass(frozen=True, eq=False)
class ClosedParts:
    """The 24 parts of a skin as closed meshes on its vertices and on the middles of rims."""

    faces: Int[np.ndarray, "N 3"]
    """Corners, counter-clockwise from outside, part after part. Caps' middles come after the V
    vertices of the skin."""

    sizes: tuple[int, ...]
    """How many of them each part has."""

    rims: Int[np.ndarray, "R K"]
    """Vertices around each rim, filled up with any."""

    share: Float[np.ndarray, "R K"]
    """How much each counts in the rim's middle: all the same, and 0 what fills up."""

    def vertices(self, skin: Float[Array, "*B V 3"]) -> Float[Array, "*B W 3"]:
        """The skin's vertices and the rims' middles, which move with them."""
        middles = jnp.sum(self.share[..., None] * skin[..., self.rims, :], axis=-2)
        return jnp.concatenate([skin, middles], axis=-2)


def closed_parts(
    vertex: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "N 3"],
    face_link: Int[np.ndarray, " N"],
) -> ClosedParts:
    """Cut a skin at its joints.

    Closed pieces inside the largest one (SMPL-X's eyeballs) are left out: the skin goes around them
    and what it encloses counts once. Small holes of the skin are closed.

    Args:
      vertex: the mean body, in metres: it tells what is inside.
      faces: triangles, counter-clockwise from outside.
      face_link: part that each is of.

    Raises:
      ModelError: if it is not the skin of one body.
    """
    skin = _largest_piece(vertex, faces)
    faces, face_link = faces[skin], face_link[skin]
    if missing := [n for k, n in enumerate(BODY_NAMES) if not np.any(face_link == k)]:
        raise ModelError(f"no triangle of the skin is of {', '.join(missing)}")
    caps = _Caps(len(vertex))
    lids = caps.over(_open_edges(faces))
    _require_small(vertex, caps.loops)
    # What lies over a hole is of the part that its edge is of.
    lid_link = face_link[_triangle_of(lids[:, [1, 0]], faces)]
    faces, face_link = np.concatenate([faces, lids]), np.concatenate([face_link, lid_link])
    parts = [[faces[face_link == link]] for link in range(N_BODIES)]
    for link, beyond in list(enumerate(_beyond()))[1:]:
        cap = caps.over(_open_edges(faces[np.isin(face_link, beyond)]))
        parts[link].append(cap)
        parts[PARENTS[link]].append(cap[:, ::-1])
    joined = [np.concatenate(part) for part in parts]
    return ClosedParts(np.concatenate(joined), tuple(map(len, joined)), *caps.rims())


class _Caps:
    """Fans over rims, each loop with a middle of its own."""

    def __init__(self, n_vertices: int):
        self.n_vertices = n_vertices
        self.loops: list[Int[np.ndarray, " K"]] = []

    def over(self, rim: Int[np.ndarray, "E 2"]) -> Int[np.ndarray, "E 3"]:
        """A triangle on each edge of a rim."""
        caps = [np.zeros((0, 3), int)]
        for loop in _simple_loops(rim):
            middle = np.full(len(loop), self.n_vertices + len(self.loops))
            caps.append(np.stack([np.roll(loop, -1), loop, middle], axis=1))
            self.loops.append(loop[loop < self.n_vertices])  # a hole's middle may be on it
        return np.concatenate(caps)

    def rims(self) -> tuple[Int[np.ndarray, "R K"], Float[np.ndarray, "R K"]]:
        """Vertices around each loop, and their shares in its middle."""
        longest = max(map(len, self.loops))
        rims = np.stack([np.resize(loop, longest) for loop in self.loops])
        sizes = np.array([len(loop) for loop in self.loops])[:, None]
        return rims, np.where(np.arange(longest) < sizes, 1.0 / sizes, 0.0).astype(np.float32)


def _beyond() -> list[list[int]]:
    """Links that each joint moves: its own and all further out."""
    beyond = [[link] for link in range(N_BODIES)]
    for link in reversed(range(1, N_BODIES)):
        beyond[PARENTS[link]] += beyond[link]
    return beyond


def _edges(faces: Int[np.ndarray, "N 3"]) -> Int[np.ndarray, "E 2"]:
    """Edges of triangles in the sense in which they are walked, three a triangle in a row."""
    return np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2)


def _open_edges(faces: Int[np.ndarray, "N 3"]) -> Int[np.ndarray, "E 2"]:
    """Edges that no triangle walks the other way."""
    edges = _edges(faces)
    return edges[~np.isin(_key(edges), _key(edges[:, ::-1]))]


def _key(edges: Int[np.ndarray, "E 2"]) -> Int[np.ndarray, " E"]:
    return edges[:, 0].astype(np.int64) << 32 | edges[:, 1]


def _simple_loops(rim: Int[np.ndarray, "E 2"]) -> list[Int[np.ndarray, " K"]]:
    """A rim as loops that pass no vertex twice, where toes or fingers touch: vertices in order."""
    after: dict[int, list[int]] = {}
    for start, end in rim.tolist():
        after.setdefault(start, []).append(end)
    loops = []
    for start in list(after):
        path = [start]
        while after[path[-1]]:
            here = after[path[-1]].pop()
            if here in path:
                first = path.index(here)
                loops.append(np.array(path[first:]))
                path = path[:first]
            path.append(here)
    return loops


def _triangle_of(
    edges: Int[np.ndarray, "E 2"], faces: Int[np.ndarray, "N 3"]
) -> Int[np.ndarray, " E"]:
    """The triangle that walks each edge."""
    keys = _key(_edges(faces))
    order = np.argsort(keys)
    return order[np.searchsorted(keys, _key(edges), sorter=order)] // 3


def _piece_of(faces: Int[np.ndarray, "N 3"]) -> Int[np.ndarray, " N"]:
    """Number of the connected piece that each triangle is of, from 0."""
    named, index = np.unique(faces, return_inverse=True)
    edges = _edges(index.reshape(faces.shape))
    graph = coo_matrix((np.ones(len(edges)), tuple(edges.T)), (len(named), len(named)))
    return connected_components(graph, directed=False)[1][edges[::3, 0]]


def _largest_piece(
    vertex: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "N 3"]
) -> Bool[np.ndarray, " N"]:
    """Triangles of the skin: the piece that encloses most and all other pieces."""
    edges = _edges(faces)
    if len(np.unique(_key(edges))) < len(edges):
        raise ModelError("edges with more than two triangles, or triangles turned inside out")
    piece = _piece_of(faces)
    corners = vertex[faces]
    volume = np.bincount(piece, np.linalg.det(corners - vertex.mean(axis=0)) / 6.0)
    skin = piece == np.argmax(volume)
    others = [corners[piece == k][:, 0] for k in np.unique(piece[~skin])]
    outside = sum(not _mostly_inside(points, corners[skin]) for points in others)
    if outside or volume.max() <= 0.0:
        raise ModelError(
            f"the surface is {len(volume)} pieces, {outside} of them outside the largest, "
            f"which encloses {1e3 * volume.max():.1f} litres; masses need one closed skin"
        )
    return skin


def _mostly_inside(points: Float[np.ndarray, "P 3"], corners: Float[np.ndarray, "N 3 3"]) -> bool:
    """Whether triangles go around most of some points, by the solid angles that they are seen at
    (van Oosterom and Strackee 1983)."""
    inside = []
    for point in points[:: -(-len(points) // 20)]:
        way = corners - point
        a, b, c = np.moveaxis(way, 1, 0)
        la, lb, lc = np.linalg.norm(way, axis=-1).T
        ab, bc, ca = (np.sum(x * y, axis=-1) for x, y in ((a, b), (b, c), (c, a)))
        angle = 2.0 * np.arctan2(np.linalg.det(way), la * lb * lc + ab * lc + bc * la + ca * lb)
        inside.append(angle.sum() > 2.0 * np.pi)
    return bool(np.mean(inside) > 0.5)


def _require_small(vertex: Float[np.ndarray, "V 3"], loops: list[Int[np.ndarray, " K"]]) -> None:
    for loop in loops:
        around = np.pi * np.linalg.norm(np.ptp(vertex[loop], axis=0))
        if around > _LARGEST_HOLE_M:
            raise ModelError(
                f"the skin has a hole about {around:.2f} m around near vertex {loop[0]}; "
                f"up to {_LARGEST_HOLE_M} m can be closed"
            )
