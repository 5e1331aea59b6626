"""Warp's kernels against the plain form: the same counts on every frame, whatever calls them."""

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec
from random_body import random_body, save
from scipy.spatial.transform import Rotation

from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.pairs import far_in_tree
from phymotion_jax.body.skeleton import N_BODIES, PARENTS
from phymotion_jax.body.surface import map_posed
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.kernels import mesh_overlap_warp as module
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.collider import CLUSTER, MeshCollider
from phymotion_jax.kernels.mesh_overlap import MeshOverlap, mesh_overlap
from phymotion_jax.kernels.mesh_overlap_warp import mesh_overlap_warp
from phymotion_jax.kernels.triangles import triangles_intersect

pytest.importorskip("warp", reason="warp-lang is not installed (extra warp)")

plain = jax.jit(mesh_overlap)
intersect = jax.jit(triangles_intersect)
by_warp = jax.jit(mesh_overlap_warp, static_argnames="room")

T = 4096  # pairs of triangles that touch, as frames
CLIPS, FRAMES = 2, 6


def some_bodies(rng):
    """Betas, and joint rotations (4, 24, B, T) by 0.15 rad in one clip, by 0.5 in the other."""
    vectors = rng.normal(size=(N_BODIES, CLIPS, FRAMES, 3)) * [[[0.15]], [[0.5]]]
    quat = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_quat(scalar_first=True)
    quat = jnp.asarray(quat.reshape(N_BODIES, CLIPS, FRAMES, 4), jnp.float32)
    return jnp.asarray(rng.normal(size=(CLIPS, 10)), jnp.float32), jnp.moveaxis(quat, -1, 0)


@jax.jit
def posed(model, betas, quat):
    return model.shaped(betas).posed(link_rotations(PARENTS, tuple(quat)))


@jax.jit
def both_in_chunks(model, collider, betas, quat):
    """By the plain form and by Warp, through `map_posed`."""

    def both(vertices):
        return mesh_overlap(vertices, collider), mesh_overlap_warp(vertices, collider)

    return map_posed(both, model, betas, link_rotations(PARENTS, tuple(quat)), chunk=4)


def assert_same(got, want):
    np.testing.assert_array_equal(got.hits, want.hits)
    np.testing.assert_array_equal(got.triangles, want.triangles)


@pytest.fixture(scope="module")
def tangle(tmp_path_factory):
    """A body whose triangles join random vertices, with all pairs of parts that are not near."""
    path = tmp_path_factory.mktemp("body") / "smplx.npz"
    model = load_surface(save(path, random_body("smplx")))
    parts = sorted(set(model.topology.face_link.tolist()))
    pairs = tuple((a, b) for a in parts for b in parts if a < b and far_in_tree(a, b))
    return model, mesh_collider(model, pairs)


@pytest.fixture
def tangled(tangle, rng):
    """Its vertices in some frames, and its collider."""
    model, collider = tangle
    return posed(model, *some_bodies(rng)), collider


def test_same_counts_where_much_crosses(tangled):
    want = plain(*tangled)
    assert (want.triangles > 100).all()
    assert_same(by_warp(*tangled), want)


@pytest.mark.parametrize("room", [0, 2])
def test_a_list_too_short_loses_nothing(room, tangled):
    assert_same(by_warp(*tangled, room=room), plain(*tangled))


def test_same_counts_on_the_mannequin(rng):
    """In chunks of frames, in bodies of two shapes."""
    model = load_surface()
    want, got = both_in_chunks(model, mesh_collider(model), *some_bodies(rng))
    assert (want.triangles > 0).any() and (want.triangles == 0).any()
    assert_same(got, want)


def two_triangles() -> MeshCollider:
    """Vertices 0 to 2 against vertices 3 to 5."""
    corner = np.repeat([[0, 1, 2]], 2 * CLUSTER, axis=0)
    triangle = corner + 3 * np.repeat([[0], [1]], CLUSTER, axis=0)
    return MeshCollider(
        triangle=jnp.asarray(triangle, jnp.int32),
        corner=jnp.asarray(corner, jnp.int32),
        vertex=jnp.arange(6, dtype=jnp.int32).reshape(2, 3),
        size=jnp.ones(2, jnp.int32),
        face=jnp.repeat(jnp.arange(2, dtype=jnp.int32), CLUSTER),
        part=jnp.arange(2, dtype=jnp.int32),
        start=(0, 1, 2),
        pairs=((0, 1),),
        n_triangles=2,
    )


