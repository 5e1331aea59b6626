"""AMASS, SMPL-X and gvhmr `.npz` files, and the finding of files in folders."""

import os

import io_files
import numpy as np
import pytest
from io_files import refused
from scipy.spatial.transform import Rotation

from phymotion_jax.body.template import default_template
from phymotion_jax.errors import Status, UnknownNameError
from phymotion_jax.io import find_motion_files, load_motion
from phymotion_jax.io.npy import parse_npy

ATOL = 2e-6
"""float32 positions of about a metre, and unit quaternions."""

X_TO_Y_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""-90° about x: from z up to y up, (x, y, z) -> (x, z, -y)."""


@pytest.fixture
def clip(rng):
    return io_files.make_clip(rng)


def assert_same(a, b):
    np.testing.assert_allclose(a.root_pos, b.root_pos, atol=ATOL)
    np.testing.assert_allclose(np.abs((a.joint_quat * b.joint_quat).sum(-1)), 1.0, atol=ATOL)
    np.testing.assert_allclose(a.betas, b.betas, atol=ATOL)


def turned_to_y_up(clip):
    """The same motion in a y-up world: the pelvis turns, its place in the body's frame does not."""
    template = default_template()
    pelvis = template.joint_mean[0] + template.joint_dirs[0] @ clip["betas"]
    turn = Rotation.from_matrix(X_TO_Y_UP)
    orient = (turn * Rotation.from_rotvec(clip["global_orient"])).as_rotvec()
    transl = turn.apply(clip["transl"] + pelvis) - pelvis
    return {**clip, "transl": transl, "global_orient": orient}


@pytest.mark.parametrize("width", [66, 72, 156, 165])
@pytest.mark.parametrize("n_betas", [10, 16])
@pytest.mark.parametrize("rate", ["mocap_framerate", "mocap_frame_rate", "fps"])
def test_amass(tmp_path, clip, width, n_betas, rate):
    betas = np.concatenate([clip["betas"], np.full(n_betas - 10, 9.0)])
    fields = io_files.amass(clip, width, betas=betas)
    fields[rate] = fields.pop("mocap_framerate") * 0.999
    motion = load_motion(io_files.save(tmp_path / "a.npz", fields))
    assert motion.n_frames == io_files.N_FRAMES
    assert motion.fps == 29.97
    assert np.isnan(motion.mass_kg)
    assert (motion.name, motion.source) == ("a", "smplx-npz")
    np.testing.assert_array_equal(motion.betas, clip["betas"])


SPLIT = {
    "amass": ("root_orient", "pose_body", "trans"),
    "smplx": ("global_orient", "body_pose", "transl"),
}


@pytest.mark.parametrize("names", SPLIT.values(), ids=SPLIT.keys())
@pytest.mark.parametrize("layout", ["flat", "joints", "smpl"])
def test_split_keys_are_the_same_clip(tmp_path, clip, names, layout):
    body = clip["body_pose"]
    body = {
        "flat": body,
        "joints": body.reshape(-1, 21, 3),
        "smpl": np.concatenate([body, np.ones((len(body), 6))], axis=1),
    }[layout]
    arrays = (clip["global_orient"], body, clip["transl"])
    fields = {**dict(zip(names, arrays, strict=True)), "betas": clip["betas"], "fps": 30}
    split = load_motion(io_files.save(tmp_path / "split.npz", fields))
    assert_same(split, load_motion(io_files.save(tmp_path / "whole.npz", io_files.amass(clip))))


def test_frame_rate_under_two_names(tmp_path, clip):
    """Of one value, which may be rounded."""
    rates = {"mocap_framerate": 29.97, "mocap_frame_rate": np.float32(29.97)}
    path = io_files.save(tmp_path / "a.npz", io_files.amass(clip, **rates))
    assert load_motion(path).fps == 29.97


