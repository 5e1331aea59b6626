"""Human motion as this program sees it: one clip, and many clips padded to one length."""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float

from phymotion_jax.body.skeleton import N_BETAS, N_BODIES
from phymotion_jax.body.template import default_template
from phymotion_jax.errors import MotionError, Status, UnknownNameError

UpAxis = Literal["y", "z"]
_UP_AXES: tuple[UpAxis, ...] = ("y", "z")

BUCKETS = (128, 512, 2048, 8192, 32768)
"""Lengths that clips are padded to. Few, since each is a program to compile; the largest is
4.5 minutes at 120 fps."""

MIN_FRAMES = 3
"""An acceleration needs three positions."""

MAX_POSITION_M = 1e5
"""Farther out, float32 no longer tells a centimetre."""

MAX_BETA = 20.0
"""Betas are standard deviations; the body of ten of them is no longer a body."""

MAX_HEIGHT_M = 50.0
"""A pelvis higher than this on average is not given in metres."""

_MAX_MEDIAN_SPEED_M_S = 50.0
_MAX_ROTATION_VECTOR_RAD = 100.0
UNIT_NORM_SLACK = 0.1
"""Quaternions this far from unit norm are taken for rounding and normalised; others are refused."""


@struct.dataclass
class Motion:
    """One clip on the host, in the world frame (z up, right-handed; metres, seconds).

    Axes: ``T`` frames. Links are SMPL's 24 in SMPL's order; quaternions are wxyz. Build one with
    `from_smplx`, which checks what it is given; everything downstream trusts a `Motion`.
    """

    root_pos: Float[np.ndarray, "T 3"]
    """Position of the pelvis joint, in metres."""

    joint_quat: Float[np.ndarray, "T 24 4"]
    """Rotation of each link relative to its parent; the pelvis' relative to the world."""

    betas: Float[np.ndarray, " 10"]
    """SMPL-X shape coefficients."""

    fps: float
    """Frames a second."""

    mass_kg: float = float("nan")
    """Whole-body mass; NaN means that it follows from the betas."""

    name: str = struct.field(pytree_node=False, default="")
    """What tables call the clip."""

    source: str = struct.field(pytree_node=False, default="")
    """Kind of file that the clip came from."""

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.root_pos)

    @classmethod
    def from_smplx(
        cls,
        *,
        transl: Float[np.ndarray, "T 3"],
        global_orient: Float[np.ndarray, "T 3"],
        body_pose: Float[np.ndarray, "T 63"],
        fps: float,
        betas: Float[np.ndarray, " K"] | None = None,
        up: UpAxis = "z",
        mass_kg: float | None = None,
        name: str = "",
        source: str = "smplx",
    ) -> "Motion":
        """Build a clip from SMPL-X parameters, checking all of them.

        Args:
          transl: SMPL-X translation in metres; the pelvis stands at ``transl + J0(betas)``.
          global_orient: rotation vector of the pelvis, in radians.
          body_pose: rotation vectors of the 21 body joints, as ``(T, 63)`` or ``(T, 21, 3)``.
          fps: frames a second.
          betas: shape coefficients, any number; the first ten count. None is the mean body.
          up: the file's vertical axis. "y" is turned to z up by (x, y, z) -> (x, -z, y).
          mass_kg: whole-body mass where it is known.
          name: what tables call the clip.
          source: kind of file it came from.

        Raises:
          MotionError: with the `Status` that a table shows, and one line that says what was found
            and what was wanted.
          UnknownNameError: if `up` is not an axis.
        """
        transl = _real_array("transl", transl)
        length = len(transl) if transl.ndim else 0
        _require_shape("transl", transl, (length, 3))
        _require_length(length)
        global_orient = _real_array("global_orient", global_orient)
        _require_shape("global_orient", global_orient, (length, 3))
        body_pose = _real_array("body_pose", body_pose)
        if body_pose.shape == (length, 21, 3):
            body_pose = body_pose.reshape(length, 63)
        _require_shape("body_pose", body_pose, (length, 63))
        shape = _first_ten_betas(betas)
        poses = np.concatenate([global_orient, body_pose], axis=1).reshape(length, 22, 3)
        _require_finite("poses", poses)
        _require_finite("transl", transl)
        longest = float(np.abs(poses).max())
        if longest > _MAX_ROTATION_VECTOR_RAD:
            raise MotionError(
                Status.BAD_ROTATION,
                f"a rotation vector of {longest:.3g} rad; radians under "
                f"{_MAX_ROTATION_VECTOR_RAD:g} were wanted",
            )
        rate = _checked_fps(fps)
        _require_bounded("transl", transl, MAX_POSITION_M, "metres")
        root_pos, joint_quat = _to_world(np, transl, poses, shape, up)
        _require_metres(root_pos, rate)
        return cls(
            root_pos=np.asarray(root_pos, np.float32),
            joint_quat=np.asarray(joint_quat, np.float32),
            betas=shape.astype(np.float32),
            fps=rate,
            mass_kg=_checked_mass(mass_kg),
            name=name,
            source=source,
        )


