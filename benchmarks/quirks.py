"""How much does each mistake of the published code move its scores, alone?

    python benchmarks/quirks.py motions/        # by default the demo clips

A row a mistake: the mean change of each axis and of the reward over the clips when that one alone
is mended, and what freezing a clip (its middle frame held) then gains, which is how much standing
still pays. Seventeen programs are compiled, one a row.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from phymotion_jax import Motion, MotionBatch, MotionError, Report, load_motion, score
from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.presets import AXIS_NAMES, QUIRK_NAMES, REFERENCE, ReferencePreset
from phymotion_jax.redteam import freeze


@dataclass(frozen=True)
class Options:
    """What to score."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Motion files or folders; the demo clips by default."""

    json: Path | None = None
    """Write the rows here too."""


def clips_of(options: Options) -> list[Motion]:
    """Every clip that loads."""
    motions = []
    for path in find_motion_files(options.paths) if options.paths else demo_clips():
        try:
            motions.append(load_motion(path))
        except MotionError as error:
            print(f"left out: {error}", file=sys.stderr)
    return motions


def scores(batch: MotionBatch, preset: ReferencePreset) -> dict[str, np.ndarray]:
    """Axes and reward of the clips, then of the same clips frozen."""
    report: Report = score(batch, preset=preset).on_host()
    found = {**{axis: report.axes[axis] for axis in AXIS_NAMES}, "reward": report.reward}
    return {name: np.asarray(values) for name, values in found.items()}


def row(name: str, now: dict[str, np.ndarray], base: dict[str, np.ndarray]) -> dict:
    """Mean scores (of the preset itself) or mean changes (of a mended one), and the freeze gain."""
    half = len(base["reward"]) // 2
    moving = {key: float(np.mean((now[key] - base[key])[:half])) for key in base}
    spread = {f"{key}_largest": float(np.max(np.abs(now[key] - base[key])[:half])) for key in base}
    gain = float(np.mean(now["reward"][half:] - now["reward"][:half]))
    return {"mended": name, **moving, **spread, "frozen_minus_moving": gain}


def show(rows: list[dict], base: dict[str, np.ndarray]) -> None:
    """A Markdown table."""
    half = len(base["reward"]) // 2
    names = (*AXIS_NAMES, "reward")
    print(f"| mended | {' | '.join(names)} | frozen - moving |\n|{'---|' * (len(names) + 2)}")
    means = " | ".join(f"{np.mean(base[name][:half]):.3f}" for name in names)
    print(f"| none (the scores themselves) | {means} | {rows[0]['frozen_minus_moving']:+.3f} |")
    for entry in rows[1:]:
        cells = " | ".join(f"{entry[name]:+.3f}" for name in names)
        print(f"| {entry['mended']} | {cells} | {entry['frozen_minus_moving']:+.3f} |")


def main(options: Options) -> int:
    """Score with every switch, print, write."""
    motions = clips_of(options)
    batch = MotionBatch.from_motions([*motions, *map(freeze, motions)])
    base = scores(batch, REFERENCE)
    rows = [row("none", base, base)]
    for quirk in QUIRK_NAMES:
        rows.append(row(quirk, scores(batch, REFERENCE.without(quirk)), base))
        print(json.dumps(rows[-1]), file=sys.stderr)
    facts = device_facts()
    print(f"{len(motions)} clips; " + ", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    show(rows, base)
    if options.json:
        write_json(options.json, facts, {"clips": [m.name for m in motions], "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
