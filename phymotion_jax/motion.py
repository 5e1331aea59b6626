"""Human motion as this program sees it: one clip, and many clips padded to one length."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from phymotion_jax.body.skeleton import N_BETAS, N_BODIES, STATIC_JOINTS
from phymotion_jax.checks import (
    FPS_RANGE,
    MAX_POSITION_M,
    bucket_length,
    checked_fps,
    checked_mass,
    checked_poses,
    checked_static_conf,
    first_ten_betas,
    real_array,
    require_bounded,
    require_finite,
    require_length,
    require_metres,
    require_shape,
)
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.kernels.vectors import Vec
from phymotion_jax.world import UpAxis, to_world

_MORE_BELOW_FPS = (20.0, 12.0, 8.0)
"""Below each of these rates a frame more stands for one that was given, which makes 24 a second or
more of 6 to 20. Above them nothing is gained by it, and of what happens in a sixth of a second the
frames around it say nothing."""


def substeps_at(fps: Float[Array | np.ndarray, "*any"]) -> Int[Array | np.ndarray, "*any"]:
    """Frames for each frame given, at a rate: 1 from 20 frames a second on, 2 at 15 and 16.

    Rates that cannot be scored get 1, so that they make no room for nothing.
    """
    more = sum((fps < below).astype(np.int32) for below in _MORE_BELOW_FPS)
    return 1 + (fps >= FPS_RANGE[0]) * more


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

    static_conf: Float[np.ndarray, "T 6"]
    """How surely each of `skeleton.STATIC_JOINTS` stands still on its way to the next frame, from
    0 to 1, as an estimator has it that saw the video; NaN where none did."""

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

    def take(self, frames: slice | Int[np.ndarray, " N"]) -> "Motion":
        """The clip of these frames alone."""
        return self.replace(
            root_pos=self.root_pos[frames],
            joint_quat=self.joint_quat[frames],
            static_conf=self.static_conf[frames],
        )

    @classmethod
    def from_smplx(
        cls,
        *,
        transl: Float[np.ndarray, "T 3"],
        global_orient: Float[np.ndarray, "T 3"],
        body_pose: Float[np.ndarray, "T 63"],
        fps: float,
        betas: Float[np.ndarray, " K"] | None = None,
        static_conf: Float[np.ndarray, "T 6"] | None = None,
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
          static_conf: probabilities that joints stand still, see the field of that name; NaN or
            None where they are not known.
          up: the file's vertical axis. "y" is turned to z up by (x, y, z) -> (x, -z, y).
          mass_kg: whole-body mass where it is known.
          name: what tables call the clip.
          source: kind of file it came from.

        Raises:
          MotionError: with the `Status` that a table shows, and one line that says what was found
            and what was wanted.
          UnknownNameError: if `up` is not an axis.
        """
        transl = real_array("transl", transl)
        length = len(transl) if transl.ndim else 0
        require_shape("transl", transl, (length, 3))
        require_length(length)
        poses = checked_poses(global_orient, body_pose, length)
        shape = first_ten_betas(betas)
        require_finite("transl", transl)
        rate = checked_fps(fps)
        require_bounded("transl", transl, MAX_POSITION_M, "metres")
        root_pos, joint_quat = to_world(np, transl, poses, shape, up)
        require_metres(root_pos, rate)
        return cls(
            root_pos=np.asarray(root_pos, np.float32),
            joint_quat=np.asarray(joint_quat, np.float32),
            betas=shape.astype(np.float32),
            fps=rate,
            static_conf=checked_static_conf(static_conf, length).astype(np.float32),
            mass_kg=checked_mass(mass_kg),
            name=name,
            source=source,
        )


def _room_for(fps: Float[Array | np.ndarray, " B"] | float, asked: int | None = None) -> int:
    """The `substeps` asked for, or that these rates want."""
    most = 1 + len(_MORE_BELOW_FPS)
    if asked is None and isinstance(fps, jax.core.Tracer):
        raise ValueError(
            "fps: found a traced value, which does not tell how many frames slow clips want "
            "between theirs; wanted substeps as well: 1 for clips of 20 frames a second and more, "
            f"2 from 12 on, up to {most}"
        )
    if asked is None:
        return int(substeps_at(np.asarray(fps, np.float32)).max())
    if not 1 <= asked <= most:
        raise ValueError(f"substeps: found {asked}; 1 to {most} were wanted")
    return asked


