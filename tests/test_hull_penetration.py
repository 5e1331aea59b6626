"""Convex hulls in each other: against MuJoCo's own distance, boxes by hand, and the laws."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mjcf import to_mjcf
from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.kernels.chain import link_positions, link_rotations
from phymotion_jax.kernels.hull_penetration import hull_depth
from phymotion_jax.kernels.vectors import unstack, unstack_frames

CLIPS, FRAMES = 3, 60
POSE_RAD = 0.6  # of every joint: arms in the trunk, legs in each other, on most frames

EXACT_M = 1e-4  # of two searches in float32 and float64 on a body 2 m long
NEVER_SMALLER_M = 1e-5  # MuJoCo's own tolerance is 1e-6
NOTHING_M = 1e-6  # apart, and not told apart: 7e-9 seen, once
SHARES = {EXACT_M: 0.88, 0.005: 0.985, 0.03: 1.0}
"""Share of the overlapping pairs whose depth is too large by less than so many metres: the walk may
end in a local minimum of the width."""

step = jax.jit(hull_depth, static_argnums=(3, 4))


@pytest.fixture(scope="module")
def humanoid():
    return jax.jit(Humanoid.from_betas)(jnp.linspace(-1.0, 1.0, 10), jnp.asarray(64.0))


@pytest.fixture(scope="module")
def quat():
    """Local rotations (CLIPS, FRAMES, 24, 4), the pelvis turned anyhow."""
    rng = np.random.default_rng(5)
    vector = POSE_RAD * rng.normal(size=(CLIPS, FRAMES, N_BODIES, 3))
    vector[:, :, 0] = rng.normal(size=(CLIPS, FRAMES, 3))
    turned = Rotation.from_rotvec(vector.reshape(-1, 3)).as_quat(scalar_first=True)
    return turned.reshape(CLIPS, FRAMES, N_BODIES, 4)


@jax.jit
def placed(humanoid, quat):
    """Rotations and places of the links."""
    rot = link_rotations(humanoid.parents, unstack_frames(jnp.asarray(quat, jnp.float32)))
    joint = jnp.zeros_like(humanoid.offset)
    for link in range(1, humanoid.n_links):
        joint = joint.at[link].set(joint[humanoid.parents[link]] + humanoid.offset[link])
    return rot, link_positions(humanoid.parents, rot, unstack(joint))


def depths(humanoid, rot, pos, vertex=None):
    vertex = unstack(humanoid.hull_point) if vertex is None else vertex
    return np.asarray(step(rot, pos, vertex, humanoid.hull_sizes, humanoid.separate))


def mujocos(humanoid, quat) -> np.ndarray:
    """Signed distances (P, CLIPS, FRAMES) by `mj_geomDistance`, which runs GJK and EPA."""
    model = mujoco.MjModel.from_xml_string(to_mjcf(humanoid))
    model.opt.ccd_iterations, model.opt.ccd_tolerance = 200, 1e-9
    data = mujoco.MjData(model)
    address = [int(model.joint(name).qposadr[0]) for name in humanoid.body_names]
    address[0] += 3
    geoms = [[model.geom(humanoid.body_names[k]).id for k in pair] for pair in humanoid.separate]
    found = np.zeros((len(geoms), CLIPS, FRAMES))
    for clip, frame in np.ndindex(CLIPS, FRAMES):
        for link, start in enumerate(address):
            data.qpos[start : start + 4] = quat[clip, frame, link]
        mujoco.mj_kinematics(model, data)
        for row, (a, b) in enumerate(geoms):
            found[row, clip, frame] = mujoco.mj_geomDistance(model, data, a, b, 1.0, None)
    return found


def test_depth_is_mujocos(humanoid, quat):
    got, distance = depths(humanoid, *placed(humanoid, quat)), mujocos(humanoid, quat)
    want = np.maximum(-distance, 0.0)
    inside = want > EXACT_M
    assert inside.sum() > 400
    assert got[distance > EXACT_M].max() < NOTHING_M
    error = (got - want)[inside]
    assert error.min() > -NEVER_SMALLER_M
    for bound, share in SHARES.items():
        assert np.mean(error < bound) >= share, np.sort(error)[-20:]


BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
SIZES = (8, 8)


def two_boxes(rng, *, shift, half=(0.1, 0.2, 0.3)):
    """Two boxes in line along x of a world turned anyhow, the second `shift` metres along."""
    world = Rotation.random(8, rng=rng)
    along = world.apply(np.stack([shift, 0.0 * shift, 0.0 * shift], axis=-1))
    offset = 3.0 * rng.normal(size=(8, 3))
    rot = np.stack([world.as_matrix().reshape(8, 9)] * 2)
    pos = np.stack([offset, offset + along])
    vertex = np.concatenate([BOX * half, BOX * half])
    parts = (np.moveaxis(x, -1, 0)[..., None] for x in (rot, pos))
    rot, pos = (tuple(jnp.asarray(c, jnp.float32) for c in x) for x in parts)
    return rot, pos, tuple(jnp.asarray(c, jnp.float32)[:, None, None] for c in vertex.T)


def test_depth_of_boxes(rng):
    """In line, they overlap by what the sum of their halves exceeds their distance by."""
    shift = np.array([0.01, 0.05, 0.1, 0.15, 0.19, 0.21, 0.25, 1.0])
    got = step(*two_boxes(rng, shift=shift), SIZES, ((0, 1),))[0, :, 0]
    np.testing.assert_allclose(got, np.maximum(0.2 - shift, 0.0), atol=4e-6)


def test_no_pairs_no_depth(rng):
    assert step(*two_boxes(rng, shift=np.full(8, 0.1)), SIZES, ()).shape == (0, 8, 1)


def test_frames_and_clips_do_not_mix(humanoid, quat):
    """Nor do bodies: each clip with its own hulls answers as it does alone."""
    rot, pos = placed(humanoid, quat)
    grown = [
        jnp.broadcast_to(c, (len(c), CLIPS, 1)) * jnp.array([1.0, 1.1, 0.9])[:, None]
        for c in unstack(humanoid.hull_point)
    ]
    together = depths(humanoid, rot, pos, tuple(grown))
    for clip in range(CLIPS):
        turned, moved, hulls = jax.tree.map(
            lambda c, k=clip: jnp.broadcast_to(c[:, k : k + 1], c.shape), (rot, pos, tuple(grown))
        )
        alone = depths(humanoid, turned, moved, hulls)
        np.testing.assert_array_equal(alone[:, 0], together[:, clip])
    broken = (pos[0].at[:, 1, 7].set(jnp.nan), *pos[1:])
    beside = np.ones((CLIPS, FRAMES), bool)
    beside[1, 7] = False
    got = depths(humanoid, rot, broken, tuple(grown))
    np.testing.assert_array_equal(got[:, beside], together[:, beside])


WORLD_M = 2e-5  # a body 5 m from the origin, in float32


def test_the_world_does_not_count(humanoid, quat):
    """Turned and moved as a whole, a body overlaps as it did, but where the walk ends elsewhere."""
    rot, pos = placed(humanoid, quat)
    before = depths(humanoid, rot, pos)
    turn = Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix()
    matrix = jnp.stack(rot).reshape(3, 3, *rot[0].shape)
    turned = jnp.einsum("ij,jk...->ik...", turn, matrix, precision="highest").reshape(
        9, *rot[0].shape
    )
    moved = jnp.einsum("ij,j...->i...", turn, jnp.stack(pos), precision="highest")
    moved += jnp.array([3.0, -4.0, 1.0]).reshape(3, 1, 1, 1)
    after = depths(humanoid, tuple(turned), tuple(moved))
    assert np.mean(np.abs(after - before)[before > 0.0] < WORLD_M) > 0.99


def test_slope_is_that_of_differences(humanoid, quat):
    """Moving and turning one link by a little changes each depth as its gradient says.

    But where the nearest faces change within the difference: in nine of ten they do not.
    """
    rot, pos = placed(humanoid, quat)
    vertex = unstack(humanoid.hull_point)
    rng = np.random.default_rng(1)
    shift = tuple(jnp.asarray(rng.normal(size=pos[0].shape), jnp.float32) for _ in range(3))
    spin = jnp.asarray(rng.normal(size=(3, *pos[0].shape)), jnp.float32)
    x, y, z = spin
    zero = jnp.zeros_like(x)
    skew = jnp.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3, *x.shape)
    matrix = jnp.stack(rot).reshape(3, 3, *x.shape)
    change = jnp.einsum("ij...,jk...->ik...", skew, matrix, precision="highest")
    drot = tuple(change.reshape(9, *x.shape))

    def depth(rot, pos):
        return hull_depth(rot, pos, vertex, humanoid.hull_sizes, humanoid.separate)

    value, slope = jax.jit(lambda *args: jax.jvp(depth, args, (drot, shift)))(rot, pos)
    small = 2e-4  # metres and radians: differences of 1e-3 m at most, depths good to 1e-6
    ahead, behind = (
        depths(
            humanoid, *jax.tree.map(lambda a, d, s=s: a + s * small * d, (rot, pos), (drot, shift))
        )
        for s in (1.0, -1.0)
    )
    inside = np.asarray(value) > 0.005
    difference = ((ahead - behind) / (2.0 * small))[inside]
    error = np.abs(difference - np.asarray(slope)[inside])
    assert inside.sum() > 300
    assert np.quantile(error, 0.9) < 0.05 * np.std(difference)
    assert (np.asarray(slope)[np.asarray(value) == 0.0] == 0.0).all()
