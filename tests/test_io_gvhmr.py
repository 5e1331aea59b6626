"""GVHMR's `hmr4d_results.pt`, and tensors read without PyTorch."""

import zipfile

import io_files
import numpy as np
import pytest
from io_files import refused

from phymotion_jax.errors import Status
from phymotion_jax.io import load_motion
from phymotion_jax.io.torch_zip import Tensor, TorchZip

N = io_files.N_FRAMES


@pytest.fixture
def clip(rng):
    """y up, since that is what GVHMR writes; the directions do not matter here."""
    return io_files.make_clip(rng)


def read(path) -> np.ndarray:
    """The tensor under the key "x"."""
    with zipfile.ZipFile(path) as archive:
        file = TorchZip(archive)
        tensor = file.root["x"]
        assert type(tensor) is Tensor
        return file.array("x", tensor)


@pytest.mark.parametrize("name", ["hmr4d_results.pt", "renamed.npz", "no suffix"])
def test_is_known_by_its_content(tmp_path, clip, name):
    motion = load_motion(io_files.save_gvhmr(tmp_path / name, clip))
    assert (motion.n_frames, motion.fps, motion.source) == (N, 30.0, "gvhmr-pt")
    np.testing.assert_array_equal(motion.betas, clip["betas"])


def test_is_the_same_clip_as_in_npz(tmp_path, clip):
    motion = load_motion(io_files.save_gvhmr(tmp_path / "a.pt", clip))
    npz = load_motion(io_files.save(tmp_path / "a.npz", io_files.amass(clip)), up="y")
    np.testing.assert_array_equal(motion.root_pos, npz.root_pos)
    np.testing.assert_array_equal(motion.joint_quat, npz.joint_quat)
    assert load_motion(tmp_path / "a.pt", fps=25.0).fps == 25.0


def test_published_scorers_cache_is_the_same_clip(tmp_path, clip):
    plain = load_motion(io_files.save_gvhmr(tmp_path / "a.pt", clip))
    cache = load_motion(io_files.save_gvhmr(tmp_path / "b.pt", clip, cache=True))
    np.testing.assert_array_equal(plain.root_pos, cache.root_pos)
    np.testing.assert_array_equal(plain.joint_quat, cache.joint_quat)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("lead", [(1,), ()], ids=["as the tool writes them", "without batch"])
def test_logits_are_probabilities(tmp_path, clip, rng, lead, cache, order):
    """Of any size: `torch.sigmoid` has 1 for 200, and exp(200) is too large for float32."""
    logits = (50.0 * rng.standard_normal((*lead, N, 6))).astype(np.float32)
    logits[..., 0, :2] = 200.0, -200.0
    path = io_files.save_gvhmr(tmp_path / "a.pt", clip, cache=cache, order=order, logits=logits)
    want = 1.0 / (1.0 + np.exp(-logits.reshape(N, 6).astype(np.float64)))
    np.testing.assert_allclose(load_motion(path).static_conf, want, atol=1e-6)  # float32


@pytest.mark.parametrize(
    "network", [None, {}, {"model_output": 1}, {"static_conf_logits": None}, 3], ids=str
)
def test_files_without_logits_are_fine(tmp_path, clip, network):
    motion = load_motion(io_files.save_gvhmr(tmp_path / "a.pt", clip, network=network))
    assert motion.static_conf.shape == (N, 6)
    assert np.isnan(motion.static_conf).all()


def test_logits_that_are_missing_are_unknown(tmp_path, clip):
    """NaN costs no clip that could be scored without them; infinities are as sure as can be."""
    logits = np.array([np.nan, np.inf, -np.inf, 0.0, 0.0, 0.0], np.float32)
    path = io_files.save_gvhmr(tmp_path / "a.pt", clip, logits=np.tile(logits, (1, N, 1)))
    want = [np.nan, 1.0, 0.0, 0.5, 0.5, 0.5]
    np.testing.assert_array_equal(load_motion(path).static_conf, np.tile(want, (N, 1)))


LOGITS = np.zeros((1, N, 6), np.float32)
BAD_LOGITS = {
    "five joints": (LOGITS[..., :5], Status.BAD_SHAPE, f"is (1, {N}, 5), (1, {N}, 6) was wanted"),
    "other length": (LOGITS[:, 1:], Status.BAD_SHAPE, f"is (1, {N - 1}, 6), (1, {N}, 6) was"),
    "two clips": (np.tile(LOGITS, (2, 1, 1)), Status.BAD_SHAPE, f"is (2, {N}, 6), (1, {N}, 6)"),
    "truths": (LOGITS > 0, Status.BAD_SHAPE, "holds bool, numbers were wanted"),
}


@pytest.mark.parametrize("logits, status, reason", BAD_LOGITS.values(), ids=BAD_LOGITS.keys())
def test_bad_logits_are_named(tmp_path, clip, logits, status, reason):
    error = refused(io_files.save_gvhmr(tmp_path / "bad.pt", clip, logits=logits))
    assert error.status == status
    assert error.reason.startswith(f"net_outputs.static_conf_logits {reason}")
    assert "\n" not in error.reason


def test_logits_that_are_no_tensor(tmp_path, clip):
    network = {"static_conf_logits": [1, 2]}
    error = refused(io_files.save_gvhmr(tmp_path / "bad.pt", clip, network=network))
    assert error.status == Status.UNREADABLE
    assert "net_outputs.static_conf_logits is a list, a tensor was wanted" in error.reason


