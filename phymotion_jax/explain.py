"""A readable account of one clip: what cost it its reward, on which frames, by which joints."""

import math

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from phymotion_jax.body.skeleton import BODY_NAMES
from phymotion_jax.errors import Status
from phymotion_jax.motion import Motion
from phymotion_jax.presets import AXIS_NAMES
from phymotion_jax.report import Report

_N_RUNS = 3
_N_JOINTS = 3
_BAR_WIDTH = 6
"""With columns one apart, all joints' names and the longest clip's last frame fit into 80."""

_LEGEND = "violation: 0 is best; cost: what it takes off the reward"
_CLEAN_LEGEND = "; clean: share of clean captures that do better"
_SMALL_COST = 0.0005
"""Parts that cost the reward less than what is printed get no lines of their own."""


def explain(motion: Motion, report: Report, clip_index: int = 0) -> RenderableType:
    """Tell where a clip lost its reward, in 80 columns and without need of colour.

    Args:
      motion: the clip.
      report: scores on the host, of the batch that the clip was in.
      clip_index: its row in that batch.
    """
    header = Text.assemble((motion.name or "clip", "bold"), "\n", _extent(motion))
    if not report.valid[clip_index]:
        status = Status(int(report.status[clip_index])).label
        why = Text.assemble(("not scored", "red"), f": {status}: {report.reason(clip_index)}")
        return Group(header, why)
    return Group(
        header,
        _scores(report, clip_index),
        Text(),
        _parts_table(motion, report, clip_index),
        Text(_LEGEND + (_CLEAN_LEGEND if report.percentiles else ""), style="dim"),
        *_losses(motion, report, clip_index),
        *_details(report, clip_index),
        Text(),
        _circumstances(report, clip_index),
    )


def costs(report: Report, clip: int) -> dict[str, float]:
    """What each part takes off the reward: its share of its axis, a mean, and of their mean.

    A part that was not measured takes nothing.
    """
    return {
        part: float(np.nan_to_num(report.parts[part][clip])) / (len(AXIS_NAMES) * len(parts))
        for parts in report.preset.axes.values()
        for part in parts
    }


def worst_runs(violation: np.ndarray, count: int = _N_RUNS) -> list[tuple[int, int]]:
    """Runs of frames at half the largest violation or more, the costliest first.

    Args:
      violation: of one part on each frame, ``(T,)``.
      count: how many runs at most.

    Returns:
      First and last frame of each run; none where nothing is violated.
    """
    largest = violation.max(initial=0.0)
    if largest <= 0.0:
        return []
    high = np.concatenate([[False], violation >= 0.5 * largest, [False]])
    edges = np.flatnonzero(np.diff(high)).reshape(-1, 2)
    runs = [(int(first), int(end) - 1) for first, end in edges]
    runs.sort(key=lambda run: -float(violation[run[0] : run[1] + 1].sum()))
    return runs[:count]


def _extent(motion: Motion) -> str:
    return f"{motion.n_frames} frames, {motion.fps:g} fps, {motion.n_frames / motion.fps:.2f} s"


def _scores(report: Report, clip: int) -> Text:
    axes = ", ".join(f"{axis} {report.axes[axis][clip]:.3f}" for axis in AXIS_NAMES)
    return Text.assemble((f"reward {report.reward[clip]:.3f}", "bold"), f" = mean of {axes}")


def _parts_table(motion: Motion, report: Report, clip: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("part", no_wrap=True)
    table.add_column("violation", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    if report.percentiles:
        table.add_column("clean", justify="right", no_wrap=True)
    table.add_column("worst frame", no_wrap=True)
    table.add_column("joint", no_wrap=True)
    cost = costs(report, clip)
    for part in report.preset.parts:
        frame = int(report.worst_frame[part][clip])
        table.add_row(
            part,
            _bar(float(report.parts[part][clip])),
            f"{cost[part]:.3f}",
            *_percentile(report, part, clip),
            f"{frame} ({frame / motion.fps:.2f} s)" if frame >= 0 else "-",
            report.worst_joint_name(part, clip) or "-",
        )
    table.add_section()
    table.add_row("all", "", f"{sum(cost.values()):.3f}", *_percentile(report, "reward", clip))
    return table


def _percentile(report: Report, name: str, clip: int) -> list[str]:
    """One cell, or none where clean captures have no scores to compare with."""
    return [f"{report.percentiles[name][clip]:.0%}"] if report.percentiles else []


def _bar(violation: float) -> Text:
    if math.isnan(violation):
        return Text("not measured", style="dim")
    filled = round(_BAR_WIDTH * min(max(violation, 0.0), 1.0))
    style = "green" if violation < 0.05 else "yellow" if violation < 0.3 else "red"
    return Text(f"{violation:.3f} {'█' * filled}{'·' * (_BAR_WIDTH - filled)}", style=style)


def _losses(motion: Motion, report: Report, clip: int) -> list[Text]:
    """The parts again, costliest first, with their frames and joints."""
    cost = costs(report, clip)
    lines = []
    for part in sorted(report.preset.parts, key=lambda part: -cost[part]):
        if cost[part] < _SMALL_COST:
            continue
        lines += [Text(), Text.assemble((part, "bold"), f" costs {cost[part]:.3f}")]
        runs = worst_runs(np.asarray(report.frames[part][clip])[: motion.n_frames])
        if runs:
            lines.append(Text("  " + "; ".join(_span(run, motion.fps) for run in runs)))
        joints = _worst_joints(np.asarray(report.links[part][clip]))
        if joints:
            named = ", ".join(f"{name} {x:.3f}" for name, x in joints)
            lines.append(Text(f"  each by itself, on average: {named}"))
    return lines


def _details(report: Report, clip: int) -> list[Text]:
    """The preset's further figures, under the names that they have there."""
    if not report.preset.details:
        return []
    figures = (f"{name} {report.details[name][clip]:.4g}" for name in report.preset.details)
    return [Text(), Text(f"in {report.preset.name}'s own terms: {', '.join(figures)}")]


def _span(run: tuple[int, int], fps: float) -> str:
    first, last = run
    if first == last:
        return f"frame {first} ({first / fps:.2f} s)"
    return f"frames {first}–{last} ({first / fps:.2f}–{last / fps:.2f} s)"


def _worst_joints(violation: np.ndarray) -> list[tuple[str, float]]:
    order = np.argsort(-violation, kind="stable")[:_N_JOINTS]
    return [(BODY_NAMES[i], float(violation[i])) for i in order if violation[i] > 0.0]


def _circumstances(report: Report, clip: int) -> Text:
    floor, activity = report.floor_height[clip], report.activity[clip]
    lines = [f"floor at {floor:.3f} m; the body moves at {activity:.2f} m/s on average"]
    lines += [f"{part} was measured with {method}" for part, method in report.methods]
    return Text("\n".join(lines))
