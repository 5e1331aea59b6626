"""Masses of the default body, against de Leva's segments and a measured man."""

import json
from importlib.resources import files
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from default_body import (
    BODIES,
    FINGER,
    FLOAT32,
    HEEL,
    TOE,
    VERTEX,
    arms_down,
    bodies,
    joints_of,
    landmark,
    mean_body,
    place,
)

from phymotion_jax.body.mass import link_moments
from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS, body_index
from phymotion_jax.body.template import default_template

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

TRACE_RTOL = 2e-5
"""A link's inertia is a difference of moments about the model's origin, for the shanks 16 times as
large: each of some ten roundings (6e-8) counts as often. Measured: 1.01e-5."""

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
    np.testing.assert_allclose(np.trace(inertia), want, rtol=TRACE_RTOL)
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
            inertia = np.asarray(links.inertia()[index])
            radii = np.sqrt(np.diag(inertia)[axes] / float(links.mass[index])) / length
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
