"""The shape space of a body from its joints and its skin: what touches, what must not overlap.

Everything chosen here is chosen once, on the mean body, and is linear in the betas.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from phymotion_jax.body.skeleton import BODY_NAMES, FEET, N_BETAS

_SOLE_BAND = 0.015
"""Hull points this close to a foot's lowest point, in metres, are its sole: what the hull's
rounding takes (the chosen points of the mean body span 18 mm)."""

LANDMARKS = ("vertex", "heel", "heel", "toe_tip", "toe_tip", "fingertip", "fingertip")
"""What each landmark is; where there are two, left before right."""

_FINGER_M = 0.015
"""Half the width of what belongs to one finger: half the distance of neighbouring fingertips is
0.013 of the default body, whose fingers spread a little."""

_CAPSULE_SHRINK = 0.95
"""Capsules are a little slimmer than the hulls: then they tell the hulls' depth with little bias (6
mm too little, 18 as a rule), and find 99 in 100 pairs that are 3 cm deep (clean and random poses).
Where a hull tapers (a thigh, to the knee), its capsule still looks out of it, by 6 cm at most."""

_WIDE_M = 0.03
"""A hull whose half width is so much more than its half depth takes two capsules: the chest."""

SOLE_POINTS_PER_LINK = 8
BODY_POINTS_PER_LINK, TRUNK_POINTS_PER_LINK = 6, 8
"""With six on the trunk's too, a body on its back lies beside them (`tests/test_truth.py`)."""

TRUNK = ("pelvis", "spine1", "spine2", "spine3")
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

    def counts(self, n_links: int) -> tuple[int, ...]:
        """How many points each link has."""
        return tuple(np.bincount(self.link, minlength=n_links).tolist())


@dataclass(frozen=True, eq=False)  # hashed by identity: there is one a process
class BodyTemplate:
    """Shape space of the default body. Link frames at rest: x to the left, y up, z forward."""

    joint_mean: Float[np.ndarray, "24 3"]
    """Joint positions of the mean body in SMPL-X's model frame, in metres."""

    joint_dirs: Float[np.ndarray, "24 3 10"]
    """Change of joint position a unit of each beta."""

    hull: LinkPoints
    """Hull vertices, link after link; a link may have none."""

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
    """Both ends of the core of each hull's capsule: the first ends of all, then the second."""

    capsule_radius: Float[np.ndarray, " K"]
    """Radius of each capsule, in metres."""


def build_template(
    joint_mean: Float[np.ndarray, "24 3"],
    joint_dirs: Float[np.ndarray, "24 3 10"],
    hull: LinkPoints,
    skin: LinkPoints,
) -> BodyTemplate:
    """The shape space of a body.

    Args:
      joint_mean: joints of the mean body at rest, in metres (x left, y up, z forward).
      joint_dirs: their change a unit of each beta.
      hull: vertices of each link's convex hull. Capsules, landmarks and contact points are of it.
      skin: points among which the soles are chosen: the same, or all of the body's skin.
    """
    sole, sole_supports = _soles(skin, joint_mean)
    others, other_supports = _other_contacts(hull)
    landmark = hull.take(_landmark_index(hull))
    height = landmark.mean[0, 1] + joint_mean[landmark.link[0], 1]
    lowest = (skin.mean[sole, 1] + joint_mean[skin.link[sole], 1]).min()
    return BodyTemplate(
        joint_mean,
        joint_dirs,
        hull,
        joined(skin.take(sole), hull.take(others)),
        len(sole),
        sole_supports + other_supports,
        landmark,
        float(height - lowest),
        *_capsules(hull),
    )


def farthest_points(points: Float[np.ndarray, "P D"], count: int) -> Int[np.ndarray, " K"]:
    """Indices of `count` points that spread widest, beginning with the outermost."""
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    distance = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(chosen)


def _soles(
    skin: LinkPoints, joint_mean: Float[np.ndarray, "24 3"]
) -> tuple[Int[np.ndarray, " P"], tuple[int, ...]]:
    """Points of the soles and how many each support has. Points of one support stand together."""
    height = skin.mean[:, 1] + joint_mean[skin.link, 1]
    supports = []
    for foot in FEET:
        lowest = height[np.isin(skin.link, foot)].min()
        for link in foot:
            sole = np.flatnonzero((skin.link == link) & (height < lowest + _SOLE_BAND))
            flat = skin.mean[sole][:, [0, 2]]
            spread = farthest_points(flat, SOLE_POINTS_PER_LINK)
            supports += _nearest(sole[spread], flat[spread], SUPPORTS_PER_SOLE_LINK)
    return np.concatenate(supports), tuple(map(len, supports))


