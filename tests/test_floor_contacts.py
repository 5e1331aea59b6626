"""Floor, points on links, and feet that stand or slide: numpy oracles and plain walking laws."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.contacts import link_points, loaded_steps, stance_slides
from phymotion_jax.kernels.floor import floor_height, floor_under_feet

B, T = 4, 96  # one shape for all, so that each function is compiled once
P = 6  # points of a sole
ALL = np.ones((B, T), bool)
FPS = np.array([16.0, 30.0, 60.0, 120.0])
THIRTY = np.full(B, 30.0)
FRAMES = np.arange(T)

FLOOR_ATOL = 4e-6  # metres: what 24 halvings of 30 m leave, and a float32 rounding of 30 m
TREMBLE_M = 0.005  # a standard error of the median of 96 of these is 0.64 mm; five of them:
TREMBLE_ATOL = 0.0032
POSITION_ATOL = 1e-6  # metres: float32 roundings of positions up to 2 m
SLIDE_ATOL = 5e-6  # metres: T float32 sums of steps between positions up to 4 m
SWING_M_S = 0.4  # the preset's: how much faster than the other a swinging foot is
LANDING_M_S = 0.25  # the preset's: how fast a foot on its way up or down moves

floor = jax.jit(floor_height)
under_feet = jax.jit(floor_under_feet)


def column(fps=FPS):
    return jnp.asarray(np.broadcast_to(fps, B), jnp.float32)[:, None]


def heights(values, mask=ALL, fps=FPS) -> np.ndarray:
    values = np.broadcast_to(values, (B, T))
    return np.asarray(floor(jnp.asarray(values, jnp.float32), jnp.asarray(mask), column(fps)))


# --- floor ----------------------------------------------------------------------------------------


def slow_frames(lowest, mask, fps):
    """Frames with a neighbour that is no more than 0.15 m/s away, by a plain loop."""
    slow = np.zeros(len(lowest), bool)
    for t in range(len(lowest) - 1):
        if mask[t] and mask[t + 1] and abs(lowest[t + 1] - lowest[t]) * fps < 0.15:
            slow[t] = slow[t + 1] = True
    return slow if slow.any() else mask


@pytest.mark.parametrize("speed", [0.02, 0.15, 10.0], ids=["slow", "mixed", "fast"])
def test_floor_is_numpys_median(speed, rng):
    """The lower median of the slow frames, whatever the walk, the mask and the height."""
    walk = rng.uniform(-2.0, 2.0, (B, 1)) + np.cumsum(
        rng.normal(size=(B, T)) * speed / FPS[:, None], axis=1
    )
    mask = np.arange(T) < np.array([[T], [T - 1], [40], [3]])
    got = heights(np.where(mask, walk, np.nan), mask)
    for b in range(B):
        vote = np.sort(walk[b, slow_frames(np.float32(walk[b]), mask[b], np.float32(FPS[b]))])
        assert abs(got[b] - vote[(len(vote) - 1) // 2]) < FLOOR_ATOL


def floors_under_feet(lowest, soles) -> np.ndarray:
    rows = [np.broadcast_to(c, (B, T)).astype(np.float32) for c in (lowest, soles)]
    fps, weight = column(np.array(30.0)), jnp.ones((B, T), jnp.float32)
    return np.asarray(under_feet(rows[0], jnp.asarray(ALL), fps, weight, rows[1]))


def test_feet_that_stand_say_where_the_floor_is():
    """A body that lies first, its hands 6 cm under the floor, and stands for its last second."""
    stands = np.arange(T) >= T - 30
    lowest = np.where(stands, 0.0, -0.06)
    soles = np.where(stands, 0.0, 0.05)
    np.testing.assert_allclose(floors_under_feet(lowest, soles), 0.0, atol=FLOOR_ATOL)
    np.testing.assert_allclose(heights(lowest), -0.06, atol=FLOOR_ATOL)


def test_feet_that_hardly_stand_or_lie_on_their_insteps_do_not():
    """Soles down for a third of a second; and 6 cm over the knees of one who kneels."""
    for soles in (np.where(np.arange(T) < 10, 0.02, 0.3), np.full(T, 0.06)):
        np.testing.assert_allclose(floors_under_feet(np.zeros(T), soles), 0.0, atol=FLOOR_ATOL)


def test_one_deep_outlier_does_not_move_the_floor():
    """Nor do five separate ones: a frame 20 cm deep is fast, and would be outvoted anyway."""
    lowest = np.zeros(T)
    lowest[[10, 30, 50, 70, 90]] = -0.2
    np.testing.assert_allclose(heights(lowest), 0.0, atol=FLOOR_ATOL)


def test_a_flight_does_not_move_the_floor():
    """Two thirds of the clip in the air: on most of it the body is fast, and the ground wins."""
    time = np.arange(T) / 30.0
    hops = np.clip(0.5 - 9.81 / 2 * ((time % 1.0) - 0.32) ** 2, 0.0, None)
    assert (hops > 0.0).mean() > 0.6
    np.testing.assert_allclose(heights(hops, fps=THIRTY), 0.0, atol=0.01)


@pytest.mark.parametrize("height", [-3.0, 0.0, 0.4, 7.0])
def test_floor_moves_with_the_world(height, rng):
    walk = 0.01 * rng.normal(size=(B, T))
    np.testing.assert_allclose(heights(walk + height), heights(walk) + height, atol=FLOOR_ATOL)


def test_floor_of_noise(rng):
    """A standing body that trembles: the floor is the middle of the tremble, not its depth."""
    lowest = TREMBLE_M * rng.normal(size=(B, T))
    np.testing.assert_allclose(heights(lowest, fps=THIRTY), 0.0, atol=TREMBLE_ATOL)
    assert (lowest.min(axis=1) < -2.0 * TREMBLE_ATOL).all()


def test_floor_of_a_climb():
    """A clip may rise by 30 m: the median of its landings is the floor, wherever it lies."""
    stairs = np.where(FRAMES % 4 < 2, 0.0, 0.4) + np.repeat(np.arange(T // 4), 4) * 1.25
    landings = np.sort(stairs)  # at 30 fps each of them is held for a frame at least
    got = heights(stairs, fps=THIRTY)
    np.testing.assert_allclose(got, landings[(T - 1) // 2], atol=FLOOR_ATOL)
    assert got[0] - landings[0] > 10.0


def test_floor_at_any_frame_rate():
    """The same three seconds at four frame rates, steps and hops: one floor."""
    lowest = np.zeros((B, T))
    mask = np.zeros((B, T), bool)
    for b, fps in enumerate((4.0, 8.0, 16.0, 32.0)):
        time = np.arange(int(3 * fps)) / fps
        lowest[b, : len(time)] = 0.3 + np.clip(0.2 * np.sin(2 * np.pi * time), 0.0, None)
        mask[b, : len(time)] = True
    got = heights(lowest, mask, np.array([4.0, 8.0, 16.0, 32.0]))
    np.testing.assert_allclose(got, 0.3, atol=FLOOR_ATOL)


def test_floor_reads_no_padding(rng):
    walk = 0.01 * rng.normal(size=(B, T))
    mask = np.arange(T) < np.array([[T], [50], [2], [1]])
    clean = heights(np.where(mask, walk, 0.0), mask)
    for filler in (np.nan, -np.inf, -100.0, 1e6):
        np.testing.assert_array_equal(heights(np.where(mask, walk, filler), mask), clean)


def test_floor_of_no_frames_is_zero():
    np.testing.assert_array_equal(heights(np.nan, ~ALL), 0.0)


def test_floor_gradient(rng):
    """One on the median frame, zero on all others and on padding: a median's own."""
    mask = np.arange(T) < np.array([[T], [51], [3], [0]])
    real = jnp.asarray(mask)
    walk = np.where(mask, 0.002 * rng.normal(size=(B, T)), np.nan)
    total = jax.jit(jax.grad(lambda lowest: jnp.sum(floor_height(lowest, real, column(THIRTY)))))
    want = mask & (walk.astype(np.float32) == heights(walk, mask, THIRTY)[:, None])
    np.testing.assert_array_equal(want.sum(axis=1), [1, 1, 1, 0])
    np.testing.assert_array_equal(total(jnp.asarray(walk, jnp.float32)), want)


