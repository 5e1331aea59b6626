"""Vectors, matrices and quaternions in the hot layout: against scipy's Rotation and numpy."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels import vectors
from phymotion_jax.kernels.vectors import (
    norm,
    quat_angle,
    quat_conj,
    quat_log,
    quat_mul,
    quat_normalize,
    quat_to_mat,
    unstack,
    unstack_frames,
)

N = 256  # one shape for all, so that each function is compiled once
ATOL = 1e-6  # of entries up to 1: four to six float32 roundings of 6e-8 each
LOG_ATOL = 2e-6  # radians, of angles up to pi: the same, times pi
GRAD_ATOL = 5e-5  # radians a unit: float32 derivatives of the arc tangent, against finite steps
STEP = 1e-5  # of those finite steps, in float64: its square is their error


def columns(array: np.ndarray) -> Any:
    """Components of (N, C) as float32 arrays of one item and one clip."""
    return tuple(jnp.asarray(c, jnp.float32)[None, None] for c in array.T)


def rows(components) -> np.ndarray:
    """The reverse of `columns`."""
    return np.stack([np.asarray(c)[0, 0] for c in components], axis=-1)


def wxyz(rotation: Rotation) -> np.ndarray:
    return rotation.as_quat(scalar_first=True)


def random_rotations(rng) -> Rotation:
    return Rotation.from_quat(rng.normal(size=(N, 4)))


def about(angles, rng) -> Rotation:
    """Rotations by the given angles about random axes."""
    axes = rng.normal(size=(N, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return Rotation.from_rotvec(np.broadcast_to(angles, N)[:, None] * axes)


def both_signs(quat: np.ndarray) -> np.ndarray:
    """Every other quaternion written with the other sign: the same rotation."""
    return quat * np.where(np.arange(N) % 2, -1.0, 1.0)[:, None]


log = jax.jit(quat_log)


def test_matrices_are_scipys(rng):
    rotation = random_rotations(rng)
    got = rows(jax.jit(quat_to_mat)(columns(both_signs(wxyz(rotation)))))
    np.testing.assert_allclose(got.reshape(N, 3, 3), rotation.as_matrix(), atol=ATOL)


def test_products_are_scipys(rng):
    """`quat_mul(a, b)` turns by b first, as scipy's `a * b` does, and not the other way round."""
    first, second = random_rotations(rng), random_rotations(rng)
    got = rows(jax.jit(quat_mul)(columns(wxyz(first)), columns(wxyz(second))))
    got = Rotation.from_quat(got, scalar_first=True).as_matrix()
    np.testing.assert_allclose(got, (first * second).as_matrix(), atol=ATOL)
    assert np.abs(got - (second * first).as_matrix()).max() > 0.1


def test_conjugate_is_the_inverse(rng):
    rotation = random_rotations(rng)
    got = Rotation.from_quat(rows(quat_conj(columns(wxyz(rotation)))), scalar_first=True)
    np.testing.assert_allclose(got.as_matrix(), rotation.inv().as_matrix(), atol=ATOL)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 1e6])
def test_normalize(size, rng):
    """Any size whose square is still a float32; zero stays zero."""
    raw = rng.normal(size=(N, 4)) * size
    raw[0] = 0.0
    want = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-300)
    np.testing.assert_allclose(rows(jax.jit(quat_normalize)(columns(raw))), want, atol=ATOL)


ANGLES = {
    "all": np.linspace(1e-3, 3.1, N),
    "tiny": np.geomspace(1e-9, 1e-2, N),
    "where the series ends": 2e-4 + np.linspace(-1e-6, 1e-6, N),
    "half a turn but for a little": np.pi - np.geomspace(1e-5, 1e-1, N),
}


@pytest.mark.parametrize("angles", ANGLES.values(), ids=ANGLES.keys())
def test_logarithm_is_scipys(angles, rng):
    """The short way round for both signs of q, from a nanoradian to half a turn."""
    rotation = about(angles, rng)
    want = rotation.as_rotvec()
    got = rows(log(columns(both_signs(wxyz(rotation)))))
    atol = LOG_ATOL * np.maximum(np.abs(angles), 1e-9)[:, None]
    assert (np.abs(got - want) <= atol).all()


@pytest.mark.parametrize("angles", [0.0, 1e-4, 1.0, np.pi])
def test_angle_is_scipys(angles, rng):
    turned = about(angles, rng)
    got = np.asarray(jax.jit(quat_angle)(columns(both_signs(wxyz(turned)))))[0, 0]
    np.testing.assert_allclose(got, turned.magnitude(), atol=LOG_ATOL)


def test_angle_gradient_at_rest():
    rest = tuple(jnp.full((1, 1), c) for c in (1.0, 0.0, 0.0, 0.0))
    slope = jax.grad(lambda q: jnp.sum(quat_angle(q)))(rest)
    np.testing.assert_array_equal(slope, np.zeros((4, 1, 1)))


def test_logarithm_of_half_a_turn(rng):
    """Exactly half a turn has two logarithms; either, but of length pi and along the axis."""
    axes = rng.normal(size=(N, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    got = rows(log(columns(np.c_[np.zeros(N), axes])))
    np.testing.assert_allclose(np.abs(np.sum(got * axes, axis=1)), np.pi, atol=LOG_ATOL * np.pi)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), np.pi, atol=LOG_ATOL * np.pi)


def test_logarithm_of_identity_is_zero():
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (N, 1))
    np.testing.assert_array_equal(rows(log(columns(both_signs(identity)))), 0.0)


@jax.jit
def log_gradients(quat):
    """Derivative of each component of the logarithm by each of the quaternion: (3, 4, N)."""
    pull = [jax.grad(lambda q, k=k: jnp.sum(quat_log(q)[k]))(quat) for k in range(3)]
    return jnp.stack([jnp.stack([c[0, 0] for c in p]) for p in pull])


