"""A folder of parts: what is there after kills, a torn state, a full disk, and several shards."""

import errno
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import FakeScorer, load_clip, write_clip

from phymotion_jax.dataset import (
    Clock,
    Plan,
    alone,
    digests,
    digests_of,
    rows_there,
    score_parts,
    sole_run,
    unfinished_parts,
)
from phymotion_jax.dataset import parts as parts_module
from phymotion_jax.dataset.parts import require_same
from phymotion_jax.dataset.state import load_settings, state_folder
from phymotion_jax.errors import OutputError, UsageError
from phymotion_jax.options import Score, shard_of
from phymotion_jax.presets import PAPER

CLIPS, PER_PART = 23, 4
SETTINGS = {"preset": "paper", "floor": None}

RUN = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_resume import fill
fill(Path(sys.argv[2]), Path(sys.argv[3]), pause=0.02)
"""


class Steady(FakeScorer):
    """Numbers that depend on the batch alone; takes its time, where one is to be killed."""

    def __init__(self, pause=0.0):
        super().__init__("paper")
        self.pause = pause

    def __call__(self, batch):
        time.sleep(self.pause)
        self.rng = np.random.default_rng(7)
        return super().__call__(batch)


def fill(folder, clips, *, shard=(0, 1), settings=None, pause=0.0, on_step=lambda _: None):
    """What the command does: the rows that it scored."""
    plan = Plan(sorted(clips.glob("*.npz")), PER_PART, shard)
    settings = SETTINGS if settings is None else settings
    with sole_run(folder, shard):
        parts = unfinished_parts(folder, plan, settings)
        scored = score_parts(
            *(folder, plan, parts, settings, Steady(pause), load_clip),
            frames_per_batch=256,
            clock=Clock(),
            on_step=on_step,
        )
        return list(scored)


def table_of(folder) -> pa.Table:
    files = sorted(folder.glob("part-*.parquet"))
    assert [f.name for f in files] == [f"part-{k:05d}.parquet" for k in range(6)]
    return pa.concat_tables([pq.read_table(f) for f in files])


@pytest.fixture
def clips(tmp_path):
    """Files of two lengths, one of them damaged."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for k in range(CLIPS):
        write_clip(folder / f"{k:02d}.npz", n_frames=20 if k % 3 else 200, value=float(k))
    (folder / "07.npz").write_text("damaged")
    return folder


@pytest.fixture
def whole(tmp_path, clips):
    assert len(fill(tmp_path / "whole", clips)) == CLIPS
    return table_of(tmp_path / "whole")


def test_parts_hold_the_table(whole, clips, tmp_path):
    assert whole["path"].to_pylist() == [str(p) for p in sorted(clips.glob("*.npz"))]
    assert whole["status"].to_pylist().count("unreadable") == 1
    assert load_settings(state_folder(tmp_path / "whole", (0, 1))) == SETTINGS
    assert fill(tmp_path / "whole", clips) == []


def test_killed_again_and_again(whole, clips, tmp_path):
    """By SIGKILL at random moments, until one run comes to its end."""
    folder, draw, kills = tmp_path / "killed", random.Random(3), 0
    here = str(Path(__file__).parent)
    while True:
        run = subprocess.Popen([sys.executable, "-c", RUN, here, str(folder), str(clips)])
        begun = len(list(folder.glob("part-*"))) if folder.exists() else 0
        while kills < 3 and run.poll() is None:
            if folder.exists() and len(list(folder.glob("part-*"))) > begun + draw.randrange(2):
                run.kill()
            time.sleep(0.001 * draw.randrange(20))
        if run.wait() == 0:
            break
        assert run.returncode == -9
        kills += 1
    assert kills == 3
    assert table_of(folder).equals(whole)
    assert not list(folder.glob(".part-*"))
    assert fill(folder, clips) == []


def test_a_second_run_of_a_shard_is_refused(clips, tmp_path):
    folder = tmp_path / "scores"
    with sole_run(folder, (0, 2)):
        with pytest.raises(UsageError, match=r"another run fills shard 0/2 of .*scores; wait"):
            fill(folder, clips, shard=(0, 2))
        fill(folder, clips, shard=(1, 2))
    fill(folder, clips, shard=(0, 2))
    table_of(folder)


