"""The table of scores: what is in a row, and that every format holds the same."""

import json
import math
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from fakes import make_motion, make_report

from phymotion_jax import table
from phymotion_jax.errors import PhyMotionError, Status
from phymotion_jax.options import BAD_INPUT
from phymotion_jax.presets import PAPER, REFERENCE

PARTS, SCHEMA = PAPER.parts, table.schema_of(PAPER)
FIRST_COLUMNS = ["path", "status", "reason", "frames", "fps", "reward", *PAPER.axes, *PARTS]


@pytest.fixture
def rows(rng):
    """Two scored clips, one that the score refused, one that could not be loaded."""
    status = np.array([Status.OK, Status.NOT_FINITE, Status.OK], np.int32)
    report = make_report(3, 20, rng, status=status)
    motions = [make_motion(20, fps=fps) for fps in (30.0, 29.97, 120.0)]
    scored = table.report_rows(report, ["a.npz", "dir/b,c.npz", 'd "e".npz'], motions)
    return [*scored, table.empty_row("f.npz", Status.MISSING, "no\nsuch file")]


def write(target, rows):
    with table.open_table(str(target), SCHEMA) as add:
        for row in rows:
            add(row)


def read(path):
    if path.suffix.lower() == ".parquet":
        return pq.read_table(path)
    if path.suffix.lower() == ".csv":
        types = dict(zip(SCHEMA.names, SCHEMA.types, strict=True))
        options = pa_csv.ConvertOptions(
            column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        parse = pa_csv.ParseOptions(newlines_in_values=True)
        return pa_csv.read_csv(path, convert_options=options, parse_options=parse)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(list(line) == SCHEMA.names for line in lines)
    return pa.Table.from_pylist(lines, schema=SCHEMA)


def whole(rows):
    """Rows with null in every column that they leave out."""
    return [{name: row.get(name) for name in SCHEMA.names} for row in rows]


def test_columns():
    assert SCHEMA.names[: len(FIRST_COLUMNS)] == FIRST_COLUMNS
    rest = ["activity", "floor_height"]
    rest += [name for part in PARTS for name in (f"{part}.frame", f"{part}.joint")]
    assert SCHEMA.names[len(FIRST_COLUMNS) :] == [*rest, "self_penetration.method"]


def test_columns_of_another_preset():
    names = table.schema_of(REFERENCE).names
    assert names[5:9] == ["reward", *PAPER.axes]
    assert names[9:20] == list(REFERENCE.parts[:11])
    assert {"reference.v_slip", "reference.MET", "dyn.balance.frame"} <= set(names)
    assert len(names) == len(set(names))


def test_row_says_what_the_report_says(rng):
    report = make_report(2, 20, rng)
    row = table.report_rows(report, ["a", "b"], [make_motion(20), make_motion(20)])[1]
    assert list(row) == SCHEMA.names
    assert (row["path"], row["status"], row["reason"]) == ("b", "ok", None)
    assert (row["frames"], row["fps"]) == (20, 30.0)
    assert np.float32(row["reward"]) == report.reward[1]
    assert np.float32(row["con.slip"]) == report.parts["con.slip"][1]
    assert row["dyn.grf.frame"] == report.worst_frame["dyn.grf"][1]
    assert row["dyn.grf.joint"] == report.worst_joint_name("dyn.grf", 1)
    assert row["self_penetration.method"] == "capsules"


def test_numbers_are_short(rng):
    report = replace(make_report(1, 20, rng), reward=np.array([0.3], np.float32))
    (row,) = table.report_rows(report, ["a"], [make_motion(20)])
    assert row["reward"] == 0.3


def test_padding_has_no_row(rng):
    assert len(table.report_rows(make_report(4, 20, rng), ["a"], [make_motion(20)])) == 1


def test_clip_without_scores_has_nulls(rows):
    refused, missing = rows[1], rows[3]
    assert (refused["status"], refused["frames"], refused["fps"]) == ("not_finite", 20, 29.97)
    assert refused["reason"] == "NaN or infinity on a real frame"
    assert (missing["status"], missing["frames"], missing["fps"]) == ("missing", None, None)
    for row in (refused, missing):
        assert not any(row.get(name) for name in SCHEMA.names[5:])


def test_no_worst_frame_is_null(rng):
    report = make_report(1, 20, rng)
    nowhere = {part: np.array([-1], np.int32) for part in PARTS}
    report = replace(report, worst_frame=nowhere, worst_link=nowhere)
    (row,) = table.report_rows(report, ["a"], [make_motion(20)])
    assert row["con.float.frame"] is None
    assert row["con.float.joint"] is None


def test_not_a_number_is_null(rng):
    report = replace(make_report(2, 20, rng), activity=np.array([np.nan, np.inf], np.float32))
    rows = table.report_rows(report, ["a", "b"], [make_motion(20)] * 2)
    assert [row["activity"] for row in rows] == [None, None]


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl", "Parquet", "CSV"])
def test_round_trip(tmp_path, rows, ending):
    path = tmp_path / f"scores.{ending}"
    write(path, rows)
    back = read(path)
    assert back.schema.types == SCHEMA.types
    assert back.to_pylist() == whole(rows)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("n_rows", [0, 3], ids=["none", "all_null"])
def test_empty_columns_keep_their_type(tmp_path, ending, n_rows):
    path = tmp_path / f"scores.{ending}"
    rows = [table.empty_row(f"{i}.npz", Status.EMPTY, "no frames") for i in range(n_rows)]
    write(path, rows)
    back = read(path)
    assert back.schema.types == SCHEMA.types
    assert back.to_pylist() == whole(rows)


def test_parquet_is_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "ROWS_PER_GROUP", 4)
    path = tmp_path / "scores.parquet"
    write(path, [table.empty_row(str(i), Status.EMPTY, None) for i in range(10)])
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [4, 4, 2]


