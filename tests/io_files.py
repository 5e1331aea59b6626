"""Writes motion files for tests: numpy's, and `torch.save`'s byte by byte, without PyTorch; and
what is said of those that are refused."""

import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from phymotion_jax.errors import MotionError
from phymotion_jax.io import load_motion

N_FRAMES = 6
STORAGES = {
    "f4": "Float",
    "f8": "Double",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "i2": "Short",
    "i1": "Char",
    "u1": "Byte",
    "b1": "Bool",
}


def make_clip(rng, n_frames=N_FRAMES, dtype=np.float32):
    """A walk of small random steps about 0.9 m above the floor, z up, under gvhmr's names."""
    transl = np.cumsum(0.01 * rng.standard_normal((n_frames, 3)), axis=0)
    transl += np.array([0.0, 0.0, 1.2])
    return {
        "transl": transl.astype(dtype),
        "global_orient": (0.3 * rng.standard_normal((n_frames, 3))).astype(dtype),
        "body_pose": (0.2 * rng.standard_normal((n_frames, 63))).astype(dtype),
        "betas": (0.5 * rng.standard_normal(10)).astype(dtype),
    }


def amass(clip, width=156, **fields):
    """The same clip under AMASS's names, hands and face at rest."""
    rest = np.zeros((len(clip["transl"]), width - 66), clip["transl"].dtype)
    poses = np.concatenate([clip["global_orient"], clip["body_pose"], rest], axis=1)
    return {
        "poses": poses,
        "trans": clip["transl"],
        "betas": clip["betas"],
        "mocap_framerate": np.float64(30.0),
        **fields,
    }


def save(path: Path, fields) -> Path:
    """`numpy.savez` under exactly this name; object arrays are pickled, as AMASS does."""
    with path.open("wb") as file:
        np.savez(file, **{name: value for name, value in fields.items() if value is not None})
    return path


def refused(path, **options) -> MotionError:
    """Why a file cannot be loaded: one line that names it."""
    with pytest.raises(MotionError) as caught:
        load_motion(path, **options)
    error = caught.value
    assert str(error) == f"{path}: {error.reason}"
    assert "\n" not in error.reason
    return error


class Raw(bytes):
    """Opcodes to stand in a pickle as they are."""


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def encode(value) -> bytes:
    """Opcodes of plain data; `Raw` bytes stand for themselves."""
    match value:
        case Raw():
            opcodes = value
        case None:
            opcodes = b"N"
        case bool():
            opcodes = b"\x88" if value else b"\x89"
        case int():
            opcodes = integer(value)
        case str():
            opcodes = text(value)
        case tuple():
            opcodes = b"(" + b"".join(map(encode, value)) + b"t"
        case list():
            opcodes = b"](" + b"".join(map(encode, value)) + b"e"
        case dict():
            opcodes = b"}(" + b"".join(encode(x) for pair in value.items() for x in pair) + b"u"
        case _:
            raise TypeError(f"no opcodes for {value!r}")
    return opcodes


