"""Reads files made by `torch.save` without PyTorch, and without executing anything in them.

Such a file is a zip with a pickle, `data.pkl`, that describes tensors, and one member a storage
with the numbers. Nothing but that pickle is read until a tensor is asked for.
"""

import math
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.archive import MAX_MEMBER_BYTES, read_member
from phymotion_jax.io.pickled import MAX_PICKLE_BYTES, Name, damaged, read_pickle

_STORAGES = {
    Name("torch", f"{kind}Storage"): dtype
    for kind, dtype in {
        "Float": "f4",
        "Double": "f8",
        "Half": "f2",
        "BFloat16": "bf16",
        "Long": "i8",
        "Int": "i4",
        "Short": "i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "b1",
    }.items()
}
_MAX_AXES = 8


@dataclass(frozen=True)
class _Storage:
    """A member with numbers in it."""

    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class Tensor:
    """A tensor as the pickle describes it: a view of a storage, counted in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def is_torch_zip(archive: zipfile.ZipFile) -> bool:
    """Whether an archive is laid out as `torch.save` does it."""
    return len(_pickles(archive)) == 1


class TorchZip:
    """An open file of `torch.save`: its objects, and its tensors where asked for."""

    def __init__(self, archive: zipfile.ZipFile):
        """Read the pickle; refuse it if it holds anything but plain data and tensors."""
        self._archive = archive
        name = _pickles(archive)[0]
        self._folder = name.removesuffix("data.pkl")
        self.root = read_pickle(
            read_member(archive, name, MAX_PICKLE_BYTES),
            tokens=frozenset(_STORAGES),
            makers={
                Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
                Name("torch._utils", "_rebuild_parameter"): _parameter,
            },
            persistent=_storage,
        )

    def array(self, field: str, tensor: Tensor) -> np.ndarray:
        """The numbers of a tensor, copied. Raises where it reaches beyond its storage."""
        flat = self._numbers(field, tensor.storage)
        _require_inside(field, tensor, flat)
        if 0 in tensor.shape:
            view = np.zeros(tensor.shape, flat.dtype)
        else:
            # The stride of an axis of one element is never used, and may be anything.
            axes = zip(tensor.shape, tensor.strides, strict=True)
            strides = [stride * flat.itemsize if n > 1 else 0 for n, stride in axes]
            # Not `as_strided`: this checks the bounds once more.
            start = tensor.offset * flat.itemsize
            view = np.ndarray(tensor.shape, flat.dtype, flat.data, start, strides)
        return _widen(view) if tensor.storage.dtype == "bf16" else view.copy()

    def _numbers(self, field: str, storage: _Storage) -> np.ndarray:
        name = f"{self._folder}data/{storage.key}"
        if name not in self._archive.namelist():
            raise MotionError(Status.UNREADABLE, f"{field} has no data in the file")
        data = read_member(self._archive, name)
        order = ">" if self._big_endian() else "<"
        dtype = np.dtype(order + ("u2" if storage.dtype == "bf16" else storage.dtype))
        if len(data) != storage.length * dtype.itemsize:
            raise MotionError(
                Status.UNREADABLE,
                f"{field} has {len(data)} bytes of data where {storage.length} elements of "
                f"{storage.dtype} were announced",
            )
        return np.frombuffer(data, dtype)

    def _big_endian(self) -> bool:
        name = f"{self._folder}byteorder"
        if name not in self._archive.namelist():
            return False  # PyTorch before 2.1 wrote none, on little-endian machines
        order = read_member(self._archive, name, limit=16).strip()
        if order not in (b"little", b"big"):
            raise MotionError(Status.UNREADABLE, f"a byte order of {order!r}")
        return order == b"big"


def _pickles(archive: zipfile.ZipFile) -> list[str]:
    """Names of the pickle: one folder deep, under the file's name when it was saved."""
    return [
        name
        for name in archive.namelist()
        if name.count("/") == 1 and name.endswith("/data.pkl") and len(name) > len("/data.pkl")
    ]


def _tensor(arguments: tuple) -> Tensor:
    """`_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, ...)`."""
    if len(arguments) < 4 or type(arguments[0]) is not _Storage:
        raise damaged("a tensor without storage")
    storage, offset, shape, strides = arguments[:4]
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
        raise damaged("a tensor without shape")
    if len(shape) > _MAX_AXES or not all(_is_count(n) for n in (offset, *shape, *strides)):
        raise damaged("a tensor with an offset, shape or stride that is none")
    return Tensor(storage, offset, shape, strides)


def _parameter(arguments: tuple) -> Tensor:
    """`_rebuild_parameter(data, requires_grad, hooks)`."""
    if not arguments or type(arguments[0]) is not Tensor:
        raise damaged("a parameter without tensor")
    return arguments[0]


def _storage(identity: Any) -> _Storage:
    """`("storage", type, key, location, length)`."""
    if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
        raise damaged("a persistent id that is no storage")
    _, kind, key, _, length = identity
    if type(kind) is not Name or kind not in _STORAGES or type(key) is not str:
        raise damaged("a storage without type or key")
    if not _is_count(length):
        raise damaged("a storage without length")
    return _Storage(key, _STORAGES[kind], length)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _require_inside(field: str, tensor: Tensor, flat: np.ndarray) -> None:
    """A stride of 0 (`Tensor.expand`) is fine, as long as the copy stays small."""
    # Empty tensors are held to the limit too: numpy cannot make every empty shape.
    size = math.prod(max(n, 1) for n in tensor.shape) * flat.itemsize
    if size > MAX_MEMBER_BYTES:
        raise MotionError(
            Status.UNREADABLE,
            f"{field} would take more than {MAX_MEMBER_BYTES / 1e6:.0f} MB",
        )
    axes = zip(tensor.shape, tensor.strides, strict=True)
    last = tensor.offset + sum((n - 1) * stride for n, stride in axes)
    if 0 not in tensor.shape and last >= len(flat):
        raise MotionError(
            Status.UNREADABLE, f"{field} reaches to element {last} of {len(flat)} in its data"
        )


def _widen(bfloat16: np.ndarray) -> np.ndarray:
    """The upper halves of float32 numbers, made whole."""
    return (bfloat16.astype(np.uint32) << 16).view(np.float32)
