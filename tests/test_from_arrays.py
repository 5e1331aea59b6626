"""Batches from arrays where they are: the same clips as one by one, and what is refused."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from phymotion_jax.errors import MotionError, Status
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.world import UpAxis

B, T, J = 3, 20, 22  # one shape for all, so that `from_arrays` is compiled once a kind
FPS = (16.0, 30.0, 120.0)
LENGTHS = (20, 7, 3)

POSITION_ATOL = 2e-6  # metres: float32 roundings of positions up to 10 m
ROTATION_ATOL = 1e-6  # of matrix entries: float32 roundings of a quaternion's products


def matrices(quat) -> np.ndarray:
    """Rotation matrices of quaternions (..., 4)."""
    quat = np.asarray(quat, np.float64)
    flat = Rotation.from_quat(quat.reshape(-1, 4), scalar_first=True).as_matrix()
    return flat.reshape(*quat.shape[:-1], 3, 3)


def arrays(rng) -> dict[str, np.ndarray]:
    """B clips of T frames as a generator would hand them over, with 30 joints."""
    return {
        "transl": rng.normal(size=(B, 1, 3)) + 0.01 * rng.normal(size=(B, T, 3)).cumsum(axis=1),
        "poses": rng.normal(size=(B, T, 30, 3)),
        "betas": rng.normal(size=(B, 10)),
        "fps": np.array(FPS),
        "mass_kg": np.array([np.nan, 50.0, 90.0]),
        "static_conf": np.where(np.arange(B)[:, None, None] == 1, np.nan, rng.random((B, T, 6))),
    }


def as_motions(data, lengths, up: UpAxis = "z") -> list[Motion]:
    return [
        Motion.from_smplx(
            transl=data["transl"][b, :n],
            global_orient=data["poses"][b, :n, 0],
            body_pose=data["poses"][b, :n, 1:J].reshape(n, 63),
            betas=data["betas"][b],
            static_conf=data["static_conf"][b, :n] if "static_conf" in data else None,
            fps=data["fps"][b],
            mass_kg=None if np.isnan(data["mass_kg"][b]) else data["mass_kg"][b],
            up=up,
        )
        for b, n in enumerate(lengths)
    ]


in_jit = jax.jit(
    lambda up, **data: MotionBatch.from_arrays(up=up, substeps=1, **data), static_argnames="up"
)


def on_device(data) -> dict[str, Any]:
    return {
        k: jnp.asarray(v, jnp.int32 if k == "lengths" else jnp.float32) for k, v in data.items()
    }


def assert_same_clips(batch: MotionBatch, motions: list[Motion]) -> None:
    assert batch.n_clips == len(motions)
    np.testing.assert_array_equal(batch.mask.sum(axis=1), [m.n_frames for m in motions])
    for got, want in zip(batch.unpad(), motions, strict=True):
        np.testing.assert_allclose(got.root_pos, want.root_pos, atol=POSITION_ATOL)
        np.testing.assert_allclose(
            matrices(got.joint_quat), matrices(want.joint_quat), atol=2 * ROTATION_ATOL
        )
        np.testing.assert_allclose(got.betas, want.betas, rtol=1e-6)
        np.testing.assert_allclose(got.mass_kg, want.mass_kg)
        np.testing.assert_array_equal(got.static_conf, want.static_conf)
        assert got.fps == want.fps


@pytest.mark.parametrize("up", ["z", "y"])
@pytest.mark.parametrize("kind", ["rotation vectors", "quaternions"])
def test_arrays_are_the_same_clips(kind, up, rng):
    """As clip by clip through `from_smplx`, joints after the 22nd left out, whichever the axis."""
    data = arrays(rng)
    want = as_motions(data, LENGTHS, up)
    if kind == "quaternions":
        quat = Rotation.from_rotvec(data["poses"].reshape(-1, 3)).as_quat(scalar_first=True)
        data["poses"] = quat.reshape(B, T, 30, 4)
    lengths = np.array(LENGTHS)
    got = in_jit(up, **on_device(data | {"lengths": lengths}))
    np.testing.assert_array_equal(got.mask, np.arange(T) < lengths[:, None])
    assert_same_clips(got, want)
    assert {x.dtype.name for x in jax.tree.leaves(got)} == {"float32", "bool"}


def test_what_is_not_given(rng):
    """All frames, the mean body, a mass from the betas, one frame rate for all, no confidences."""
    data = arrays(rng) | {"betas": np.zeros((B, 10)), "fps": np.full(B, 24.0)}
    del data["static_conf"]
    data["mass_kg"][:] = np.nan
    few: dict[str, Any] = {k: jnp.asarray(data[k], jnp.float32) for k in ("transl", "poses")}
    got = MotionBatch.from_arrays(**few, fps=24.0)
    assert_same_clips(got, as_motions(data, [T] * B))


def test_arrays_stay_where_they_are(rng):
    """Inside a jitted call nothing crosses between host and device; the guard would notice."""
    data = on_device(arrays(rng))
    jax.block_until_ready(in_jit("z", **data))
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(in_jit("z", **data))
        with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
            MotionBatch.from_arrays(**data)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32"])
def test_half_precision_costs_no_more_than_its_digits(kind, rng):
    """Rotations are worked out in float32, and a joint at rest is no rotation in any of them."""
    data = arrays(rng)
    transl, poses = (jnp.asarray(data[name], kind) for name in ("transl", "poses"))
    poses = poses.at[:, :, 3].set(0.0)
    got = MotionBatch.from_arrays(transl=transl, poses=poses, fps=30.0)
    transl, poses = transl.astype("float32"), poses.astype("float32")
    want = MotionBatch.from_arrays(transl=transl, poses=poses, fps=30.0)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(got.joint_quat[:, :, 3], [[[1.0, 0.0, 0.0, 0.0]] * T] * B)


def test_doubles_are_taken_without_a_word(rng):
    """NumPy's own type, where JAX has no doubles: warnings are errors here."""
    data: dict[str, Any] = arrays(rng)
    got = MotionBatch.from_arrays(transl=data["transl"], poses=data["poses"], fps=30.0)
    assert {x.dtype.name for x in jax.tree.leaves(got)} == {"float32", "bool"}


