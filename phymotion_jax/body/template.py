"""The default body: SMPL-X skeleton, soles and hulls of `mannequin-x`, linear in the betas.

Nothing here is licensed or downloaded. `mannequin-x` reproduces SMPL-X's joints exactly (they are
linear in the betas) and reshapes one convex hull a link along them; that reshaping is linear but
for the abdomen, so that eleven calls (the mean body and ten unit betas) give the whole shape space.
`tests/test_body.py` bounds what linearity leaves out.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from mannequin import Mannequin

from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS, N_BODIES

_SMPL_NAMES = {  # where SMPL-X's name, lower-cased and spelt out, is not the one mannequin-x uses
    "left_hand": "L_Middle1",  # SMPL puts the hand's joint at the knuckles
    "right_hand": "R_Middle1",
}
_SOLE_BAND = 0.015
"""Hull points this close to a foot's lowest point, in metres, are its sole: what the hull's
rounding takes (the chosen points of the mean body span 18 mm)."""

LANDMARKS = ("vertex", "heel", "heel", "toe_tip", "toe_tip", "fingertip", "fingertip")
"""What each landmark is; where there are two, left before right."""

_CAPSULE_SHRINK = 0.9
"""Capsules are slimmer and shorter than the hulls, as flesh gives way: a proposal of this project.
Where a hull tapers (a thigh, to the knee), its capsule still looks out of it, by 6 cm at most."""

SOLE_POINTS_PER_LINK = 8
BODY_POINTS_PER_LINK = 6
SUPPORTS_PER_SOLE_LINK = 4

_SEGMENTS = (
    *(("pelvis",), ("spine1", "spine2", "spine3"), ("neck", "head")),
    *((f"{side}_hip",) for side in ("left", "right")),
    *((f"{side}_knee",) for side in ("left", "right")),
    *((f"{side}_collar", f"{side}_shoulder") for side in ("left", "right")),
    *((f"{side}_elbow",) for side in ("left", "right")),
    *((f"{side}_wrist", f"{side}_hand") for side in ("left", "right")),
)
"""Links that the ground holds up as one, at whichever of their points lie lowest."""


@dataclass(frozen=True)
class LinkPoints:
    """Points fixed to links, as a linear function of the betas, in the link's frame at rest (m)."""

    link: Int[np.ndarray, " P"]
    """Link that carries each point."""

    mean: Float[np.ndarray, "P 3"]
    """Position for betas zero, relative to the link's joint."""

    dirs: Float[np.ndarray, "P 3 10"]
    """Change of position a unit of each beta."""

    def take(self, index: Int[np.ndarray, " K"]) -> "LinkPoints":
        """A subset, in the order of `index`."""
        return LinkPoints(self.link[index], self.mean[index], self.dirs[index])


@dataclass(frozen=True, eq=False)  # hashed by identity: there is one a process
class BodyTemplate:
    """Shape space of the default body. Link frames at rest: x to the left, y up, z forward."""

    joint_mean: Float[np.ndarray, "24 3"]
    """Joint positions of the mean body in SMPL-X's model frame, in metres."""

    joint_dirs: Float[np.ndarray, "24 3 10"]
    """Change of joint position a unit of each beta."""

    hull: LinkPoints
    """Hull vertices of every link."""

    contact: LinkPoints
    """Points that may touch the floor: the soles' first, foot by foot, then the other links'."""

    n_sole: int
    """How many of the contact points are soles."""

    supports: tuple[int, ...]
    """How many contact points, one after another, each support has."""

    landmark: LinkPoints
    """Vertex of the head; left and right heel, toe tip and fingertip (see `LANDMARKS`)."""

    mean_stature: float
    """Height of the mean body from sole to vertex, in metres."""

    capsule_ends: LinkPoints
    """Both ends of the core of each link's capsule: the first ends of all, then the second."""

    capsule_radius: Float[np.ndarray, " 24"]
    """Radius of each link's capsule, in metres."""


