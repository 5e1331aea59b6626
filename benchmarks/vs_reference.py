"""Does the `reference` preset give what the published scorer gives, and how much faster is it?

    git clone https://github.com/h6kplus/PhyMotion
    python benchmarks/vs_reference.py \
        --reference PhyMotion/astrolabe/scorers/video/smpl_feasibility.py \
        --humanoid PhyMotion/astrolabe/scorers/video/assets/mjcf/smpl_humanoid.xml

Runs the published code, from the user's own checkout, and this one on the same clips in one run:
the demo clips (or `--paths`), and random motions of 20 to 500 frames. Prints the largest difference
of every sub-score in float32 and in float64, and contact and dynamic axes a second: of the
published code on one core, of ours on whatever JAX runs on. `--write` keeps the published numbers
as a fixture for tests. The published code's mesh term needs SMPL-X and a GPU and is left out; torch
and smplx, which its file imports for that term alone, are stood in for where they are missing.
"""

import importlib.util
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.spatial.transform import Rotation

from phymotion_jax import MotionBatch, load_motion, score
from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts, write_json
from phymotion_jax.presets import PUBLISHED_NAMES

FPS = 30.0
RELATIVE = {"MET": 1.0, "jitter_combined": 1.0}
"""Not in [0, 1]: their differences are relative to their size, where that is above this."""


@dataclass(frozen=True)
class Options:
    """What to compare."""

    reference: Path
    """The published `smpl_feasibility.py`."""

    humanoid: Path
    """The `smpl_humanoid.xml` beside it."""

    paths: tuple[Path, ...] = ()
    """Motion files; the demo clips by default."""

    random: int = 12
    """How many random motions."""

    clips: int = 512
    """Clips in the timed batch: the files', repeated."""

    runs: int = 10
    """Timed runs of our call."""

    write: Path | None = None
    """Keep the clips and the published numbers here."""

    json: Path | None = None
    """Write the figures here too."""


@dataclass(frozen=True)
class Clip:
    """Pelvis positions ``(T, 3)`` in metres and rotation vectors ``(T, 22, 3)``, z up."""

    name: str
    transl: np.ndarray
    poses: np.ndarray


def file_clip(path: Path) -> Clip:
    """A clip of a file."""
    motion = load_motion(path, fps=FPS)
    quat = motion.joint_quat[:, :22].astype(np.float64).reshape(-1, 4)
    poses = Rotation.from_quat(quat, scalar_first=True).as_rotvec().reshape(-1, 22, 3)
    return Clip(path.name, motion.root_pos.astype(np.float64), poses)


def random_clip(seed: int) -> Clip:
    """Smooth random joints, a wandering pelvis, feet near the floor now and then."""
    rng = np.random.default_rng(seed)
    frames = int(rng.integers(20, 501))
    t = np.arange(frames)[:, None, None] / FPS
    waves = zip(rng.uniform(0.2, 2.0, (3, 22, 3)), rng.uniform(0, 6.3, (3, 22, 3)), strict=True)
    size = rng.uniform(0.0, 0.5, (22, 3))
    poses = size * sum(np.sin(2 * np.pi * f * t + p) for f, p in waves)
    poses[:, 0] += [np.pi / 2, 0.0, 0.0]
    drift = np.cumsum(rng.normal(0.0, 0.01, (frames, 3)), axis=0)
    transl = drift * [1.0, 1.0, 0.2] + [0.0, 0.0, 0.9]
    # Numbers that float32 holds, so that a fixture of them can be half the size.
    return Clip(f"random_{seed}", *(x.astype(np.float32).astype(float) for x in (transl, poses)))