@pytest.mark.parametrize("fps", [np.int64(30), np.array([30.0]), np.float16(30), "given"])
def test_frame_rate(tmp_path, clip, fps):
    given = isinstance(fps, str)
    fields = io_files.amass(clip, mocap_framerate=None if given else fps)
    motion = load_motion(io_files.save(tmp_path / "a.npz", fields), fps=30.0 if given else None)
    assert motion.fps == 30.0


@pytest.mark.parametrize("rows", [1, io_files.N_FRAMES])
def test_betas_of_every_frame_are_averaged(tmp_path, clip, rows):
    wave = np.linspace(-0.1, 0.1, rows)[:, None] if rows > 1 else 0.0
    fields = io_files.amass(clip, betas=clip["betas"] + wave + np.zeros((rows, 10)))
    motion = load_motion(io_files.save(tmp_path / "a.npz", fields))
    np.testing.assert_allclose(motion.betas, clip["betas"], atol=ATOL)


def test_no_betas_is_the_mean_body(tmp_path, clip):
    motion = load_motion(io_files.save(tmp_path / "a.npz", io_files.amass(clip, betas=None)))
    assert not motion.betas.any()


def test_mass(tmp_path, clip):
    path = io_files.save(tmp_path / "a.npz", io_files.amass(clip, mass_kg=62.6))
    assert load_motion(path).mass_kg == 62.6
    assert load_motion(path, mass_kg=70.0).mass_kg == 70.0


def test_objects_that_are_not_needed_do_no_harm(tmp_path, clip):
    """AMASS pickles its gender; some files pickle far more."""
    fields = io_files.amass(
        clip, gender=np.array("female", dtype=object), markers=np.array([{}, 1], dtype=object)
    )
    path = io_files.save(tmp_path / "a.npz", fields)
    assert_same(
        load_motion(path), load_motion(io_files.save(tmp_path / "b.npz", io_files.amass(clip)))
    )


def test_gvhmr_package(tmp_path, clip):
    """The keys that `MotionResult.save_npz` writes; y up, and the same clip as z up in AMASS."""
    turned = turned_to_y_up(clip)
    rows = {**turned, "betas": np.tile(turned["betas"], (io_files.N_FRAMES, 1))}
    fields = {f"world_{name}": array for name, array in rows.items()}
    fields |= {f"camera_{name}": np.zeros_like(array) for name, array in rows.items()}
    fields |= {"fps": 30.0, "camera": "simplevo", "intrinsics": np.zeros((io_files.N_FRAMES, 3, 3))}
    motion = load_motion(io_files.save(tmp_path / "g.npz", fields))
    assert (motion.fps, motion.source) == (30.0, "gvhmr-npz")
    assert_same(motion, load_motion(io_files.save(tmp_path / "a.npz", io_files.amass(clip))))


def test_up_overrides_the_file(tmp_path, clip):
    z_up = load_motion(io_files.save(tmp_path / "z.npz", io_files.amass(clip)))
    path = io_files.save(tmp_path / "y.npz", io_files.amass(turned_to_y_up(clip)))
    assert_same(z_up, load_motion(path, up="y"))
    with pytest.raises(UnknownNameError, match="there are y, z"):
        load_motion(path, up="Y")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
def test_array_layouts(tmp_path, clip, compressed, order, dtype):
    fields = io_files.amass(clip)
    for name in ("poses", "trans", "betas"):
        fields[name] = np.asarray(fields[name].astype(np.float16).astype(dtype), order=order)
    plain = {**fields, "trans": fields["trans"].astype(np.float64)}
    with (tmp_path / "a.npz").open("wb") as file:
        (np.savez_compressed if compressed else np.savez)(file, **fields)
    motion = load_motion(tmp_path / "a.npz")
    assert_same(motion, load_motion(io_files.save(tmp_path / "b.npz", plain)))


def test_header_of_python_2():
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2L, 1L), }\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    np.testing.assert_array_equal(parse_npy("a", start + header + bytes(16)), np.zeros((2, 1)))


