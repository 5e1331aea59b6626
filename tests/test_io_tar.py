"""Clips in tar files: the same as the files, and what hostile ones get."""

import io
import tarfile

import numpy as np
import pytest
from io_files import refused

from phymotion_jax.assets import demo_clips
from phymotion_jax.errors import Status
from phymotion_jax.io import find_motion_files, load_motion


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


@pytest.mark.parametrize("kind", ["text", "compressed", "cut"])
def test_damaged_tar_files_are_reported(kind, shard, tmp_path):
    bad = tmp_path / "bad.tar"
    if kind == "text":
        bad.write_bytes(b"no tar" * 200)
    elif kind == "compressed":
        with tarfile.open(bad, "w:gz") as tar:
            tar.add(demo_clips()[0], "a.npz")
    else:
        bad.write_bytes(shard.read_bytes()[:3000])
    (found,) = find_motion_files(bad) if kind != "cut" else [bad]
    assert refused(found).status == Status.UNREADABLE
    if kind == "cut":
        assert find_motion_files(bad) in ([bad], [bad / "a/0001.npz"])


def test_a_member_that_ends_early(shard, tmp_path):
    cut = tmp_path / "cut.tar"
    cut.write_bytes(shard.read_bytes()[:3000])
    assert refused(cut / "a/0001.npz").status == Status.UNREADABLE
