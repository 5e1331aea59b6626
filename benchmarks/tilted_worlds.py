"""How much of a tilt does `level_floor` leave, and what does it do to clips that were level?

    python benchmarks/tilted_worlds.py clips/asap_walk_* clips/asap_step_*   # by default demo clips

Every clip is turned by 5, 10 and 20 degrees about horizontal axes, levelled, and compared with
itself: the row of 0 says what a level clip is turned by, the others what is left of the tilt.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from scipy.spatial.transform import Rotation

from phymotion_jax import Motion, MotionBatch, load_motion
from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.level import standing_plane
from phymotion_jax.state import rest_padding

TILTS_DEG = (0.0, 5.0, 10.0, 20.0)
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Options:
    """What to tilt."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Motion files or folders; the demo clips by default."""

    axes: int = 8
    """Axes of each tilt, evenly around the horizon."""

    json: Path | None = None
    """Write the rows here too."""


def turned(motion: Motion, turn: Rotation) -> Motion:
    """The clip in a turned world."""
    quat = motion.joint_quat.copy()
    root = turn * Rotation.from_quat(quat[:, 0], scalar_first=True)
    quat[:, 0] = root.as_quat(scalar_first=True)
    pos = turn.apply(motion.root_pos)
    return motion.replace(joint_quat=quat, root_pos=pos.astype(np.float32))


def left_over(motion: Motion, axes: int) -> np.ndarray:
    """Degrees between the floor found and the true one, (tilts, axes)."""
    angles = 2.0 * np.pi * (np.arange(axes) + 0.5) / axes
    around = np.stack([np.cos(angles), np.sin(angles), np.zeros(axes)], axis=1)
    turns = [Rotation.from_rotvec(np.radians(tilt) * axis) for tilt in TILTS_DEG for axis in around]
    batch = MotionBatch.from_motions([turned(motion, turn) for turn in turns])
    found = np.stack(normals(batch), axis=-1).astype(np.float64)
    true = np.stack([turn.apply(UP) for turn in turns])
    off = np.arctan2(np.linalg.norm(np.cross(found, true), axis=1), np.sum(found * true, axis=1))
    return np.degrees(off).reshape(len(TILTS_DEG), axes)


@jax.jit
def normals(batch: MotionBatch):
    """Normals of the planes that feet stand on."""
    return standing_plane(rest_padding(batch)).normal


def main(options: Options) -> None:
    """Print a row a clip, and one of all."""
    facts, rows = device_facts(), []
    print(facts)
    every = []
    for path in find_motion_files(options.paths) if options.paths else demo_clips():
        every.append(left_over(load_motion(path), options.axes))
        rows.append(row(path.stem, every[-1]))
    rows.append(row(f"all {len(every)}", np.concatenate(every, axis=1)))
    if options.json:
        write_json(options.json, facts, {"rows": rows})


def row(name: str, off: np.ndarray) -> dict:
    """Median and 95th percentile of each tilt, printed."""
    quantiles = np.quantile(off, (0.5, 0.95), axis=1).T
    cells = (f"{t:g}: {q[0]:5.2f} {q[1]:5.2f}" for t, q in zip(TILTS_DEG, quantiles, strict=True))
    print(f"{name:36s} {'   '.join(cells)}")
    return {"clip": name, "tilts_deg": TILTS_DEG, "median_and_p95_deg": quantiles.tolist()}


if __name__ == "__main__":
    main(tyro.cli(Options))
