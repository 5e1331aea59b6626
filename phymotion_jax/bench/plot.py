"""Pictures of the results, by matplotlib (extra `bench`)."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phymotion_jax.options import UsageError
from phymotion_jax.table import OutputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")
"""Okabe and Ito's, which people with any kind of colour vision tell apart."""
_MARKERS = "osD^vP*X"
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
    from matplotlib.figure import Figure  # noqa: PLC0415  # an extra, and slow to import

    rows = [row for row in results["rows"] if "error" not in row]
    if not rows:
        raise UsageError("there is nothing to draw: no case has a figure")
    panels = _panels(rows, results["memory"])
    n_cases = len(dict.fromkeys(r["case"] for r in rows))
    heights = [1.1 + 0.36 * n_cases, *(3.4 for _ in panels[1:])]
    figure = Figure(figsize=(8.0, sum(heights) + 0.6), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False)[:, 0]
    for panel, where in zip(panels, axes, strict=True):
        panel(where)
    figure.suptitle(_title(results["facts"]), fontsize=11)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _title(facts: dict[str, str]) -> str:
    versions = (f"{k} {facts[k]}" for k in ("driver", "python", "jax", "mujoco-mjx") if k in facts)
    return f"{facts.get('device', 'unknown device')}\n{', '.join(versions)}"


def _panels(rows: Rows, memory: Rows) -> list[Callable[["Axes"], None]]:
    found: list[Callable[[Axes], None]] = [lambda axes: _all_cases(axes, rows)]
    labels = {"clips": "clips in a call", "frames": "frames a clip", "devices": "devices"}
    for key, label in labels.items():
        if any(len(line) > 2 or key == "devices" for line in _lines(rows, key).values()):
            found.append(lambda axes, key=key, label=label: _against(axes, rows, key, label))
    if memory:
        found.append(lambda axes: _memory(axes, memory))
    return found


def _all_cases(axes: "Axes", rows: Rows) -> None:
    """A line a case, a mark a size of call."""
    cases = list(dict.fromkeys(r["case"] for r in rows))
    calls = list(dict.fromkeys((r["clips"], r["frames"], r["devices"]) for r in rows))
    for i, call in enumerate(calls):
        mine = [r for r in rows if (r["clips"], r["frames"], r["devices"]) == call]
        axes.plot(
            [r["frames_per_s"] for r in mine],
            [cases.index(r["case"]) for r in mine],
            linestyle="none",
            label=f"{call[0]} x {call[1]}" + (f" on {call[2]}" if call[2] > 1 else ""),
            **_look(i),
        )
    for place, case in enumerate(cases):
        best = max(r["frames_per_s"] for r in rows if r["case"] == case)
        where = {"xytext": (9, 0), "textcoords": "offset points", "va": "center"}
        axes.annotate(_short(best), (best, place), fontsize=8, **where)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.set_xscale("log")
    _decades(axes.xaxis)
    axes.margins(x=0.12)
    axes.set_xlabel("frames/s (written: the best of each case)")
    axes.grid(axis="both", alpha=0.3)
    _legend(axes, "clips x frames")


def _against(axes: "Axes", rows: Rows, key: str, label: str) -> None:
    """Frames a second against one size, a line a case where all else is the same."""
    several = {name: line for name, line in _lines(rows, key).items() if len(line) > 1}
    for i, (name, line) in enumerate(several.items()):
        sizes = [r[key] for r in line]
        axes.plot(sizes, [r["frames_per_s"] for r in line], label=name, **_look(i))
        if key == "devices":
            ideal = [line[0]["frames_per_s"] * n / sizes[0] for n in sizes]
            axes.plot(sizes, ideal, color=_look(i)["color"], linestyle=":", linewidth=1)
    axes.set_yscale("log")
    _decades(axes.yaxis)
    _sizes(axes, sorted({r[key] for line in several.values() for r in line}))
    dotted = " (dotted: in proportion)" if key == "devices" else ""
    axes.set_xlabel(label + dotted)
    axes.set_ylabel("frames/s")
    axes.grid(alpha=0.3)
    _legend(axes, None)


def _lines(rows: Rows, key: str) -> dict[str, list[dict[str, Any]]]:
    """Rows that differ in `key` alone, by what they share; those with two sizes or more."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    others = [k for k in ("clips", "frames", "devices") if k != key]
    for row in sorted(rows, key=lambda r: r[key]):
        found.setdefault((row["case"], *(row[k] for k in others)), []).append(row)
    found = {shared: line for shared, line in found.items() if len({r[key] for r in line}) > 1}
    varied = [i for i in (1, 2) if len({shared[i] for shared in found}) > 1]
    return {
        ", ".join([shared[0], *(f"{shared[i]} {others[i - 1]}" for i in varied)]): line
        for shared, line in found.items()
    }


def _memory(axes: "Axes", memory: Rows) -> None:
    """The peak against the number of clips scored."""
    for i, case in enumerate(dict.fromkeys(r["case"] for r in memory)):
        mine = [r for r in memory if r["case"] == case]
        label = f"{case}, calls of {mine[0]['clips']} x {mine[0]['frames']}"
        axes.plot(
            [r["scored"] for r in mine], [r["peak_mb"] for r in mine], label=label, **_look(i)
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(r["peak_mb"] for r in memory))
    axes.set_xlabel("clips scored")
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


def _decades(axis: "Axis") -> None:
    """Ticks at 1, 2 and 5 times powers of ten: rates of one case often lie within a decade."""
    from matplotlib.ticker import LogLocator, NullLocator  # noqa: PLC0415  # an extra

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda number, _: _short(number))


def _sizes(axes: "Axes", sizes: list[int]) -> None:
    """A tick for each size, and no others."""
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