# --- points on links ------------------------------------------------------------------------------


@pytest.mark.parametrize("bodies", [1, B], ids=["one body", "a body a clip"])
def test_points_are_numpys(bodies, rng):
    """Any grouping of points by link, in the order given."""
    links = (2, 2, 0, 3, 3, 3, 2)
    rotation = Rotation.from_quat(rng.normal(size=(4 * B * T, 4))).as_matrix()
    rotation, origin = rotation.reshape(4, B, T, 3, 3), rng.normal(size=(4, B, T, 3))
    local = rng.normal(size=(len(links), bodies, 3))

    def parts(array, rank):
        flat = array.reshape(*array.shape[:-rank], -1)
        return tuple(jnp.asarray(flat[..., c], jnp.float32) for c in range(flat.shape[-1]))

    place: Any = jax.jit(link_points, static_argnames="links")
    got = place(parts(rotation, 2), parts(origin, 1), parts(local[:, :, None], 1), links=links)
    want = np.empty((len(links), B, T, 3))
    for p, b, t in np.ndindex(len(links), B, T):
        here = rotation[links[p], b, t]
        want[p, b, t] = here @ local[p, b % bodies] + origin[links[p], b, t]
    np.testing.assert_allclose(np.stack(got, axis=-1), want, atol=5 * POSITION_ATOL)


