"""How well does the contact solve tell the force that plates under the feet measured?

    python benchmarks/force_plates.py trials/
    python benchmarks/force_plates.py trials/ --surface smplx-neutral --own-betas

Trials are AMASS-like `.npz` with `grf_N (T, plates, 3)` and `cop_m (T, plates, 3)` beside the
motion, z up, the floor at z = 0. Both sides are low-passed at 8 Hz; forces are in body weights of
the trial's `mass_kg`. Frames on which a foot stands beside the plates say nothing: forces are
compared where the plates carry what the whole body needs within a quarter of its weight, single
feet where one plate alone can be told to be theirs. A mean difference over whole strides is what
plates and the stated mass differ by: whoever walks on needs one body weight on average.

With a surface the links' masses are its parts', scaled to the trial's mass. Without `--own-betas`
nothing else of it counts, and it is the mean body's: betas, and places of joints in the flesh, mean
something else to every model. With it the whole body is the surface's.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from phymotion_jax import (
    Humanoid,
    Motion,
    MotionBatch,
    humanoid_from_surface,
    load_motion,
    load_surface,
    score,
)
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.kernels.filters import low_pass
from phymotion_jax.report import Forces

CUTOFF_HZ = 8.0
LOADED_BW = 0.2
"""A plate or foot that carries less has no centre of pressure worth comparing."""

NEAR_M = 0.25
"""A plate's centre of pressure this near a foot's is that foot's."""


@dataclass(frozen=True)
class Options:
    """What to compare."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Trials or folders of them."""

    json: Path | None = None
    """Write the rows here too."""

    surface: str | None = None
    """Body whose skin gives the masses: a name or file of `load_surface`. De Leva's by default."""

    own_betas: bool = False
    """The trials' betas are this surface's."""


def body_of(motion: Motion, options: Options) -> Humanoid:
    """The body that a trial is scored with."""
    betas, mass = jnp.asarray(motion.betas)[None], jnp.full(1, motion.mass_kg)
    usual = Humanoid.from_betas(betas, mass)
    if options.surface is None:
        return usual
    model = load_surface(options.surface)
    if options.own_betas:
        return humanoid_from_surface(model, betas, mass)
    other = humanoid_from_surface(model, jnp.zeros_like(betas), mass)
    heavier = (other.mass / usual.mass)[..., None, None]
    return usual.replace(mass=other.mass, inertia=heavier * usual.inertia)


def smooth(values: np.ndarray, fps: float) -> np.ndarray:
    """Low-passed along the first axis, on the frames that are not NaN."""
    rows = jnp.asarray(np.moveaxis(values, 0, -1), jnp.float32).reshape(-1, 1, len(values))
    mask = jnp.ones((1, len(values)), bool)
    out = low_pass(rows, mask, jnp.full((1, 1), fps), CUTOFF_HZ)
    return np.moveaxis(np.asarray(out).reshape(*values.shape[1:], len(values)), -1, 0)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Correlation, root mean square and mean difference, and how many frames."""
    if len(ours) < 5:
        return {"r": np.nan, "rmse": np.nan, "bias": np.nan, "frames": len(ours)}
    r = float(np.corrcoef(ours, theirs)[0, 1])
    apart = ours - theirs
    return {
        "r": r,
        "rmse": float(np.sqrt(np.mean(apart**2))),
        "bias": float(np.mean(apart)),
        "frames": len(ours),
    }


def compare(motion: Motion, plates: dict[str, np.ndarray], forces: Forces) -> dict[str, dict]:
    """Rows of one trial."""
    weight = float(motion.mass_kg) * 9.81
    ground = np.asarray(forces.ground[0, : motion.n_frames]) / weight
    left_out = np.asarray(forces.residual_force[0, : motion.n_frames]) / weight
    ours = smooth(ground, motion.fps)
    theirs = smooth(plates["grf_N"] / weight, motion.fps)
    needed = smooth(ground.sum(axis=1) + left_out, motion.fps)
    whole = np.abs(theirs[..., 2].sum(axis=1) - needed[:, 2]) < 0.25
    whole &= theirs[..., 2].sum(axis=1) > 0.05
    total, measured = ours.sum(axis=1)[whole], theirs.sum(axis=1)[whole]
    rows = {
        "vertical": agreement(total[:, 2], measured[:, 2]),
        "horizontal": agreement(total[:, :2].ravel(), measured[:, :2].ravel()),
    }
    return rows | feet(ours, theirs, np.asarray(forces.cop[0]), plates["cop_m"], whole)


def feet(ours, theirs, cop, plate_cop, whole) -> dict[str, dict]:
    """Each foot against the plate that it stands on, and its centre of pressure."""
    pairs, away = [], []
    for foot in range(2):
        for plate in range(theirs.shape[1]):
            apart = np.linalg.norm(cop[: len(theirs), foot, :2] - plate_cop[:, plate, :2], axis=-1)
            loaded = (theirs[:, plate, 2] > LOADED_BW) & (ours[:, foot, 2] > LOADED_BW) & whole
            here = loaded & (apart < NEAR_M)
            pairs.append(np.stack([ours[here, foot, 2], theirs[here, plate, 2]]))
            away.append(apart[here])
    one, other = np.concatenate(pairs, axis=1)
    distance = np.concatenate(away)
    middle = float(np.median(distance)) if len(distance) else float("nan")
    return {
        "per foot": agreement(one, other),
        "centre of pressure": {"median_m": middle, "frames": len(distance)},
    }


def main(options: Options) -> int:
    """Compare every trial, print, write."""
    results = {}
    print(", ".join(f"{k} {v}" for k, v in device_facts().items()) + "\n")
    print(f"| trial | {' | '.join(label for label, *_ in COLUMNS)} |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for path in find_motion_files(options.paths):
        with np.load(path, allow_pickle=False) as file:
            if "grf_N" not in file.files:
                continue
            plates = {name: np.asarray(file[name], float) for name in ("grf_N", "cop_m")}
        motion = load_motion(path)
        report = score(
            MotionBatch.from_motions([motion]),
            preset="physical",
            floor=0.0,
            forces=True,
            humanoid=body_of(motion, options),
        )
        found = compare(motion, plates, jax.device_get(report.forces))
        results[path.stem] = found
        cells = [f"{found[k][v]:.3f}" for _, k, v in COLUMNS]
        print(f"| {path.stem} | {' | '.join(cells)} |")
    if options.json:
        write_json(options.json, device_facts(), {"surface": options.surface, "trials": results})
    return 0


COLUMNS = (
    ("vertical r", "vertical", "r"),
    ("RMSE BW", "vertical", "rmse"),
    ("mean BW", "vertical", "bias"),
    ("horizontal r", "horizontal", "r"),
    ("RMSE BW", "horizontal", "rmse"),
    ("per foot RMSE BW", "per foot", "rmse"),
    ("CoP m", "centre of pressure", "median_m"),
)
"""Heading, what is compared, and which figure of it."""

if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