def touching(rng, where):
    """Triangles ``(6, 1, T)`` of millimetres; the second begins in the first's plane or edge."""
    first = rng.uniform(-0.8, 0.8, (1, T, 3)) + rng.uniform(-0.006, 0.006, (3, T, 3))
    second = first[:1] + rng.uniform(-0.006, 0.006, (3, T, 3))
    share = rng.dirichlet((1, 1, 1), T).T
    if where == "edge":
        share[2] = 1.0 - share[0]
        share[1] = 0.0
    second[0] = np.einsum("kt,ktc->tc", share, first)
    corners = np.concatenate([first, second]).astype(np.float32)[:, None]
    return tuple(jnp.asarray(corners[..., k]) for k in range(3))


@pytest.mark.parametrize("where", ["plane", "edge"])
def test_same_signs_where_triangles_touch(where, rng):
    """The last bit decides, and it is the same one: with fused products 1 in 500 were not."""
    vertices = touching(rng, where)
    corners = [tuple(c[v] for c in vertices) for v in range(6)]
    want = np.asarray(intersect(tuple(corners[:3]), tuple(corners[3:])))
    assert 0.1 < want.mean() < 0.9
    got = by_warp(vertices, two_triangles())
    np.testing.assert_array_equal(got.hits[0], want)
    np.testing.assert_array_equal(got.triangles, 2 * want)


def test_nan_stays_in_its_frame(tangled):
    """And crosses nothing there."""
    vertices, collider = tangled
    broken = tuple(c.at[:, 1, 2].set(jnp.nan) for c in vertices)
    got, whole = by_warp(broken, collider), by_warp(vertices, collider)
    assert not got.hits[:, 1, 2].any() and not got.triangles[1, 2]
    beside = np.ones((CLIPS, FRAMES), bool)
    beside[1, 2] = False
    np.testing.assert_array_equal(got.hits[:, beside], whole.hits[:, beside])


def test_under_vmap(tangled):
    """Clip by clip."""
    vertices, collider = tangled
    clips = tuple(jnp.moveaxis(c, 1, 0)[:, :, None] for c in vertices)
    got = jax.jit(jax.vmap(lambda v: mesh_overlap_warp(v, collider)))(clips)
    want = plain(vertices, collider)
    np.testing.assert_array_equal(got.hits[:, :, 0], np.moveaxis(want.hits, 1, 0))
    np.testing.assert_array_equal(got.triangles[:, 0], want.triangles)


def test_under_shard_map(tangled):
    vertices, collider = tangled
    clips: Any = PartitionSpec(None, "clips")
    frames: Any = PartitionSpec("clips")
    split = jax.shard_map(
        mesh_overlap_warp,
        mesh=Mesh(np.array(jax.devices()[:1]), ("clips",)),
        in_specs=(clips, PartitionSpec()),
        out_specs=MeshOverlap(clips, frames),
    )
    assert_same(jax.jit(split)(vertices, collider), plain(vertices, collider))


def test_beside_a_gradient(tangled):
    """Counts have none; what is differentiated beside them has its own."""

    def loss(vertices):
        overlap = mesh_overlap_warp(vertices, tangled[1])
        return jnp.sum(vertices[0]) * 2.0 + 0.0 * jnp.sum(overlap.triangles)

    gradient = jax.jit(jax.grad(loss))(tangled[0])
    assert all((g == want).all() for g, want in zip(gradient, (2.0, 0.0, 0.0), strict=True))


def test_no_pairs(tangled):
    collider = two_triangles()
    alone = MeshCollider(**{**vars(collider), "pairs": ()})
    got = by_warp(touching(np.random.default_rng(0), "plane"), alone)
    assert got.hits.shape == (0, 1, T) and not got.triangles.any()


def test_without_warp(tangled, monkeypatch):
    """The error says what to install."""
    monkeypatch.setitem(sys.modules, "warp", None)
    monkeypatch.setattr(module, "_kernels", module._kernels.__wrapped__)
    with pytest.raises(ImportError, match=r"pip install 'phymotion-jax\[warp\]'"):
        mesh_overlap_warp(*tangled)
