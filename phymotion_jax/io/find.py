"""Finds the files in folders that may be motions."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from phymotion_jax.errors import MotionError
from phymotion_jax.io.archive import ZIP_MAGICS
from phymotion_jax.io.parquet import holds_motion, parquet_rows
from phymotion_jax.io.shards import PARQUET, TAR, is_parquet, is_tar, split_shard
from phymotion_jax.io.tar import tar_members

_SUFFIXES = (".npz", ".pt", ".pth", ".pkl")
_TARS = (TAR, ".tar.gz", ".tgz")
"""The last two are not read, and are told of: WebDataset's shards may be compressed."""

AnyPath = str | os.PathLike[str]


def find_motion_files(paths: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """The files named, and those in the folders named, each path once and in a fixed order.

    What is named stays, whatever it is called and whether or not it exists. Folders are searched to
    the bottom, through links but into no folder twice; hidden names are left out. Files that are
    links are files of their own, also where several lead to one target. A file in folders
    is taken if it begins like a zip archive, or if its name ends in .npz, .pt, .pth or .pkl, so
    that a damaged or hostile one among the motions is reported instead of passed over. A folder
    that cannot be read stands in the list itself, so that it is reported too.

    Of tar files, named or found by their ending .tar, the members with those endings are listed, as
    ``shard.tar/name``; of Parquet files every row, as ``shard.parquet/key``. One that is damaged
    or compressed stands in the list itself, after the members before the damage. In folders,
    Parquet files whose rows are no clips, as tables of scores, are passed over.
    """
    found: dict[tuple[str, str], Path] = {}
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    for path in map(Path, given):
        for file in sorted(_search(path)) if os.path.isdir(path) else [path]:
            shard, inside = split_shard(file) or (file, "")
            place = os.path.abspath(shard)
            for name in [inside] if inside else _names(shard):
                # Not by the path of all: ``../a.npz`` would be the file beside the shard.
                found.setdefault((place, name), shard / name)
    return list(found.values())


def _names(file: Path) -> list[str]:
    """Names of what a shard holds; no name, "", is the file itself: an ordinary or damaged one."""
    try:
        if is_tar(file):
            names, damage = tar_members(file)
            clips = [name for name in names if name.lower().endswith(_SUFFIXES)]
            return [*clips, ""] if damage else clips
        if is_parquet(file):
            return parquet_rows(file)
    except MotionError:
        pass
    return [""]


def _search(top: Path) -> Iterator[Path]:
    entered = set(map(os.fspath, Path(os.path.realpath(top)).parents))  # a link to one is a loop
    closed: list[Path] = []

    def note(error: OSError) -> None:
        closed.append(Path(error.filename))

    for folder, subfolders, files in os.walk(top, onerror=note, followlinks=True):
        real = os.path.realpath(folder)
        if real in entered:
            subfolders.clear()
            continue
        entered.add(real)
        # In place: `os.walk` goes on with what is left here, in this order.
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        candidates = (Path(folder, name) for name in files if not name.startswith("."))
        yield from filter(_may_be_motion, candidates)
    yield from closed


def _may_be_motion(path: Path) -> bool:
    if path.name.lower().endswith((*_SUFFIXES, *_TARS)):
        return True
    if path.suffix.lower() == PARQUET:
        return is_parquet(path) and holds_motion(path)
    try:
        if not path.is_file():  # a pipe would block for ever
            return False
        with path.open("rb") as file:
            return file.read(4).startswith(ZIP_MAGICS)
    except OSError:
        return False