@struct.dataclass
class MotionBatch:
    """Clips padded to one length, in the world frame (z up; metres, seconds).

    Axes: ``B`` clips, ``T`` frames. What `mask` calls padding may hold anything, NaN included: no
    score reads it. The frame rate is traced, so that clips of 16 and 120 fps share one program.
    """

    root_pos: Float[Array, "B T 3"]
    """Position of the pelvis joint, in metres."""

    joint_quat: Float[Array, "B T 24 4"]
    """Rotation of each link relative to its parent (wxyz); the pelvis' relative to the world."""

    mask: Bool[Array, "B T"]
    """True on real frames, which come first."""

    fps: Float[Array, " B"]
    """Frames a second."""

    betas: Float[Array, "B 10"]
    """SMPL-X shape coefficients."""

    mass_kg: Float[Array, " B"]
    """Whole-body mass; NaN means that it follows from the betas."""

    @property
    def n_clips(self) -> int:
        """Number of clips, empty ones included."""
        return self.mask.shape[0]

    @classmethod
    def from_motions(
        cls, motions: Sequence[Motion], *, length: int | None = None, n_clips: int | None = None
    ) -> "MotionBatch":
        """Pad clips to one length.

        Args:
          motions: at least one clip.
          length: frames to pad to; by default the smallest bucket that holds the longest clip.
          n_clips: rows to pad to with empty clips, so that a last batch runs the same program.
        """
        if not motions:
            raise MotionError(Status.EMPTY, "no clips; at least one was wanted")
        longest = max(m.n_frames for m in motions)
        length = bucket_length(longest) if length is None else length
        if length < longest:
            raise MotionError(Status.TOO_LONG, f"a clip of {longest} frames in length {length}")
        rows = len(motions) if n_clips is None else n_clips
        if rows < len(motions):
            raise MotionError(Status.BAD_SHAPE, f"{len(motions)} clips in a batch of {rows}")
        root_pos = np.zeros((rows, length, 3), np.float32)
        joint_quat = np.zeros((rows, length, N_BODIES, 4), np.float32)
        joint_quat[..., 0] = 1.0
        mask = np.zeros((rows, length), bool)
        fps = np.ones(rows, np.float32)
        betas = np.zeros((rows, N_BETAS), np.float32)
        mass_kg = np.full(rows, np.nan, np.float32)
        for i, motion in enumerate(motions):
            frames = slice(0, motion.n_frames)
            root_pos[i, frames] = motion.root_pos
            joint_quat[i, frames] = motion.joint_quat
            mask[i, frames] = True
            fps[i], betas[i], mass_kg[i] = motion.fps, motion.betas, motion.mass_kg
        leaves = (root_pos, joint_quat, mask, fps, betas, mass_kg)
        return cls(*(jnp.asarray(x) for x in leaves))

    @classmethod
    def from_arrays(
        cls,
        *,
        transl: Float[Array, "B T 3"],
        poses: Float[Array, "B T J C"],
        fps: Float[Array, " B"] | float,
        lengths: Array | None = None,
        betas: Float[Array, "B 10"] | None = None,
        mass_kg: Float[Array, " B"] | float | None = None,
        up: UpAxis = "z",
    ) -> "MotionBatch":
        """Batch a generator's arrays where they are: pure JAX, no copy to the host, jit-able.

        Shapes are checked now; values (finite, unit quaternions, a frame rate) are checked by the
        score, which marks a bad clip in its `Report` instead of raising.

        Args:
          transl: SMPL-X translation, in metres.
          poses: rotation vectors ``(B, T, J, 3)`` or quaternions wxyz ``(B, T, J, 4)``; the pelvis
            and at least 21 body joints. Joints after the 22nd (hands, face) are not used.
          fps: frames a second, one for all or one a clip.
          lengths: real frames of each clip, ``(B,)``; all of them by default.
          betas: shape coefficients, of which the first ten count; the mean body by default.
          mass_kg: whole-body mass; from the betas by default.
          up: vertical axis of the arrays.
        """
        if transl.ndim != 3 or transl.shape[2] != 3:
            raise MotionError(Status.BAD_SHAPE, f"transl is {transl.shape}, (B, T, 3) was wanted")
        clips, frames = transl.shape[:2]
        if (
            poses.ndim != 4
            or poses.shape[:2] != (clips, frames)
            or poses.shape[2] < 22
            or poses.shape[3] not in (3, 4)
        ):
            raise MotionError(
                Status.BAD_SHAPE,
                f"poses is {poses.shape}, ({clips}, {frames}, 22 or more, 3 or 4) was wanted",
            )
        if betas is not None and (
            betas.ndim != 2 or betas.shape[0] != clips or betas.shape[1] < N_BETAS
        ):
            raise MotionError(
                Status.BAD_SHAPE, f"betas is {betas.shape}, ({clips}, {N_BETAS} or more) was wanted"
            )
        shape = jnp.zeros((clips, N_BETAS)) if betas is None else betas[:, :N_BETAS]
        count = jnp.full((clips,), frames) if lengths is None else jnp.asarray(lengths)
        root_pos, joint_quat = _to_world(jnp, transl, poses[:, :, :22], shape[:, None], up)
        mass = jnp.nan if mass_kg is None else mass_kg
        return cls(
            root_pos=root_pos.astype(jnp.float32),
            joint_quat=joint_quat.astype(jnp.float32),
            mask=jnp.arange(frames)[None] < count[:, None],
            fps=jnp.broadcast_to(jnp.asarray(fps, jnp.float32), (clips,)),
            betas=shape.astype(jnp.float32),
            mass_kg=jnp.broadcast_to(jnp.asarray(mass, jnp.float32), (clips,)),
        )

    def unpad(self, names: Sequence[str] | None = None) -> list[Motion]:
        """The clips again, without padding and without the empty ones, on the host."""
        fields = (self.root_pos, self.joint_quat, self.mask, self.betas, self.fps, self.mass_kg)
        root_pos, joint_quat, mask, betas, fps, mass_kg = jax.device_get(fields)
        names = [""] * self.n_clips if names is None else names
        motions = []
        for i, length in enumerate(mask.sum(axis=1)):
            if length:
                motions.append(
                    Motion(
                        root_pos=root_pos[i, :length],
                        joint_quat=joint_quat[i, :length],
                        betas=betas[i],
                        fps=float(fps[i]),
                        mass_kg=float(mass_kg[i]),
                        name=names[i] if i < len(names) else "",
                        source="batch",
                    )
                )
        return motions


