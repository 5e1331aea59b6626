"""How the red team's results are printed: Markdown tables, and one line a preset."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from phymotion_jax.redteam import CONTROLS

GOALS = {"detected": 0.95, "axis_falls_most": 0.80}
"""Shares of the clips of each kind."""


def tables(result: dict[str, Any], levels: Sequence[str]) -> str:
    """Everything about one preset."""
    blocks = [f"{result['preset']}, {level}\n\n{_violations(result, level)}" for level in levels]
    blocks += [freeze_line(result), f"{result['preset']}, noise\n\n{_noise(result)}"]
    return "\n\n".join(blocks)


def _violations(result: dict[str, Any], level: str) -> str:
    head = (
        *("kind", "axis", "clips", "left out", "detected", "reward falls by"),
        *("axis falls most", "intended parts", "what else moves"),
    )
    rows = [row for row in result["violations"] if row["strength"] == level]
    return markdown(head, (_violation(row) for row in rows))


def _violation(row: dict[str, Any]) -> tuple[str, ...]:
    unscored = f" + {len(row['unscored'])} unscored" if row["unscored"] else ""
    fall = f"{-row['mean']['reward']:.3f}" if row["cases"] else "-"
    return (
        *(row["kind"], row["axis"], f"{row['cases']}{unscored}", str(row["left_out"])),
        *(share(row, "detected"), fall, share(row, "axis_falls_most")),
        *(changes(row["intended"]), changes(row["others"])),
    )


def freeze_line(result: dict[str, Any]) -> str:
    """What holding a frame gains, on average and at most."""
    each = result["freeze"]["each"]
    if not each:
        return f"{result['preset']}, freeze: no frame of stance in any clip"
    best = max(each, key=lambda entry: entry["reward"])
    return (
        f"{result['preset']}, freeze: {len(each)} held frames of stance change the reward by "
        f"{result['freeze']['mean']['reward']:+.3f} on average and by {best['reward']:+.3f} at "
        f"most ({best['clip']}, frame {best['frame']})"
    )


def _noise(result: dict[str, Any]) -> str:
    names = [name for name in result["noise"][0]["mean"] if name == "reward" or "." in name]
    rows = (
        (noise_label(row), str(row["cases"]), *(signed(row["mean"][name]) for name in names))
        for row in result["noise"]
    )
    return markdown(("noise", "clips", *names), rows)


def noise_label(row: dict[str, Any]) -> str:
    """Kind and strength, as in "position 2 mm"."""
    control = CONTROLS[row["kind"]]
    amount = control.strength(row["strength"])
    size = f"{1e3 * amount:g} mm" if control.unit == "m" else f"{amount:g} {control.unit}"
    return f"{row['kind'].removesuffix('_noise')} {size}"


def summary(result: dict[str, Any], level: str) -> str:
    """One line: how many kinds reach the goals, which do not, and what else counts."""
    rows = [row for row in result["violations"] if row["strength"] == level and row["cases"]]
    met = {goal: sum(row[goal] >= least for row in rows) for goal, least in GOALS.items()}
    below = [row["kind"] for row in rows if any(row[g] < least for g, least in GOALS.items())]
    seen = sum(row["detected"] * row["cases"] for row in rows)
    clips = sum(row["cases"] for row in rows)
    part, worst = worst_part(result)
    return (
        f"{result['preset']}, {level}: {met['detected']} of {len(rows)} kinds detected and "
        f"{met['axis_falls_most']} on the intended axis ({seen / max(clips, 1):.0%} of {clips} "
        f"clips); below the goals: {', '.join(below) or 'none'}; clean clips: median reward "
        f"{_median(result, 'reward'):.3f}, worst part {part} {worst:.3f}; standing still gains "
        f"{signed(result['freeze']['mean']['reward'])}; rank correlation of reward and activity "
        f"{signed(rank_correlation(result))}"
    )


def rank_correlation(result: dict[str, Any]) -> float:
    """Spearman's, of reward and activity of the clean clips: does moving cost?"""
    pairs = np.array([(entry["reward"], entry["activity"]) for entry in result["clean"]])
    known = pairs[~np.isnan(pairs).any(axis=1)]
    if len(known) < 3 or np.ptp(known, axis=0).min() == 0.0:
        return float("nan")
    return float(spearmanr(known).statistic)


def worst_part(result: dict[str, Any]) -> tuple[str, float]:
    """The part with the largest median violation on clean clips, and that."""
    parts = [name for name in result["clean"][0] if "." in name]
    medians = {part: _median(result, part) for part in parts}
    return max(medians.items(), key=lambda item: np.nan_to_num(item[1], nan=-1.0))


def _median(result: dict[str, Any], name: str) -> float:
    known = [entry[name] for entry in result["clean"] if not np.isnan(entry[name])]
    return float(np.median(known)) if known else float("nan")


def share(row: dict[str, Any], goal: str) -> str:
    """A share of the clips, with a star below its goal."""
    if not row["cases"]:
        return "-"
    return f"{row[goal]:.0%}" + ("*" if row[goal] < GOALS[goal] else "")


def changes(parts: dict[str, float]) -> str:
    """Parts and how they change; a part that was not measured is left out."""
    return ", ".join(f"{p} {x:+.3f}" for p, x in parts.items() if not np.isnan(x)) or "-"


def signed(change: float) -> str:
    """A change, or a dash where none was measured."""
    return "-" if np.isnan(change) else f"{change:+.3f}"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