def test_where_disks_know_no_locks(whole, clips, tmp_path, monkeypatch):
    """Two runs do the same work, and neither touches what the other is writing."""

    def unknown(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(alone.fcntl, "flock", unknown)
    folder = tmp_path / "scores"
    with sole_run(folder, (0, 1)):
        other = folder / ".part-00000.parquet.0-of-1.0123"
        other.write_text("being written")
        fill(folder, clips)
    assert table_of(folder).equals(whole)
    assert other.exists()


def test_what_killed_runs_leave_is_removed(clips, tmp_path):
    """Of the same shard alone: another one may be at work."""
    folder = tmp_path / "scores"
    folder.mkdir()
    mine, other = (folder / f".part-00000.parquet.{k}-of-2.0123" for k in (0, 1))
    for path in (mine, other):
        path.write_text("unfinished")
    fill(folder, clips, shard=(0, 2))
    assert not mine.exists()
    assert other.exists()


def test_no_folder_can_be_there(clips, tmp_path):
    (tmp_path / "scores").write_text("a file")
    with pytest.raises(OutputError, match=r"cannot write .*scores: (Not a dir|File exists)"):
        fill(tmp_path / "scores", clips)


def test_programs_serve_all_parts(clips, tmp_path):
    """The clock counts a compilation once, not once a part."""
    steps = []
    fill(tmp_path / "scores", clips, on_step=steps.append)
    assert sum(step.clips for step in steps) == CLIPS
    assert sum(step.compiled for step in steps) <= 3  # two short, one long: there are six parts


def test_shards_fill_one_folder(whole, clips, tmp_path):
    rows = [len(fill(tmp_path / "shards", clips, shard=(k, 3))) for k in (2, 0, 1)]
    assert sum(rows) == CLIPS
    assert table_of(tmp_path / "shards").equals(whole)


def test_what_is_there_is_read_again(whole, tmp_path):
    """As much of it as a summary needs: that a clip failed is not forgotten."""
    rows = list(rows_there(tmp_path / "whole", [1, 0], PAPER))
    assert rows == [
        {name: row[name] for name in rows[0]}
        for row in [*whole.slice(4, 4).to_pylist(), *whole.slice(0, 4).to_pylist()]
    ]
    assert {"status", "reason", "reward", *PAPER.parts} <= set(rows[0])
    (tmp_path / "whole" / "part-00000.parquet").write_text("damaged")
    with pytest.raises(UsageError, match=r"part-00000.parquet is no part"):
        list(rows_there(tmp_path / "whole", [0], PAPER))


@pytest.mark.parametrize("damage", ["torn", "gone"])
def test_a_state_that_is_lost_costs_nothing(damage, whole, clips, tmp_path):
    folder = tmp_path / "whole"
    (folder / "part-00002.parquet").unlink()
    for file in state_folder(folder, (0, 1)).rglob("*"):
        if file.is_file():
            file.write_bytes(b"\0") if damage == "torn" else file.unlink()
    assert len(fill(folder, clips)) == PER_PART
    assert table_of(folder).equals(whole)


def test_full_disk(whole, clips, tmp_path, monkeypatch):
    """The third part finds no room; nothing is left of it, and the next run goes on there."""
    folder, written = tmp_path / "full", []

    def sync(handle):
        written.append(handle)
        if len(written) == 5:  # a file and its folder each
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle)

    real = os.fsync
    monkeypatch.setattr(parts_module.os, "fsync", sync)
    with pytest.raises(OutputError, match=r"part-00002.parquet: No space left on device"):
        fill(folder, clips)
    assert sorted(f.name for f in folder.iterdir() if f.is_file()) == [
        "part-00000.parquet",
        "part-00001.parquet",
    ]
    fill(folder, clips)
    assert table_of(folder).equals(whole)


