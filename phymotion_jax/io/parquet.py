"""Clips in Parquet files, a row each: read where they lie, a row group at a time.

A row has a clip's arrays in columns called as in a `.npz` (`poses`, `trans`, `betas`, `fps`, ...),
as nested lists of numbers, or one column of bytes with a whole motion file (binary, or the structs
``{bytes, path}`` of Hugging Face's `datasets`).
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.arrays import KNOWN_NAMES
from phymotion_jax.io.raw import listed
from phymotion_jax.io.shards import each_its_own, name_in_shard, several_called, version_of

KEY_NAMES = ("__key__", "key", "name", "id")
"""Columns that may call a row by a name; the first one there counts."""

_POSE_NAMES = {name for name in KNOWN_NAMES if "pose" in name}
_FILE_NAMES = ("npz", "pt")
"""Which column of bytes is the motion, where there are several."""

MAX_GROUP_BYTES = 2**30
"""Of the clips of one row group, which are unpacked together; two are held."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, EOFError)


class ParquetRow:
    """The arrays of one row by name, made when asked for."""

    def __init__(self, columns: dict[str, pa.Scalar]):
        """Leave out what the row does not have."""
        self._columns = {name: x for name, x in columns.items() if x.is_valid}
        self.names = set(self._columns)

    def array(self, name: str) -> np.ndarray:
        """One of them; MotionError where it is not of numbers, or ragged."""
        return _numbers(name, self._columns[name])


def holds_motion(path: Path) -> bool:
    """Whether rows may be clips, and not scores say; a damaged file may hold anything."""
    try:
        return _motion_columns(pq.read_schema(path)) != ()
    except _DAMAGE:
        return True


def parquet_rows(path: Path) -> list[str]:
    """What its rows are called, in order: by their keys; by a number where there is none, and by
    both, ``00000003/key``, where several have it.

    Raises:
      MotionError: where it is damaged, or its rows are no clips.
    """
    return list(_index(path, *version_of(path)).rows)


def parquet_itself(path: Path) -> MotionError:
    """Why a Parquet file itself cannot be loaded."""
    rows = f"{len(parquet_rows(path))} rows"
    return MotionError(
        Status.UNREADABLE, f"a Parquet file of {rows}; one clip was wanted, as {path.name}/key"
    )


def read_from_parquet(path: Path, key: str) -> ParquetRow | bytes:
    """One row, or the file in it.

    Raises:
      MotionError: where there is no such row, or it cannot be read.
    """
    version = version_of(path)
    index = _index(path, *version)
    if key not in index.rows:
        several = several_called(key, index.rows)
        told = f"several rows are called so: {listed(several)}" if several else ""
        raise MotionError(Status.MISSING, told or "there is no such row in the Parquet file")
    group = int(np.searchsorted(index.starts, index.rows[key], side="right")) - 1
    with _one_at_a_time:  # the others find the group there
        table = _row_group(path, *version, group)
    row = {c: table[c][index.rows[key] - index.starts[group]] for c in table.column_names}
    return ParquetRow(row) if index.is_arrays else _file_of(row)


class _Index(NamedTuple):
    columns: tuple[str, ...]
    """That a clip needs."""
    is_arrays: bool
    starts: tuple[int, ...]
    """First row of each row group."""
    rows: dict[str, int]


_one_at_a_time = Lock()


@lru_cache(maxsize=64)
def _index(path: Path, size: int, changed: int) -> _Index:
    del size, changed
    with _opened(path) as file:
        schema, metadata = file.schema_arrow, file.metadata
        columns = _motion_columns(schema)
        if not columns:
            wanted = f"{', '.join(sorted(_POSE_NAMES))}, or one column of motion files"
            raise MotionError(
                Status.UNREADABLE,
                f"its columns are {listed(schema.names)}; clips were wanted: {wanted}",
            )
        _require_one_each(schema.names, {*columns, *KEY_NAMES})
        counts = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        starts = tuple(int(x) for x in np.cumsum([0, *counts])[:-1])
        rows = {name: row for row, name in enumerate(_names(file, metadata.num_rows))}
    return _Index(columns, bool(_POSE_NAMES & set(columns)), starts, rows)