def test_json_lines_on_stdout(capsys, rows):
    write("-", rows)
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == whole(rows)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_unfinished_table_has_another_name(tmp_path, rows, ending):
    target = tmp_path / f"scores.{ending}"
    with pytest.raises(KeyboardInterrupt), table.open_table(str(target), SCHEMA) as add:
        add(rows[0])
        raise KeyboardInterrupt
    assert not target.exists()
    assert read(tmp_path / f"scores.partial.{ending}").to_pylist() == whole(rows[:1])


def test_unfinished_tables_stay_when_one_begins_anew(tmp_path, rows):
    """A second run that ends as early, and a third that does not, cost the first's rows nothing."""
    for n_rows in (2, 1):
        with (
            pytest.raises(KeyboardInterrupt),
            table.open_table(str(tmp_path / "a.jsonl"), SCHEMA) as add,
        ):
            for row in rows[:n_rows]:
                add(row)
            raise KeyboardInterrupt
    write(tmp_path / "a.jsonl", rows)
    kept = {path.name: len(path.read_text().splitlines()) for path in tmp_path.iterdir()}
    assert kept == {"a.partial.jsonl": 2, "a.partial.2.jsonl": 1, "a.jsonl": 4}


@pytest.fixture
def no_room():
    """Files end after 64 KB, as on a disk that fills; `SIGXFSZ` is ignored by Python."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("group", [1, 10_000], ids=["in_a_row", "at_close"])
def test_disk_that_fills(tmp_path, ending, group, monkeypatch, no_room, rng):
    monkeypatch.setattr(table, "ROWS_PER_GROUP", group)
    names = rng.bytes(200 * 1000).hex()
    rows = [table.empty_row(names[i : i + 400], Status.EMPTY, None) for i in range(0, 400_000, 400)]
    with pytest.raises(table.OutputError, match=r"cannot write .*scores\.\w+: File too large"):
        write(tmp_path / f"scores.{ending}", rows)
    assert not (tmp_path / f"scores.{ending}").exists()


def test_name_that_is_taken_meanwhile(tmp_path, rows):
    target = tmp_path / "scores.jsonl"
    with (
        pytest.raises(table.OutputError, match=r"cannot write .*scores.jsonl: Is a directory"),
        table.open_table(str(target), SCHEMA) as add,
    ):
        add(rows[0])
        target.mkdir()
    assert len((tmp_path / "scores.partial.jsonl").read_text().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_stdout_that_is_full():
    code = """
import sys
from phymotion_jax import table
from phymotion_jax.cli import ended
from phymotion_jax.errors import Status
from phymotion_jax.presets import PAPER
def run():
    with table.open_table("-", table.schema_of(PAPER)) as add:
        add(table.empty_row("a", Status.EMPTY, None))
    return 0
sys.exit(ended(run))
"""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr == "phymotion-jax: cannot write stdout: No space left on device\n"
    assert done.returncode == BAD_INPUT


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_unfinished_table_without_rows_leaves_nothing(tmp_path, ending):
    with pytest.raises(KeyboardInterrupt), table.open_table(str(tmp_path / f"a.{ending}"), SCHEMA):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_finished_table_replaces_the_old_one(tmp_path, rows):
    target = tmp_path / "scores.jsonl"
    write(target, rows)
    write(target, rows[:1])
    assert [path.name for path in tmp_path.iterdir()] == ["scores.jsonl"]
    assert read(target).to_pylist() == whole(rows[:1])


@pytest.mark.parametrize(
    "name", ["scores", "scores.xlsx", "scores.parquet.gz", ".parquet", "run.v2"]
)
def test_unknown_ending(tmp_path, name):
    told = r"\.parquet, \.csv, \.jsonl, or - for .* ends with /"
    with (
        pytest.raises(table.OutputError, match=told),
        table.open_table(str(tmp_path / name), SCHEMA),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there(tmp_path):
    target = tmp_path / "no" / "scores.csv"
    with pytest.raises(PhyMotionError, match="No such file"), table.open_table(str(target), SCHEMA):
        pass


def test_folder_of_that_name(tmp_path):
    target = tmp_path / "scores.csv"
    target.mkdir()
    with pytest.raises(PhyMotionError, match="a folder of that name"):
        write(target, [])


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_file_name_that_is_not_utf8(tmp_path, ending):
    path = tmp_path / f"scores.{ending}"
    write(path, [table.empty_row(f"{c}.npz", Status.MISSING, c) for c in ("\udcff", "\udcfe")])
    rows = read(path).to_pylist()
    assert [row["path"] for row in rows] == [r"\xff.npz", r"\xfe.npz"]
    assert [row["reason"] for row in rows] == [r"\xff", r"\xfe"]


def test_tally(rows):
    tally = table.Tally(n_first=2)
    for row in rows:
        tally.add(row)
    assert (tally.n_rows, tally.n_scored) == (4, 2)
    assert tally.first == rows[:2]
    assert tally.failures == {"not_finite": 1, "missing": 1}
    assert tally.examples["missing"]["path"] == "f.npz"
    mean, middle = tally.averages()["reward"]
    assert math.isclose(mean, (rows[0]["reward"] + rows[2]["reward"]) / 2)
    assert math.isclose(middle, mean)


def test_tally_of_nothing_scored():
    tally = table.Tally(n_first=2)
    tally.add(table.empty_row("a", Status.EMPTY, "no frames"))
    assert tally.averages() == {}
