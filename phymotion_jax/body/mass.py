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

from phymotion_jax.body.moments import Moments, bar, point_like
from phymotion_jax.body.segments import COLUMN, section_variance, segment_table
from phymotion_jax.body.skeleton import BODY_NAMES, body_index

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
    bars = _column_bars(joints, vertex)
    for s, side in enumerate(_SIDES):
        bars += _foot(side, joints, heel[..., s, :], toe_tip[..., s, :])
        bars += _hand(side, joints, fingertip[..., s, :])
    names, limbs = _limbs(joints, mass_kg)
    names = [*(bar.link for bar in bars), *names]
    links: dict[str, Moments] = {}
    for name, piece in zip(names, [*_sawn(bars, mass_kg), *limbs], strict=True):
        links[name] = links[name] + piece if name in links else piece
    # The collars are part of de Leva's upper trunk: what they take, the chest gives.
    for side in _SIDES:
        collar = _collar(side, joints, mass_kg)
        links |= {f"{side}_collar": collar, "spine3": links["spine3"] - collar}
    return [links[name] for name in BODY_NAMES]


class _Bar(NamedTuple):
    """The piece of a segment that belongs to a link."""

    link: str
    segment: str

    start: Float[Array, "*B 3"]
    """Where the whole segment begins."""

    end: Float[Array, "*B 3"]
    """Where it ends."""

    between: tuple[Float[Array, " *B"], Float[Array, " *B"]]
    """The piece, as fractions of the length."""


def _sawn(bars: Sequence[_Bar], mass_kg: Float[Array, " *B"]) -> list[Moments]:
    """Moments of pieces, all in one: one by one they are a tenth of the whole program."""
    rows = [segment_table()[bar.segment] for bar in bars]
    share, com = (np.array([row[name] for row in rows], float) for name in ("mass", "com"))
    # He measures the column's segments from their upper ends.
    com = np.where([bar.segment in COLUMN for bar in bars], 1.0 - com, com)
    start = jnp.stack([bar.start for bar in bars], axis=-2)
    end = jnp.stack([bar.end for bar in bars], axis=-2)
    between = tuple(jnp.stack([bar.between[k] for bar in bars], axis=-1) for k in (0, 1))
    shapes = [section_variance(bar.segment)[0] for bar in bars]
    square = jnp.sum((end - start) ** 2, axis=-1)
    section = square[..., None, None] * np.stack(shapes)
    return _each(bar(mass_kg[..., None] * share, start, end, com, between, section))  # pyright: ignore


def _each(links: Moments) -> list[Moments]:
    """What `stack_links` joins."""
    each = range(links.mass.shape[-1])
    return [
        Moments(links.mass[..., k], links.first[..., k, :], links.second[..., k, :, :])
        for k in each
    ]


def _limbs(joints: Array, mass_kg: Array) -> tuple[list[str], list[Moments]]:
    """The uncut segments between two joints, and their links."""
    limbs = [(side, segment) for side in _SIDES for segment in _LIMBS]
    names = [[f"{side}_{n}" for n in _LIMBS[segment]] for side, segment in limbs]
    start, end = (joints[..., np.array([body_index(n[k]) for n in names]), :] for k in (0, 1))
    rows = [segment_table()[segment] for _, segment in limbs]
    sections = [section_variance(segment) for _, segment in limbs]
    across, axial = (np.stack(c) for c in zip(*sections, strict=True))
    share, com = (np.array([row[name] for row in rows]) for name in ("mass", "com"))
    span = end - start
    square = jnp.sum(span**2, axis=-1)[..., None, None]
    along = axial[:, None, None] * span[..., :, None] * span[..., None, :]
    centre = start + span * com[:, None]
    moments = point_like(mass_kg[..., None] * share, centre, square * across + along)
    return [link for link, _ in names], _each(moments)


def _column_bars(joints: Array, vertex: Array) -> list[_Bar]:
    """Trunk and head, sawn at the joints of spine and head."""
    hips = [joints[..., body_index(f"{side}_hip"), :] for side in _SIDES]
    base = 0.5 * (hips[0] + hips[1])
    place = {name: joints[..., body_index(name), :] for name in BODY_NAMES} | {"pelvis": base}
    out = []
    for links, segments in _COLUMN_LINKS:
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
            out += [_slab(link, s, column, axis, cuts) for s in segments]
    return out


def _slab(
    link: str,
    segment: str,
    column: tuple[Array, Array],
    axis: Array,
    cuts: tuple[Array | None, Array | None],
) -> _Bar:
    """The piece of a segment of head or trunk between two heights.

    Args:
      link: whose it is.
      segment: one of `COLUMN`, whose lengths share out the column as de Leva's subjects' do.
      column: heights of mid-hip and vertex.
      axis: a point that the upright axis of the piece goes through.
      cuts: heights between which the piece lies; None is the segment's own end.
    """
    lengths = np.array([segment_table()[s]["length_m"] for s in COLUMN])
    marks = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])
    place = COLUMN.index(segment)
    height = column[1] - column[0]
    low, high = (column[0] + mark * height for mark in marks[place : place + 2])
    ends = [jnp.stack([axis[..., 0], y, axis[..., 2]], axis=-1) for y in (low, high)]
    between = (
        jnp.zeros_like(low) if cuts[0] is None else (cuts[0] - low) / (high - low),
        jnp.ones_like(low) if cuts[1] is None else (cuts[1] - low) / (high - low),
    )
    return _Bar(link, segment, ends[0], ends[1], between)


def _foot(side: str, joints: Array, heel: Array, toe_tip: Array) -> list[_Bar]:
    """The foot, sawn at its ball. It lies halfway between ankle and sole, at the ball's height."""
    ankle, ball = (joints[..., body_index(f"{side}_{n}"), :] for n in ("ankle", "foot"))
    rear = jnp.stack([ankle[..., 0], 0.5 * (ankle[..., 1] + heel[..., 1]), heel[..., 2]], axis=-1)
    front = jnp.stack([ball[..., 0], ball[..., 1], toe_tip[..., 2]], axis=-1)
    return _in_two("foot", (f"{side}_ankle", f"{side}_foot"), rear, front, ball)


def _hand(side: str, joints: Array, fingertip: Array) -> list[_Bar]:
    """The hand, sawn at the knuckles."""
    wrist, knuckle = (joints[..., body_index(f"{side}_{n}"), :] for n in ("wrist", "hand"))
    return _in_two("hand", (f"{side}_wrist", f"{side}_hand"), wrist, fingertip, knuckle)


def _in_two(
    segment: str, links: tuple[str, str], start: Array, end: Array, cut: Array
) -> list[_Bar]:
    """A segment in two pieces, divided where `cut` projects onto it."""
    span = end - start
    where = jnp.sum((cut - start) * span, axis=-1) / jnp.sum(span**2, axis=-1)
    nothing, whole = jnp.zeros_like(where), jnp.ones_like(where)
    spans = ((nothing, where), (where, whole))
    return [_Bar(link, segment, start, end, b) for link, b in zip(links, spans, strict=True)]


def _collar(side: str, joints: Array, mass_kg: Array) -> Moments:
    """A share of the upper trunk around the middle of the collar, as a ball 5 cm in radius."""
    collar, shoulder = (joints[..., body_index(f"{side}_{n}"), :] for n in ("collar", "shoulder"))
    mass = mass_kg * segment_table()["upper_trunk"]["mass"] * COLLAR_SHARE
    spread = jnp.broadcast_to(jnp.eye(3) * 0.05**2 / 5.0, (*mass.shape, 3, 3))
    return point_like(mass, 0.5 * (collar + shoulder), spread)
