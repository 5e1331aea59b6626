"""The moving body that parts are measured on: from a padded batch to world motion and forces."""

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.body.qpos import JointMotion
from phymotion_jax.body.skeleton import require_smpl
from phymotion_jax.dynamics import GRAVITY, Backend, dynamics
from phymotion_jax.kernels.contacts import link_points
from phymotion_jax.kernels.differences import angular_rates, linear_rates
from phymotion_jax.kernels.dynamics import LinkMotion, Wrenches
from phymotion_jax.kernels.floor import floor_height
from phymotion_jax.kernels.stored import stored
from phymotion_jax.kernels.tree import take_rows
from phymotion_jax.kernels.vectors import (
    Quat,
    Vec,
    add,
    norm,
    quat_normalize,
    unstack,
    unstack_frames,
)
from phymotion_jax.motion import MotionBatch


class Votes(NamedTuple):
    """What tells where the floor is."""

    lowest: Float[Array, "B T"]
    """Height of the body's lowest point, in metres."""

    mask: Bool[Array, "B T"]
    """Real frames."""

    fps: Float[Array, "B 1"]
    """Frames a second."""

    push: Float[Array, "B T"]
    """Vertical force that the body needs from outside, in body weights."""

    soles: Float[Array, "B T"]
    """Height of the lowest point of both soles, in metres."""


FindFloor = Callable[[Votes], Array]
"""Height of the floor ``(B,)``, in metres."""


class State(NamedTuple):
    """Everything a part may ask for. Hot layout: ``(items, B, T)``, vectors as tuples."""

    mask: Bool[Array, "B T"]
    """Real frames."""

    fps: Float[Array, "B 1"]
    """Frames a second."""

    joints: JointMotion
    """Local rotations and their rates."""

    motion: LinkMotion
    """World motion of the links, relative to the pelvis."""

    wrenches: Wrenches
    """Joint moments and the force that the body needs from outside."""

    weight: Float[Array, "B 1"]
    """Body weight, in N."""

    com: Vec
    """Centre of mass in the world, components ``(B, T)``, in metres."""

    points: Vec
    """Contact points in the world, ``(P, B, T)``; heights are above the floor."""

    floor: Float[Array, " B"]
    """Height of the floor in the clip's own coordinates, in metres."""


def rest_padding(batch: MotionBatch) -> MotionBatch:
    """The same batch with a body at rest wherever there is no usable frame.

    Padding may hold NaN, and NaN survives a product with zero: it is replaced before any
    arithmetic. A clip that `status.mask_out` has emptied rests on every frame.
    """
    rest = jnp.array([1.0, 0.0, 0.0, 0.0], batch.joint_quat.dtype)
    return batch.replace(
        root_pos=jnp.where(batch.mask[..., None], batch.root_pos, 0.0),
        joint_quat=jnp.where(batch.mask[..., None, None], batch.joint_quat, rest),
        static_conf=jnp.where(batch.mask[..., None], batch.static_conf, jnp.nan),
    )


def body_of(batch: MotionBatch, humanoid: Humanoid | None) -> Humanoid:
    """The body that was given, or each clip's own, in the precision of the motion.

    Raises:
      ModelError: for one that is not SMPL's tree with soles.
    """
    body = Humanoid.from_betas(batch.betas, batch.mass_kg) if humanoid is None else humanoid
    require_smpl(body.parents, len(body.feet))
    return body.astype(batch.root_pos.dtype)


def near_origin(batch: MotionBatch) -> tuple[MotionBatch, Float[Array, "B 2"]]:
    """The same batch moved over the floor by whole metres, and by how many, to near where it began.

    A kilometre out float32 moves in steps of a twentieth of a millimetre, and what is worked out
    there falls on them: at 120 frames a second a force of 0.06 of the weight. Differences with
    whole numbers are exact, so that near the origin nothing changes at all.
    """
    at = jax.lax.stop_gradient(jnp.round(batch.root_pos[:, 0, :2]))
    moved = batch.root_pos[..., :2] - at[:, None]
    return batch.replace(root_pos=jnp.concatenate([moved, batch.root_pos[..., 2:]], axis=-1)), at


