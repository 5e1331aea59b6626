"""Bodies with a surface: against `smplx`, against mannequin-x's own posing, and the laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mannequin import Mannequin
from oracles import skinned
from random_body import FIXTURE, KINDS, digest, parents_of, random_body, random_frames, save
from random_body import smplx_forward as forward_by_smplx
from scipy.spatial.transform import Rotation

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import N_BODIES, PARENTS, body_index
from phymotion_jax.body.surface import SurfaceModel, map_posed, posed_vertices
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.dynamics import dynamics
from phymotion_jax.kernels.chain import link_positions, link_rotations
from phymotion_jax.kernels.vectors import quat_normalize, unstack_frames
from phymotion_jax.motion import MotionBatch
from phymotion_jax.state import joint_rates

each_kind = pytest.mark.parametrize("kind", KINDS)

SMPLX_ATOL = 1e-5  # metres: what the issue asks for; 1e-6 seen
FLOAT32_ATOL = 2e-6  # metres: a chain of nine rotations of a body 2 m long

FOOT = ("knee", "ankle", "foot")
"""With the shank, whose lower end moves with the foot."""

HANDS = slice(body_index("left_hand"), N_BODIES)


@pytest.fixture(scope="module")
def mannequin():
    return load_surface()


@pytest.fixture
def load(tmp_path):
    """Loads a random body from a file."""

    def load_kind(kind: str) -> SurfaceModel:
        return load_surface(save(tmp_path / f"{kind}.npz", random_body(kind)))

    return load_kind


def batch_of(pose, betas, root_pos=(0.0, 0.0, 0.0)) -> MotionBatch:
    """Clips of rotation vectors (B, T, 24, 3) with betas (B, 10)."""
    clips, frames = pose.shape[:2]
    quat = Rotation.from_rotvec(pose.reshape(-1, 3)).as_quat(scalar_first=True)
    return MotionBatch(
        root_pos=jnp.broadcast_to(jnp.asarray(root_pos, jnp.float32), (clips, frames, 3)),
        joint_quat=jnp.asarray(quat.reshape(clips, frames, N_BODIES, 4), jnp.float32),
        static_conf=jnp.full((clips, frames, 6), jnp.nan),
        mask=jnp.ones((clips, frames), bool),
        fps=jnp.full(clips, 30.0),
        betas=jnp.asarray(betas, jnp.float32),
        mass_kg=jnp.full(clips, jnp.nan),
    )


def posed(model, pose, betas) -> np.ndarray:
    return np.asarray(posed_vertices(batch_of(pose, betas), model))


@jax.jit
def rotations(batch):
    return link_rotations(PARENTS, quat_normalize(unstack_frames(batch.joint_quat)))


@jax.jit
def moved(batch):
    """Motion of the links of the default humanoid."""
    return dynamics(Humanoid.from_betas(batch.betas), joint_rates(batch)).motion


def some_pose(rng, clips, frames):
    pose = 0.5 * rng.normal(size=(clips, frames, N_BODIES, 3))
    pose[:, :, HANDS] = 0.0
    return pose


# --- SMPL, SMPL-H and SMPL-X ----------------------------------------------------------------------


def as_the_kind_has_it(kind, pose):
    """Hands turn at the knuckles in SMPL alone."""
    pose = pose.copy()
    if kind != "smpl":
        pose[:, HANDS] = 0.0
    return pose


@each_kind
def test_numbers_of_smplx(kind, load):
    """Vertices that `smplx` made of the same small random body, on any machine."""
    stored = np.load(FIXTURE)
    assert digest(random_body(kind)) == str(stored[f"{kind}_digest"])
    pose, want = as_the_kind_has_it(kind, stored["pose"]), stored[f"{kind}_vertices"]
    got = posed(load(kind), pose[:, None], stored["betas"])[:, 0]
    np.testing.assert_allclose(got, want, atol=SMPLX_ATOL, rtol=0)


@each_kind
def test_smplx_itself(kind, load):
    """The same with fresh poses, where `smplx` is installed."""
    pytest.importorskip("smplx", reason="smplx is not installed (extra smplx)")
    betas, pose = random_frames(32, seed=2)
    want, joints = forward_by_smplx(kind, betas, pose)
    pose, model = as_the_kind_has_it(kind, pose)[:, None], load(kind)
    np.testing.assert_allclose(posed(model, pose, betas)[:, 0], want, atol=SMPLX_ATOL, rtol=0)
    batch = batch_of(pose, betas)
    places = link_positions(PARENTS, rotations(batch), model.shaped(batch.betas).joint)
    got = np.transpose(np.stack(places)[..., 0], (2, 1, 0))
    np.testing.assert_allclose(got, joints, atol=SMPLX_ATOL, rtol=0)


@each_kind
def test_matches_oracle(kind, load, rng):
    """Joint by joint in float64, with a body a clip and a pose a frame."""
    body, model, joints = random_body(kind), load(kind), KINDS[kind]
    betas, pose = rng.normal(size=(2, 10)), some_pose(rng, 2, 3)
    vectors = np.zeros((2, 3, joints, 3))
    vectors[:, :, :22] = pose[:, :, :22]
    want = [[skinned(body, betas[b], vectors[b, t]) for t in range(3)] for b in range(2)]
    np.testing.assert_allclose(posed(model, pose, betas), want, atol=FLOAT32_ATOL, rtol=0)


@each_kind
def test_parts_are_links(kind, load):
    """A vertex is of the link whose joints move it most; a triangle, of its corners' most."""
    body, topology = random_body(kind), load(kind).topology
    parents = parents_of(kind)
    owner = np.arange(KINDS[kind])
    for joint in range(22, KINDS[kind]):
        above = owner[parents[joint]]
        owner[joint] = {20: 22, 21: 23}.get(above, above)
    weights = np.zeros((len(body["weights"]), N_BODIES))
    for joint, link in enumerate(owner):
        weights[:, link] += body["weights"][:, joint]
    np.testing.assert_array_equal(topology.vertex_link, weights.argmax(axis=1)[topology.file_order])
    np.testing.assert_array_equal(topology.file_order[topology.faces], body["f"])
    corners = weights[body["f"]].sum(axis=1)
    chosen = np.take_along_axis(corners, topology.face_link[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(chosen, corners.max(axis=1), rtol=1e-6)  # there are ties


# --- the mannequin --------------------------------------------------------------------------------

SHAPE_ATOL = {0.0: (1e-6, 1e-6), 1.0: (5e-4, 0.01), 2.0: (0.003, 0.02)}
"""Metres, by the size of the betas: what linearity leaves out, on the body and on the feet, which
mannequin-x lowers to the lowest of several heights. Of 12 draws one foot was 5 mm off for betas of
one standard deviation, 8 mm for two; all else 0.3 mm and 1.5 mm, 0.1 mm and 0.2 mm on average."""


@pytest.mark.parametrize("sigma", SHAPE_ATOL)
def test_mannequin_is_mannequins(sigma, mannequin, rng):
    """Posed at random by mannequin-x itself, whose weights are its own affair."""
    theirs = Mannequin("wooden")
    betas, pose = sigma * rng.normal(size=(4, 10)), some_pose(rng, 4, 2)
    got, topology = posed(mannequin, pose, betas), mannequin.topology
    link = topology.vertex_link[np.argsort(topology.file_order)]
    feet = np.isin(link, [body_index(f"{s}_{n}") for s in ("left", "right") for n in FOOT])
    for b in range(4):
        theirs.reshape(betas[b])
        here = theirs.rest_pose(dtype=np.float64, batch_dims=(2,))
        here |= {"body_pose": pose[b, :, 1:22], "pelvis_rotation": pose[b, :, 0]}
        want = theirs.vertices(here) - theirs.joint_transforms(here)[:, :1, :3, 3]
        error = np.linalg.norm(got[b] - want, axis=-1)
        assert error[:, ~feet].max() < SHAPE_ATOL[sigma][0]
        assert error[:, feet].max() < SHAPE_ATOL[sigma][1]


def test_mannequin_follows_the_dynamics(mannequin, rng):
    """Its joints are where the links of the default humanoid are."""
    batch = batch_of(some_pose(rng, 2, 4), rng.normal(size=(2, 10)))
    motion = moved(batch)
    joint = mannequin.shaped(batch.betas).joint
    got = link_positions(PARENTS, motion.rot, joint)
    np.testing.assert_allclose(np.stack(got), np.stack(motion.pos), atol=FLOAT32_ATOL)
    np.testing.assert_allclose(np.stack(rotations(batch)), np.stack(motion.rot), atol=FLOAT32_ATOL)


def test_mannequin_has_two_like_sides(mannequin):
    """As many triangles to the left as to the right, on every link that is there twice."""
    count = np.bincount(mannequin.topology.face_link, minlength=N_BODIES)
    for name in ("hip", "knee", "ankle", "foot", "shoulder", "elbow", "wrist", "hand"):
        left, right = (count[body_index(f"{side}_{name}")] for side in ("left", "right"))
        assert left == right > 0
    assert mannequin.topology.faces.shape == (48396, 3)


# --- laws -----------------------------------------------------------------------------------------


@pytest.fixture
def body(load):
    """A small body with correctives."""
    return load("smplx")


def test_turning_the_world(body, rng):
    pose, betas = some_pose(rng, 1, 3), rng.normal(size=(1, 10))
    turn = Rotation.from_rotvec([0.3, -1.2, 2.0])
    turned = pose.copy()
    turned[0, :, 0] = (turn * Rotation.from_rotvec(pose[0, :, 0])).as_rotvec()
    want = posed(body, pose, betas) @ turn.as_matrix().T
    np.testing.assert_allclose(posed(body, turned, betas), want, atol=FLOAT32_ATOL)


def test_far_from_the_origin(body, rng):
    """10 km away float32 steps by a millimetre, and the surface does not move by any."""
    pose, betas = some_pose(rng, 2, 4), rng.normal(size=(2, 10))
    far = batch_of(pose, betas, root_pos=(1e4, -1e4, 3.0))
    got = jnp.stack(body.shaped(far.betas).posed(moved(far).rot))
    want = posed(body, pose, betas)[:, :, body.topology.file_order]
    np.testing.assert_allclose(np.transpose(got, (2, 3, 1, 0)), want, atol=FLOAT32_ATOL)


def test_clips_and_padding_do_not_mix(body, rng):
    """Each clip as it would be alone, whatever the others and its own padding hold."""
    pose, betas = some_pose(rng, 3, 5), rng.normal(size=(3, 10))
    whole = batch_of(pose, betas)
    broken = whole.replace(joint_quat=whole.joint_quat.at[:, 3:].set(jnp.nan))
    got = np.asarray(posed_vertices(broken, body))[:, :3]
    for b in range(3):
        alone = posed(body, pose[b : b + 1, :3], betas[b : b + 1])
        np.testing.assert_allclose(got[b], alone[0], atol=FLOAT32_ATOL)


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
def test_chunks_change_nothing(chunk, body, rng):
    """Clips and frames that do not fill the chunks, and results with axes of their own."""
    batch = batch_of(some_pose(rng, 3, 5), rng.normal(size=(3, 10)))
    rot = rotations(batch)

    def look(vertices):
        return {"lowest": jnp.min(vertices[2], axis=0), "some": jnp.stack(vertices)[:, :4]}

    want = jax.jit(lambda: look(body.shaped(batch.betas).posed(rot)))()
    got = jax.jit(lambda: map_posed(look, body, batch.betas, rot, chunk=chunk))()
    assert got["some"].shape == (3, 4, 3, 5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=FLOAT32_ATOL), got, want)


@pytest.mark.parametrize("grow", ["clips", "frames"])
def test_memory_is_the_chunks(grow, mannequin):
    """Eight times as many clips or frames take no more room than their own results."""

    def temporaries(clips, frames):
        rot = tuple(jax.ShapeDtypeStruct((N_BODIES, clips, frames), jnp.float32) for _ in range(9))
        betas = jax.ShapeDtypeStruct((clips, 10), jnp.float32)
        lowest = jax.jit(
            lambda b, r: map_posed(lambda v: jnp.min(v[2], axis=0), mannequin, b, r, chunk=32)
        )
        memory = lowest.lower(betas, rot).compile().memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes

    few, many = temporaries(2, 32), temporaries(16, 32) if grow == "clips" else temporaries(2, 256)
    rotations_bytes = 16 * 32 * N_BODIES * 9 * 4
    assert many < few + 3 * rotations_bytes


def test_one_program_for_a_body_loaded_twice(load):
    """And another for another: what is static is compared by what is in it."""
    first, again = load("smplx"), load("smplx")
    assert first.topology == again.topology and hash(first.topology) == hash(again.topology)
    assert first.topology != load("smplh").topology


def test_gradient_is_finite_at_rest(body):
    def spread(betas, rot):
        return sum(jnp.sum(c**2) for c in body.shaped(betas).posed(rot))

    rest = tuple(jnp.full((N_BODIES, 1, 2), float(k in (0, 4, 8))) for k in range(9))
    gradients = jax.jit(jax.grad(spread, argnums=(0, 1)))(jnp.zeros((1, 10)), rest)
    for gradient in jax.tree.leaves(gradients):
        assert np.all(np.isfinite(gradient)) and np.any(gradient != 0.0)
