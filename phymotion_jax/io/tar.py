"""Clips in tar files, as WebDataset lays them out: read where they lie, nothing is unpacked."""

import os
import tarfile
from functools import lru_cache
from pathlib import Path

from phymotion_jax.errors import MotionError, Status

SUFFIX = ".tar"

MAX_MEMBER_BYTES = 512 * 2**20
"""The longest clip that can be scored takes 43 MB in float64."""

_Place = tuple[int, int] | None
"""Where a member's bytes begin and how many they are; None for a link or a device."""


def is_tar(path: Path) -> bool:
    """Whether it is called a tar file, and is a file."""
    return path.suffix.lower() == SUFFIX and path.is_file()


def tar_members(path: Path) -> list[str]:
    """Names of its members, folders left out, in order.

    Raises:
      MotionError: where it is no tar file, or ends before its end.
    """
    places, damage = _index(path, *_version(path))
    if damage:
        raise MotionError(Status.UNREADABLE, damage)
    return list(places)


def read_from_tar(path: Path) -> bytes | None:
    """Bytes of ``shard.tar/name``; None where no part of the path is a tar file.

    Raises:
      MotionError: where there is no such member, or its bytes are not all there.
    """
    folders = [p for p in path.parents if p.suffix.lower() == SUFFIX]
    tar = next((p for p in folders if p.is_file()), None)
    if tar is None:
        return None
    name = path.relative_to(tar).as_posix()
    places, damage = _index(tar, *_version(tar))
    if name not in places:
        raise MotionError(Status.MISSING, damage or "there is no such member in the tar file")
    place = places[name]
    if place is None:
        raise MotionError(Status.UNREADABLE, "it is a link or a device, a motion file was wanted")
    start, size = place
    if size > MAX_MEMBER_BYTES:
        limit = f"at most {MAX_MEMBER_BYTES / 1e6:.0f} MB were wanted"
        raise MotionError(Status.UNREADABLE, f"it has {size / 1e6:.0f} MB, {limit}")
    with tar.open("rb") as file:
        file.seek(start)
        data = file.read(size)
    if len(data) != size:
        raise MotionError(Status.UNREADABLE, f"it ends after {len(data)} of {size} bytes")
    return data


def _version(path: Path) -> tuple[int, int]:
    """Changes when the file does, so that no index outlives it."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _index(path: Path, size: int, changed: int) -> tuple[dict[str, _Place], str]:
    """Places of the members, and what is wrong with the file."""
    del size, changed
    places: dict[str, _Place] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.isdir():
                    place = (member.offset_data, member.size) if member.isreg() else None
                    places[os.path.normpath(member.name).lstrip("/")] = place
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        return places, f"a damaged or compressed tar file ({error}); a plain one was wanted"
    return places, ""
