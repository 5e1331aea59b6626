"""Does a clip score the same at another frame rate?

    python benchmarks/frame_rates.py clips/

Every clip is scored as it is, at twice its rate (cubic splines through its frames) and at half of
it (every second frame), on the same floor. What a rate of 15 cannot show is gone: the fastest
things that bodies do, and pops.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro
from nanomanifold import SO3
from scipy.interpolate import CubicSpline

from phymotion_jax import Motion, MotionBatch, load_motion, score
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.presets import get_preset


@dataclass(frozen=True)
class Options:
    """What to compare."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Clean motion files or folders of them."""

    preset: str = "physical"
    """By which definition of the parts."""

    json: Path | None = None
    """Write every clip's figures here too."""


def thinned(motion: Motion, every: int) -> Motion:
    """Every n-th frame, as a slower camera would have it."""
    return motion.take(np.arange(0, motion.n_frames, every)).replace(fps=motion.fps / every)


def doubled(motion: Motion) -> Motion:
    """A frame more between every two."""
    frame = np.arange(motion.n_frames)
    at = np.arange(2 * motion.n_frames - 1) / 2
    quat = motion.joint_quat.astype(np.float64)
    turn = np.where((quat[1:] * quat[:-1]).sum(axis=-1, keepdims=True) < 0.0, -1.0, 1.0)
    quat *= np.concatenate([np.ones_like(turn[:1]), np.cumprod(turn, axis=0)])
    pos = CubicSpline(frame, motion.root_pos.astype(np.float64))(at)
    return motion.take(np.round(at).astype(int)).replace(
        root_pos=pos.astype(np.float32),
        joint_quat=SO3.canonicalize(CubicSpline(frame, quat)(at)).astype(np.float32),
        fps=2 * motion.fps,
    )


def main(options: Options) -> int:
    """Compare every clip, print, write."""
    preset = get_preset(options.preset)
    names = ("reward", *preset.parts)
    clips = [load_motion(path) for path in find_motion_files(options.paths)]
    length = -(-max(2 * clip.n_frames for clip in clips) // 64) * 64
    rows = []
    for clip in clips:
        batch = MotionBatch.from_motions([clip, doubled(clip), thinned(clip, 2)], length=length)
        floor = score(batch, preset=preset).floor_height[0]
        report = jax.device_get(score(batch, preset=preset, floor=floor))
        values = [report.reward, *(report.parts[part] for part in preset.parts)]
        rows.append(np.array(values))  # names by rates
    change = np.stack([row[:, 1:] - row[:, :1] for row in rows])  # clips, names, (twice, half)
    facts = device_facts()
    print(f"{len(clips)} clips; " + ", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    print("| part | twice: mean | largest | its clip | half: mean | largest | its clip |")
    print("|---|---|---|---|---|---|---|")
    for k, name in enumerate(names):
        cells = []
        for rate in range(2):
            sizes = np.abs(change[:, k, rate])
            worst = int(np.nanargmax(sizes))
            cells += [f"{np.nanmean(sizes):.3f}", f"{sizes[worst]:.3f}", clips[worst].name]
        print(f"| {name} | {' | '.join(cells)} |")
    if options.json:
        each = {
            clip.name: dict(zip(names, row.astype(float).round(4).tolist(), strict=True))
            for clip, row in zip(clips, rows, strict=True)
        }
        write_json(options.json, facts, {"rates": ["as it is", "twice", "half"], "clips": each})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
