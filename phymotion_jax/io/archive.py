"""Zip archives from anywhere: members are read whole, after what they declare has been checked."""

import struct
import zipfile
import zlib
from os import PathLike
from typing import BinaryIO

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.raw import listed

MAX_MEMBER_BYTES = 128 * 2**20
"""Unpacked size that no array of a clip needs: 165 columns of float64 for the longest clip that can
be scored (32768 frames) are 43 MB. A deflated bomb grows a thousandfold, so that the size of the
file itself bounds nothing."""

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins: with its first member, or, where it has none, with its directory."""

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,  # a zip version or a flag that zipfile does not know
    OSError,  # a seek to before the file, and real trouble with the disk
    OverflowError,
    ValueError,  # names that do not decode, seeks beyond what a file can have
    UserWarning,  # an odd extra field, where warnings are errors
)
"""All that `zipfile` has been seen to raise on damaged archives."""


def open_zip(path: str | PathLike[str] | BinaryIO) -> zipfile.ZipFile:
    """Open an archive; close it with ``with``."""
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise MotionError(Status.UNREADABLE, f"a damaged zip archive ({error})") from error


def read_member(archive: zipfile.ZipFile, name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
    """All bytes of one member, its checksum verified; at most `limit` of them are ever held."""
    info = archive.getinfo(name)
    shown = listed([name])
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # bzip2 and lzma members may ask for gigabytes of working memory; no tool writes them here.
        raise MotionError(Status.UNREADABLE, f"{shown} is neither stored nor deflated")
    if info.flag_bits & 1:
        raise MotionError(Status.UNREADABLE, f"{shown} is encrypted")
    if info.file_size > limit:
        raise MotionError(
            Status.UNREADABLE,
            f"{shown} unpacks to {info.file_size / 1e6:.1f} MB, "
            f"at most {limit / 1e6:.1f} MB were wanted",
        )
    try:
        with archive.open(info) as stream:
            data = stream.read(info.file_size)
    except _DAMAGE as error:
        raise MotionError(Status.UNREADABLE, f"{shown} is damaged ({error})") from error
    if len(data) != info.file_size:
        raise MotionError(
            Status.UNREADABLE, f"{shown} ends after {len(data)} of {info.file_size} bytes"
        )
    return data
