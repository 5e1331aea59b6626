"""Triangles through each other: against exact rational arithmetic, and the laws of a crossing."""

from fractions import Fraction
from itertools import product

import igl
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.kernels.triangles import triangles_intersect

K = 400  # pairs a family
GRAZE = 1e-6
"""Of a pair's extent: a shift by this must change the exact answer where float32's is another.
Each product is rounded to 6e-8 of itself, and a volume is a sum of six of three factors."""

intersect = jax.jit(triangles_intersect)


def computed(pairs) -> np.ndarray:
    """By the kernel, of corners ``(K, 2, 3, 3)``: pair, triangle, corner, component."""
    x = jnp.asarray(pairs)
    a, b = (tuple(tuple(x[:, i, c, k] for k in range(3)) for c in range(3)) for i in range(2))
    return np.asarray(intersect(a, b))


def crosses(pair) -> bool:
    """Exactly: whether the pieces in which two triangles cut each other's planes overlap.

    Möller's intervals ("A fast triangle-triangle intersection test", 1997) in rational numbers.
    """
    a, b = ([[Fraction(float(x)) for x in corner] for corner in triangle] for triangle in pair)
    (normal_a, side_b), (normal_b, side_a) = _sides(a, b), _sides(b, a)
    if not all(min(side) < 0 < max(side) for side in (side_a, side_b)):
        return False
    way = _cross(normal_a, normal_b)
    pieces = [_piece(t, side, way) for t, side in ((a, side_a), (b, side_b))]
    return max(low for low, _ in pieces) < min(high for _, high in pieces)


def _sub(a, b):
    return [x - y for x, y in zip(a, b, strict=True)]


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def _cross(a, b):
    return [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]


def _sides(plane, corners):
    """Normal of a triangle, and the heights of another's corners above it, times its length."""
    normal = _cross(_sub(plane[1], plane[0]), _sub(plane[2], plane[0]))
    return normal, [_dot(normal, _sub(corner, plane[0])) for corner in corners]


def _piece(corners, side, way):
    """From where to where a triangle lies in the other's plane, along a line in both."""
    along = [_dot(way, corner) for corner in corners]
    cuts = [x for x, s in zip(along, side, strict=True) if s == 0]
    for i, j in ((0, 1), (1, 2), (2, 0)):
        if side[i] * side[j] < 0:
            cuts.append(along[i] + (along[j] - along[i]) * side[i] / (side[i] - side[j]))
    return min(cuts), max(cuts)


# --- families of pairs, corners (K, 2, 3, 3) ------------------------------------------------------


def anywhere(rng):
    """Of a metre, one in three crossing."""
    return 0.4 * rng.normal(size=(K, 2, 3, 3))


def small(rng):
    """Of 5 mm, a metre from the origin: those of a hand from the pelvis."""
    return 0.01 * anywhere(rng) + rng.normal(size=(K, 1, 1, 3))


def far(rng):
    """Of 5 cm, 100 m away, where float32 steps by 8 µm and differences are exact."""
    return 0.1 * anywhere(rng) + 100.0 * rng.normal(size=(K, 1, 1, 3))


def needles(rng):
    """One edge of the second is a hundredth or less of the others."""
    pairs = anywhere(rng)
    pairs[:, 1, 2] = pairs[:, 1, 1] + 10.0 ** rng.uniform(-4, -2, (K, 1)) * pairs[:, 1, 2]
    return pairs


def grazing(rng):
    """A corner of the second 1e-8 to 1e-3 above or below a place in the first or on its edge."""
    pairs = anywhere(rng)
    share = rng.dirichlet(np.ones(3), size=K)
    share[::3] = np.roll(share[::3], 1, axis=1) * [1.0, 0.0, 1.0]
    share /= share.sum(axis=1, keepdims=True)
    height = 10.0 ** rng.uniform(-8, -3, (K, 1)) * rng.normal(size=(K, 3))
    pairs[:, 1, 0] = np.einsum("kc,kcx->kx", share, pairs[:, 0]) + height
    return pairs


def almost_coplanar(rng):
    """Planes that differ by 1e-6 to 1e-2 rad, a fifth of it in the height of the corners."""
    pairs = anywhere(rng)
    pairs[..., 2] = 10.0 ** rng.uniform(-6, -2, (K, 1, 1)) * rng.normal(size=(K, 2, 3))
    return pairs


ROUNDED = (anywhere, small, far, needles, grazing, almost_coplanar)


def grid(rng):
    """On a few whole numbers: touching in all ways, coplanar, collapsed, and crossing."""
    return rng.integers(-2, 3, (K, 2, 3, 3)).astype(float)


