"""Motions with known answers, as SMPL-X parameters of the mean body."""

from collections.abc import Callable
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, RotationSpline

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.skeleton import body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.scorer import score
from phymotion_jax.state import moving_body, rest_padding

CLIPS, LENGTH = 4, 128
"""One shape for all tests, so that the score is compiled once."""

ARMS_DOWN = {"left_shoulder": (0.0, 0.0, -1.2), "right_shoulder": (0.0, 0.0, 1.2)}
"""Rotation vectors that hang the arms of the T-pose a little off the body."""

UPRIGHT = Rotation.from_euler("x", 90, degrees=True)
"""SMPL's rest pose has y up; this stands it up in the z-up world, facing -y."""

Pose = dict[str, tuple[float, float, float]]


def clip(
    *,
    seconds: float = 2.0,
    fps: float = 30.0,
    pose: Callable[[float], Pose] | Pose | None = None,
    root: Callable[[float], tuple[float, float, float]] | None = None,
    turn: Callable[[float], Rotation] | None = None,
    frames: int | None = None,
    name: str = "clip",
) -> Motion:
    """A clip from functions of time: joint rotation vectors, pelvis offset, pelvis rotation.

    The pelvis' offset is from where the body stands upright with its soles on z = 0.
    """
    times = np.arange(frames or round(seconds * fps) + 1) / fps
    poses = np.zeros((len(times), 22, 3))
    transl = np.zeros((len(times), 3))
    for i, t in enumerate(times):
        now = pose(t) if callable(pose) else pose or {}
        for joint, vector in {**ARMS_DOWN, **now}.items():
            poses[i, body_index(joint)] = vector
        poses[i, 0] = ((turn(t) if turn else Rotation.identity()) * UPRIGHT).as_rotvec()
        transl[i] = root(t) if root else (0.0, 0.0, 0.0)
    transl[:, 2] += standing_height()
    return Motion.from_smplx(
        transl=transl, global_orient=poses[:, 0], body_pose=poses[:, 1:].reshape(-1, 63), fps=fps,
        name=name,
    )  # fmt: skip


@cache
def standing_height() -> float:
    """SMPL-X translation that puts the mean body's soles on z = 0 when it stands upright.

    The pelvis is at transl + J0 in world axes, and the soles hang below it along SMPL's y.
    """
    template = default_template()
    soles = template.contact.mean[:, 1] + template.joint_mean[template.contact.link, 1]
    drop = soles[: template.n_sole].min() - template.joint_mean[0, 1]
    return float(-drop - template.joint_mean[0, 2])


def smooth(t: float) -> Pose:
    """Arms, trunk and knees that swing slowly: nothing sharp, nothing fast."""
    s = np.sin(2.0 * t)
    return {
        "left_elbow": (0.0, -0.5 - 0.3 * s, 0.0),
        "right_elbow": (0.0, 0.5 + 0.3 * s, 0.0),
        "spine1": (0.1 * s, 0.05 * s, 0.0),
        "head": (0.1 * s, 0.0, 0.1 * s),
    }


def batch_of(*motions: Motion) -> MotionBatch:
    """The clips in the one shape that tests share."""
    return MotionBatch.from_motions(motions, length=LENGTH, n_clips=CLIPS)


def report_of(*motions: Motion, **options):
    """Their report, on the host; by `paper` unless said otherwise."""
    return score(batch_of(*motions), **{"preset": "paper", **options}).on_host()


@jax.jit
def state_of(batch: MotionBatch):
    """The moving body that the parts are measured on."""
    return moving_body(rest_padding(batch), Humanoid.from_betas(batch.betas, batch.mass_kg))


def rotated(motion: Motion, angle: float, shift=(0.0, 0.0)) -> Motion:
    """The clip in a world turned about z and moved."""
    spin = Rotation.from_euler("z", angle)
    quat = motion.joint_quat.copy()
    root = spin * Rotation.from_quat(quat[:, 0], scalar_first=True)
    quat[:, 0] = root.as_quat(scalar_first=True)
    pos = spin.apply(motion.root_pos) + np.array([*shift, 0.0])
    return motion.replace(joint_quat=quat, root_pos=pos.astype(np.float32))


def zeros_like_batch() -> MotionBatch:
    """A batch without any clip."""
    return MotionBatch(
        root_pos=jnp.zeros((CLIPS, LENGTH, 3)),
        joint_quat=jnp.zeros((CLIPS, LENGTH, 24, 4)),
        mask=jnp.zeros((CLIPS, LENGTH), bool),
        fps=jnp.ones(CLIPS),
        betas=jnp.zeros((CLIPS, 10)),
        mass_kg=jnp.full(CLIPS, jnp.nan, jnp.float32),
        static_conf=jnp.full((CLIPS, LENGTH, 6), jnp.nan, jnp.float32),
    )


def doubled(motion: Motion) -> Motion:
    """Twice the frame rate, by cubic splines through positions and rotations."""
    old = np.arange(motion.n_frames)
    new = np.arange(2 * motion.n_frames - 1) / 2
    splines = [
        RotationSpline(old, Rotation.from_quat(motion.joint_quat[:, k], scalar_first=True))
        for k in range(24)
    ]
    quat = np.stack([s(new).as_quat(scalar_first=True) for s in splines], axis=1)
    pos = CubicSpline(old, motion.root_pos)(new)
    return motion.take(np.arange(len(new)) // 2).replace(
        root_pos=pos.astype(np.float32), joint_quat=quat.astype(np.float32), fps=2 * motion.fps
    )
