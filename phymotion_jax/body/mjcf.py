"""MJCF in and out: a humanoid as MuJoCo's XML, and a user's MJCF as a humanoid."""

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

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

_WRITTEN = (
    *("offset", "mass", "com", "inertia", "armature"),
    *("hull_point", "hull_link", "capsule_ends", "capsule_radius"),
)
"""Numbers of a humanoid that MJCF has a place for."""


def to_mjcf(humanoid: Humanoid, *, floor: bool = True, hulls: bool = True) -> str:
    """MJCF with a free root and ball joints, which C MuJoCo and MJX load.

    Args:
      humanoid: one body, without a batch axis. Its hinges become balls.
      floor: add a plane at z = 0.
      hulls: geoms are the links' convex hulls where there are any; otherwise capsules.
    """
    body = SimpleNamespace(**{name: np.asarray(getattr(humanoid, name)) for name in _WRITTEN})
    if body.mass.ndim != 1:
        raise ModelError(f"one body was wanted, this humanoid has a batch of {body.mass.shape[0]}")
    root = ElementTree.Element("mujoco", model="phymotion")
    ElementTree.SubElement(root, "compiler", angle="radian", autolimits="true")
    asset = ElementTree.SubElement(root, "asset")
    world = ElementTree.SubElement(root, "worldbody")
    if floor:
        ElementTree.SubElement(world, "geom", name="floor", type="plane", size="20 20 0.1")
    elements = {-1: world}
    for link, parent in enumerate(humanoid.parents):
        name = humanoid.body_names[link]
        pos = np.zeros(3) if parent < 0 else body.offset[link]
        element = ElementTree.SubElement(elements[parent], "body", name=name, pos=_text(pos))
        elements[link] = element
        tensor = body.inertia[link]
        order = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
        ElementTree.SubElement(
            element,
            "inertial",
            pos=_text(body.com[link]),
            mass=_text([body.mass[link]]),
            fullinertia=_text([tensor[i, j] for i, j in order]),
        )
        if parent < 0:
            ElementTree.SubElement(element, "freejoint", name=name)
        else:
            drive = _text([body.armature[link]])
            ElementTree.SubElement(element, "joint", name=name, type="ball", armature=drive)
        _add_geoms(element, asset, humanoid, body, link, hulls)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _add_geoms(element, asset, humanoid: Humanoid, body, link: int, hulls: bool) -> None:
    name = humanoid.body_names[link]
    hull = body.hull_point[body.hull_link == link]
    if hulls and len(hull) > 3:
        ElementTree.SubElement(asset, "mesh", name=name, vertex=_text(np.ravel(hull)))
        ElementTree.SubElement(element, "geom", name=name, type="mesh", mesh=name)
        return
    count = len(humanoid.capsule_link)
    for k in (k for k, owner in enumerate(humanoid.capsule_link) if owner == link):
        ends = body.capsule_ends[[k, count + k]]
        size = _text([body.capsule_radius[k]])
        if np.linalg.norm(ends[1] - ends[0]) < 1e-6:
            ElementTree.SubElement(element, "geom", type="sphere", pos=_text(ends[0]), size=size)
        else:
            text = _text(np.ravel(ends))
            ElementTree.SubElement(element, "geom", type="capsule", fromto=text, size=size)


def _text(values) -> str:
    return " ".join(f"{float(v):.9g}" for v in values)


