"""Pictures of the results, by matplotlib (extra `bench`)."""

import math
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phymotion_jax.bench.results import writing
from phymotion_jax.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # pyright: ignore[reportMissingImports]
    from matplotlib.axis import Axis  # pyright: ignore[reportMissingImports]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
"""Okabe and Ito's, which people with any kind of colour vision tell apart."""
_MARKERS = "osD^vP*X"
_CALL = {"clips": "clips in a call", "frames": "frames a clip", "devices": "devices"}
_ENDINGS = (".png", ".svg", ".pdf")

Rows = Sequence[dict[str, Any]]


def require_matplotlib(path: Path) -> None:
    """Say at once, before anything is measured, that nothing could be drawn.

    Raises:
      UsageError: matplotlib is not installed, or the ending names no format that is known.
    """
    if path.suffix not in _ENDINGS:
        raise UsageError(f"cannot draw to {path}; use {', '.join(_ENDINGS)}")
    if find_spec("matplotlib") is None:
        raise UsageError('--plot needs matplotlib: pip install "phymotion-jax[bench]"')


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw every case, and a panel for each thing of which there are several.

    Args:
      results: of `measure` or `read_results`.
      path: a .png, .svg or .pdf.

    Raises:
      UsageError: see `require_matplotlib`; or no case has a figure.
      OutputError: nothing can be written there.
    """
    require_matplotlib(path)
    from matplotlib.figure import Figure  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    rows = [row for row in results["rows"] if "error" not in row]
    if not rows:
        raise UsageError("there is nothing to draw: no case has a figure")
    panels = _panels(rows, [row for row in results["memory"] if "error" not in row])
    n_cases = len(dict.fromkeys(r["case"] for r in rows))
    heights = [1.1 + 0.36 * n_cases, *(3.4 for _ in panels[1:])]
    figure = Figure(figsize=(8.0, sum(heights) + 0.6), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for panel, where in zip(panels, axes, strict=True):
        panel(where)
    figure.suptitle(_title(results["facts"]), fontsize=11)
    with writing(path):
        figure.savefig(path, dpi=110)


def _title(facts: dict[str, str]) -> str:
    versions = (f"{k} {facts[k]}" for k in ("driver", "python", "jax", "mujoco-mjx") if k in facts)
    return f"{facts.get('device', 'unknown device')}\n{', '.join(versions)}"


def _panels(rows: Rows, memory: Rows) -> list[Callable[["Axes"], None]]:
    found: list[Callable[[Axes], None]] = [lambda axes: _all_cases(axes, rows)]
    for key in _CALL:
        line = _alike(rows, key)
        if len({r[key] for r in line}) > (1 if key == "devices" else 2):
            found.append(lambda axes, key=key, line=line: _against(axes, line, key))
    if memory:
        found.append(lambda axes: _memory(axes, memory))
    return found


def _call(row: dict[str, Any]) -> tuple[int, ...]:
    return tuple(row[key] for key in _CALL)


def _name(call: tuple[int, ...]) -> str:
    return f"{call[0]:,} x {call[1]}" + (f" on {call[2]}" if call[2] > 1 else "")


def _all_cases(axes: "Axes", rows: Rows) -> None:
    """A line a case, a mark a size of call; of many sizes the best alone."""
    cases, calls = (list(dict.fromkeys(x)) for x in ((r["case"] for r in rows), map(_call, rows)))
    many = len(calls) > len(_MARKERS)
    best = [
        max((r for r in rows if r["case"] == c), key=lambda r: r["frames_per_s"]) for c in cases
    ]
    middle = math.sqrt(math.prod(f(r["frames_per_s"] for r in best) for f in (min, max)))
    for i, call in enumerate([] if many else calls):
        mine = [r for r in rows if _call(r) == call]
        places = [cases.index(r["case"]) for r in mine]
        rates = [r["frames_per_s"] for r in mine]
        axes.plot(rates, places, linestyle="none", label=_name(call), **_look(i))
    for place, row in enumerate(best):
        if many:
            axes.plot(row["frames_per_s"], place, **_look(0))
        text = _short(row["frames_per_s"]) + (f" ({_name(_call(row))})" if many else "")
        left = many and row["frames_per_s"] > middle
        where: Any = {"xytext": (-9 if left else 9, 0), "ha": "right" if left else "left"}
        where |= {"textcoords": "offset points", "va": "center", "fontsize": 8}
        axes.annotate(text, (row["frames_per_s"], place), **where)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.margins(x=0.4 if many else 0.15)
    _rates([r["frames_per_s"] for r in (best if many else rows)], axes.set_xscale, axes.xaxis)
    axes.set_xlabel("frames/s, log scale" + ("" if many else " (written: the best of each case)"))
    axes.grid(alpha=0.3)
    if not many:
        _legend(axes, "clips x frames")


def _against(axes: "Axes", rows: Rows, key: str) -> None:
    """Frames a second against one size, a line a case, all else the same."""
    for i, case in enumerate(dict.fromkeys(r["case"] for r in rows)):
        line = sorted((r for r in rows if r["case"] == case), key=lambda r: r[key])
        sizes, rates = [r[key] for r in line], [r["frames_per_s"] for r in line]
        axes.plot(sizes, rates, label=case, **_look(i))
        if key == "devices":
            ideal = [rates[0] * n / sizes[0] for n in sizes]
            axes.plot(sizes, ideal, color=_look(i)["color"], linestyle=":", linewidth=1)
    _rates([r["frames_per_s"] for r in rows], axes.set_yscale, axes.yaxis)
    _sizes(axes, rows, key)
    note = " (dotted: in proportion)" if key == "devices" else ""
    axes.set_xlabel(f"{_CALL[key]}, log scale{note}")
    axes.set_ylabel("frames/s, log scale")
    axes.grid(alpha=0.3)
    same = (f"{label}: {rows[0][k]:,}" for k, label in _CALL.items() if k != key)
    _legend(axes, "\n".join(same))


def _alike(rows: Rows, key: str) -> Rows:
    """Rows that differ in case and `key` alone: of such sets the one with most sizes, then the one
    with the largest calls on the fewest devices."""
    sets: dict[tuple[int, ...], list[dict[str, Any]]] = {}
    for row in rows:
        sets.setdefault(tuple(row[k] for k in _CALL if k != key), []).append(row)
    return max(
        sets.values(),
        key=lambda s: (len({r[key] for r in s}), -s[0]["devices"], s[0]["clips"], s[0]["frames"]),
    )


def _memory(axes: "Axes", memory: Rows) -> None:
    """The peak against the number of clips scored."""
    for i, case in enumerate(dict.fromkeys(r["case"] for r in memory)):
        mine = [r for r in memory if r["case"] == case]
        label = f"{case}, calls of {mine[0]['clips']} x {mine[0]['frames']}"
        axes.plot(
            [r["scored"] for r in mine], [r["peak_mb"] for r in mine], label=label, **_look(i)
        )
    _sizes(axes, memory, "scored")
    axes.set_ylim(0, 1.15 * max(r["peak_mb"] for r in memory))
    axes.set_xlabel("clips scored, log scale")
    axes.set_ylabel("peak of memory, MB")
    axes.grid(alpha=0.3)
    _legend(axes, None)


def _look(i: int) -> dict[str, Any]:
    return {
        "color": _COLOURS[i % len(_COLOURS)],
        "marker": _MARKERS[i % len(_MARKERS)],
        "markersize": 6,
        "alpha": 0.85,
    }


def _rates(rates: list[float], set_scale: Callable[..., None], axis: "Axis") -> None:
    """A log axis; within one decade or so with ticks at 2 and 5 times powers of ten as well."""
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415  # pyright: ignore[reportMissingImports]

    set_scale("log")
    near = max(rates) < 100.0 * min(rates)
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if near else (1.0,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda number, _: _short(number))


def _sizes(axes: "Axes", rows: Rows, key: str) -> None:
    """A log axis with a tick for each size, and no others."""
    sizes = sorted({r[key] for r in rows})
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks([], minor=True)


def _legend(axes: "Axes", title: str | None) -> None:
    axes.legend(
        title=title, fontsize=8, title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
    )


def _short(number: float) -> str:
    """Three digits: 214.6 million is 215 M."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
