"""Kernels of NVIDIA Warp that find where the clusters of a posed surface are, and which are near.

Axes as in `MeshCollider`; ``F`` frames, clip after clip, ``L`` parts, ``P`` pairs of parts.
Vertices are read by neighbouring threads for neighbouring frames, as they lie in memory. Boxes lie
frame by frame, since what reads them looks about in one frame.
"""

from typing import no_type_check  # keeps jaxtyping's import hook off what Warp compiles

import warp as wp

from phymotion_jax.kernels.collider import CLUSTER

wp.set_module_options({"enable_backward": False})

LANES = wp.constant(CLUSTER)
"""Threads that share a cluster, or a pair of them: a warp."""


@wp.kernel
@no_type_check
def cluster_boxes(
    x: wp.array2d[float],  # V F
    y: wp.array2d[float],
    z: wp.array2d[float],
    vertex: wp.array2d[int],  # C M
    low: wp.array2d[wp.vec3],  # F C, out
    high: wp.array2d[wp.vec3],
):
    """Box around each cluster of a frame. One thread a cluster and frame."""
    c, f = wp.tid()
    least = vertex_at(x, y, z, vertex[c, 0], f)
    most = least
    for m in range(1, vertex.shape[1]):
        v = vertex_at(x, y, z, vertex[c, m], f)
        least = wp.min(least, v)
        most = wp.max(most, v)
    low[f, c] = least
    high[f, c] = most


@wp.kernel
@no_type_check
def part_boxes(
    low: wp.array2d[wp.vec3],  # F C
    high: wp.array2d[wp.vec3],
    start: wp.array[int],  # L + 1
    part_low: wp.array2d[wp.vec3],  # F L, out
    part_high: wp.array2d[wp.vec3],
):
    """Box around each part of a frame; inside out where a part has nothing. A thread each."""
    f, k = wp.tid()
    least = wp.vec3(wp.inf, wp.inf, wp.inf)
    most = -least
    for c in range(start[k], start[k + 1]):
        least = wp.min(least, low[f, c])
        most = wp.max(most, high[f, c])
    part_low[f, k] = least
    part_high[f, k] = most


@wp.kernel
@no_type_check
def near_parts(
    part_low: wp.array2d[wp.vec3],  # F L
    part_high: wp.array2d[wp.vec3],
    pair: wp.array[wp.vec2i],  # P
    count: wp.array[int],  # 1, in and out
    near: wp.array[wp.vec2i],  # F P, out
):
    """Lists frame and pair of parts whose boxes meet. One thread a frame and pair."""
    f, p = wp.tid()
    a, b = pair[p][0], pair[p][1]
    if boxes_meet(part_low[f, a], part_high[f, a], part_low[f, b], part_high[f, b]):
        near[wp.atomic_add(count, 0, 1)] = wp.vec2i(f, p)


@wp.kernel
@no_type_check
def near_clusters(
    low: wp.array2d[wp.vec3],  # F C
    high: wp.array2d[wp.vec3],
    part_low: wp.array2d[wp.vec3],  # F L
    part_high: wp.array2d[wp.vec3],
    start: wp.array[int],  # L + 1
    pair: wp.array[wp.vec2i],  # P
    near_count: wp.array[int],  # 1
    near: wp.array[wp.vec2i],
    groups: int,
    rows: int,
    count: wp.array[int],  # 1, in and out
    unlisted: wp.array[int],  # F P, in and out
    close: wp.array[wp.vec3i],  # place in `near`, cluster, cluster, out
    facing: wp.array2d[wp.uint32],  # 2 words for each, 0, out
):
    """Lists clusters of near parts whose boxes meet; says of which parts some did not fit.

    Groups of threads take the near parts in turns. The rows of a group share the first part's
    clusters, the threads of a row the other's.
    """
    group, row, lane = wp.tid()
    for k in range(group, near_count[0], groups):
        f, a, b = near[k][0], pair[near[k][1]][0], pair[near[k][1]][1]
        for ca in range(start[a] + row, start[a + 1], rows):
            if boxes_meet(low[f, ca], high[f, ca], part_low[f, b], part_high[f, b]):
                for cb in range(start[b] + lane, start[b + 1], LANES):
                    if boxes_meet(low[f, ca], high[f, ca], low[f, cb], high[f, cb]):
                        place = wp.atomic_add(count, 0, 1)
                        if place < close.shape[0]:
                            close[place] = wp.vec3i(k, ca, cb)
                            facing[place, 0] = wp.uint32(0)
                            facing[place, 1] = wp.uint32(0)
                        else:
                            unlisted[k] = 1


@wp.func
@no_type_check
def vertex_at(
    x: wp.array2d[float], y: wp.array2d[float], z: wp.array2d[float], v: int, f: int
) -> wp.vec3:
    """A vertex of a frame."""
    return wp.vec3(x[v, f], y[v, f], z[v, f])


@wp.func
@no_type_check
def boxes_meet(low_a: wp.vec3, high_a: wp.vec3, low_b: wp.vec3, high_b: wp.vec3) -> bool:
    """Whether no axis separates the boxes."""
    return (
        low_a[0] <= high_b[0]
        and low_b[0] <= high_a[0]
        and low_a[1] <= high_b[1]
        and low_b[1] <= high_a[1]
        and low_a[2] <= high_b[2]
        and low_b[2] <= high_a[2]
    )
