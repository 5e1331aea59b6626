"""Do the Warp kernels count what the plain form counts, and what do they gain?

    python benchmarks/mesh_warp_check.py --clips 128 --frames 128 --json mesh_warp.json

The demo clips, or `--files`, as they are and with noise on every joint: all frames by both forms,
then the time of skinning alone, and of skinning and each form, on one device in one run. Returns 1
where any frame disagrees.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.spatial.transform import Rotation

from phymotion_jax.bench.cases import demo_batch
from phymotion_jax.bench.timing import device_facts, timed, write_json
from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.skeleton import PARENTS
from phymotion_jax.body.surface import map_posed
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.io import find_motion_files
from phymotion_jax.kernels.chain import link_rotations
from phymotion_jax.kernels.mesh_overlap import MeshOverlap, mesh_overlap
from phymotion_jax.kernels.mesh_overlap_warp import mesh_overlap_warp
from phymotion_jax.kernels.vectors import Mat, dot, unstack_frames

FORMS = {"jax": mesh_overlap, "warp": mesh_overlap_warp}


@dataclass(frozen=True)
class Options:
    """What to measure."""

    files: tuple[Path, ...] = ()
    """Motion files or folders; the demo clips by default."""

    clips: int = 128
    """Clips of a batch: files in turn, with a body each."""

    frames: int = 128
    """Frames a clip."""

    noise_rad: tuple[float, ...] = (0.0, 0.35)
    """Standard deviation of what is added to each joint's rotation, about each axis."""

    chunks: tuple[int, ...] = (1024, 4096)
    """Frames at a time; the plain form takes the fewest."""

    runs: int = 5
    """Timed runs of each case."""

    forms: tuple[Literal["jax", "warp"], ...] = ("jax", "warp")
    """Forms to time. They are compared where both are named."""

    body: str = "mannequin"
    """Name or file of a body."""

    json: Path | None = None
    """Write the rows here too."""


def poses(noise_rad: float, options: Options) -> tuple[jax.Array, Mat]:
    """Betas, and rotations of the links, on the device."""
    files = [Path(path) for path in find_motion_files(options.files)] if options.files else None
    batch = demo_batch(options.clips, options.frames, files=files)
    quat = Rotation.from_quat(np.asarray(batch.joint_quat).reshape(-1, 4), scalar_first=True)
    noise = noise_rad * np.random.default_rng(0).normal(size=(len(quat), 3))
    turned = (quat * Rotation.from_rotvec(noise)).as_quat(scalar_first=True)
    joint_quat = jnp.asarray(turned.reshape(batch.joint_quat.shape), jnp.float32)
    rot = jax.jit(lambda q: link_rotations(PARENTS, unstack_frames(q)))(joint_quat)
    return batch.betas, jax.block_until_ready(rot)


def farthest(posed, collider):
    """Next to nothing, so that skinning is what is timed."""
    return jnp.max(dot(posed, posed), axis=0)


@cache
def through(look, chunk: int):
    """A look at every frame of a surface, chunk by chunk."""

    @jax.jit
    def over_frames(model, collider, betas, rot):
        return map_posed(partial(look, collider=collider), model, betas, rot, chunk=chunk)

    return over_frames


def agreement(arguments: tuple[Any, ...], want: MeshOverlap, chunk: int) -> dict[str, Any]:
    """Frame by frame: where Warp's form differs from the plain one, and what they find."""
    got = jax.device_get(through(mesh_overlap_warp, chunk)(*arguments))
    differ = np.any(got.hits != want.hits, axis=0) | (got.triangles != want.triangles)
    return {
        "chunk": chunk,
        "frames": differ.size,
        "differ": int(differ.sum()),
        "largest_difference": int(np.abs(got.hits - want.hits).max()),
        "penetrating": float((want.triangles > 0).mean()),
        "pairs_of_triangles": float(want.hits.sum() / differ.size),
        "differing": [[int(i) for i in where] for where in np.argwhere(differ)[:20]],
    }


def timings(arguments: tuple[Any, ...], options: Options) -> Iterator[dict[str, Any]]:
    """One row a case and chunk. The plain form numbers pairs of clusters: not in every chunk."""
    looks = {"skinning alone": farthest} | {f"skinning, {f}": FORMS[f] for f in options.forms}
    count = options.clips * options.frames
    for chunk, (name, look) in product(options.chunks, looks.items()):
        if look is not mesh_overlap or chunk == min(options.chunks):
            row = timed(through(look, chunk), arguments, count, options.runs)
            yield {"case": name, "chunk": chunk} | row


AGREED = "{frames} frames by chunks of {chunk}, {noise_rad} rad of noise: {differ} differ, by "
AGREED += (
    "{largest_difference} at most; {penetrating:.1%} penetrate, {pairs_of_triangles:.1f} pairs"
)

COLUMNS = {
    "noise rad": "{noise_rad}",
    "case": "{case}",
    "chunk": "{chunk}",
    "compile s": "{compile_s:.1f}",
    "median ms": "{median_ms:.1f}",
    "IQR ms": "{iqr_ms:.1f}",
    "frames/s": "{frames_per_s:,.0f}",
    "temporaries B/frame": "{temp_bytes_per_frame:,.0f}",
}


def main(options: Options) -> int:
    """Compare, measure, print, write."""
    facts = device_facts() | {"warp-lang": version("warp-lang")}
    print(", ".join(f"{k} {v}" for k, v in facts.items()) + "\n", flush=True)
    model = load_surface(options.body)
    collider = mesh_collider(model)
    agreed, rows = [], []
    for noise_rad in options.noise_rad:
        arguments, case = (model, collider, *poses(noise_rad, options)), {"noise_rad": noise_rad}
        if set(options.forms) == set(FORMS):
            want = jax.device_get(through(mesh_overlap, min(options.chunks))(*arguments))
            for chunk in options.chunks:
                agreed.append(case | agreement(arguments, want, chunk))
                print(AGREED.format(**agreed[-1]), flush=True)
        print("\n| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
        for row in timings(arguments, options):
            rows.append(case | row)
            cells = (text.format(**rows[-1]) for text in COLUMNS.values())
            print("| " + " | ".join(cells) + " |", flush=True)
    if options.json:
        write_json(options.json, facts, {"agreement": agreed, "rows": rows})
    return int(any(row["differ"] for row in agreed))


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