def _require_one_each(names: list[str], used: set[str]) -> None:
    """Refuse columns of one name: which of them is the clip's?"""
    twice = [name for name, times in Counter(names).items() if times > 1 and name in used]
    if twice:
        raise MotionError(
            Status.UNREADABLE, f"several columns are called {listed(twice)}; one was wanted"
        )


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except MotionError:
        raise
    except _DAMAGE as error:
        text = " ".join(str(error).split())[:200]
        raise MotionError(Status.UNREADABLE, f"a damaged Parquet file ({text})") from error


def _motion_columns(schema: pa.Schema) -> tuple[str, ...]:
    """What of a row makes a clip: its arrays, or the one column with its file; else nothing."""
    if _POSE_NAMES & set(schema.names):
        return tuple(name for name in schema.names if name in KNOWN_NAMES)
    files = [field.name for field in schema if _is_bytes(field.type)]
    named = [name for name in _FILE_NAMES if name in files]
    return tuple(named[:1] if named else files if len(files) == 1 else ())


def _is_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _is_bytes(kind.field(place).type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _names(file: pq.ParquetFile, n_rows: int) -> list[str]:
    """A name for each row, each its own."""
    column = next((name for name in KEY_NAMES if name in file.schema_arrow.names), None)
    if column is None:
        return each_its_own([""] * n_rows)
    values = file.read([column])[column].to_pylist()
    return each_its_own([name_in_shard("" if x is None else str(x)) for x in values])


@lru_cache(maxsize=2)
def _row_group(path: Path, size: int, changed: int, group: int) -> pa.Table:
    columns = list(_index(path, size, changed).columns)
    with _opened(path) as file:
        taken = _unpacked_bytes(file.metadata.row_group(group), columns)
        if taken > MAX_GROUP_BYTES:
            raise MotionError(
                Status.UNREADABLE,
                f"its row group {group} unpacks to {taken / 1e6:.0f} MB, at most "
                f"{MAX_GROUP_BYTES / 1e6:.0f} MB were wanted: write fewer rows a group",
            )
        return file.read_row_group(group, columns)


def _unpacked_bytes(group: pq.RowGroupMetaData, columns: list[str]) -> int:
    chunks = (group.column(k) for k in range(group.num_columns))
    wanted = (c for c in chunks if c.path_in_schema.split(".")[0] in columns)
    return sum(max(c.total_uncompressed_size, 8 * c.num_values) for c in wanted)


def _file_of(row: dict[str, pa.Scalar]) -> bytes:
    (value,) = (x.as_py() for x in row.values())
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        raise MotionError(Status.MISSING, f"{next(iter(row))} is empty in this row")
    return data


def _numbers(field: str, scalar: pa.Scalar) -> np.ndarray:
    """Nested lists as an array."""
    if isinstance(scalar, pa.ExtensionScalar):
        scalar = scalar.value
    found = scalar.type
    is_row = _is_list(found)
    values = scalar.values if is_row else pa.array([scalar])
    shape = [len(values)] if is_row else []
    while _is_list(values.type):
        lengths = pc.unique(pc.list_value_length(values)).to_pylist() or [0]
        if len(lengths) > 1 or lengths[0] is None:
            raise MotionError(Status.BAD_SHAPE, f"{field} has rows of several lengths")
        values, shape = values.flatten(), [*shape, lengths[0]]
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise MotionError(
            Status.BAD_SHAPE, f"{field} is of {found}, nested lists of numbers were wanted"
        )
    return values.to_numpy(zero_copy_only=False).reshape(shape)


def _is_list(kind: pa.DataType) -> bool:
    is_long = pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return is_long or pa.types.is_list(kind)