# --- loaded steps ---------------------------------------------------------------------------------

LOAD_DEPTH_M = 0.005  # as the kernel says: where a point counts for 1/e of the lowest

steps_of = jax.jit(loaded_steps)


def loaded(x, y, z, touching):
    """Steps of a foot from (P, B, T), as float64 numpy: x, y, length, rise."""
    shape = np.shape(touching)
    points = (jnp.asarray(np.broadcast_to(c, shape), jnp.float32) for c in (x, y, z))
    got = steps_of(*points, jnp.asarray(touching))
    return np.stack([np.asarray(c, np.float64) for c in got])


def test_loaded_step_is_the_lowest_points(rng):
    """By a plain loop over clips and frames; points that touch at one end only do not count."""
    x, y = rng.normal(size=(2, P, B, T))
    z = 0.01 * rng.random((P, B, T))
    touching = rng.random((P, B, T)) < 0.6
    filler = np.where(touching, 0.0, np.nan)
    got = loaded(x + filler, y + filler, z + filler, touching)
    for b, t in np.ndindex(B, T - 1):
        both = touching[:, b, t] & touching[:, b, t + 1]
        want = np.array([0.0, 0.0, np.inf])
        if both.any():
            height = 0.5 * (z[both, b, t] + z[both, b, t + 1])
            weight = np.exp(-(height - height.min()) / LOAD_DEPTH_M)
            step = [np.average((c[:, b, t + 1] - c[:, b, t])[both], weights=weight) for c in (x, y)]
            want = np.r_[step, np.hypot(*step)]
        np.testing.assert_allclose(got[:3, b, t], want, atol=5 * POSITION_ATOL)
        ends = [z[touching[:, b, k], b, k] for k in (t, t + 1)]
        if all(map(len, ends)):
            rise = ends[1].min() - ends[0].min()
            np.testing.assert_allclose(got[3, b, t], rise, atol=POSITION_ATOL)


def test_points_that_move_together_are_one_step():
    """Ties are averaged, not summed: a sole that slides whole moves once."""
    x = np.broadcast_to(0.25 * np.arange(T), (P, B, T))
    got = loaded(x, 0.0, 0.0, np.ones((P, B, T), bool))
    np.testing.assert_allclose(got[[0, 2]], 0.25, rtol=1e-6)
    np.testing.assert_array_equal(got[[1, 3]], 0.0)


def test_step_gradient_is_finite():
    """At rest, where the square root has none, and for points that do not touch."""
    touching = np.arange(P)[:, None, None] < np.array([0, 1, 3, P])[:, None] * np.ones(T)

    def total(x):
        steps = loaded_steps(x, x, x, jnp.asarray(touching))
        return jnp.sum(jnp.where(jnp.isfinite(steps.length), steps.length, 0.0)) + jnp.sum(steps.x)

    slope = np.asarray(jax.jit(jax.grad(total))(jnp.zeros((P, B, T))))
    assert np.isfinite(slope).all()
    assert (slope[~touching] == 0.0).all()


# --- slides ---------------------------------------------------------------------------------------


@jax.jit
def two_feet(x, y, z, touching, fps):
    feet = [loaded_steps(x[f], y[f], z[f], touching[f]) for f in range(2)]
    return stance_slides(feet, fps, SWING_M_S, LANDING_M_S)


def slides(x, y, touching, fps=FPS, z: Any = 0.0) -> np.ndarray:
    """How far both feet have slid, (2, B, T), from points that broadcast to (2, P, B, T)."""
    shape = (2, P, B, T)
    x, y, z = (jnp.asarray(np.broadcast_to(c, shape), jnp.float32) for c in (x, y, z))
    touching = jnp.asarray(np.broadcast_to(touching, shape))
    return np.asarray(two_feet(x, y, z, touching, column(fps)), np.float64)


