"""Moments of closed meshes: against exact arithmetic, scipy's hulls, and the laws."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.volume import solid_moments

RTOL = 1e-5  # float32 sums of up to 200 triangles, whose terms cancel tenfold
SIZES = (0, 56, 116)  # triangles: nothing, and hulls of 30 and of 60 points on a sphere
BODIES, POINTS = 3, 90

moments = jax.jit(solid_moments, static_argnums=2)


def hull_faces(points):
    """Triangles of scipy's hull, counter-clockwise from outside."""
    hull = ConvexHull(points)
    corners = points[hull.simplices]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inside_out = np.sum(normal * hull.equations[:, :3], axis=1) < 0.0
    return np.where(inside_out[:, None], hull.simplices[:, ::-1], hull.simplices)


@pytest.fixture
def solids(rng):
    """Bodies ``(B, V, 3)`` of two convex solids each, their triangles, and points near them."""
    ball = rng.normal(size=(POINTS, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    faces = np.concatenate([hull_faces(ball[:30]), 30 + hull_faces(ball[30:])])
    assert len(faces) == sum(SIZES)
    shape = np.eye(3) + 0.3 * rng.normal(size=(BODIES, 3, 3))
    shape *= np.sign(np.linalg.det(shape))[:, None, None]
    place = np.repeat(rng.normal(size=(BODIES, 2, 3)), [30, 60], axis=1)
    vertex = 0.2 * np.einsum("bij,vj->bvi", shape, ball) + place
    about = np.concatenate([np.zeros((BODIES, 1, 3)), place[:, [0, 30]]], axis=1)
    about += 0.1 * rng.normal(size=about.shape)
    return vertex.astype(np.float32), faces, about.astype(np.float32)


def exact(vertex, faces, about):
    """Volume, first and second moments of one mesh in rational arithmetic, without rounding.

    By Green's theorem on each face (Eberly, Polyhedral mass properties, 2002), not by tetrahedra.
    """
    whole = [[Fraction(float(x)) - Fraction(float(o)) for x, o in zip(v, about, strict=True)]
             for v in vertex]  # fmt: skip
    volume, first, second = Fraction(0), [Fraction(0)] * 3, [[Fraction(0)] * 3 for _ in range(3)]
    for face in faces:
        a, b, c = (whole[k] for k in face)
        e, f = ([q[k] - a[k] for k in range(3)] for q in (b, c))
        normal = [
            e[(k + 1) % 3] * f[(k + 2) % 3] - e[(k + 2) % 3] * f[(k + 1) % 3] for k in range(3)
        ]
        # Integrals over the face of x, x², x³ and x²y, by each coordinate's own divergence.
        for k in range(3):
            x0, x1, x2 = a[k], b[k], c[k]
            s1 = x0 + x1 + x2
            s2 = x0 * x0 + x1 * (x0 + x1) + x2 * s1
            s3 = x0**3 + x1 * (x0 * x0 + x1 * (x0 + x1)) + x2 * s2
            if k == 0:
                volume += normal[0] * s1 / 6
            first[k] += normal[k] * s2 / 24
            second[k][k] += normal[k] * s3 / 60
            m = (k + 1) % 3
            g = [s2 + x * (s1 + x) for x in (x0, x1, x2)]
            mixed = normal[k] * sum(y * w for y, w in zip((a[m], b[m], c[m]), g, strict=True)) / 120
            second[k][m] += mixed
            second[m][k] += mixed
    return [np.array(x, dtype=float) for x in (volume, first, second)]


def test_exact_arithmetic(solids):
    vertex, faces, about = solids
    got = moments(vertex, faces, SIZES, about)
    for b in range(BODIES):
        for s, part in enumerate(np.split(faces, np.cumsum(SIZES)[:-1])):
            for x, want in zip(got, exact(vertex[b], part, about[b, s]), strict=True):
                np.testing.assert_allclose(x[b, s], want, rtol=0, atol=RTOL * np.abs(want).max())


def test_scipy_volume(solids):
    vertex, faces, about = solids
    got = moments(vertex, faces, SIZES, about).volume
    want = [[ConvexHull(v[:30]).volume, ConvexHull(v[30:]).volume] for v in vertex]
    np.testing.assert_allclose(got[:, 1:], want, rtol=RTOL)
    np.testing.assert_array_equal(got[:, 0], 0.0)


def test_box():
    """2 by 3 by 4 metres with a corner at the origin: 24 m³, and moments by hand."""
    corners = np.array([[x, y, z] for x in (0, 2) for y in (0, 3) for z in (0, 4)], np.float32)
    faces = hull_faces(corners)
    got = solid_moments(jnp.asarray(corners), faces, (len(faces),), jnp.zeros((1, 3)))
    np.testing.assert_allclose(got.volume, [24.0], rtol=RTOL)
    np.testing.assert_allclose(got.first, [[24.0, 36.0, 48.0]], rtol=RTOL)
    square = [[32.0, 36.0, 48.0], [36.0, 72.0, 72.0], [48.0, 72.0, 128.0]]
    np.testing.assert_allclose(got.second, [square], rtol=RTOL)


# --- laws -----------------------------------------------------------------------------------------


def test_rigid_motion(solids):
    """Volume stays, moments turn."""
    vertex, faces, about = solids
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    rest = moments(vertex, faces, SIZES, about)
    moved = moments(vertex @ turn.T + 1.5, faces, SIZES, about @ turn.T + 1.5)
    np.testing.assert_allclose(moved.volume, rest.volume, rtol=RTOL)
    np.testing.assert_allclose(moved.first, rest.first @ turn.T, atol=RTOL)
    np.testing.assert_allclose(moved.second, turn @ rest.second @ turn.T, atol=RTOL)


def test_inside_out(solids):
    """The sign is that of the side which the triangles face."""
    vertex, faces, about = solids
    got = moments(vertex, faces[:, ::-1], SIZES, about).volume
    np.testing.assert_allclose(got, -moments(vertex, faces, SIZES, about).volume, rtol=RTOL)
    assert (np.asarray(got)[:, 1:] < 0.0).all()


def test_far_away(solids):
    """A point near keeps digits that the world's origin, 30 m away, would lose."""
    vertex, faces, about = solids
    far = np.float32(32.0)  # a power of two: what float32 rounds of the vertices is rounded before
    vertex = (vertex + far) - far
    near = moments(vertex, faces, SIZES, about)
    away = moments(vertex + far, faces, SIZES, (about + far))
    np.testing.assert_allclose(away.volume, near.volume, rtol=1e-4)
    from_origin = moments(vertex + far, faces, SIZES, np.zeros_like(about))
    assert np.abs(from_origin.volume - near.volume)[:, 1:].max() > 1e-3 * near.volume.max()


def test_bodies_do_not_mix(solids):
    vertex, faces, about = solids
    together = moments(vertex, faces, SIZES, about)
    alone = moments(vertex[1], faces, SIZES, about[1])
    broken = vertex.copy()
    broken[0] = np.nan
    beside = moments(broken, faces, SIZES, about)
    for x, y, z in zip(together, alone, beside, strict=True):
        np.testing.assert_allclose(y, x[1], rtol=RTOL, atol=1e-9)
        np.testing.assert_array_equal(z[1:], x[1:])


def test_gradient_is_homogeneous(solids):
    """Euler: places times slopes are three, four and five times what grows by those powers; and
    moving a body changes no volume."""
    vertex, faces, about = solids

    def some(vertex):
        got = solid_moments(vertex, faces, SIZES, jnp.zeros_like(about))
        return jnp.stack([got.volume, got.first[..., 0], got.second[..., 0, 1]]).sum(axis=-1)

    values = np.asarray(jax.jit(some)(vertex))
    slopes = np.asarray(jax.jit(jax.jacrev(lambda v: some(v).sum(axis=-1)))(vertex))
    got = np.sum(vertex * slopes, axis=(2, 3))
    np.testing.assert_allclose(got, np.array([[3], [4], [5]]) * values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(slopes[0].sum(axis=1), 0.0, atol=1e-5)
