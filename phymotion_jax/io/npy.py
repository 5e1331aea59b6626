"""One array of a `.npz`, from bytes: numbers only, and its size checked before anything is made.

The header is matched, not evaluated as numpy does: no warning about files written by Python 2 (old
AMASS), no recursion on hostile brackets, and no pickle anywhere near.
"""

import math
import re

import numpy as np

from phymotion_jax.errors import MotionError, Status

_MAGIC = b"\x93NUMPY"
_DESCR = re.compile(r"'descr':\s*(?:'([^']*)'|\[)")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([^()]*)\)")
_NUMBER_TYPE = re.compile(r"[<>|=]?(?:f[248]|[iu][1248]|b1)")
_DIMENSION = re.compile(r"\s*\d{1,18}L?\s*")  # Python 2 wrote 100L


def parse_npy(field: str, data: bytes) -> np.ndarray:
    """The array in the bytes of a `.npy` file, read-only.

    Args:
      field: what messages call it.
      data: the whole file.

    Raises:
      MotionError: UNSAFE for arrays of Python objects, which are pickles; BAD_SHAPE for strings and
        other things that are not numbers; UNREADABLE for anything damaged.
    """
    header, start = _header(field, data)
    dtype = _dtype(field, header)
    shape = _shape(field, header)
    order = _ORDER.search(header)
    if order is None:
        raise _damaged(field, "no fortran_order in its header")
    wanted = math.prod(shape) * dtype.itemsize
    if len(data) - start != wanted:
        raise _damaged(field, f"{len(data) - start} bytes where {shape} {dtype} takes {wanted}")
    array = np.frombuffer(data, dtype, offset=start) if wanted else np.zeros(0, dtype)
    try:
        return array.reshape(shape, order="F" if order[1] == "True" else "C")
    except ValueError as error:  # (0, 10**18, 10**18) is empty, and yet too large for numpy
        raise _damaged(field, str(error)) from error


def _header(field: str, data: bytes) -> tuple[str, int]:
    start = 10 if data[6:7] == b"\x01" else 12  # versions 2 and 3 have four bytes of length
    end = start + int.from_bytes(data[8:start], "little")
    if data[:6] != _MAGIC or data[6:7] not in (b"\x01", b"\x02", b"\x03") or end > len(data):
        raise _damaged(field, "no .npy header")
    return data[start:end].decode("latin-1"), end


def _dtype(field: str, header: str) -> np.dtype:
    descr = _DESCR.search(header)
    if descr is None:
        raise _damaged(field, "no type in its header")
    if "O" in (descr[1] or ""):
        raise MotionError(
            Status.UNSAFE, f"{field} holds pickled objects, numbers were wanted; not executed"
        )
    if descr[1] is None or not _NUMBER_TYPE.fullmatch(descr[1]):
        found = ascii(descr[1] or "records")[:40]
        raise MotionError(Status.BAD_SHAPE, f"{field} holds {found}, numbers were wanted")
    return np.dtype(descr[1])


def _shape(field: str, header: str) -> tuple[int, ...]:
    shape = _SHAPE.search(header)
    if shape is None:
        raise _damaged(field, "no shape in its header")
    parts = [part for part in shape[1].split(",") if part.strip()]
    if len(parts) > 4 or not all(_DIMENSION.fullmatch(part) for part in parts):
        raise _damaged(field, f"a shape of ({shape[1][:40]!a})")
    return tuple(int(part.strip().rstrip("L")) for part in parts)


def _damaged(field: str, found: str) -> MotionError:
    return MotionError(Status.UNREADABLE, f"{field} is damaged: {found}")
