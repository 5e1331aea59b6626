"""The plane of standing feet: against a robust fit in float64, and its laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.floor_plane import (
    MAX_SLOPE,
    PRIOR_M,
    PRIOR_SLOPE,
    SOFT_M,
    floor_plane,
)

P, B, T = 8, 4, 50  # one shape for all, so that the kernel is compiled once
ALL = np.ones((P, B, T))
FIT_ATOL = {  # of slopes, by the points' spread: what ten last steps leave, and float32
    (1.0, 0.6): 2e-4,  # 0.01 degrees
    (1.0, 0.05): 2e-2,  # across the line the prior is as strong as the points, and steps are slow
    (0.1, 0.05): 2e-2,  # and here along it too
}
TURN_ATOL = 2e-5  # of unit normals: float32 sums in another order
MOVE_ATOL = 1e-4  # the same, of positions 1 km out, which float32 rounds to 0.06 mm

fit = jax.jit(floor_plane)


def planes(points, weight=ALL) -> np.ndarray:
    """Unit normals (B, 3) from points (P, B, T, 3)."""
    vec = tuple(jnp.asarray(points[..., k], jnp.float32) for k in range(3))
    return np.stack(fit(vec, jnp.asarray(weight, jnp.float32)).normal, axis=-1).astype(np.float64)


def slopes(normal) -> np.ndarray:
    return -normal[..., :2] / normal[..., 2:]


def scattered(rng, slope, *, spread=(1.0, 0.6), noise=0.01, outliers=0.0) -> np.ndarray:
    """Points on planes with slopes (B, 2), with noise, a share of them far above."""
    flat = rng.normal(size=(P, B, T, 2)) * spread
    height = np.sum(flat * np.asarray(slope)[None, :, None], axis=-1) + noise * rng.normal(
        size=(P, B, T)
    )
    height += np.where(rng.random((P, B, T)) < outliers, rng.uniform(0.1, 0.5, (P, B, T)), 0.0)
    return np.concatenate([flat, height[..., None]], axis=-1)


def oracle(points, weight, start) -> np.ndarray:
    """Slopes that make the documented sum least near `start`, by scipy in float64."""
    x, w = points.reshape(-1, 3), weight.reshape(-1)
    scale = np.r_[w * SOFT_M**2, w.sum() * PRIOR_M**2 * PRIOR_SLOPE**2]

    def residuals(q):
        over = (x[:, 2] - x[:, :2] @ q[:2] - q[2]) / SOFT_M
        return np.r_[over, np.sqrt(q[0] ** 2 + q[1] ** 2 + 1e-18) / PRIOR_SLOPE]

    def loss(square):
        one = 1.0 + square
        return scale * np.stack([np.log(one), 1.0 / one, -1.0 / one**2])

    begin = np.r_[start, np.average(x[:, 2] - x[:, :2] @ start, weights=w)]
    tight = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    found = least_squares(residuals, begin, loss=loss, **tight)  # pyright: ignore  # SciPy's stubs
    return found.x[:2]


@pytest.mark.parametrize("outliers", [0.0, 0.3], ids=["clean", "outliers"])
@pytest.mark.parametrize("spread", FIT_ATOL, ids=str)
def test_fit_is_scipys(rng, spread, outliers):
    """Level, gently and steeply tilted, on planes, along lines and on one spot."""
    slope = [(0.0, 0.0), (0.06, -0.05), (-0.2, 0.15), (0.0, 0.4)]
    points = scattered(rng, slope, spread=spread, outliers=outliers)
    weight = rng.random((P, B, T))
    got = slopes(planes(points, weight))
    want = [oracle(points[:, b], weight[:, b], got[b]) for b in range(B)]
    np.testing.assert_allclose(got, want, atol=FIT_ATOL[spread])


@pytest.mark.parametrize("angle", [5.0, 10.0, 20.0, 28.0])
def test_known_tilts(rng, angle):
    """About four axes, to a tenth of a degree, a fifth of all points being elsewhere."""
    towards = np.tan(np.radians(angle)) * np.array([(1, 0), (0, -1), (0.6, 0.8), (-0.8, 0.6)])
    normal = planes(scattered(rng, towards, noise=0.0, outliers=0.2))
    want = np.concatenate([-towards, np.ones((B, 1))], axis=1)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    missed = np.degrees(np.arccos(np.minimum(np.sum(normal * want, axis=1), 1.0)))
    assert missed.max() < (0.6 if angle < 10.0 else 0.1)  # the prior still holds small ones


def test_a_line_tells_nothing_of_the_tilt_about_it():
    """Along the line the slope is found; across it the floor is level."""
    points = np.zeros((P, B, T, 3))
    points[..., 0] = np.linspace(-1.0, 1.0, T)
    points[..., 2] = 0.3 * points[..., 0]
    np.testing.assert_allclose(slopes(planes(points)), [(0.3, 0.0)] * B, atol=1e-3)


def test_one_spot_is_level(rng):
    """And so is a clip without weight, and one of equal points."""
    points = scattered(rng, [(0.2, 0.1)] * B, spread=(0.02, 0.02), noise=0.0)
    points[:, 1] = [3.0, -2.0, 1.0]
    weight = ALL * np.array([1.0, 1.0, 0.0, 1.0])[:, None]
    got = planes(points, weight)
    assert np.degrees(np.arccos(got[[0, 3], 2])).max() < 1.0
    np.testing.assert_array_equal(got[1:3], [(0.0, 0.0, 1.0)] * 2)


def test_slopes_end_at_thirty_degrees(rng):
    got = planes(scattered(rng, [(1.0, 0.0), (0.0, -2.0), (0.7, 0.7), (0.5, 0.0)], noise=0.0))
    np.testing.assert_allclose(np.linalg.norm(slopes(got)[:3], axis=1), MAX_SLOPE, rtol=1e-4)
    np.testing.assert_allclose(slopes(got)[3], (0.5, 0.0), atol=1e-3)


def test_turning_about_z_commutes(rng):
    points = scattered(rng, [(0.0, 0.0), (0.1, 0.0), (0.2, -0.1), (-0.4, 0.2)], outliers=0.2)
    spin = Rotation.from_euler("z", 1.3)
    turned = spin.apply(points.reshape(-1, 3)).reshape(points.shape)
    np.testing.assert_allclose(planes(turned), spin.apply(planes(points)), atol=TURN_ATOL)


def test_moving_changes_nothing(rng):
    """Also a kilometre out."""
    points = scattered(rng, [(0.0, 0.0), (0.1, 0.0), (0.2, -0.1), (-0.4, 0.2)])
    want = planes(points)
    np.testing.assert_allclose(planes(points + np.array([3.0, -2.0, 1.0])), want, atol=TURN_ATOL)
    far = points + np.array([1000.0, -700.0, 9.0])
    np.testing.assert_allclose(planes(far), want, atol=MOVE_ATOL)


def test_points_without_weight_do_not_count(rng):
    """Whatever they hold that is finite; and clips do not mix."""
    points = scattered(rng, [(0.1, 0.0)] * B)
    weight = np.where(rng.random((P, B, T)) < 0.5, rng.random((P, B, T)), 0.0)
    wild = np.where((weight > 0.0)[..., None], points, 1e6 * rng.normal(size=points.shape))
    np.testing.assert_array_equal(planes(wild, weight), planes(points, weight))
    other = points.copy()
    other[:, 2:] = 7.0 * rng.normal(size=other[:, 2:].shape)
    np.testing.assert_array_equal(planes(other, weight)[:2], planes(points, weight)[:2])


def test_the_point_is_on_the_plane(rng):
    points = scattered(rng, [(0.1, 0.0), (0.0, 0.3), (0.0, 0.0), (-0.2, -0.2)], noise=0.0)
    vec = tuple(jnp.asarray(points[..., k] + 2.0, jnp.float32) for k in range(3))
    found = fit(vec, jnp.asarray(ALL, jnp.float32))
    place, normal = (np.stack(v, axis=-1).astype(np.float64) for v in (found.point, found.normal))
    np.testing.assert_allclose(place, points.mean(axis=(0, 2)) + 2.0, atol=1e-3)
    want = slopes(normal)
    height = 2.0 + np.sum(want * (place[:, :2] - 2.0), axis=1)
    np.testing.assert_allclose(place[:, 2], height, atol=1e-3)


def test_gradient_is_finite(rng):
    """Of a plane, of one spot, of equal points and of none; not zero where there is a plane."""
    points = scattered(rng, [(0.2, 0.0)] * B)
    points[:, 1] *= 0.01
    points[:, 2] = 1.0
    weight = jnp.asarray(ALL * np.array([1.0, 1.0, 1.0, 0.0])[:, None], jnp.float32)

    @jax.jit
    @jax.grad
    def slope(vec, weight):
        found = floor_plane(vec, weight)
        return sum(jnp.sum(c) for c in (*found.normal, *found.point))

    got = slope(tuple(jnp.asarray(points[..., k], jnp.float32) for k in range(3)), weight)
    assert all(np.isfinite(np.asarray(c)).all() for c in got)
    assert np.abs(np.asarray(got[2])[:, 0]).max() > 0.0
