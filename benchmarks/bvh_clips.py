"""Makes motion files of BVH captures: clips that nothing here was tuned on.

    python benchmarks/bvh_clips.py data/ clips/ --upright data/dataset-1_bow_normal_001.bvh

Written for the Bandai Namco Research Motion Dataset (3,077 clips of optical motion capture at 30
frames a second, CC BY-NC 4.0), whose bones have frames of their own and no rest pose. On the first
frame of `--upright` somebody stands: there each bone of SMPL's skeleton at rest, turned to face as
the person does, is turned the shortest way onto the captured bone, and is carried along by it in
all clips. The path of the hips is scaled by the length of the legs, so that feet that stand stay
where they are. The body is the mean one.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tyro
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from phymotion_jax.body.skeleton import BODY_NAMES, PARENTS, body_index
from phymotion_jax.body.template import default_template
from phymotion_jax.redteam.posing import shortest_turn

_SIDES = {"left": "L", "right": "R"}

BONES: dict[str, tuple[str, str | None, str | None]] = {
    "pelvis": ("Hips", None, None),
    "spine2": ("Spine", None, None),
    "spine3": ("Chest", None, None),
    "neck": ("Neck", "Head", "head"),
    "head": ("Head", None, None),
    **{
        f"{side}_{joint}": (f"{bone}_{s}", end and f"{end}_{s}", tip and f"{side}_{tip}")
        for side, s in _SIDES.items()
        for joint, bone, end, tip in (
            ("collar", "Shoulder", "UpperArm", "shoulder"),
            ("shoulder", "UpperArm", "LowerArm", "elbow"),
            ("elbow", "LowerArm", "Hand", "wrist"),
            ("wrist", "Hand", None, None),
            ("hip", "UpperLeg", "LowerLeg", "knee"),
            ("knee", "LowerLeg", "Foot", "ankle"),
            ("ankle", "Foot", "Toes", "foot"),
            ("foot", "Toes", None, None),
        )
    },
}
"""Of SMPL's joints: the joint of the capture, and both ends of the bone that is aligned; without
them the link faces as the body does, upright, and hands point on along their forearms."""

_FOREARM = {"left_wrist": "left_elbow", "right_wrist": "right_elbow"}

_UP = Rotation.from_euler("x", 90, degrees=True)
"""From y up, as both skeletons have it, to z up."""


@dataclass(frozen=True)
class Options:
    """What to convert."""

    source: tyro.conf.Positional[Path]
    """A folder of BVH files."""

    target: tyro.conf.Positional[Path]
    """Where the motion files go, under the same names, in the same folders."""

    upright: Path
    """A file on whose first frame the person stands upright, with hanging arms."""

    every: int = 1
    """Convert every n-th file alone."""


class Capture(NamedTuple):
    """A clip on the captured skeleton, in the world, y up."""

    turn: dict[str, Rotation]
    """Of each joint, over the frames."""

    place: dict[str, Float[np.ndarray, "T 3"]]
    """In metres."""

    fps: float


class Fit(NamedTuple):
    """How SMPL's skeleton hangs on the captured one."""

    turn: dict[str, Rotation]
    """From SMPL's link to the captured bone's, constant."""

    scale: float
    """Length of SMPL's legs over the captured ones."""


def read(path: Path) -> Capture:
    """All joints of a BVH file in the world; centimetres become metres.

    Raises:
      ValueError: if it is none.
    """
    head, found, body = path.read_text().partition("MOTION")
    lines = body.split("\n")
    if not found or not lines[1].startswith("Frames:") or not lines[2].startswith("Frame Time:"):
        raise ValueError("no BVH file: frames and frame time do not follow on MOTION")
    table = np.loadtxt(lines[3:], ndmin=2)
    if len(table) != int(lines[1].split(":")[1]):
        raise ValueError(f"{len(table)} frames, where the file says {lines[1].split(':')[1]}")
    joints = list(_joints(head))
    if table.shape[1] != (wanted := sum(len(channels) for *_, channels in joints)):
        raise ValueError(f"{table.shape[1]} columns of {wanted} channels")
    turn: dict[str, Rotation] = {}
    place: dict[str, np.ndarray] = {}
    for name, parent, offset, channels in joints:
        columns, table = dict(zip(channels, table.T, strict=False)), table[:, len(channels) :]
        axes = [channel[0] for channel in channels if channel.endswith("rotation")]
        angles = np.stack([columns[f"{axis}rotation"] for axis in axes], axis=-1)
        turn[name] = Rotation.from_euler("".join(axes), angles, degrees=True)
        still = np.broadcast_to(np.array(offset)[:, None], (3, len(angles)))
        moved = (columns.get(f"{axis}position", at) for axis, at in zip("XYZ", still, strict=True))
        place[name] = np.stack([*moved], axis=-1) / 100.0
        if parent is not None:
            place[name] = place[parent] + turn[parent].apply(place[name])
            turn[name] = turn[parent] * turn[name]
    return Capture(turn, place, 1.0 / float(lines[2].split(":")[1]))