def joint_rates(batch: MotionBatch) -> JointMotion:
    """Joint motion of a batch in the hot layout, with velocities and accelerations."""
    quat = quat_normalize(unstack_frames(batch.joint_quat))  # pyright: ignore[reportArgumentType]
    return rates_of(quat, batch.root_rows, batch.mask, batch.fps[:, None])


def rates_of(
    quat: Quat, root_pos: Vec, mask: Bool[Array, "B T"], fps: Float[Array, "B 1"]
) -> JointMotion:
    """Joint motion of rotations ``(24, B, T)`` and pelvis positions ``(1, B, T)``."""
    ang_vel, ang_acc = angular_rates(quat, mask, fps)
    _, root_acc = linear_rates(root_pos, mask, fps)
    return JointMotion(quat, ang_vel, ang_acc, root_pos, root_acc)


def floor_of_slow_frames(votes: Votes) -> Float[Array, " B"]:
    """The floor of a motion whose forces are too noisy to tell a flight."""
    return floor_height(votes.lowest, votes.mask, votes.fps)


def moving_body(
    batch: MotionBatch,
    humanoid: Humanoid,
    *,
    joints: JointMotion | None = None,
    backend: Backend = "fused",
    floor: Float[Array, " B"] | float | None = None,
    find_floor: FindFloor = floor_of_slow_frames,
) -> State:
    """World motion, forces, contact points and floor of a batch without NaN.

    Args:
      batch: from `rest_padding`.
      humanoid: one body, or one a clip.
      joints: the batch's joint motion with its rates, by default `joint_rates`.
      backend: of the inverse dynamics.
      floor: its height in metres; estimated from each clip where it is None.
      find_floor: how.
    """
    joints = joint_rates(batch) if joints is None else joints
    found = dynamics(humanoid, joints, backend=backend)
    # Barriers: what follows reads these many times, and XLA would rather compute them again.
    motion, wrenches, com = stored(found)
    root = joints.root_pos
    weight = -GRAVITY[2] * jnp.broadcast_to(humanoid.total_mass, batch.fps.shape)[:, None]
    points = link_points(
        motion.rot,
        add(motion.pos, root),
        unstack(humanoid.contact_point),  # pyright: ignore[reportArgumentType]
        humanoid.contact_link,
    )
    points = stored(points)
    if floor is None:
        lowest = jnp.min(points[2], axis=0)
        soles = jnp.min(take_rows(points[2], tuple(chain(*humanoid.feet))), axis=0)
        push = wrenches.root_force[2][0] / weight
        votes = Votes(lowest, batch.mask, batch.fps[:, None], push, soles)
        # By itself: on a GPU it shares a kernel with all else that is of one number a frame.
        height = find_floor(stored(votes))
    else:
        height = jnp.broadcast_to(jnp.asarray(floor, batch.root_pos.dtype), batch.fps.shape)
    return State(
        mask=batch.mask,
        fps=batch.fps[:, None],
        joints=joints,
        motion=motion,
        wrenches=wrenches,
        weight=weight,
        com=tuple(c[0] for c in add(com, root)),  # pyright: ignore[reportArgumentType]
        points=(points[0], points[1], points[2] - height[:, None]),
        floor=height,
    )


def activity(state: State) -> Float[Array, " B"]:
    """Mean speed of the links' origins, in m/s: what standing still lacks."""
    world = add(state.motion.pos, state.joints.root_pos)
    velocity, _ = linear_rates(world, state.mask, state.fps)
    speed = jnp.mean(norm(velocity), axis=0)
    frames = jnp.maximum(jnp.sum(state.mask, axis=1), 1)
    return jnp.sum(jnp.where(state.mask, speed, 0.0), axis=1) / frames
