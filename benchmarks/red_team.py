"""Does each preset see what is physically wrong, on the axis that it is wrong on, and bear noise?

    python benchmarks/red_team.py motions/ --presets paper --strength all --json red_team.json

Every clip is made wrong in every way of `phymotion_jax.redteam` for which it has what it takes, and
scored clean and wrong; by default the clean demo clips. A violation is detected where the reward
falls by more than 0.01. `*` marks shares below the goals: 95 % detected, the intended axis falls
most in 80 %. Then a frame of stance is held (a gain means that standing still pays) and noise is
added. All cases run in one shape, so that a preset is compiled once.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import tyro
from frame_rates import thinned
from jaxtyping import Float
from red_team_cases import CLEAN, FREEZE, NOISES, Case, build, cases_of, longest, needs_met
from red_team_tables import summary, tables

from phymotion_jax import Motion, MotionBatch, MotionError, PhyMotionError, load_motion, score
from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.io import find_motion_files
from phymotion_jax.presets import AXIS_NAMES, PRESET_NAMES, Preset, get_preset
from phymotion_jax.redteam import LEVELS, VIOLATIONS, Violation

DETECTED_FALL = 0.01
"""A violation is seen where the reward falls by more."""

ALSO_MOVES = 0.05
"""A part that no one meant to move, but that changes by more on average, is named."""

TWINS = ("_floating", "_sinking", "_skating")
"""Demo clips that are wrong already."""


@dataclass(frozen=True)
class Options:
    """What to score."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Clean motion files or folders of them; the clean demo clips by default."""

    presets: tuple[str, ...] = PRESET_NAMES
    """Which presets."""

    strength: Literal["weak", "middle", "strong", "all"] = "middle"
    """How wrong the clips are made."""

    seed: int = 0
    """Of noise, and of sides, frames and directions; each clip's name adds to it."""

    every: int = 1
    """Score every n-th frame of each case alone, as a slower camera would have it."""

    frames_per_call: int = 16384
    """Frames in one call of the scorer, padding included: bounds the memory."""

    json: Path | None = None
    """Write the rows, and every clip's own figures, here too."""


@dataclass(frozen=True)
class Scored:
    """Scores of all cases by one preset."""

    preset: Preset
    clips: Sequence[Motion]
    values: dict[Case, Float[np.ndarray, " N"]]
    """Reward, axes, parts and activity; NaN where a clip could not be scored."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the values are."""
        return ("reward", *AXIS_NAMES, *self.preset.parts, "activity")

    def select(self, kind: str, level: str = "") -> list[Case]:
        """The cases of a kind and strength."""
        return [case for case in self.values if (case.kind, case.level) == (kind, level)]

    def change(self, cases: Sequence[Case]) -> dict[str, Float[np.ndarray, " C"]]:
        """What was added to each score of the clean clip."""
        rows = [self.values[case] - self.values[Case(case.clip, CLEAN)] for case in cases]
        return dict(zip(self.names, np.reshape(rows, (-1, len(self.names))).T, strict=True))

    def row(self, cases: Sequence[Case]) -> dict[str, Any]:
        """How many cases, which clips could not be scored, the mean changes, and every case's."""
        known = [case for case in cases if not np.isnan(self.change([case])["reward"][0])]
        change = self.change(known)
        each = [
            {"clip": self.clips[case.clip].name}
            | ({"frame": case.frame} if case.kind == FREEZE else {})
            | {name: float(values[i]) for name, values in change.items()}
            for i, case in enumerate(known)
        ]
        return {
            "cases": len(known),
            "unscored": [self.clips[case.clip].name for case in cases if case not in known],
            "mean": {name: _mean(values) for name, values in change.items()},
            "each": each,
        }


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def clips_of(paths: Sequence[Path]) -> list[Motion]:
    """Every clip that loads."""
    motions = []
    clean = [path for path in demo_clips() if not path.stem.endswith(TWINS)]
    for path in find_motion_files(paths) if paths else clean:
        try:
            motions.append(load_motion(path))
        except MotionError as error:
            print(f"left out: {error}", file=sys.stderr)
    return motions


def scores(batch: MotionBatch, preset: Preset) -> Float[np.ndarray, "B N"]:
    """Reward, axes, parts and activity of a batch, NaN where a clip could not be scored."""
    report = score(batch, preset=preset)
    columns = [report.reward, *(report.axes[a] for a in AXIS_NAMES)]
    columns += [*(report.parts[part] for part in preset.parts), report.activity]
    values, valid = jax.device_get((columns, report.valid))
    return np.where(valid[:, None], np.stack(values, axis=1), np.nan)


