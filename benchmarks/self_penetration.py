"""On how many frames do clips pass through themselves, at each level, and where most?

    python benchmarks/self_penetration.py clips/ --json self_penetration.json

Capsules and hulls count where one is more than `--depth-m` deep in another, triangles where they
cross. The pair that is named has the deepest hulls. Without paths: the demo clips.
"""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from phymotion_jax import Humanoid, MotionBatch, Skin, load_motion, load_surface
from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.body.pairs import describe_pairs
from phymotion_jax.io import find_motion_files
from phymotion_jax.parts.self_penetration import link_overlap
from phymotion_jax.presets import LEVELS
from phymotion_jax.state import moving_body, rest_padding


@dataclass(frozen=True)
class Options:
    """What to look at."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Clips, or folders of them."""

    depth_m: float = 0.03
    """What flesh gives way by."""

    json: Path | None = None
    """Write the rows here too."""


@partial(jax.jit, static_argnames="level")
def overlaps(batch: MotionBatch, skin: Skin, level):
    """`link_overlap` of a batch."""
    usable = rest_padding(batch)
    humanoid = Humanoid.from_betas(usable.betas, usable.mass_kg)
    state = moving_body(usable, humanoid)
    return link_overlap(level, state, humanoid, skin, usable.betas)


def row_of(path: Path, skin: Skin, depth_m: float) -> dict[str, Any]:
    """Shares of a clip's frames, and its deepest pair."""
    motion = load_motion(path)
    batch = MotionBatch.from_motions([motion])
    row: dict[str, Any] = {"clip": Path(path).stem, "frames": motion.n_frames}
    found = {level: overlaps(batch, skin, level) for level in LEVELS}
    for level, overlap in found.items():
        depth = np.asarray(overlap.depth)[0, : motion.n_frames]
        row[level] = float(np.mean(depth > (0.0 if level == "mesh" else depth_m)))
    depth = np.asarray(found["hull"].depth)[0, : motion.n_frames]
    pair = int(found["hull"].pair[0, int(np.argmax(depth))])
    row["deepest_m"] = float(depth.max())
    row["where"] = "" if pair < 0 else describe_pairs((Humanoid.from_betas().separate[pair],))[0]
    return row


def main(options: Options) -> int:
    """Look, print, write."""
    paths = find_motion_files(options.paths) if options.paths else demo_clips()
    skin, rows = Skin.of(load_surface()), []
    print("| clip | frames | capsule | hull | mesh | deepest hulls, m | of |\n|" + "---|" * 7)
    for path in paths:
        row = row_of(path, skin, options.depth_m)
        rows.append(row)
        shares = " | ".join(f"{row[level]:.1%}" for level in LEVELS)
        print(
            f"| {row['clip']} | {row['frames']} | {shares} | {row['deepest_m']:.3f} | "
            f"{row['where']} |",
            flush=True,
        )
    if options.json:
        write_json(options.json, device_facts(), {"depth_m": options.depth_m, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
