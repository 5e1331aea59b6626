"""Capsules in each other: against float64 written another way, and the laws of a distance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.kernels.capsule_overlap import capsule_overlap
from phymotion_jax.kernels.capsule_penetration import capsule_depth

T = 256  # pairs of capsules a family, as frames of one clip
ATOL = 1e-6  # metres: four float32 steps of the 4 m that the test's capsules reach together
ATOL_F64 = 1e-12
ATOL_GRAD = 1e-3  # of a unit vector, between places that may be a millimetre apart
RADIUS = 2.0  # metres; wide, so that every pair overlaps and depth tells the distance
PAIR = ((0, 1),)
BODY = ((0, 1), (0, 2), (1, 3), (2, 4), (3, 4), (1, 4), (0, 4))  # of 6 capsules; none has the last


def to_segment(point, start, end):
    along, gap = end - start, point - start
    square = (along**2).sum(axis=-1)
    share = np.clip((gap * along).sum(axis=-1) / np.where(square > 0.0, square, 1.0), 0.0, 1.0)
    return np.linalg.norm(gap - share[..., None] * along, axis=-1)


def oracle(a, b, c, d):
    """Distance between the segments a..b and c..d: the least of four ends' and the inner one.

    The inner one counts where the common normal meets both segments between their ends; it is then
    the part of the gap along that normal.
    """
    ends = [to_segment(a, c, d), to_segment(b, c, d), to_segment(c, a, b), to_segment(d, a, b)]
    u, v, gap = b - a, d - c, c - a
    normal = np.cross(u, v)
    length = np.linalg.norm(normal, axis=-1)
    crossing = length > 1e-14
    safe = np.where(crossing, length, 1.0)
    normal = normal / safe[:, None]
    s = np.einsum("ti,ti->t", np.cross(gap, v), normal) / safe
    t = np.einsum("ti,ti->t", np.cross(gap, u), normal) / safe
    inner = crossing & (s > 0) & (s < 1) & (t > 0) & (t < 1)
    across = np.abs(np.einsum("ti,ti->t", gap, normal))
    return np.minimum(np.min(ends, axis=0), np.where(inner, across, np.inf))


def overlap_of(body, pairs):
    """Each capsule is a part."""
    count = body[2].shape[0]
    return capsule_overlap(pairs, tuple(range(count)), count, *body)


def near(rng, scale=0.5):
    return rng.normal(size=(T, 3)) * scale


def anywhere(rng):
    return near(rng), near(rng), near(rng), near(rng)


def almost_parallel(rng, angle):
    """Axes that differ by about `angle` rad, side by side, shifted along themselves or crossing."""
    a, u = near(rng), near(rng)
    c = a + rng.uniform(-1.5, 1.5, (T, 1)) * u + near(rng, 0.2) * rng.integers(0, 2, (T, 1))
    v = u * rng.uniform(-1.5, 1.5, (T, 1)) + near(rng, angle)
    return a, a + u, c, c + v


def crossing(rng):
    """Through each other at one place, which may be an end."""
    meet, u, v = near(rng), near(rng), near(rng)
    s, t = rng.uniform(-0.1, 1.1, (2, T, 1)).clip(0.0, 1.0)
    return meet - s * u, meet + (1 - s) * u, meet - t * v, meet + (1 - t) * v


def scissors(rng):
    """Crossing at angles from 1e-6 to 1 rad: where determinants cancel."""
    meet, u = near(rng), near(rng)
    v = u + near(rng) * 10.0 ** rng.uniform(-6, 0, (T, 1))
    s, t = rng.random((2, T, 1))
    return meet - s * u, meet + (1 - s) * u, meet - t * v, meet + (1 - t) * v


def point_and_segment(rng):
    a, c, d = near(rng), near(rng), near(rng)
    return a, a, c, d


def points(rng):
    a, c = near(rng), near(rng)
    return a, a, c, c


def the_same(rng):
    a, b = near(rng), near(rng)
    return a, b, a, b


def sharing_an_end(rng):
    a, b, d = near(rng), near(rng), near(rng)
    return a, b, b, d


def short(rng):
    """Segments of 1 µm to 1 mm beside long ones."""
    a, b, c = near(rng), near(rng), near(rng)
    return a, b, c, c + near(rng) * 10.0 ** rng.uniform(-6, -3, (T, 1))


def square_grid(rng):
    """On whole decimetres: parallel, collinear, crossing, touching in all ways, with no noise."""
    return tuple(rng.integers(-2, 3, (4, T, 3)) * 0.1)


FAMILIES = {
    "anywhere": anywhere,
    "parallel": lambda rng: almost_parallel(rng, 0.0),
    "1e-7 rad": lambda rng: almost_parallel(rng, 1e-7),
    "1e-5 rad": lambda rng: almost_parallel(rng, 1e-5),
    "1e-3 rad": lambda rng: almost_parallel(rng, 1e-3),
    "crossing": crossing,
    "scissors": scissors,
    "point and segment": point_and_segment,
    "points": points,
    "the same": the_same,
    "sharing an end": sharing_an_end,
    "short": short,
    "grid": square_grid,
}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())


def components(ends, dtype: type = np.float32):
    """Points ``(2, T, 3)`` of two capsules as components ``(2, 1, T)``."""
    return tuple(jnp.asarray(np.asarray(ends, dtype)[:, None, :, k]) for k in range(3))


def as_capsules(ends, dtype: type = np.float32):
    """Two capsules a frame, with the segments a..b and c..d: the kernel's arguments."""
    a, b, c, d = ends
    radius = jnp.full((2, 1, 1), RADIUS, dtype)
    return components([a, c], dtype), components([b, d], dtype), radius