def bucket_length(n_frames: int) -> int:
    """The smallest bucket that holds `n_frames`."""
    _require_length(n_frames, shortest=0)
    return next(b for b in BUCKETS if b >= n_frames)


def _to_world(xp, transl, poses, betas, up: UpAxis):
    """Pelvis position and 24 local quaternions in the z-up world, in numpy or in JAX."""
    if up not in _UP_AXES:
        raise UnknownNameError("up axis", str(up), _UP_AXES)
    template = default_template()
    # Written out: a matrix unit would round to TF32.
    shift = xp.sum(xp.asarray(template.joint_dirs[0]) * betas[..., None, :], axis=-1)
    pelvis = transl + xp.asarray(template.joint_mean[0]) + shift
    quat = poses if poses.shape[-1] == 4 else _quat_of_vector(xp, poses)
    if up == "y":
        # +90° about x: (x, y, z) -> (x, -z, y)
        pelvis = xp.stack([pelvis[..., 0], -pelvis[..., 2], pelvis[..., 1]], axis=-1)
        half = float(np.sqrt(0.5))
        w, x, y, z = (quat[..., 0, i] for i in range(4))
        root = half * xp.stack([w - x, w + x, y - z, y + z], axis=-1)
        quat = xp.concatenate([root[..., None, :], quat[..., 1:, :]], axis=-2)
    identity = xp.zeros((*quat.shape[:-2], N_BODIES - 22, 4), dtype=quat.dtype) + xp.asarray(
        [1.0, 0.0, 0.0, 0.0], dtype=quat.dtype
    )
    return pelvis, xp.concatenate([quat, identity], axis=-2)


