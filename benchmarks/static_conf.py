"""What do GVHMR's confidences of standing still change, of a clip and of what is wrong with it?

    python benchmarks/static_conf.py hmr4d_results.pt

A row a clip and one for each violation of it at middle strength: reward and parts without
confidences and with them. A violation should cost about the same with them: they are those of the
clean clip, and vouch for feet that now hover or skate.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from phymotion_jax import Motion, MotionBatch, load_motion, score
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.redteam import violate

KINDS = ("hover", "float_walk", "levitate", "sink", "skate_slow", "skate_fast", "moonwalk")
LEAST = 0.002
"""Parts that change by less are left out of the print."""


@dataclass(frozen=True)
class Options:
    """What to score."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Files that hold confidences."""

    json: Path | None = None
    """Write the rows here too."""


def without(motion: Motion) -> Motion:
    """The clip as a file without confidences would give it."""
    return motion.replace(static_conf=np.full_like(motion.static_conf, np.nan))


def rows_of(motion: Motion) -> list[dict]:
    """The clip and its violations, both ways."""
    clips = [motion, *(violate(motion, kind) for kind in KINDS)]
    batch = MotionBatch.from_motions([m for clip in clips for m in (without(clip), clip)])
    report = score(batch).on_host()
    values = {"reward": report.reward, **report.parts}
    both = {name: np.asarray(v, np.float64).reshape(-1, 2).tolist() for name, v in values.items()}
    return [
        {"clip": clip.name, **{name: pairs[i] for name, pairs in both.items()}}
        for i, clip in enumerate(clips)
    ]


def main(options: Options) -> None:
    """Print what changes."""
    facts, rows = device_facts(), []
    print(facts)
    for path in find_motion_files(options.paths):
        rows += rows_of(load_motion(path))
    for row in rows:
        pairs = {k: v for k, v in row.items() if k != "clip"}
        shown = (
            f"{k} {a:.3f} -> {b:.3f}"
            for k, (a, b) in pairs.items()
            if k == "reward" or abs(a - b) > LEAST
        )
        print(f"{row['clip']:40s} {', '.join(shown)}")
    if options.json:
        write_json(options.json, facts, {"rows": rows})


if __name__ == "__main__":
    main(tyro.cli(Options))
