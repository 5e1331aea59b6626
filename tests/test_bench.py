"""`phymotion-jax bench`: cases, the table, earlier results, pictures, and what it refuses."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from phymotion_jax.bench import run
from phymotion_jax.bench.cases import CASES, known_cases, random_joints, spread, work
from phymotion_jax.bench.results import markdown, read_results, require_writable
from phymotion_jax.bench.timing import timed
from phymotion_jax.cli import main
from phymotion_jax.options import BAD_INPUT, DONE, SOME_FAILED

FOLDER = Path(__file__).parents[1] / "benchmarks" / "results"
RESULTS = [*FOLDER.glob("throughput_*.json"), *FOLDER.glob("scaling_*.json")]


def row(case="physical", clips=64, devices=1, rate=1000.0, **more):
    figures = {"compile_s": 1.0, "median_ms": 2.0, "iqr_ms": 0.5, "clips_per_s": rate / 128}
    call = {"case": case, "clips": clips, "frames": 128, "devices": devices}
    return call | {"frames_per_s": rate} | figures | more


def results(*rows, **more):
    return {"facts": {"device": "X"}, "rows": rows, "memory": [], "errors": {}, "notes": ""} | more


def written(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_row_of_the_whole_score_is_in_the_docs():
    """Each figure of one or several GPUs that was kept stands in a table, and each picture too."""
    docs = (FOLDER.parent / "RESULTS.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("*.png"):
        assert f"](results/{path.name})" in docs
    for path in FOLDER.glob("*_h[12]00.json"):
        for found in json.loads(path.read_text()).get("rows", []):
            if found.get("case", "").startswith("physical, ") and "mesh" not in path.name:
                assert f"{found['frames_per_s']:,.0f}" in docs, (path.name, found["case"])


def test_the_usual_cases_are_known():
    assert set(CASES) <= set(known_cases())
    assert len(set(known_cases())) == len(known_cases())


def test_a_gradient_is_a_case():
    """By pelvis and rotations, each of their own shape; traced, and not compiled."""
    function, (batch,) = work("physical, gradient", 2, 8)
    by_root, by_quat = jax.eval_shape(function, batch)
    assert (by_root.shape, by_quat.shape) == (batch.root_pos.shape, batch.joint_quat.shape)


def test_measures_writes_and_reads_back(tmp_path, capsys):
    target = tmp_path / "bench.json"
    argv = ["bench", "--cases", "dynamics, fused", "--clips", "2", "--frames", "8"]
    assert main([*argv, "--runs", "3", "-o", str(target), "--notes", "quiet"]) == DONE
    shown = capsys.readouterr().out
    found = json.loads(target.read_text())
    (r,) = found["rows"]
    assert (r["clips"], r["frames"], r["devices"]) == (2, 8, 1)
    assert r["frames_per_s"] == pytest.approx(16e3 / r["median_ms"])
    assert min(r["compile_s"], r["median_ms"], r["program_mb"], r["peak_mb"]) > 0.0
    assert {"device", "jax", "jaxlib", "mujoco", "python", "date", "command"} <= set(found["facts"])
    assert found["errors"]["fused"] < 1e-4  # the backends' bound, in test_dynamics
    assert found["notes"] == "quiet"
    assert main(["bench", "--read", str(target)]) == DONE
    assert capsys.readouterr().out == shown


def test_programs_that_were_kept_are_kept_again():
    """Compile times are measured without the cache on disk, which is on again afterwards."""
    before = jax.config.jax_enable_compilation_cache
    with run._nothing_compiled_before():
        assert not jax.config.jax_enable_compilation_cache
    assert jax.config.jax_enable_compilation_cache == before


def test_spread_gives_the_same():
    """On the one device that there is; several are simulated where sharding itself is tested."""
    joints = work("dynamics, fused", 2, 8)
    spec = jax.sharding.PartitionSpec(None, "clips")
    over = spread(joints, jax.devices()[:1], spec)
    want, got = (jax.jit(w.function)(*w.arguments) for w in (joints, over))
    jax.tree.map(np.testing.assert_array_equal, got, want)


def test_figures_are_of_the_runs(monkeypatch):
    """Five runs of 1, 2, 3, 4 and 10 ms: median 3 ms; tracing and compiling are no runs."""
    clock = iter(np.cumsum([0.0, 5.0, 0.0, 7.0, *np.ravel([[0.0, t] for t in (1, 2, 3, 4, 10)])]))
    monkeypatch.setattr("phymotion_jax.bench.timing.time.perf_counter", lambda: next(clock))
    found = timed(lambda j: j.quat[0] + 1.0, (random_joints(1, 2),), count=30, runs=5)
    assert (found["median_ms"], found["frames_per_s"]) == pytest.approx((3e3, 10.0))
    assert found["iqr_ms"] == pytest.approx(5.5e3)  # statistics.quantiles: 1.5 and 7


def test_memory_against_clips(monkeypatch, tmp_path):
    """Scored from the host in calls of the same size, other clips each time."""
    seen = []

    class Compiled:
        reward = np.zeros(4)

        def lower(self, batch):
            return self

        def compile(self):
            return lambda batch: seen.append(np.asarray(batch)) or self

    asked = []
    monkeypatch.setattr(run, "work", lambda *a: asked.append(a) or (None, (jnp.arange(4),)))
    monkeypatch.setattr(run.jax, "jit", lambda function: Compiled())
    monkeypatch.setattr(run.jax, "devices", lambda: jax.local_devices() * 2)
    command = run.Bench(clips=(2, 4), frames=(8,), devices=(2, 1), scored=(9, 3))
    rows = list(run.many_clips("physical", command))
    assert asked == [("physical", 4, 8, jax.local_devices() * 2)]
    assert [(r["scored"], r["devices"]) for r in rows] == [(4, 2), (12, 2)]
    assert [list(s) for s in seen[1:]] == [[0, 1, 2, 3], [3, 0, 1, 2], [2, 3, 0, 1]]
    assert rows[0]["peak_mb"] <= rows[1]["peak_mb"]


def test_out_of_memory_is_a_row(monkeypatch, capsys):
    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(run, "timed", full)
    assert main(["bench", "--cases", "paper", "--clips", "1", "--frames", "8"]) == SOME_FAILED
    assert "| paper | 1 x 8 | 1 |" in (out := capsys.readouterr().out)
    assert "does not fit into memory" in out


def test_out_of_memory_from_the_host_is_a_row(monkeypatch, tmp_path, capsys):
    """In the table, in the file, and in the exit code; of a case, larger numbers are not tried."""

    def full(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(run, "_from_host", full)
    monkeypatch.setattr(run, "_row", lambda *_: row("paper"))
    target = tmp_path / "out.json"
    argv = ["bench", "--cases", "paper", "--scored", "100", "10", "-o", str(target)]
    assert main(argv) == SOME_FAILED
    want = "| paper | 64 | 64 x 128 | 1 |  | does not fit into memory |"
    assert want in (out := capsys.readouterr().out)
    assert len(json.loads(target.read_text())["memory"]) == 1
    assert main(["bench", "--read", str(target)]) == SOME_FAILED
    assert capsys.readouterr().out == out


def test_the_usual_cases_are_scored_from_the_host_as_far_as_they_are_scores(monkeypatch):
    tried = []
    monkeypatch.setattr(run, "many_clips", lambda case, _: tried.append(case) or [])
    monkeypatch.setattr(run, "_row", lambda case, *_: row(case))
    run.measure(run.Bench(scored=(10,)), CASES)
    assert tried == [case for case in CASES if "dynamics" not in case and "axes" not in case]


def test_table_tells_scaling_and_ratio():
    text = markdown(
        results(
            row(rate=100.0),
            row(devices=2, rate=180.0),
            row("dynamics, fused", rate=500.0),
            row("dynamics, mjx", rate=50.0),
        )
    )
    assert "physical, 64 x 128: 1.80 times one device on 2 (90%)" in text
    assert "fused over mjx, 64 x 128 on 1: 10.0x" in text


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_committed_results_are_read(path):
    assert len(RESULTS) >= 4
    found = read_results(path)
    assert f"{found['rows'][0]['frames_per_s']:,.0f}" in markdown(found)


REFUSED = {
    "no JSON": ("rows:", "is no JSON"),
    "no facts": ({"rows": []}, "no field 'facts'"),
    "no rows": ({"facts": {}}, "field 'rows' is missing"),
    "other rows": ({"facts": {}, "rows": [{"case": "x"}]}, "field 'clips' is missing; a number"),
    "text": ({"facts": {}, "rows": [row() | {"frames_per_s": "9"}]}, "is str; a number"),
    "no memory": (results(row(), memory=3), "field 'memory' is int; a list of rows"),
    "other memory": (results(row(), memory=[row()]), "memory[0], field 'scored' is missing"),
}


@pytest.mark.parametrize("content, said", REFUSED.values(), ids=REFUSED)
def test_other_files_are_refused(tmp_path, capsys, content, said):
    path = written(tmp_path, content)
    assert main(["bench", "--read", str(path)]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert str(path) in line
    assert said in line


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--cases", "phisical"], "no case 'phisical'; there are 'physical', "),
        (["--devices", "3", "--clips", "64"], "--clips 64 cannot be spread evenly"),
        (["--devices", "64"], "--devices 64: JAX finds "),
        (["--runs", "1"], "--runs is 1; 2 or more"),
        (["--clips", "0"], "--clips is 0; a number above 0"),
        (["--read", "missing.json"], "cannot read missing.json: No such file"),
        (["--plot", "out.gif"], "cannot draw to out.gif; use .png"),
        (["--read", "a.json", "--cases", "paper"], "--read measures nothing, and --cases is about"),
        (["--read", "a.json", "--clips", "8"], "and --clips is about that; leave one out"),
        (["--read", "a.json", "--scored", "8"], "and --scored is about that; leave one out"),
        (["--scored", "8", "--frames", "64", "128"], "one of --frames was wanted"),
        (["--scored", "8", "--cases", "dynamics, fused"], "'dynamics, fused' is none; leave one"),
        (["--scored", "8", "--cases", "paper", "paper, two axes"], "'paper, two axes' is none"),
        (["--devices"], "--devices is empty; a number or several were wanted"),
        (["-o", "missing/out.json"], "cannot write missing/out.json: No such file or directory"),
        (["-o", "/"], "cannot write /: Is a directory"),
    ],
)
def test_what_cannot_be_done_is_one_line(capsys, monkeypatch, argv, said):
    """Before anything is measured."""
    monkeypatch.delattr(run, "measure")
    assert main(["bench", *argv]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_trying_the_output_leaves_things_as_they_were(tmp_path):
    new, old = tmp_path / "new.json", written(tmp_path, "kept")
    for path in (new, old):
        require_writable(path)
    assert not new.exists()
    assert old.read_text() == "kept"


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("phymotion_jax.bench.plot.find_spec", lambda _: None)
    path = written(tmp_path, results(row()))
    assert main(["bench", "--read", str(path), "--plot", str(tmp_path / "out.png")]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "phymotion-jax[bench]"' in line


def test_draws(tmp_path):
    """A panel for each thing of which there are several; the file is a picture."""
    pytest.importorskip("matplotlib", reason="matplotlib (extra bench) is not installed")
    memory = [
        {
            "case": "physical",
            "clips": 64,
            "frames": 128,
            "scored": n,
            "peak_mb": 9.0,
            "seconds": 1.0,
        }
        for n in (100, 1000)
    ]
    rows = [row(clips=c, devices=d, rate=c * d) for c in (8, 64, 512) for d in (1, 2)]
    path = written(tmp_path, results(*rows, memory=memory))
    target = tmp_path / "out.png"
    assert main(["bench", "--read", str(path), "--plot", str(target)]) == DONE
    assert target.read_bytes().startswith(b"\x89PNG")
