"""How many frames a second are tried for self-penetration, and what does it find in clips?

    python benchmarks/mesh.py CLIPS --clips 32 --json mesh.json

Cases, each with all before it: skinning; boxes, which tells the clusters of triangles that may meet
by boxes; mesh, the exact test. On the clips as they are, and with noise in every joint. Then, clip
by clip as they are: the share of frames that penetrate, in all and by pair of parts. Without paths:
the demo clips.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import tyro
from mesh_poses import Poses, poses_of

from phymotion_jax.bench.timing import device_facts, timed, write_json
from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.mesh_penetration import mesh_self_penetration
from phymotion_jax.body.pairs import describe_pairs
from phymotion_jax.body.surface import SurfaceModel, map_posed
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.kernels.clusters import cluster_bounds, clusters_near
from phymotion_jax.kernels.collider import MeshCollider
from phymotion_jax.kernels.vectors import Mat, Vec, dot


@dataclass(frozen=True)
class Options:
    """What to measure."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Clips, or folders of them; the demo clips where there are none."""

    body: str = "mannequin"
    """A name or file that `load_surface` takes."""

    clips: tuple[int, ...] = (8,)
    """Batch sizes to time."""

    frames: int = 128
    """Frames a clip."""

    noise: tuple[float, ...] = (0.0, 0.6)
    """Rad a joint and axis."""

    runs: int = 5
    """Timed runs of each case."""

    json: Path | None = None
    """Write the rows here too."""


def skinned(betas: jnp.ndarray, rot: Mat, model: SurfaceModel, collider: MeshCollider):
    """The farthest vertex from the pelvis."""
    return map_posed(lambda posed: jnp.max(dot(posed, posed), axis=0), model, betas, rot)


def boxed(betas: jnp.ndarray, rot: Mat, model: SurfaceModel, collider: MeshCollider):
    """Pairs of clusters in the boxes of each other's parts."""

    def look(posed: Vec):
        shape = posed[0].shape[1:]
        x, y, z = (c.reshape(c.shape[0], -1) for c in posed)
        near = clusters_near(cluster_bounds((x, y, z), collider), collider)
        return jnp.diff(near.total, prepend=0).reshape(-1, *shape).sum(axis=0)

    return map_posed(look, model, betas, rot)


CASES = {"skinning": skinned, "boxes": boxed, "mesh": mesh_self_penetration}


def rows_of(clips: int, noise: float, options: Options, model: SurfaceModel) -> list[dict]:
    """One row a case."""
    poses = poses_of(options.paths, options.frames, noise_rad=noise, clips=clips)
    arguments = (poses.betas, poses.rot, model, mesh_collider(model))
    hits = np.asarray(mesh_self_penetration(*arguments).hits)
    rows, before = [], 0.0
    for name, case in CASES.items():
        row = timed(case, arguments, poses.count, options.runs)
        here = 1e3 * row["median_ms"] / poses.count
        rows.append(
            {"case": name, "clips": clips, "frames": options.frames, "noise_rad": noise}
            | {"stage_us_per_frame": here - before, "penetrating": float(np.mean(hits > 0))}
            | {"pairs_per_frame": float(np.mean(hits)), **row}
        )
        before = here
    return rows


def clip_rows(poses: Poses, model: SurfaceModel) -> list[dict[str, Any]]:
    """What each clip penetrates, worst pair of parts first."""
    collider = mesh_collider(model)
    found = mesh_self_penetration(poses.betas, poses.rot, model, collider)
    by_pair, percent = np.asarray(found.by_pair), np.asarray(found.percent)
    names = describe_pairs(collider.pairs)
    rows = []
    for k, clip in enumerate(poses.names):
        share = np.mean(by_pair[:, k] > 0, axis=1)
        worst = [p for p in np.argsort(-share) if share[p] > 0.0]
        rows.append(
            {"clip": clip, "penetrating": float(np.mean(percent[k] > 0.0))}
            | {"percent_mean": float(np.mean(percent[k]))}
            | {"pairs": {names[p]: float(share[p]) for p in worst}}
        )
    return rows


COLUMNS = {
    "case": "{case}",
    "noise rad": "{noise_rad}",
    "clips x frames": "{clips} x {frames}",
    "compile s": "{compile_s:.1f}",
    "median ms": "{median_ms:.1f}",
    "IQR ms": "{iqr_ms:.1f}",
    "frames/s": "{frames_per_s:,.0f}",
    "this stage us/frame": "{stage_us_per_frame:,.1f}",
    "frames that penetrate": "{penetrating:.3f}",
    "triangle pairs/frame": "{pairs_per_frame:.1f}",
}


def main(options: Options) -> int:
    """Measure, print, write."""
    facts, model = device_facts(), load_surface(options.body)
    print(", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    rows = []
    for clips in options.clips:
        for noise in options.noise:
            rows += rows_of(clips, noise, options, model)
            for row in rows[-len(CASES) :]:
                print("| " + " | ".join(text.format(**row) for text in COLUMNS.values()) + " |")
    found = clip_rows(poses_of(options.paths, options.frames), model)
    print("\n| clip | frames that penetrate | percent | by pair of parts |\n|---|---|---|---|")
    for row in found:
        pairs = ", ".join(f"{name} {share:.2f}" for name, share in list(row["pairs"].items())[:4])
        print(f"| {row['clip']} | {row['penetrating']:.3f} | {row['percent_mean']:.3f} | {pairs} |")
    print(f"\nall: {np.mean([row['penetrating'] for row in found]):.3f} of frames penetrate")
    if options.json:
        write_json(options.json, facts, {"rows": rows, "found": found})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
