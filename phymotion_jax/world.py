"""From SMPL-X parameters to pelvis positions and quaternions in the z-up world."""

from typing import Literal

import numpy as np

from phymotion_jax.body.skeleton import N_BODIES
from phymotion_jax.body.template import default_template
from phymotion_jax.errors import UnknownNameError

UpAxis = Literal["y", "z"]
UP_AXES: tuple[UpAxis, ...] = ("y", "z")


def to_world(xp, transl, poses, betas, up: UpAxis):
    """Pelvis position and 24 local quaternions in the z-up world, in numpy or in JAX."""
    if up not in UP_AXES:
        raise UnknownNameError("up axis", str(up), UP_AXES)
    template = default_template()
    # Term by term, as `Humanoid.from_betas` does and for its reasons.
    dirs = template.joint_dirs[0]
    shift = sum(xp.asarray(dirs[:, k]) * betas[..., None, k] for k in range(dirs.shape[1]))
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
