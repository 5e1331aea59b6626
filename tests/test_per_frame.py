"""GPU kernels, run by Pallas' interpreter, against the same steps as plain XLA."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.spatial.transform import Rotation

from phymotion_jax.dynamics import GRAVITY, _as_sums
from phymotion_jax.kernels.boxes import Boxes
from phymotion_jax.kernels.capsule_overlap import overlap_pallas, overlap_xla
from phymotion_jax.kernels.dynamics_frame import Body, Joints, dynamics_pallas
from phymotion_jax.kernels.ground_forces import Contacts, solve_pallas, solve_xla
from phymotion_jax.kernels.hull_pairs import Links, near_pallas, near_xla, words_of
from phymotion_jax.kernels.hull_search import NOTHING_M, Hulls, walk_pallas, walk_xla
from phymotion_jax.kernels.per_frame import Memory, per_frame
from phymotion_jax.kernels.pooling import pool_pallas, pool_xla
from phymotion_jax.kernels.pushes import Links as Places
from phymotion_jax.kernels.pushes import Pushes, moments_pallas, moments_xla
from phymotion_jax.kernels.smoother import gains_of, gains_pallas, noise_pallas, noise_xla
from phymotion_jax.kernels.support import nearest_edge_pallas, nearest_edge_xla

CLIPS, FRAMES = 3, 100  # no multiple of the 32 frames of a program
ATOL_TWIST = 1e-4  # of the largest: sums in another order, through steps that amplify them
ATOL_OF_LARGEST = 1e-5  # float32 sums in another order
ATOL_NOISE = 1e-5  # of values of some units: float32 products, fused or not
ATOL_CAPSULES_M = 1e-6  # of places metres large: a few roundings
ATOL_M = 1e-5  # of depths of hulls decimetres large: a few roundings
SAME_WALKS = 0.93  # share: roundings send walks on boxes to other faces; 0.92 are float64's


def arrays(rng, *shape):
    return tuple(jnp.asarray(rng.normal(size=(*shape, CLIPS, FRAMES)), jnp.float32) for _ in "xyz")


def test_rows_numbers_and_tables(rng):
    """The last program is not full, a row may be traced, and clips may share their rows. Rows that
    are active nowhere in a block are left out, those that are somewhere are not."""
    x, _, z = arrays(rng, 5)
    shared = z[:, :1]
    table = jnp.asarray(rng.normal(size=7), jnp.float32)
    place = jnp.asarray(rng.integers(0, 7, (1, CLIPS, FRAMES)), jnp.int32)

    def program(memory: Memory):
        rows = memory.rows
        total = memory.fold(lambda i, s: s + rows(0, i) * rows(1, i), 0.0 * rows(0, 0))
        memory.store(0, 0, memory.numbers[0] * total)
        memory.store(0, 1, memory.look_up(0, rows(2, 0)))
        memory.store(1, 0, rows(2, 0))
        memory.store(0, 2, memory.result(0, 0) + 1.0)

    active = jnp.asarray(rng.random(x.shape) < 0.02)
    x = jnp.where(active, x, 0.0)
    run = partial(
        *(per_frame, program, (x, shared, place), [(3, jnp.float32), (1, jnp.int32)]),
        numbers=(2.0,),
        tables=(table,),
        interpret=True,
    )
    got, same = run(active=active)
    none, _ = run(active=x > 9.0)
    np.testing.assert_array_equal(none[0], 0.0)
    np.testing.assert_allclose(got[0], 2.0 * (x * shared).sum(axis=0), atol=1e-5)
    np.testing.assert_array_equal(got[1], table[place[0]])
    np.testing.assert_array_equal(got[2], got[0] + 1.0)
    np.testing.assert_array_equal(same, place)


def test_ground_forces(rng):
    """Feet a metre under the centre of mass, some points in the air, NaN where they are."""
    x, y, z = arrays(rng, 8)
    points = 0.3 * x, 0.3 * y, 0.01 * z - 0.9
    weight = jnp.maximum(arrays(rng, 8)[0], 0.0)
    points = tuple(jnp.where(weight > 0.0, c, jnp.nan) for c in points)
    force, moment = arrays(rng), arrays(rng)
    needed = (*force[:2], force[2] + 1.0, *(0.2 * c for c in moment))
    inputs = Contacts(points, weight), needed, (0.8, 0.3, 0.01)  # pyright: ignore
    want = np.stack(jax.jit(solve_xla)(*inputs))
    got = np.stack(jax.jit(partial(solve_pallas, interpret=True))(*inputs))
    assert np.abs(want).max() > 1.0
    np.testing.assert_allclose(got, want, atol=ATOL_TWIST * np.abs(want).max())


@pytest.mark.parametrize("bodies", [1, CLIPS])
def test_dynamics(bodies, rng):
    """A tree of nine links, with bodies of their own and one for all."""
    parents = (-1, 0, 0, 0, 1, 2, 2, 4, 4)

    def some(n, *shape):
        return tuple(jnp.asarray(rng.normal(size=(9, *shape)), jnp.float32) for _ in range(n))

    own = (bodies, 1)
    body = Body(some(3, *own), abs(some(1, *own)[0]), some(3, *own), some(6, *own))  # pyright: ignore
    quat = some(4, CLIPS, FRAMES)
    size = sum(c * c for c in quat) ** 0.5
    quat, rates = tuple(c / size for c in quat), [some(3, CLIPS, FRAMES) for _ in range(2)]
    joints = Joints(quat, rates[0], rates[1], arrays(rng, 1))  # pyright: ignore
    want = jax.jit(partial(_as_sums, parents))(body, joints)
    got = jax.jit(partial(dynamics_pallas, parents, GRAVITY, interpret=True))(body, joints)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL_OF_LARGEST * np.abs(b).max())


def test_pooled_contacts(rng):
    """Groups of one and of several points; one group touches nowhere."""
    points = tuple(0.1 * c for c in arrays(rng, 12))
    weight = jnp.clip(arrays(rng, 12)[0], 0.0, 1.0).at[3:6].set(0.0)
    inputs = points, weight, arrays(rng)
    want = jax.jit(partial(pool_xla, (3, 3, 1, 5)))(*inputs)
    got = jax.jit(partial(pool_pallas, (3, 3, 1, 5), interpret=True))(*inputs)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL_OF_LARGEST * np.abs(b).max())


def test_moments_left(rng):
    """A tree of nine links, some of which are pushed twice, some not at all, in no order."""
    parents, owners = (-1, 0, 0, 0, 1, 2, 2, 4, 4), (4, 4, 8, 0, 6, 2)
    turn = Rotation.random(9 * CLIPS * FRAMES, rng=rng).as_matrix()
    turn = jnp.asarray(turn.reshape(9, CLIPS, FRAMES, 9), jnp.float32)
    links = Places(tuple(jnp.moveaxis(turn, -1, 0)), arrays(rng, 9))  # pyright: ignore
    newtons = 700.0 + 100.0 * arrays(rng)[0][:, :1]
    pushes = Pushes(arrays(rng, 6), arrays(rng, 6), arrays(rng), newtons)  # pyright: ignore
    inputs = links, tuple(100.0 * c for c in arrays(rng, 9)), pushes
    want = jax.jit(partial(moments_xla, parents, owners))(*inputs)
    got = jax.jit(partial(moments_pallas, parents, owners, interpret=True))(*inputs)
    assert np.abs(want[0] - inputs[1][0])[3].max() == 0.0  # a leaf without a push
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL_OF_LARGEST * np.abs(b).max())


def test_low_pass(rng):
    """Two runs with a gap between, one clip at a cut-off of its own; NaN on padding."""
    mask = jnp.ones((CLIPS, FRAMES), bool).at[1, 40:45].set(False).at[2, 90:].set(False)
    values = jnp.where(mask, jnp.cumsum(arrays(rng, 5)[0], axis=-1), jnp.nan)
    values = jnp.moveaxis(values, -1, 0)  # T C B
    pair = mask.T & jnp.pad(mask.T[:-1], ((1, 0), (0, 0)))
    triple = pair & jnp.pad(pair[:-1], ((1, 0), (0, 0)))
    known = jnp.asarray([0.1, 0.01, 1.0]), pair, triple
    gains = jax.jit(gains_of)(*known)
    want = jax.jit(noise_xla)(values, gains)
    for a, b in zip(jax.jit(partial(gains_pallas, interpret=True))(*known), gains, strict=True):
        np.testing.assert_allclose(a, b, atol=ATOL_NOISE)
    got = jax.jit(partial(noise_pallas, interpret=True))(values, gains)
    assert np.abs(want).max() > 0.3
    np.testing.assert_allclose(got, want, atol=ATOL_NOISE)


def test_nearest_edge(rng):
    """The same comparisons of the same numbers: bit by bit."""
    x, y, query = arrays(rng, 20)[0], arrays(rng, 20)[0], arrays(rng)[:2]
    inputs = query, (x, y), jnp.asarray(rng.random(x.shape) < 0.3)
    want = jax.jit(nearest_edge_xla)(*inputs)
    got = jax.jit(partial(nearest_edge_pallas, interpret=True))(*inputs)
    assert 0 < np.sum(want[3]) < want[3].size  # some are inside
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(a, b)


def test_capsules_in_each_other(rng):
    """Of three parts with two capsules each, to the last rounding; the last one is metres away but
    in one clip, where the balls around it meet others on few frames."""
    start, along = (tuple(0.4 * c for c in arrays(rng, 6)) for _ in "ab")
    start = tuple(c.at[5, :-1].add(4.0) for c in start)
    ends = start, tuple(a + d for a, d in zip(start, along, strict=True))
    radius = jnp.asarray(0.3 * rng.random((6, CLIPS, 1)), jnp.float32)
    pairs = ((0, 2), (0, 3), (0, 5), (1, 2), (1, 4), (2, 4), (3, 5))
    settings = pairs, (0, 0, 1, 1, 2, 2), 3
    want = jax.jit(partial(overlap_xla, *settings))(*ends, radius)
    got = jax.jit(partial(overlap_pallas, *settings, interpret=True))(*ends, radius)
    assert 0.2 < np.mean(want.depth > 0.0) < 0.8
    np.testing.assert_array_equal(got.pair, want.pair)
    np.testing.assert_allclose(got.depth, want.depth, atol=ATOL_CAPSULES_M)
    np.testing.assert_allclose(got.by_part, want.by_part, atol=ATOL_CAPSULES_M)


def test_near_pairs(rng):
    """Boxes decimetres large, half a metre apart: some meet, some balls around them alone do."""
    turn = Rotation.random(6 * CLIPS * FRAMES, rng=rng).as_matrix()
    turn = jnp.asarray(turn.reshape(6, CLIPS, FRAMES, 9), jnp.float32)
    size = (0.2 * rng.random((2, 3, 6, CLIPS, 1))).astype(np.float32)
    boxes = Boxes(*(tuple(jnp.asarray(c)) for c in size))  # pyright: ignore
    pos = tuple(0.3 * c for c in arrays(rng, 6))
    links = Links(tuple(jnp.moveaxis(turn, -1, 0)), pos, boxes)  # pyright: ignore
    pairs = tuple((a, b) for a in range(6) for b in range(a))
    want = jax.jit(lambda links: words_of(near_xla(links, pairs).reshape(len(pairs), -1)))(links)
    got = jax.jit(partial(near_pallas, pairs=pairs, interpret=True))(links)
    hits = np.bitwise_count(want).sum() / (len(pairs) * CLIPS * FRAMES)
    assert 0.02 < hits < 0.5
    np.testing.assert_array_equal(got, want)


@pytest.fixture
def boxes(rng) -> Hulls:
    """Pairs of boxes with 8 and of pyramids with 5 vertices, in two bodies, turned anyhow."""
    box = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.1
    pyramid = np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 2]]) * 0.08
    hulls = np.stack([box, pyramid[[0, 1, 2, 3, 4, 4, 4, 4]]])
    vertex = np.moveaxis(np.stack([hulls, 1.3 * hulls]), -1, 0)
    n, which = 300, rng.integers(0, 2, (2, 300))
    turn = Rotation.random(n, rng=rng).as_matrix().reshape(n, 9).T
    to = lambda x, kind: tuple(jnp.asarray(c, kind) for c in x)  # noqa: E731
    clip = jnp.asarray(rng.integers(0, 2, n), jnp.int32)
    poses = to(turn, jnp.float32), to(0.1 * rng.normal(size=(3, n)), jnp.float32)
    wanted = jnp.arange(n) < 270
    hulls = to(vertex, jnp.float32), clip, to(which, jnp.int32), *poses, wanted
    return Hulls(*hulls)  # pyright: ignore


def overlap(first, second) -> bool:
    """Whether two hulls share a point: shares of the vertices of both that make one."""
    rows = np.block([[first, -second], [np.ones(len(first.T)), np.zeros(len(second.T))]])
    rows = np.vstack([rows, [*np.zeros(len(first.T)), *np.ones(len(second.T))]])
    want = [0.0, 0.0, 0.0, 1.0, 1.0]
    return linprog(np.zeros(rows.shape[1]), A_eq=rows, b_eq=want).status == 0


def test_hulls_apart_are_told_apart(boxes):
    """By one walk of six steps, as a linear program says; some of them only touch its cone."""
    ray = np.stack(boxes.shift) / np.linalg.norm(np.stack(boxes.shift), axis=0)
    ray = tuple(jnp.asarray(c, jnp.float32)[None] for c in ray)
    found = jax.jit(partial(walk_xla, walks=1, steps=6))(boxes, ray)
    apart = np.asarray(found.width) < NOTHING_M
    truly = np.array([not overlap(*placed(boxes, k)) for k in range(len(apart))])
    assert 0.1 < truly.mean() < 0.8
    assert not (apart & ~truly).any()
    assert apart[truly].mean() > 0.97


def placed(boxes, k):
    """Vertices of both hulls of a pair, ``(3, M)``, in the first one's axes."""
    first, second = (
        np.stack([c[boxes.clip[k], link[k]] for c in boxes.vertex]) for link in boxes.link
    )
    turn = np.array([c[k] for c in boxes.turn], float).reshape(3, 3)
    return first.astype(float), turn @ second + np.array([[c[k]] for c in boxes.shift])


