"""Clips in tar files: the same as the files, and what hostile ones get."""

import io
import tarfile
from typing import Any

import numpy as np
import pytest
from io_files import refused

from phymotion_jax.assets import demo_clips
from phymotion_jax.errors import MotionError, Status, UsageError
from phymotion_jax.from_options import files_of
from phymotion_jax.io import find_motion_files, load_motion, tar


@pytest.fixture
def shard(tmp_path):
    """Two clips in folders, a note, and a link."""
    path = tmp_path / "shard.tar"
    with tarfile.open(path, "w") as tar:
        for file, name in zip(demo_clips()[:2], ("a/0001.npz", "./b/0002.npz"), strict=True):
            tar.add(file, name)
        note = tarfile.TarInfo("a/0001.json")
        note.size = 2
        tar.addfile(note, io.BytesIO(b"{}"))
        link = tarfile.TarInfo("/etc/link.npz")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return path


def test_members_are_clips(shard, tmp_path):
    names = ["a/0001.npz", "b/0002.npz", "etc/link.npz"]
    assert find_motion_files(tmp_path) == find_motion_files(shard) == [shard / n for n in names]
    for file, name in zip(demo_clips(), names[:2], strict=False):
        got, want = load_motion(shard / name), load_motion(file)
        np.testing.assert_array_equal(got.joint_quat, want.joint_quat)
        np.testing.assert_array_equal(got.root_pos, want.root_pos)
        assert got.fps == want.fps


def test_links_to_one_shard_are_shards_of_their_own(shard, tmp_path):
    (tmp_path / "again.tar").symlink_to(shard)
    names = ["a/0001.npz", "b/0002.npz", "etc/link.npz"]
    want = [file / name for file in (tmp_path / "again.tar", shard) for name in names]
    assert find_motion_files(tmp_path) == want == find_motion_files([tmp_path, *want])


def test_a_member_may_be_named(shard):
    assert files_of([shard / "a/0001.npz"]) == [shard / "a/0001.npz"]
    with pytest.raises(UsageError, match="there is no "):
        files_of([shard.with_name("gone.tar") / "a/0001.npz"])


def test_links_and_strangers(shard):
    assert refused(shard / "etc/link.npz").reason.startswith("it is a link")
    error = refused(shard / "a/0009.npz")
    assert error.status == Status.MISSING
    assert str(error) == f"{shard}/a/0009.npz: there is no such member in the tar file"


def test_a_file_that_changes_is_read_anew(shard):
    load_motion(shard / "a/0001.npz")
    with tarfile.open(shard, "w") as tar:
        tar.add(demo_clips()[3], "c.npz")
    assert load_motion(shard / "c.npz").n_frames
    assert refused(shard / "a/0001.npz").status == Status.MISSING


def added(path, *members, mode: Any = "w", **how):
    """A tar file of members: name, bytes, and what else its header says."""
    with tarfile.open(path, mode, **how) as tar:
        for name, data, *header in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in dict(*header).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return path


CLIPS = [path.read_bytes() for path in demo_clips()[:2]]
ONE = ("a.npz", CLIPS[0])
END = bytes(tarfile.RECORDSIZE)


def damaged(shard, reason) -> None:
    """The file stands in the list itself, last, and says what is wrong."""
    assert find_motion_files(shard)[-1] == shard
    error = refused(shard)
    assert (error.status, error.reason) == (Status.UNREADABLE, reason)


