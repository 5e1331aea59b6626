"""Results: read back from JSON, and as tables in Markdown."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phymotion_jax.errors import OutputError, UsageError

_CALL = {"case": str, "clips": int, "frames": int}
_NEEDED = {
    "rows": _CALL | {"frames_per_s": (int, float)},
    "memory": _CALL | {"scored": int, "peak_mb": (int, float)},
}
"""Fields of each kind of row; the last one is its figure, in whose place there may be an error."""

_TIMES = {
    "case": "{case}",
    "clips x frames": "{clips} x {frames}",
    "devices": "{devices}",
    "compile s": "{compile_s:.1f}",
    "median ms": "{median_ms:.1f}",
    "IQR ms": "{iqr_ms:.1f}",
    "frames/s": "{frames_per_s:,.0f}",
    "clips/s": "{clips_per_s:,.0f}",
    "temporaries B a frame": "{temp_bytes_per_frame:,.0f}",
    "program MB": "{program_mb:,.0f}",
}
_MEMORY = {
    "case": "{case}",
    "clips scored": "{scored:,}",
    "in calls of": "{clips} x {frames}",
    "devices": "{devices}",
    "clips/s": "{clips_per_s:,.0f}",
    "peak MB": "{peak_mb:,.0f}",
}


def read_results(path: Path) -> dict[str, Any]:
    """What an earlier run wrote with -o.

    Raises:
      UsageError: the file is missing or holds something else; names the field.
    """
    try:
        results = json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    if not isinstance(results, dict) or not isinstance(results.get("facts"), dict):
        raise UsageError(f"{path}: no field 'facts'; results of `phymotion-jax bench` were wanted")
    results = {"memory": [], "errors": {}, "notes": ""} | results
    for name, needed in _NEEDED.items():
        rows = results.get(name)
        if not isinstance(rows, list) or (name == "rows" and not rows):
            raise UsageError(f"{path}: field {name!r} is {_kind(rows)}; a list of rows was wanted")
        for i, row in enumerate(rows):
            _check_row(f"{path}: {name}[{i}]", row, needed)
    return results


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What goes wrong with a file of results, in one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def require_writable(path: Path) -> None:
    """Say at once, before anything is measured, that nothing could be written there.

    Raises:
      OutputError: with the operating system's reason.
    """
    was_there = os.path.lexists(path)
    with writing(path):
        path.open("ab").close()
        if not was_there:
            path.unlink()


def _check_row(where: str, row: Any, needed: dict[str, Any]) -> None:
    if not isinstance(row, dict):
        raise UsageError(f"{where} is {_kind(row)}; a row of fields was wanted")
    for field, kind in list(needed.items())[: -1 if "error" in row else None]:
        if not isinstance(row.get(field), kind) or isinstance(row[field], bool):
            raise UsageError(
                f"{where}, field {field!r} is {_kind(row.get(field))}; "
                f"{'a name' if kind is str else 'a number'} was wanted"
            )
    row.setdefault("devices", 1)


def _kind(value: Any) -> str:
    return "missing" if value is None else type(value).__name__


def markdown(results: dict[str, Any]) -> str:
    """Device and versions, a table of the times, and what else was measured."""
    blocks = [", ".join(f"{k} {v}" for k, v in results["facts"].items())]
    blocks.append(_table(_TIMES, results["rows"]))
    if results["memory"]:
        blocks.append(_table(_MEMORY, results["memory"]))
    blocks.extend(filter(None, (_over_mjx(results["rows"]), _scaling(results["rows"]))))
    blocks.extend(
        f"{backend}: largest error against C MuJoCo {error:.1e} of the largest force"
        for backend, error in results["errors"].items()
    )
    return "\n\n".join(blocks)


def _table(columns: dict[str, str], rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(c, row) for c in columns.values()) + " |" for row in rows]
    return "\n".join(lines)


def _cell(template: str, row: dict[str, Any]) -> str:
    """A figure; nothing where an older file has none, and why where the row has none."""
    try:
        return template.format(**row)
    except KeyError:
        figure = "frames_per_s" in template or "peak_mb" in template
        return row["error"] if "error" in row and figure else ""


def _over_mjx(rows: Sequence[dict[str, Any]]) -> str:
    """How much faster the fused kernel is than vmapped MJX, call by call."""
    lines = []
    for call in dict.fromkeys((r["clips"], r["frames"], r["devices"]) for r in rows):
        speed = _speeds(rows, *call)
        if {"dynamics, fused", "dynamics, mjx"} <= speed.keys():
            ratio = speed["dynamics, fused"] / speed["dynamics, mjx"]
            lines.append(f"fused over mjx, {call[0]} x {call[1]} on {call[2]}: {ratio:.1f}x")
    return "\n\n".join(lines)


def _scaling(rows: Sequence[dict[str, Any]]) -> str:
    """How much faster several devices are than one."""
    lines = []
    for row in (r for r in rows if r["devices"] > 1 and "error" not in r):
        one = _speeds(rows, row["clips"], row["frames"], 1).get(row["case"])
        if one:
            times = row["frames_per_s"] / one
            lines.append(
                f"{row['case']}, {row['clips']} x {row['frames']}: {times:.2f} times one device on "
                f"{row['devices']} ({times / row['devices']:.0%})"
            )
    return "\n\n".join(lines)


def _speeds(
    rows: Sequence[dict[str, Any]], clips: int, frames: int, devices: int
) -> dict[str, float]:
    call = (clips, frames, devices)
    return {
        r["case"]: r["frames_per_s"]
        for r in rows
        if (r["clips"], r["frames"], r["devices"]) == call and "error" not in r
    }
