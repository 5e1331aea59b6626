"""Turns clips whose world is not aligned with gravity until the floor under their feet is level."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.dynamics import GRAVITY
from phymotion_jax.kernels.contacts import link_points
from phymotion_jax.kernels.differences import linear_rates
from phymotion_jax.kernels.dynamics import link_motion
from phymotion_jax.kernels.floor_plane import Plane, floor_plane
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    add,
    dot,
    mat_vec,
    norm,
    quat_mul,
    quat_normalize,
    quat_to_mat,
    sub,
    unstack,
    unstack_frames,
)
from phymotion_jax.motion import MotionBatch
from phymotion_jax.physical.ramps import ramp
from phymotion_jax.presets import Ramp
from phymotion_jax.state import body_of, rest_padding

_SLOW_M_S = Ramp(0.1, 0.4)
"""Speed, in whatever direction, from which a sole does not stand any more: the touch of
`presets.PHYSICAL`, but of a foot in itself. Speeds do not change with the tilt."""

_LOW_M = (Ramp(0.15, 0.3), Ramp(0.06, 0.12), Ramp(0.03, 0.08), Ramp(0.03, 0.08))
"""Height over the body's lowest point from which a foot is held in the air, asked anew of each
plane. The first takes the world for level, where one of two feet on a slope stands high."""


@jax.jit
def level_floor(batch: MotionBatch, humanoid: Humanoid | None = None) -> MotionBatch:
    """Turn each clip as a whole so that the plane which its feet stand on is level. Pure.

    For motion from estimators that do not align the world with gravity: elsewhere a tilt is a
    violation, and this would hide it. By the smallest turn, of 30 degrees at most, about the middle
    of the places where soles were slow and low, which keeps its height.

    A clip tells the tilt about an axis as far as its feet spread across that axis. Where they
    spread little (on one spot; about the line of a straight walk) the floor is held for level.

    Args:
      batch: clips in a world whose z points up by and large. Padding may hold anything.
      humanoid: one body for all clips or one a clip; by default each clip's own.

    Raises:
      ModelError: for a humanoid that is not SMPL's tree with soles.
    """
    plane = standing_plane(rest_padding(batch), humanoid)
    x, y, z = plane.normal
    turn: Quat = tuple(  # the shortest from the normal to straight up
        c[None, :, None] for c in quat_normalize((1.0 + z, y, -x, jnp.zeros_like(x)))
    )  # pyright: ignore[reportAssignmentType]
    pivot: Vec = tuple(c[None, :, None] for c in plane.point)  # pyright: ignore
    root_pos = batch.root_rows
    placed = add(mat_vec(quat_to_mat(turn), sub(root_pos, pivot)), pivot)
    pelvis: Quat = tuple(batch.joint_quat[None, :, :, 0, k] for k in range(4))  # pyright: ignore
    turned = quat_mul(turn, pelvis)
    return batch.replace(
        root_pos=jnp.stack([c[0] for c in placed], axis=-1),
        joint_quat=batch.joint_quat.at[:, :, 0].set(jnp.stack([c[0] for c in turned], axis=-1)),
    )


def standing_plane(batch: MotionBatch, humanoid: Humanoid | None = None) -> Plane:
    """The plane that slow low soles span, of a batch without NaN (from `rest_padding`)."""
    body = body_of(batch, humanoid)
    points = _contact_points(batch, body)
    sole = [k for foot in body.feet for k in foot]
    soles: Vec = tuple(take_rows(c, sole) for c in points)  # pyright: ignore
    velocity, _ = linear_rates(soles, batch.mask, batch.fps[:, None])
    slow = jnp.where(batch.mask, 1.0 - ramp(norm(velocity), _SLOW_M_S), 0.0)
    up = jnp.ones_like(batch.fps)
    plane = Plane((0.0 * up, 0.0 * up, up), (0.0 * up, 0.0 * up, 0.0 * up))
    for band in _LOW_M:
        low = _low(points, soles, plane.normal, band)
        plane = floor_plane(soles, slow * low, plane.normal)
    return plane


def _low(points: Vec, soles: Vec, normal: Vec, band: Ramp) -> Float[Array, "P B T"]:
    """How near each sole point is to the lowest point of the body, along a normal, from 0 to 1."""
    along: Vec = tuple(c[None, :, None] for c in jax.lax.stop_gradient(normal))  # pyright: ignore
    lowest = jnp.min(dot(points, along), axis=0)
    return 1.0 - ramp(dot(soles, along) - lowest, band)


def _contact_points(batch: MotionBatch, body: Humanoid) -> Vec:
    """Contact points in the world, ``(P, B, T)``."""
    quat: Quat = quat_normalize(unstack_frames(batch.joint_quat))
    root = batch.root_rows
    rest: Vec = tuple(jnp.zeros_like(quat[0]) for _ in range(3))  # pyright: ignore
    motion = link_motion(
        body.parents, unstack(body.offset), quat, rest, rest,
        root_acc=tuple(c[:1] for c in rest), gravity=GRAVITY,  # pyright: ignore
    )  # fmt: skip
    place = unstack(body.contact_point)
    return link_points(motion.rot, add(motion.pos, root), place, body.contact_link)
