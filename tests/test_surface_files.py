"""Where bodies are found, what is said when they are not, and their conversion."""

import pickle
import re
import sys

import jax
import numpy as np
import pytest
from random_body import KINDS, random_body, save

from phymotion_jax import PhyMotionError
from phymotion_jax.body.convert import convert_body
from phymotion_jax.body.smpl_files import read_smpl
from phymotion_jax.body.surface_files import FOLDERS_VARIABLE, load_surface
from phymotion_jax.cli import main
from phymotion_jax.errors import BodyNotFoundError, ModelError, UnknownNameError

each_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """A home without bodies."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(FOLDERS_VARIABLE, raising=False)
    return tmp_path / "cache" / "phymotion-jax" / "bodies"


def write(path, **changes):
    """A random SMPL-X file, or one that is not quite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = random_body("smplx") | changes
    return save(path, {name: array for name, array in arrays.items() if array is not None})


def assert_same(a, b):
    assert a.topology.digest == b.topology.digest
    jax.tree.map(np.testing.assert_array_equal, a.replace(topology=b.topology), b)


# --- where files are looked for -------------------------------------------------------------------


def test_folders_are_searched_in_order(tmp_path, monkeypatch, empty_cache):
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{first}:{second}")
    places = [
        write(empty_cache / "smplx-neutral.npz"),
        write(second / "smplx" / "SMPLX_NEUTRAL.npz", v_template=np.zeros((200, 3))),
        write(first / "SMPLX_NEUTRAL.npz", v_template=np.ones((200, 3))),
    ]
    for k, path in enumerate(places):
        for later in places[k + 1 :]:
            later.rename(later.with_suffix(".away"))
        assert_same(load_surface("smplx-neutral"), load_surface(path))
        for later in places[k + 1 :]:
            later.with_suffix(".away").rename(later)


def test_the_error_lists_the_places(tmp_path, monkeypatch, empty_cache):
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    with pytest.raises(BodyNotFoundError) as caught:
        load_surface("smplh-male")
    names = ("smplh-male.npz", "SMPLH_MALE.npz", "smplh/SMPLH_MALE.npz")
    places = [str(folder / name) for folder in (tmp_path, empty_cache) for name in names]
    assert re.search(".*".join(map(re.escape, places)), str(caught.value))
    assert FOLDERS_VARIABLE in str(caught.value)


def test_a_pickle_is_named_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path))
    (tmp_path / "SMPL_FEMALE.pkl").write_bytes(b"")
    for body in ("smpl-female", tmp_path / "SMPL_FEMALE.pkl"):
        with pytest.raises(ModelError, match=r"convert-body \S*SMPL_FEMALE.pkl"):
            load_surface(body)


def test_unknown_names(tmp_path):
    with pytest.raises(UnknownNameError, match="no body 'smplxx'; there are mannequin, smplx-"):
        load_surface("smplxx")
    with pytest.raises(BodyNotFoundError, match="there is no"):
        load_surface(tmp_path / "smplx-neutral.npz")


def test_a_changed_file_is_read_again(tmp_path):
    path = write(tmp_path / "body.npz")
    before = load_surface(path)
    assert load_surface(path) is before
    write(path, v_template=random_body("smplx")["v_template"] + np.float32(0.01))
    assert load_surface(path) is not before


def test_correctives_may_be_missing(tmp_path):
    """A file without them is one whose pose moves nothing but the links."""
    nothing = np.zeros((200, 3, 0), np.float32)
    without = load_surface(write(tmp_path / "without.npz", posedirs=None))
    assert_same(load_surface(write(tmp_path / "empty.npz", posedirs=nothing)), without)
    whole = load_surface(write(tmp_path / "whole.npz"))
    assert whole.pose_dirs.shape[-1] > 0
    assert_same(whole.replace(pose_dirs=jax.numpy.zeros(without.pose_dirs.shape)), without)


# --- files that are none --------------------------------------------------------------------------

