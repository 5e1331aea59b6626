"""Files that are damaged, or made to do harm: one line about each, and nothing of them is run."""

import os
import pickle
import warnings
import zipfile
import zlib
from pathlib import Path

import io_files
import numpy as np
import pytest

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io import find_motion_files, load_motion
from phymotion_jax.io.archive import MAX_MEMBER_BYTES
from phymotion_jax.io.pickled import MAX_PICKLE_BYTES

N = io_files.N_FRAMES
N_DAMAGED = 200
"""Damaged copies of each kind of file; 100 times as many were tried once, by hand."""


@pytest.fixture
def clip(rng):
    return io_files.make_clip(rng)


def refused(path, status: Status, reason: str = "") -> None:
    with pytest.raises(MotionError) as caught:
        load_motion(path)
    assert caught.value.status == status, caught.value
    assert reason in caught.value.reason
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in caught.value.reason


KINDS_OF_ATTACK = io_files.touching(Path(os.devnull)).keys()
ATTACKS_THAT_NEED_MORE = {
    "newobj",
    "build",
    "build_on_function",
    "extension_code",
    "dotted_torch_name",
    "ordered_dict_class",
}
"""These find nothing to run in an interpreter without PyTorch; they only use what is forbidden."""


@pytest.mark.parametrize("attack", sorted(KINDS_OF_ATTACK - ATTACKS_THAT_NEED_MORE))
def test_the_attacks_are_real(tmp_path, attack):
    """Python's own reader falls for them, so that the tests below show something."""
    sentinel = tmp_path / "sentinel"
    try:
        pickle.loads(io_files.touching(sentinel)[attack])
    except (TypeError, pickle.UnpicklingError, AttributeError):
        pass  # the harm is done before the pickle turns out to be no good
    assert sentinel.exists()


@pytest.mark.parametrize("attack", KINDS_OF_ATTACK)
@pytest.mark.parametrize("place", ["whole", "value", "bare"])
def test_nothing_is_executed(tmp_path, clip, attack, place):
    sentinel, path = tmp_path / "sentinel", tmp_path / "hmr4d_results.pt"
    data = io_files.touching(sentinel)[attack]
    opcodes = data[2:-1] if data[:1] == b"\x80" else data[:-1]
    status = Status.UNSAFE
    match place:
        case "whole":
            io_files.save_zip(path, data)
        case "value":
            io_files.save_gvhmr(path, clip, body_pose=io_files.Raw(opcodes))
        case "bare":
            path.write_bytes(data)
            status = Status.UNSAFE if data[:1] == b"\x80" else Status.UNREADABLE
    refused(path, status)
    assert not sentinel.exists()


def test_objects_in_npz_are_not_executed(tmp_path, clip):
    sentinel = tmp_path / "sentinel"
    evil = np.array([io_files.Reduced(os.system, f"touch {sentinel}")], dtype=object)
    for field in ("poses", "trans", "betas", "mocap_framerate", "mass_kg"):
        path = io_files.save(tmp_path / "a.npz", io_files.amass(clip) | {field: evil})
        refused(path, Status.UNSAFE, f"{field} holds pickled objects")
    load_motion(io_files.save(path, io_files.amass(clip, gender=evil)))
    assert not sentinel.exists()


def nested(count: int) -> bytes:
    return b")" + b"\x85" * count