EMPTY = np.zeros((0, 3))
BAD_FIELDS = {
    "no poses": ({"poses": None}, Status.UNREADABLE, "no poses or pose_body or body_pose"),
    "no trans": ({"trans": None}, Status.UNREADABLE, "no trans or transl in it; it holds betas"),
    "no rate": ({"mocap_framerate": None}, Status.FPS_UNKNOWN, "--fps"),
    "fps 0": ({"mocap_framerate": 0}, Status.BAD_FPS, "0"),
    "fps -1": ({"mocap_framerate": -1.0}, Status.BAD_FPS, "-1"),
    "fps nan": ({"mocap_framerate": np.nan}, Status.BAD_FPS, "nan"),
    "two fps": (
        {"mocap_frame_rate": 60},
        Status.BAD_FPS,
        "mocap_framerate of 30 and mocap_frame_rate of 60; one was wanted, or --fps",
    ),
    "fps text": ({"mocap_framerate": "30"}, Status.BAD_SHAPE, "mocap_framerate holds '<U2'"),
    "two rates": ({"mocap_framerate": np.ones(2)}, Status.BAD_SHAPE, "mocap_framerate is (2,)"),
    "rate of truths": ({"mocap_framerate": True}, Status.BAD_SHAPE, "mocap_framerate is () bool"),
    "mass of truths": ({"mass_kg": True}, Status.BAD_SHAPE, "mass_kg is () bool, one number"),
    "width": (
        {"poses": np.zeros((6, 64))},
        Status.BAD_SHAPE,
        "poses is (6, 64)",
    ),
    "one axis": ({"poses": np.zeros(66)}, Status.BAD_SHAPE, "poses is (66,)"),
    "trans in 2D": (
        {"trans": np.zeros((6, 2))},
        Status.BAD_SHAPE,
        "(frames, 3) of numbers",
    ),
    "lengths": ({"trans": np.zeros((5, 3))}, Status.BAD_SHAPE, "5 frames of translation, 6 of"),
    "objects": ({"poses": np.array([{}])}, Status.UNSAFE, "poses holds pickled objects"),
    "objects for betas": ({"betas": np.array([{}])}, Status.UNSAFE, "betas holds pickled objects"),
    "texts": ({"trans": np.array(["a"])}, Status.BAD_SHAPE, "trans holds '<U1'"),
    "complex": ({"trans": np.zeros(3, complex)}, Status.BAD_SHAPE, "trans holds '<c16'"),
    "records": ({"trans": np.zeros(3, "f4,f4")}, Status.BAD_SHAPE, "trans holds 'records'"),
    "nan": ({"trans": np.full((6, 3), np.nan)}, Status.NOT_FINITE, "6 of 6 frames, first on 0"),
    "millimetres": ({"trans": np.full((6, 3), 900.0)}, Status.BAD_UNITS, "metres were wanted"),
    "degrees": ({"poses": np.full((6, 72), 180.0)}, Status.BAD_ROTATION, "180 rad"),
    "betas in 3D": ({"betas": np.zeros((1, 1, 10))}, Status.BAD_SHAPE, "betas is (1, 1, 10)"),
    "betas of others": ({"betas": np.zeros((5, 10))}, Status.BAD_SHAPE, "one row or 6 rows"),
    "no frames": ({"poses": np.zeros((0, 72)), "trans": EMPTY}, Status.EMPTY, "no frames"),
    "no frames, betas": (
        {"poses": np.zeros((0, 72)), "trans": EMPTY, "betas": np.zeros((0, 10))},
        Status.BAD_SHAPE,
        "betas is (0, 10)",
    ),
    "one frame": (
        {"poses": np.zeros((1, 72)), "trans": np.zeros((1, 3))},
        Status.TOO_SHORT,
        "1 frames",
    ),
    "mass": ({"mass_kg": -3.0}, Status.BAD_UNITS, "mass_kg of -3"),
}


