"""A humanoid as MJCF, for C MuJoCo, MJX and viewers."""

from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np

from phymotion_jax.body.humanoid import Humanoid
from phymotion_jax.errors import ModelError

_WRITTEN = (
    *("offset", "mass", "com", "inertia", "armature"),
    *("hull_point", "capsule_ends", "capsule_radius"),
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
    start = sum(humanoid.hull_sizes[:link])
    hull = body.hull_point[start : start + humanoid.hull_sizes[link]]
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