@struct.dataclass
class MotionBatch:
    """Clips padded to one length, in the world frame (z up; metres, seconds).

    Axes: ``B`` clips, ``T`` frames. What `mask` calls padding may hold anything, NaN included: no
    score reads it. The frame rate is traced, so that clips of 20 and 120 fps share one program; a
    batch with slower ones has another, with their `substeps`.
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

    static_conf: Float[Array, "B T 6"]
    """How surely each of `skeleton.STATIC_JOINTS` stands still, from 0 to 1; NaN: not known."""

    substeps: int = struct.field(pytree_node=False, default=1)
    """Room for clips below 20 frames a second: `physical` scores them with up to so many frames in
    place of each, by `substeps_at` of their own rate."""

    @property
    def n_clips(self) -> int:
        """Number of clips, empty ones included."""
        return self.mask.shape[0]

    @property
    def root_rows(self) -> Vec:
        """Positions of the pelvis in the layout of kernels: three components ``(1, B, T)``."""
        return self.root_pos[None, ..., 0], self.root_pos[None, ..., 1], self.root_pos[None, ..., 2]

    @classmethod
    def from_motions(
        cls,
        motions: Sequence[Motion],
        *,
        length: int | None = None,
        n_clips: int | None = None,
        on_host: bool = False,
    ) -> "MotionBatch":
        """Pad clips to one length.

        Args:
          motions: at least one clip.
          length: frames to pad to; by default the smallest bucket that holds the longest clip.
          n_clips: rows to pad to with empty clips, so that a last batch runs the same program.
          on_host: leave the arrays to NumPy, where there are more clips than the device holds.
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
        static_conf = np.full((rows, length, len(STATIC_JOINTS)), np.nan, np.float32)
        for i, motion in enumerate(motions):
            frames = slice(0, motion.n_frames)
            if len(motion.static_conf) != motion.n_frames:
                raise MotionError(
                    Status.BAD_SHAPE,
                    f"static_conf of {len(motion.static_conf)} frames in a clip of "
                    f"{motion.n_frames}; `Motion.take` cuts both",
                )
            root_pos[i, frames] = motion.root_pos
            joint_quat[i, frames] = motion.joint_quat
            static_conf[i, frames] = motion.static_conf
            mask[i, frames] = True
            fps[i], betas[i], mass_kg[i] = motion.fps, motion.betas, motion.mass_kg
        leaves = (root_pos, joint_quat, mask, fps, betas, mass_kg, static_conf)
        leaves = leaves if on_host else tuple(jnp.asarray(x) for x in leaves)
        return cls(*leaves, substeps=_room_for(fps[: len(motions)]))  # pyright: ignore

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
        static_conf: Float[Array, "B T 6"] | None = None,
        up: UpAxis = "z",
        substeps: int | None = None,
    ) -> "MotionBatch":
        """Batch a generator's arrays where they are: pure JAX, no copy to the host, jit-able.

        Arrays are scored in float32, or in float64 where JAX has it switched on and both `transl`
        and `poses` are float64. Shapes are checked now; values (finite, unit quaternions, a frame
        rate) are checked by the score, which marks a bad clip in its `Report` instead of raising.

        Args:
          transl: SMPL-X translation, in metres.
          poses: rotation vectors ``(B, T, J, 3)`` or quaternions wxyz ``(B, T, J, 4)``; the pelvis
            and at least 21 body joints. Joints after the 22nd (hands, face) are not used.
          fps: frames a second, one for all or one a clip.
          lengths: real frames of each clip, ``(B,)``; all of them by default.
          betas: shape coefficients, of which the first ten count; the mean body by default.
          mass_kg: whole-body mass; from the betas by default.
          static_conf: probabilities that `skeleton.STATIC_JOINTS` stand still; NaN, the default,
            where they are not known.
          up: vertical axis of the arrays.
          substeps: room for clips below 20 frames a second; by default what `fps` wants. Of a
            traced `fps` that is not known: say 1, or 2 where clips of 12 to 20 may come.

        Raises:
          MotionError: an array has the wrong shape, or no frames to score.
          ValueError: `substeps` is not 1 to 4, or not given beside a traced `fps`.
        """
        _require_arrays(transl=transl, poses=poses, betas=betas, static_conf=static_conf)
        _require_shapes(transl, poses, betas, static_conf)
        _require_one_a_clip(transl.shape[0], lengths=lengths)
        _require_one_a_clip(transl.shape[0], one_for_all=True, fps=fps, mass_kg=mass_kg)
        clips, frames = transl.shape[:2]
        # Before any arithmetic: half precision would lose millimetres and a hundredth of a radian,
        # and the square of a small rotation.
        kind = _kind_of(transl, poses)
        transl, poses = (jnp.asarray(x, kind) for x in (transl, poses[:, :, :22]))
        shape = jnp.zeros((clips, N_BETAS), kind)
        if betas is not None:
            shape = jnp.asarray(betas[:, :N_BETAS], kind)
        count = jnp.full((clips,), frames) if lengths is None else jnp.asarray(lengths)
        root_pos, joint_quat = to_world(jnp, transl, poses, shape[:, None], up)
        mass = jnp.nan if mass_kg is None else mass_kg
        conf = jnp.nan if static_conf is None else static_conf
        return cls(
            root_pos=root_pos.astype(kind),  # the template's float64 where JAX has that
            joint_quat=joint_quat.astype(kind),
            mask=jnp.arange(frames)[None] < count[:, None],
            fps=jnp.broadcast_to(jnp.asarray(fps, kind), (clips,)),
            betas=shape,
            mass_kg=jnp.broadcast_to(jnp.asarray(mass, kind), (clips,)),
            static_conf=jnp.broadcast_to(
                jnp.asarray(conf, kind), (clips, frames, len(STATIC_JOINTS))
            ),
            substeps=_room_for(fps, substeps),
        )

    def unpad(self, names: Sequence[str] | None = None) -> list[Motion]:
        """The clips again, without padding and without the empty ones, on the host."""
        host = jax.device_get(self)
        names = [""] * self.n_clips if names is None else names
        motions = []
        for i, length in enumerate(host.mask.sum(axis=1)):
            if length:
                motions.append(
                    Motion(
                        root_pos=host.root_pos[i, :length],
                        joint_quat=host.joint_quat[i, :length],
                        betas=host.betas[i],
                        fps=float(host.fps[i]),
                        static_conf=host.static_conf[i, :length],
                        mass_kg=float(host.mass_kg[i]),
                        name=names[i] if i < len(names) else "",
                        source="batch",
                    )
                )
        return motions


