"""GPU kernels, run by Pallas' interpreter, against the same steps as plain XLA."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.kernels.ground_forces import Contacts, solve_pallas, solve_xla
from phymotion_jax.kernels.hull_search import Hulls, walk_pallas, walk_xla
from phymotion_jax.kernels.per_frame import Memory, per_frame
from phymotion_jax.kernels.support import nearest_edge_pallas, nearest_edge_xla

CLIPS, FRAMES = 3, 100  # no multiple of the 32 frames of a program
ATOL_TWIST = 1e-4  # of the largest: sums in another order, through steps that amplify them
ATOL_M = 1e-5  # of depths of hulls decimetres large: a few roundings
SAME_WALKS = 0.97  # share: a rounding may send a walk to another face, and a local minimum


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
        return memory.numbers[0] * total, memory.look_up(0, rows(2, 0)), rows(2, 0)

    active = jnp.asarray(rng.random(x.shape) < 0.02)
    x = jnp.where(active, x, 0.0)
    kinds, more = (jnp.float32, jnp.float32, jnp.int32), {"numbers": (2.0,), "tables": (table,)}
    got = per_frame(program, (x, shared, place), kinds, active=active, **more, interpret=True)
    none = per_frame(program, (x, shared, place), kinds, active=x > 9.0, **more, interpret=True)
    np.testing.assert_array_equal(none[0], 0.0)
    np.testing.assert_allclose(got[0], 2.0 * (x * shared).sum(axis=0), atol=1e-5)
    np.testing.assert_array_equal(got[1], table[place[0]])
    np.testing.assert_array_equal(got[2], place[0])


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


def test_nearest_edge(rng):
    """The same comparisons of the same numbers: bit by bit."""
    x, y, query = arrays(rng, 20)[0], arrays(rng, 20)[0], arrays(rng)[:2]
    inputs = query, (x, y), jnp.asarray(rng.random(x.shape) < 0.3)
    want = jax.jit(nearest_edge_xla)(*inputs)
    got = jax.jit(partial(nearest_edge_pallas, interpret=True))(*inputs)
    assert 0 < np.sum(want[3]) < want[3].size  # some are inside
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def boxes(rng) -> Hulls:
    """Pairs of boxes with 8 and of pyramids with 5 vertices, in two bodies, turned anyhow."""
    box = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.1
    pyramid = np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 2]]) * 0.08
    vertex = np.concatenate([box, pyramid]).T[:, :, None] * [1.0, 1.3]
    n, which = 300, rng.integers(0, 2, (2, 300))
    start, size = np.array([0, 8])[which], np.array([8, 5])[which]
    turn = Rotation.random(n, rng=rng).as_matrix().reshape(n, 9).T
    to = lambda x, kind: tuple(jnp.asarray(c, kind) for c in x)  # noqa: E731
    clip = jnp.asarray(rng.integers(0, 2, n), jnp.int32)
    poses = to(turn, jnp.float32), to(0.1 * rng.normal(size=(3, n)), jnp.float32)
    sizes = to(start, jnp.int32), to(size, jnp.int32)
    return Hulls(to(vertex, jnp.float32), clip, *sizes, *poses)  # pyright: ignore


def test_walk_over_hulls(boxes, rng):
    rays = rng.normal(size=(3, 2, 300))
    rays = tuple(jnp.asarray(c, jnp.float32) for c in rays / np.linalg.norm(rays, axis=0))
    want = jax.jit(partial(walk_xla, steps=10, most=8))(boxes, rays)
    got = jax.jit(partial(walk_pallas, steps=10, most=8, interpret=True))(boxes, rays)
    assert 0.2 < np.mean(want.width > 0.0) < 0.9
    same = np.abs(got.width - want.width) < ATOL_M
    assert same.mean() > SAME_WALKS
    np.testing.assert_allclose(np.stack(got.way)[:, same], np.stack(want.way)[:, same], atol=1e-3)