def from_mjcf(source: str | Path) -> Humanoid:
    """A humanoid from MJCF: XML text or a file's path. The joints may be hinges or balls.

    The file must hold one tree with a free joint at its root. Limits of speed and torque are
    infinite, since MJCF does not tell a human's; hinges keep their ranges.

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
    order = _breadth_first(model)
    position = {body: k for k, body in enumerate(order)}
    n = len(order)
    anchor, turn = np.zeros((n, 3)), np.zeros((n, 3, 3))
    offset, com = np.zeros((n, 3)), np.zeros((n, 3))
    inertia, armature = np.zeros((n, 3, 3)), np.zeros(n)
    axes, ranges, hinge_link = [], [], []
    qpos_at, dof_at = [], []
    for k, b in enumerate(order):
        parent = position.get(int(model.body_parentid[b]), -1)
        joints = _joints(model, b, root=parent < 0)
        anchor[k] = model.jnt_pos[joints[0]] if joints and parent >= 0 else 0.0
        own = _matrix(model.body_quat[b])
        turn[k] = np.eye(3) if parent < 0 else turn[parent] @ own
        if parent >= 0:
            offset[k] = turn[parent] @ (model.body_pos[b] + own @ anchor[k] - anchor[parent])
        com[k] = turn[k] @ (model.body_ipos[b] - anchor[k])
        principal = turn[k] @ _matrix(model.body_iquat[b])
        inertia[k] = principal @ np.diag(model.body_inertia[b]) @ principal.T
        qpos_at.append(int(model.jnt_qposadr[joints[0]]) if joints else -1)
        dof_at.append(int(model.jnt_dofadr[joints[0]]) if joints else -1)
        armature[k] = model.dof_armature[dof_at[k]] if joints else 0.0
        for j in joints:
            if model.jnt_type[j] == _HINGE:
                hinge_link.append(k)
                axes.append(turn[k] @ model.jnt_axis[j])
                limited = bool(model.jnt_limited[j])
                ranges.append(model.jnt_range[j] if limited else (-np.inf, np.inf))
    points, owners, hull_owner, ends, radii, capsule_owner = _geometry(
        model, position, turn, anchor
    )
    names = tuple(model.body(b).name or f"body{b}" for b in order)
    return Humanoid(
        offset=jnp.asarray(offset),
        mass=jnp.asarray(model.body_mass[order]),
        com=jnp.asarray(com),
        inertia=jnp.asarray(inertia),
        contact_point=jnp.asarray(points),
        capsule_ends=jnp.asarray(ends),
        capsule_radius=jnp.asarray(radii),
        hull_point=jnp.asarray(points),
        hull_link=jnp.asarray(hull_owner),
        range_low=jnp.zeros((0, 3)),
        range_high=jnp.zeros((0, 3)),
        speed_limit=jnp.full((n, 2), jnp.inf),
        torque_limit=jnp.full((n, 2), jnp.inf),
        hinge_axis=jnp.asarray(np.array(axes).reshape(-1, 3)),
        hinge_range=jnp.asarray(np.array(ranges).reshape(-1, 2)),
        armature=jnp.asarray(armature),
        rest_quat=jnp.asarray(SO3.from_rotmat(turn)),
        body_names=names,
        parents=tuple(position.get(int(model.body_parentid[b]), -1) for b in order),
        contact_link=tuple(owners),
        capsule_link=tuple(capsule_owner),
        hinge_link=tuple(hinge_link),
        qpos_address=tuple(qpos_at),
        dof_address=tuple(dof_at),
    )


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


def _geometry(model: mujoco.MjModel, position: dict[int, int], turn, anchor):
    """Contact points and capsules from geoms, in our link frames."""
    points, owners, starts, stops, radii, capsule_owner = [], [], [], [], [], []
    for g in range(model.ngeom):
        link = position.get(int(model.geom_bodyid[g]))
        if link is None:
            continue
        place = model.geom_pos[g] - anchor[link]
        rotation = _matrix(model.geom_quat[g])
        size = model.geom_size[g]
        kind = mujoco.mjtGeom(int(model.geom_type[g]))
        local = _surface_points(model, g, kind, size)
        points.append((place + local @ rotation.T) @ turn[link].T)
        owners += [link] * len(local)
        if kind in (mujoco.mjtGeom.mjGEOM_CAPSULE, mujoco.mjtGeom.mjGEOM_SPHERE):
            half = size[1] if kind == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0
            axis = rotation[:, 2] * half
            starts.append(turn[link] @ (place - axis))
            stops.append(turn[link] @ (place + axis))
            radii.append(size[0])
            capsule_owner.append(link)
    stacked = np.concatenate(points) if points else np.zeros((0, 3))
    ends = np.array(starts + stops).reshape(-1, 3)
    return stacked, owners, np.array(owners, int), ends, np.array(radii), capsule_owner


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
