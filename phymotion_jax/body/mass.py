"""Masses, centres and inertias of the SMPL links after de Leva (1996), on a subject's own lengths.

De Leva's thighs, shanks and arms are SMPL links as they stand. The others are cut: trunk and head
are a chain of bars from mid-hip to vertex, the trunk sawn at the heights of the spine's joints and
the head (with the neck, as he has it) at the head's; hand and foot are bars sawn at the knuckles
and at the ball of the foot. Bars have linear density, so that each segment keeps its mass and its
centre of mass exactly, and the pieces add up to the segment.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from phymotion_jax.body.moments import Moments, bar, join, point_like
from phymotion_jax.body.segments import COLUMN, section_variance, segment_table
from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, body_index

COLLAR_SHARE = 0.08
"""Share of the upper trunk that moves with each collar (scapula, clavicle and muscle). De Leva does
not split the shoulder girdle off; a proposal of this project. The trunk's sum does not change."""

_COLUMN_LINKS = (
    (("pelvis", "spine1", "spine2", "spine3"), COLUMN[:3]),
    (("neck", "head"), COLUMN[3:]),
)
"""Links from mid-hip to vertex and the segments that they share out among them. The SMPL neck joint
lies below the seventh cervical vertebra, but what is there (shoulders) moves with the chest."""

_LIMBS = {  # de Leva's segment: (link, its distal joint)
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}

_SIDES = ("left", "right")

_LIMB_LINKS = [(f"{s}_{a}", f"{s}_{b}") for s in _SIDES for a, b in _LIMBS.values()]

_COLLARS = [f"{side}_collar" for side in _SIDES]


def link_moments(
    joints: Float[Array, "*B 24 3"],
    vertex: Float[Array, "*B 3"],
    heel: Float[Array, "*B 2 3"],
    toe_tip: Float[Array, "*B 2 3"],
    fingertip: Float[Array, "*B 2 3"],
    mass_kg: Float[Array, " *B"],
) -> Moments:
    """Moments ``*B 24`` of the links about the model frame's origin, at rest.

    Args:
      joints: joint positions at rest, in metres (x left, y up, z forward).
      vertex: top of the head.
      heel: rearmost point of the left and of the right foot.
      toe_tip: foremost point of each foot.
      fingertip: tip of each hand.
      mass_kg: whole-body mass.
    """
    sawn = [_column_bars(joints, vertex), _end_bars(joints, heel, toe_tip, fingertip)]
    pieces = [*(_sawn(bars, mass_kg) for bars in sawn), _limbs(joints, mass_kg)]
    collars = _collars(joints, mass_kg)
    # The collars are part of de Leva's upper trunk: what they take, the chest gives.
    owners = [link for bars in sawn for link in bars.links] + [link for link, _ in _LIMB_LINKS]
    given = np.zeros((N_BODIES, 2))
    given[body_index("spine3")] = -1.0
    shares = np.concatenate([_share_of(owners), _share_of(_COLLARS) + given], axis=1)
    return join([*pieces, collars], shares)


def _share_of(owners: Sequence[str]) -> np.ndarray:
    """Which link has which piece, ``(24, P)``."""
    return np.stack([np.array(BODY_NAMES) == link for link in owners], axis=1).astype(float)


class _Bars(NamedTuple):
    """Pieces of segments that belong to links, all in one array: one by one they would be a tenth
    of the whole program."""

    links: tuple[str, ...]
    segments: tuple[str, ...]

    start: Float[Array, "*B P 3"]
    """Where the whole segment begins."""

    end: Float[Array, "*B P 3"]
    """Where it ends."""

    between: tuple[Float[Array, "*B P"], Float[Array, "*B P"]]
    """The piece, as fractions of the length."""


def _sawn(bars: _Bars, mass_kg: Float[Array, " *B"]) -> Moments:
    """Moments ``*B P`` of pieces."""
    share, com = (_of_segments(bars.segments, name) for name in ("mass", "com"))
    # He measures the column's segments from their upper ends.
    com = np.where(np.isin(bars.segments, COLUMN), 1.0 - com, com)
    shapes = np.stack([section_variance(segment)[0] for segment in bars.segments])
    section = jnp.sum((bars.end - bars.start) ** 2, axis=-1)[..., None, None] * shapes
    return bar(mass_kg[..., None] * share, bars.start, bars.end, com, bars.between, section)


def _of_segments(segments: Sequence[str], name: str) -> np.ndarray:
    """A column of de Leva's table."""
    return np.array([segment_table()[segment][name] for segment in segments], float)