STRANGE_PICKLES = {
    "empty": b"",
    "no stop": b"\x80\x02}",
    "nothing on the stack": b"\x80\x02.",
    "unknown opcode": b"\x80\x02\xff.",
    "text of protocol 0": b"I1\n.",
    "string beyond the end": b"X\xff\xff\xff\xffa.",
    "huge string": b"\x8d" + b"\xff" * 8 + b".",
    "string that does not decode": b"X\x01\x00\x00\x00\xff.",
    "name without end": b"ctorch\nFloatStorage",
    "memo without entry": b"h\x07.",
    "mark for a value": b"}((u.",
    "tuple without mark": b"t.",
    "items for a tuple": b")(NNu.",
    "items for a dict": b"}(NNe.",
    "odd items": b"}(Nu.",
    "nested tuples": nested(10**6) + b".",
    "nested tuples as a key": b"}" + nested(10**6 - 100) + b"Ns.",
    "nested dicts": b"}X\x01\x00\x00\x00a" * 10**5 + b"N" + b"s" * 10**5 + b".",
    "doubled tuples as a key": b"})" + b"q\x00h\x00\x86" * 100 + b"Ns.",
    "dict in itself": b"}q\x00X\x01\x00\x00\x00ah\x00s.",
    "dict as a key": b"}}Ns.",
    "longer than any": b"N" * (MAX_PICKLE_BYTES + 1),
    "persistent id of no storage": b"NQ.",
    "tensor of nothing": io_files.glob("torch._utils", "_rebuild_tensor_v2") + b")R.",
    "parameter of nothing": io_files.glob("torch._utils", "_rebuild_parameter") + b")R.",
    "dict with arguments": io_files.glob("collections", "OrderedDict") + b"(NtR.",
    "a class for a value": io_files.glob("torch", "FloatStorage") + b".",
}


@pytest.mark.parametrize("data", STRANGE_PICKLES.values(), ids=STRANGE_PICKLES.keys())
def test_strange_pickles(tmp_path, data):
    refused(io_files.save_zip(tmp_path / "a.pt", data), Status.UNREADABLE)


@pytest.mark.parametrize("what", [b"N", b"X\x01\x00\x00\x00a", b"ctorch\nFloatStorage\n"])
def test_calling_what_is_no_function(tmp_path, what):
    refused(io_files.save_zip(tmp_path / "a.pt", what + b")R."), Status.UNSAFE, "calls")


BAD_TENSORS = {
    "offset": {"offset": 1},
    "huge offset": {"offset": 2**62},
    "negative offset": {"offset": -1},
    "stride": {"strides": (63, 2)},
    "huge stride": {"strides": (2**61, 1)},
    "negative stride": {"strides": (-63, 1)},
    "too few strides": {"strides": (1,)},
    "shape": {"shape": (N + 1, 63)},
    "huge shape": {"shape": (2**40, 63)},
    "expanded": {"shape": (2**32, 63), "strides": (0, 1)},
    "huge and empty": {"shape": (2**62, 0)},
    "negative shape": {"shape": (-1, 63)},
    "shape of texts": {"shape": ("6", 63), "strides": (1, 1)},
    "shape of truths": {"shape": (True, 63), "strides": (1, 1)},
    "shape beyond 64 bits": {"shape": (2**80, 63), "strides": (0, 0)},
    "many axes": {"shape": (1,) * 65},
    "length": {"length": 10**12},
    "negative length": {"length": -1},
    "length of text": {"length": "378"},
    "type": {"dtype": "f8"},
    "storage of nothing": {"storage": b"N"},
    "key": {"key": "../data.pkl"},
    "other key": {"key": "7"},
}


@pytest.mark.parametrize("bad", BAD_TENSORS.values(), ids=BAD_TENSORS.keys())
def test_tensors_stay_in_their_storage(tmp_path, clip, bad):
    made = {"key": "2", "dtype": "f4", "length": N * 63, "shape": (N, 63)} | bad
    path = io_files.save_gvhmr(tmp_path / "a.pt", clip, body_pose=io_files.tensor(**made))
    refused(path, Status.UNREADABLE)


def test_other_storages_are_unsafe(tmp_path, clip):
    for name in ("UntypedStorage", "FloatStorage.from_file", "load"):
        made = io_files.tensor("2", "f4", N * 63, (N, 63), storage=io_files.glob("torch", name))
        path = io_files.save_gvhmr(tmp_path / "a.pt", clip, body_pose=made)
        refused(path, Status.UNSAFE, f"asks for torch.{name}")