def float64_log(quat: np.ndarray) -> np.ndarray:
    """The logarithm of (N, 4) as the formula says, without scipy's normalisation."""
    sign = np.where(quat[:, :1] < 0.0, -1.0, 1.0)
    quat = quat * sign
    length = np.linalg.norm(quat[:, 1:], axis=1, keepdims=True)
    return 2.0 * np.arctan2(length, quat[:, :1]) / length * quat[:, 1:]


def test_logarithm_gradient(rng):
    """Against finite differences in float64, where angles are large enough for those."""
    quat = both_signs(wxyz(about(np.geomspace(1e-2, 3.0, N), rng)))
    got = np.asarray(log_gradients(columns(quat)))
    for c in range(4):
        step = STEP * np.eye(4)[c]
        want = (float64_log(quat + step) - float64_log(quat - step)) / (2.0 * STEP)
        np.testing.assert_allclose(got[:, c].T, want, atol=GRAD_ATOL)


@pytest.mark.parametrize("angle", [0.0, 1e-30, 1e-6, np.pi])
def test_logarithm_gradient_at_rest(angle, rng):
    """Where the square root has no derivative: 2 by the component itself, and no NaN."""
    quat = wxyz(about(angle, rng))
    got = np.asarray(log_gradients(columns(quat)))
    assert np.isfinite(got).all()
    if angle < 1.0:
        np.testing.assert_allclose(np.abs(got[:, 1:]).sum(axis=(0, 1)), 6.0, atol=GRAD_ATOL)
        for k in range(3):
            np.testing.assert_allclose(got[k, 1 + k], 2.0, atol=GRAD_ATOL)


def test_length(rng):
    """Numpy's, with a zero gradient at zero and a unit gradient elsewhere."""
    vec = rng.normal(size=(N, 3)) * np.geomspace(1e-6, 1e6, N)[:, None]
    vec[0] = 0.0
    value, pull = jax.vjp(norm, columns(vec))
    length = np.linalg.norm(vec, axis=1)
    np.testing.assert_allclose(np.asarray(value)[0, 0], length, rtol=ATOL)
    slope = rows(pull(jnp.ones_like(value))[0])
    np.testing.assert_array_equal(slope[0], 0.0)
    np.testing.assert_allclose(slope[1:], vec[1:] / length[1:, None], atol=ATOL)


MATRIX_PRODUCTS = {
    "mat_vec": (vectors.mat_vec, "ij,j->i"),
    "mat_t_vec": (vectors.mat_t_vec, "ji,j->i"),
    "mat_mat": (vectors.mat_mat, "ij,jk->ik"),
}


@pytest.mark.parametrize("name", MATRIX_PRODUCTS)
def test_matrix_products(name, rng):
    function, formula = MATRIX_PRODUCTS[name]
    a = rng.normal(size=(N, 3, 3))
    b = rng.normal(size=(N, 3, 3) if name == "mat_mat" else (N, 3))
    want = np.array([np.einsum(formula, x, y) for x, y in zip(a, b, strict=True)])
    got = rows(jax.jit(function)(columns(a.reshape(N, 9)), columns(b.reshape(N, -1))))
    # Three products of up to 4 by 4.
    np.testing.assert_allclose(got.reshape(want.shape), want, atol=50 * ATOL)


def test_symmetric_product(rng):
    """The six numbers stand in the order xx, yy, zz, xy, xz, yz."""
    m, v = rng.normal(size=(N, 3, 3)), rng.normal(size=(N, 3))
    m = m + np.swapaxes(m, 1, 2)
    order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    six = np.stack([m[:, i, j] for i, j in order], axis=-1)
    got = rows(jax.jit(vectors.sym_vec)(columns(six), columns(v)))
    np.testing.assert_allclose(got, np.einsum("nij,nj->ni", m, v), atol=50 * ATOL)


def test_vector_algebra(rng):
    """Sum, difference, multiple, scalar and vector product are numpy's."""
    a, b, c = rng.normal(size=(3, N, 3))
    x, y, z = map(columns, (a, b, c))
    atol = 50 * ATOL  # products of up to 4 by 4
    np.testing.assert_allclose(rows(vectors.add(x, y, z)), a + b + c, atol=atol)
    np.testing.assert_allclose(rows(vectors.sub(x, y)), a - b, atol=atol)
    np.testing.assert_allclose(rows(vectors.scale(x, y[0])), a * b[:, :1], atol=atol)
    np.testing.assert_allclose(rows(vectors.cross(x, y)), np.cross(a, b), atol=atol)
    want = np.sum(a * b, axis=1)
    np.testing.assert_allclose(np.asarray(vectors.dot(x, y))[0, 0], want, atol=atol)


def test_frames_become_components(rng):
    """(B, T, items, C) becomes C arrays (items, B, T), each number where it belongs."""
    array = rng.normal(size=(2, 5, 3, 4)).astype(np.float32)
    components = unstack_frames(jnp.asarray(array))
    assert len(components) == 4
    for b, t, item, c in np.ndindex(array.shape):
        assert components[c][item, b, t] == array[b, t, item, c]


def test_constants_stand_beside_frames(rng):
    """(B, items, C) becomes (items, B, 1); (items, C), one for all clips, (items, 1, 1)."""
    array = rng.normal(size=(2, 3, 4)).astype(np.float32)
    per_clip, shared = unstack(jnp.asarray(array)), unstack(jnp.asarray(array[0]))
    for c in range(4):
        np.testing.assert_array_equal(per_clip[c], array[..., c].T[..., None])
        np.testing.assert_array_equal(shared[c], array[0, :, c, None, None])
