"""De Leva's (1996) segments of the body: their masses, centres and radii of gyration."""

import json
from functools import cache
from importlib.resources import files

import numpy as np

COLUMN = ("lower_trunk", "middle_trunk", "upper_trunk", "head")
"""Segments from mid-hip to vertex."""

_ALONG = {"upper_arm": 0, "forearm": 0, "hand": 0, "foot": 2}
"""Axis of the model that a segment lies along at rest, where it is not upright."""


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
    whole = sum(row["mass"] * (1 if name in COLUMN else 2) for name, row in table.items())
    return {name: row | {"mass": np.asarray(row["mass"] / whole)} for name, row in table.items()}


@cache
def body_mass_index() -> float:
    """Mass over squared stature of de Leva's subjects, in kg/m²: 22.3, the mean of both groups."""
    raw = json.loads(files("phymotion_jax.assets").joinpath("segments.json").read_text())
    stature, mass = np.array(raw["stature_m"]), np.array(raw["body_mass_kg"])
    return float(np.mean(mass / stature**2))


def section_variance(segment: str) -> tuple[np.ndarray, float]:
    """Variance across a segment of unit length, as a diagonal matrix, and along it.

    About an axis the radius of gyration squared is the sum of the variances along the two others.
    """
    sagittal, transverse, longitudinal = (float(r) ** 2 for r in segment_table()[segment]["radii"])
    sideways = 0.5 * (sagittal + longitudinal - transverse)
    fore_aft = 0.5 * (transverse + longitudinal - sagittal)
    across = {
        # An arm of the T-pose, turned a quarter about z: what was x is y.
        0: [0.0, sideways, fore_aft],
        # A standing segment: x is sideways, z fore and aft.
        1: [sideways, 0.0, fore_aft],
        # The foot: its own long axis points forward.
        2: [sideways, fore_aft, 0.0],
    }
    return np.diag(across[_ALONG.get(segment, 1)]), 0.5 * (sagittal + transverse - longitudinal)
