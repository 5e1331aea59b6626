"""A run on a local Ray cluster gives the table of a local run, also where a worker dies."""

import os
import signal
import sys
from dataclasses import replace
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from phymotion_jax import ray_data
from phymotion_jax.assets import demo_clips
from phymotion_jax.dataset import Plan
from phymotion_jax.errors import MotionError, PhyMotionError, Status, UsageError
from phymotion_jax.io import load_motion
from phymotion_jax.options import BAD_INPUT, SOME_FAILED
from phymotion_jax.ray_data import Run, main, score_part, score_with_ray
from phymotion_jax.scorer import Scorer
from phymotion_jax.table import Tally, empty_row

CLIPS_PER_PART = 3
MAKE = partial(Scorer, "reference")  # the quickest to compile


@pytest.fixture(scope="module")
def ray():
    """Two workers of one core each, whatever the machine has."""
    found = pytest.importorskip("ray", reason="Ray (extra ray) is not installed")
    pytest.importorskip("ray.data", reason="Ray Data (extra ray) is not installed")
    found.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield found
    found.shutdown()


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Demo clips, one that cannot be read, one that is missing: four parts and a short one."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "bad.npz").write_text("no clip")
    return [*demo_clips()[:5], folder / "bad.npz", *demo_clips()[5:], folder / "gone.npz"]


@pytest.fixture(scope="module")
def local(paths):
    scorer = MAKE()
    plan = Plan(paths, CLIPS_PER_PART)
    return pa.concat_tables(
        score_part(plan.clips(part), scorer, load_motion) for part in plan.parts
    )


ANY_WARNING = pytest.mark.filterwarnings("ignore")  # Ray's own, of its own dependencies


@ANY_WARNING
def test_same_table_also_when_a_worker_dies(ray, paths, local, tmp_path):
    """The one that loads the eighth clip first is killed there, with its part half loaded."""
    victim, marker = paths[7], tmp_path / "killed"

    def load(path):
        if path == victim and not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return load_motion(path)

    output = tmp_path / "scores.parquet"
    run = partial(score_with_ray, paths, str(output), MAKE, load, clips_per_part=CLIPS_PER_PART)
    tally = run(actors=2)
    assert (tally.n_rows, tally.n_scored) == (len(paths), len(paths) - 2)
    assert tally.failures == {"unreadable": 1, "missing": 1}
    assert int(marker.read_text()) != os.getpid()  # killed it was, and it was an actor
    assert pq.read_table(output).equals(local)  # to the last bit
    assert {file.name for file in tmp_path.iterdir()} == {"scores.parquet", "killed"}


@ANY_WARNING
def test_failed_run_keeps_what_was_done(ray, paths, tmp_path):
    """If any: Ray may tell of the failure before it hands the first part over. No table that looks
    whole."""

    def load(path):
        if path == paths[4]:
            raise PhyMotionError("a surface is missing")
        raise MotionError(Status.MISSING, "not looked for")

    output = tmp_path / "scores.parquet"
    with pytest.raises(ray.exceptions.RayError, match="a surface is missing"):
        score_with_ray(paths, str(output), MAKE, load, clips_per_part=CLIPS_PER_PART)
    assert not output.exists()
    for partial_table in tmp_path.iterdir():
        done = pq.read_table(partial_table)["path"].to_pylist()
        assert done == [str(path) for path in paths[:CLIPS_PER_PART]]


def test_without_ray_it_says_what_to_install(monkeypatch, paths, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r'pip install "phymotion-jax\[ray\]"'):
        score_with_ray(paths, str(tmp_path / "scores.parquet"), MAKE, load_motion)


def test_options_and_reasons(monkeypatch, paths, tmp_path, capsys):
    """What a full device advises, --frames-per-batch, arrives; clips without scores say why."""
    asked = {}

    def score_with(paths, output, make_scorer, load, **options):
        asked.update(options)
        tally = Tally(2)
        tally.add(empty_row("bad.npz", Status.UNREADABLE, "no clip"))
        return tally

    monkeypatch.setattr(ray_data, "score_with_ray", score_with)
    run = Run(paths=tuple(paths[:1]), output=str(tmp_path / "a.csv"), frames_per_batch=4096)
    assert main(run) == SOME_FAILED
    assert asked["frames_per_batch"] == 4096
    said = capsys.readouterr().err
    assert "scored 0 of 1 clips" in said
    assert "  1 not scored, unreadable: no clip (bad.npz)\n" in said
    assert main(replace(run, frames_per_batch=0)) == BAD_INPUT