def test_rotation_vectors_have_gradients(rng):
    """Zero ones too, as a generator that starts at rest has them."""
    data = on_device(arrays(rng))
    data["poses"] = data["poses"].at[:, ::2].set(0.0)

    @jax.jit
    @jax.grad
    def slope(data):
        batch = MotionBatch.from_arrays(**data, substeps=1)
        return jnp.sum(batch.joint_quat[..., 1:]) + jnp.sum(batch.root_pos)

    got = slope(data)
    for name in ("transl", "poses", "betas"):
        assert np.isfinite(np.asarray(got[name])).all(), name
    np.testing.assert_array_equal(got["transl"], 1.0)
    # sin(|v| / 2) v / |v| begins as v / 2
    np.testing.assert_allclose(got["poses"][:, ::2, :J], 0.5, atol=1e-6)
    np.testing.assert_array_equal(got["poses"][:, :, J:], 0.0)


WRONG = {
    "flat transl": ({"transl": (B, T)}, "transl is (3, 20), (B, T, 3) was wanted"),
    "transl of four": ({"transl": (B, T, 4)}, "transl is (3, 20, 4), (B, T, 3) was wanted"),
    "other frames": ({"poses": (B, T + 1, J, 3)}, "poses is (3, 21, 22, 3), (3, 20, 22 or more"),
    "flat poses": ({"poses": (B, T, 66)}, "poses is (3, 20, 66), (3, 20, 22 or more, 3 or 4)"),
    "too few joints": ({"poses": (B, T, 21, 3)}, "poses is (3, 20, 21, 3), (3, 20, 22 or more"),
    "six numbers a joint": ({"poses": (B, T, J, 6)}, "poses is (3, 20, 22, 6), (3, 20, 22 or more"),
    "one row of betas": ({"betas": (10,)}, "betas is (10,), (3, 10 or more) was wanted"),
    "five confidences": (
        {"static_conf": (B, T, 5)},
        "static_conf is (3, 20, 5), (3, 20, 6) was wanted",
    ),
    "few betas": ({"betas": (B, 5)}, "betas is (3, 5), (3, 10 or more) was wanted"),
    "a column of lengths": ({"lengths": (B, 1)}, "lengths is (3, 1), (3,) was wanted"),
    "one length": ({"lengths": ()}, "lengths is (), (3,) was wanted"),
    "rates of other clips": ({"fps": (2,)}, "fps is (2,), (3,) or one number was wanted"),
    "a column of rates": ({"fps": (B, 1)}, "fps is (3, 1), (3,) or one number was wanted"),
    "masses of others": ({"mass_kg": (B, B)}, "mass_kg is (3, 3), (3,) or one number was wanted"),
}


@pytest.mark.parametrize("shapes, message", WRONG.values(), ids=WRONG.keys())
def test_arrays_of_wrong_shape_are_refused(shapes, message):
    good = {"transl": (B, T, 3), "poses": (B, T, J, 3), "betas": (B, 10), "fps": (B,)}
    data: dict[str, Any] = {name: jnp.zeros(shape) for name, shape in (good | shapes).items()}
    with pytest.raises(MotionError, match=re.escape(message)) as caught:
        MotionBatch.from_arrays(**data)
    assert caught.value.status == Status.BAD_SHAPE


@pytest.mark.parametrize("field", ["transl", "poses", "betas", "static_conf"])
def test_lists_are_refused(field):
    good = {"transl": (B, T, 3), "poses": (B, T, J, 3)}
    data: dict[str, Any] = {name: np.zeros(shape) for name, shape in good.items()}
    data[field] = [[0.0]]
    with pytest.raises(MotionError, match=f"{field} is a list, an array was wanted") as caught:
        MotionBatch.from_arrays(**data, fps=30.0)
    assert caught.value.status == Status.BAD_SHAPE


@pytest.mark.parametrize(
    "clips, frames, status", [(B, 2, "TOO_SHORT"), (B, 0, "EMPTY"), (0, T, "EMPTY")]
)
def test_arrays_that_hold_no_clip_are_refused(clips, frames, status):
    transl, poses = jnp.zeros((clips, frames, 3)), jnp.zeros((clips, frames, J, 3))
    with pytest.raises(MotionError) as caught:
        MotionBatch.from_arrays(transl=transl, poses=poses, fps=30.0)
    assert caught.value.status == Status[status]
