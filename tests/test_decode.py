"""Files decoded in processes: the same clips in the same order, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from phymotion_jax.assets import demo_clips
from phymotion_jax.dataset import Clock, decoding_processes, load_ahead
from phymotion_jax.dataset.decode import MANY_FILES
from phymotion_jax.errors import MotionError
from phymotion_jax.io import load_motion

LOAD = partial(load_motion, mass_kg=61.0)


def test_processes_give_what_threads_do(tmp_path):
    """Clips, and what stands for a file that cannot be read."""
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 and no more")
    paths = [*demo_clips(), broken, tmp_path / "missing.npz", *demo_clips()[:3]]
    clock = Clock()
    want = list(load_ahead(paths, LOAD, Clock()))
    got = list(load_ahead(paths, LOAD, clock, processes=3))
    assert len(got) == len(want) == len(paths)
    for mine, theirs in zip(got, want, strict=True):
        assert type(mine) is type(theirs)
        if isinstance(mine, MotionError):
            assert isinstance(theirs, MotionError)
            assert (mine.status, mine.reason) == (theirs.status, theirs.reason)
        else:
            assert (mine.name, mine.mass_kg) == (theirs.name, theirs.mass_kg)
            np.testing.assert_array_equal(mine.joint_quat, theirs.joint_quat)
    assert clock.spent("decode") > 0.0


@pytest.mark.parametrize(
    ("n_files", "workers", "name", "want"),
    [
        (MANY_FILES, 8, "clip.npz", 8),
        (MANY_FILES, 8, "shard.tar/clip.npz", 8),
        (MANY_FILES - 1, 8, "clip.npz", 0),
        (MANY_FILES, 2, "clip.npz", 0),
        (MANY_FILES, 8, "shard.PARQUET/a/b", 0),
    ],
)
def test_when_processes_decode(n_files, workers, name, want):
    paths = [Path(f"{k}.npz") for k in range(n_files - 1)] + [Path("folder") / name]
    assert decoding_processes(paths, workers) == want


ENDLESS = """
import os, sys, time
from pathlib import Path
from phymotion_jax.dataset import Clock, load_ahead

def name_and_wait(path):
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    paths = [Path(sys.argv[1]) / str(k) for k in range(64)]
    next(load_ahead(paths, name_and_wait, Clock(), processes=3))
"""


def test_processes_end_with_their_parent(tmp_path):
    """Killed, it tells them nothing."""
    script, pids = tmp_path / "endless.py", tmp_path / "pids"
    script.write_text(ENDLESS)
    pids.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(pids)])
    try:
        wait_until(lambda: len([f for f in pids.iterdir() if f.read_text()]) == 3)
        workers = {int(file.read_text()) for file in pids.iterdir()}
        assert len(workers) == 3 and all(map(alive, workers))
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not any(map(alive, workers)))


def wait_until(true, limit_s=120.0):
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def alive(pid: int) -> bool:
    """Whether it runs; what has ended and waits for its parent's look does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
