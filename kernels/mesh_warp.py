"""Kernels of NVIDIA Warp that find which triangles of near clusters cross.

Axes as in `MeshCollider`; ``F`` frames, clip after clip, ``L`` parts, ``P`` pairs of parts.
"""

from typing import no_type_check  # keeps jaxtyping's import hook off what Warp compiles

import warp as wp

from phymotion_jax.kernels.clusters_warp import LANES, boxes_meet, vertex_at
from phymotion_jax.kernels.triangles_warp import triangles_intersect

# Products and sums are rounded one by one, as `triangles` rounds them: fused, a volume that is next
# to zero may have the other sign.
wp.set_module_options({"enable_backward": False, "fast_math": False, "fuse_fp": False})


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
