"""Surfaces through themselves: against every pair of triangles in float64, and the laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from igl.copyleft import cgal
from oracles import triangles_cross
from random_body import random_body, save
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from phymotion_jax.body.collider import default_mesh_pairs, mesh_collider
from phymotion_jax.body.mesh_penetration import mesh_self_penetration
from phymotion_jax.body.pairs import CLASPING, describe_pairs, far_in_tree
from phymotion_jax.body.skeleton import N_BODIES, PARENTS, body_index
from phymotion_jax.body.surface_arrays import SurfaceArrays
from phymotion_jax.body.surface_build import build_surface
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.errors import ModelError
from phymotion_jax.kernels import mesh_overlap as kernel
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.clusters import cluster_bounds
from phymotion_jax.kernels.collider import CLUSTER
from phymotion_jax.kernels.mesh_overlap import mesh_overlap
from phymotion_jax.kernels.vectors import unstack_frames

overlap = jax.jit(mesh_overlap)


def rotations(pose):
    """Rotations of links to the world, of rotation vectors ``(B, T, 24, 3)``."""
    quat = Rotation.from_rotvec(pose.reshape(-1, 3)).as_quat(scalar_first=True)
    quat = jnp.asarray(quat.reshape(*pose.shape[:3], 4), jnp.float32)
    return link_rotations(PARENTS, unstack_frames(quat))


def frames(vertices):
    """Vertices ``(V, B, T)`` as ``(B, T, V, 3)`` in float64."""
    return np.stack(vertices, axis=-1).transpose(1, 2, 0, 3).astype(np.float64)


def near_pairs(a, b):
    """Pairs of triangles whose boxes meet."""
    (low_a, high_a), (low_b, high_b) = ((t.min(axis=1), t.max(axis=1)) for t in (a, b))
    i = np.flatnonzero(((low_a <= high_b.max(axis=0)) & (high_a >= low_b.min(axis=0))).all(axis=1))
    j = np.flatnonzero(((low_b <= high_a.max(axis=0)) & (high_b >= low_a.min(axis=0))).all(axis=1))
    meet = np.ones((len(i), len(j)), bool)
    for k in range(3):
        meet &= low_a[i, None, k] <= high_b[None, j, k]
        meet &= high_a[i, None, k] >= low_b[None, j, k]
    first, second = np.nonzero(meet)
    return i[first], j[second]


def oracle(vertices, model, pairs):
    """Crossing pairs ``(P,)`` and triangles of one frame ``(V, 3)``, of all pairs of triangles
    whose boxes meet and that have no vertex in common."""
    faces, link = model.topology.faces, model.topology.face_link
    link = np.where((faces == np.roll(faces, 1, axis=1)).any(axis=1), -1, link)  # collapsed
    hits, crossing = np.zeros(len(pairs), int), np.zeros(len(faces), bool)
    for p, (first, second) in enumerate(pairs):
        mine, others = np.flatnonzero(link == first), np.flatnonzero(link == second)
        if not (len(mine) and len(others)):
            continue
        i, j = near_pairs(vertices[faces[mine]], vertices[faces[others]])
        i, j = mine[i], others[j]
        cross = triangles_cross(vertices[faces[i]], vertices[faces[j]])
        cross &= ~(faces[i][:, :, None] == faces[j][:, None, :]).any(axis=(1, 2))
        hits[p] = cross.sum()
        crossing[i[cross]] = crossing[j[cross]] = True
    return hits, crossing.sum()


def check(found, vertices, model, pairs):
    """Every count of every frame."""
    for (b, t), frame in ((bt, frames(vertices)[bt]) for bt in np.ndindex(found.triangles.shape)):
        hits, triangles = oracle(frame, model, pairs)
        np.testing.assert_array_equal(found.hits[:, b, t], hits)
        assert found.triangles[b, t] == triangles


# --- a small body of random triangles -------------------------------------------------------------


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    return load_surface(save(tmp_path_factory.mktemp("body") / "body.npz", random_body("smplx")))


@pytest.fixture(scope="module")
def collider(body):
    links = sorted(set(body.topology.face_link.tolist()))
    pairs = [(a, b) for a in links for b in links if a < b and (a + b) % 3]
    return mesh_collider(body, tuple(pairs))


@pytest.fixture
def posed(body, rng):
    """2 clips with betas of their own, 3 frames."""
    betas, pose = rng.normal(size=(2, 10)), 0.5 * rng.normal(size=(2, 3, N_BODIES, 3))
    return body.shaped(jnp.asarray(betas, jnp.float32)).posed(rotations(pose))


def test_matches_oracle(posed, body, collider):
    """Triangles of a metre, most in each other."""
    found = overlap(posed, collider)
    assert np.all(found.triangles > 100)
    check(found, posed, body, collider.pairs)


def test_moving_the_world(posed, collider, rng):
    """Turned, and carried 2 m away; of these frames no pair grazes."""
    turn = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    moved = np.einsum("ij,jvbt->ivbt", turn, np.stack(posed).astype(np.float64)) + 2.0
    got = overlap(tuple(jnp.asarray(c, jnp.float32) for c in moved), collider)
    jax.tree.map(np.testing.assert_array_equal, got, overlap(posed, collider))


def test_clips_and_frames_do_not_mix(posed, collider):
    """Frames alone, in another order, and beside one that is NaN."""
    want = overlap(posed, collider)
    order = np.array([[1, 0], [2, 0], [0, 1], [0, 0], [1, 1], [2, 1]]).T
    mixed = tuple(
        c[:, order[1], order[0]].reshape(-1, 2, 3).at[:, 0, 1].set(jnp.nan) for c in posed
    )
    got = overlap(mixed, collider)
    expected = jax.tree.map(lambda x: x[..., order[1], order[0]].reshape(*x.shape[:-2], 2, 3), want)
    expected = jax.tree.map(lambda x: x.at[..., 0, 1].set(0), expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_by_pair_and_link_in_narrow_windows(body, collider, rng, monkeypatch):
    """The entry that users call, with windows so narrow that each level takes many turns: nothing
    overflows, and nothing is counted twice."""
    monkeypatch.setattr(kernel, "_CPU", kernel._Windows(64, 32, 32, 32))
    betas = jnp.asarray(rng.normal(size=(2, 10)), jnp.float32)
    rot = rotations(0.5 * rng.normal(size=(2, 3, N_BODIES, 3)))
    got = jax.jit(mesh_self_penetration.__wrapped__)(betas, rot, body, collider)
    want = overlap(body.shaped(betas).posed(rot), collider)
    np.testing.assert_array_equal(got.by_pair, want.hits)
    np.testing.assert_array_equal(got.triangles, want.triangles)
    np.testing.assert_array_equal(got.hits, np.sum(want.hits, axis=0))
    np.testing.assert_allclose(got.percent, got.hits / 3.0, rtol=1e-6)  # of 300 triangles
    np.testing.assert_array_equal(np.sum(got.by_link, axis=0), 2 * got.hits)
    for link in range(N_BODIES):
        own = [p for p, pair in enumerate(collider.pairs) if link in pair]
        np.testing.assert_array_equal(got.by_link[link], np.asarray(want.hits)[own].sum(axis=0))


def test_without_pairs_nothing_crosses(posed, body):
    found = overlap(posed, mesh_collider(body, ()))
    assert found.hits.shape == (0, 2, 3) and not found.triangles.any()


def test_too_many_frames_at_once(body, collider):
    many = jax.ShapeDtypeStruct((body.template.shape[1], 1 << 14, 1 << 14), jnp.float32)
    with pytest.raises(ValueError, match="268435456 frames at once: at most"):
        jax.eval_shape(mesh_overlap, (many, many, many), collider)


# --- two spheres ----------------------------------------------------------------------------------

FIRST, SECOND = 7, 20
POINTS = 400  # of a sphere: its triangles stand within 1.5 % of its radius


def spheres(radii):
    """Two spheres about the origin, on two links."""
    height = 1.0 - 2.0 * (np.arange(POINTS) + 0.5) / POINTS
    turn = np.pi * (1.0 + 5.0**0.5) * np.arange(POINTS)
    across = np.sqrt(1.0 - height**2)
    unit = np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=-1)
    faces = ConvexHull(unit).simplices
    weights = np.zeros((2 * POINTS, N_BODIES))
    weights[:POINTS, FIRST] = weights[POINTS:, SECOND] = 1.0
    return build_surface(
        "spheres",
        SurfaceArrays(
            vertex_mean=np.concatenate([radius * unit for radius in radii]),
            vertex_dirs=np.zeros((2 * POINTS, 3, 10)),
            pose_dirs=np.zeros((2 * POINTS, 3, 0)),
            joint_mean=np.zeros((N_BODIES, 3)),
            joint_dirs=np.zeros((N_BODIES, 3, 10)),
            weights=weights,
            faces=np.concatenate([faces, faces + POINTS]),
        ),
    )


def test_spheres_cross_where_they_should():
    """Apart, touching, through each other, and one inside the other, whose surfaces are apart."""
    model = spheres((0.1, 0.06))
    collider = mesh_collider(model, ((SECOND, FIRST),))
    distance = {0.0: False, 0.038: False, 0.05: True, 0.1: True, 0.155: True, 0.1605: False}
    way = np.array([2.0, -1.0, 2.0]) / 3.0
    second = (model.topology.vertex_link == SECOND)[:, None]
    rest = np.asarray(model.template).T
    placed = np.stack([rest + second * d * way for d in distance])  # (T, V, 3)
    vertices = tuple(jnp.asarray(placed[..., k].T[:, None], jnp.float32) for k in range(3))
    found = overlap(vertices, collider)
    np.testing.assert_array_equal(found.triangles[0] > 0, list(distance.values()))
    check(found, vertices, model, collider.pairs)


# --- the mannequin --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mannequin():
    return load_surface()


@pytest.fixture(scope="module")
def mannequin_posed(mannequin):
    """A T-pose, forearms through the chest, legs crossed, and a random pose; two bodies."""
    rng = np.random.default_rng(5)
    pose = np.zeros((4, N_BODIES, 3))
    pose[1, [body_index(f"{s}_elbow") for s in ("left", "right")], 1] = -2.5, 2.5
    pose[1, [body_index(f"{s}_shoulder") for s in ("left", "right")], 2] = -1.2, 1.2
    pose[2, [body_index(f"{s}_hip") for s in ("left", "right")], 2] = -0.35, 0.35
    pose[3, 1:22] = 0.4 * rng.normal(size=(21, 3))
    betas = jnp.asarray(np.stack([np.zeros(10), 1.5 * rng.normal(size=10)]), jnp.float32)
    return mannequin.shaped(betas).posed(rotations(np.stack([pose, pose])))


def test_mannequin_matches_oracle(mannequin, mannequin_posed):
    collider = mesh_collider(mannequin)
    found = overlap(mannequin_posed, collider)
    assert not found.triangles[:, 0].any()  # nobody stands in himself in a T-pose
    assert np.all(found.triangles[:, 1:3] > 0)
    check(found, mannequin_posed, mannequin, collider.pairs)


def test_mannequin_matches_cgal(mannequin, mannequin_posed):
    """The same triangles by exact arithmetic that is not ours."""
    collider = mesh_collider(mannequin)
    found = overlap(mannequin_posed, collider)
    faces, link = mannequin.topology.faces.astype(np.int64), mannequin.topology.face_link
    vertices = frames(mannequin_posed)[0, 3]
    for p, pair in enumerate(collider.pairs):
        first, second = (faces[link == k] for k in pair)
        if not len(near_pairs(vertices[first], vertices[second])[0]):
            assert found.hits[p, 0, 3] == 0
            continue
        crossing = cgal.intersect_other(vertices, first, vertices, second, detect_only=True)[0]
        assert found.hits[p, 0, 3] == len(np.asarray(crossing))


# --- clusters and pairs ---------------------------------------------------------------------------


def test_clusters_hold_every_triangle_once(mannequin):
    collider, topology = mesh_collider(mannequin), mannequin.topology
    size, face = np.asarray(collider.size), np.asarray(collider.face).reshape(-1, CLUSTER)
    real = np.arange(CLUSTER) < size[:, None]
    np.testing.assert_array_equal(np.sort(face[real]), np.arange(len(topology.faces)))
    np.testing.assert_array_equal(collider.triangle, topology.faces[collider.face])
    part = np.broadcast_to(np.asarray(collider.part)[:, None], face.shape)
    np.testing.assert_array_equal(topology.face_link[face], part)
    rows = np.repeat(np.arange(len(size)), CLUSTER)[:, None]
    corners = np.asarray(collider.vertex)[rows, collider.corner]
    np.testing.assert_array_equal(corners, collider.triangle)
    for part in range(N_BODIES):
        own = np.asarray(collider.part)[collider.start[part] : collider.start[part + 1]]
        assert np.all(own == part)


def test_clusters_are_small(mannequin):
    """Most fit into 6 cm, where a limb is 40 cm long."""
    rest = tuple(c[:, None] for c in mannequin.template)
    bounds = cluster_bounds(rest, mesh_collider(mannequin))
    extent = [high - low for low, high in zip(*bounds, strict=True)]
    assert np.median(np.max(extent, axis=0)) < 0.06


def test_default_pairs(mannequin):
    """All that are far in the tree, since the mannequin's parts are apart at rest; settable."""
    pairs = default_mesh_pairs(mannequin)
    assert mesh_collider(mannequin).pairs == pairs and len(pairs) == 172
    assert all(far_in_tree(*pair) for pair in pairs)
    assert not any(set(pair) <= set(CLASPING) for pair in pairs)
    assert "left_elbow - right_elbow" in describe_pairs(pairs)
    with pytest.raises(ModelError, match="left_collar has no triangles"):
        mesh_collider(mannequin, ((0, body_index("left_collar")),))


def test_pairs_that_are_near_at_rest_are_left_out():
    """Spheres of 10 cm and 6 cm in one another: apart by 4 cm, and by 1 cm."""
    assert default_mesh_pairs(spheres((0.1, 0.06))) == ()
    assert default_mesh_pairs(spheres((0.1, 0.09))) == ()


def test_kept(mannequin):
    assert mesh_collider(mannequin) is mesh_collider(load_surface())