def _other_contacts(hull: LinkPoints) -> tuple[Int[np.ndarray, " P"], tuple[int, ...]]:
    """Hull vertices of the links that are no feet, and how many each support has."""
    supports = []
    for segment in _SEGMENTS:
        points = []
        for name in segment:
            count = TRUNK_POINTS_PER_LINK if name in TRUNK else BODY_POINTS_PER_LINK
            if len(mine := np.flatnonzero(hull.link == BODY_NAMES.index(name))):
                points.append(mine[farthest_points(hull.mean[mine], count)])
        supports.append(np.concatenate(points))
    return np.concatenate(supports), tuple(map(len, supports))


def joined(*parts: LinkPoints) -> LinkPoints:
    """Points of all parts, one after another."""
    columns = ([p.link for p in parts], [p.mean for p in parts], [p.dirs for p in parts])
    return LinkPoints(*map(np.concatenate, columns))


def _nearest(
    index: Int[np.ndarray, " K"], places: Float[np.ndarray, "K 2"], count: int
) -> list[Int[np.ndarray, " G"]]:
    """The points in groups around the first `count` of them, which lie widest apart."""
    away = np.linalg.norm(places[:, None] - places[None, :count], axis=-1)
    return [index[away.argmin(axis=1) == k] for k in range(count)]


def _landmark_index(hull: LinkPoints) -> Int[np.ndarray, " 7"]:
    """The outermost hull vertices of head, feet and middle fingers."""

    def outermost(link: str, axis: int, sign: int) -> int:
        mine = hull.link == BODY_NAMES.index(link)
        if link.endswith("_hand"):  # whose joint is the middle finger's knuckle
            mine &= np.abs(hull.mean[:, 2]) < _FINGER_M
        mine = np.flatnonzero(mine)
        return int(mine[np.argmax(sign * hull.mean[mine, axis])])

    sides = (("left", 1), ("right", -1))
    return np.array(
        [outermost("head", 1, 1)]
        + [outermost(f"{side}_ankle", 2, -1) for side, _ in sides]
        + [outermost(f"{side}_foot", 2, 1) for side, _ in sides]
        + [outermost(f"{side}_hand", 0, sign) for side, sign in sides]
    )


def _capsules(hull: LinkPoints) -> tuple[LinkPoints, Float[np.ndarray, " K"]]:
    """Capsules along the longest principal axis of each link's hull: two beside each other where it
    is wide, else one.

    They follow the betas by the affine map that fits the hull's own change best.
    """
    ends, dirs, radii, owner = [], [], [], []
    for link in np.unique(hull.link):
        mine = hull.link == link
        points = hull.mean[mine]
        change = hull.dirs[mine].reshape(len(points), -1)
        affine = np.linalg.lstsq(np.c_[points, np.ones(len(points))], change, rcond=None)[0]
        cores, radius = _cores(points)
        for core in cores:
            ends.append(core)
            dirs.append((np.c_[core, np.ones(2)] @ affine).reshape(2, 3, N_BETAS))
        radii += [radius] * len(cores)
        owner += [link] * len(cores)
    stacked = (np.concatenate(np.swapaxes(x, 0, 1)) for x in (np.array(ends), np.array(dirs)))
    return LinkPoints(np.tile(owner, 2), *stacked), np.array(radii)


def _cores(points: Float[np.ndarray, "P 3"]) -> tuple[list[Float[np.ndarray, "2 3"]], float]:
    """Ends of the axes of the capsules that stand for a hull, and their radius."""
    middle = 0.5 * (points.max(axis=0) + points.min(axis=0))
    axes = np.linalg.eigh(np.cov(points.T))[1][:, ::-1]
    along = (points - middle) @ axes
    centre = middle + axes @ (0.5 * (along.max(axis=0) + along.min(axis=0)))
    length, width, depth = _CAPSULE_SHRINK * 0.5 * np.ptp(along, axis=0)
    radius = min(width, depth)
    reach = max(length - radius, 0.0) * axes[:, 0]
    sideways = (width - radius) * axes[:, 1]
    beside = [-sideways, sideways] if width - radius > _WIDE_M else [np.zeros(3)]
    return [np.stack([centre + s - reach, centre + s + reach]) for s in beside], float(radius)