@pytest.mark.parametrize("state", ["kept", "lost"])
def test_other_settings_are_refused(state, whole, clips, tmp_path):
    if state == "lost":
        for file in state_folder(tmp_path / "whole", (0, 1)).rglob("*"):
            if file.is_file():
                file.unlink()
    with pytest.raises(UsageError, match="preset paper, now it is physical; give another folder"):
        fill(tmp_path / "whole", clips, settings=SETTINGS | {"preset": "physical"})


@pytest.mark.parametrize(
    ("found", "wanted", "told"),
    [
        ({"floor": None}, {"floor": 0.1}, "with floor each clip's own, now it is 0.1;"),
        (
            {"self_penetration": "mesh"},
            {"self_penetration": None},
            "with self_penetration mesh, now it is the preset's own;",
        ),
        ({"surface_file": "5b"}, {}, "with surface_file 5b, now it is none;"),
        ({"clips": 3}, {"clips": 4}, "of another list of files, 3 then and 4 now;"),
        (
            {"clips": 3, "listing": "80d8"},
            {"clips": 3, "listing": "7e8f"},
            "of another list of files, 3 then and 3 now;",
        ),
    ],
)
def test_what_differs_is_told_in_words(found, wanted, told):
    with pytest.raises(UsageError, match=f"^scores holds scores {told} give another folder"):
        require_same(Path("scores"), found, wanted)


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """A package with one table."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "limits.json").write_text("[1, 2]")
    (tmp_path / "assets" / "notes.md").write_text("no table")
    monkeypatch.setattr(digests, "files", lambda _: tmp_path)
    return tmp_path / "assets" / "limits.json"


@pytest.mark.parametrize(
    "changed", ["limits.json", "preset_numbers", "surface_file", "file_sizes", "listing"]
)
def test_other_contents_are_told_apart(changed, clips, tables, tmp_path):
    """Under the same names: each by the name of what has changed."""
    (tmp_path / "skin.npz").write_text("a surface")
    paths, preset = sorted(clips.glob("*.npz")), PAPER
    before = digests_of(paths, preset, tmp_path / "skin.npz")
    if changed == "limits.json":
        tables.write_text("[1, 3]")
    if changed == "preset_numbers":
        preset = replace(PAPER, grf_max=PAPER.grf_max + 0.1)
    if changed == "surface_file":
        (tmp_path / "skin.npz").write_text("another")
    if changed == "file_sizes":
        paths[3].write_text("longer than it was before, by a good deal")
    if changed == "listing":
        paths[0], paths[-1] = paths[-1], paths[0]  # of one size
    after = digests_of(paths, preset, tmp_path / "skin.npz")
    assert [name for name in after if after[name] != before[name]] == [changed]
    told = f"with {changed} {before[changed]}, now it"
    told = "of another list of files" if changed == "listing" else told
    with pytest.raises(UsageError, match=f"holds scores {told}"):
        require_same(Path("scores"), before, after)


def test_size_of_a_clip_in_a_shard(tmp_path):
    """Is the shard's; a clip that is missing has none, until it is there."""
    (tmp_path / "a.tar").write_text("12345")
    inside = digests._size(tmp_path / "a.tar" / "folder" / "clip.npz")
    assert (inside, digests._size(tmp_path / "gone.npz")) == (5, -1)


def test_a_strange_file_is_no_part(clips, tmp_path):
    folder = tmp_path / "strange"
    folder.mkdir()
    (folder / "part-00001.parquet").write_text("something else")
    with pytest.raises(UsageError, match=r"part-00001.parquet is no part of such a table"):
        fill(folder, clips)


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "a/b", "0/0", ""])
def test_shards_that_are_none(text):
    with pytest.raises(UsageError, match="I/N with I from 0"):
        shard_of(text)
    assert shard_of("2/3") == (2, 3)


def test_what_is_for_a_folder_alone():
    Score(output="scores", shard="0/2", clips_per_part=3).check()
    with pytest.raises(UsageError, match="--shard is for a folder of parts"):
        Score(output="scores.csv", shard="0/2").check()
    assert Score(output="a.b/").folder == Path("a.b")
    assert Score(output="-").folder is None
