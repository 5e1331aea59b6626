"""Contact forces in Coulomb cones: against NNLS, their optimality, known answers and laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls

from phymotion_jax.kernels.ground_forces import GroundForces, ground_forces
from phymotion_jax.kernels.small_solve import solve_symmetric

P, T = 16, 256  # one shape for all, so that the kernel is compiled once: 12 families of T frames
FRICTION, LENGTH, SOFTNESS = 0.8, 0.3, 0.02

ATOL = 1e-3  # of the load: float32 sums, and the few frames whose last corner comes at step 13
ATOL_F64 = 1e-9  # of the load: float64, over the softness
ATOL_ORACLE = 1.5e-3  # of the load: the oracle's 360 flat sides; with 1440 it is 5e-4
ATOL_SAME = 5e-5  # of the load: float32 sums in another order, through steps that amplify them
FEW = 1e-3  # share of frames that 12 steps may leave off by more; some 1e-4 were seen
RTOL_SLOPE = 1e-5  # central differences with steps of 1e-6 in float64
RTOL_SOLVE = 1e-4  # float32 elimination with a condition of 1e3


def feet(rng, n=T):
    """Soles of 26 x 10 cm, one metre under the centre of mass, some decimetres apart."""
    sole = rng.uniform(-1.0, 1.0, (n, 2, P // 2, 3)) * [0.13, 0.05, 0.01]
    middle = rng.normal(size=(n, 2, 1, 3)) * [0.2, 0.2, 0.0] + [0.0, 0.0, -0.9]
    return (sole + middle).reshape(n, P, 3)


def load(rng, spread, lift=1.0, n=T):
    """Wrenches about a body's weight."""
    noise = rng.normal(size=(n, 6)) * [0.2, 0.2, 0.3, 0.1, 0.1, 0.03]
    return [0.0, 0.0, lift, 0.0, 0.0, 0.0] + spread * noise


def only(rng, *weights):
    """Weights of the first points, zero for the others."""
    return np.tile(np.pad(np.array(weights), (0, P - len(weights))), (T, 1))


def some(rng):
    return rng.uniform(0.0, 1.0, (T, P))


