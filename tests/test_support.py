"""Distance to the support polygon: against Qhull in float64, and its laws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import ConvexHull, QhullError

from phymotion_jax.kernels.support import hull_distance, hull_offset

N, T = 160, 64  # one shape for all, so that the kernel is compiled once
ATOL = 5e-6  # metres: float32 steps are 5e-7 at the 4 to 8 m that the farthest queries are away
ATOL_F64 = 2e-6  # metres: what ten steps leave on the worst sets, whatever the precision
ATOL_GRAD = 1e-3  # a normal from the float32 difference of points that are down to 1 mm apart


def oracle(query, points):
    """Distance to the edges of Qhull's polygon; to every segment where there is no area."""
    try:
        hull = ConvexHull(points)
    except (QhullError, ValueError):  # all on a line, or fewer than three
        first, second = np.triu_indices(len(points))
        a, b = points[first], points[second]
    else:
        if (hull.equations @ [*query, 1.0] <= 0.0).all():
            return 0.0
        a, b = points[hull.simplices[:, 0]], points[hull.simplices[:, 1]]
    along, gap = b - a, query - a
    square = (along**2).sum(axis=1)
    share = np.clip((gap * along).sum(axis=1) / np.where(square > 0.0, square, 1.0), 0.0, 1.0)
    return np.linalg.norm(gap - share[:, None] * along, axis=1).min()


def ring(rng, radius=(1.0, 1.0)):
    angle = 2.0 * np.pi * (np.arange(N) / N + rng.random((T, 1)))
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius


def just_outside(rng, least):
    """Directions at 1 + least to 2 from the centre of the unit circle."""
    angle, lift = 2.0 * np.pi * rng.random(T), 10.0 ** rng.uniform(np.log10(least), 0.0, T)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1) * (1.0 + lift)[:, None]


def crowding(rng, power):
    """Corners on |x|^power that crowd geometrically towards the tip; queries just below it."""
    x = np.sign(rng.uniform(-1.0, 1.0, (T, N))) * 2.0 ** -rng.uniform(0.0, 20.0, (T, N))
    query = [rng.uniform(-1.0, 1.0, T), -(2.0 ** -rng.uniform(0.0, 15.0, T))]
    return np.stack([x, np.abs(x) ** power], axis=-1), np.stack(query, axis=-1)


def feet(rng):
    sole = rng.uniform(-1.0, 1.0, (T, 40, 2)) * [0.13, 0.05]
    sole[:, 20:] += rng.normal(size=(T, 1, 2)) * 0.3
    return sole, rng.normal(size=(T, 2)) * 0.3


def at_a_corner(rng, shift):
    """Queries off a corner, or a point between two of them, by `shift` metres in any direction."""
    points = rng.normal(size=(T, 20, 2))
    share = rng.integers(0, 2, (T, 1)) * rng.random((T, 1))
    return points, (1 - share) * points[:, 0] + share * points[:, 1] + spot(rng, shift)


def line(rng, noise=0.0):
    on_line = rng.uniform(-1.0, 1.0, (T, 50, 1)) * rng.normal(size=(T, 1, 2))
    return on_line + rng.normal(size=(T, 1, 2)) + noise * rng.normal(size=(T, 50, 2))


def normal(rng, n, scale):
    return rng.normal(size=(T, n, 2)) * scale


def spot(rng, scale):
    return rng.normal(size=(T, 2)) * scale


