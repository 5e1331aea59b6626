"""The humanoid that the published scorer retargets clips to (`assets/published_humanoid.json`).

One body for all subjects, 71.8 kg, three hinges a joint. Only the `reference` preset uses it.
"""

import json
from functools import cache
from importlib.resources import files

import jax.numpy as jnp
import numpy as np

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.limits import human_limits
from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BODIES, PARENTS

_NAMES = {  # of SMPL's links, where the humanoid's is not the same word
    **{"foot": "Toe", "spine1": "Torso", "spine2": "Spine", "spine3": "Chest", "collar": "Thorax"},
}
_CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
_SYMMETRIC = ((0, 3, 4), (3, 1, 5), (4, 5, 2))

FOOT_LINKS = FEET[0] + FEET[1]
"""Ankle and toes of the left foot, then of the right: the published code's four foot bodies."""


def published_name(link: str) -> str:
    """What the published humanoid calls one of SMPL's links: left_foot -> L_Toe."""
    side, bar, joint = link.partition("_")
    if not bar:
        return _NAMES.get(link, link.capitalize())
    return f"{side[0].upper()}_{_NAMES.get(joint, joint.capitalize())}"


@cache
def _table() -> list[dict]:
    """Rows in SMPL's order of links, which is the humanoid's, level by level."""
    text = files("phymotion_jax.assets").joinpath("published_humanoid.json").read_text()
    links = json.loads(text)["links"]
    rows = [links[published_name(name)] for name in BODY_NAMES]
    above = [None if p < 0 else published_name(BODY_NAMES[p]) for p in PARENTS]
    assert above == [row["parent"] for row in rows]
    return rows


def published_humanoid(*, soles: bool = False) -> Humanoid:
    """The body, its hinges in the order x, y, z.

    Args:
      soles: the corners of the boxes at ankles and toes are what touches, eight a box; otherwise
        the joints themselves, as published. Either way box by box in the order of `FOOT_LINKS`.
    """
    rows, limits = _table(), human_limits()
    moving = rows[1:]
    mass = np.array([row["mass"] for row in rows])
    inertia = np.array([row["inertia"] for row in rows])[:, np.array(_SYMMETRIC)]
    torque = np.array([np.inf, *(row["torque_limit"] for row in moving)]) / mass.sum()
    hinge_range = np.radians(np.concatenate([row["hinge_range_deg"] for row in moving]))
    per_link = len(_CORNERS) if soles else 1
    return Humanoid(
        offset=jnp.asarray(np.array([row["offset"] for row in rows])),
        mass=jnp.asarray(mass),
        com=jnp.asarray(np.array([row["com"] for row in rows])),
        inertia=jnp.asarray(inertia),
        contact_point=jnp.asarray(_box_corners(rows) if soles else np.zeros((len(FOOT_LINKS), 3))),
        capsule_ends=jnp.zeros((0, 3)),
        capsule_radius=jnp.zeros(0),
        hull_point=jnp.zeros((0, 3)),
        range_low=jnp.asarray(limits.low - limits.margin),
        range_high=jnp.asarray(limits.high + limits.margin),
        speed_limit=jnp.full((N_BODIES, 2), jnp.inf),
        torque_limit=jnp.asarray(np.broadcast_to(torque[:, None, None], (len(torque), 2, 2))),
        hinge_axis=jnp.tile(jnp.eye(3), (N_BODIES - 1, 1)),
        hinge_range=jnp.asarray(hinge_range),
        armature=jnp.asarray(np.array([0.0, *(row["armature"] for row in moving)])),
        rest_quat=jnp.tile(jnp.array([1.0, 0.0, 0.0, 0.0]), (N_BODIES, 1)),
        hull_sizes=(0,) * N_BODIES,
        contact_link=tuple(int(link) for link in np.repeat(FOOT_LINKS, per_link)),
        feet=tuple(
            tuple(range(2 * side * per_link, 2 * (side + 1) * per_link)) for side in range(2)
        ),
        ranges=limits.chains,
        hinge_link=tuple(int(link) for link in np.repeat(np.arange(1, N_BODIES), 3)),
    )


def _box_corners(rows: list[dict]) -> np.ndarray:
    boxes = [rows[link]["box"] for link in FOOT_LINKS]
    return np.concatenate([np.array(b["centre"]) + _CORNERS * b["half_size"] for b in boxes])