def _joints(head: str) -> Iterator[tuple[str, str | None, list[float], list[str]]]:
    """Name, parent, offset and channels of each joint of a file's hierarchy."""
    above: list[str | None] = [None]
    name, offset = "", [0.0, 0.0, 0.0]
    for words in filter(None, map(str.split, head.splitlines())):
        match words:
            case ["ROOT" | "JOINT" | "End", name]:
                pass
            case ["{"]:
                above.append(name)
            case ["}"]:
                above.pop()
            case ["OFFSET", *numbers]:
                offset = [float(number) for number in numbers]
            case ["CHANNELS", _, *channels]:
                yield name, above[-2], offset, channels
            case _:
                pass


def fit(capture: Capture) -> Fit:
    """Hang SMPL's skeleton on the first frame of a capture that stands there."""
    rest = default_template().joint_mean
    place = {name: path[0] for name, path in capture.place.items()}
    facing = _facing(place["UpperLeg_L"] - place["UpperLeg_R"])
    aligned: dict[str, Rotation] = {}
    for joint, (bone, end, tip) in BONES.items():
        aligned[joint] = aligned[_FOREARM[joint]] if joint in _FOREARM else facing
        if end is not None and tip is not None:
            at_rest = facing.apply(rest[body_index(tip)] - rest[body_index(joint)])
            turn = shortest_turn(at_rest[None], (place[end] - place[bone])[None])[0]
            aligned[joint] = Rotation.from_quat(turn, scalar_first=True) * facing
    captured = _length(place, ("UpperLeg_L", "LowerLeg_L", "Foot_L"))
    own = _length(dict(zip(BODY_NAMES, rest, strict=True)), ("left_hip", "left_knee", "left_ankle"))
    turns = {j: capture.turn[BONES[j][0]][0].inv() * turn for j, turn in aligned.items()}
    return Fit(turns, own / captured)


def smpl_arrays(capture: Capture, hung: Fit) -> dict[str, np.ndarray]:
    """The clip on SMPL's mean body, as a motion file has it: z up, rotation vectors."""
    rest = default_template().joint_mean
    world: list[Rotation] = []
    for joint, parent in zip(BODY_NAMES[:22], PARENTS, strict=False):
        if joint in BONES:
            world.append(capture.turn[BONES[joint][0]] * hung.turn[joint])
        else:  # the first link of the spine, half way to the second
            next_link = capture.turn[BONES["spine2"][0]] * hung.turn["spine2"]
            half = 0.5 * (world[parent].inv() * next_link).as_rotvec()
            world.append(world[parent] * Rotation.from_rotvec(half))
    local = [world[p].inv() * world[i] for i, p in enumerate(PARENTS[1:22], start=1)]
    poses = np.stack([(_UP * world[0]).as_rotvec(), *(turn.as_rotvec() for turn in local)], axis=1)
    hips = 0.5 * hung.scale * (capture.place["UpperLeg_L"] + capture.place["UpperLeg_R"])
    pelvis = hips - world[0].apply(0.5 * (rest[1] + rest[2]) - rest[0])
    return {
        "poses": poses.reshape(len(poses), -1).astype(np.float32),
        "trans": (_UP.apply(pelvis) - rest[0]).astype(np.float32),
        "betas": np.zeros(10, np.float32),
        "mocap_framerate": np.array(round(capture.fps, 3)),
    }


def _facing(left: Float[np.ndarray, "3"]) -> Rotation:
    """The turn about the vertical that brings x to the body's left."""
    return Rotation.from_euler("y", np.arctan2(-left[2], left[0]))


def _length(place: dict[str, np.ndarray], joints: tuple[str, ...]) -> float:
    ways = [place[a] - place[b] for a, b in pairwise(joints)]
    return float(sum(np.linalg.norm(way) for way in ways))


def main(options: Options) -> int:
    """Convert every file; one that cannot be read is named."""
    hung = fit(read(options.upright))
    paths = sorted(options.source.rglob("*.bvh"))[:: options.every]
    if not paths:
        print(f"{options.source}: no .bvh files", file=sys.stderr)
    failed = 0
    for path in paths:
        try:
            arrays = smpl_arrays(read(path), hung)
        except (ValueError, KeyError, IndexError) as error:
            failed += 1
            print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        target = options.target / path.relative_to(options.source).with_suffix(".npz")
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, allow_pickle=False, **arrays)
    return int(failed > 0 or not paths)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
