"""Human limits as arrays over links: speed, torque, range of motion (`assets/limits.json`)."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float

from phymotion_jax.body.skeleton import BODY_NAMES, body_index


@dataclass(frozen=True)
class RangeChain:
    """An anatomical joint: links whose rotations are multiplied, and the axis of its twist."""

    links: tuple[int, ...]
    """From the body outwards. The last one is blamed for a violation."""

    twist_axis: int
    """0, 1 or 2: the axis of the link, at rest, along its bone."""

    hangs: float = 0.0
    """Turn about z that makes an arm hang that lies along x, in radians: its twist is told from
    there. 0 where it is told from rest."""


@dataclass(frozen=True)
class Limits:
    """The table, ready for use. Link axes at rest: x left, y up, z forward."""

    chains: tuple[RangeChain, ...]
    """Anatomical joints that have a range of motion."""

    low: Float[np.ndarray, "R 3"]
    """Smallest angle about x, y and z, in radians, the margin not included."""

    high: Float[np.ndarray, "R 3"]
    """Largest angle."""

    margin: float
    """How far outside a range counts as outside, in radians."""

    speed: Float[np.ndarray, "24 2"]
    """Soft and hard limit of angular speed, in rad/s; infinite for the pelvis (no joint)."""

    torque: Float[np.ndarray, "24 2 2"]
    """Soft and hard limit of torque on the outer link about -x, and about +x, in N·m/kg; infinite
    for the pelvis."""


def _split(name: str) -> tuple[str, str]:
    """Side prefix and joint: left_hip -> ("left_", "hip"); spine3 -> ("", "spine3")."""
    side, _, joint = name.partition("_")
    return (f"{side}_", joint) if joint else ("", name)


@cache
def human_limits() -> Limits:
    """Read the table once a process."""
    table = json.loads(files("phymotion_jax.assets").joinpath("limits.json").read_text())
    joints, like = table["joints"], table["like"]
    chains, low, high = [], [], []
    speed = np.full((len(BODY_NAMES), 2), np.inf)
    torque = np.full((len(BODY_NAMES), 2, 2), np.inf)
    for index, name in enumerate(BODY_NAMES):
        prefix, joint = _split(name)
        if name == "pelvis":
            continue
        row = joints[like.get(joint, joint)]
        speed[index] = np.radians([row["speed_deg_s"][k] for k in ("soft", "hard")])
        torque[index] = [row["torque_nm_kg"][k] for k in ("soft", "hard")]
        if weaker := row.get("weaker_torque_nm_kg"):
            way = ("-x", "+x").index(weaker["about"])
            torque[index, way] = [weaker[k] for k in ("soft", "hard")]
        if joint in joints:
            links = tuple(body_index(prefix + link) for link in joints[joint]["chain"])
            axis = "xyz".index(joints[joint]["twist_axis"])
            hangs = float(np.radians(joints[joint].get("hangs_deg_about_z", 0.0)))
            chains.append(RangeChain(links, axis, -hangs if prefix == "right_" else hangs))
            ends = np.radians([joints[joint]["range_deg"][axis] for axis in "xyz"])
            if prefix == "right_":  # the mirror image: y and z change their signs
                ends[1:] = -ends[1:, ::-1]
            low.append(ends[:, 0])
            high.append(ends[:, 1])
    margin = float(np.radians(table["margin_deg"]["value"]))
    return Limits(tuple(chains), np.array(low), np.array(high), margin, speed, torque)
