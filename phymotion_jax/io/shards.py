"""Files of many clips, tar and Parquet: a clip is called by a path that leads into the file."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from phymotion_jax.errors import MotionError, Status

TAR, PARQUET = ".tar", ".parquet"

_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
"""How files begin that some program has compressed as a whole."""


def is_tar(path: Path) -> bool:
    """Whether it is called a tar file, and is a file."""
    return path.suffix.lower() == TAR and os.path.isfile(path)


def is_parquet(path: Path) -> bool:
    """Whether it is called a Parquet file, and is a file."""
    return path.suffix.lower() == PARQUET and os.path.isfile(path)


def split_shard(path: Path) -> tuple[Path, str] | None:
    """The tar or Parquet file that a path leads into, and the rest; None where it is an ordinary
    path. What does not exist, or cannot, as names that are too long, is ordinary too."""
    shard = next((p for p in path.parents if is_tar(p) or is_parquet(p)), None)
    return None if shard is None else (shard, path.relative_to(shard).as_posix())


def name_in_shard(name: str) -> str:
    """A member's name, or a row's key, as the rest of a path. Nothing is ever unpacked, so that
    ``..`` in it leads nowhere and may stay."""
    return os.path.normpath(name.replace("\0", "")).lstrip("/")


def each_its_own(names: Sequence[str]) -> list[str]:
    """Names of all members, or rows, in order. Those that several bear, or none, have their numbers
    for folders: ``00000003/name``, or ``00000003``."""
    times, named = Counter(names), [name not in ("", ".") for name in names]
    numbered = [f"{k:08d}/{name}" if named[k] else f"{k:08d}" for k, name in enumerate(names)]
    own = [n if named[k] and times[n] == 1 else numbered[k] for k, n in enumerate(names)]
    return own if len(set(own)) == len(own) else numbered


def several_called(name: str, names: Iterable[str]) -> list[str]:
    """Which of them are numbered because several are called so."""
    return [each for each in names if each.partition("/")[2] == name]


def version_of(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that nothing read from it outlives it."""
    try:
        status = path.stat()
    except OSError as error:
        raise MotionError(Status.UNREADABLE, cannot_be_opened(error)) from error
    return status.st_size, status.st_mtime_ns


def cannot_be_opened(error: OSError) -> str:
    """The operating system's reason, in one line."""
    return f"it cannot be opened ({error.strerror or error})"


def compression_of(head: bytes) -> str:
    """What to do about a file that begins so, where it is compressed as a whole; else nothing."""
    by = next((name for magic, name in _COMPRESSED.items() if head.startswith(magic)), "")
    return by and f"the file is compressed by {by}: unpack it; tar files are read as they are"