FAMILIES = {  # name -> (points, query)
    "cloud": lambda rng: (normal(rng, 152, 1.0), spot(rng, 2.0)),
    "feet": feet,
    "ring": lambda rng: (ring(rng), spot(rng, 2.0)),
    "inside a ring": lambda rng: (ring(rng), spot(rng, 0.3)),
    "just outside a ring": lambda rng: (ring(rng), just_outside(rng, 1e-6)),
    "tiny ring": lambda rng: (ring(rng, (1e-3, 1e-3)), spot(rng, 0.01)),
    "flat ring": lambda rng: (ring(rng, (1.0, 0.01)), spot(rng, 0.3)),
    "almost a line": lambda rng: (ring(rng, (3.0, 1e-4)), spot(rng, 1e-3)),
    "crowding 1.1": lambda rng: crowding(rng, 1.1),
    "crowding 2": lambda rng: crowding(rng, 2),
    "crowding 4": lambda rng: crowding(rng, 4),
    "one point": lambda rng: (normal(rng, 1, 1.0), spot(rng, 1.0)),
    "two points": lambda rng: (normal(rng, 2, 1.0), spot(rng, 1.0)),
    "triangle": lambda rng: (normal(rng, 3, 1.0), spot(rng, 1.0)),
    "tiny triangle": lambda rng: (normal(rng, 3, 1e-5), spot(rng, 1e-5)),
    "tiny triangle, far": lambda rng: (normal(rng, 3, 1e-5), spot(rng, 2.0)),
    "needle": lambda rng: (normal(rng, 3, (1.0, 1e-5)), spot(rng, (1.0, 1e-5))),
    "line": lambda rng: (line(rng), spot(rng, 1.0)),
    "noisy line": lambda rng: (line(rng, noise=1e-6), spot(rng, 1.0)),
    "along a line": lambda rng: (line(rng) * [1.0, 0.0], spot(rng, (3.0, 0.0))),
    "grid": lambda rng: (np.round(normal(rng, 100, 5.0)) / 5, np.round(spot(rng, 15.0)) / 5),
    "one point many times": lambda rng: (np.repeat(normal(rng, 1, 1.0), N, 1), spot(rng, 1.0)),
    "at a corner": lambda rng: at_a_corner(rng, 0.0),
    "near a corner": lambda rng: at_a_corner(rng, 1e-6),
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())


def as_arrays(sets, rng, dtype: type = np.float32):
    """The kernel's arguments: T sets as frames of one clip, in random rows, the others NaN."""
    points, query = sets
    count = points.shape[1]
    rows = np.argsort(rng.random((T, N)), axis=1)[:, :count]
    full = np.full((T, N, 2), np.nan, dtype)
    np.put_along_axis(full, rows[..., None], points.astype(dtype), axis=1)
    x, y = (full[..., k].T[:, None] for k in range(2))
    qx, qy = (query[None, :, k].astype(dtype) for k in range(2))
    return (qx, qy), (x, y), np.isfinite(x)


def distances(query, points, touching):
    return np.asarray(hull_distance(*jax.device_put((query, points, touching))))


def oracle_of(query, points, touching):
    """The oracle on the kernel's own arguments, so that their rounding is not counted."""
    q, p = (np.stack(v, axis=-1).astype(np.float64) for v in (query, points))
    sets = [(q[0, t], p[touching[:, 0, t], 0, t]) for t in range(q.shape[1])]
    return np.array([[oracle(*one) for one in sets]])


@each_family
def test_matches_oracle(family, rng):
    args = as_arrays(family(rng), rng)
    np.testing.assert_allclose(distances(*args), oracle_of(*args), rtol=0.0, atol=ATOL)


def test_matches_oracle_in_float64(rng):
    with jax.enable_x64(True):
        for family in FAMILIES.values():
            args = as_arrays(family(rng), rng, np.float64)
            got = distances(*args)
            assert got.dtype == np.float64
            np.testing.assert_allclose(got, oracle_of(*args), rtol=0.0, atol=ATOL_F64)


@pytest.fixture
def cloud(rng):
    """Clouds of 40 points with queries inside and outside."""
    args = as_arrays((normal(rng, 40, 0.5), spot(rng, 1.0)), rng)
    zero = distances(*args) == 0.0
    assert zero.any() and not zero.all()
    return args