def sharing_a_corner(rng):
    pairs = grid(rng)
    pairs[:, 1, 0] = pairs[:, 0, rng.integers(3)]
    return pairs


def in_one_plane(rng):
    """All corners at 3 x + y - 2 z = 0, many overlapping."""
    x, z = rng.integers(-3, 4, (2, K, 2, 3)).astype(float)
    return np.stack([x, 2.0 * z - 3.0 * x, z], axis=-1)


def collapsed(rng):
    """One triangle is a line or a point, through the other or not."""
    pairs = grid(rng)
    pairs[:, 0, 2] = 2.0 * pairs[:, 0, 1] - pairs[:, 0, 0]
    pairs[::4, 0] = pairs[::4, 0, :1]
    return pairs


EXACT = (grid, sharing_a_corner, in_one_plane, collapsed)
"""Whole numbers so small that float32 has every volume exactly."""


def rounded(pairs):
    return np.asarray(pairs, np.float32)


def check_up_to_grazes(pairs, want) -> None:
    """Where the kernel's answer is another than the exact one, a tiny shift changes the latter."""
    got = computed(pairs)
    wrong = np.flatnonzero(got != want)
    assert len(wrong) < K // 10
    for k in wrong:
        extent = np.ptp(pairs[k], axis=(0, 1)).max()
        shifts = GRAZE * extent * np.array(list(product((-1, 0, 1), repeat=3)))
        first, second = pairs[k].astype(np.float64)
        assert any(crosses((first, second + shift)) == got[k] for shift in shifts)


@pytest.mark.parametrize("family", ROUNDED)
def test_matches_rational_arithmetic(family, rng):
    """However the corners are named, and whichever triangle is the first."""
    pairs = rounded(family(rng))
    want = np.array([crosses(pair) for pair in pairs])
    assert 0.02 < want.mean() < 0.98
    orders = ((0, 1, 2), (1, 2, 0), (0, 2, 1))
    for flip, first, second in product((False, True), orders, orders):
        renamed = np.stack([pairs[:, 0][:, first], pairs[:, 1][:, second]], axis=1)
        check_up_to_grazes(renamed[:, ::-1] if flip else renamed, want)


@pytest.mark.parametrize("family", EXACT)
def test_touching_is_exact(family, rng):
    pairs = rounded(family(rng))
    np.testing.assert_array_equal(computed(pairs), [crosses(pair) for pair in pairs])


@pytest.mark.parametrize("family", [in_one_plane, collapsed])
def test_what_never_crosses(family, rng):
    assert not computed(rounded(family(rng))).any()


def test_known_answers():
    """A wall through a floor, on it, and beside it; and one with an edge in the floor."""
    floor = [[0, 0, 0], [4, 0, 0], [0, 4, 0]]
    walls = {
        "through": ([[1, 1, -1], [1, 1, 1], [2, 1, 1]], True),
        "a corner on it": ([[1, 1, 0], [1, 1, 1], [2, 1, 1]], False),
        "an edge on it": ([[1, 1, 0], [2, 1, 0], [2, 1, 1]], False),
        "above it": ([[1, 1, 0.5], [1, 1, 1], [2, 1, 1]], False),
        "beside it": ([[4, 1, -1], [4, 1, 1], [5, 1, 1]], False),
        "its edge through a corner": ([[0, 0, -1], [0, 0, 1], [-1, -1, 0]], False),
        "through its edge": ([[1, -1, -1], [1, -1, 1], [1, 1, 0]], True),
        "through, a corner in its plane": ([[1, 1, 0], [1, 2, 1], [1, 2, -1]], True),
    }
    pairs = rounded([[floor, wall] for wall, _ in walls.values()])
    np.testing.assert_array_equal(computed(pairs), [answer for _, answer in walls.values()])


def test_scale(rng):
    """Twice the size, the same answers to the last one: a tolerance in metres would show."""
    pairs = rounded(grazing(rng))
    for factor in (2.0**-9, 2.0**9):
        np.testing.assert_array_equal(computed(pairs * np.float32(factor)), computed(pairs))


def test_nan_is_apart(rng):
    pairs = rounded(anywhere(rng))
    pairs[np.arange(K), rng.integers(2, size=K), rng.integers(3, size=K), 0] = np.nan
    assert not computed(pairs).any()


def test_agrees_with_libigl(rng):
    """Guigue and Devillers' own test in float64, on what is far from touching."""
    pairs = rounded(anywhere(rng))
    corners = pairs.astype(np.float64).reshape(K, 6, 1, 3)
    want = [igl.tri_tri_intersection_test_3d(*pair)[0] for pair in corners]
    np.testing.assert_array_equal(computed(pairs), want)
