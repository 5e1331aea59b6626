"""The default body: its shapes against mannequin-x, its masses against de Leva and whole people."""

import json
from functools import cache
from importlib.resources import files
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mannequin import Mannequin
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.limits import human_limits
from phymotion_jax.body.mass import link_moments
from phymotion_jax.body.pairs import describe_pairs, separate_pairs, tree_distance
from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS, N_BODIES, PARENTS, body_index
from phymotion_jax.body.template import default_template

BODIES = 200  # one shape for all, so that the body is compiled once
FLOAT32 = 1e-5  # relative: what a float32 chain of some ten operations leaves

build = jax.jit(Humanoid.from_betas)


def built(betas, mass_kg) -> Humanoid:
    """Bodies (BODIES, ...) for betas and masses that broadcast to them."""
    betas = jnp.broadcast_to(jnp.asarray(betas, jnp.float32), (BODIES, N_BETAS))
    return build(betas, jnp.broadcast_to(jnp.asarray(mass_kg, jnp.float32), (BODIES,)))


def bodies(betas, mass_kg) -> SimpleNamespace:
    """Their numbers in float64."""
    humanoid = built(betas, mass_kg)
    fields = ("offset", "mass", "com", "inertia", "contact_point", "capsule_ends", "hull_point")
    return SimpleNamespace(**{f: np.asarray(getattr(humanoid, f), np.float64) for f in fields})


@cache
def mean_body(mass_kg: float = 70.0) -> SimpleNamespace:
    return SimpleNamespace(**{k: v[0] for k, v in vars(bodies(0.0, mass_kg)).items()})


def joints_of(body) -> np.ndarray:
    """Joints at rest, relative to the pelvis: (..., 24, 3)."""
    joints = np.zeros_like(body.offset)
    for link in range(1, N_BODIES):
        joints[..., link, :] = joints[..., PARENTS[link], :] + body.offset[..., link, :]
    return joints


def landmark(index: int) -> np.ndarray:
    """A landmark of the mean body, relative to the pelvis."""
    template = default_template()
    points = template.landmark
    joint = template.joint_mean[points.link[index]] - template.joint_mean[0]
    return points.mean[index] + joint


VERTEX, HEEL, TOE, FINGER = landmark(0), landmark(1), landmark(3), landmark(5)


# --- shapes ---------------------------------------------------------------------------------------

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


def place(joints: np.ndarray, local: Rotation) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (24, 3, 3) and positions (24, 3) of a posed body whose pelvis stays."""
    rotation, position = local.as_matrix(), joints.copy()
    for link in range(1, N_BODIES):
        parent = PARENTS[link]
        rotation[link] = rotation[parent] @ rotation[link]
        position[link] = position[parent] + rotation[parent] @ (joints[link] - joints[parent])
    return rotation, position


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


# --- masses ---------------------------------------------------------------------------------------

SEGMENTS = json.loads(files("phymotion_jax.assets").joinpath("segments.json").read_text())

FRACTION_ATOL = 5e-5  # of body mass: half of the last digit that de Leva prints

COMPOSED_COM_ATOL = 0.01
"""Of the trunk's length: its centre follows from three segments on our own heights, and the mean of
women and men is taken of each fraction."""

TRUNK_RADII_RTOL = 0.03
"""Measured: 0.3 to 0.6 %, though de Leva's trunk is one segment and ours six links."""

BAR_RADII_RTOL = 0.2
"""Bars spread wider than what they stand for: heads, hands and feet taper at their ends. Measured:
up to 17 %. Together they hold 11 % of the body's mass."""

TILT_RTOL = 0.05
"""Cross-sections are laid along the model's axes, not across the bone. Measured: under 1 %, and 4 %
for the left upper arm, whose bone lies 18 degrees off its axis."""


def published(segment: str) -> dict[str, Any]:
    """De Leva's row, the mean of women and men."""
    row = SEGMENTS["whole_trunk"] if segment == "trunk" else SEGMENTS["segments"][segment]
    return {k: np.mean(row[k], axis=0) for k in ("mass", "com", "radii", "length_m")}


