"""Poses that the mesh benchmarks try: clips, and the same with noise in their joints."""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.spatial.transform import Rotation

from phymotion_jax import load_motion
from phymotion_jax.assets import demo_clips
from phymotion_jax.body.skeleton import PARENTS
from phymotion_jax.io import find_motion_files
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.vectors import Mat, unstack_frames

BODY_JOINTS = slice(1, 22)


@dataclass(frozen=True)
class Poses:
    """Clips of equal length."""

    names: tuple[str, ...]
    """Of the clips."""

    betas: Float[Array, "B 10"]
    """Bodies."""

    rot: Mat
    """Rotation of every link to the world, ``(24, B, T)``."""

    @property
    def count(self) -> int:
        """Frames of all clips."""
        return self.rot[0].shape[1] * self.rot[0].shape[2]


def poses_of(
    paths: tuple[Path, ...],
    frames: int,
    *,
    noise_rad: float = 0.0,
    sigma: float | None = None,
    clips: int | None = None,
    seed: int = 0,
) -> Poses:
    """Frames spread evenly over each clip, or more often than it has them.

    Args:
      paths: files or folders; the demo clips where there are none.
      frames: of each clip.
      noise_rad: standard deviation of the rotation vector that each body joint is turned by.
      sigma: standard deviation of betas that take the place of the clips' own.
      clips: how many, in turn; by default each once.
      seed: of noise and betas.
    """
    files = find_motion_files(paths) if paths else demo_clips()
    motions = [load_motion(path) for path in files]
    motions = [motions[k % len(motions)] for k in range(clips or len(motions))]
    rng = np.random.default_rng(seed)
    rows = [np.linspace(0, m.n_frames - 1, frames).astype(int) for m in motions]
    quat = np.stack([np.asarray(m.joint_quat)[r] for m, r in zip(motions, rows, strict=True)])
    joints = quat[:, :, BODY_JOINTS]
    turn = Rotation.from_rotvec(noise_rad * rng.normal(size=(joints.size // 4, 3)))
    turned = Rotation.from_quat(joints.reshape(-1, 4), scalar_first=True) * turn
    quat[:, :, BODY_JOINTS] = turned.as_quat(scalar_first=True).reshape(joints.shape)
    own = np.stack([np.asarray(m.betas)[:10] for m in motions])
    betas = own if sigma is None else sigma * rng.normal(size=own.shape)
    rot = jax.jit(lambda q: link_rotations(PARENTS, unstack_frames(q)))(jnp.asarray(quat))
    return Poses(tuple(m.name for m in motions), jnp.asarray(betas, jnp.float32), rot)
