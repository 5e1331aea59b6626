"""Clips in Parquet files: the same as the files, and what is not a clip."""

import io_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from io_files import refused

from phymotion_jax.errors import Status
from phymotion_jax.from_options import files_of
from phymotion_jax.io import find_motion_files, load_motion, parquet

KEYS = ["walks/a", "b", "b", None, "/etc/../c"]
NAMES = ["walks/a", "00000001/b", "00000002/b", "00000003", "c"]
"""As rows are found: keys as paths below the file, with numbers where they are not of one row."""


@pytest.fixture
def clips(rng):
    return [io_files.make_clip(rng, n_frames=n) for n in (9, 12, 7, 11, 8)]


def write(path, columns, **options):
    pq.write_table(pa.table(columns), path, **options)
    return path


def array_columns(clips):
    """As a list of rows a clip; its shape as one row, its rate as a number."""
    rows = [io_files.amass(clip) for clip in clips]
    columns = {name: [np.asarray(row[name]).tolist() for row in rows] for name in rows[0]}
    return {"__key__": KEYS, **columns, "video": [b"not looked at"] * len(clips)}


@pytest.fixture
def shard(tmp_path, clips):
    """Two clips a row group, so that there are three."""
    return write(tmp_path / "shard.parquet", array_columns(clips), row_group_size=2)


def assert_same(got, want):
    np.testing.assert_array_equal(got.root_pos, want.root_pos)
    np.testing.assert_array_equal(got.joint_quat, want.joint_quat)
    np.testing.assert_array_equal(got.betas, want.betas)
    assert got.fps == want.fps


def test_rows_are_clips(shard, clips, tmp_path):
    paths = find_motion_files(shard)
    assert paths == [shard / name for name in NAMES] == find_motion_files(tmp_path)
    for path, clip in zip(reversed(paths), reversed(clips), strict=True):  # whatever the order
        file = io_files.save(tmp_path / "a.npz", io_files.amass(clip))
        got = load_motion(path)
        assert_same(got, load_motion(file))
        assert (got.name, got.source) == (path.stem, "smplx-parquet")


def test_a_key_of_several_rows_names_none(shard):
    error = refused(shard / "b")
    assert error.status == Status.MISSING
    assert error.reason == "several rows are called so: 00000001/b, 00000002/b"
    assert refused(shard / "d").reason == "there is no such row in the Parquet file"


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        (["00000001", "00000000"], ["00000001", "00000000"]),
        (["00000001", None], ["00000000/00000001", "00000001"]),
        ([7, 7], ["00000000/7", "00000001/7"]),
    ],
)
def test_keys_that_are_numbers(tmp_path, keys, names):
    shard = write(tmp_path / "a.parquet", {"npz": [b"", b""], "key": keys})
    assert find_motion_files(shard) == [shard / name for name in names]


def test_a_row_may_be_named(shard):
    assert files_of([shard / NAMES[0]]) == [shard / NAMES[0]]


@pytest.mark.parametrize("dtype", [pa.float32(), pa.float16(), pa.float64()])
@pytest.mark.parametrize("layout", ["fixed", "large", "joints"])
def test_nested_in_other_ways(tmp_path, clips, dtype, layout):
    fields = {**io_files.amass(clips[0], 66), "fps": 30.0}
    fields["poses"] = fields["poses"].astype(np.float16)
    rows = fields["poses"].reshape((-1, 22, 3) if layout == "joints" else (-1, 66))
    inner = {
        "fixed": pa.list_(dtype, 66),
        "large": pa.large_list(dtype),
        "joints": pa.list_(pa.list_(dtype, 3)),
    }[layout]
    nested = pa.array([rows.tolist()], pa.list_(inner))
    columns = {name: [np.asarray(value).tolist()] for name, value in fields.items()}
    got = load_motion(write(tmp_path / "a.parquet", {**columns, "poses": nested}) / "00000000")
    assert_same(got, load_motion(io_files.save(tmp_path / "a.npz", fields)))


@pytest.mark.parametrize("layout", ["npz", "datasets"])
def test_rows_with_whole_files(tmp_path, clips, layout):
    files = [io_files.save(tmp_path / f"{k}.npz", io_files.amass(c)) for k, c in enumerate(clips)]
    data = [file.read_bytes() for file in files]
    if layout == "npz":
        columns = {"key": ["a", "b", "c", "d", "e"], "npz": data, "jpg": [b""] * 5}
    else:
        columns = {
            "motion": [{"bytes": d, "path": f.name} for d, f in zip(data, files, strict=True)]
        }
    shard = write(tmp_path / "shard.parquet", columns)
    for path, file in zip(find_motion_files(shard), files, strict=True):
        assert_same(load_motion(path), load_motion(file))