def composed(body, links) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre (from the pelvis) and inertia about it of several links at rest."""
    index = [body_index(name) for name in links]
    centres = (joints_of(body) + body.com)[index]
    return lumped(body.mass[index], centres, body.inertia[index])


def lumped(mass, centres, inertias) -> tuple[float, np.ndarray, np.ndarray]:
    """Several rigid bodies as one: parallel axes, written out."""
    total = mass.sum()
    centre = mass @ centres / total
    inertia = np.zeros((3, 3))
    for m, c, i in zip(mass, centres - centre, inertias, strict=True):
        inertia += i + m * (c @ c * np.eye(3) - np.outer(c, c))
    return total, centre, inertia


TRUNK = ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")
LIMBS = {  # de Leva's segment: first and last joint
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
PIECES = {"foot": ("ankle", "foot"), "hand": ("wrist", "hand")}


def segments(side: str) -> dict[str, tuple[str, ...]]:
    """De Leva's segments as our links."""
    return (
        {"head": ("neck", "head"), "trunk": TRUNK}
        | {name: (f"{side}_{first}",) for name, (first, _) in LIMBS.items()}
        | {name: tuple(f"{side}_{link}" for link in links) for name, links in PIECES.items()}
    )


def test_mass_is_what_was_asked(rng):
    """To a float32 rounding; where it is NaN, 22.3 kg/m² times the square of the stature."""
    betas, mass_kg = rng.normal(size=(BODIES, N_BETAS)), rng.uniform(30.0, 150.0, BODIES)
    mass_kg[::2] = np.nan
    got = bodies(betas, mass_kg).mass.sum(axis=1)
    np.testing.assert_allclose(got[1::2], mass_kg[1::2], rtol=4e-7)
    template = default_template()
    vertical = template.joint_mean[:, 1] + betas @ template.joint_dirs[:, 1].T
    top, sole = (
        points.mean[:, 1] + betas @ points.dirs[:, 1].T + vertical[:, points.link]
        for points in (template.landmark, template.contact)
    )
    stature = top[:, 0] - sole[:, : template.n_sole].min(axis=1)
    index = np.mean(np.array(SEGMENTS["body_mass_kg"]) / np.array(SEGMENTS["stature_m"]) ** 2)
    np.testing.assert_allclose(got[::2], (index * stature**2)[::2], rtol=FLOAT32)
    assert 1.70 < landmark(0)[1] - sole_height() < 1.74


def sole_height() -> float:
    """Lowest point of the mean body at rest, relative to the pelvis."""
    template = default_template()
    height = template.hull.mean[:, 1] + template.joint_mean[template.hull.link, 1]
    return float(height.min() - template.joint_mean[0, 1])


@pytest.mark.parametrize("side", ["left", "right"])
def test_segment_masses_are_de_levas(side):
    body = mean_body()
    for segment, links in segments(side).items():
        mass, _, _ = composed(body, links)
        assert abs(mass / 70.0 - published(segment)["mass"]) < FRACTION_ATOL, segment
    assert (body.mass > 0.0).all()


def test_trunk_of_three_is_the_whole_trunk():
    """De Leva's own rows agree: the trunk's three parts add up to it."""
    parts = sum(published(f"{part}_trunk")["mass"] for part in ("upper", "middle", "lower"))
    assert abs(parts - published("trunk")["mass"]) < FRACTION_ATOL


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("segment", LIMBS)
def test_limbs_are_de_levas(segment, side):
    """Centre between the joints at his fraction; his radii, their squares adding up exactly."""
    body, row = mean_body(), published(segment)
    first, last = (joints_of(body)[body_index(f"{side}_{n}")] for n in LIMBS[segment])
    mass, centre, inertia = composed(body, segments(side)[segment])
    np.testing.assert_allclose(centre, first + row["com"] * (last - first), atol=FLOAT32)
    length = np.linalg.norm(last - first)
    want = mass * length**2 * np.sum(row["radii"] ** 2)
    np.testing.assert_allclose(np.trace(inertia), want, rtol=FLOAT32)
    principal = np.sqrt(np.linalg.eigvalsh(inertia) / mass) / length
    np.testing.assert_allclose(principal, np.sort(row["radii"]), rtol=TILT_RTOL)


