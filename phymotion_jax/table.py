"""The table of scores: a row a clip, the files it is written to, and its summary."""

import json
import os
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain, count
from pathlib import Path
from statistics import fmean, median
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from phymotion_jax.body.skeleton import BODY_NAMES
from phymotion_jax.errors import OutputError, Status
from phymotion_jax.motion import Motion
from phymotion_jax.options import discard_stdout
from phymotion_jax.presets import AXIS_NAMES, Preset
from phymotion_jax.report import Report

Row = dict[str, str | int | float | None]
"""One clip, with the columns of its table's schema in their order. One that could not be scored has
the first ones only, `_COMMON`: what is missing, or None, is null in the table."""

_COMMON = ("path", "status", "reason", "frames", "fps", "reward", *AXIS_NAMES)


@cache
def schema_of(preset: Preset) -> pa.Schema:
    """Columns of a table of a preset's scores, written out so that a column of nulls keeps its
    type."""
    return pa.schema(
        [
            pa.field("path", pa.string(), nullable=False),
            pa.field("status", pa.string(), nullable=False),
            ("reason", pa.string()),
            ("frames", pa.int64()),
            ("fps", pa.float64()),
            *((name, pa.float64()) for name in ("reward", *AXIS_NAMES, *preset.parts)),
            *((f"{name}.percentile", pa.float64()) for name in preset.clean),
            ("activity", pa.float64()),
            ("floor_height", pa.float64()),
            *((f"{preset.name}.{name}", pa.float64()) for name in preset.details),
            *(
                column
                for part in preset.parts
                for column in ((f"{part}.frame", pa.int64()), (f"{part}.joint", pa.string()))
            ),
            ("self_penetration.method", pa.string()),
        ]
    )


def summary_columns(preset: Preset) -> tuple[str, ...]:
    """Columns that a `Tally` and the summary of it look at."""
    return (*_COMMON, *preset.parts)


ROWS_PER_GROUP = 4096
"""Rows held back until they are written as one row group of Parquet."""


def empty_row(path: str | os.PathLike[str], status: Status, reason: str | None) -> Row:
    """The row of a clip without scores: all null but its name, status and reason."""
    row: Row = dict.fromkeys(_COMMON)
    row["path"] = _utf8(os.fspath(path))
    row["status"] = status.label
    row["reason"] = _utf8(reason) if reason else None
    return row


def report_rows(
    report: Report, paths: Sequence[str | os.PathLike[str]], motions: Sequence[Motion]
) -> list[Row]:
    """The rows of the first clips of a report; what follows them is padding.

    Args:
      report: scores on the host (`Report.on_host`).
      paths: what the table calls each clip.
      motions: the clips themselves, in the order of the batch.
    """
    columns = _score_columns(report)
    rows = []
    for i, (path, motion) in enumerate(zip(paths, motions, strict=True)):
        row = empty_row(path, Status(int(report.status[i])), report.reason(i))
        row["frames"], row["fps"] = motion.n_frames, motion.fps
        if report.valid[i]:
            row.update((name, values[i]) for name, values in columns.items())
        rows.append(row)
    return rows


@contextmanager
def open_table(target: str, schema: pa.Schema) -> Iterator[Callable[[Row], None]]:
    """Open a table and give the function that adds a row to it.

    The rows go to `partial_path` first, which takes the table's name when all of them are there. An
    error or an interruption leaves what was written, if any, under that name as a readable table; a
    full disk leaves what there was room for.

    Args:
      target: a file whose ending names the format, or "-" for JSON lines on stdout.
      schema: its columns, from `schema_of`.

    Raises:
      OutputError: the ending is unknown, or nothing, or not all, can be written there.
      BrokenPipeError: nobody reads stdout any longer.
    """
    if target == "-":
        yield _stdout(schema)
        return
    table = _NewTable(target, schema)
    try:
        yield table.add
    except BaseException:
        table.leave()
        raise
    table.finish()


def partial_path(target: str) -> Path:
    """Where the rows of an unfinished table go next: what an earlier run has left there stays."""
    path = Path(target)
    numbers = chain([""], (f".{number}" for number in count(2)))
    files = (path.with_name(f"{path.stem}.partial{n}{path.suffix}") for n in numbers)
    return next(file for file in files if not file.exists())


class Tally:
    """Running account of a table: enough for its summary, little whatever the number of rows."""

    def __init__(self, n_first: int):
        """Keep the first `n_first` rows whole, and of those that could not be scored."""
        self.n_rows = 0
        self.first: list[Row] = []
        self.scores = {name: array("d") for name in ("reward", *AXIS_NAMES)}
        self.failures: Counter[str] = Counter()
        self.examples: dict[str, Row] = {}
        self.of_many_reasons: set[str] = set()
        self.failed: list[Row] = []
        self._n_first = n_first

    @property
    def n_scored(self) -> int:
        """Number of clips with scores."""
        return self.n_rows - self.failures.total()

    def add(self, row: Row) -> None:
        """Count one row."""
        self.n_rows += 1
        if len(self.first) < self._n_first:
            self.first.append(row)
        status = str(row["status"])
        if status != Status.OK.label:
            self.failures[status] += 1
            first = self.examples.setdefault(status, row)
            if row["reason"] != first["reason"]:
                self.of_many_reasons.add(status)
            if len(self.failed) < self._n_first:
                self.failed.append(row)
        for name, values in self.scores.items():
            value = row[name]
            if isinstance(value, float):
                values.append(value)

    def averages(self) -> dict[str, tuple[float, float]]:
        """Mean and median of the reward and of each axis over the scored clips."""
        return {name: (fmean(x), median(x)) for name, x in self.scores.items() if x}