def test_walk_over_hulls(boxes, rng):
    """What it says is the width along its way, and mostly as little as XLA finds."""
    rays = rng.normal(size=(3, 3, 300))
    rays = tuple(jnp.asarray(c, jnp.float32) for c in rays / np.linalg.norm(rays, axis=0))
    want = jax.jit(partial(walk_xla, walks=2, steps=10))(boxes, rays)
    got = jax.jit(partial(walk_pallas, walks=2, steps=10, interpret=True))(boxes, rays)
    want, got, pairs = jax.tree.map(
        lambda c: np.asarray(c)[..., boxes.wanted], (want, got, boxes._replace(vertex=()))
    )
    inside = want.width > 0.0
    assert 0.2 < inside.mean() < 0.9
    assert np.mean((got.width > 0.0) == inside) > SAME_WALKS
    near = np.abs(got.width - want.width) < ATOL_M
    assert near[inside].mean() > SAME_WALKS
    first, second = (np.stack([c[pairs.clip, k] for c in boxes.vertex]) for k in pairs.link)
    turn = np.stack(pairs.turn).reshape(3, 3, -1)
    second = np.einsum("xyk,ykm->xkm", turn, second) + np.stack(pairs.shift)[..., None]
    out, back = (np.einsum("xk,xkm->km", np.stack(got.way), c) for c in (first, second))
    np.testing.assert_allclose(got.width, out.max(axis=-1) - back.min(axis=-1), atol=ATOL_M)
