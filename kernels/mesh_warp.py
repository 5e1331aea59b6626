"""Kernels of NVIDIA Warp for `mesh_overlap_warp`.

Axes as in `MeshCollider`; ``F`` frames, clip after clip, ``L`` parts, ``P`` pairs of parts.
Vertices are read by neighbouring threads for neighbouring frames, as they lie in memory. Boxes lie
frame by frame, since what reads them looks about in one frame.
"""

from typing import no_type_check  # keeps jaxtyping's import hook off what Warp compiles

import warp as wp

from phymotion_jax.kernels.collider import CLUSTER
from phymotion_jax.kernels.triangles_warp import triangles_intersect

# Products and sums are rounded one by one, as `triangles` rounds them: fused, a volume that is next
# to zero may have the other sign.
wp.set_module_options({"enable_backward": False, "fast_math": False, "fuse_fp": False})

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


@wp.kernel
@no_type_check
def facing_triangles(
    x: wp.array2d[float],  # V F
    y: wp.array2d[float],
    z: wp.array2d[float],
    triangle: wp.array[wp.vec3i],  # N
    size: wp.array[int],  # C
    low: wp.array2d[wp.vec3],  # F C
    high: wp.array2d[wp.vec3],
    near: wp.array[wp.vec2i],
    count: wp.array[int],  # 1
    close: wp.array[wp.vec3i],
    groups: int,
    facing: wp.array2d[wp.uint32],  # 2 words for each of `close`, in and out
):
    """Marks the triangles of each of two close clusters that meet the box of the other.

    Groups of a thread a triangle of each of the two take the pairs of clusters in turns.
    """
    group, side, lane = wp.tid()
    for i in range(group, wp.min(count[0], close.shape[0]), groups):
        f, a, b = near[close[i][0]][0], close[i][1], close[i][2]
        own, other = wp.where(side == 0, a, b), wp.where(side == 0, b, a)
        if lane < size[own]:
            v0, v1, v2 = corners(x, y, z, triangle[own * LANES + lane], f)
            least, most = wp.min(wp.min(v0, v1), v2), wp.max(wp.max(v0, v1), v2)
            if boxes_meet(least, most, low[f, other], high[f, other]):
                wp.atomic_or(facing, i, side, wp.uint32(1) << wp.uint32(lane))


@wp.kernel
@no_type_check
def crossings(
    x: wp.array2d[float],  # V F
    y: wp.array2d[float],
    z: wp.array2d[float],
    triangle: wp.array[wp.vec3i],  # N
    size: wp.array[int],  # C
    low: wp.array2d[wp.vec3],  # F C
    high: wp.array2d[wp.vec3],
    start: wp.array[int],  # L + 1
    pair: wp.array[wp.vec2i],  # P
    near_count: wp.array[int],  # 1
    near: wp.array[wp.vec2i],
    count: wp.array[int],  # 1
    unlisted: wp.array[int],  # F P
    close: wp.array[wp.vec3i],
    facing: wp.array2d[wp.uint32],
    most: int,
    groups: int,
    hits: wp.array2d[int],  # P F, in and out
    marks: wp.array2d[wp.uint32],  # C F, in and out: bit i of a word is triangle i of its cluster
):
    """Counts the pairs of triangles that cross, and marks the triangles.

    Groups of threads take the pairs of clusters in turns. Near parts of which some did not fit into
    the list are left out of it, and all their clusters gone over afterwards; `most` is the number
    of clusters of the largest first part.
    """
    group, lane = wp.tid()
    for i in range(group, wp.min(count[0], close.shape[0]), groups):
        k, a, b = close[i][0], close[i][1], close[i][2]
        if unlisted[k] == 0:
            f, p = near[k][0], near[k][1]
            n = crossed(x, y, z, triangle, a, b, facing[i, 0], facing[i, 1], f, lane, marks)
            if n > 0:
                wp.atomic_add(hits, p, f, n)
    if count[0] <= close.shape[0]:
        return
    for i in range(group, near_count[0] * most, groups):
        k = i // most
        f, p = near[k][0], near[k][1]
        a = start[pair[p][0]] + i % most
        if unlisted[k] == 1 and a < start[pair[p][0] + 1]:
            n = wp.int32(0)
            for b in range(start[pair[p][1]], start[pair[p][1] + 1]):
                if boxes_meet(low[f, a], high[f, a], low[f, b], high[f, b]):
                    all_a, all_b = first_bits(size[a]), first_bits(size[b])
                    n += crossed(x, y, z, triangle, a, b, all_a, all_b, f, lane, marks)
            if n > 0:
                wp.atomic_add(hits, p, f, n)


@wp.func
@no_type_check
def crossed(
    x: wp.array2d[float],
    y: wp.array2d[float],
    z: wp.array2d[float],
    triangle: wp.array[wp.vec3i],
    a: int,
    b: int,
    facing_a: wp.uint32,
    facing_b: wp.uint32,
    f: int,
    lane: int,
    marks: wp.array2d[wp.uint32],
) -> int:
    """How many triangles of two clusters cross, of those with a bit each: one thread's share."""
    n = wp.int32(0)
    n_b = wp.bit_count(facing_b)
    for q in range(lane, wp.bit_count(facing_a) * n_b, LANES):
        i, j = nth_bit(facing_a, q // n_b), nth_bit(facing_b, q % n_b)
        t_a, t_b = triangle[a * LANES + i], triangle[b * LANES + j]
        a0, a1, a2 = corners(x, y, z, t_a, f)
        b0, b1, b2 = corners(x, y, z, t_b, f)
        low_a, high_a = wp.min(wp.min(a0, a1), a2), wp.max(wp.max(a0, a1), a2)
        low_b, high_b = wp.min(wp.min(b0, b1), b2), wp.max(wp.max(b0, b1), b2)
        if boxes_meet(low_a, high_a, low_b, high_b) and not neighbours(t_a, t_b):
            if triangles_intersect(a0, a1, a2, b0, b1, b2):
                wp.atomic_or(marks, a, f, wp.uint32(1) << wp.uint32(i))
                wp.atomic_or(marks, b, f, wp.uint32(1) << wp.uint32(j))
                n += 1
    return n


@wp.func
@no_type_check
def neighbours(a: wp.vec3i, b: wp.vec3i) -> bool:
    """Whether two triangles have a vertex in common."""
    for i in range(3):
        for j in range(3):
            if a[i] == b[j]:
                return True
    return False


@wp.func
@no_type_check
def first_bits(n: int) -> wp.uint32:
    """The first n of 32 bits, at least one."""
    return ~wp.uint32(0) >> wp.uint32(32 - n)


@wp.func
@no_type_check
def nth_bit(word: wp.uint32, n: int) -> int:
    """Place of the n-th set bit, counted from 0: halves are skipped by what they count."""
    place = wp.int32(0)
    width = wp.int32(16)
    while width > 0:
        low = (word >> wp.uint32(place)) & first_bits(width)
        below = wp.bit_count(low)
        if n >= below:
            n -= below
            place += width
        width //= 2
    return place


@wp.func
@no_type_check
def corners(x: wp.array2d[float], y: wp.array2d[float], z: wp.array2d[float], t: wp.vec3i, f: int):
    """Of a triangle of a frame."""
    return vertex_at(x, y, z, t[0], f), vertex_at(x, y, z, t[1], f), vertex_at(x, y, z, t[2], f)


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
