"""The default body: its shapes against mannequin-x, and a batch against one body."""

import jax.numpy as jnp
import numpy as np
import pytest
from default_body import BODIES, FLOAT32, bodies, build, built, joints_of, place
from mannequin import Mannequin
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS, N_BODIES, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.sharding import by_clip

JOINT_ATOL = 1e-5  # metres: SMPL-X's joints are linear in the betas
HULL_ATOL = {1.0: 0.001, 2.0: 0.003}
"""Metres, for betas of one and of two standard deviations: how far the surface's parts are from
linear in them. The worst of 100 draws were 0.5 and 1.9 mm."""
FOOT_ATOL = 1e-4  # metres: the feet's hulls are linear, up to float32


def mannequin_name(link: str) -> str:
    """mannequin-x's name of a joint. SMPL's hand joint is at the knuckles."""
    side, _, joint = link.rpartition("_")
    if joint == "hand":
        return f"{side[0].upper()}_Middle1"
    return f"{side[0].upper()}_{joint.capitalize()}" if side else joint.capitalize()


@pytest.fixture(scope="module")
def mannequins():
    """The skinned one, and that of convex hulls, whose feet end in soles."""
    return Mannequin("wooden"), Mannequin("convex", lod=1)


def vertices(mannequin, betas) -> np.ndarray:
    mannequin.reshape(betas)
    return mannequin.vertices(mannequin.rest_pose(dtype=np.float64))


@pytest.mark.parametrize("sigma", HULL_ATOL)
def test_shapes_are_mannequins(sigma, mannequins, rng):
    """Joints and hulls of random people, whom mannequin-x shapes without any linearity."""
    template = default_template()
    hull, wooden = template.hull, mannequins[0]
    index = [wooden.joint_index(mannequin_name(name)) for name in BODY_NAMES]
    place = hull.mean + template.joint_mean[hull.link]
    rows = [cKDTree(vertices(m, np.zeros(N_BETAS))).query(place) for m in mannequins]
    foot = np.isin(hull.link, FEET)
    for (away, _), mine in zip(rows, (~foot, foot), strict=True):
        assert away[mine].max() < FOOT_ATOL  # each is a vertex of the mannequin's own
    for betas in sigma * rng.normal(size=(12, N_BETAS)):
        joints = template.joint_mean + template.joint_dirs @ betas
        got = hull.mean + hull.dirs @ betas + joints[hull.link]
        skin, solid = (
            np.linalg.norm(got - vertices(m, betas)[row], axis=1)
            for m, (_, row) in zip(mannequins, rows, strict=True)
        )
        want = wooden.joint_transforms(wooden.rest_pose(dtype=np.float64))[index, :3, 3]
        np.testing.assert_allclose(joints, want, atol=JOINT_ATOL)
        assert skin[~foot].max() < HULL_ATOL[sigma]
        assert solid[foot].max() < FOOT_ATOL


def test_each_hull_hangs_on_its_own_link(mannequins, rng):
    """Posed at random, mannequin-x moves every vertex with the link that we say carries it.

    All of the feet's. Skin that two links move lies between them: half of it within 1 mm.
    """
    template = default_template()
    vector = 0.5 * rng.normal(size=(N_BODIES, 3))
    vector[[body_index("left_hand"), body_index("right_hand")]] = 0.0  # the mannequin has fingers
    rotation, position = place(template.joint_mean, Rotation.from_rotvec(vector))
    hull = template.hull
    got = np.einsum("vij,vj->vi", rotation[hull.link], hull.mean) + position[hull.link]
    rest = hull.mean + template.joint_mean[hull.link]
    error = []
    for mannequin in mannequins:
        row = cKDTree(vertices(mannequin, np.zeros(N_BETAS))).query(rest)[1]
        pose = mannequin.rest_pose(dtype=np.float64)
        pose = pose | {"body_pose": vector[1:22], "pelvis_rotation": vector[0]}
        error.append(np.linalg.norm(got - mannequin.vertices(pose)[row], axis=1))
    foot = np.isin(hull.link, FEET)
    assert error[1][foot].max() < FOOT_ATOL
    assert np.median(error[0][~foot]) < 0.001