def test_straight_limbs_have_de_levas_radii():
    """On a body whose legs hang straight down and whose arms point straight out, exactly."""
    template = default_template()
    joints = template.joint_mean.copy()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for first, last, bone in (
            ("hip", "knee", [0.0, -0.4, 0.0]),
            ("knee", "ankle", [0.0, -0.42, 0.0]),
            ("shoulder", "elbow", [sign * 0.28, 0.0, 0.0]),
            ("elbow", "wrist", [sign * 0.26, 0.0, 0.0]),
        ):
            start, end = (body_index(f"{side}_{n}") for n in (first, last))
            joints[end] = joints[start] + bone
    marks = template.landmark.mean + template.joint_mean[template.landmark.link]
    ends = [jnp.asarray(marks[0]), *(jnp.asarray(marks[k : k + 2]) for k in (1, 3, 5))]
    links = jax.jit(link_moments)(jnp.asarray(joints), *ends, jnp.asarray(70.0))
    for segment, (name, last) in LIMBS.items():
        for side in ("left", "right"):
            index = body_index(f"{side}_{name}")
            length = np.linalg.norm(joints[body_index(f"{side}_{last}")] - joints[index])
            # sagittal, transverse and longitudinal; an arm's long axis is x, and y its fore-aft one
            # turned a quarter about z
            axes = [2, 1, 0] if "arm" in segment else [2, 0, 1]
            inertia = np.asarray(links[index].inertia())
            radii = np.sqrt(np.diag(inertia)[axes] / float(links[index].mass)) / length
            # Moments are taken about the feet's height: 1.5 m squared cancels to 0.02 m squared.
            np.testing.assert_allclose(radii, published(segment)["radii"], rtol=2e-3)


def test_trunk_is_de_levas():
    """Six links composed: centre and radii of the whole trunk, from cervicale to mid-hip."""
    body, row = mean_body(), published("trunk")
    hips = joints_of(body)[[body_index("left_hip"), body_index("right_hip")], 1].mean()
    # Lengths as his subjects': cervicale is where the head's share of vertex to mid-hip begins.
    column = [published(s)["length_m"] for s in ("lower_trunk", "middle_trunk", "upper_trunk")]
    length = (VERTEX[1] - hips) * sum(column) / (sum(column) + published("head")["length_m"])
    mass, centre, inertia = composed(body, TRUNK)
    np.testing.assert_allclose(
        (hips + length - centre[1]) / length, row["com"], atol=COMPOSED_COM_ATOL
    )
    radii = np.sqrt(np.diag(inertia)[[2, 0, 1]] / mass) / length
    np.testing.assert_allclose(radii, row["radii"], rtol=TRUNK_RADII_RTOL)


def test_head_is_de_levas():
    body, row = mean_body(), published("head")
    mass, centre, inertia = composed(body, ("neck", "head"))
    hips = joints_of(body)[[body_index("left_hip"), body_index("right_hip")], 1].mean()
    names = ("lower_trunk", "middle_trunk", "upper_trunk", "head")
    length = (VERTEX[1] - hips) * row["length_m"] / sum(published(s)["length_m"] for s in names)
    np.testing.assert_allclose((VERTEX[1] - centre[1]) / length, row["com"], atol=FLOAT32 * 10)
    radii = np.sqrt(np.diag(inertia)[[2, 0, 1]] / mass) / length
    np.testing.assert_allclose(radii, row["radii"], rtol=BAR_RADII_RTOL)


def test_foot_and_hand_are_de_levas():
    """Sawn in two, each still has its centre between heel and toe, wrist and fingertip."""
    body = mean_body()
    wrist = joints_of(body)[body_index("left_wrist")]
    for segment, start, end, axes in (
        ("foot", HEEL, TOE, [1, 0, 2]),  # its sagittal axis stands, its long axis points forward
        ("hand", wrist, FINGER, [2, 1, 0]),
    ):
        row = published(segment)
        mass, centre, inertia = composed(body, segments("left")[segment])
        # The foot's length is taken level, between ankle and sole.
        span = (end - start) * ([0.0, 0.0, 1.0] if segment == "foot" else 1.0)
        length = np.linalg.norm(span)
        share = (centre - start) @ span / length**2
        np.testing.assert_allclose(share, row["com"], atol=10 * FLOAT32)
        radii = np.sqrt(np.diag(inertia)[axes] / mass) / length
        np.testing.assert_allclose(radii, row["radii"], rtol=BAR_RADII_RTOL)


# --- the whole body -------------------------------------------------------------------------------

