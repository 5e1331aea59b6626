"""Clips in tar files, as WebDataset lays them out: read where they lie, nothing is unpacked."""

import io
import tarfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.raw import listed
from phymotion_jax.io.shards import (
    cannot_be_opened,
    compression_of,
    each_its_own,
    name_in_shard,
    several_called,
    version_of,
)

MAX_FILE_BYTES = 512 * 2**20
"""Of a motion file, which is held whole: beside the clip, whose arrays `archive.MAX_MEMBER_BYTES`
bounds, there may be AMASS's markers or all that GVHMR's network gave."""

_MAX_HEADER_BYTES = 2**20
"""Of a member's header, names and other records included; they take a few kB."""

_Place = tuple[int, int] | str
"""Where a member's bytes begin and how many they are; or why they are not read."""


def tar_members(path: Path) -> tuple[list[str], str]:
    """Names of its members, folders left out, in order; and what is wrong with the file, if
    anything is: then these are the members before that.

    Members of one name, as ``tar --append`` leaves them, have their numbers for folders:
    ``00000003/name``.
    """
    places, damage = _index(path, *version_of(path))
    return list(places), damage


def tar_itself(path: Path) -> MotionError:
    """Why a tar file itself cannot be loaded."""
    names, damage = tar_members(path)
    many = f"a tar file of {len(names)} members; one clip was wanted, as {path.name}/name"
    return MotionError(Status.UNREADABLE, damage or many)


def read_from_tar(path: Path, name: str) -> bytes:
    """Bytes of one member.

    Raises:
      MotionError: where there is no such member, or its bytes are not all there.
    """
    places, damage = _index(path, *version_of(path))
    if name not in places:
        raise _missing(name, places, damage)
    place = places[name]
    if isinstance(place, str):
        raise MotionError(Status.UNREADABLE, place)
    return _bytes_at(path, *place)


def _missing(name: str, places: dict[str, _Place], damage: str) -> MotionError:
    if damage:
        return MotionError(Status.UNREADABLE, damage)
    if several := several_called(name, places):
        return MotionError(Status.MISSING, f"several members are called so: {listed(several)}")
    return MotionError(Status.MISSING, "there is no such member in the tar file")


def _bytes_at(path: Path, start: int, size: int) -> bytes:
    if size > MAX_FILE_BYTES:
        limit = f"at most {MAX_FILE_BYTES / 1e6:.0f} MB were wanted"
        raise MotionError(Status.UNREADABLE, f"it has {size / 1e6:.0f} MB, {limit}")
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size)
    except OSError as error:
        raise MotionError(Status.UNREADABLE, cannot_be_opened(error)) from error
    if len(data) != size:
        raise MotionError(Status.UNREADABLE, f"it ends after {len(data)} of {size} bytes")
    return data


@lru_cache(maxsize=64)
def _index(path: Path, size: int, changed: int) -> tuple[dict[str, _Place], str]:
    """Places of the members, and what is wrong with the file."""
    del size, changed
    names: list[str] = []
    places: list[_Place] = []
    damage = ""
    try:
        with _Headers(path) as file:
            damage = compression_of(file.read(8))
            for member in () if damage else _members(file):
                names.append(name_in_shard(member.name))
                places.append(_place_of(member))
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        damage = f"a damaged tar file ({' '.join(ascii(str(error))[1:-1].split())[:100]})"
    except OSError as error:
        damage = cannot_be_opened(error)
    return dict(zip(each_its_own(names), places, strict=True)), damage


class _Headers(io.FileIO):
    """A file of which headers alone are read: a size in one that lies reads neither all of a long
    file (negative sizes) nor asks for memory that is not there."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size) or b""


def _members(file: _Headers) -> Iterator[tarfile.TarInfo]:
    """All but folders.

    Raises:
      ReadError: at damage, of which `tarfile` passes over the most: there it stops, as at the end.
    """
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        at = -1
        for member in tar:
            if member.size < 0 or member.offset <= at:  # would be read for ever
                raise tarfile.ReadError(f"a member of {member.size} bytes")
            at = member.offset
            if not member.isdir():
                yield member
        file.seek(tar.offset)
        rest = file.read(_MAX_HEADER_BYTES)
    if len(rest) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError(f"cut at byte {tar.offset + len(rest)}: it lacks its end")
    if rest.strip(b"\0"):
        raise tarfile.ReadError(f"from byte {tar.offset} on neither members nor an end")


def _place_of(member: tarfile.TarInfo) -> _Place:
    if member.issparse():
        return "it is stored with holes; tar without --sparse was wanted"
    if not member.isreg():
        return "it is a link or a device, a motion file was wanted"
    return member.offset_data, member.size
