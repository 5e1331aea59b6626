"""A table in parts: each is written whole or not at all, and says what it was scored with."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from phymotion_jax.errors import OutputError, UsageError
from phymotion_jax.table import Row

CLIPS_PER_PART = 4096
"""Clips of one part, the unit that is done again after an interruption."""

Settings = dict[str, str | int | float | bool | None]
"""All that rows depend on, by name."""

Shard = tuple[int, int]
"""A run's number, from 0, and how many there are."""

_KEY = b"phymotion_jax"


@dataclass(frozen=True)
class Plan:
    """Which clips stand in which part, and which parts are this run's."""

    paths: Sequence[Path]
    clips_per_part: int = CLIPS_PER_PART
    shard: Shard = (0, 1)
    """This run's."""

    @property
    def parts(self) -> range:
        """Parts of this run: every n-th, so that all runs have long and short clips."""
        number, of = self.shard
        return range(number, -(-len(self.paths) // self.clips_per_part), of)

    def clips(self, part: int) -> Sequence[Path]:
        """Clips of a part, in order."""
        start = part * self.clips_per_part
        return self.paths[start : start + self.clips_per_part]


def part_path(folder: Path, part: int) -> Path:
    """Where a part stands, once it is there."""
    return folder / f"part-{part:05d}.parquet"


def write_part(
    path: Path, rows: Sequence[Row], schema: pa.Schema, settings: Settings, shard: Shard
) -> None:
    """Write a part under another name first: it has its own once it is on the disk.

    No other process has that name, on whichever host, so that two that write one part do not mix.

    Raises:
      OutputError: where it cannot be written, a full disk say; nothing is left of it.
    """
    unfinished = path.with_name(f".{path.name}.{_mark(shard)}.{uuid4().hex}")
    schema = with_settings(schema, settings)
    try:
        with unfinished.open("wb") as file:
            pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def with_settings(schema: pa.Schema, settings: Settings) -> pa.Schema:
    """The schema of a table that says what it was scored with, where its format can."""
    return schema.with_metadata({_KEY: json.dumps(settings).encode()})


def remove_unfinished(folder: Path, shard: Shard) -> None:
    """Remove what runs of this shard have left; none of them may be at work."""
    for path in folder.glob(f".part-*.parquet.{_mark(shard)}.*"):
        path.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> OutputError:
    """What to say of it."""
    return OutputError(
        f"cannot write {path}: {error.strerror or error}; the parts before it are kept, and the "
        "same command goes on after them"
    )


_NOT_GIVEN = {
    **dict.fromkeys(("fps", "up", "mass_kg"), "the files' own"),
    "floor": "each clip's own",
    "self_penetration": "the preset's own",
    "surface": "the mannequin's",
}
"""What an option that is None stands for."""


def require_same(folder: Path, found: Settings, wanted: Settings) -> None:
    """Refuse to go on with other settings than a folder was begun with.

    Raises:
      UsageError: names the first that differs, what was found and what was wanted.
    """
    for name in dict.fromkeys((*wanted, *found)):
        if found.get(name) != wanted.get(name):
            raise UsageError(
                f"{folder} holds scores {_difference(name, found, wanted)}; "
                "give another folder with -o, or empty this one"
            )


def _difference(name: str, found: Settings, wanted: Settings) -> str:
    """What was found and what was wanted, in words where a value says nothing."""
    if name in ("clips", "listing"):
        counts = (each.get("clips", "an unknown number") for each in (found, wanted))
        return "of another list of files, {} then and {} now".format(*counts)
    none = _NOT_GIVEN.get(name, "none")
    was, now = (none if each.get(name) is None else each[name] for each in (found, wanted))
    return f"with {name} {was}, now it is {now}"


def finished_parts(folder: Path, plan: Plan, settings: Settings) -> set[int]:
    """Parts of the plan that are there, whoever wrote them.

    Raises:
      UsageError: where one was written with other settings.
    """
    done = {part for part in plan.parts if part_path(folder, part).exists()}
    for part in done:
        require_same(folder, settings_of(part_path(folder, part)), settings)
    return done


def settings_of(path: Path) -> Settings:
    """What a part was scored with."""
    with _no_part(path):
        metadata = pq.read_schema(path).metadata or {}
        return json.loads(metadata[_KEY])


def read_part(path: Path, columns: Sequence[str]) -> list[Row]:
    """Some columns of a part that is there.

    Raises:
      UsageError: where it cannot be read.
    """
    with _no_part(path):
        return pq.read_table(path, columns=list(columns)).to_pylist()


@contextmanager
def _no_part(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} is no part of such a table; remove it, or give another folder"
        ) from error


def _mark(shard: Shard) -> str:
    return f"{shard[0]}-of-{shard[1]}"


def _sync_folder(folder: Path) -> None:
    """So that a name outlives a loss of power as the bytes do."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
