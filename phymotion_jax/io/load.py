"""Loads one motion from a file of any known kind."""

import io
import os
import stat
from pathlib import Path

import numpy as np

from phymotion_jax.errors import MotionError, Status, UnknownNameError
from phymotion_jax.io.archive import ZIP_MAGICS, open_zip
from phymotion_jax.io.arrays import FPS_NAMES, read_arrays
from phymotion_jax.io.gvhmr import read_gvhmr
from phymotion_jax.io.npz import Npz, is_npz
from phymotion_jax.io.parquet import ParquetRow, parquet_itself, read_from_parquet
from phymotion_jax.io.raw import KNOWN_KINDS, RawClip, listed
from phymotion_jax.io.shards import (
    cannot_be_opened,
    compression_of,
    is_parquet,
    is_tar,
    split_shard,
)
from phymotion_jax.io.tar import read_from_tar, tar_itself
from phymotion_jax.io.torch_zip import is_torch_zip
from phymotion_jax.motion import Motion
from phymotion_jax.world import UP_AXES, UpAxis

_OLD_TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""torch.serialization's MAGIC_NUMBER as a pickle of protocol 2."""
_PICKLE_PROTOCOLS = range(2, 6)


def load_motion(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    up: UpAxis | None = None,
    mass_kg: float | None = None,
) -> Motion:
    """Load one clip; its kind is told by what is in the file, not by the name.

    It may be an AMASS or SMPL-X `.npz` (z up), the `gvhmr` package's `.npz` or GVHMR's
    `hmr4d_results.pt` (both y up), or a row of a Parquet file with the same arrays. Nothing in it
    is executed: pickles are read as plain data, without PyTorch.

    Args:
      path: the file; or a member of a tar file, as ``shard.tar/name``; or a row of a Parquet file,
        as ``shard.parquet/key``, or with the row's number in eight digits where it has no key, and
        with both, ``shard.parquet/00000003/key``, where several have it.
      fps: frames a second, instead of what the file says.
      up: the file's vertical axis, instead of what its kind has.
      mass_kg: whole-body mass, instead of what the file says.

    Raises:
      MotionError: with the `Status` that a table shows. The message begins with the path; `reason`
        is the same line without it.
      UnknownNameError: if `up` is no axis.
    """
    if up is not None and up not in UP_AXES:
        raise UnknownNameError("up axis", up, UP_AXES)
    path = Path(path)
    try:
        raw = _read(path, need_fps=fps is None, need_mass=mass_kg is None)
        return _motion(raw, path.stem, fps, up, mass_kg)
    except MotionError as error:
        named = MotionError(error.status, f"{path}: {error.reason}")
        named.reason = error.reason
        raise named from error


def _motion(
    raw: RawClip, name: str, fps: float | None, up: UpAxis | None, mass_kg: float | None
) -> Motion:
    fps = raw.fps if fps is None else fps
    if fps is None:
        raise MotionError(
            Status.FPS_UNKNOWN,
            f"the file does not say its frame rate ({', '.join(FPS_NAMES)}); "
            "pass --fps (in Python fps=)",
        )
    # Damaged files hold numbers that overflow on the way; their values are checked afterwards.
    with np.errstate(all="ignore"):
        return Motion.from_smplx(
            transl=raw.transl,
            global_orient=raw.global_orient,
            body_pose=raw.body_pose,
            betas=raw.betas,
            static_conf=raw.static_conf,
            fps=fps,
            up=up or raw.up,
            mass_kg=raw.mass_kg if mass_kg is None else mass_kg,
            name=name,
            source=raw.source,
        )


def _read(path: Path, *, need_fps: bool, need_mass: bool) -> RawClip:
    found = _inside(path)
    if isinstance(found, ParquetRow):
        return read_arrays(found, kind="parquet", need_fps=need_fps, need_mass=need_mass)
    _require_zip(_first_bytes(path) if found is None else found[: len(_OLD_TORCH_MAGIC)])
    with open_zip(path if found is None else io.BytesIO(found)) as archive:
        if is_torch_zip(archive):
            return read_gvhmr(archive)
        if is_npz(archive):
            return read_arrays(Npz(archive), kind="npz", need_fps=need_fps, need_mass=need_mass)
        members = listed(archive.namelist())
        raise MotionError(Status.UNREADABLE, f"a zip archive of {members}; {KNOWN_KINDS}")


def _inside(path: Path) -> ParquetRow | bytes | None:
    """The row or the member that a path leads to; None where it is a file by itself."""
    shard = split_shard(path)
    if shard:
        return read_from_tar(*shard) if is_tar(shard[0]) else read_from_parquet(*shard)
    if is_parquet(path):
        raise parquet_itself(path)
    if is_tar(path) and not _first_bytes(path).startswith(ZIP_MAGICS):
        raise tar_itself(path)
    return None


def _first_bytes(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # a pipe would block for ever
            with path.open("rb") as file:
                return file.read(len(_OLD_TORCH_MAGIC))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # a NUL in the path
        raise MotionError(Status.MISSING, "there is no such file") from error
    except OSError as error:
        raise MotionError(Status.UNREADABLE, cannot_be_opened(error)) from error
    if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
        raise MotionError(Status.UNREADABLE, "it is a folder that may not be read")
    what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
    raise MotionError(Status.UNREADABLE, f"it is {what}, a motion file was wanted")


def _require_zip(head: bytes) -> None:
    if head.startswith(ZIP_MAGICS):
        return
    if compressed := compression_of(head):
        raise MotionError(Status.UNREADABLE, compressed)
    if head == _OLD_TORCH_MAGIC:
        raise MotionError(
            Status.UNREADABLE,
            "a torch file in the format before PyTorch 1.6, a bare pickle that was not executed; "
            "if you trust it, load it with PyTorch and torch.save it again",
        )
    if head[:1] == b"\x80" and head[1:2] and head[1] in _PICKLE_PROTOCOLS:
        raise MotionError(
            Status.UNSAFE,
            "a bare pickle, which can run any code when opened; it was not executed; if you trust "
            "it, save its arrays with numpy.savez",
        )
    found = f"begins with {head[:8]!r}" if head else "is empty"
    raise MotionError(Status.UNREADABLE, f"the file {found}; {KNOWN_KINDS}")