def test_unknown_byte_order(tmp_path, clip):
    params = {name: io_files.tensor("0", "f4", 18, (N, 3)) for name in clip}
    members = {"0": clip["transl"].tobytes()}
    root = {"smpl_params_global": params}
    path = io_files.save_zip(tmp_path / "a.pt", root, members, byteorder=b"middle")
    refused(path, Status.UNREADABLE, "byte order of b'middle'")


def test_torch_files_of_old(tmp_path):
    magic = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
    path = tmp_path / "old.pt"
    path.write_bytes(pickle.dumps(magic, protocol=2) + pickle.dumps(1001, protocol=2))
    refused(path, Status.UNREADABLE, "torch.save it again")


OTHER_CONTENT = {
    "empty": (b"", "the file is empty"),
    "text": (b"x, y, z\n1, 2, 3\n", "begins with b'x, y, z\\n'; known are AMASS"),
    "lone array": (b"\x93NUMPY\x01\x00", "known are"),
    "short": (b"PK", "known are"),
    "half a header": (b"PK\x03\x04\x14\x00", "damaged zip"),
    "bare pickle": (b"\x80", "known are"),
}


@pytest.mark.parametrize("case", OTHER_CONTENT.values(), ids=OTHER_CONTENT.keys())
def test_other_content(tmp_path, case):
    content, reason = case
    (tmp_path / "a.npz").write_bytes(content)
    refused(tmp_path / "a.npz", Status.UNREADABLE, reason)


def test_other_things_than_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    refused(tmp_path / "pipe.npz", Status.UNREADABLE, "no regular file")
    refused(tmp_path, Status.UNREADABLE, "it is a folder")
    refused(tmp_path / ("a" * 300), Status.UNREADABLE, "cannot be opened")
    refused(tmp_path / "a\0b", Status.MISSING)
    for name in ("a" * 300, "a\0b"):
        for path in (tmp_path / name, tmp_path / f"{name}.tar" / "b.npz"):
            assert find_motion_files([path, path]) == [path]
    for end in (".tar", ".parquet", ".tar/b.npz"):
        refused(tmp_path / ("a" * 300 + end), Status.UNREADABLE, "cannot be opened")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    refused(tmp_path / "loop", Status.UNREADABLE, "cannot be opened")