ARMS_DOWN_DEG = 60.0
"""Turn of the T-pose's arms: as near to the sides as the width of mannequin-x's convex hulls lets
them come. How the measured man held his is not known. About the vertical axis it decides: 0.91 of
his moment here, 0.70 at 77 degrees, where the slimmer skin would touch."""

SUBJECT_MASS_KG, SUBJECT_STATURE_M = 66.8, 67.4 * 0.0254
SUBJECT_COM = 1.0 - 29.8 / 67.4
SUBJECT_INERTIA = 0.11298 * np.array([95.6, 81.9, 10.3])
"""Subject 2 of Santschi et al. 1963 (AMRL-TDR-63-36), measured as a pendulum, standing with arms at
the sides: centre as a fraction of stature above the soles, and kg·m² about the fore-aft, transverse
and vertical axis. Figures as reprinted by Matsuo 1995."""

SUBJECT_COM_ATOL = 0.015  # of stature; measured: 0.007 below
SUBJECT_RTOL = 0.12
"""Another person, of our mass and nearly our stature. Measured: 1.00, 1.09 and 0.91. Our stature is
0.5 % more, which is 1 % of inertia and left alone."""


def arms_down(degrees: float) -> Rotation:
    vector = np.zeros((N_BODIES, 3))
    vector[[body_index("left_shoulder"), body_index("right_shoulder")], 2] = [-degrees, degrees]
    return Rotation.from_rotvec(np.radians(vector))


def test_whole_body_is_a_measured_mans():
    body = mean_body(SUBJECT_MASS_KG)
    rotation, position = place(joints_of(body), arms_down(ARMS_DOWN_DEG))
    centres = position + np.einsum("lij,lj->li", rotation, body.com)
    inertias = rotation @ body.inertia @ np.swapaxes(rotation, 1, 2)
    mass, centre, inertia = lumped(body.mass, centres, inertias)
    np.testing.assert_allclose(mass, SUBJECT_MASS_KG, rtol=FLOAT32)
    stature = VERTEX[1] - sole_height()
    np.testing.assert_allclose(stature, SUBJECT_STATURE_M, rtol=0.01)
    height = (centre[1] - sole_height()) / stature
    np.testing.assert_allclose(height, SUBJECT_COM, atol=SUBJECT_COM_ATOL)
    np.testing.assert_allclose(np.diag(inertia)[[2, 0, 1]], SUBJECT_INERTIA, rtol=SUBJECT_RTOL)


def test_inertias_are_possible(rng):
    """200 people within three standard deviations: each link is a body that can exist."""
    body = bodies(rng.uniform(-3.0, 3.0, (BODIES, N_BETAS)), np.nan)
    assert (body.mass > 0.0).all()
    np.testing.assert_allclose(body.inertia, np.swapaxes(body.inertia, -1, -2), atol=1e-6)
    moments = np.linalg.eigvalsh(body.inertia)
    assert (moments > 0.0).all()
    assert (moments[..., 2] < moments[..., 0] + moments[..., 1]).all()


def test_a_batch_is_its_bodies_one_by_one(rng):
    betas, mass_kg = rng.normal(size=(BODIES, N_BETAS)), rng.uniform(40.0, 120.0, BODIES)
    mass_kg[0] = np.nan
    batch = bodies(betas, mass_kg)
    for k in range(3):
        one = build(jnp.asarray(betas[k], jnp.float32), jnp.asarray(mass_kg[k], jnp.float32))
        for name, want in vars(batch).items():
            np.testing.assert_allclose(getattr(one, name), want[k], atol=FLOAT32, rtol=FLOAT32)


LENGTH_RTOL = 0.16  # SMPL-X's mean body: its shoulders differ by 15 %, its hips by 9 %
SAWN_RTOL = 0.05  # knuckles are not at quite the same share of both hands
CENTRE_ATOL = 0.006  # metres that its centre of mass is off the pelvis' midline