def plain(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("part", ["data", "header", "border"])
def test_members_before_a_cut_are_kept(tmp_path, part):
    """`tarfile` itself notes the first alone."""
    data = added(tmp_path / "all.tar", ONE, ("b.npz", CLIPS[1])).read_bytes().rstrip(b"\0")
    first = 512 + -(-len(CLIPS[0]) // 512) * 512
    size = {"data": first + 1000, "header": first + 300, "border": first}[part]
    shard = plain(tmp_path / "cut.tar", data[:size])
    cut = "unexpected end of data" if part == "data" else f"cut at byte {size}: it lacks its end"
    damaged(shard, f"a damaged tar file ({cut})")
    listed = ["a.npz", *(["b.npz"] if part == "data" else [])]
    assert find_motion_files(shard)[:-1] == [shard / name for name in listed]
    assert load_motion(shard / "a.npz").n_frames
    assert refused(shard / "b.npz").status == Status.UNREADABLE


@pytest.mark.parametrize("after", ["another", "garbage"])
def test_what_follows_the_end_is_told(tmp_path, after):
    whole = added(tmp_path / "a.tar", ONE).read_bytes()
    first = 512 + -(-len(CLIPS[0]) // 512) * 512
    data = whole + whole if after == "another" else whole[:first] + b"x" * 2048 + END
    shard = plain(tmp_path / "b.tar", data)
    damaged(shard, f"a damaged tar file (from byte {first} on neither members nor an end)")
    assert load_motion(shard / "a.npz").n_frames


@pytest.mark.parametrize("name", ["bad.tar", "bad.tar.gz", "bad.tgz"])
@pytest.mark.parametrize("by", ["gz", "bz2", "xz"])
def test_compressed_ones_are_told_apart(tmp_path, name, by):
    shard = added(tmp_path / name, ONE, mode=f"w:{by}")
    by = {"gz": "gzip", "bz2": "bzip2"}.get(by, by)
    damaged(shard, f"the file is compressed by {by}: unpack it; tar files are read as they are")
    assert find_motion_files(tmp_path) == [shard]
    if name == "bad.tar":
        assert "unpack it" in refused(shard / "a.npz").reason


def test_other_content_and_the_file_itself(shard, tmp_path):
    damaged(plain(tmp_path / "text.tar", b"no tar" * 200), "a damaged tar file (invalid header)")
    damaged(plain(tmp_path / "empty.tar", b""), "a damaged tar file (empty file)")
    want = "a tar file of 4 members; one clip was wanted, as shard.tar/name"
    assert refused(shard).reason == want


def test_a_clip_may_be_called_a_tar_file(tmp_path):
    path = plain(tmp_path / "clip.tar", CLIPS[0])
    assert find_motion_files(path) == [path]
    assert load_motion(path).n_frames


def test_names_that_lead_elsewhere_are_names(tmp_path):
    """Beside the file that they would be, were they unpacked."""
    (tmp_path / "walk.npz").write_bytes(CLIPS[0])
    names = ["../walk.npz", "walk.npz", "/etc/b.npz"]
    shard = added(tmp_path / "shard.tar", *((name, CLIPS[1]) for name in names))
    want = [shard / "../walk.npz", shard / "walk.npz", shard / "etc/b.npz"]
    assert find_motion_files(tmp_path) == [*want, tmp_path / "walk.npz"]
    assert find_motion_files([want[0], shard, tmp_path / "walk.npz"]) == find_motion_files(tmp_path)
    want = load_motion(demo_clips()[1]).root_pos
    np.testing.assert_array_equal(load_motion(shard / "../walk.npz").root_pos, want)


def test_members_of_one_name_are_all_there(tmp_path):
    shard = added(tmp_path / "shard.tar", ("./x.npz", CLIPS[0]), ("x.npz", CLIPS[1]), ONE)
    want = [shard / name for name in ("00000000/x.npz", "00000001/x.npz", "a.npz")]
    assert find_motion_files(shard) == want
    for path, clip in zip(want, demo_clips()[:2], strict=False):
        np.testing.assert_array_equal(load_motion(path).root_pos, load_motion(clip).root_pos)
    reason = "several members are called so: 00000000/x.npz, 00000001/x.npz"
    assert refused(shard / "x.npz").reason == reason


def test_numbers_for_folders_do_not_clash(tmp_path):
    names = ["x.npz", "x.npz", "00000001/x.npz"]
    shard = added(tmp_path / "shard.tar", *((name, CLIPS[0]) for name in names))
    assert len(find_motion_files(shard)) == 3


NOT_READ = {
    "hard link": ({"type": tarfile.LNKTYPE, "linkname": "a.npz"}, "it is a link or a device"),
    "pipe": ({"type": tarfile.FIFOTYPE}, "it is a link or a device"),
    "sparse": ({"type": tarfile.GNUTYPE_SPARSE}, "it is stored with holes; tar without --sparse"),
}


@pytest.mark.parametrize("header, reason", NOT_READ.values(), ids=NOT_READ)
def test_members_that_are_not_plain_files(tmp_path, header, reason):
    shard = added(tmp_path / "a.tar", ONE, ("b.npz", b"", header), format=tarfile.GNU_FORMAT)
    assert find_motion_files(shard) == [shard / "a.npz", shard / "b.npz"]
    assert refused(shard / "b.npz").reason.startswith(reason)


def header(kind=b"0", size=0):
    """A member's header; a negative size, or a huge one, as GNU tar writes those."""
    info = tarfile.TarInfo("b.npz")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


HOSTILE = {
    "negative size": (header(size=-512), "a member of -512 bytes"),
    "negative name": (header(b"L", -512), "a header of -512 bytes"),
    "negative record": (header(b"x", -1024), "a header of -1024 bytes"),
    "huge name": (header(b"L", 2**36), f"a header of {2**36} bytes"),
    "huge record": (header(b"x", 2**36), f"a header of {2**36} bytes"),
    "name of a name": (
        (header(b"L", 2) + b"a".ljust(512, b"\0")) * 3000,
        "maximum recursion depth exceeded",
    ),
}


@pytest.mark.parametrize("data, reason", HOSTILE.values(), ids=HOSTILE)
def test_headers_that_lie(tmp_path, data, reason):
    whole = added(tmp_path / "a.tar", ONE).read_bytes()
    first = 512 + -(-len(CLIPS[0]) // 512) * 512
    shard = plain(tmp_path / "b.tar", whole[:first] + data + END)
    error = refused(shard)
    assert error.reason.startswith(f"a damaged tar file ({reason}")
    assert find_motion_files(shard) == [shard / "a.npz", shard]
    assert load_motion(shard / "a.npz").n_frames


def test_files_beyond_memory_are_refused(tmp_path, monkeypatch):
    shard = added(tmp_path / "a.tar", ONE)
    monkeypatch.setattr(tar, "MAX_FILE_BYTES", 1000)
    assert "at most 0 MB were wanted" in refused(shard / "a.npz").reason


def test_random_damage(shard, rng):
    """Flipped bytes in headers give rows that say why, or clips, and never anything else."""
    whole = np.frombuffer(shard.read_bytes(), np.uint8)
    with tarfile.open(shard) as file:
        starts = [member.offset for member in file]
    for _ in range(200):
        data = whole.copy()
        places = rng.choice(starts) + rng.integers(512, size=4)
        data[places] = rng.integers(256, size=4)
        shard.write_bytes(data.tobytes())
        for path in [*find_motion_files(shard), shard]:
            try:
                load_motion(path)
            except MotionError as error:
                assert error.status != Status.OK