def _kind_of(*arrays: Array) -> Any:
    """Float64 where all of them are, and JAX has it switched on."""
    double = all(x.dtype == jnp.float64 for x in arrays)
    return jax.dtypes.canonicalize_dtype(jnp.float64 if double else jnp.float32)


def _require_arrays(**fields: Any) -> None:
    """Refuse lists, which are not arrays of any shape yet."""
    for field, value in fields.items():
        if value is not None and not hasattr(value, "shape"):
            kind = type(value).__name__
            raise MotionError(Status.BAD_SHAPE, f"{field} is a {kind}, an array was wanted")


def _require_shapes(
    transl: Array, poses: Array, betas: Array | None, static_conf: Array | None
) -> None:
    """Refuse arrays that do not go together, each by its name."""
    if transl.ndim != 3 or transl.shape[2] != 3:
        raise _wrong_shape("transl", transl, "(B, T, 3)")
    clips, frames = transl.shape[:2]
    if clips == 0:
        raise MotionError(Status.EMPTY, "transl has no clips; at least one was wanted")
    require_length(frames)
    few = poses.ndim != 4 or poses.shape[:2] != (clips, frames) or poses.shape[2] < 22
    if few or poses.shape[3] not in (3, 4):
        raise _wrong_shape("poses", poses, f"({clips}, {frames}, 22 or more, 3 or 4)")
    if betas is not None and (
        betas.ndim != 2 or betas.shape[0] != clips or betas.shape[1] < N_BETAS
    ):
        raise _wrong_shape("betas", betas, f"({clips}, {N_BETAS} or more)")
    static = (clips, frames, len(STATIC_JOINTS))
    if static_conf is not None and static_conf.shape != static:
        raise _wrong_shape("static_conf", static_conf, str(static))


def _require_one_a_clip(clips: int, *, one_for_all: bool = False, **fields: Any) -> None:
    """Refuse another number of numbers, each by its name."""
    wanted = f"({clips},) or one number" if one_for_all else f"({clips},)"
    for field, value in fields.items():
        shape = (clips,) if value is None else np.shape(value)
        if shape != (clips,) and not (one_for_all and shape == ()):
            raise _wrong_shape(field, value, wanted)


def _wrong_shape(field: str, array: Any, wanted: str) -> MotionError:
    return MotionError(Status.BAD_SHAPE, f"{field} is {np.shape(array)}, {wanted} was wanted")