HANGS_WRONG = random_body("smplx")["kintree_table"].copy()
HANGS_WRONG[0, 4] = 0  # the knee on the pelvis


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": None, "f": None}, "no f, weights in it; it holds J_regressor"),
        ({"J_regressor": np.array([{}], object)}, "J_regressor holds pickled objects"),
        ({"J_regressor": np.zeros((23, 200))}, "SMPL has 24 joints, SMPL-H 52, SMPL-X 55"),
        ({"shapedirs": np.zeros((200, 3, 9))}, r"shapedirs is \(200, 3, 9\), \(200, 3, 10\)"),
        ({"posedirs": np.zeros((200, 3, 207))}, r"posedirs is .* \(200, 3, 486\) was wanted"),
        ({"weights": np.zeros(())}, r"weights is \(\), \(200, 55\) was wanted"),
        ({"weights": np.zeros((200, 55))}, "weights of a vertex do not add up to one"),
        ({"v_template": np.full((200, 3), np.nan)}, "v_template holds other things"),
        ({"f": np.full((5, 3), 200)}, "f names vertices that are not among the 200"),
        ({"kintree_table": HANGS_WRONG}, "joint 4 hangs on 0; SMPL's tree was wanted"),
    ],
)
def test_what_is_no_model(changes, said, tmp_path):
    path = write(tmp_path / "body.npz", **changes)
    with pytest.raises(ModelError, match=f"body.npz is no body model that can be read: .*{said}"):
        load_surface(path)


def test_what_is_no_archive(tmp_path):
    path = tmp_path / "body.npz"
    path.write_bytes(b"hello")
    with pytest.raises(ModelError, match="damaged zip archive"):
        load_surface(path)


# --- conversion -----------------------------------------------------------------------------------


@each_kind
def test_converted_is_the_same(kind, tmp_path, empty_cache, capsys):
    """By the command, to where it is found by name; and once more, which changes nothing."""
    source = save(tmp_path / f"{kind.upper()}_NEUTRAL.npz", random_body(kind))
    assert main(["convert-body", str(source)]) == 0
    written = empty_cache / f"{kind}-neutral.npz"
    assert f"wrote {written}" in capsys.readouterr().err
    assert len(read_smpl(written).J_regressor) == 24
    assert_same(load_surface(f"{kind}-neutral"), load_surface(source))
    again = convert_body(written, tmp_path / "again.npz")
    assert again.read_bytes() == written.read_bytes()


@each_kind
def test_pickles_go_through_smplx(kind, tmp_path):
    pytest.importorskip("smplx", reason="smplx is not installed (extra smplx)")
    straight = save(tmp_path / "body.npz", random_body(kind))
    (tmp_path / "body.pkl").write_bytes(pickle.dumps(random_body(kind)))
    converted = convert_body(tmp_path / "body.pkl", tmp_path / "converted.npz")
    assert_same(load_surface(converted), load_surface(straight))


def test_a_damaged_pickle(tmp_path):
    pytest.importorskip("smplx", reason="smplx is not installed (extra smplx)")
    (tmp_path / "body.pkl").write_bytes(b"hello")
    with pytest.raises(ModelError, match=r"smplx cannot open .*body\.pkl: UnpicklingError"):
        convert_body(tmp_path / "body.pkl", tmp_path / "converted.npz")


def test_without_smplx(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "smplx", None)
    (tmp_path / "body.pkl").write_bytes(b"")
    with pytest.raises(ModelError, match=r"pip install 'phymotion-jax\[smplx\]'"):
        convert_body(tmp_path / "body.pkl", tmp_path / "converted.npz")


@pytest.mark.parametrize(
    ("source", "output", "said"),
    [
        ("missing.npz", None, "there is no"),
        ("model.npz", None, "does not say which body it is; name a file with -o"),
        ("model.npz", "out.pkl", "does not end in .npz"),
    ],
)
def test_what_cannot_be_converted(source, output, said, tmp_path):
    write(tmp_path / "model.npz")
    with pytest.raises(PhyMotionError, match=said):
        convert_body(tmp_path / source, output and tmp_path / output)


def test_the_command_says_so_in_a_line(tmp_path, capsys):
    assert main(["convert-body", str(tmp_path / "missing.pkl")]) == 2
    assert capsys.readouterr().err == f"phymotion-jax: there is no {tmp_path}/missing.pkl\n"
