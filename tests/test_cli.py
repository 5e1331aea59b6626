"""The command line: what it prints where, its exit codes, and how little `--help` needs."""

import importlib
import json
import subprocess
import sys
import types

import jax
import pyarrow.parquet as pq
import pytest
from fakes import FakeScorer, load_clip, write_clip
from rich.console import Console

import phymotion_jax
from phymotion_jax import __version__, cli
from phymotion_jax.cli import main
from phymotion_jax.dataset.parts import settings_of
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.options import BAD_INPUT, BROKEN_PIPE, DONE, FAULT, INTERRUPTED, SOME_FAILED


def find_clips(paths):
    return [
        file for path in paths for file in (sorted(path.glob("*")) if path.is_dir() else [path])
    ]


@pytest.fixture
def scorers(monkeypatch, tmp_path):
    """The command with fakes behind it; the scorers that it makes."""
    importlib.import_module("phymotion_jax.from_options")  # all else, before the fakes hide it
    made = []

    def make_scorer(*args, **kwargs):
        made.append(FakeScorer(*args, **kwargs))
        return made[-1]

    demo = tmp_path / "packaged"
    demo.mkdir()
    demos = [write_clip(demo / f"demo{i}.npz", value=float(i)) for i in range(2)]
    modules = {
        "assets": {"demo_clips": lambda: demos},
        "io": {"find_motion_files": find_clips, "load_motion": load_clip},
        "scorer": {"Scorer": make_scorer},
    }
    for name, content in modules.items():
        module = types.ModuleType(f"phymotion_jax.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    forget_commands()  # to be imported anew, with the fakes
    yield made
    forget_commands()


@pytest.fixture
def clips(tmp_path):
    """A folder of three clips."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(3):
        write_clip(folder / f"clip{i}.npz", value=float(i))
    return folder


def forget_commands():
    for name in ("commands", "from_options"):
        sys.modules.pop(f"phymotion_jax.{name}", None)
        phymotion_jax.__dict__.pop(name, None)


def command(capsys, *argv):
    """Exit code, stdout, stderr."""
    code = main([str(arg) for arg in argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_help_is_light():
    """Neither JAX nor Arrow nor NumPy: they cost seconds."""
    code = """
import sys
from phymotion_jax.cli import main
for command in ([], ["score"], ["explain"], ["convert-body"], ["bench"]):
    try:
        main([*command, "--help"])
    except SystemExit as end:
        assert not end.code
heavy = {"jax", "jaxlib", "numpy", "pyarrow", "mujoco", "flax"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout
    assert "--frames-per-batch" in done.stdout
    said = " ".join(done.stdout.replace("│", "").split())
    assert "70 a fault of the program" in said
    assert "141 nobody reads its output any longer" in said


@pytest.mark.parametrize("name", phymotion_jax.__all__)
def test_public_names_resolve(name):
    assert getattr(phymotion_jax, name) is not None


def test_version_as_a_module():
    argv = [sys.executable, "-m", "phymotion_jax", "--version"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == f"phymotion-jax {phymotion_jax.__version__}\n"


def test_score_writes_a_table(scorers, clips, tmp_path, capsys):
    target = tmp_path / "scores.parquet"
    code, out, err = command(capsys, "score", clips, "-o", target)
    assert (code, out) == (DONE, "")
    rows = pq.read_table(target).to_pylist()
    assert [row["activity"] for row in rows] == [0.0, 1.0, 2.0]
    assert [row["path"] for row in rows] == [str(clips / f"clip{i}.npz") for i in range(3)]
    assert "scored 3 of 3 clips in " in err
    assert f"table: {target}\n" in err
    assert "mean / median: reward 0." in err
    assert "clip2.npz" in err


def test_tables_say_what_they_were_scored_with(scorers, clips, tmp_path, capsys):
    """One file as each of the parts of a folder."""
    argv = ["score", clips, "--preset", "paper", "--floor", "0.1"]
    for name in ("one.parquet", "parts/"):
        assert command(capsys, *argv, "-o", f"{tmp_path}/{name}")[0] == DONE
    one, part = (
        settings_of(tmp_path / name) for name in ("one.parquet", "parts/part-00000.parquet")
    )
    assert part.pop("clips_per_part") == 4096
    assert one == part
    assert (one["version"], one["preset"], one["floor"]) == (__version__, "paper", 0.1)
    assert command(capsys, *argv, "-o", tmp_path / "one.csv")[0] == DONE


def test_json_lines_on_stdout(scorers, clips, capsys):
    code, out, err = command(capsys, "score", clips, "-o", "-")
    assert code == DONE
    assert [json.loads(line)["status"] for line in out.splitlines()] == ["ok"] * 3
    assert "scored 3 of 3" in err


def test_no_table_unless_asked(scorers, clips, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    code, out, err = command(capsys, "score", clips)
    assert (code, out) == (DONE, "")
    assert "worst part" in err
    assert set(tmp_path.iterdir()) == before


def test_many_clips_are_not_listed(scorers, tmp_path, capsys):
    for i in range(21):
        write_clip(tmp_path / f"{i}.npz")
    code, _, err = command(capsys, "score", *sorted(tmp_path.glob("*.npz")))
    assert code == DONE
    assert "worst part" not in err
    assert "no table was written; ask for one with -o scores.parquet" in err


def test_demo_clips_without_a_path(scorers, capsys):
    code, out, err = command(capsys, "score")
    assert (code, out) == (DONE, "")
    assert "demo0.npz" in err
    assert "demo1.npz" in err


def test_some_clips_fail(scorers, clips, tmp_path, capsys):
    (clips / "bad0.npz").write_text("not a clip")
    (clips / "bad1.npz").write_text("not a clip")
    write_clip(clips / "refused.npz", value=FakeScorer.BAD_X)
    target = tmp_path / "scores.jsonl"
    code, _, err = command(capsys, "score", clips, clips / "gone.npz", "-o", target)
    assert code == SOME_FAILED
    statuses = [json.loads(line)["status"] for line in target.read_text().splitlines()]
    assert statuses == ["unreadable"] * 2 + ["ok"] * 3 + ["not_finite", "missing"]
    assert "scored 3 of 7 clips" in err
    assert f"2 not scored, unreadable: not a motion file ({clips / 'bad0.npz'})" in err
    assert "1 not scored, not_finite: NaN or infinity on a real frame" in err


def test_one_of_several_reasons_is_an_instance(scorers, clips, capsys, monkeypatch):
    def load(path, **options):
        if path.stem == "clip2":
            return load_clip(path, **options)
        raise MotionError(Status.UNREADABLE, f"{path.stem} is damaged")

    monkeypatch.setattr(sys.modules["phymotion_jax.io"], "load_motion", load)
    code, _, err = command(capsys, "score", clips)
    assert code == SOME_FAILED
    told = f"2 not scored, unreadable: for instance clip0 is damaged ({clips / 'clip0.npz'})"
    assert told in err


def test_a_resumed_folder_keeps_its_failures(scorers, clips, tmp_path, capsys):
    """Exit code and account are those of the whole table, whichever run wrote it."""
    (clips / "bad.npz").write_text("not a clip")
    argv = ["score", clips, "-o", tmp_path / "scores", "--clips-per-part", "2"]
    code, _, err = command(capsys, *argv)
    assert (code, "scored 3 of 4 clips in " in err) == (SOME_FAILED, True)
    code, _, err = command(capsys, *argv)
    assert code == SOME_FAILED
    assert "scored 3 of 4 clips, all of them in earlier runs\n" in err
    assert f"1 not scored, unreadable: not a motion file ({clips / 'bad.npz'})" in err
    assert "mean / median: reward 0." in err
    (tmp_path / "scores" / "part-00001.parquet").unlink()
    code, _, err = command(capsys, *argv)
    assert code == SOME_FAILED
    assert "scored 3 of 4 clips: 2 in earlier runs, 2 now in " in err


def test_a_damaged_part_is_one_line(scorers, clips, tmp_path, capsys):
    """It is not said that the same command goes on: it does not."""
    argv = ["score", clips, "-o", tmp_path / "scores", "--clips-per-part", "1"]
    assert command(capsys, *argv)[0] == DONE
    part = tmp_path / "scores" / "part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(bytes(len(whole) // 4) + whole[len(whole) // 4 :])  # the footer is whole
    (tmp_path / "scores" / "part-00002.parquet").unlink()
    code, _, err = command(capsys, *argv)
    assert code == BAD_INPUT
    told = [line for line in err.splitlines() if "are in" not in line]
    assert [f"{part} is no part of such a table" in line for line in told] == [True]
    assert "stopped early" not in err


def test_a_folder_is_refused_when_its_files_have_changed(scorers, clips, tmp_path, capsys):
    argv = ["score", clips, "-o", tmp_path / "scores"]
    assert command(capsys, *argv)[0] == DONE
    write_clip(clips / "clip1.npz", n_frames=1000)
    code, _, err = command(capsys, *argv)
    assert code == BAD_INPUT
    assert "holds scores with file_sizes " in err
    assert err.count("\n") == 1


def test_devices_arrive(scorers, clips, capsys, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [*"abcd"])
    code, _, _ = command(capsys, "score", clips, "--devices", "2")
    assert code == DONE
    assert scorers[0].mesh.size == 2
    assert scorers[0].shapes == [(16, 128)]


def test_devices_are_among_the_settings_of_a_folder(scorers, clips, tmp_path, capsys, monkeypatch):
    """A program for another share of a batch may round otherwise."""
    twice = jax.devices() * 2
    monkeypatch.setattr(jax, "devices", lambda: twice)
    argv = ["score", clips, "-o", tmp_path / "scores", "--frames-per-batch", "512"]
    assert command(capsys, *argv)[0] == DONE
    code, _, err = command(capsys, *argv, "--devices", "2")
    assert code == BAD_INPUT
    assert "holds scores with devices 1, now it is 2" in err


def test_options_arrive(scorers, clips, capsys):
    argv = ["--preset", "reference", "--backend", "mjx", "--floor", "0.1", "--fps", "12"]
    code, out, _ = command(capsys, "score", clips, *argv, "-o", "-")
    assert code == DONE
    assert scorers[0].asked_for == ("reference", "mjx", 0.1, False)
    assert {json.loads(line)["fps"] for line in out.splitlines()} == {12.0}


def test_level_floor_arrives(scorers, clips, capsys):
    code, _, _ = command(capsys, "score", clips, "--level-floor")
    assert code == DONE
    assert scorers[0].asked_for == ("physical", "fused", None, True)


def test_level_of_self_penetration_arrives(scorers, clips, capsys):
    argv = ["--self-penetration", "mesh", "--surface", "mannequin"]
    code, _, _ = command(capsys, "score", clips, *argv)
    assert code == DONE
    assert scorers[0].self_penetration == "mesh"
    assert scorers[0].skin.model.topology.name == "mannequin"


def test_frames_per_batch_arrives(scorers, clips, capsys):
    command(capsys, "score", clips, "--frames-per-batch", "128")
    assert scorers[0].shapes == [(1, 128)] * 3


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["score", "CLIPS", "-o", "scores.xls"], "use .parquet, .csv, .jsonl, or - for"),
        (["score", "CLIPS", "-o", "no/folder/scores.csv"], "cannot write no/folder/scores.csv"),
        (
            ["score", "CLIPS", "--preset", "strict"],
            "no preset 'strict'; there are physical, paper, reference",
        ),
        (["score", "CLIPS", "--fps", "0"], "--fps is 0; a number above 0 was wanted"),
        (["score", "CLIPS", "--mass-kg", "nan"], "--mass-kg is nan; a number above 0"),
        (["score", "CLIPS", "--frames-per-batch", "0"], "--frames-per-batch is 0"),
        (["score", "CLIPS", "--level-floor", "--floor", "0"], "--floor gives a level floor"),
        (["score", "CLIPS", "--surface", "mannequin"], "--surface is looked at by --self-penetr"),
        (["score", "CLIPS", "--preset", "paper", "--surface", "gone.npz"], "there is no gone.npz"),
        (["score", "CLIPS", "--self-penetration", "skin"], "invalid choice 'skin' for"),
        (["score", "CLIPS", "--devices", "0"], "--devices is 0; a number above 0 was wanted"),
        (["score", "CLIPS", "--devices", "999"], "--devices 999: JAX finds "),
        (["score", "CLIPS", "-o", ""], "-o is empty: a file or a folder was wanted"),
        (["score", "-"], "standard input (-) is not read; files or folders were wanted"),
        (["score", "EMPTY"], "no motion files in "),
        (["score", "gone.npz"], "there is no gone.npz"),
        (["explain", "gone.npz"], "gone.npz: there is no such file"),
        (["score", "CLIPS", "--backend", "warp"], "Expected one of ('fused', 'mjx')"),
        (["score", "CLIPS", "--fsp", "3"], "perhaps you meant --fps F; see phymotion-jax score"),
        (["explain"], "Missing from phymotion-jax explain: CLIP"),
        (["frobnicate"], "Unrecognized options: frobnicate; see phymotion-jax --help"),
        ([], "Expected one of {score, explain, convert-body, bench}"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(scorers, clips, tmp_path, capsys, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    folders = {"CLIPS": clips, "EMPTY": tmp_path / "empty"}
    argv = [folders.get(arg, arg) for arg in argv]
    code, out, err = command(capsys, *argv)
    assert (code, out) == (BAD_INPUT, "")
    assert err.startswith("phymotion-jax: ")
    assert err.count("\n") == 1
    assert message in err
    assert not any(scorer.shapes for scorer in scorers)


def test_interruption_says_where_the_rows_are(scorers, tmp_path, capsys, monkeypatch):
    def interrupted(self, batch):
        if self.shapes:
            raise KeyboardInterrupt
        return scored(self, batch)

    scored = FakeScorer.__call__
    monkeypatch.setattr(FakeScorer, "__call__", interrupted)
    paths = [write_clip(tmp_path / f"{i}.npz") for i in range(3)]
    argv = ["score", *paths, "-o", tmp_path / "scores.jsonl", "--frames-per-batch", "128"]
    code, _, err = command(capsys, *argv)
    partial = tmp_path / "scores.partial.jsonl"
    assert code == INTERRUPTED
    assert f"the rows of 1 of 3 clips are in {partial}" in err
    assert len(partial.read_text().splitlines()) == 1
    assert not (tmp_path / "scores.jsonl").exists()


def test_device_without_memory_is_one_line(scorers, clips, capsys, monkeypatch):
    def out_of_memory(self, batch):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    monkeypatch.setattr(FakeScorer, "__call__", out_of_memory)
    code, _, err = command(capsys, "score", clips)
    assert code == BAD_INPUT
    assert "--frames-per-batch" in err
    assert err.count("\n") == 1


def test_a_fault_of_the_program_has_a_code_of_its_own(scorers, clips, capsys, monkeypatch):
    """1 would say that some clips could not be scored, which jobs on clusters take for success."""

    def faulty(self, batch):
        raise RuntimeError("a fault")

    monkeypatch.setattr(FakeScorer, "__call__", faulty)
    code, _, err = command(capsys, "score", clips)
    assert (code, FAULT) == (70, 70)
    assert err.startswith("Traceback")
    assert "RuntimeError: a fault" in err


def test_a_reader_that_leaves_ends_it_quietly():
    """What is still to be flushed goes nowhere, so that nothing is said at exit either."""
    code = """
import sys
from phymotion_jax.cli import ended
def run():
    print("x" * 10)
    return 0
sys.exit(ended(run))
"""
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout and run.stderr
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == BROKEN_PIPE


def test_explain(scorers, clips, capsys):
    code, out, err = command(capsys, "explain", clips / "clip1.npz")
    assert (code, err) == (DONE, "")
    assert out.startswith(str(clips / "clip1.npz")[:70])
    assert "20 frames, 30 fps, 0.67 s" in out
    assert "con.ground_penetration" in out


def test_explain_a_clip_that_cannot_be_scored(scorers, clips, capsys):
    (clips / "bad.npz").write_text("not a clip")
    code, out, err = command(capsys, "explain", clips / "bad.npz")
    assert (code, out) == (SOME_FAILED, "")
    assert err == f"phymotion-jax: {clips / 'bad.npz'} cannot be scored: not a motion file\n"


def test_names_of_clips_without_their_folder(scorers, tmp_path, capsys):
    paths = []
    for name in ("run", "[red]walk"):
        (tmp_path / name).mkdir()
        paths.append(write_clip(tmp_path / name / "hmr4d_results.pt"))
    _, _, err = command(capsys, "score", *paths)
    assert "\nrun/hmr4d_results.pt" in err
    assert "\n[red]walk/hmr4d_results" in err


LONG_NAMES = [f"{'subfolder_' * 12}{k}/a_clip_with_a_long_name_{k}.npz" for k in range(2)]


def test_long_names_stay_whole_in_a_pipe(scorers, tmp_path, capsys):
    for name in LONG_NAMES:
        (tmp_path / name).parent.mkdir()
        write_clip(tmp_path / name)
    _, _, err = command(capsys, "score", *(tmp_path / name for name in LONG_NAMES))
    assert [line.split()[0] for line in err.splitlines()[1:3]] == LONG_NAMES


@pytest.mark.parametrize("columns", [80, 100])
def test_long_names_are_cut_at_their_beginnings_on_a_terminal(
    columns, scorers, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(Console, "is_terminal", True)
    for name in LONG_NAMES:
        (tmp_path / name).parent.mkdir()
        write_clip(tmp_path / name)
    _, _, err = command(capsys, "score", *(tmp_path / name for name in LONG_NAMES))
    for k, line in enumerate(err.splitlines()[1:3]):
        assert line.startswith("…")
        assert len(line) <= columns
        assert line.split()[0].endswith(f"name_{k}.npz")


def test_complaint_without_a_box_is_said_as_it_is():
    assert cli._one_line("Error: no such shell") == "Error: no such shell"


@pytest.mark.parametrize(
    ("jax_version", "before", "after"),
    [
        ("0.10.2", None, "--xla_cpu_use_fusion_emitters=false"),
        ("0.10.2", "--a=1", "--a=1 --xla_cpu_use_fusion_emitters=false"),
        ("0.10.2", "--xla_cpu_use_fusion_emitters=true", "--xla_cpu_use_fusion_emitters=true"),
        ("0.11.0", None, None),
        ("0.12.0.1", "--a=1", "--a=1"),
        ("1.0", None, None),
    ],
)
def test_flag_for_old_jax_only(monkeypatch, jax_version, before, after):
    """JAX 0.11 and later stop at the flag as unknown."""
    monkeypatch.setattr(cli, "version", lambda package: jax_version)
    # Set first: what was absent and is only deleted would not be taken away again afterwards.
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.delenv("XLA_FLAGS")
    if before is not None:
        monkeypatch.setenv("XLA_FLAGS", before)
    cli._set_xla_flags()
    assert cli.os.environ.get("XLA_FLAGS") == after