def test_a_row_group_is_read_once(shard, monkeypatch):
    reads = []

    class Counted(pq.ParquetFile):
        def read_row_group(self, i, *args, **kwargs):
            reads.append(i)
            return super().read_row_group(i, *args, **kwargs)

    monkeypatch.setattr(parquet.pq, "ParquetFile", Counted)
    for path in find_motion_files(shard):
        load_motion(path)
    assert reads == [0, 1, 2]


def test_a_file_that_changes_is_read_anew(shard, clips):
    load_motion(shard / "c")
    columns = array_columns(clips)
    write(shard, {**columns, "__key__": ["c", "x", "y", "z", "w"]})
    assert load_motion(shard / "c").n_frames == 9
    assert refused(shard / "walks/a").status == Status.MISSING


def test_tables_of_scores_are_passed_over(shard, tmp_path):
    scores = write(tmp_path / "scores.parquet", {"path": ["a"], "reward": [0.5]})
    assert find_motion_files(tmp_path) == find_motion_files(shard)
    assert find_motion_files(scores) == [scores]
    assert refused(scores).reason.startswith("its columns are path, reward; clips were wanted")


def test_the_file_itself_is_no_clip(shard):
    assert (
        refused(shard).reason
        == "a Parquet file of 5 rows; one clip was wanted, as shard.parquet/key"
    )
    assert refused(shard / "gone").reason == "there is no such row in the Parquet file"


ROW = [0.0] * 66
NUMBERS = pa.list_(pa.list_(pa.float32()))
WRONG = {
    "ragged": ([ROW, ROW, ROW[:65]], NUMBERS, Status.BAD_SHAPE, "poses has rows of several"),
    "text": ([["a"] * 66] * 3, None, Status.BAD_SHAPE, "poses is of list<"),
    "flat": (ROW[:3], None, Status.BAD_SHAPE, "poses is (3,) float64"),
    "null": (None, NUMBERS, Status.UNREADABLE, "no poses or pose_body or body_pose in it"),
    "hole": ([ROW, ROW, [None] * 66], NUMBERS, Status.NOT_FINITE, ""),
}


@pytest.mark.parametrize("poses, kind, status, reason", WRONG.values(), ids=WRONG.keys())
def test_rows_that_are_no_clips_say_why(tmp_path, poses, kind, status, reason):
    columns = {"poses": pa.array([poses], kind), "trans": [[[0.0] * 3] * 3], "fps": [30.0]}
    error = refused(write(tmp_path / "a.parquet", columns) / "00000000")
    assert error.status == status
    assert error.reason.startswith(reason)


def test_an_empty_file_in_a_row(tmp_path):
    shard = write(tmp_path / "a.parquet", {"npz": pa.array([None], pa.binary())})
    assert refused(shard / "00000000").reason == "npz is empty in this row"


def test_keys_that_lead_elsewhere_are_names(tmp_path, clips):
    """Beside the file that they would be, were they unpacked."""
    io_files.save(tmp_path / "walk.npz", io_files.amass(clips[4]))
    keys = ["../walk.npz", "walk.npz", "a", "b", "c"]
    shard = write(tmp_path / "shard.parquet", {**array_columns(clips), "__key__": keys})
    assert find_motion_files(tmp_path) == [*(shard / key for key in keys), tmp_path / "walk.npz"]
    assert load_motion(shard / "../walk.npz").n_frames == 9


@pytest.mark.parametrize("name", ["poses", "__key__"])
def test_two_columns_of_one_name_are_refused(tmp_path, clips, name):
    columns = array_columns(clips)
    names, arrays = [*columns, name], [*columns.values(), columns[name]]
    shard = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(x) for x in arrays], names), shard)
    assert find_motion_files(shard) == [shard]
    assert refused(shard).reason == f"several columns are called {name}; one was wanted"


@pytest.mark.parametrize("kind", ["text", "cut", "garbled"])
def test_damaged_files_are_reported(shard, tmp_path, kind):
    data = bytearray(shard.read_bytes())
    if kind == "garbled":  # in the first pages: the footer is whole, and so is the list of rows
        data[4:400] = bytes(396)
    bad = tmp_path / "bad.parquet"
    bad.write_bytes({"text": b"no parquet", "cut": data[:300], "garbled": data}[kind])
    found = find_motion_files(bad)
    assert found == [bad] or kind == "garbled"
    error = refused(found[0])
    assert (error.status, error.reason[:22]) == (Status.UNREADABLE, "a damaged Parquet file")


def test_row_groups_beyond_memory_are_refused(shard, monkeypatch):
    parquet._row_group.cache_clear()
    monkeypatch.setattr(parquet, "MAX_GROUP_BYTES", 1000)
    assert "write fewer rows a group" in refused(shard / "c").reason
