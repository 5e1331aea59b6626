"""Masses, centres and inertias of the SMPL links after de Leva (1996), on a subject's own lengths.

De Leva's thighs, shanks and arms are SMPL links as they stand. The others are cut: trunk and head
are a chain of bars from mid-hip to vertex, the trunk sawn at the heights of the spine's joints and
the head (with the neck, as he has it) at the head's; hand and foot are bars sawn at the knuckles
and at the ball of the foot. Bars have linear density, so that each segment keeps its mass and its
centre of mass exactly, and the pieces add up to the segment.
"""

import json
from functools import cache, reduce
from importlib.resources import files

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.body.moments import Moments, bar, point_like
from phymotion_jax.body.skeleton import BODY_NAMES, body_index

COLLAR_SHARE = 0.08
"""Share of the upper trunk that moves with each collar (scapula, clavicle and muscle). De Leva does
not split the shoulder girdle off; a proposal of this project. The trunk's sum does not change."""

_CHAIN = ("lower_trunk", "middle_trunk", "upper_trunk", "head")
"""Segments from mid-hip to vertex."""

_COLUMN = (
    (("pelvis", "spine1", "spine2", "spine3"), _CHAIN[:3]),
    (("neck", "head"), _CHAIN[3:]),
)
"""Links from mid-hip to vertex and the segments that they share out among them. The SMPL neck joint
lies below the seventh cervical vertebra, but what is there (shoulders) moves with the chest."""

_LIMBS = {  # de Leva's segment: (link, its distal joint)
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}


@cache
def segment_table() -> dict[str, dict[str, np.ndarray]]:
    """De Leva's segments, the mean of women and men: the "neutral" body of SMPL-X.

    Masses are scaled to add up to one: his four digits for women add up to 0.9999.
    """
    raw = json.loads(files("phymotion_jax.assets").joinpath("segments.json").read_text())
    fields = ("mass", "com", "radii", "length_m")
    table = {
        name: {field: np.asarray(np.mean(row[field], axis=0)) for field in fields}
        for name, row in raw["segments"].items()
    }
    whole = sum(row["mass"] * (1 if name in _CHAIN else 2) for name, row in table.items())
    return {name: row | {"mass": np.asarray(row["mass"] / whole)} for name, row in table.items()}


@cache
def body_mass_index() -> float:
    """Mass over squared stature of de Leva's subjects, in kg/m²: 22.3, the mean of both groups."""
    raw = json.loads(files("phymotion_jax.assets").joinpath("segments.json").read_text())
    stature, mass = np.array(raw["stature_m"]), np.array(raw["body_mass_kg"])
    return float(np.mean(mass / stature**2))


def link_moments(
    joints: Float[Array, "*B 24 3"],
    vertex: Float[Array, "*B 3"],
    heel: Float[Array, "*B 2 3"],
    toe_tip: Float[Array, "*B 2 3"],
    fingertip: Float[Array, "*B 2 3"],
    mass_kg: Float[Array, " *B"],
) -> list[Moments]:
    """Moments of the 24 links about the model frame's origin, at rest.

    Args:
      joints: joint positions at rest, in metres (x left, y up, z forward).
      vertex: top of the head.
      heel: rearmost point of the left and of the right foot.
      toe_tip: foremost point of each foot.
      fingertip: tip of each hand.
      mass_kg: whole-body mass.
    """
    links = _column_moments(joints, vertex, mass_kg)
    for s, side in enumerate(("left", "right")):
        for segment, (link, distal) in _LIMBS.items():
            start, end = (joints[..., body_index(f"{side}_{n}"), :] for n in (link, distal))
            links[f"{side}_{link}"] = _limb(segment, start, end, mass_kg)
        links |= _foot(side, joints, heel[..., s, :], toe_tip[..., s, :], mass_kg)
        links |= _hand(side, joints, fingertip[..., s, :], mass_kg)
        links |= _collar(side, joints, mass_kg)
    # The collars are part of de Leva's upper trunk: what they take, the chest gives.
    links["spine3"] = links["spine3"] - links["left_collar"] - links["right_collar"]
    return [links[name] for name in BODY_NAMES]


def _section(radii: np.ndarray, length: Array, along: int) -> tuple[Array, Array]:
    """Variance across a segment, as a diagonal matrix, and along it, in m², from its radii.

    About an axis the radius of gyration squared is the sum of the variances along the two others.
    """
    sagittal, transverse, longitudinal = (float(r) ** 2 for r in radii)
    sideways = 0.5 * (sagittal + longitudinal - transverse)
    fore_aft = 0.5 * (transverse + longitudinal - sagittal)
    axial = 0.5 * (sagittal + transverse - longitudinal)
    across = [sideways, sideways, sideways]
    if along == 1:  # a standing segment: x is sideways, z fore and aft
        across = [sideways, 0.0, fore_aft]
    elif along == 0:  # an arm of the T-pose, turned a quarter about z: what was x is y
        across = [0.0, sideways, fore_aft]
    elif along == 2:  # the foot: its own long axis points forward
        across = [sideways, fore_aft, 0.0]
    square = (length**2)[..., None, None]
    return square * jnp.diag(jnp.array(across)), length**2 * axial