FAMILIES = {  # name -> (points, weights, wrenches)
    "feet": lambda rng: (feet(rng), some(rng), load(rng, 1.0)),
    "feet, far loads": lambda rng: (feet(rng), some(rng), load(rng, 5.0)),
    "few points": lambda rng: (feet(rng), rng.integers(0, 2, (T, P)) * 1.0, load(rng, 2.0)),
    "uneven weights": lambda rng: (feet(rng), 10.0 ** rng.uniform(-6, 0, (T, P)), load(rng, 2.0)),
    "one foot": lambda rng: (feet(rng), only(rng, *np.ones(P // 2)), load(rng, 1.0)),
    "cloud": lambda rng: (0.2 * rng.normal(size=(T, P, 3)), some(rng), load(rng, 5.0, 0.0)),
    "one point": lambda rng: (feet(rng), only(rng, 1.0), load(rng, 1.0)),
    "two points": lambda rng: (feet(rng), only(rng, 0.3, 1.0), load(rng, 1.0)),
    "pulled down": lambda rng: (feet(rng), some(rng), load(rng, 2.0, -1.0)),
    "sideways": lambda rng: (feet(rng), some(rng), load(rng, 1.0) + np.eye(6)[0] * 3.0),
    "moments": lambda rng: (feet(rng), some(rng), load(rng, 20.0, 0.0) * [0, 0, 0, 1, 1, 1]),
    "nothing touches": lambda rng: (feet(rng), np.zeros((T, P)), load(rng, 1.0)),
}
FRAMES = T * len(FAMILIES)


def all_families():
    """Every family, a clip each; the same in all tests."""
    rng = np.random.default_rng(7)
    return tuple(np.concatenate(c) for c in zip(*(f(rng) for f in FAMILIES.values()), strict=True))


def as_arrays(points, weights, needed, dtype):
    """The kernel's arguments, from frames first; filled up with zeros to the one shape."""
    fill = [(0, FRAMES - len(points))]
    full = [np.pad(c, fill + [(0, 0)] * (c.ndim - 1)) for c in (points, weights, needed)]
    points, weights, needed = (np.moveaxis(c.astype(dtype), 0, -1) for c in full)
    split = lambda c: c.reshape(*c.shape[:-1], len(FAMILIES), T)  # noqa: E731
    vec = lambda c: tuple(split(c[k]) for k in range(3))  # noqa: E731
    return vec(np.moveaxis(points, 1, 0)), split(weights), vec(needed[:3]), vec(needed[3:])


def as_frames(out: GroundForces, count):
    """Forces (n, P, 3) and residual wrenches (n, 6) in float64."""
    forces = np.stack(out.forces, axis=-1).reshape(P, -1, 3).swapaxes(0, 1)
    residual = np.stack([*out.residual_force, *out.residual_moment], axis=-1).reshape(-1, 6)
    return forces[:count].astype(np.float64), residual[:count].astype(np.float64)


def solve(points, weights, needed, dtype: type = np.float32, friction=FRICTION):
    with jax.enable_x64(dtype is np.float64):
        args = jax.device_put(as_arrays(points, weights, needed, dtype))
        out = ground_forces(*args, friction, LENGTH, SOFTNESS)
        assert all(c.dtype == dtype for c in jax.tree.leaves(out))
        return as_frames(out, len(points))


def metric(wrenches):
    """Length of wrenches, moments over the length that puts them on a par with forces."""
    return np.linalg.norm(wrenches / ([1.0] * 3 + [LENGTH] * 3), axis=-1)


def wrench(points, forces):
    return np.concatenate([forces.sum(axis=1), np.cross(points, forces).sum(axis=1)], axis=1)


def oracle(points, weights, needed, friction=FRICTION, sides=360):
    """The same minimum by NNLS, over shares of the edges of a cone with flat sides."""
    angle = 2.0 * np.pi * np.arange(sides) / sides
    edges = np.stack([friction * np.cos(angle), friction * np.sin(angle), np.ones(sides)], axis=1)
    touching = np.flatnonzero(weights > 0.0)
    forces = np.zeros_like(points)
    if touching.size:
        unit = np.array([1.0] * 3 + [1.0 / LENGTH] * 3)
        per_edge = [np.hstack([edges, np.cross(points[i], edges)]).T for i in touching]
        rows = np.kron(np.diag(np.sqrt(SOFTNESS / weights[touching])), edges.T)
        matrix = np.vstack([unit[:, None] * np.hstack(per_edge), rows])
        shares, _ = nnls(matrix, np.concatenate([unit * needed, np.zeros(len(rows))]))
        forces[touching] = shares.reshape(touching.size, sides) @ edges
    return needed - wrench(points[None], forces[None])[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_matches_nnls(dtype):
    """On every 32nd frame of each family: the residual, and so what is carried."""
    frames = [c[::32] for c in all_families()]
    _, residual = solve(*frames, dtype=dtype)
    want = np.array([oracle(*frame) for frame in zip(*frames, strict=True)])
    assert (metric(residual - want) <= ATOL_ORACLE * metric(frames[2])).all()
    assert metric(want[: T // 32]).min() < 0.1  # some of the loads can be carried


def violations(points, weights, needed, friction, dtype):
    """How far each frame is from the conditions for a minimum, as shares of the load.

    With s = softness f / w - the pull of the residual at the point: f in the cone, s in its dual,
    and the two at right angles; twice the last, in sum, is what the minimum could gain.
    """
    forces, residual = solve(points, weights, needed, dtype, friction)
    lever = np.cross(residual[:, None, 3:] / LENGTH**2, points)
    w = weights[..., None]
    s = SOFTNESS * forces / np.where(w > 0.0, w, np.inf) - residual[:, None, :3] - lever
    outside = np.hypot(s[..., 0], s[..., 1]) * friction - s[..., 2]
    outside = np.where(weights > 0.0, outside, 0.0).max(axis=1)
    size = metric(needed)
    gain = np.abs((forces * s).sum(axis=(1, 2)))
    closed = metric(wrench(points, forces) + residual - needed)
    return np.stack([outside / size, gain / size**2, closed / size])


@pytest.mark.parametrize("friction", [0.3, FRICTION])
def test_is_the_minimum(friction):
    off = violations(*all_families(), friction, np.float32)  # pyright: ignore[reportCallIssue]
    assert (off > ATOL).any(axis=0).mean() <= FEW
    assert off.max() < 0.1


def test_is_the_minimum_in_float64():
    off = violations(*all_families(), FRICTION, np.float64)  # pyright: ignore[reportCallIssue]
    assert (off > ATOL_F64).any(axis=0).mean() <= FEW


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_forces_stay_in_the_cone(dtype):
    """Exactly, not but for rounding; and those without weight are exactly zero."""
    points, weights, needed = all_families()
    forces, residual = solve(points, weights, needed, dtype)
    assert (np.hypot(forces[..., 0], forces[..., 1]) <= FRICTION * forces[..., 2]).all()
    assert (forces[weights == 0.0] == 0.0).all()
    # Never worse than no forces at all.
    assert (metric(residual) <= metric(needed) * (1.0 + ATOL_SAME)).all()


def standing(shift=0.0, apart=0.1):
    """Two feet of eight points, 20 cm apart, the centre of mass `shift` to the left of the middle.

    The eight stand on the edges of a sole of 20 x 8 cm.
    """
    x = np.tile(np.linspace(-0.1, 0.1, 4), 4)
    y = np.repeat([apart - 0.04, apart + 0.04, -apart - 0.04, -apart + 0.04], 4)
    return np.stack([x, y - shift, np.full(P, -1.0)], axis=1)


UP = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
LEFT = slice(0, P // 2)


def solve_one(points, weights, needed):
    forces, residual = solve(points[None], weights[None], needed[None])
    return forces[0], residual[0]


@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_standing(weight):
    """Each foot takes half, and softness / (softness + Σ w) of the weight is left over."""
    forces, residual = solve_one(standing(), np.full(P, weight), UP)
    np.testing.assert_allclose(forces[LEFT, 2].sum(), 0.5, atol=0.01)
    want = SOFTNESS / (SOFTNESS + weight * P) * UP
    np.testing.assert_allclose(residual, want, atol=ATOL_SAME)
    assert residual[2] < 0.01


@pytest.mark.parametrize("shift", [0.02, 0.05, -0.07])
def test_inside_the_cones_the_answer_is_linear(shift):
    """Ridge regression of the wrench on the forces, while every one of them sticks and presses."""
    points = standing(shift)
    forces, residual = solve_one(points, np.ones(P), UP)
    per_point = [np.vstack([np.eye(3), np.cross(p, np.eye(3)).T]) for p in points]
    effect = np.hstack(per_point)
    ridge = np.diag([SOFTNESS] * 3 + [SOFTNESS * LENGTH**2] * 3)
    want = effect.T @ np.linalg.solve(ridge + effect @ effect.T, UP)
    assert (want[2::3] > 0.0).all()
    np.testing.assert_allclose(forces.ravel(), want, atol=ATOL_SAME)
    np.testing.assert_allclose(residual, UP - effect @ want, atol=ATOL_SAME)
    # The softness leaves moments over; forces still lie on the side of the centre of mass.
    assert np.sign(forces[LEFT, 2].sum() - 0.5) == np.sign(shift)


def test_centre_of_pressure_stops_at_the_edge():
    """Leaning 20 cm past the outer edge of the left foot: all on that edge, and much left over.

    Not of the moment alone: friction a metre below holds it, for a horizontal force that is then
    one too many.
    """
    points = standing(shift=0.14 + 0.2)
    forces, residual = solve_one(points, np.ones(P), UP)
    pressure = points[:, 1] @ forces[:, 2] / forces[:, 2].sum()
    np.testing.assert_allclose(pressure, -0.2, atol=0.002)
    assert forces[points[:, 1] < -0.21, 2].sum() < ATOL
    assert metric(residual) > 0.1


def test_single_point_under_the_centre_of_mass():
    """w / (w + softness) of the projection on the cone: sticking, sliding, and pulled down."""
    demand = np.array([[0.3, 0.0, 1.0], [0.0, -2.0, 1.0], [0.6, 0.8, -0.7], [0.1, 0.0, -1.0]])
    slide = (1.0 + FRICTION * 2.0) / (1.0 + FRICTION**2)
    edge = (-0.7 + FRICTION) / (1.0 + FRICTION**2)
    want = [
        [0.3, 0.0, 1.0],
        [0.0, -FRICTION * slide, slide],
        [0.6 * FRICTION * edge, 0.8 * FRICTION * edge, edge],
        [0.0, 0.0, 0.0],
    ]
    weights = np.pad(np.full((4, 1), 0.7), ((0, 0), (0, P - 1)))
    forces, residual = solve(np.zeros((4, P, 3)), weights, np.pad(demand, ((0, 0), (0, 3))))
    want = np.array(want) * 0.7 / (0.7 + SOFTNESS)
    np.testing.assert_allclose(forces[:, 0], want, atol=ATOL_SAME)
    np.testing.assert_allclose(residual[:, :3], demand - want, atol=ATOL_SAME)


def test_all_is_left_over():
    """Where nothing touches, and where the floor would have to pull. No load, no forces."""
    cases = [(np.zeros(P), UP), (np.ones(P), -UP), (np.ones(P), 0.0 * UP)]
    for weights, needed in cases:
        forces, residual = solve_one(standing(), weights, needed)
        np.testing.assert_array_equal(forces, 0.0)
        np.testing.assert_array_equal(residual, needed)


def same(got, want, needed):
    """Forces, through the wrench that they carry, and residuals agree to ATOL_SAME of the load.

    The frames that ended before the minimum may differ by more.
    """
    close = metric(got - want) <= ATOL_SAME * metric(needed)
    assert close.mean() >= 1.0 - FEW, metric(got - want).max()


@pytest.mark.parametrize("factor", [1e-6, 8.0, 1e6])
def test_scaling_the_load_scales_the_answer(factor):
    points, weights, needed = all_families()
    forces, residual = solve(points, weights, needed)
    more_forces, more_residual = solve(points, weights, factor * needed)
    same(more_residual / factor, residual, needed)
    same(wrench(points, more_forces) / factor, wrench(points, forces), needed)


def test_turning_the_world_turns_the_answer():
    c, s = np.cos(2.1), np.sin(2.1)
    turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    points, weights, needed = all_families()
    forces, residual = solve(points, weights, needed)
    turned = np.hstack([needed[:, :3] @ turn, needed[:, 3:] @ turn])
    turned_forces, turned_residual = solve(points @ turn, weights, turned)
    back = np.hstack([turned_residual[:, :3] @ turn.T, turned_residual[:, 3:] @ turn.T])
    same(back, residual, needed)
    same(wrench(points, turned_forces @ turn.T), wrench(points, forces), needed)


def test_order_does_not_matter(rng):
    points, weights, needed = all_families()
    rows, frames = rng.permutation(P), rng.permutation(FRAMES)
    forces, residual = solve(points, weights, needed)
    other = solve(points[frames][:, rows], weights[frames][:, rows], needed[frames])
    same(other[1], residual[frames], needed[frames])
    same(
        wrench(points[frames], other[0][:, np.argsort(rows)]),
        wrench(points, forces)[frames],
        needed[frames],
    )


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e30])
def test_padding_does_not_matter(junk):
    points, weights, needed = all_families()
    want = solve(points, weights, needed)
    got = solve(np.where(weights[..., None] > 0.0, points, junk), weights, needed)
    np.testing.assert_array_equal(got[0], want[0])
    np.testing.assert_array_equal(got[1], want[1])


def test_a_spoilt_frame_spoils_no_other():
    points, weights, needed = all_families()
    want = solve(points, weights, needed)
    needed[::7] = np.nan
    got = solve(points, weights, needed)
    sound = np.arange(FRAMES) % 7 > 0
    np.testing.assert_array_equal(got[1][sound], want[1][sound])
    assert np.isnan(got[1][~sound]).all()


@jax.jit
def score(args, mix):
    """A number a frame that depends on everything that comes out."""
    out = ground_forces(*args, FRICTION, LENGTH, SOFTNESS)
    total = sum(
        m * c for m, c in zip(mix, (*out.residual_force, *out.residual_moment), strict=True)
    )
    return total + sum(jnp.sum(c**2, axis=0) for c in out.forces)


@jax.jit
def gradient(args, mix):
    return jax.grad(lambda a: jnp.sum(score(a, mix)))(args)


def test_gradient_is_finite():
    """Also at the tip of the cone, on its edge, without load and where nothing touches."""
    points, weights, needed = all_families()
    points[0], weights[:8], needed[::5] = 0.0, 1.0, 0.0
    needed[1::5] = UP
    args = jax.device_put(as_arrays(points, weights, needed, np.float32))
    by_points, by_weight, *_ = by_all = gradient(args, (1.0,) * 6)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(by_all))
    assert all((np.asarray(c)[args[1] == 0.0] == 0.0).all() for c in (*by_points, by_weight))


def test_gradient_is_the_slope(rng):
    """Along a random change of everything, against differences, where two of these agree."""
    with jax.enable_x64(True):
        args = jax.device_put(as_arrays(*all_families(), dtype=np.float64))
        mix = tuple(rng.normal(size=6))
        way = jax.tree.map(lambda c: rng.normal(size=c.shape) * (np.asarray(c) != 0.0) * c, args)
        at = lambda h: score(jax.tree.map(lambda c, d: c + h * d, args, way), mix)  # noqa: E731
        coarse, fine = ((at(h) - at(-h)) / (2.0 * h) for h in (2e-6, 1e-6))
        _, slope = jax.jvp(lambda a: score(a, mix), (args,), (way,))
        by_all = gradient(args, mix)
    both = jax.tree.map(np.asarray, (fine, coarse, slope, by_all, way))
    fine, coarse, slope, by_all, way = both
    size = 1.0 + np.abs(fine)
    smooth = np.abs(coarse - fine) <= RTOL_SLOPE * size
    assert smooth.mean() > 0.99
    off = np.abs(slope - fine) > RTOL_SLOPE * size
    assert (off & smooth).mean() <= FEW
    whole = sum(
        np.sum(np.asarray(g) * d) for g, d in zip(*map(jax.tree.leaves, (by_all, way)), strict=True)
    )
    np.testing.assert_allclose(whole, np.sum(slope), rtol=RTOL_SLOPE)


def test_solve_symmetric(rng):
    half = rng.normal(size=(32, 6, 6))
    matrix, rhs = half @ half.swapaxes(1, 2) + np.eye(6), rng.normal(size=(32, 6))
    lower = [[jnp.asarray(matrix[:, i, j], jnp.float32) for j in range(i + 1)] for i in range(6)]
    got = np.stack(solve_symmetric(lower, list(jnp.asarray(rhs.T, jnp.float32))), axis=1)
    want = np.linalg.solve(matrix, rhs[..., None])[..., 0]
    np.testing.assert_allclose(got, want, rtol=RTOL_SOLVE, atol=RTOL_SOLVE)