def tensor(
    key: str, dtype: str, length, shape, *, strides=None, offset=0, storage=None, parameter=False
) -> Raw:
    """`torch._utils._rebuild_tensor_v2` as `torch.save` writes it."""
    if strides is None:
        strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
    kind = Raw(storage or glob("torch", f"{STORAGES.get(dtype, 'BFloat16')}Storage"))
    identity = encode(("storage", kind, key, "cpu", length)) + b"Q"
    hooks = Raw(glob("collections", "OrderedDict") + b")R")
    arguments = encode((Raw(identity), offset, shape, strides, False, hooks))
    made = glob("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"
    if parameter:
        made = glob("torch._utils", "_rebuild_parameter") + encode((Raw(made), True, hooks)) + b"R"
    return Raw(made)


def save_zip(path: Path, root, members=None, *, byteorder: bytes | None = b"little") -> Path:
    """An archive like `torch.save`'s; `root` is plain data, or the bytes of a whole pickle."""
    data = root if type(root) is bytes else b"\x80\x02" + encode(root) + b"."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        if byteorder is not None:
            archive.writestr("archive/byteorder", byteorder)
        for key, member in (members or {}).items():
            archive.writestr(f"archive/data/{key}", member)
        archive.writestr("archive/version", b"3\n")
    return path


def save_gvhmr(
    path: Path,
    clip,
    *,
    order: Literal["<", ">"] = "<",
    cache: bool = False,
    logits: np.ndarray | None = None,
    network=None,
    **replaced,
) -> Path:
    """A `hmr4d_results.pt`, or a cache of one as the published scorer keeps it.

    `replaced` opcodes or plain values stand in for tensors, and `network` for all that the network
    gave: its `logits` of standing still, if any.
    """
    params, members = {}, {}
    for key, (name, array) in enumerate(clip.items()):
        ordered = array.astype(array.dtype.newbyteorder(order))
        params[name] = tensor(str(key), array.dtype.str[1:], array.size, array.shape)
        members[str(key)] = ordered.tobytes()
    root = {"smpl_params_global": {**params, **replaced}, "K_fullimg": [1, None, True]}
    if logits is not None:
        ordered = logits.astype(logits.dtype.newbyteorder(order))
        made = tensor("logits", logits.dtype.str[1:], logits.size, logits.shape)
        network = {"model_output": {"pred_cam": None}, "static_conf_logits": made}
        members["logits"] = ordered.tobytes()
    if network is not None:
        root["net_outputs"] = network
    root = {"pred": root, "video": "a.mp4"} if cache else root
    return save_zip(path, root, members, byteorder=b"big" if order == ">" else b"little")


class Reduced:
    """An object whose pickle calls `what(*arguments)` when it is opened."""

    def __init__(self, what, *arguments):
        self.call = what, arguments

    def __reduce__(self):
        return self.call


def touching(sentinel: Path) -> dict[str, bytes]:
    """Pickles that write a file when opened, by the ways there are to write one."""
    command = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w').close()"
    system = glob("os", "system")
    reduced = Reduced(os.system, command)
    made = {f"reduce_protocol_{n}": pickle.dumps(reduced, protocol=n) for n in range(6)}
    nested = glob("builtins", "getattr") + encode((Raw(glob("os", "path")), "os"))
    nested = glob("builtins", "getattr") + encode((Raw(nested + b"R"), "system")) + b"R"
    by_hand = {
        "eval": glob("builtins", "eval") + encode((code,)) + b"R",
        "exec": glob("builtins", "exec") + encode((code,)) + b"R",
        "posix": glob("posix", "system") + encode((command,)) + b"R",
        "subprocess": glob("subprocess", "call") + encode((["touch", str(sentinel)],)) + b"R",
        "nested_getattr": nested + encode((command,)) + b"R",
        "stack_global": text("os") + text("system") + b"\x93" + encode((command,)) + b"R",
        "inst": b"(" + text(command) + b"ios\nsystem\n",
        "obj": b"(" + system + text(command) + b"o",
        "newobj": glob("subprocess", "Popen") + b")\x81",
        "build": glob("collections", "OrderedDict") + b")R" + encode({"a": 1}) + b"b",
        "build_on_function": glob("torch._utils", "_rebuild_tensor_v2") + encode({"a": 1}) + b"b",
        "in_a_key": b"}" + system + encode((command,)) + b"R" + b"Ns",
        "in_a_list": b"](" + system + encode((command,)) + b"Re",
        "as_persistent_id": system + encode((command,)) + b"RQ",
        "under_an_old_name": glob("__builtin__", "eval") + encode((code,)) + b"R",
        "extension_code": b"\x82\x01",
        "dotted_torch_name": glob("torch", "serialization.os.system") + encode((command,)) + b"R",
        "ordered_dict_class": glob("collections", "OrderedDict.fromkeys") + encode(("a",)) + b"R",
    }
    return made | {name: b"\x80\x02" + opcodes + b"." for name, opcodes in by_hand.items()}