def _limb(segment: str, start: Array, end: Array, mass_kg: Array) -> Moments:
    """An uncut segment between two joints."""
    row = segment_table()[segment]
    span = end - start
    length = jnp.linalg.norm(span, axis=-1)
    along = 0 if segment in ("upper_arm", "forearm") else 1
    across, axial = _section(row["radii"], length, along)
    direction = span / length[..., None]
    spread = across + axial[..., None, None] * direction[..., :, None] * direction[..., None, :]
    return point_like(mass_kg * row["mass"], start + span * row["com"], spread)


def _column_moments(joints: Array, vertex: Array, mass_kg: Array) -> dict[str, Moments]:
    """Trunk and head, sawn at the joints of spine and head."""
    hips = [joints[..., body_index(f"{side}_hip"), :] for side in ("left", "right")]
    base = 0.5 * (hips[0] + hips[1])
    place = {name: joints[..., body_index(name), :] for name in BODY_NAMES} | {"pelvis": base}
    out = {}
    for links, segments in _COLUMN:
        after = vertex if links[-1] == "head" else place["neck"]
        nodes = [*(place[link] for link in links), after]
        for link, start, end in zip(links, nodes, nodes[1:], strict=False):
            # The outer links take what lies beyond their joints.
            cuts = (
                None if link == links[0] else start[..., 1],
                None if link == links[-1] else end[..., 1],
            )
            axis = 0.5 * (start + end)
            column = (base[..., 1], vertex[..., 1])
            out[link] = reduce(
                Moments.__add__, (_slab(s, column, axis, cuts, mass_kg) for s in segments)
            )
    return out


def _slab(
    segment: str,
    column: tuple[Array, Array],
    axis: Array,
    cuts: tuple[Array | None, Array | None],
    mass_kg: Array,
) -> Moments:
    """The piece of a segment of head or trunk between two heights.

    Args:
      segment: one of `_CHAIN`, whose lengths share out the column as de Leva's subjects' do.
      column: heights of mid-hip and vertex.
      axis: a point that the upright axis of the piece goes through.
      cuts: heights between which the piece lies; None is the segment's own end.
      mass_kg: whole-body mass.
    """
    row = segment_table()[segment]
    lengths = np.array([segment_table()[s]["length_m"] for s in _CHAIN])
    marks = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    place = _CHAIN.index(segment)
    height = column[1] - column[0]
    low, high = (column[0] + mark * height for mark in marks[place : place + 2])
    ends = [jnp.stack([axis[..., 0], y, axis[..., 2]], axis=-1) for y in (low, high)]
    between = (
        jnp.zeros_like(low) if cuts[0] is None else (cuts[0] - low) / (high - low),
        jnp.ones_like(low) if cuts[1] is None else (cuts[1] - low) / (high - low),
    )
    across, _ = _section(row["radii"], high - low, along=1)
    com = 1.0 - float(row["com"])  # he measures from the upper end
    return bar(mass_kg * row["mass"], ends[0], ends[1], com, between, across)


def _foot(
    side: str, joints: Array, heel: Array, toe_tip: Array, mass_kg: Array
) -> dict[str, Moments]:
    """The foot, sawn at its ball. It lies halfway between ankle and sole, at the ball's height."""
    ankle, ball = (joints[..., body_index(f"{side}_{n}"), :] for n in ("ankle", "foot"))
    row = segment_table()["foot"]
    rear = jnp.stack([ankle[..., 0], 0.5 * (ankle[..., 1] + heel[..., 1]), heel[..., 2]], axis=-1)
    front = jnp.stack([ball[..., 0], ball[..., 1], toe_tip[..., 2]], axis=-1)
    return _sawn(row, (f"{side}_ankle", f"{side}_foot"), rear, front, ball, mass_kg, along=2)


def _hand(side: str, joints: Array, fingertip: Array, mass_kg: Array) -> dict[str, Moments]:
    """The hand, sawn at the knuckles."""
    wrist, knuckle = (joints[..., body_index(f"{side}_{n}"), :] for n in ("wrist", "hand"))
    row = segment_table()["hand"]
    names = (f"{side}_wrist", f"{side}_hand")
    return _sawn(row, names, wrist, fingertip, knuckle, mass_kg, along=0)


def _sawn(
    row: dict[str, np.ndarray],
    names: tuple[str, str],
    start: Array,
    end: Array,
    cut: Array,
    mass_kg: Array,
    along: int,
) -> dict[str, Moments]:
    """A bar in two pieces, divided where `cut` projects onto it."""
    span = end - start
    square = jnp.sum(span**2, axis=-1)
    where = jnp.sum((cut - start) * span, axis=-1) / square
    across, _ = _section(row["radii"], jnp.sqrt(square), along)
    nothing, whole = jnp.zeros_like(where), jnp.ones_like(where)
    com, mass = float(row["com"]), mass_kg * row["mass"]
    return {
        names[0]: bar(mass, start, end, com, (nothing, where), across),
        names[1]: bar(mass, start, end, com, (where, whole), across),
    }


def _collar(side: str, joints: Array, mass_kg: Array) -> dict[str, Moments]:
    """A share of the upper trunk around the middle of the collar, as a ball 5 cm in radius."""
    collar, shoulder = (joints[..., body_index(f"{side}_{n}"), :] for n in ("collar", "shoulder"))
    mass = mass_kg * segment_table()["upper_trunk"]["mass"] * COLLAR_SHARE
    spread = jnp.broadcast_to(jnp.eye(3) * 0.05**2 / 5.0, (*mass.shape, 3, 3))
    return {f"{side}_collar": point_like(mass, 0.5 * (collar + shoulder), spread)}
