"""One run of a shard at a time, and nothing left of those that were killed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from phymotion_jax.dataset.parts import Shard, remove_unfinished
from phymotion_jax.dataset.state import state_folder
from phymotion_jax.errors import OutputError, UsageError

try:
    fcntl: Any = import_module("fcntl")
except ImportError:  # Windows has other locks
    fcntl = None


@contextmanager
def sole_run(folder: Path, shard: Shard) -> Iterator[None]:
    """Make a folder, keep other runs of the same shard out, and remove what killed ones left.

    The system forgets the lock with the process, whatever ends it. On a disk, or a system, that
    knows no such locks two runs may do the same work; their parts are the same, each written whole,
    and what a killed one has left stays there, since it might be the other's.

    Raises:
      UsageError: another run is at work on this shard.
      OutputError: where there can be no such folder.
    """
    home = state_folder(folder, shard)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        file = home.with_suffix(".lock").open("wb")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    with file:
        if _locked(file, folder, shard):
            remove_unfinished(folder, shard)
        yield


def _locked(file: BinaryIO, folder: Path, shard: Shard) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        number, of = shard
        raise UsageError(
            f"another run fills shard {number}/{of} of {folder}; wait for its end, or give another "
            "--shard or folder"
        ) from None
    except OSError:
        return False
    return True
