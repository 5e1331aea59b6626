"""Which vertices of a body's parts stand for their convex hulls."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import ConvexHull

from phymotion_jax.body.template_build import LinkPoints

HULL_VERTICES = 60
"""Vertices of a link's hull at most. Of the default body's parts, with up to 1,500 corners, no
direction then loses more than 7 mm."""

_DIRECTIONS = 2000


def part_hulls(
    joints: tuple[Float[np.ndarray, "24 3"], Float[np.ndarray, "24 3 10"]],
    vertices: tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3 10"]],
    faces: Int[np.ndarray, "N 3"],
    face_link: Int[np.ndarray, " N"],
) -> LinkPoints:
    """Vertices of the convex hulls of a surface's parts, part after part.

    Args:
      joints: of the mean body, in metres, and their change a unit of each beta.
      vertices: the same of the surface.
      faces: triangles.
      face_link: part that each is of.
    """
    index, link = [], []
    for part in np.unique(face_link):
        corners = np.unique(faces[face_link == part])
        corners = corners[ConvexHull(vertices[0][corners]).vertices]
        index.append(corners[outermost(vertices[0][corners], HULL_VERTICES)])
        link.append(np.full(len(index[-1]), part))
    chosen, owner = np.concatenate(index), np.concatenate(link)
    mean, dirs = (v[chosen] - j[owner] for v, j in zip(vertices, joints, strict=True))
    return LinkPoints(owner, mean, dirs)


def outermost(points: Float[np.ndarray, "P 3"], count: int) -> Int[np.ndarray, " K"]:
    """Indices of the points whose hull comes nearest to that of all, `count` at most.

    The outermost along the axes first, then whichever is outermost where the hull so far falls
    short of most.
    """
    along = points @ _sphere(_DIRECTIONS).T
    reach = along.max(axis=0)
    chosen = list(dict.fromkeys([*points.argmax(axis=0), *points.argmin(axis=0)]))
    short = reach - along[chosen].max(axis=0)
    while len(chosen) < min(count, len(points)) and short.max() > 0.0:
        chosen.append(int(along[:, short.argmax()].argmax()))
        short = np.minimum(short, reach - along[chosen[-1]])
    return np.array(chosen)


def _sphere(count: int) -> Float[np.ndarray, "D 3"]:
    """Unit vectors spread evenly, on a spiral (Saff and Kuijlaars 1997)."""
    z = 1.0 - 2.0 * (np.arange(count) + 0.5) / count
    turn = np.pi * (1.0 + 5.0**0.5) * np.arange(count)
    across = np.sqrt(1.0 - z**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), z], axis=-1)


def hull_overlaps(points: LinkPoints, origin: Float[np.ndarray, "L 3"]) -> Float[np.ndarray, "L L"]:
    """By how much the hulls of links overlap with all links in one frame; negative where apart.

    The least width over many directions: a little too large, by 1 mm for parts of a body.

    Args:
      points: vertices of the hulls.
      origin: of the links, in metres.
    """
    ways = _sphere(_DIRECTIONS)
    reach = np.full((2, len(origin), len(ways)), -np.inf)
    for link in np.unique(points.link):
        along = (points.mean[points.link == link] + origin[link]) @ ways.T
        reach[:, link] = along.max(axis=0), (-along).max(axis=0)
    return np.min(reach[0][:, None] + reach[1][None], axis=-1)
