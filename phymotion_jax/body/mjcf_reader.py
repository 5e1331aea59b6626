"""A user's MJCF, with hinge or ball joints, as a humanoid."""

from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from nanomanifold import SO3

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.errors import ModelError

_HINGE, _BALL, _FREE = (
    int(j)
    for j in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_BALL, mujoco.mjtJoint.mjJNT_FREE)
)


class _Frames(NamedTuple):
    """Where our link frames lie in MuJoCo's bodies: at the joint's anchor, turned to rest aligned.

    Bodies are listed level by level; `position` finds a body in that list.
    """

    order: list[int]
    position: dict[int, int]
    parents: list[int]
    joints: list[list[int]]
    anchor: np.ndarray
    turn: np.ndarray


def from_mjcf(source: str | Path) -> Humanoid:
    """A humanoid from MJCF: XML text or a file's path. The joints may be hinges or balls.

    The file must hold one tree with a free joint at its root. Limits of speed and torque are
    infinite, since MJCF does not tell a human's; hinges keep their ranges. Springs, dampers,
    friction and actuators are no part of a body and are left out. Clips are scored on SMPL's tree
    alone: a body from MJCF serves inverse dynamics, not yet `score`.

    Raises:
      ModelError: if MuJoCo cannot compile it, or it holds what this program cannot represent.
    """
    text = str(source)
    try:
        if text.lstrip().startswith("<"):
            model = mujoco.MjModel.from_xml_string(text)
        else:
            model = mujoco.MjModel.from_xml_path(text)
    except (ValueError, OSError) as error:
        raise ModelError(f"MuJoCo cannot compile {text[:60]!r}: {error}") from error
    return from_mujoco(model)


def from_mujoco(model: mujoco.MjModel) -> Humanoid:
    """A humanoid from a compiled model. See `from_mjcf`."""
    frames = _frames(model)
    n = len(frames.order)
    first = [joints[0] if joints else -1 for joints in frames.joints]
    return Humanoid(
        **_inertials(model, frames),
        **_hinges(model, frames),
        **_geometry(model, frames),
        range_low=jnp.zeros((0, 3)),
        range_high=jnp.zeros((0, 3)),
        speed_limit=jnp.full((n, 2), jnp.inf),
        torque_limit=jnp.full((n, 2, 2), jnp.inf),
        rest_quat=jnp.asarray(SO3.from_rotmat(frames.turn)),
        body_names=tuple(model.body(b).name or f"body{b}" for b in frames.order),
        parents=tuple(frames.parents),
        qpos_address=tuple(int(model.jnt_qposadr[j]) if j >= 0 else -1 for j in first),
        dof_address=tuple(int(model.jnt_dofadr[j]) if j >= 0 else -1 for j in first),
    )


def _frames(model: mujoco.MjModel) -> _Frames:
    order = _breadth_first(model)
    position = {body: k for k, body in enumerate(order)}
    parents = [position.get(int(model.body_parentid[b]), -1) for b in order]
    joints = [_joints(model, b, root=p < 0) for b, p in zip(order, parents, strict=True)]
    anchor, turn = np.zeros((len(order), 3)), np.zeros((len(order), 3, 3))
    for k, (body, parent) in enumerate(zip(order, parents, strict=True)):
        if parent < 0:
            turn[k] = np.eye(3)  # a free joint's frame is the body's own
        else:
            turn[k] = turn[parent] @ _matrix(model.body_quat[body])
            anchor[k] = model.jnt_pos[joints[k][0]] if joints[k] else 0.0
    return _Frames(order, position, parents, joints, anchor, turn)


def _inertials(model: mujoco.MjModel, frames: _Frames) -> dict[str, Any]:
    """Offsets, masses, centres and inertias in our frames."""
    offset, com, inertia = [], [], []
    for k, (body, parent) in enumerate(zip(frames.order, frames.parents, strict=True)):
        if parent < 0:
            offset.append(np.zeros(3))
        else:
            reach = _matrix(model.body_quat[body]) @ frames.anchor[k] - frames.anchor[parent]
            offset.append(frames.turn[parent] @ (model.body_pos[body] + reach))
        com.append(frames.turn[k] @ (model.body_ipos[body] - frames.anchor[k]))
        principal = frames.turn[k] @ _matrix(model.body_iquat[body])
        inertia.append(principal @ np.diag(model.body_inertia[body]) @ principal.T)
    return {
        "offset": jnp.asarray(np.array(offset)),
        "mass": jnp.asarray(model.body_mass[frames.order]),
        "com": jnp.asarray(np.array(com)),
        "inertia": jnp.asarray(np.array(inertia)),
    }


def _hinges(model: mujoco.MjModel, frames: _Frames) -> dict[str, Any]:
    """Axes and ranges of the hinges, and every joint's armature."""
    found = [(k, j) for k, js in enumerate(frames.joints) for j in js]
    hinges = [(k, j) for k, j in found if model.jnt_type[j] == _HINGE]
    axes = [frames.turn[k] @ model.jnt_axis[j] for k, j in hinges]
    free = (-np.inf, np.inf)
    ranges = [model.jnt_range[j] if model.jnt_limited[j] else free for _, j in hinges]
    armature = np.zeros(len(frames.order))
    for k, j in found:
        armature[k] = model.dof_armature[model.jnt_dofadr[j]]
    return {
        "hinge_axis": jnp.asarray(np.array(axes).reshape(-1, 3)),
        "hinge_range": jnp.asarray(np.array(ranges).reshape(-1, 2)),
        "hinge_link": tuple(k for k, _ in hinges),
        "armature": jnp.asarray(armature),
    }


