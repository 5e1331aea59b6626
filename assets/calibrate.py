"""What clean captures do: where the soft ends of the `physical` preset come from.

    python -m phymotion_jax.assets.calibrate clips/ --write

For every quantity that a ramp is about, each clip gives one number: its mean over the clip's worst
half second, as a part's value has it (a pop is over in a frame: there it is the worst frame). The
soft end is a percentile of these over the clips. It is worked out anew with a fifth of the clips
left out, five times, and the table says how far that moves it. `--write` puts soft ends, and what
the clips score with them, into `assets/calibration.json`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from jaxtyping import Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.io import find_motion_files, load_motion
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.windows import mean_and_worst
from phymotion_jax.motion import MotionBatch
from phymotion_jax.physical.quantities import QUANTITIES
from phymotion_jax.physical.scene import scene
from phymotion_jax.presets import PHYSICAL, PhysicalPreset, Ramp
from phymotion_jax.scorer import score
from phymotion_jax.state import rest_padding

PERCENTILE = 90.0
"""Of the clips. The tenth that do more are what recovery and capture got wrong, as a rule."""

_PERCENTILES = {
    # Nobody's feet slide, and those of most clips that were recovered from video do; nobody's hands
    # are inside of their hips, and those of most such clips are, by 5 cm and more. The least at
    # which standing still gains less than 0.02 by what a clip loses there as it moves.
    "slide_m_s": 44.0,
    "overlap_m": 36.0,
    # Of the pelvis even the most is a landing, and no noise.
    "jitter_m": 100.0,
    "pop_m": 100.0,
}
"""Of the clips, for quantities that want another."""

FOLDS = 5
DIGITS = 2
"""Significant ones of a soft end."""

CALIBRATED = (
    *("jitter_rad", "jitter_m", "pop_rad", "pop_m", "overlap_m", "range_excess_rad"),
    *("fold_rad", "slide_m_s", "residual_bw"),
)
"""Ramps that begin where these captures end. For the others, sources tell of people who do more, or
of what the model does not know."""

_ON_ONE_FRAME = ("pop_rad", "pop_m")
_CLIPS = 4
"""In one call."""


@dataclass(frozen=True)
class Options:
    """What to calibrate on."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Clean captures, or folders of them."""

    write: bool = False
    """Write the table."""


@partial(jax.jit, static_argnames="preset")
def measured(batch: MotionBatch, preset: PhysicalPreset) -> dict[str, Float[jax.Array, " B"]]:
    """Every quantity of every clip, in its unit."""
    usable = rest_padding(batch)
    body = Humanoid.from_betas(usable.betas, usable.mass_kg)
    seen = scene(usable, body, None, preset, "fused")
    found = {}
    for name, quantity in QUANTITIES.items():
        frame = stored(quantity(seen, body, preset))
        window = 0.0 if name in _ON_ONE_FRAME else preset.window_s
        found[name] = mean_and_worst(frame, usable.mask, usable.fps[:, None], window)[1]
    return found


def over_clips(batches: Sequence[MotionBatch], preset: PhysicalPreset) -> dict[str, np.ndarray]:
    """Every quantity of all clips."""
    found = [jax.device_get(measured(batch, preset)) for batch in batches]
    real = [np.asarray(batch.mask[:, 0]) for batch in batches]
    return {
        name: np.concatenate([f[name][r] for f, r in zip(found, real, strict=True)])
        for name in QUANTITIES
    }


def soft_end(name: str, values: Float[np.ndarray, " N"]) -> float:
    """The percentile, in two digits."""
    value = float(np.quantile(values, _PERCENTILES.get(name, PERCENTILE) / 100.0))
    return float(f"{value:.{DIGITS}g}")


def folds(name: str, values: Float[np.ndarray, " N"]) -> list[float]:
    """The least and the largest soft end, a fifth of the clips being left out."""
    ends = [soft_end(name, np.delete(values, np.s_[k::FOLDS])) for k in range(FOLDS)]
    return [min(ends), max(ends)]


def calibrated(values: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """The table's rows."""
    return {
        name: {
            "soft": soft_end(name, x),
            "percentile": _PERCENTILES.get(name, PERCENTILE),
            "folds": folds(name, x),
            "quartiles": [float(f"{q:.3g}") for q in np.quantile(x, (0.25, 0.5, 0.75, 1.0))],
        }
        for name, x in values.items()
    }


def with_soft_ends(preset: PhysicalPreset, table: dict[str, dict[str, Any]]) -> PhysicalPreset:
    """The preset with the table's soft ends where it takes them from there."""
    ramps = {name: Ramp(table[name]["soft"], getattr(preset, name).hard) for name in CALIBRATED}
    return replace(preset, **ramps)


def clean_scores(batches: Sequence[MotionBatch], preset: PhysicalPreset) -> dict[str, list[float]]:
    """Reward and parts of all clips, each in rising order: what `Report.percentiles` counts in."""
    names = ("reward", *preset.parts)
    rows = []
    for batch in batches:
        report = score(batch, preset=preset).on_host()
        columns = [report.reward, *(report.parts[part] for part in preset.parts)]
        rows.append(np.stack(columns, axis=1)[report.valid])
    scores = np.sort(np.concatenate(rows), axis=0).T
    return {
        name: [round(float(x), 4) for x in row] for name, row in zip(names, scores, strict=True)
    }


def batches_of(paths: Sequence[Path]) -> list[MotionBatch]:
    """All clips in batches of one shape."""
    motions = [load_motion(path) for path in find_motion_files(paths)]
    length = -(-max(motion.n_frames for motion in motions) // 64) * 64
    return [
        MotionBatch.from_motions(motions[i : i + _CLIPS], length=length, n_clips=_CLIPS)
        for i in range(0, len(motions), _CLIPS)
    ]


def main(options: Options) -> int:
    """Calibrate, print, write."""
    batches = batches_of(options.paths)
    count = sum(int(batch.mask[:, 0].sum()) for batch in batches)
    # Twice: what is over a soft end has a part in the slides and the residuals.
    preset = with_soft_ends(PHYSICAL, calibrated(over_clips(batches, PHYSICAL)))
    table = calibrated(over_clips(batches, preset))
    preset = with_soft_ends(PHYSICAL, table)
    print(f"{count} clips\n\n| quantity | soft | percentile | folds | quartiles and most |")
    print("|---|---|---|---|---|")
    for name, row in table.items():
        cells = (row["soft"], row["percentile"], row["folds"], row["quartiles"])
        print(f"| {name} | {' | '.join(map(str, cells))} |")
    if options.write:
        about = "Made by `python -m phymotion_jax.assets.calibrate`, whose docstring says how."
        result = {"about": about, "clips": count, "quantities": table}
        result["clean"] = clean_scores(batches, preset)
        target = Path(__file__).with_name("calibration.json")
        target.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
