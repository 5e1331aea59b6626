"""Inverse dynamics of both backends against C MuJoCo in float64."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from oracles import mujoco_inverse, random_states, random_tree

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.mjcf import to_mjcf
from phymotion_jax.body.mjcf_reader import from_mjcf, from_mujoco
from phymotion_jax.body.qpos import generalized_force, joint_motion
from phymotion_jax.body.skeleton import mujoco_order
from phymotion_jax.dynamics import BACKENDS, Backend, dynamics
from phymotion_jax.io import load_motion
from phymotion_jax.motion import MotionBatch
from phymotion_jax.state import joint_rates

RTOL = 1e-4
"""Of the largest force: float32 sums over 24 links, with accelerations of 20 rad/s²."""

FRAMES = 64


@pytest.fixture(scope="module")
def default_model():
    return mujoco.MjModel.from_xml_string(to_mjcf(Humanoid.from_betas()))


@jax.jit(static_argnames="backend")
def ours(humanoid, qpos, qvel, qacc, backend: Backend = "fused"):
    joints = joint_motion(humanoid, qpos, qvel, qacc)
    return generalized_force(
        humanoid, dynamics(humanoid, joints, backend=backend).wrenches, qpos, qacc
    )


def assert_same(humanoid, model, states, backend="fused"):
    want = mujoco_inverse(model, *states)
    batched = [jnp.asarray(x, jnp.float32)[None] for x in states]
    got = np.asarray(ours(humanoid, *batched, backend=backend))[0]
    np.testing.assert_allclose(got, want, atol=RTOL * np.abs(want).max(), rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_default_body(backend, default_model, rng):
    states = random_states(default_model, FRAMES, rng)
    assert_same(Humanoid.from_betas(), default_model, states, backend)


@pytest.mark.parametrize("joint", ["ball", "hinge", "some welded"])
def test_random_trees(joint, rng):
    """Tilted frames, off-centre anchors, one to three skew hinges a link, armature."""
    for n_links in (2, 9):
        model = mujoco.MjModel.from_xml_string(random_tree(rng, n_links, joint))
        assert_same(from_mujoco(model), model, random_states(model, FRAMES, rng))


def test_far_from_the_origin(default_model, rng):
    """A kilometre away the joints feel the same: positions are relative to the pelvis."""
    qpos, qvel, qacc = random_states(default_model, FRAMES, rng)
    qpos[:, :2] += 1000.0
    assert_same(Humanoid.from_betas(), default_model, (qpos, qvel, qacc))


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_clip_has_its_own_body(backend, rng):
    betas = jnp.asarray(rng.normal(size=(2, 10)), jnp.float32)
    bodies = Humanoid.from_betas(betas, jnp.array([50.0, 90.0]))
    models, wants, states = [], [], []
    for k in range(2):
        text = to_mjcf(Humanoid.from_betas(betas[k], (50.0, 90.0)[k]))
        models.append(mujoco.MjModel.from_xml_string(text))
        states.append(random_states(models[-1], 8, rng))
        wants.append(mujoco_inverse(models[-1], *states[-1]))
    stacked = [jnp.asarray(np.stack(x), jnp.float32) for x in zip(*states, strict=True)]
    got = np.asarray(ours(bodies, *stacked, backend=backend))
    np.testing.assert_allclose(got, wants, atol=RTOL * np.abs(wants).max(), rtol=0)


def test_real_clip(shared, default_model):
    """A recorded walk, with this package's own rates: MuJoCo needs the same forces for it."""
    motion = load_motion(shared / "clips" / "asap_walk_level1.npz")
    joints = joint_rates(MotionBatch.from_motions([motion], length=motion.n_frames))
    body = Humanoid.from_betas()
    rank = mujoco_order(body.parents)
    links = sorted(range(24), key=rank.__getitem__)

    def coordinates(root, components):
        rows = [*root, *(c[k : k + 1] for k in links for c in components)]
        return np.concatenate([np.asarray(r) for r in rows])[:, 0].T

    still = [np.zeros_like(np.asarray(c)) for c in joints.root_acc]
    states = (
        coordinates(joints.root_pos, joints.quat),
        coordinates(still, joints.ang_vel),
        coordinates(joints.root_acc, joints.ang_acc),
    )
    assert_same(body, default_model, states)


def test_mjcf_round_trip(rng):
    """Written out and read in again, a body is the same to MuJoCo's own precision."""
    body = Humanoid.from_betas(jnp.asarray(rng.normal(size=10), jnp.float32), 80.0)
    again = from_mjcf(to_mjcf(body))
    order = [again.body_names.index(name) for name in body.body_names]
    for field in ("mass", "offset", "com", "inertia"):
        mine, theirs = getattr(body, field), getattr(again, field)[jnp.array(order)]
        skip = 1 if field == "offset" else 0
        np.testing.assert_allclose(theirs[skip:], mine[skip:], atol=2e-6, rtol=1e-5)


def test_free_fall_needs_nothing():
    """A body that falls freely, whatever its pose, needs no force and no moment."""
    body = Humanoid.from_betas()
    qpos = np.zeros((1, 1, 99))
    qpos[..., 3::4] = 1.0
    qacc = np.zeros((1, 1, 75))
    qacc[..., 2] = -9.81
    still = np.zeros((1, 1, 75))
    force = ours(body, *(jnp.asarray(x, jnp.float32) for x in (qpos, still, qacc)))
    # float32 rounding of 9.81 m/s² times a body of 66 kg
    np.testing.assert_allclose(force, 0.0, atol=1e-4)


def test_standing_needs_its_weight():
    body = Humanoid.from_betas(mass_kg=70.0)
    qpos = np.zeros((1, 1, 99), np.float32)
    qpos[..., 3::4] = 1.0
    still = np.zeros((1, 1, 75), np.float32)
    force = np.asarray(ours(body, *(jnp.asarray(x) for x in (qpos, still, still))))[0, 0]
    np.testing.assert_allclose(force[:3], [0.0, 0.0, 70.0 * 9.81], rtol=1e-4, atol=1e-3)
