"""On how many frames does float32 count other crossing triangles than exact arithmetic does?

    python benchmarks/mesh_oracle.py CLIPS --json mesh_oracle.json

Clips as they are and with noise in every joint, with bodies of their own and with random betas. The
exact answer: vertices skinned in float64, and CGAL's exact predicates on them (libigl), which count
touching too. Vertices are relative to the pelvis, so that places far from the origin are the same
frames. Where the answers differ, CGAL is asked again for the float32 vertices: if it then agrees,
only skinning had rounded. The other reason is the volumes' rounding. Each pair of triangles that
the answers differ in should be a graze: moving one of them by `GRAZE_M` changes CGAL's answer.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from igl.copyleft import cgal
from mesh_poses import Poses, poses_of

from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.body.collider import mesh_collider
from phymotion_jax.body.mesh_penetration import mesh_self_penetration
from phymotion_jax.body.surface import SurfaceModel
from phymotion_jax.body.surface_files import load_surface

GRAZE_M = 2e-6
"""Float32 rounds a vertex a metre from the pelvis by 1e-7 m, at each of nine links."""


@dataclass(frozen=True)
class Options:
    """What to compare."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Clips, or folders of them; the demo clips where there are none."""

    body: str = "mannequin"
    """A name or file that `load_surface` takes."""

    clips: int = 36
    """Clips, in turn."""

    frames: int = 7
    """Of each clip and each case."""

    noise: tuple[float, ...] = (0.0, 0.15, 0.35, 0.6)
    """Rad a joint and axis."""

    json: Path | None = None
    """Write the rows here too."""


def vertices_of(model: SurfaceModel, poses: Poses, dtype: Any) -> np.ndarray:
    """Vertices ``(B, T, V, 3)`` in the precision asked for, returned in float64."""

    def cast(x: Any) -> jax.Array:
        x = np.asarray(x)
        return jnp.asarray(x, dtype if np.issubdtype(x.dtype, np.floating) else x.dtype)

    with jax.enable_x64(dtype == np.float64):
        model, betas, rot = jax.tree.map(cast, (model, poses.betas, poses.rot))
        posed = jax.jit(lambda: model.shaped(betas).posed(rot))()
        return np.stack(posed, axis=-1).transpose(1, 2, 0, 3).astype(np.float64)


class Exact:
    """Crossing triangles by CGAL, pair of links by pair of links."""

    def __init__(self, model: SurfaceModel, pairs: tuple[tuple[int, int], ...]):
        """Triangles of each link."""
        self.intersect = cgal.intersect_other
        faces = model.topology.faces.astype(np.int64)
        self.faces = {k: faces[model.topology.face_link == k] for pair in pairs for k in pair}
        self.pairs = pairs

    def crossing(self, vertices: np.ndarray) -> list[set[tuple[int, int]]]:
        """Of every pair of links: which of their triangles cross."""
        box = {
            k: (vertices[faces].min(axis=(0, 1)), vertices[faces].max(axis=(0, 1)))
            for k, faces in self.faces.items()
        }
        found = []
        for a, b in self.pairs:
            apart = np.any(box[a][0] > box[b][1]) or np.any(box[b][0] > box[a][1])
            found.append(set() if apart else self.of_pair(vertices, vertices, a, b))
        return found

    def of_pair(self, first: np.ndarray, second: np.ndarray, a: int, b: int) -> set:
        """Triangles of link a, with the first vertices, and of b with the second."""
        crossing = self.intersect(first, self.faces[a], second, self.faces[b], detect_only=True)[0]
        return set(map(tuple, np.asarray(crossing).reshape(-1, 2).tolist()))

    def grazes(self, vertices: np.ndarray, a: int, b: int, triangles: tuple[int, int]) -> bool:
        """Whether two triangles cross or do not as one of them moves by a little."""
        first, second = (self.faces[k][[i]] for k, i in zip((a, b), triangles, strict=True))
        answers = {
            np.size(self.intersect(vertices, first, vertices + way, second, detect_only=True)[0])
            for way in GRAZE_M * np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
        }
        return len(answers) == 2


def compare(poses: Poses, model: SurfaceModel, exact: Exact, case: str) -> dict[str, Any]:
    """One row: how many frames agree, and why others do not."""
    collider = mesh_collider(model)
    found = mesh_self_penetration(poses.betas, poses.rot, model, collider)
    by_pair = np.asarray(found.by_pair)
    double, single = (vertices_of(model, poses, d) for d in (np.float64, np.float32))
    count, pairs, worst = Counter(), 0, 0
    for b, t in np.ndindex(double.shape[:2]):
        want = exact.crossing(double[b, t])
        hits, here = np.array([len(x) for x in want]), by_pair[:, b, t]
        pairs += hits.sum()
        count["frames"] += 1
        count["penetrating"] += bool(hits.any())
        count["yes or no agrees"] += bool(hits.any()) == bool(here.any())
        if np.array_equal(hits, here):
            count["all counts agree"] += 1
            continue
        worst = max(worst, int(np.abs(hits - here).max()))
        again = exact.crossing(single[b, t])
        same = np.array_equal([len(x) for x in again], here)
        count["else: skinning rounded" if same else "else: volumes rounded"] += 1
        for p, (x, y) in enumerate(zip(want, again, strict=True)):
            for triangles in x ^ y:
                grazing = exact.grazes(double[b, t], *exact.pairs[p], triangles)
                count["pairs that graze" if grazing else "pairs that do not graze"] += 1
    return {"case": case, **count, "pairs of triangles": int(pairs), "largest difference": worst}


def main(options: Options) -> int:
    """Compare, print, write."""
    facts, model = device_facts(), load_surface(options.body)
    print(", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    exact, rows = Exact(model, mesh_collider(model).pairs), []
    for seed, noise in enumerate(options.noise):
        poses = poses_of(
            options.paths,
            options.frames,
            noise_rad=noise,
            sigma=None if seed % 2 == 0 else 1.5,
            clips=options.clips,
            seed=seed,
        )
        bodies = "own" if seed % 2 == 0 else "random"
        rows.append(compare(poses, model, exact, f"{noise} rad, {bodies} betas"))
        print(", ".join(f"{k}: {v}" for k, v in rows[-1].items()), flush=True)
    if options.json:
        write_json(options.json, facts, {"graze_m": GRAZE_M, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