def pair(left, right) -> np.ndarray:
    """Values of the left and the right foot, broadcast to all their points."""
    return np.stack([np.broadcast_to(v, (P, B, T)) for v in (left, right)])


STILL = np.zeros((P, B, T))


def numpy_slides(feet_x, feet_y, lengths, *, fps):
    """The definition as a loop: feet_x, feet_y and lengths are (2, T-1) of one clip."""
    sums, out = np.zeros((2, 2)), np.zeros((2, T))
    for t in range(T - 1):
        limit = lengths[:, t].min() + SWING_M_S / fps
        for f in range(2):
            if np.isfinite(lengths[f, t]) and lengths[f, t] <= limit:
                sums[f] += feet_x[f, t], feet_y[f, t]
            else:
                sums[f] = 0.0
            out[f, t + 1] = np.hypot(*sums[f])
    return out


def test_slides_are_the_definitions(rng):
    """Random walks of six points a foot at around the standing speed, by a plain loop."""
    walk = np.cumsum(rng.normal(size=(2, 2, P, B, T)) * 0.6 / FPS[:, None], axis=-1)
    touching = rng.random((2, P, B, T)) < 0.4
    got = slides(walk[0], walk[1], touching)
    steps = np.stack([loaded(walk[0, f], walk[1, f], 0.0, touching[f]) for f in range(2)], axis=1)
    want = [numpy_slides(*steps[:3, :, b], fps=FPS[b]) for b in range(B)]
    np.testing.assert_allclose(got, np.stack(want, axis=1), atol=SLIDE_ATOL)
    assert got.max() > 0.02


def test_a_rolling_foot_slides_nowhere():
    """Heel to toe: each point moves before it touches and after it lifts, never between."""
    phase = (FRAMES / T)[None, None] - np.linspace(0.0, 0.6, P)[:, None, None]
    touching = (phase > 0.0) & (phase < 0.35)
    x = np.linspace(0.0, 0.25, P)[:, None, None] + np.where(touching, 0.0, 3.0 * phase)
    assert touching.any(axis=0).mean() > 0.9
    got = slides(pair(x, 0.0), 0.0, pair(touching, False))
    np.testing.assert_allclose(got, 0.0, atol=SLIDE_ATOL)


def test_a_pivot_slides_nowhere():
    """A foot that turns on its ball, its heel raised, touches with all points; one stays."""
    turn = 2.0 * np.pi * FRAMES / T
    radius = np.linspace(0.0, 0.25, P)[:, None, None]
    got = slides(
        pair(radius * np.cos(turn), 0.0),
        pair(radius * np.sin(turn), 0.0),
        pair(True, False),
        z=pair(radius, 0.0),
    )
    # The next point, 5 cm off, counts for e^-10 of the ball.
    np.testing.assert_allclose(got, 0.0, atol=1e-4)


@pytest.mark.parametrize("speed", [0.2, 1.0], ids=["slower than a standing foot", "faster"])
def test_skating_slides_as_far_as_it_goes(speed):
    """Both feet at once, at 16 to 120 fps: v t on every frame, in any direction."""
    path = speed * FRAMES / FPS[:, None]
    got = slides(0.6 * path, 0.8 * path, True)
    np.testing.assert_allclose(got, np.broadcast_to(path, got.shape), atol=SLIDE_ATOL)


@pytest.mark.parametrize("speed", [0.3, 0.5, 2.0])
def test_skating_with_noise_slides_no_less(speed, rng):
    """Feet that skate and tremble do not take turns in standing: v t, whatever v, but for 1 mm."""
    path = speed * FRAMES / FPS[:, None]
    noise = np.repeat(0.0005 * rng.uniform(-1.0, 1.0, size=(2, 1, B, T)), P, axis=1)
    got = slides(path + noise, 0.0, True)
    np.testing.assert_allclose(got, np.broadcast_to(path, got.shape), atol=0.001 + SLIDE_ATOL)


def test_a_swing_foot_close_to_the_floor_does_not_stand():
    """It passes within touching height at 2 m/s while the other foot stands."""
    swing = 2.0 * FRAMES / FPS[:, None]
    got = slides(pair(STILL, swing), 0.0, True)
    np.testing.assert_array_equal(got, 0.0)


