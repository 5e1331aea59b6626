"""`mesh_overlap` by kernels of NVIDIA Warp, in place of XLA's: for GPUs.

Lists tell the threads of a GPU where there is something to do. The list of near parts has room for
all that there can be; that of near clusters has room for what bodies need, and what does not fit is
found again by the kernel that reads it: nothing is lost.
"""

from functools import cache, partial
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array

from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.mesh_overlap import MeshOverlap
from phymotion_jax.kernels.vectors import Vec

ROOM = 1024
"""Pairs of near clusters listed a frame, on average over the frames given: 20 bytes each. Real
clips on bodies drawn at random had 260 on average, the worst clip 1,000."""

_GROUPS, _GROUPS_PER_FRAME = 8192, 8
"""Groups of threads that take the entries of a list in turns, at most: twice what an H100
runs at once of the largest kernel."""

_BLOCK = 128
"""Threads a block: smaller ones leave fewer registers unused."""

_ROWS = 4
"""Rows of threads that share the clusters of two near parts: up to 148 times 114 of the default
body."""


def mesh_overlap_warp(vertices: Vec, collider: MeshCollider, *, room: int = ROOM) -> MeshOverlap:
    """The same counts as `mesh_overlap`, by Warp's kernels. In a frame of NaN nothing crosses.

    Under `vmap` it runs for one element after another: give the clips as a batch instead. There is
    no gradient, as there is none of counts. On a CPU it runs on one core, for tests.

    Args:
      vertices: of the posed surface, float32, ``(V, B, T)``, from the pelvis or another place
        nearby.
      collider: its triangles and pairs of parts.
      room: pairs of near clusters listed a frame. It changes speed and memory, no count.

    Raises:
      ImportError: where warp-lang is not installed.
      ValueError: for more frames than 32-bit numbers can count the near clusters of: 80,000 of the
        default body.
    """
    # A loop over all of it, under `vmap`, in place of one over each kernel.
    overlap = jax.custom_batching.sequential_vmap(partial(_overlap, room=room))
    return overlap(jax.lax.stop_gradient(vertices), collider)


def _overlap(vertices: Vec, collider: MeshCollider, *, room: int) -> MeshOverlap:
    shape = vertices[0].shape[1:]
    if not collider.pairs:
        return MeshOverlap(jnp.zeros((0, *shape), jnp.int32), jnp.zeros(shape, jnp.int32))
    x, y, z = (rearrange(c, "v b t -> v (b t)") for c in vertices)
    hits, marks = _search((x, y, z), collider, room)
    # Where a loop stacks what a kernel returns, XLA on a GPU (jax 0.11) has the kernel write into
    # the stack itself, and what it has added to an argument in place is lost: zeros came out.
    hits = jnp.maximum(hits, 0)
    triangles = jnp.sum(jax.lax.population_count(marks), axis=0, dtype=jnp.int32)
    return MeshOverlap(hits.reshape(-1, *shape), triangles.reshape(shape))


def _search(vertices: Vec, collider: MeshCollider, room: int) -> tuple[Array, Array]:
    """Crossing pairs of triangles ``(P, F)``, and a bit for each crossing triangle ``(C, F)``."""
    kernel = _kernels()
    frames, clusters, pairs = vertices[0].shape[1], collider.size.shape[0], len(collider.pairs)
    parts, most = len(collider.start) - 1, _most_clusters(collider)
    if frames * max(pairs * most, room) >= 2**31:
        raise ValueError(f"{frames} frames at once are too many; `map_posed` gives them in chunks")
    layout = jnp.array(collider.start, jnp.int32), jnp.array(collider.pairs, jnp.int32)
    none = jnp.zeros(1, jnp.int32)
    groups = min(_GROUPS, _GROUPS_PER_FRAME * frames)

    boxes = kernel["cluster_boxes"](
        *vertices,
        collider.vertex,
        launch_dims=(clusters, frames),
        output_dims=(frames, clusters),
    )
    part_boxes = kernel["part_boxes"](*boxes, layout[0], launch_dims=(frames, parts))
    near = kernel["near_parts"](
        *part_boxes, layout[1], none, launch_dims=(frames, pairs), output_dims=frames * pairs
    )
    count, unlisted, close, facing = kernel["near_clusters"](
        *boxes,
        *part_boxes,
        *layout,
        *near,
        groups,
        _ROWS,
        none,
        jnp.zeros(frames * pairs, jnp.int32),
        launch_dims=(groups, _ROWS, CLUSTER),
        output_dims={"close": room * frames, "facing": (room * frames, 2)},
    )
    triangles = (*vertices, collider.triangle, collider.size, *boxes)
    (facing,) = kernel["facing_triangles"](
        *triangles, near[1], count, close, groups, facing, launch_dims=(groups, 2, CLUSTER)
    )
    hits, marks = kernel["crossings"](
        *triangles,
        *layout,
        *near,
        count,
        unlisted,
        close,
        facing,
        most,
        groups,
        jnp.zeros((pairs, frames), jnp.int32),
        jnp.zeros((clusters, frames), jnp.uint32),
        launch_dims=(groups, CLUSTER),
    )
    return hits, marks


def _most_clusters(collider: MeshCollider) -> int:
    """Of the parts that come first in their pairs."""
    return max(collider.start[a + 1] - collider.start[a] for a, _ in collider.pairs)


@cache
def _kernels() -> dict[str, Any]:
    """The kernels as functions of JAX. Warp is imported when they are first wanted."""
    try:
        wp: Any = import_module("warp")
    except ImportError as error:
        raise ImportError(
            "mesh_overlap_warp needs NVIDIA Warp: pip install 'phymotion-jax[warp]'"
        ) from error
    if wp.config.log_level == wp.LOG_INFO:
        wp.config.log_level = wp.LOG_WARNING  # its greetings would go to stdout, where results go
    function = partial(
        wp.jax_kernel,
        vmap_method="sequential",
        block_dim=_BLOCK,
        module_preload_mode=wp.JaxModulePreloadMode.NONE,
    )
    in_out_and_outputs = {
        "clusters_warp.cluster_boxes": ((), 2),
        "clusters_warp.part_boxes": ((), 2),
        "clusters_warp.near_parts": (("count",), 2),
        "clusters_warp.near_clusters": (("count", "unlisted"), 4),
        "mesh_warp.facing_triangles": (("facing",), 1),
        "mesh_warp.crossings": (("hits", "marks"), 2),
    }
    kernels = {}
    for path, (names, count) in in_out_and_outputs.items():
        module, name = path.split(".")
        kernel = getattr(import_module(f"phymotion_jax.kernels.{module}"), name)
        # On all devices before any runs: XLA may record launches in a CUDA graph, in which nothing
        # may be loaded, and `shard_map` runs on devices other than the current one.
        for device in jax.local_devices():
            wp.load_module(kernel.module, device=wp.device_from_jax(device), block_dim=_BLOCK)
        kernels[name] = function(kernel, in_out_argnames=names, num_outputs=count)
    return kernels
