"""Whether two triangles pass through each other, by the signs of volumes alone.

Guigue and Devillers, "Fast and robust triangle-triangle overlap test using orientation predicates",
Journal of Graphics Tools 8(1), 2003, with strict signs and no tolerance: a tolerance in metres
that suits a house is wrong for a triangle of 5 mm.
"""

from functools import reduce

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.kernels.vectors import Vec, select, sub

Triangle = tuple[Vec, Vec, Vec]
"""Three corners, components of any one shape."""

_LOWEST = -3e38
"""Below every product."""


def triangles_intersect(a: Triangle, b: Triangle) -> Bool[Array, "..."]:
    """Whether the insides of two triangles that do not lie in one plane share a point.

    So each has corners strictly on both sides of the other's plane, and along the line in which
    the planes meet they share a piece of some length. Touching does not count: a corner or an edge
    on the other triangle, or a common edge. Triangles in one plane do not count however they
    overlap, nor does one whose corners lie on a line or in a point. NaN counts as apart.

    Each volume is computed from differences to a corner, which float32 has exactly for corners near
    each other, however far the origin. Rounding may decide of triangles that a shift by a millionth
    of their extent would touch (`tests/test_triangles.py`), as of neighbours with a corner in
    common, and of triangles thinner than that. But for them, which triangle is `a`, and at which
    corner each begins and which way round it goes, changes nothing.

    Args:
      a: corners, in any unit and from any origin.
      b: of the other.
    """
    side_a, side_b = _sides(a, b), _sides(b, a)
    (p1, q1, r1), above_a = _lone_first(a, side_a)
    (p2, q2, r2), above_b = _lone_first(b, side_b)
    # The lone corner of each shall be above the other, whose turning round turns its normal.
    q1, r1 = select(above_b, q1, r1), select(above_b, r1, q1)
    q2, r2 = select(above_a, q2, r2), select(above_a, r2, q2)
    starts_before = _dot(_cross(sub(p2, q1), sub(p1, q1)), sub(q2, q1)) < 0.0
    ends_after = _dot(_cross(sub(p2, p1), sub(r1, p1)), sub(r2, p1)) < 0.0
    return _on_both(side_a) & _on_both(side_b) & starts_before & ends_after


def _sides(a: Triangle, b: Triangle) -> Vec:
    """Six times the volume under each corner of `a` above the plane of `b`."""
    normal = _cross(sub(b[1], b[0]), sub(b[2], b[0]))
    x, y, z = (_dot(normal, sub(corner, b[0])) for corner in a)
    return x, y, z


def _on_both(side: Vec) -> Bool[Array, "..."]:
    """Whether there are corners strictly above and strictly below."""
    return (reduce(jnp.minimum, side) < 0.0) & (reduce(jnp.maximum, side) > 0.0)


def _lone_first(corners: Triangle, side: Vec) -> tuple[Triangle, Bool[Array, "..."]]:
    """The corners turned until the first is alone on its side, and whether it is above.

    A corner in the other's plane stands with those below.
    """
    p, q, r = corners
    above = tuple(s > 0.0 for s in side)
    one_above = (above[0] ^ above[1] ^ above[2]) & ~(above[0] & above[1] & above[2])
    second, third = above[1] == one_above, above[2] == one_above
    return (
        select(second, q, select(third, r, p)),
        select(second, r, select(third, p, q)),
        select(second, p, select(third, q, r)),
    ), one_above


def _cross(a: Vec, b: Vec) -> Vec:
    return (
        _rounded(a[1] * b[2]) - _rounded(a[2] * b[1]),
        _rounded(a[2] * b[0]) - _rounded(a[0] * b[2]),
        _rounded(a[0] * b[1]) - _rounded(a[1] * b[0]),
    )


def _dot(a: Vec, b: Vec) -> Float[Array, "..."]:
    return _rounded(a[0] * b[0]) + _rounded(a[1] * b[1]) + _rounded(a[2] * b[2])


def _rounded(product: Float[Array, "..."]) -> Float[Array, "..."]:
    """A product that no sum is fused with, so that every device and backend finds the same signs.

    XLA fuses some products with some sums and rounds them once: of triangles that touch to the
    last bit, one in 500 was decided otherwise. A maximum in between keeps them apart, at no
    measured cost.
    """
    return jnp.maximum(product, _LOWEST)