def test_a_foot_that_comes_down_does_not_stand_yet():
    """It swings at 3 m/s through the last 5 cm at 0.5 m/s, lands and stays: no slide."""
    time = FRAMES / FPS[:, None]
    fall = np.maximum(0.5 * (0.4 - time), 0.0)
    x = np.where(fall > 0.0, 3.0 * time, 3.0 * 0.4)
    got = slides(pair(x, 0.0), 0.0, pair(fall < 0.05, False), z=pair(fall, 0.0))
    # Of the 0.3 m that it comes through, the step that ends on the floor counts half at most: if
    # less than half of it falls, it falls too slowly to be told from standing.
    np.testing.assert_array_less(got.max(axis=(0, 2)), 0.5 * 3.0 / FPS + SLIDE_ATOL)


def test_one_skating_foot_in_the_air_otherwise():
    """With the other foot up, the foot that touches carries the body: it slides, however fast."""
    path = 2.0 * FRAMES / FPS[:, None]
    got = slides(pair(path, STILL), 0.0, pair(True, False))
    np.testing.assert_allclose(got[0], np.broadcast_to(path, (B, T)), atol=SLIDE_ATOL)
    np.testing.assert_array_equal(got[1], 0.0)


def test_noise_does_not_add_up(rng):
    """A foot that trembles by 1 mm has never slid farther than its tremble reaches."""
    x, y = np.repeat(0.001 * rng.normal(size=(2, 2, 1, B, T)), P, axis=2)
    got = slides(x, y, True, THIRTY)
    reach = np.hypot(x - x[..., :1], y - y[..., :1])[:, 0]
    np.testing.assert_allclose(got, reach, atol=SLIDE_ATOL)
    assert got.max() < 0.01 < 0.001 * T


def test_twice_the_frame_rate_slides_as_far():
    """One skid of 0.7 s that slows down, at 30, 60 and 120 fps, seen at the same moments."""
    got = []
    for fps in (30.0, 60.0, 120.0):
        time = FRAMES / fps
        x = np.where(time < 0.7, time * (1.4 - time), 0.49)
        got.append(slides(x, 0.0, True, np.full(B, fps))[0, 0, :: round(fps / 30.0)][:22])
    np.testing.assert_allclose(got[1], got[0], atol=SLIDE_ATOL)
    np.testing.assert_allclose(got[2], got[0], atol=SLIDE_ATOL)
    np.testing.assert_allclose(got[0][-1], 0.49, atol=SLIDE_ATOL)


def test_lift_off_starts_over():
    """A new stance has slid nowhere: the sum ends with the contact."""
    path = 0.3 * FRAMES / FPS[:, None]
    down = ~np.isin(FRAMES, [40, 41, 70])
    got = slides(path, 0.0, np.broadcast_to(down, (B, T)))[0]
    since = np.zeros(T)
    for t in range(1, T):
        since[t] = since[t - 1] + 1 if down[t] and down[t - 1] else 0
    np.testing.assert_allclose(got, 0.3 * since / FPS[:, None], atol=SLIDE_ATOL)


def test_slides_read_no_padding(rng):
    """A clip has slid as far with padding of NaN, which does not touch, as alone."""
    x, y = np.cumsum(rng.normal(size=(2, 2, P, B, T)) * 0.01, axis=-1)
    mask = FRAMES < np.array([[T], [50], [2], [0]])
    clean = slides(np.where(mask, x, 0.0), np.where(mask, y, 0.0), mask)
    hidden = slides(np.where(mask, x, np.nan), np.where(mask, y, np.nan), mask)
    np.testing.assert_array_equal(hidden, clean)
    np.testing.assert_array_equal(clean[:, ~mask], 0.0)
    whole = slides(x, y, True)
    np.testing.assert_allclose(clean[:, mask], whole[:, mask], atol=SLIDE_ATOL)


def test_slide_gradient_is_finite(rng):
    """At rest, in a skid, and where nothing touches."""
    x = jnp.asarray(np.stack([STILL, np.cumsum(rng.normal(size=(P, B, T)), axis=-1)]), jnp.float32)
    touching = jnp.asarray(rng.random((2, P, B, T)) < 0.5)
    slope = jax.jit(
        jax.grad(lambda x: sum(jnp.sum(s) for s in two_feet(x, x, x, touching, column())))
    )
    assert np.isfinite(np.asarray(slope(x))).all()