@pytest.mark.parametrize("bad", BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_refuses(tmp_path, clip, bad):
    fields, status, reason = bad
    error = refused(io_files.save(tmp_path / "bad.npz", io_files.amass(clip) | fields))
    assert error.status == status
    assert reason in error.reason


def test_frame_rate_of_the_caller_is_checked_too(tmp_path, clip):
    path = io_files.save(tmp_path / "a.npz", io_files.amass(clip))
    assert refused(path, fps=0.0).status == Status.BAD_FPS


def test_finds(tmp_path, clip):
    """Candidates by content or by suffix, sorted, once; hidden ones and other files left out."""
    (tmp_path / "b" / "deep").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    for name in ("b/deep/no suffix", "b/a.npz", ".hidden/x.npz", "b/.x.npz"):
        io_files.save(tmp_path / name, io_files.amass(clip))
    for name in ("broken.NPZ", "c.pkl", "notes.txt", "b/d.pt", "empty"):
        (tmp_path / name).write_bytes(b"" if name == "empty" else b"some text")
    os.symlink(tmp_path, tmp_path / "b" / "loop")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling.pth")
    os.mkfifo(tmp_path / "pipe")
    found = find_motion_files([tmp_path, tmp_path / "b", tmp_path / "b" / "a.npz"])
    names = ["b/a.npz", "b/d.pt", "b/deep/no suffix", "broken.NPZ", "c.pkl", "dangling.pth"]
    assert found == [tmp_path / name for name in names]
    assert find_motion_files(tmp_path) == found


def test_links_to_one_file_are_files_of_their_own(tmp_path, clip, monkeypatch):
    """As DVC and caches lay them out. One path is one row, however it is written."""
    (tmp_path / "store").mkdir()
    io_files.save(tmp_path / "store" / "blob", io_files.amass(clip))
    folder = tmp_path / "clips"
    folder.mkdir()
    names = [folder / name for name in ("A.npz", "B.npz", "C.npz")]
    for name in names:
        name.symlink_to(tmp_path / "store" / "blob")
    assert find_motion_files(folder) == names
    assert find_motion_files([*names, folder]) == names
    monkeypatch.chdir(tmp_path)
    assert find_motion_files([folder, "clips/A.npz", "clips/../clips/B.npz"]) == names


def test_a_closed_folder_is_told(tmp_path, clip, monkeypatch):
    """It stands in the list itself, and its row says why. Feigned: root may read everything."""
    closed = tmp_path / "closed"
    closed.mkdir()
    io_files.save(tmp_path / "open.npz", io_files.amass(clip))
    scan = os.scandir

    def refuse(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: os.fspath(path) != str(closed))
    assert find_motion_files(tmp_path) == [closed, tmp_path / "open.npz"]
    assert "may not be read" in refused(closed).reason


def test_what_is_named_stays(tmp_path):
    """In the order given, whatever it is: it becomes a row that says so."""
    (tmp_path / "notes.txt").write_text("some text")
    given = [tmp_path / "zzz", tmp_path / "notes.txt", tmp_path / ".hidden"]
    assert find_motion_files([*given, given[0]]) == given
    assert find_motion_files(str(given[0])) == given[:1]
    assert refused(given[0]).status == Status.MISSING
    assert refused(given[1] / "below a file").status == Status.MISSING


def test_real_clips_load(shared):
    files = find_motion_files(shared / "clips")
    assert len(files) == 36
    motions = [load_motion(file) for file in files]
    walk = motions[[file.stem for file in files].index("asap_walk_level1")]
    assert (walk.n_frames, walk.fps) == (152, 30.0)
    assert {m.fps for m in motions if m.name.startswith("asap")} == {30.0}
    for motion, file in zip(motions, files, strict=True):
        with np.load(file) as fields:
            assert motion.n_frames == len(fields["poses"])
            assert motion.fps == fields["mocap_framerate"]


def test_real_laboratory_clips_load(shared):
    motions = [load_motion(file) for file in find_motion_files(shared / "grf")]
    assert [m.n_frames for m in motions] == [143, 109, 1346, 131, 131, 139]
    assert all(abs(m.fps - 100.0) < 1e-9 and 50.0 < m.mass_kg < 70.0 for m in motions)