def score_all(
    cases: Sequence[Case], clips: Sequence[Motion], presets: Sequence[Preset], options: Options
) -> list[Scored]:
    """Score all cases by all presets, in calls of one shape."""
    found = [Scored(preset, clips, {}) for preset in presets]
    length = -(-longest(cases, clips) // (64 * options.every)) * 64
    rows = min(max(options.frames_per_call // length, 1), len(cases))
    for start in range(0, len(cases), rows):
        some = cases[start : start + rows]
        full = (build(case, clips[case.clip], options.seed) for case in some)
        motions = [thinned(motion, options.every) for motion in full]
        batch = MotionBatch.from_motions(motions, length=length, n_clips=rows)
        for scored in found:
            scored.values.update(zip(some, scores(batch, scored.preset), strict=False))
        print(f"{start + len(some)} of {len(cases)} clips, {length} frames each", file=sys.stderr)
    return found


def violation_row(violation: Violation, level: str, scored: Scored) -> dict[str, Any]:
    """One row: how often it is seen, on which axis, and by which parts."""
    cases = scored.select(violation.name, level)
    row = scored.row(cases)
    seen = [entry["reward"] < -DETECTED_FALL for entry in row["each"]]
    hit = [falls_most(violation.axis, entry) for entry in row["each"]]
    rise = {part: row["mean"][part] for part in scored.preset.parts}
    intended = {part: rise[part] for part in violation.parts if part in rise}
    others = {p: x for p, x in rise.items() if p not in intended and abs(x) > ALSO_MOVES}
    return {
        "kind": violation.name,
        "strength": level,
        "axis": violation.axis,
        "left_out": len(scored.clips) - len(cases),
        "detected": _mean(seen),
        "axis_falls_most": _mean(hit),
        "intended": intended,
        "others": others,
        **row,
    }


def falls_most(axis: str, change: dict[str, float]) -> bool:
    """Whether an axis falls, and none falls further."""
    return change[axis] < 0.0 and change[axis] == min(change[other] for other in AXIS_NAMES)


def results(scored: Scored, levels: Sequence[str]) -> dict[str, Any]:
    """All that is known of a preset."""
    clean = [scored.values[Case(i, CLEAN)] for i in range(len(scored.clips))]
    return {
        "preset": scored.preset.name,
        "clean": [
            {"clip": clip.name, **{n: float(x) for n, x in zip(scored.names, row, strict=True)}}
            for clip, row in zip(scored.clips, clean, strict=True)
        ],
        "violations": [violation_row(v, level, scored) for level in levels
                       for v in VIOLATIONS.values()],
        "freeze": scored.row(scored.select(FREEZE)),
        "noise": [{"kind": kind, "strength": level, **scored.row(scored.select(kind, level))}
                  for kind in NOISES for level in LEVELS],
    }  # fmt: skip


def plain(value: Any) -> Any:
    """The same with four digits, and null for NaN, which JSON lacks."""
    if isinstance(value, dict):
        return {key: plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [plain(x) for x in value]
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    return value


def main(options: Options) -> int:
    """Score, print, write."""
    if options.every < 1:
        print(f"--every is {options.every}; 1 or more was wanted", file=sys.stderr)
        return 2
    try:
        presets = [get_preset(name) for name in options.presets]
        clips = clips_of(options.paths)
    except PhyMotionError as error:
        print(error, file=sys.stderr)
        return 2
    if not clips:
        print("no clips to score", file=sys.stderr)
        return 2
    levels = LEVELS if options.strength == "all" else (options.strength,)
    cases = [case for i, clip in enumerate(clips) for case in cases_of(i, clip, levels)]
    found = [results(x, levels) for x in score_all(cases, clips, presets, options)]
    facts = device_facts()
    print(f"{len(clips)} clips; " + ", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    print("\n\n".join(tables(result, levels) for result in found) + "\n")
    print("\n".join(summary(result, level) for result in found for level in levels))
    if options.json:
        about = [{"name": m.name, "frames": m.n_frames, "fps": m.fps, "meets": needs_met(m)}
                 for m in clips]  # fmt: skip
        how = {"clips": about, "seed": options.seed, "every": options.every}
        write_json(options.json, facts, plain({**how, "presets": found}))
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