def _mannequin_joint(name: str) -> str:
    if name in _SMPL_NAMES:
        return _SMPL_NAMES[name]
    side, _, rest = name.partition("_")
    if rest:
        return f"{side[0].upper()}_{rest.capitalize()}"
    return name.capitalize()


def owner_of_joint(model: Mannequin) -> Int[np.ndarray, " J"]:
    """Our link for each of the mannequin's joints: fingers belong to the hand."""
    ours = {_mannequin_joint(n): i for i, n in enumerate(BODY_NAMES) if not n.endswith("_hand")}
    hand = {"L": BODY_NAMES.index("left_hand"), "R": BODY_NAMES.index("right_hand")}
    return np.array([ours.get(n, hand.get(n[0], 0)) for n in model.joint_names])


def _vertex_blocks(faces: Int[np.ndarray, "F 3"], n: int) -> Int[np.ndarray, " V"]:
    """Which hull each vertex is of. Hulls stand one after another and share no vertex."""
    reach = np.arange(n)
    np.maximum.at(reach, faces.min(axis=1), faces.max(axis=1))
    last = np.maximum.accumulate(reach) == np.arange(n)
    return np.concatenate(([0], np.cumsum(last)[:-1]))


def _rest_geometry(model: Mannequin, betas: Float[np.ndarray, " 10"]):
    """Joints `(24, 3)` and hull vertices `(V, 3)` of one body at rest, in the model frame."""
    model.reshape(betas)
    pose = model.rest_pose(dtype=np.float64)
    joints = model.joint_transforms(pose)[:, :3, 3]
    index = [model.joint_index(_mannequin_joint(name)) for name in BODY_NAMES]
    return joints[index], np.asarray(model.vertices(pose), np.float64)


def _link_of_vertex(model: Mannequin) -> Int[np.ndarray, " V"]:
    """Our link for each hull vertex, found by the transform that moves its hull."""
    pose = model.rest_pose(dtype=np.float64)
    joints = model.joint_transforms(pose)[:, :3, 3]
    links = model.link_transforms(pose)[:, :3, 3]
    # Zero-length joints (hands) share their wrist's place: the first match is the one with a hull.
    of_link = np.argmin(np.linalg.norm(links[:, None] - joints[None], axis=-1), axis=1)
    return owner_of_joint(model)[of_link][_vertex_blocks(model.faces, model.num_vertices)]