def test_numbers_are_the_templates(rng):
    """The jitted body has the template's offsets, hulls and points, by plain matrix algebra."""
    template = default_template()
    betas = rng.normal(size=(BODIES, N_BETAS))
    got = bodies(betas, 70.0)
    joints = template.joint_mean + np.einsum("jck,bk->bjc", template.joint_dirs, betas)
    np.testing.assert_allclose(joints_of(got), joints - joints[:, :1], atol=FLOAT32)
    for points, name in (
        (template.hull, "hull_point"),
        (template.contact, "contact_point"),
        (template.capsule_ends, "capsule_ends"),
    ):
        want = points.mean + np.einsum("pck,bk->bpc", points.dirs, betas)
        np.testing.assert_allclose(getattr(got, name), want, atol=FLOAT32)


BARE = ("spine2", "left_collar", "right_collar")
"""Links that no part of the mannequin's hangs on."""

SOLE_COVER = 0.8  # of the hull's length from heel to toe; the rest is where the sole curves up


def test_contact_points_are_hull_vertices():
    """32 on the soles, 8 on each part of the trunk, 6 on others, each on the link that it is of."""
    template = default_template()
    contact, hull = template.contact, template.hull
    assert set(range(N_BODIES)) - set(hull.link) == {body_index(n) for n in BARE}
    assert (template.n_sole, len(contact.link)) == (32, 32 + 8 * 3 + 6 * (N_BODIES - 4 - 4 - 2))
    keys = [{tuple(p) for p in hull.mean[hull.link == link]} for link in range(N_BODIES)]
    mine = [(link, *point) for link, point in zip(contact.link, contact.mean, strict=True)]
    assert len(set(mine)) == len(mine)
    assert all(tuple(point) in keys[link] for link, *point in mine)
    assert set(contact.link) == set(hull.link)


@pytest.mark.parametrize("side", [0, 1], ids=["left", "right"])
def test_soles_span_the_foot(side):
    """They reach over 80 % of its length and width; its lowest point is less than 1 mm lower."""
    template, humanoid = default_template(), built(0.0, 70.0)
    joint = template.joint_mean
    sole = np.array(humanoid.feet[side])
    assert {humanoid.contact_link[k] for k in sole} == set(FEET[side])
    points = (template.contact.mean + joint[template.contact.link])[sole]
    foot = np.isin(template.hull.link, FEET[side])
    hull = (template.hull.mean + joint[template.hull.link])[foot]
    assert np.ptp(points[:, 2]) > SOLE_COVER * np.ptp(hull[:, 2])
    assert np.ptp(points[:, 0]) > SOLE_COVER * np.ptp(hull[:, 0])
    assert points[:, 1].max() < hull[:, 1].min() + 0.02
    assert points[:, 1].min() < hull[:, 1].min() + 0.001


def test_a_batch_is_its_bodies_one_by_one(rng):
    betas, mass_kg = rng.normal(size=(BODIES, N_BETAS)), rng.uniform(40.0, 120.0, BODIES)
    mass_kg[0] = np.nan
    batch = bodies(betas, mass_kg)
    for k in range(3):
        one = build(jnp.asarray(betas[k], jnp.float32), jnp.asarray(mass_kg[k], jnp.float32))
        for name, want in vars(batch).items():
            np.testing.assert_allclose(getattr(one, name), want[k], atol=FLOAT32, rtol=FLOAT32)


def test_masses_of_one_shape():
    """Every field that may be one a body is, as where each has betas of its own."""
    mass_kg = jnp.array([60.0, 80.0])
    for betas in (None, jnp.zeros(N_BETAS)):
        got, want = build(betas, mass_kg), build(jnp.zeros((2, N_BETAS)), mass_kg)
        for name, value in by_clip(want).items():
            assert getattr(got, name).shape == value.shape, name
            np.testing.assert_allclose(getattr(got, name), value, atol=FLOAT32, rtol=FLOAT32)
