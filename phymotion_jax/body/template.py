"""The default body: SMPL-X skeleton of `mannequin-x`, hulls of its surface's parts, flat soles.

Nothing here is licensed or downloaded.
"""

from functools import cache

import numpy as np

from phymotion_jax.body.mannequin_arrays import foot_hulls, mannequin_arrays
from phymotion_jax.body.part_hulls import part_hulls
from phymotion_jax.body.skeleton import FEET
from phymotion_jax.body.template_build import BodyTemplate, build_template, joined


@cache
def default_template() -> BodyTemplate:
    """The shape space of `mannequin-x`, computed once a process (about a second).

    `mannequin-x` also has a convex hull for every link, but those of the trunk are half as wide
    again as its skinned surface: all of them hold 108 litres, where the surface's parts hold the 70
    of a body. Hulls are of the surface's parts, but for the feet, which end in flat soles there.
    """
    body, feet = mannequin_arrays(), foot_hulls()
    face_link = body.face_link
    bare = ~np.isin(face_link, FEET)
    joints = (body.joint_mean, body.joint_dirs)
    vertices = (body.vertex_mean, body.vertex_dirs)
    parts = part_hulls(joints, vertices, body.faces[bare], face_link[bare])
    hull = joined(parts, feet)
    hull = hull.take(np.argsort(hull.link, kind="stable"))
    return build_template(body.joint_mean, body.joint_dirs, hull, feet)