def test_known_answers():
    """A square metre: inside, on the edge, beside an edge, off a corner; then nothing touches."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]], np.float32)
    x, y = np.repeat(corners.T[:, :, None, None], 5, axis=3)
    qx, qy = np.array([[[0.3, 0.5, 0.25, 4.0, 9.0]], [[0.6, 0.0, -2.0, 5.0, 9.0]]], np.float32)
    touching = np.ones((4, 1, 5), bool)
    touching[..., 4] = False
    got = distances((qx, qy), (x, y), touching)
    np.testing.assert_allclose(got, [[0.0, 0.0, 2.0, 5.0, np.inf]], rtol=1e-6)


def test_order_does_not_matter(cloud, rng):
    query, points, touching = cloud
    rows = rng.permutation(N)
    got = distances(query, tuple(p[rows] for p in points), touching[rows])
    np.testing.assert_allclose(got, distances(*cloud), rtol=0.0, atol=ATOL)


def test_only_what_touches_counts(cloud, rng):
    query, points, touching = cloud
    noise = rng.normal(size=(N, 1, T)).astype(np.float32)
    got = distances(query, tuple(np.where(touching, p, noise) for p in points), touching)
    np.testing.assert_array_equal(got, distances(*cloud))


def test_duplicates_do_not_count(cloud):
    query, points, touching = cloud
    first = np.argmax(touching, axis=0)[None]
    fill = (np.take_along_axis(p, first, axis=0) for p in points)
    full = tuple(np.where(touching, p, f) for p, f in zip(points, fill, strict=True))
    got = distances(query, full, np.ones_like(touching))
    np.testing.assert_allclose(got, distances(*cloud), rtol=0.0, atol=ATOL)


def test_turning_and_moving_changes_nothing(cloud):
    query, points, touching = cloud
    c, s = np.float32(np.cos(2.1)), np.float32(np.sin(2.1))

    def move(x, y):
        return c * x - s * y + np.float32(3.0), s * x + c * y - np.float32(2.0)

    got = distances(move(*query), move(*points), touching)
    np.testing.assert_allclose(got, distances(*cloud), rtol=0.0, atol=ATOL)


def test_clips_and_frames_do_not_mix(cloud):
    """A frame has the same answer alone and among others, in whatever clip it stands."""
    query, points, touching = jax.tree.map(lambda x: x.reshape(*x.shape[:-2], 4, T // 4), cloud)
    together = distances(query, points, touching)
    np.testing.assert_array_equal(together.reshape(1, T), distances(*cloud))
    alone = jax.tree.map(lambda x: x[..., 2:3, 5:6], (query, points, touching))
    np.testing.assert_allclose(distances(*alone), together[2:3, 5:6], rtol=0.0, atol=ATOL)


@jax.jit
@partial(jax.grad, argnums=(0, 1))
def gradient(query, points, touching):
    """Of the sum over the frames in which something touches."""
    distance = hull_distance(query, points, touching)
    return jnp.sum(jnp.where(jnp.any(touching, axis=0), distance, 0.0))


@each_family
def test_gradient_is_finite(family, rng):
    """Also at corners, on edges, inside, with NaN beside, and where nothing touches at all."""
    query, points, touching = as_arrays(family(rng), rng)
    touching = touching & (np.arange(T) % 8 > 0)
    for leaf in jax.tree.leaves(gradient(query, points, touching)):
        assert np.isfinite(leaf).all()


def test_gradient_is_the_slope(cloud):
    """Unit normal outside, zero inside; the points pull back by as much, at the nearest place."""
    query, points, touching = cloud
    distance = distances(*cloud)
    by_query, by_points = (np.stack(g) for g in gradient(*cloud))
    length = np.linalg.norm(by_query, axis=0)
    np.testing.assert_allclose(length, distance > 0.0, atol=ATOL_GRAD)
    np.testing.assert_allclose(by_points.sum(axis=1), -by_query, atol=ATOL_GRAD)
    # Where the normal, scaled by the distance, leads from the hull's nearest point to the query.
    nearest = np.stack(query) - distance * by_query
    np.testing.assert_allclose(distances(tuple(nearest), points, touching), 0.0, atol=ATOL)
    pulled = (by_points * np.nan_to_num(np.stack(points))).sum(axis=1)
    outside = np.broadcast_to(distance > 0.0, pulled.shape)
    np.testing.assert_allclose(
        pulled.sum(axis=0)[outside[0]],
        -(by_query * nearest).sum(axis=0)[outside[0]],
        atol=ATOL_GRAD,
    )


def test_offset_leads_to_the_nearest_point(rng):
    """As long as the distance; a query moved by it lies on the hull, and one inside stays."""
    points, query = feet(rng)
    points = np.resize(points, (T, N, 2))
    arrays = (query.T[:, None], np.moveaxis(points, -1, 0).swapaxes(1, 2)[:, :, None])
    query, points = (tuple(jnp.asarray(c, jnp.float32) for c in x) for x in arrays)
    touching = jnp.ones((N, 1, T), bool)
    way = hull_offset(query, points, touching)
    distance = hull_distance(query, points, touching)
    np.testing.assert_allclose(np.hypot(*way), distance, atol=ATOL)
    assert (np.asarray(distance) > 0.0).sum() > T // 4
    there = tuple(q + w for q, w in zip(query, way, strict=True))
    assert np.asarray(hull_distance(there, points, touching)).max() < ATOL
    nowhere = hull_offset(query, points, ~touching)
    np.testing.assert_array_equal(np.asarray(nowhere), 0.0)