def published_module(path: Path) -> ModuleType:
    """The published file as a module."""
    missing = [name for name in ("torch", "smplx") if importlib.util.find_spec(name) is None]
    for name in missing:
        sys.modules[name] = ModuleType(name)
        sys.modules[name].Tensor = type("Tensor", (), {})  # scipy asks what it finds for it
    spec = importlib.util.spec_from_file_location("published_scorer", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    for name in missing:
        del sys.modules[name]
    return module


class Published:
    """The published scorer, one clip at a time."""

    def __init__(self, reference: Path, humanoid: Path):
        """Load its code and its humanoid."""
        self.code = published_module(reference)
        self.sim = self.code._MJKinSim(str(humanoid))
        self.checker = self.code.SMPLPhysicsChecker.__new__(self.code.SMPLPhysicsChecker)

    def qpos(self, clip: Clip) -> np.ndarray:
        """Retargeted; its input has y up."""
        back = Rotation.from_euler("x", -90, degrees=True)
        params = {
            "transl": back.apply(clip.transl),
            "global_orient": (back * Rotation.from_rotvec(clip.poses[:, 0])).as_rotvec(),
            "body_pose": clip.poses[:, 1:],
        }
        return self.code.smpl_params_to_qpos(params, self.sim.model)

    def axes(self, qpos: np.ndarray) -> dict[str, float]:
        """Sub-scores of its contact and dynamic axes."""
        found = self.code.score_trajectory(self.sim, qpos, fps=FPS)
        return {**found["contact"].sub, **found["dynamic"].sub}

    def kinematic(self, qpos: np.ndarray) -> dict[str, float]:
        """The three kinematic terms that need no mesh, on the humanoid's own links."""
        origins = np.empty((len(qpos), 24, 3))
        for frame, q in enumerate(qpos):
            self.sim.forward(q)
            origins[frame] = self.sim.data.xpos[self._smpl_order()]
        found = self.checker._analyze_kinematics(origins, FPS)
        return {
            "joint_limit_violations": float(np.mean(list(found.joint_limit_violations.values()))),
            "velocity_violations": float(np.mean(list(found.velocity_violations.values()))),
            "jitter_combined": found.jitter_combined,
        }

    def _smpl_order(self) -> list[int]:
        return [self.sim.body_id[name] for name in self.code.SMPL_BONE_ORDER]

    def scores(self, clip: Clip) -> dict[str, float]:
        """Everything."""
        qpos = self.qpos(clip)
        return {**self.kinematic(qpos), **self.axes(qpos)}


def batch_of(clips: Sequence[Clip], dtype: Any) -> MotionBatch:
    """Padded to the longest."""
    lengths = np.array([len(c.transl) for c in clips])
    transl, poses = (np.zeros((len(clips), lengths.max(), *x)) for x in ((3,), (22, 3)))
    for row, clip in enumerate(clips):
        transl[row, : len(clip.transl)], poses[row, : len(clip.poses)] = clip.transl, clip.poses
    return MotionBatch.from_arrays(
        transl=jnp.asarray(transl, dtype),
        poses=jnp.asarray(poses, dtype),
        fps=FPS,
        lengths=jnp.asarray(lengths),
    )


def differences(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Largest difference of each sub-score, and how many clips differ by more than 1e-3."""
    out = {}
    for name in PUBLISHED_NAMES:
        size = np.maximum(np.abs(theirs[name]), RELATIVE.get(name, np.inf))
        scale = size if name in RELATIVE else 1.0
        gap = np.abs(ours[name] - theirs[name]) / scale
        out[name] = {"largest": float(gap.max()), "clips_over_1e-3": int((gap > 1e-3).sum())}
    return out


def published_speed(published: Published, clips: Sequence[Clip]) -> float:
    """Frames a second of retargeting and both axes, on one core."""
    start = time.perf_counter()
    for clip in clips:
        published.axes(published.qpos(clip))
    return sum(len(c.transl) for c in clips) / (time.perf_counter() - start)


def our_speed(clips: Sequence[Clip], options: Options) -> dict[str, float]:
    """Real frames a second of both axes, padding not counted; compilation apart."""
    chosen = [clips[k % len(clips)] for k in range(options.clips)]
    batch = batch_of(chosen, jnp.float32)

    @jax.jit
    def axes(batch):
        report = score(batch, preset="reference")
        return report.axes["contact"], report.axes["dynamic"]

    start = time.perf_counter()
    compiled = axes.lower(batch).compile()
    compile_s = time.perf_counter() - start
    jax.block_until_ready(compiled(batch))
    times = []
    for _ in range(options.runs):
        start = time.perf_counter()
        jax.block_until_ready(compiled(batch))
        times.append(time.perf_counter() - start)
    frames = sum(len(c.transl) for c in chosen)
    return {
        "clips": options.clips,
        "frames": frames,
        "compile_s": compile_s,
        "median_ms": 1e3 * statistics.median(times),
        "frames_per_s": frames / statistics.median(times),
    }


def write_fixture(
    path: Path, clips: Sequence[Clip], theirs: dict[str, np.ndarray], n_files: int
) -> None:
    """Names and published numbers of all clips, and the random motions themselves."""
    drawn = clips[n_files:]
    arrays = {
        name: np.concatenate([getattr(c, name) for c in drawn]).astype(np.float32)
        for name in ("transl", "poses")
    }
    offset = np.cumsum([0, *(len(c.transl) for c in drawn)])
    names = np.array([c.name for c in clips])
    np.savez_compressed(path, allow_pickle=False, name=names, offset=offset, **theirs, **arrays)


def main(options: Options) -> int:
    """Compare, time, print, write."""
    published = Published(options.reference, options.humanoid)
    files = [file_clip(path) for path in options.paths or demo_clips()]
    clips = files + [random_clip(seed) for seed in range(options.random)]
    rows = [published.scores(clip) for clip in clips]
    theirs = {name: np.array([row[name] for row in rows]) for name in PUBLISHED_NAMES}
    agreement = {}
    for width in (32, 64):
        with jax.enable_x64(width == 64):
            batch = batch_of(clips, f"float{width}")
            report = score(batch, preset="reference").on_host()
        ours = {name: np.asarray(x) for name, x in report.details.items()}
        agreement[f"float{width}"] = differences(ours, theirs)
    speed = our_speed(files, options)
    theirs_per_s = published_speed(published, files)
    facts = device_facts()
    print(", ".join(f"{k} {v}" for k, v in facts.items()))
    lengths = [len(c.transl) for c in clips]
    print(f"{len(clips)} clips of {min(lengths)} to {max(lengths)} frames\n")
    print("| sub-score | float32, largest | clips over 1e-3 | float64, largest | clips over 1e-3 |")
    print("|---|---|---|---|---|")
    both = tuple(agreement.values())
    for name in PUBLISHED_NAMES:
        cells = (f"{a[name]['largest']:.1e} | {a[name]['clips_over_1e-3']}" for a in both)
        print(f"| {name} | {' | '.join(cells)} |")
    ratio = speed["frames_per_s"] / theirs_per_s
    print(
        f"\ncontact + dynamic: published {theirs_per_s:,.0f} frames/s on one core, ours "
        f"{speed['frames_per_s']:,.0f} frames/s on {facts['device']} in batches of "
        f"{options.clips} clips ({speed['compile_s']:.1f} s to compile): {ratio:,.0f} times"
    )
    if options.write:
        write_fixture(options.write, clips, theirs, len(files))
    if options.json:
        result = {"agreement": agreement, "ours": speed, "published_frames_per_s": theirs_per_s}
        write_json(options.json, facts, {**result, "ratio": ratio})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