def _limbs(joints: Array, mass_kg: Array) -> Moments:
    """The uncut segments between two joints, ``*B 8``."""
    start, end = (_at(joints, names) for names in zip(*_LIMB_LINKS, strict=True))
    segments = [segment for _ in _SIDES for segment in _LIMBS]
    across, axial = (np.stack(c) for c in zip(*map(section_variance, segments), strict=True))
    share, com = (_of_segments(segments, name) for name in ("mass", "com"))
    span = end - start
    square = jnp.sum(span**2, axis=-1)[..., None, None]
    along = axial[:, None, None] * span[..., :, None] * span[..., None, :]
    centre = start + span * com[:, None]
    return point_like(mass_kg[..., None] * share, centre, square * across + along)


def _at(joints: Float[Array, "*B 24 3"], names: Sequence[str]) -> Float[Array, "*B N 3"]:
    return joints[..., np.array([body_index(name) for name in names]), :]


def _column_bars(joints: Float[Array, "*B 24 3"], vertex: Float[Array, "*B 3"]) -> _Bars:
    """Trunk and head, sawn at the joints of spine and head.

    Segments share out the height from mid-hip to vertex as the lengths of de Leva's subjects do. A
    link's piece of one lies on the upright axis through the middle between the link's joint and the
    next. The outer links take what lies beyond their joints.
    """
    base = jnp.mean(_at(joints, [f"{side}_hip" for side in _SIDES]), axis=-2, keepdims=True)
    inner = [link for links, _ in _COLUMN_LINKS for link in links][1:]
    nodes = jnp.concatenate([base, _at(joints, inner), vertex[..., None, :]], axis=-2)
    names = ["pelvis", *inner]
    pieces = [
        (names.index(link), segment, link == links[0], link == links[-1])
        for links, segments in _COLUMN_LINKS
        for link in links
        for segment in segments
    ]
    node, segments, lowest, highest = (np.array(c) for c in zip(*pieces, strict=True))
    lower, upper = nodes[..., node, :], nodes[..., node + 1, :]
    marks = np.concatenate([[0.0], np.cumsum(_of_segments(COLUMN, "length_m"))])
    place = np.array([COLUMN.index(segment) for segment in segments])
    height = vertex[..., None, 1] - base[..., 1]
    low, high = (base[..., 1] + height * (marks[place + k] / marks[-1]) for k in (0, 1))
    axis = 0.5 * (lower + upper)
    start, end = (jnp.stack([axis[..., 0], y, axis[..., 2]], axis=-1) for y in (low, high))
    between = (
        jnp.where(lowest, 0.0, (lower[..., 1] - low) / (high - low)),
        jnp.where(highest, 1.0, (upper[..., 1] - low) / (high - low)),
    )
    return _Bars(tuple(names[k] for k in node), tuple(segments.tolist()), start, end, between)


def _end_bars(joints: Array, heel: Array, toe_tip: Array, fingertip: Array) -> _Bars:
    """Feet, sawn at the ball, and hands, at the knuckles: where the joint there projects onto them.

    A foot lies halfway between ankle and sole, at the ball's height.
    """
    ankle, ball, wrist, knuckle = (
        _at(joints, [f"{side}_{name}" for side in _SIDES])
        for name in ("ankle", "foot", "wrist", "hand")
    )
    half = 0.5 * (ankle[..., 1] + heel[..., 1])
    rear = jnp.stack([ankle[..., 0], half, heel[..., 2]], axis=-1)
    front = jnp.stack([ball[..., 0], ball[..., 1], toe_tip[..., 2]], axis=-1)
    start, end, cut = (
        jnp.concatenate(c, axis=-2) for c in ((rear, wrist), (front, fingertip), (ball, knuckle))
    )
    span = end - start
    where = jnp.sum((cut - start) * span, axis=-1) / jnp.sum(span**2, axis=-1)
    nothing, whole = jnp.zeros_like(where), jnp.ones_like(where)
    links = [f"{side}_{name}" for name in ("ankle", "wrist", "foot", "hand") for side in _SIDES]
    return _Bars(
        tuple(links),
        ("foot", "foot", "hand", "hand") * 2,
        jnp.concatenate([start, start], axis=-2),
        jnp.concatenate([end, end], axis=-2),
        (jnp.concatenate([nothing, where], -1), jnp.concatenate([where, whole], -1)),
    )


def _collars(joints: Array, mass_kg: Array) -> Moments:
    """A share of the upper trunk around the middle of each collar, as a ball 5 cm in radius."""
    collar, shoulder = (
        _at(joints, [f"{side}_{name}" for side in _SIDES]) for name in ("collar", "shoulder")
    )
    share = segment_table()["upper_trunk"]["mass"] * COLLAR_SHARE
    mass = jnp.broadcast_to(mass_kg[..., None] * share, collar.shape[:-1])
    return point_like(mass, 0.5 * (collar + shoulder), jnp.eye(3) * 0.05**2 / 5.0)
