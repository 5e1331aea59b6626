"""What `mannequin-x` gives, as arrays that are linear in the betas.

Eleven calls (the mean body and ten unit betas) give the whole shape space. What linearity leaves
out is below a millimetre, but for the feet of the skinned surface, whose soles `mannequin-x` lowers
to the lowest of several heights: the soles are taken from its convex hulls. `tests/test_body.py`
and `tests/test_surface.py` bound it.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int
from mannequin import Mannequin

from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS, N_BODIES
from phymotion_jax.body.surface_arrays import SurfaceArrays
from phymotion_jax.body.template_build import LinkPoints

_SMPL_NAMES = {  # where SMPL-X's name, lower-cased and spelt out, is not the one mannequin-x uses
    "left_hand": "L_Middle1",  # SMPL puts the hand's joint at the knuckles
    "right_hand": "R_Middle1",
}


@cache
def mannequin_arrays() -> SurfaceArrays:
    """The skinned mannequin on SMPL-X's skeleton, whose joints it reproduces exactly.

    Fingers rest as SMPL-X's relaxed hands do.
    """
    model = Mannequin("wooden")
    bodies = [np.zeros(N_BETAS), *np.eye(N_BETAS)]
    joints, vertices = zip(*(_rest_geometry(model, betas) for betas in bodies), strict=True)
    return SurfaceArrays(
        vertex_mean=vertices[0],
        vertex_dirs=_directions(vertices),
        pose_dirs=np.zeros((len(vertices[0]), 3, 0)),
        joint_mean=joints[0],
        joint_dirs=_directions(joints),
        weights=_link_weights(model),
        faces=np.asarray(model.faces),
    )


def foot_hulls() -> LinkPoints:
    """Convex hulls of ankles and toes, which end in flat soles."""
    model = Mannequin("convex", lod=1)
    bodies = [np.zeros(N_BETAS), *np.eye(N_BETAS)]
    joints, vertices = zip(*(_rest_geometry(model, betas) for betas in bodies), strict=True)
    link = _link_of_vertex(model)
    local = [v - j[link] for j, v in zip(joints, vertices, strict=True)]
    feet = np.flatnonzero(np.isin(link, FEET))
    in_order = feet[np.argsort(link[feet], kind="stable")]
    return LinkPoints(link, local[0], _directions(local)).take(in_order)


def _directions(bodies) -> Float[np.ndarray, "P 3 10"]:
    """Change a unit of each beta, from the mean body and ten others."""
    return np.stack([body - bodies[0] for body in bodies[1:]], axis=-1)


def _mannequin_joint(name: str) -> str:
    if name in _SMPL_NAMES:
        return _SMPL_NAMES[name]
    side, _, rest = name.partition("_")
    if rest:
        return f"{side[0].upper()}_{rest.capitalize()}"
    return name.capitalize()


def _owner_of_joint(model: Mannequin) -> Int[np.ndarray, " J"]:
    """Our link for each of the mannequin's joints: fingers belong to the hand."""
    ours = {_mannequin_joint(n): i for i, n in enumerate(BODY_NAMES) if not n.endswith("_hand")}
    hand = {"L": BODY_NAMES.index("left_hand"), "R": BODY_NAMES.index("right_hand")}
    return np.array([ours.get(n, hand.get(n[0], 0)) for n in model.joint_names])


def _rest_geometry(
    model: Mannequin, betas: Float[np.ndarray, " 10"]
) -> tuple[Float[np.ndarray, "24 3"], Float[np.ndarray, "V 3"]]:
    """Joints and vertices of one body at rest, in the model frame."""
    model.reshape(betas)
    pose = model.rest_pose(dtype=np.float64)
    joints = model.joint_transforms(pose)[:, :3, 3]
    index = [model.joint_index(_mannequin_joint(name)) for name in BODY_NAMES]
    return joints[index], np.asarray(model.vertices(pose), np.float64)


def _link_weights(model: Mannequin) -> Float[np.ndarray, "V 24"]:
    """How much each of our links moves each vertex; fingers are of the hand.

    `mannequin-x` has no public name for its weights. That they are these is tested on its poses.
    """
    joint, share = model._skin_joint_indices, model._skin_weights
    assert joint is not None and share is not None  # the wooden one is skinned
    link = _owner_of_joint(model)[joint]
    weights = np.zeros((model.num_vertices, N_BODIES))
    np.add.at(weights, (np.arange(len(weights))[:, None], link), share)
    return weights


def _link_of_vertex(model: Mannequin) -> Int[np.ndarray, " V"]:
    """Our link for each hull vertex, found by the transform that moves its hull."""
    pose = model.rest_pose(dtype=np.float64)
    joints = model.joint_transforms(pose)[:, :3, 3]
    links = model.link_transforms(pose)[:, :3, 3]
    # Zero-length joints (hands) share their wrist's place: the first match is the one with a hull.
    of_link = np.argmin(np.linalg.norm(links[:, None] - joints[None], axis=-1), axis=1)
    return _owner_of_joint(model)[of_link][_vertex_blocks(model.faces, model.num_vertices)]


def _vertex_blocks(faces: Int[np.ndarray, "F 3"], n: int) -> Int[np.ndarray, " V"]:
    """Which hull each vertex is of. Hulls stand one after another and share no vertex."""
    reach = np.arange(n)
    np.maximum.at(reach, faces.min(axis=1), faces.max(axis=1))
    last = np.maximum.accumulate(reach) == np.arange(n)
    return np.concatenate(([0], np.cumsum(last)[:-1]))