def farthest_points(points: Float[np.ndarray, "P D"], count: int) -> Int[np.ndarray, " K"]:
    """Indices of `count` points that spread widest, beginning with the outermost."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _contact_index(
    hull: LinkPoints, joint_mean: Float[np.ndarray, "24 3"]
) -> tuple[Int[np.ndarray, " P"], int, tuple[int, ...]]:
    """Hull vertices that serve as contact points, how many of them are soles, and their supports.

    Points of one support stand together.
    """
    height = hull.mean[:, 1] + joint_mean[hull.link, 1]
    supports = []
    for foot in FEET:
        lowest = height[np.isin(hull.link, foot)].min()
        for link in foot:
            sole = np.flatnonzero((hull.link == link) & (height < lowest + _SOLE_BAND))
            flat = hull.mean[sole][:, [0, 2]]
            spread = farthest_points(flat, SOLE_POINTS_PER_LINK)
            supports += _nearest(sole[spread], flat[spread], SUPPORTS_PER_SOLE_LINK)
    n_sole = sum(map(len, supports))
    for segment in _SEGMENTS:
        points = []
        for link in map(BODY_NAMES.index, segment):
            mine = np.flatnonzero(hull.link == link)
            points.append(mine[farthest_points(hull.mean[mine], BODY_POINTS_PER_LINK)])
        supports.append(np.concatenate(points))
    return np.concatenate(supports), n_sole, tuple(map(len, supports))


def _nearest(
    index: Int[np.ndarray, " K"], places: Float[np.ndarray, "K 2"], count: int
) -> list[Int[np.ndarray, " G"]]:
    """The points in groups around the first `count` of them, which lie widest apart."""
    away = np.linalg.norm(places[:, None] - places[None, :count], axis=-1)
    return [index[away.argmin(axis=1) == k] for k in range(count)]


def _landmark_index(hull: LinkPoints) -> Int[np.ndarray, " 7"]:
    """The outermost hull vertices of head, feet and hands."""

    def outermost(link: str, axis: int, sign: int) -> int:
        mine = np.flatnonzero(hull.link == BODY_NAMES.index(link))
        return int(mine[np.argmax(sign * hull.mean[mine, axis])])

    sides = (("left", 1), ("right", -1))
    return np.array(
        [outermost("head", 1, 1)]
        + [outermost(f"{side}_ankle", 2, -1) for side, _ in sides]
        + [outermost(f"{side}_foot", 2, 1) for side, _ in sides]
        + [outermost(f"{side}_hand", 0, sign) for side, sign in sides]
    )


def _capsules(hull: LinkPoints) -> tuple[LinkPoints, Float[np.ndarray, " 24"]]:
    """One capsule a link, along the longest principal axis of its hull's vertices.

    Its radius is the smaller of the half extents across; its ends follow the betas by the affine
    map that fits the hull's own change best.
    """
    ends, dirs, radii = [], [], []
    for link in range(N_BODIES):
        mine = hull.link == link
        points = hull.mean[mine]
        middle = 0.5 * (points.max(axis=0) + points.min(axis=0))
        axes = np.linalg.eigh(np.cov(points.T))[1][:, ::-1]
        along = (points - middle) @ axes
        centre = middle + axes @ (0.5 * (along.max(axis=0) + along.min(axis=0)))
        half = 0.5 * np.ptp(along, axis=0)
        radius = _CAPSULE_SHRINK * float(min(half[1], half[2]))
        reach = max(_CAPSULE_SHRINK * half[0] - radius, 0.0) * axes[:, 0]
        pair = np.stack([centre - reach, centre + reach])
        change = hull.dirs[mine].reshape(len(points), -1)
        affine = np.linalg.lstsq(np.c_[points, np.ones(len(points))], change, rcond=None)[0]
        ends.append(pair)
        dirs.append((np.c_[pair, np.ones(2)] @ affine).reshape(2, 3, N_BETAS))
        radii.append(radius)
    link = np.tile(np.arange(N_BODIES), 2)
    stacked = (np.concatenate(np.swapaxes(x, 0, 1)) for x in (np.array(ends), np.array(dirs)))
    return LinkPoints(link, *stacked), np.array(radii)


@cache
def default_template() -> BodyTemplate:
    """The shape space of `mannequin-x`, computed once a process (about 0.1 s)."""
    model = Mannequin("convex", lod=1)
    joint_mean, vertex_mean = _rest_geometry(model, np.zeros(N_BETAS))
    unit = [_rest_geometry(model, row) for row in np.eye(N_BETAS)]
    joint_dirs = np.stack([j - joint_mean for j, _ in unit], axis=-1)
    vertex_dirs = np.stack([v - vertex_mean for _, v in unit], axis=-1)
    link = _link_of_vertex(model)
    hull = LinkPoints(link, vertex_mean - joint_mean[link], vertex_dirs - joint_dirs[link])
    index, n_sole, supports = _contact_index(hull, joint_mean)
    landmark = hull.take(_landmark_index(hull))
    height = hull.mean[:, 1] + joint_mean[link, 1]
    mean_stature = float(height[_landmark_index(hull)[0]] - height[index[:n_sole]].min())
    return BodyTemplate(
        joint_mean,
        joint_dirs,
        hull,
        hull.take(index),
        n_sole,
        supports,
        landmark,
        mean_stature,
        *_capsules(hull),
    )