def test_left_is_nearly_right():
    """Masses, but for where hands and feet are sawn; lengths as SMPL-X has them."""
    body = mean_body()
    pairs = [
        (k, body_index(n.replace("left", "right"))) for k, n in enumerate(BODY_NAMES) if "left" in n
    ]
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    for segment in segments("left"):
        masses = [composed(body, segments(side)[segment])[0] for side in ("left", "right")]
        np.testing.assert_allclose(*masses, rtol=FLOAT32)
    feet = np.isin(left, FEET[0])
    np.testing.assert_allclose(body.mass[left][~feet], body.mass[right][~feet], rtol=SAWN_RTOL)
    lengths = np.linalg.norm(body.offset, axis=1)
    np.testing.assert_allclose(lengths[left], lengths[right], rtol=LENGTH_RTOL)
    _, centre, _ = composed(body, BODY_NAMES)
    assert abs(centre[0]) < CENTRE_ATOL


# --- limits ---------------------------------------------------------------------------------------

TABLE = json.loads(files("phymotion_jax.assets").joinpath("limits.json").read_text())


@pytest.mark.parametrize("joint", TABLE["joints"])
def test_rows_have_sources_and_sense(joint):
    row = TABLE["joints"][joint]
    assert row["range_source"]
    for axis in "xyz":
        low, high = row["range_deg"][axis]
        assert -180 <= low < 0 < high <= 180
        assert row["meaning"][axis]
    for field in ("speed_deg_s", "torque_nm_kg"):
        assert 0 < row[field]["soft"] < row[field]["hard"]
        assert row[field]["source"]
    assert joint in row["chain"][-1]


HUMAN = {  # joint: ranges in degrees, speeds in degrees a second, torques in N.m/kg
    "hip": ({"x": [-130, 30], "y": [-45, 45], "z": [-30, 70]}, (700, 1200), (3.5, 6.0)),
    "knee": ({"x": [-7.5, 145], "y": [-20, 20]}, (1000, 2000), (3.5, 5.5)),
    "ankle": ({"x": [-30, 50], "z": [-25, 25]}, (800, 1500), (3.2, 5.0)),
    "foot": ({"x": [-60, 30]}, (800, 1500), (1.0, 2.0)),
    "spine3": ({"x": [-45, 90], "y": [-45, 45], "z": [-45, 45]}, (500, 1000), (3.5, 6.0)),
    "head": ({"x": [-75, 60], "y": [-80, 80], "z": [-45, 45]}, (500, 1000), (0.6, 1.2)),
    "shoulder": ({"y": [-135, 80]}, (1500, 7500), (1.2, 2.5)),
    "elbow": ({"x": [-80, 80], "y": [-150, 5]}, (1500, 2500), (0.8, 1.5)),
    "wrist": ({"y": [-30, 30], "z": [-80, 70]}, (1500, 2500), (0.25, 0.6)),
}


@pytest.mark.parametrize("joint", HUMAN)
def test_limits_are_the_tables(joint):
    """As arrays over links, and mirrored on the right: what the table is for."""
    ranges, speed, torque = HUMAN[joint]
    limits = human_limits()
    names = [BODY_NAMES[chain.links[-1]] for chain in limits.chains]
    sides = ["left_", "right_"] if f"left_{joint}" in names else [""]
    for side in sides:
        link, row = body_index(side + joint), names.index(side + joint)
        np.testing.assert_allclose(np.degrees(limits.speed[link]), speed)
        np.testing.assert_allclose(limits.torque[link].max(axis=0), torque)
        for axis, (low, high) in ranges.items():
            mirrored = side == "right_" and axis != "x"
            want = (-high, -low) if mirrored else (low, high)
            k = "xyz".index(axis)
            np.testing.assert_allclose(np.degrees([limits.low[row, k], limits.high[row, k]]), want)


@pytest.mark.parametrize(
    ("joint", "way", "limit"), [("knee", 1, (1.8, 3.5)), ("ankle", 0, (1.0, 2.0))]
)
def test_weaker_side(joint, way, limit):
    """Knees flex, about +x, with less than they extend; ankles lift the foot, about -x."""
    limits = human_limits()
    for side in ("left_", "right_"):
        torque = limits.torque[body_index(side + joint)]
        np.testing.assert_allclose(torque[way], limit)
        assert (torque[1 - way] > torque[way]).all()
    others = [i for i in range(1, 24) if i not in map(body_index, WEAKER)]
    np.testing.assert_array_equal(limits.torque[others, 0], limits.torque[others, 1])


WEAKER = [f"{side}_{joint}" for side in ("left", "right") for joint in ("knee", "ankle")]