def test_up_overrides(tmp_path, clip):
    motion = load_motion(io_files.save_gvhmr(tmp_path / "a.pt", clip), up="z")
    npz = load_motion(io_files.save(tmp_path / "a.npz", io_files.amass(clip)))
    np.testing.assert_array_equal(motion.root_pos, npz.root_pos)


def test_varying_betas_are_averaged(tmp_path, clip):
    wave = np.linspace(-0.1, 0.1, N, dtype=np.float32)[:, None]
    varying = {**clip, "betas": clip["betas"] + wave}
    motion = load_motion(io_files.save_gvhmr(tmp_path / "a.pt", varying))
    np.testing.assert_allclose(motion.betas, clip["betas"], atol=1e-6)  # float32


def test_big_endian(tmp_path, clip):
    big = load_motion(io_files.save_gvhmr(tmp_path / "big.pt", clip, order=">"))
    little = load_motion(io_files.save_gvhmr(tmp_path / "little.pt", clip))
    np.testing.assert_array_equal(big.root_pos, little.root_pos)


@pytest.mark.parametrize("dtype", io_files.STORAGES)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (3, 0, 2), (2, 1, 3)], ids=str)
def test_tensor_types(tmp_path, dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).astype(dtype).reshape(shape)
    made = io_files.tensor("0", dtype, values.size, shape)
    path = io_files.save_zip(tmp_path / "t.pt", {"x": made}, {"0": values.tobytes()})
    array = read(path)
    assert array.dtype == values.dtype
    np.testing.assert_array_equal(array, values)


def test_bfloat16(tmp_path):
    values = np.array([1.0, -2.5, 0.15625, np.inf], np.float32)  # exact in eight bits
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    made = io_files.tensor("0", "bf16", 4, (4,))
    path = io_files.save_zip(tmp_path / "t.pt", {"x": made}, {"0": halves.tobytes()})
    np.testing.assert_array_equal(read(path), values)


VIEWS = {
    "transposed": ((3, 4), (1, 3), 0, np.arange(12).reshape(4, 3).T),
    "part": ((2, 2), (3, 1), 4, np.array([[4, 5], [7, 8]])),
    "expanded": ((3, 2), (0, 1), 2, np.array([[2, 3]] * 3)),
    "stride of one element": ((1, 2), (2**62, 1), 0, np.array([[0, 1]])),
    "stride of none": ((0, 2), (2**62, 2**62), 12, np.zeros((0, 2))),
    "parameter": ((2,), (1,), 0, np.array([0, 1])),
}


@pytest.mark.parametrize("view", VIEWS.items(), ids=VIEWS.keys())
def test_views(tmp_path, view):
    name, (shape, strides, offset, expected) = view
    made = io_files.tensor(
        "0", "i8", 12, shape, strides=strides, offset=offset, parameter=name == "parameter"
    )
    data = np.arange(12, dtype="<i8").tobytes()
    path = io_files.save_zip(tmp_path / "t.pt", {"x": made}, {"0": data}, byteorder=None)
    np.testing.assert_array_equal(read(path), expected)


BAD_FIELDS = {
    "list": ({"transl": [1, 2]}, Status.UNREADABLE, "smpl_params_global.transl is a list"),
    "number": ({"transl": io_files.tensor("3", "f4", 10, ())}, Status.BAD_SHAPE, "transl is ()"),
    "no data": ({"transl": io_files.tensor("x", "f4", 18, (N, 3))}, Status.UNREADABLE, "no data"),
    "wrong shape": (
        {"body_pose": io_files.tensor("2", "f4", N * 63, (N, 62))},
        Status.BAD_SHAPE,
        f"body_pose is ({N}, 62) float32, (frames, 63) of numbers",
    ),
    "other length": (
        {"transl": io_files.tensor("0", "f4", N * 3, (N - 1, 3))},
        Status.BAD_SHAPE,
        f"{N - 1} frames of translation, {N} of pelvis rotation",
    ),
    "truths": (
        {"betas": io_files.tensor("3", "b1", 40, (40,))},
        Status.BAD_SHAPE,
        "betas is (40,) bool",
    ),
}


@pytest.mark.parametrize("bad", BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_refuses(tmp_path, clip, bad):
    replaced, status, reason = bad
    error = refused(io_files.save_gvhmr(tmp_path / "bad.pt", clip, **replaced))
    assert (error.status, reason in error.reason) == (status, True), error


OTHER_ROOTS = {
    "state dict": ({"weight": 1, "bias": 2}, "it holds bias, weight; known are AMASS"),
    "list": ([1, 2], "it holds a list"),
    "no dict inside": ({"smpl_params_global": 3}, "without smpl_params_global"),
    "no transl": ({"smpl_params_global": {"betas": 1}}, "smpl_params_global holds betas"),
}


@pytest.mark.parametrize("case", OTHER_ROOTS.values(), ids=OTHER_ROOTS.keys())
def test_other_torch_files(tmp_path, case):
    root, reason = case
    error = refused(io_files.save_zip(tmp_path / "other.pt", root))
    assert error.status == Status.UNREADABLE
    assert reason in error.reason


def test_a_real_result(shared):
    motion = load_motion(shared / "gvhmr" / "tennis_hmr4d_results.pt")
    assert (motion.n_frames, motion.fps) == (312, 30.0)
    height = motion.root_pos[:, 2]
    assert 0.8 < height.min() < height.max() < 1.6  # a standing, serving player; z is up
    share = (motion.static_conf > 0.5).mean(axis=0)
    assert (share[:4] > 0.4).all() and (share[:4] < 0.6).all()  # feet take turns
    assert (share[4:] == 0.0).all()  # hands that play do not rest
