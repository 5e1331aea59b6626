"""Linear blend skinning: the vertices of a body's surface, from the rotations of its links.

Everything is relative to the root's origin, so that float32 loses nothing far from the world's.
"""

from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float, Int

from phymotion_jax.kernels.chain import link_positions, local_rotations
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import Parents
from phymotion_jax.kernels.vectors import Mat, Vec, add, mat_vec, sub


class Band(NamedTuple):
    """Neighbouring vertices that equally many links move: one rigidly, or several that blend."""

    link: Int[Array, "k n"]
    """Links that move each vertex."""

    weight: Float[Array, "k n"]
    """Share of each of them. A vertex's shares add up to one."""


def skin(parents: Parents, rot: Mat, joint: Vec, rest: Vec, bands: tuple[Band, ...]) -> Vec:
    """Vertices of a posed surface ``(V, B, T)``, in world axes from the root's origin, in metres.

    Twelve numbers a link and frame are read, and three a vertex and frame written. Most vertices
    of a body hang on one link or two: in bands, each costs as many look-ups as it has links.

    Args:
      parents: the tree, parents before their children.
      rot: rotation of every link to the world, ``(L, B, T)``.
      joint: origins of the links at rest, from the root's, ``(L, B or 1, 1)``.
      rest: vertices at rest, from the root's origin too, ``(V, B or 1, T or 1)``.
      bands: which links move the vertices, in the vertices' order.
    """
    shift = sub(link_positions(parents, rot, joint), mat_vec(rot, joint))
    moves = stored((*rot, *shift))
    parts, start = [], 0
    for band in bands:
        stop = start + band.link.shape[1]
        blend = tuple(_blended(c, band) for c in moves)
        x, y, z = (c[start:stop] for c in rest)
        parts.append(add(mat_vec(blend[:9], (x, y, z)), blend[9:]))  # pyright: ignore
        start = stop
    # Whatever looks at a vertex would otherwise skin it again, at each look.
    joined = tuple(jnp.concatenate(c, axis=0) for c in zip(*parts, strict=True))
    return stored(joined)  # pyright: ignore[reportReturnType]


def pose_correctives(
    parents: Parents, rot: Mat, dirs: Float[Array, "3 V P"]
) -> Float[Array, "3 V B T"]:
    """How the pose moves vertices at rest, before skinning: SMPL's pose blend shapes.

    Linear in the elements of the links' local rotations, row by row, less the identity's (Loper et
    al., SMPL, 2015, equation 9). The product is rounded to float32, never to TF32.

    Args:
      parents: the tree, parents before their children.
      rot: rotation of every link to the world, ``(L, B, T)``.
      dirs: metres for each of the P = 9 n elements of the first n links after the root.
    """
    n = dirs.shape[-1] // 9
    local = local_rotations(parents, rot)
    turned = (c[:n] - (1.0 if k in (0, 4, 8) else 0.0) for k, c in enumerate(local))
    features = rearrange(jnp.stack(list(turned)), "k l b t -> (l k) b t")
    return jnp.einsum("cvp,pbt->cvbt", dirs, features, precision=jax.lax.Precision.HIGHEST)


def _blended(component: Array, band: Band) -> Array:
    """One element of the links' transforms, blended for each vertex of a band.

    Term by term: the terms of a sum over an axis would be stored first.
    """
    # The links are known to exist: no test of bounds is compiled.
    terms = (
        jnp.take(component, link, axis=0, mode="clip") * weight[:, None, None]
        for link, weight in zip(band.link, band.weight, strict=True)
    )
    return reduce(jnp.add, terms)