def test_other_zip_archives(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("word\n/document.xml", *(f"{i:03}.txt" for i in range(20))):
            archive.writestr(name, b"")
    refused(path, Status.UNREADABLE, "and 9 more; known are AMASS")
    with zipfile.ZipFile(path, "w"):
        pass
    refused(path, Status.UNREADABLE, "a zip archive of nothing")


def rewrite(path, fields, name, compression=zipfile.ZIP_STORED, content=None, **info):
    """Write the archive again with one member changed: its content, or what is said of it."""
    io_files.save(path, fields)
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in members.items():
            changed = member == f"{name}.npy"
            archive.writestr(
                member,
                content if changed and content is not None else data,
                compression if changed else None,
            )
            for key, value in info.items() if changed else ():
                setattr(archive.infolist()[-1], key, value)
    return path


HEADER = "{'descr': '<f8', 'fortran_order': False, 'shape': (6, 3), }"
BAD_HEADERS = {
    "none": b"",
    "no magic": b"PK" + bytes(100),
    "version 9": b"\x93NUMPY\x09\x00" + bytes(100),
    "no type": HEADER.replace("descr", "desc"),
    "no order": HEADER.replace("fortran", "basic"),
    "no shape": HEADER.replace("shape", "form"),
    "shape of names": HEADER.replace("(6", "(six"),
    "negative shape": HEADER.replace("(6", "(-6"),
    "absurd shape": HEADER.replace("(6", "(999999999999"),
    "shape of 5000 digits": HEADER.replace("(6", "(" + "9" * 5000),
    "empty and absurd": HEADER.replace("(6", "(0, 999999999999999999, 999999999999999999"),
    "many axes": HEADER.replace("(6", "(1, 1, 1, 1, 6"),
    "nested brackets": HEADER.replace("(6", "(" * 9000 + "6"),
    "escapes that warn": HEADER.replace("descr", "d\\qscr"),
    "fewer rows than said": HEADER.replace("(6", "(5"),
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_bad_npy_headers(tmp_path, clip, header):
    content = header
    if isinstance(header, str):
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        content = start + header.encode() + bytes(6 * 3 * 8)
    path = rewrite(tmp_path / "a.npz", io_files.amass(clip), "trans", content=content)
    refused(path, Status.UNREADABLE, "trans is damaged")


def test_bombs_are_not_unpacked(tmp_path, clip):
    path = tmp_path / "bomb.npz"
    bomb = bytes(MAX_MEMBER_BYTES + 1)
    rewrite(path, io_files.amass(clip), "trans", zipfile.ZIP_DEFLATED, bomb)
    assert path.stat().st_size < MAX_MEMBER_BYTES / 500
    refused(path, Status.UNREADABLE, "trans.npy unpacks to 134.2 MB")


SAID_OF_MEMBERS = {
    "longer": ({"file_size": 2000}, "ends after 200 of 2000 bytes"),
    "shorter": ({"file_size": 20}, "is damaged"),
    "checksum": ({"CRC": 0}, "Bad CRC-32"),
    "encrypted": ({"flag_bits": 1}, "encrypted"),
    "bzip2": ({"compress_type": zipfile.ZIP_BZIP2}, "neither stored nor deflated"),
    "unknown method": ({"compress_type": 99}, "neither stored nor deflated"),
    "elsewhere": ({"header_offset": 10**9}, "is damaged"),
}


@pytest.mark.parametrize("case", SAID_OF_MEMBERS.values(), ids=SAID_OF_MEMBERS.keys())
def test_directory_that_lies(tmp_path, clip, case):
    info, reason = case
    path = rewrite(tmp_path / "a.npz", io_files.amass(clip), "trans", **info)
    refused(path, Status.UNREADABLE, reason)


def test_deflate_stream_that_lies(tmp_path, clip):
    """A stream of 64 MB that is said to hold 200 bytes is cut there, and its checksum fails."""
    path = rewrite(
        tmp_path / "a.npz",
        io_files.amass(clip),
        "trans",
        zipfile.ZIP_DEFLATED,
        bytes(2**26),
        file_size=200,
        CRC=zlib.crc32(bytes(200)) ^ 1,
    )
    refused(path, Status.UNREADABLE, "Bad CRC-32")


def save_both(folder, clip):
    npz = io_files.save(folder / "a.npz", io_files.amass(clip, mass_kg=70.0))
    return {"npz": npz, "pt": io_files.save_gvhmr(folder / "a.pt", clip)}


@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_truncated(tmp_path, clip, kind):
    path = save_both(tmp_path, clip)[kind]
    data = path.read_bytes()
    for length in [*range(40), *range(40, len(data), 97), len(data) - 1]:
        path.write_bytes(data[:length])
        refused(path, Status.UNREADABLE)


@pytest.mark.parametrize("kind", ["npz", "pt"])
@pytest.mark.parametrize("checksums", [True, False], ids=["checked", "unchecked"])
def test_random_damage(tmp_path, clip, rng, kind, checksums, monkeypatch):
    """Flipped bytes give an error with a status or a motion, and never anything else.

    Without checksums, as an attacker would have mended them, the damage reaches the numbers.
    """
    path = save_both(tmp_path, clip)[kind]
    if not checksums:
        monkeypatch.setattr(zipfile.ZipExtFile, "_update_crc", lambda self, data: None)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(N_DAMAGED):
        damaged = data.copy()
        places = rng.integers(len(data), size=rng.integers(1, 8))
        damaged[places] = rng.integers(256, size=len(places))
        path.write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                motion = load_motion(path)
            except MotionError as error:
                assert error.status != Status.OK
                continue
        assert motion.root_pos.shape == (N, 3)
        assert np.isfinite(motion.joint_quat).all()
