"""How many frames a second are skinned, and how far is that from the floor of writing them?

    python benchmarks/skinning.py --clips 8 32 --json skinning.json

Bodies: the mannequin, and one of random numbers with SMPL-X's sizes (10,475 vertices of one to four
links, correctives of 21 joints), since nobody's licensed data is needed for that; `--bodies` takes
the names and files that `load_surface` does. Cases: all vertices kept on the device; only the
distance of the farthest from the pelvis kept, a chunk at a time, so that memory does not grow; and
the floor, which writes as many numbers and computes nothing.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from phymotion_jax.bench.cases import demo_batch
from phymotion_jax.bench.timing import device_facts, timed, write_json
from phymotion_jax.body.skeleton import N_BODIES, PARENTS
from phymotion_jax.body.surface import SurfaceModel, map_posed
from phymotion_jax.body.surface_arrays import SurfaceArrays
from phymotion_jax.body.surface_build import build_surface
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.vectors import Mat, Vec, dot, unstack_frames

RANDOM = "random"
VERTICES, FACES, FEATURES = 10475, 20908, 189
"""SMPL-X's."""


@dataclass(frozen=True)
class Options:
    """What to measure."""

    bodies: tuple[str, ...] = ("mannequin", RANDOM)
    """Bodies by name or file."""

    clips: tuple[int, ...] = (2, 8)
    """Batch sizes."""

    frames: int = 128
    """Frames a clip."""

    chunks: tuple[int, ...] = (64, 1024)
    """Frames at a time, where not all are kept."""

    runs: int = 10
    """Timed runs of each case."""

    json: Path | None = None
    """Write the rows here too."""


def random_surface(seed: int = 0) -> SurfaceModel:
    """A body of SMPL-X's sizes, each vertex on one to four links."""
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(VERTICES, N_BODIES))
    rank = np.argsort(np.argsort(-weights, axis=1), axis=1)
    weights[rank >= rng.integers(1, 5, size=(VERTICES, 1))] = 0.0
    arrays = SurfaceArrays(
        vertex_mean=rng.normal(size=(VERTICES, 3)),
        vertex_dirs=0.01 * rng.normal(size=(VERTICES, 3, 10)),
        pose_dirs=0.001 * rng.normal(size=(VERTICES, 3, FEATURES)),
        joint_mean=rng.normal(size=(N_BODIES, 3)),
        joint_dirs=0.01 * rng.normal(size=(N_BODIES, 3, 10)),
        weights=weights / weights.sum(axis=1, keepdims=True),
        faces=rng.integers(0, VERTICES, size=(FACES, 3)),
    )
    return build_surface(RANDOM, arrays)


def kept(model: SurfaceModel, betas: jax.Array, rot: Mat) -> Vec:
    """All vertices."""
    return model.shaped(betas).posed(rot)


def written(model: SurfaceModel, betas: jax.Array, rot: Mat) -> Vec:
    """As many numbers, for next to nothing."""
    x, y, z = model.shaped(betas).vertex
    return x + rot[0][:1], y + rot[4][:1], z + rot[8][:1]


def rows_of(body: str, clips: int, options: Options) -> list[dict[str, Any]]:
    """One row a case."""
    model = random_surface() if body == RANDOM else load_surface(body)
    batch = demo_batch(clips, options.frames)
    rot = jax.jit(lambda q: link_rotations(PARENTS, unstack_frames(q)))(batch.joint_quat)
    cases: dict[str, Any] = {"kept": kept, "floor": written}
    for chunk in options.chunks:
        cases[f"farthest, chunks of {chunk}"] = lambda model, betas, rot, chunk=chunk: map_posed(
            lambda posed: jnp.max(dot(posed, posed), axis=0), model, betas, rot, chunk=chunk
        )
    count, arguments = clips * options.frames, (model, batch.betas, rot)
    return [
        {"body": body, "case": name, "clips": clips, "frames": options.frames}
        | timed(case, arguments, count, options.runs)
        for name, case in cases.items()
    ]


COLUMNS = {
    "body": "{body}",
    "case": "{case}",
    "clips x frames": "{clips} x {frames}",
    "compile s": "{compile_s:.1f}",
    "median ms": "{median_ms:.1f}",
    "IQR ms": "{iqr_ms:.1f}",
    "frames/s": "{frames_per_s:,.0f}",
    "temporaries B/frame": "{temp_bytes_per_frame:,.0f}",
}


def main(options: Options) -> int:
    """Measure, print, write."""
    facts = device_facts()
    print(", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    rows = []
    for body in options.bodies:
        for clips in options.clips:
            rows += rows_of(body, clips, options)
            for row in rows[-2 - len(options.chunks) :]:
                print("| " + " | ".join(text.format(**row) for text in COLUMNS.values()) + " |")
    if options.json:
        write_json(options.json, facts, {"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