def _breadth_first(model: mujoco.MjModel) -> list[int]:
    """Bodies level by level, each level in the order of its parents."""
    roots = [b for b in range(1, model.nbody) if model.body_parentid[b] == 0]
    moving = [b for b in roots if model.body_jntnum[b]]
    if len(moving) != 1:
        raise ModelError(f"one tree with a free joint at its root was wanted, found {len(moving)}")
    joint = int(model.jnt_type[model.body_jntadr[moving[0]]])
    if joint != _FREE:
        name = model.body(moving[0]).name or f"body{moving[0]}"
        found = mujoco.mjtJoint(joint).name
        raise ModelError(f"the root {name} has {found}; a free joint was wanted")
    order, level = [], moving
    while level:
        order += level
        level = [c for p in level for c in range(1, model.nbody) if model.body_parentid[c] == p]
    return order


def _joints(model: mujoco.MjModel, body: int, *, root: bool) -> list[int]:
    """A body's joints: one free (root), one ball, hinges that share an anchor, or none."""
    first = int(model.body_jntadr[body])
    joints = list(range(first, first + int(model.body_jntnum[body])))
    kinds = [int(model.jnt_type[j]) for j in joints]
    name = model.body(body).name or f"body{body}"
    allowed = [_FREE] if root else [_BALL] if _BALL in kinds else [_HINGE] * len(kinds)
    if kinds != allowed:
        found = ", ".join(mujoco.mjtJoint(k).name for k in kinds)
        raise ModelError(f"{name} has joints {found}; one ball or hinges were wanted")
    if joints and not np.allclose(model.jnt_pos[joints], model.jnt_pos[joints[0]], atol=1e-9):
        raise ModelError(f"the hinges of {name} have different anchors; one was wanted")
    dofs = np.arange(model.body_dofnum[body]) + model.body_dofadr[body]
    if joints and not np.allclose(model.dof_armature[dofs], model.dof_armature[dofs[0]]):
        raise ModelError(f"the joints of {name} differ in armature; one value was wanted")
    return joints


def _geometry(model: mujoco.MjModel, frames: _Frames) -> dict[str, Any]:
    """Contact points and hull vertices from all geoms, capsules from the round ones."""
    points, owners, starts, stops, radii, capsule_link = [], [], [], [], [], []
    for g in range(model.ngeom):
        link = frames.position.get(int(model.geom_bodyid[g]))
        if link is None:
            continue
        place = model.geom_pos[g] - frames.anchor[link]
        rotation, size = _matrix(model.geom_quat[g]), model.geom_size[g]
        kind = mujoco.mjtGeom(int(model.geom_type[g]))
        local = _surface_points(model, g, kind, size)
        points.append((place + local @ rotation.T) @ frames.turn[link].T)
        owners += [link] * len(local)
        if kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE):
            half = size[1] if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0
            axis = rotation[:, 2] * half
            starts.append(frames.turn[link] @ (place - axis))
            stops.append(frames.turn[link] @ (place + axis))
            radii.append(size[0])
            capsule_link.append(link)
    stacked = jnp.asarray(np.concatenate(points) if points else np.zeros((0, 3)))
    return {
        "contact_point": stacked,
        "contact_link": tuple(owners),
        "hull_point": stacked[np.argsort(owners, kind="stable")],
        "hull_sizes": tuple(np.bincount(owners, minlength=len(frames.order)).tolist()),
        "capsule_ends": jnp.asarray(np.array(starts + stops).reshape(-1, 3)),
        "capsule_radius": jnp.asarray(np.array(radii)),
        "capsule_link": tuple(capsule_link),
    }


def _surface_points(model: mujoco.MjModel, geom: int, kind, size) -> np.ndarray:
    """Points on a geom's surface in its own frame: corners, poles or mesh vertices."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    poles = np.concatenate([np.eye(3), -np.eye(3)])
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return corners * size
    if kind in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        return poles * (size if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID else size[0])
    if kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_CYLINDER):
        round_off = size[0] if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0
        reach = np.array([0.0, 0.0, size[1] + round_off])
        rim = np.concatenate([poles[[0, 1, 3, 4]] * size[0] + [0, 0, s * size[1]] for s in (-1, 1)])
        return np.concatenate([rim, [reach, -reach]])
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = int(model.geom_dataid[geom])
        start = int(model.mesh_vertadr[mesh])
        return np.asarray(model.mesh_vert[start : start + int(model.mesh_vertnum[mesh])], float)
    raise ModelError(f"geom {geom} is a {kind.name}; box, sphere, capsule, cylinder or mesh wanted")


def _matrix(quat: np.ndarray) -> np.ndarray:
    return np.asarray(SO3.to_rotmat(np.asarray(quat, np.float64)))