def oracle_of(ends_a, ends_b, radius):
    """The oracle on the kernel's own arguments, so that their rounding is not counted."""
    starts, stops = (np.stack(e, axis=-1).astype(np.float64)[:, 0] for e in (ends_a, ends_b))
    return 2.0 * RADIUS - oracle(starts[0], stops[0], starts[1], stops[1])


@each_family
def test_matches_oracle(family, rng):
    capsules = as_capsules(family(rng))
    got = np.asarray(capsule_depth(*capsules, PAIR))
    np.testing.assert_allclose(got[0, 0], oracle_of(*capsules), rtol=0.0, atol=ATOL)


def test_matches_oracle_in_float64(rng):
    with jax.enable_x64(True):
        for family in (anywhere, point_and_segment, points, sharing_an_end, square_grid):
            capsules = as_capsules(family(rng), np.float64)
            got = np.asarray(capsule_depth(*capsules, PAIR))
            np.testing.assert_allclose(got[0, 0], oracle_of(*capsules), rtol=0.0, atol=ATOL_F64)


def test_known_answers():
    """Arms of 5 cm: crossed 8 cm apart, side by side 8 cm apart, and past each other's reach."""
    a = np.array([[[-0.3, 0.0, 0.0]] * 3, [[0.0, -0.3, 0.08], [0.1, 0.08, 0.0], [0.5, 0.0, 0.0]]])
    b = np.array([[[0.3, 0.0, 0.0]] * 3, [[0.0, 0.3, 0.08], [0.9, 0.08, 0.0], [0.9, 0.0, 0.0]]])
    got = capsule_depth(components(a), components(b), jnp.full((2, 1, 1), 0.05), PAIR)
    np.testing.assert_allclose(got[0, 0], [0.02, 0.02, 0.0], atol=1e-7)


@each_family
def test_swapping_changes_nothing(family, rng):
    """Neither which capsule comes first nor which end."""
    a, b, c, d = family(rng)
    depth = capsule_depth(*as_capsules((a, b, c, d)), PAIR)
    for swapped in ((c, d, a, b), (b, a, c, d), (a, b, d, c)):
        got = capsule_depth(*as_capsules(swapped), PAIR)
        np.testing.assert_allclose(got, depth, rtol=0.0, atol=ATOL)


@each_family
def test_rigid_motion_changes_nothing(family, rng):
    ends = family(rng)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    depth = capsule_depth(*as_capsules(ends), PAIR)
    moved = capsule_depth(*as_capsules([e @ turn.T + [1.0, -2.0, 0.5] for e in ends]), PAIR)
    np.testing.assert_allclose(moved, depth, rtol=0.0, atol=ATOL)


def test_scale(rng):
    """A body twice the size stands twice as deep in itself; a power of two, so to the last bit."""
    ends_a, ends_b, radius = as_capsules(anywhere(rng))
    double = jax.tree.map(lambda x: 2.0 * x, (ends_a, ends_b, radius))
    np.testing.assert_array_equal(
        capsule_depth(*double, PAIR), 2.0 * capsule_depth(ends_a, ends_b, radius, PAIR)
    )