def _quat_of_vector(xp, vector):
    """Quaternions (wxyz) of rotation vectors, in numpy or in JAX; the gradient at zero is finite.

    Below 1e-4 rad the series is exact to float64, and the unused branch divides by one.
    """
    square = xp.sum(vector * vector, axis=-1, keepdims=True)
    small = square < 1e-8
    angle = xp.sqrt(xp.where(small, 1.0, square))
    share = xp.where(small, 0.5 - square / 48.0, xp.sin(0.5 * angle) / angle)
    real = xp.where(small, 1.0 - square / 8.0, xp.cos(0.5 * angle))
    return xp.concatenate([real, share * vector], axis=-1)


def _real_array(field: str, value) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise MotionError(Status.BAD_SHAPE, f"{field} is no array: {error}") from error
    if array.dtype.kind not in "fiu":
        raise MotionError(Status.BAD_SHAPE, f"{field} holds {array.dtype}, numbers were wanted")
    return array.astype(np.float64)


def _require_shape(field: str, array: np.ndarray, want: tuple[int, ...]) -> None:
    if array.shape != want:
        raise MotionError(Status.BAD_SHAPE, f"{field} is {array.shape}, {want} was wanted")


def _require_length(n_frames: int, shortest: int = MIN_FRAMES) -> None:
    if n_frames == 0 and shortest:
        raise MotionError(Status.EMPTY, "no frames")
    if n_frames < shortest:
        raise MotionError(
            Status.TOO_SHORT, f"{n_frames} frames; an acceleration needs at least {shortest}"
        )
    if n_frames > BUCKETS[-1]:
        raise MotionError(
            Status.TOO_LONG, f"{n_frames} frames; at most {BUCKETS[-1]} go in one clip: cut it"
        )


def _require_finite(field: str, array: np.ndarray) -> None:
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = int(np.argmax(bad))
        raise MotionError(
            Status.NOT_FINITE,
            f"{field} is not finite on {int(bad.sum())} of {len(array)} frames, first on {first}",
        )


def _checked_fps(fps: float) -> float:
    rate = float(fps)
    if not (np.isfinite(rate) and rate > 0.0):
        raise MotionError(Status.BAD_FPS, f"a frame rate of {rate:g}; more than 0 was wanted")
    return rate


def _checked_mass(mass_kg: float | None) -> float:
    if mass_kg is None:
        return float("nan")
    mass = float(mass_kg)
    if not (np.isfinite(mass) and mass > 0.0):
        raise MotionError(Status.BAD_UNITS, f"mass_kg is {mass:g}; more than 0 was wanted")
    return mass


def _first_ten_betas(betas) -> np.ndarray:
    if betas is None:
        return np.zeros(N_BETAS)
    values = _real_array("betas", betas)
    if values.ndim != 1:
        raise MotionError(Status.BAD_SHAPE, f"betas is {values.shape}, one row was wanted")
    if not np.isfinite(values).all():
        raise MotionError(Status.NOT_FINITE, "betas is not finite")
    if values.size:
        _require_bounded("betas", values, MAX_BETA, "standard deviations")
    shape = np.zeros(N_BETAS)
    shape[: min(N_BETAS, len(values))] = values[:N_BETAS]
    return shape


def _require_bounded(field: str, array: np.ndarray, limit: float, unit: str) -> None:
    largest = float(np.abs(array).max())
    if largest > limit:
        raise MotionError(
            Status.BAD_UNITS,
            f"{field} goes up to {largest:.3g}; {unit} under {limit:g} were wanted",
        )


def _require_metres(root_pos: np.ndarray, fps: float) -> None:
    height = float(np.median(np.abs(root_pos[:, 2])))
    speed = float(np.median(np.linalg.norm(np.diff(root_pos, axis=0), axis=1))) * fps
    if height > MAX_HEIGHT_M or speed > _MAX_MEDIAN_SPEED_M_S:
        raise MotionError(
            Status.BAD_UNITS,
            f"the pelvis is {height:.3g} m high and moves at {speed:.3g} m/s (medians); "
            "metres were wanted, these look like millimetres or centimetres",
        )
