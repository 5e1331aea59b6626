"""From a body's arrays as files have them to a `SurfaceModel`."""

from hashlib import blake2b

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange
from jaxtyping import Array, Float, Int

from phymotion_jax.body.surface import SurfaceModel, Topology
from phymotion_jax.body.surface_arrays import SurfaceArrays
from phymotion_jax.kernels.skinning import Band

_NO_WEIGHT = 1e-7
"""Shares below float32's resolution move a vertex by less than 1e-6 m, and cost a look-up each."""


def build_surface(name: str, arrays: SurfaceArrays) -> SurfaceModel:
    """Sort the vertices by how many links move them, and put the origin on the pelvis joint.

    All weights that count are kept, however many a vertex has.
    """
    count = np.sum(arrays.weights > _NO_WEIGHT, axis=1)
    heaviest = np.argmax(arrays.weights, axis=1)
    order = np.lexsort((heaviest, count))
    root, root_dirs = arrays.joint_mean[0], arrays.joint_dirs[0]

    with jax.ensure_compile_time_eval():  # models are kept: no tracer may get into one
        return SurfaceModel(
            template=_turned((arrays.vertex_mean - root)[order], "v c -> c v"),
            shape_dirs=_turned((arrays.vertex_dirs - root_dirs)[order], "v c k -> k c v"),
            pose_dirs=_turned(arrays.pose_dirs[order], "v c p -> c v p"),
            joint_mean=_turned(arrays.joint_mean - root, "l c -> c l"),
            joint_dirs=_turned(arrays.joint_dirs - root_dirs, "l c k -> k c l"),
            bands=_bands(arrays.weights[order], count[order]),
            topology=_topology(name, arrays, order),
        )


def _turned(array: np.ndarray, pattern: str) -> Array:
    return jnp.asarray(rearrange(array, pattern), jnp.float32)


def _bands(weights: Float[np.ndarray, "V 24"], count: Int[np.ndarray, " V"]) -> tuple[Band, ...]:
    bands = []
    for k in np.unique(count):
        mine = weights[count == k]
        link = np.argsort(-mine, axis=1, kind="stable")[:, :k]
        weight = np.take_along_axis(mine, link, axis=1)
        bands.append(Band(jnp.asarray(link.T, jnp.int32), jnp.asarray(weight.T, jnp.float32)))
    return tuple(bands)


def _topology(name: str, arrays: SurfaceArrays, order: Int[np.ndarray, " V"]) -> Topology:
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    fields = (
        rank[arrays.faces],
        arrays.face_link,
        np.argmax(arrays.weights[order], axis=1),
        order,
    )
    fixed = [np.ascontiguousarray(f, np.int32) for f in fields]
    digest = blake2b(b"".join(f.tobytes() for f in fixed), digest_size=16).hexdigest()
    return Topology(name, digest, *fixed)