gradient = jax.jit(jax.grad(lambda *capsules: capsule_depth(*capsules, PAIR).sum(), (0, 1, 2)))


@each_family
def test_gradient_is_finite_and_balanced(family, rng):
    """Finite even where segments cross; and moving both capsules alike changes nothing."""
    by_a, by_b, by_radius = jax.tree.map(np.asarray, gradient(*as_capsules(family(rng))))
    for x, y in zip(by_a, by_b, strict=True):
        assert np.isfinite(x).all() and np.isfinite(y).all()
        np.testing.assert_allclose((x + y).sum(axis=0), 0.0, atol=1e-5)
    np.testing.assert_array_equal(by_radius, T)


def test_gradient_is_the_slope(rng):
    """What a small move of all the ends changes, by central differences of the oracle."""
    ends, move = np.stack(anywhere(rng)), np.stack([near(rng, 1e-6) for _ in range(4)])
    slope = (oracle(*(ends - move)) - oracle(*(ends + move))) / 2.0  # depth falls with distance
    by_ends = jax.tree.leaves(gradient(*as_capsules(ends))[:2])
    moves = jax.tree.leaves(as_capsules(move)[:2])
    got = sum(np.sum(np.asarray(g * m), axis=0)[0] for g, m in zip(by_ends, moves, strict=True))
    np.testing.assert_allclose(got, slope, rtol=0.0, atol=1e-6 * ATOL_GRAD)


@pytest.fixture
def body(rng):
    """Six capsules, 2 clips of 9 frames, each clip with radii of its own."""
    start = rng.normal(size=(3, 6, 2, 9)) * 0.3
    stop = start + rng.normal(size=start.shape) * 0.3
    radius = rng.uniform(0.03, 0.2, (6, 2, 1))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (tuple(start), tuple(stop), radius))


def test_overlap_reduces_depth(body):
    """Worst depth, its pair, and each capsule's own, from the depths of all pairs."""
    depth = np.asarray(capsule_depth(*body, BODY))
    got = overlap_of(body, BODY)
    np.testing.assert_array_equal(got.depth, depth.max(axis=0))
    apart = depth.max(axis=0) == 0.0
    assert apart.any() and not apart.all()
    np.testing.assert_array_equal(got.pair, np.where(apart, -1, depth.argmax(axis=0)))
    for k in range(6):
        own = [depth[p] for p, pair in enumerate(BODY) if k in pair] + [np.zeros((2, 9))]
        np.testing.assert_array_equal(got.by_part[k], np.max(own, axis=0))


def test_clips_and_frames_do_not_mix(body):
    """A frame alone answers as it does among others, and NaN stays in its own frame."""
    together = overlap_of(body, BODY)
    ends_a, ends_b, radius = body
    one = jax.tree.map(lambda x: x[:, 1:, 4:5], (ends_a, ends_b))
    alone = overlap_of((*one, radius[:, 1:]), BODY)
    for x, y in zip(alone, together, strict=True):
        np.testing.assert_allclose(x, y[..., 1:, 4:5], rtol=0.0, atol=ATOL)
    broken = tuple(e.at[:, 0, 3].set(jnp.nan) for e in ends_a)
    beside = np.ones((2, 9), bool)
    beside[0, 3] = False
    for x, y in zip(overlap_of((broken, ends_b, radius), BODY), together, strict=True):
        np.testing.assert_array_equal(x[..., beside], y[..., beside])


def test_without_pairs_nothing_overlaps(body):
    got = overlap_of(body, ())
    assert (got.depth == 0.0).all() and (got.pair == -1).all() and (got.by_part == 0.0).all()


def test_overlap_gradient_reaches_the_worst_pair(body):
    """A metre more of radius on either capsule of the worst pair is a metre more of depth."""
    ends_a, ends_b, radius = body
    got = jax.grad(lambda r: overlap_of((ends_a, ends_b, r), BODY).depth.sum())(radius)
    pair = np.asarray(overlap_of(body, BODY).pair)
    want = np.zeros((6, 2, 1))
    for clip, frame in np.argwhere(pair >= 0):
        want[list(BODY[pair[clip, frame]]), clip] += 1.0
    np.testing.assert_allclose(got, want)
