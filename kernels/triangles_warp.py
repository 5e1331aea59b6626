"""`triangles` as functions of Warp kernels: the same signs, in the same order of operations.

Products written out one by one, since a library's own would sum them in an order of its own.
"""

from typing import no_type_check  # keeps jaxtyping's import hook off what Warp compiles

import warp as wp


@wp.func
@no_type_check
def triangles_intersect(
    a0: wp.vec3, a1: wp.vec3, a2: wp.vec3, b0: wp.vec3, b1: wp.vec3, b2: wp.vec3
) -> bool:
    """Whether the insides of two triangles that do not lie in one plane share a point."""
    side_a = sides(a0, a1, a2, b0, b1, b2)
    if not on_both(side_a):
        return False
    side_b = sides(b0, b1, b2, a0, a1, a2)
    if not on_both(side_b):
        return False
    above_a, above_b = one_above(side_a), one_above(side_b)
    turn_a, turn_b = lone_corner(side_a, above_a), lone_corner(side_b, above_b)
    p1, q1, r1 = turned(a0, a1, a2, turn_a)
    p2, q2, r2 = turned(b0, b1, b2, turn_b)
    # The lone corner of each shall be above the other, whose turning round turns its normal.
    if not above_b:
        q1, r1 = r1, q1
    if not above_a:
        q2, r2 = r2, q2
    starts_before = dot(cross(p2 - q1, p1 - q1), q2 - q1) < 0.0
    ends_after = dot(cross(p2 - p1, r1 - p1), r2 - p1) < 0.0
    return starts_before and ends_after


@wp.func
@no_type_check
def sides(a0: wp.vec3, a1: wp.vec3, a2: wp.vec3, b0: wp.vec3, b1: wp.vec3, b2: wp.vec3) -> wp.vec3:
    """Six times the volume under each corner of `a` above the plane of `b`."""
    normal = cross(b1 - b0, b2 - b0)
    return wp.vec3(dot(normal, a0 - b0), dot(normal, a1 - b0), dot(normal, a2 - b0))


@wp.func
@no_type_check
def on_both(side: wp.vec3) -> bool:
    """Whether there are corners strictly above and strictly below."""
    above = side[0] > 0.0 or side[1] > 0.0 or side[2] > 0.0
    below = side[0] < 0.0 or side[1] < 0.0 or side[2] < 0.0
    return above and below


@wp.func
@no_type_check
def one_above(side: wp.vec3) -> bool:
    """Whether one corner alone is above, else the lone one is not above."""
    return int(side[0] > 0.0) + int(side[1] > 0.0) + int(side[2] > 0.0) == 1


@wp.func
@no_type_check
def lone_corner(side: wp.vec3, above: bool) -> int:
    """Which corner is alone on its side."""
    if (side[1] > 0.0) == above:
        return 1
    if (side[2] > 0.0) == above:
        return 2
    return 0


@wp.func
@no_type_check
def turned(p: wp.vec3, q: wp.vec3, r: wp.vec3, first: int):
    """The corners, turned until `first` comes first."""
    if first == 1:
        return q, r, p
    if first == 2:
        return r, p, q
    return p, q, r


@wp.func
@no_type_check
def cross(a: wp.vec3, b: wp.vec3) -> wp.vec3:
    """Vector product."""
    return wp.vec3(
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


@wp.func
@no_type_check
def dot(a: wp.vec3, b: wp.vec3) -> float:
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