def _score_columns(report: Report) -> dict[str, list]:
    """What a scored clip adds to its row, column by column."""
    columns: dict[str, list] = {"reward": _floats(report.reward)}
    preset = report.preset
    columns |= {axis: _floats(report.axes[axis]) for axis in AXIS_NAMES}
    columns |= {part: _floats(report.parts[part]) for part in preset.parts}
    columns |= {f"{name}.percentile": _floats(x) for name, x in report.percentiles.items()}
    columns["activity"] = _floats(report.activity)
    columns["floor_height"] = _floats(report.floor_height)
    columns |= {f"{preset.name}.{d}": _floats(report.details[d]) for d in preset.details}
    for part in preset.parts:
        frames, links = report.worst_frame[part], report.worst_link[part]
        columns[f"{part}.frame"] = [int(f) if f >= 0 else None for f in frames]
        columns[f"{part}.joint"] = [BODY_NAMES[i] if i >= 0 else None for i in links]
    method = dict(report.methods).get("kin.self_penetration")
    columns["self_penetration.method"] = [method] * len(columns["reward"])
    return columns


def _floats(values) -> list[float | None]:
    """Python floats with null for what is not finite.

    By way of text, the shortest that names the same float32: 0.3 does not become
    0.30000001192092896 in a file of text.
    """
    numbers = np.asarray(values, np.float32).astype(str).astype(np.float64)
    return [float(x) if np.isfinite(x) else None for x in numbers]


def _utf8(text: str) -> str:
    """The same text; bytes of file names that are not UTF-8 stand in it as \\xff."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Sink(Protocol):
    def write(self, row: Row) -> None: ...

    def close(self) -> None: ...


class _JsonLines:
    """A line a row, at once, so that a reader at the other end of a pipe is not kept waiting."""

    def __init__(self, file: BinaryIO, schema: pa.Schema):
        self._file = file
        self._names = schema.names

    def write(self, row: Row) -> None:
        whole = {name: row.get(name) for name in self._names}
        self._file.write(json.dumps(whole, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def close(self) -> None:
        self._file.flush()


class _Arrow:
    """Rows gathered to record batches: for Parquet a row group each."""

    def __init__(self, writer: pq.ParquetWriter | pa_csv.CSVWriter, schema: pa.Schema):
        self._writer = writer
        self._schema = schema
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        self._writer.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows.clear()


_SINKS: dict[str, Callable[[BinaryIO, pa.Schema], _Sink]] = {
    ".parquet": lambda file, schema: _Arrow(pq.ParquetWriter(file, schema), schema),
    ".csv": lambda file, schema: _Arrow(pa_csv.CSVWriter(file, schema), schema),
    ".jsonl": _JsonLines,
}


class _NewTable:
    """A table under another name, until all of it is there."""

    def __init__(self, target: str, schema: pa.Schema):
        self._target, self._n_rows = target, 0
        sink, self._partial = _sink_of(target), partial_path(target)
        with _blaming(target):
            self._file = self._partial.open("xb")  # never another run's
            self._rows = sink(self._file, schema)

    def add(self, row: Row) -> None:
        with _blaming(self._target):
            self._rows.write(row)
        self._n_rows += 1

    def finish(self) -> None:
        try:
            with _blaming(self._target):
                self._close()
                self._partial.replace(self._target)
        except OutputError:
            self.leave()
            raise

    def leave(self) -> None:
        """As much of it as can be, after an error, which is the one to be told."""
        with suppress(OSError, pa.ArrowException):
            self._close()
        if not self._n_rows:
            self._partial.unlink(missing_ok=True)

    def _close(self) -> None:
        if not self._file.closed:
            with self._file:
                self._rows.close()


def _stdout(schema: pa.Schema) -> Callable[[Row], None]:
    rows = _JsonLines(sys.stdout.buffer, schema)

    def add(row: Row) -> None:
        try:
            with _blaming("stdout"):
                rows.write(row)
        except OutputError:
            discard_stdout()
            raise

    return add


@contextmanager
def _blaming(target: str) -> Iterator[None]:
    """What the system refuses is a table that cannot be written; a reader that left is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def _sink_of(target: str) -> Callable[[BinaryIO, pa.Schema], _Sink]:
    path = Path(target)
    if path.suffix.lower() not in _SINKS:
        raise OutputError(
            f"cannot tell the format of {target!r} from its ending; use {', '.join(_SINKS)}, or - "
            "for JSON lines on stdout; the name of a folder of parts ends with /"
        )
    if path.is_dir():
        raise OutputError(f"cannot write {target}: there is a folder of that name")
    return _SINKS[path.suffix.lower()]