def test_all_joints_are_limited():
    """23 joints have a speed and a torque; the pelvis, which is none, has not."""
    limits = human_limits()
    for table in (limits.speed, limits.torque[:, 0], limits.torque[:, 1]):
        assert np.isfinite(table[1:]).all()
        assert (table[1:, 0] < table[1:, 1]).all()
        assert np.isinf(table[0]).all()
    covered = [link for chain in limits.chains for link in chain.links]
    assert sorted(covered) == list(range(1, 22))  # each joint once; fingers have no range


def test_the_margin_is_added_on_both_sides():
    body, limits = built(0.0, 70.0), human_limits()
    margin = np.radians(TABLE["margin_deg"]["value"])
    np.testing.assert_allclose(body.range_low, limits.low - margin, rtol=FLOAT32)
    np.testing.assert_allclose(body.range_high, limits.high + margin, rtol=FLOAT32)


# --- capsules -------------------------------------------------------------------------------------

HULL_SLACK_M = 0.065  # how far a capsule may look out of its hull; measured: 59 mm, at the knee


def capsules(joints, local: Rotation) -> np.ndarray:
    """Ends (K, 2, 3) of the mean body's capsules in a pose."""
    ends = default_template().capsule_ends
    rotation, position = place(joints, local)
    placed = np.einsum("eij,ej->ei", rotation[ends.link], ends.mean) + position[ends.link]
    return np.stack(np.split(placed, 2), axis=1)


@pytest.mark.parametrize("degrees", [0.0, 40.0, 70.0])
def test_capsules_are_clear_at_rest(degrees):
    """No pair that must not overlap does, in the T-pose, with hanging arms and in between."""
    template = default_template()
    ends = capsules(template.joint_mean, arms_down(degrees))
    t = np.linspace(0.0, 1.0, 201)[:, None]
    cores = ends[:, None, 0] + t * (ends[:, None, 1] - ends[:, None, 0])
    pairs = separate_pairs(template)
    owner = template.capsule_ends.link[: len(ends)]
    gaps = [
        np.linalg.norm(cores[j][:, None] - cores[k][None], axis=-1).min()
        - template.capsule_radius[[j, k]].sum()
        for a, b in pairs
        for j in np.flatnonzero(owner == a)
        for k in np.flatnonzero(owner == b)
    ]
    assert min(gaps) > 0.0


def test_capsules_reach_as_far_as_their_hulls(rng):
    """On average over all directions, or up to 17 mm less; and never much farther."""
    template = default_template()
    ends, radius = template.capsule_ends, template.capsule_radius
    assert (radius > 0.0).all()
    ways = rng.normal(size=(1000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    reach = ends.mean @ ways.T + np.tile(radius, 2)[:, None]
    for link in np.unique(template.hull.link):
        hull = (template.hull.mean[template.hull.link == link] @ ways.T).max(axis=0)
        capsule = reach[ends.link == link].max(axis=0)
        assert -0.017 < capsule.mean() - hull.mean() < 0.004, BODY_NAMES[link]
        assert (capsule - hull).max() < HULL_SLACK_M, BODY_NAMES[link]


def test_pairs_are_parts_that_can_collide():
    """Both arms with the legs, the other arm and the head; no neighbours, no clasped hands."""
    pairs = separate_pairs(default_template())
    names = describe_pairs(pairs)
    assert len(set(pairs)) == len(pairs) == len(names)
    assert "left_elbow - right_elbow" in names
    assert "left_ankle - right_ankle" in names
    assert "head - left_hand" in names
    assert "left_hand - right_hand" not in names
    assert all(a < b and tree_distance(a, b, PARENTS) > 2 for a, b in pairs)
    mirrored = {name.replace("left", "*").replace("right", "left") for name in names}
    both = {frozenset(name.replace("*", "right").split(" - ")) for name in mirrored}
    assert both == {frozenset(name.split(" - ")) for name in names}


def test_tree_distance_is_that_of_a_graph():
    """By breadth-first search over the undirected tree."""
    links = [
        {PARENTS[k], *(c for c in range(N_BODIES) if PARENTS[c] == k)} for k in range(N_BODIES)
    ]
    for a, b in combinations(range(N_BODIES), 2):
        reached, steps = {a}, 0
        while b not in reached:
            reached |= {n for k in reached for n in links[k] if n >= 0}
            steps += 1
        assert tree_distance(a, b, PARENTS) == steps
