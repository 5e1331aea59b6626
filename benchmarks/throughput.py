"""How many frames a second does the scorer take, and how much of that is inverse dynamics?

    python benchmarks/throughput.py --clips 64 512 4096 --json throughput.json

Cases: the score by each preset, with self-penetration at each level ("physical, capsule"; "none"
leaves it out), contact and dynamic axes alone, and inverse dynamics alone (positions, velocities
and accelerations of the joints given) by the fused kernel and by vmapped MJX. Each is compiled
once a batch size, run once to warm up, and timed over `--runs` runs with the data already on the
device. Both backends are compared with C MuJoCo in float64 in the same run.
"""

import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import tyro

from phymotion_jax import Humanoid, MotionBatch, load_motion, score
from phymotion_jax.assets import demo_clips
from phymotion_jax.body.mjcf import to_mjcf
from phymotion_jax.body.qpos import JointMotion, generalized_force, joint_motion
from phymotion_jax.dynamics import dynamics
from phymotion_jax.presets import PRESET_NAMES, get_preset

CASES = (
    *("physical, none", "physical, capsule", "physical, hull", "physical, mesh"),
    *("paper", "paper, two axes", "reference, two axes"),
    *("dynamics, fused", "dynamics, mjx"),
)


@dataclass(frozen=True)
class Options:
    """What to measure."""

    clips: tuple[int, ...] = (64, 512)
    """Batch sizes."""

    frames: int = 128
    """Frames a clip."""

    runs: int = 10
    """Timed runs of each case."""

    cases: tuple[str, ...] = CASES
    """Which cases."""

    json: Path | None = None
    """Write the rows here too."""

    notes: str = field(default="", metadata={"help": "free text that goes into the JSON"})


def device_facts() -> dict[str, str]:
    """Device, driver and versions: what a figure means nothing without."""
    device = jax.devices()[0]
    facts = {"device": device.device_kind, "platform": device.platform}
    if device.platform == "cpu":
        cpu = Path("/proc/cpuinfo")
        names = (
            [x for x in cpu.read_text().splitlines() if "model name" in x] if cpu.exists() else []
        )
        model = names[0].split(":")[1].strip() if names else platform.processor()
        facts["device"] = f"{model}, {len(names) or '?'} cores"
    elif shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        facts["driver"] = subprocess.run(
            query, capture_output=True, text=True, check=True
        ).stdout.split()[0]
    for package in ("jax", "jaxlib", "mujoco", "mujoco-mjx", "numpy", "phymotion-jax"):
        facts[package] = version(package)
    return facts | {"python": platform.python_version()}


def demo_batch(
    clips: int, frames: int, seed: int = 0, files: Sequence[Path] | None = None
) -> MotionBatch:
    """The demo clips, or some files, in turn, each repeated to fill its frames, each with a body of
    its own."""
    motions = [load_motion(path) for path in files or demo_clips()]
    chosen = [motions[k % len(motions)] for k in range(clips)]
    rows = [np.arange(frames) % m.n_frames for m in chosen]
    betas = np.random.default_rng(seed).normal(size=(clips, 10))
    return MotionBatch(
        root_pos=jnp.asarray(np.stack([m.root_pos[r] for m, r in zip(chosen, rows, strict=True)])),
        joint_quat=jnp.asarray(
            np.stack([m.joint_quat[r] for m, r in zip(chosen, rows, strict=True)])
        ),
        mask=jnp.ones((clips, frames), bool),
        fps=jnp.asarray([m.fps for m in chosen], jnp.float32),
        betas=jnp.asarray(betas, jnp.float32),
        mass_kg=jnp.full((clips,), jnp.nan, jnp.float32),
        static_conf=jnp.full((clips, frames, 6), jnp.nan, jnp.float32),
    )


def random_joints(clips: int, frames: int, seed: int = 0) -> JointMotion:
    """Random poses, velocities and accelerations in the kernel's own layout."""
    keys = jax.random.split(jax.random.key(seed), 5)
    shape = (24, clips, frames)
    quat = jax.random.normal(keys[0], (4, *shape))
    quat = quat / jnp.linalg.norm(quat, axis=0)
    vel, acc = (s * jax.random.normal(k, (3, *shape)) for s, k in ((2.0, keys[1]), (20.0, keys[2])))
    pos, root_acc = (jax.random.normal(k, (3, 1, clips, frames)) for k in keys[3:])
    return JointMotion(*(tuple(x) for x in (quat, vel, acc, pos, root_acc)))  # pyright: ignore


def work(case: str, clips: int, frames: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function of a case and its arguments, on the device."""
    name, _, part = case.partition(", ")
    if name in PRESET_NAMES:
        preset = get_preset(name)
        if part in ("none", *preset.levels):
            preset = replace(preset, self_penetration=None if part == "none" else part)

        def scored(batch):
            report = score(batch, preset=preset)
            two_axes = part == "two axes"
            return [report.axes[a] for a in ("contact", "dynamic")] if two_axes else report

        return scored, (demo_batch(clips, frames),)
    backend: Any = case.rsplit(maxsplit=1)[-1]
    body = Humanoid.from_betas()
    return (lambda j: dynamics(body, j, backend=backend).wrenches), (random_joints(clips, frames),)


def peak_bytes() -> float:
    """Most memory held so far: the device's, or on a CPU this process's."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use", 1024.0 * getrusage(RUSAGE_SELF).ru_maxrss)


def timed(
    function: Callable[..., Any], arguments: tuple[Any, ...], count: int, runs: int
) -> dict[str, float]:
    """Compile time, median and spread of the runs, rate for `count` frames, memory."""
    lowered = jax.jit(function).lower(*arguments)
    start = time.perf_counter()
    compiled = lowered.compile()
    compile_s = time.perf_counter() - start
    jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - start)
    median = statistics.median(times)
    low, _, high = statistics.quantiles(times, n=4)
    memory = compiled.memory_analysis()
    return {
        "compile_s": compile_s,
        "median_ms": 1e3 * median,
        "iqr_ms": 1e3 * (high - low),
        "frames_per_s": count / median,
        "temp_bytes_per_frame": memory.temp_size_in_bytes / count if memory else float("nan"),
        "peak_mb": peak_bytes() / 1e6,
    }


def measure(case: str, clips: int, options: Options) -> dict[str, Any]:
    """One row."""
    function, arguments = work(case, clips, options.frames)
    row = timed(function, arguments, clips * options.frames, options.runs)
    rate = row["frames_per_s"] / options.frames
    return {"case": case, "clips": clips, "frames": options.frames, "clips_per_s": rate, **row}


def errors_against_mujoco(cases: tuple[str, ...], n: int = 64) -> dict[str, float]:
    """Largest error of each backend over the largest force, against C MuJoCo in float64."""
    rng = np.random.default_rng(0)
    body = Humanoid.from_betas()
    model = mujoco.MjModel.from_xml_string(to_mjcf(body))
    flags = mujoco.mjtDisableBit
    model.opt.disableflags |= int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_CONSTRAINT)
    qpos, qvel, qacc = (rng.normal(size=(n, k)) for k in (model.nq, model.nv, model.nv))
    quats = qpos[:, 3:].reshape(n, -1, 4)
    quats /= np.linalg.norm(quats, axis=-1, keepdims=True)
    data = mujoco.MjData(model)
    want = np.zeros((n, model.nv))
    for i in range(n):
        data.qpos[:], data.qvel[:], data.qacc[:] = qpos[i], qvel[i], 20.0 * qacc[i]
        mujoco.mj_inverse(model, data)
        want[i] = data.qfrc_inverse
    states = [jnp.asarray(x, jnp.float32)[None] for x in (qpos, qvel, 20.0 * qacc)]

    @jax.jit(static_argnums=0)
    def force(backend, qpos, qvel, qacc):
        wrenches = dynamics(body, joint_motion(body, qpos, qvel, qacc), backend=backend).wrenches
        return generalized_force(body, wrenches, qpos, qacc)

    backends = [c.split()[-1] for c in cases if c.startswith("dynamics")]
    largest = np.abs(want).max()
    return {
        b: float(np.abs(np.asarray(force(b, *states))[0] - want).max() / largest) for b in backends
    }


COLUMNS = {
    "case": "{case}",
    "clips x frames": "{clips} x {frames}",
    "compile s": "{compile_s:.1f}",
    "median ms": "{median_ms:.1f}",
    "IQR ms": "{iqr_ms:.1f}",
    "frames/s": "{frames_per_s:,.0f}",
    "clips/s": "{clips_per_s:,.0f}",
    "temporaries B/frame": "{temp_bytes_per_frame:,.0f}",
    "peak MB so far": "{peak_mb:,.0f}",
}


def show(rows: list[dict[str, Any]], facts: dict[str, str], errors: dict[str, float]) -> None:
    """Print a Markdown table, device and versions first."""
    print(", ".join(f"{k} {v}" for k, v in facts.items()) + "\n")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(text.format(**row) for text in COLUMNS.values()) + " |")
    print()
    for clips in dict.fromkeys(r["clips"] for r in rows):
        speed = {r["case"]: r["frames_per_s"] for r in rows if r["clips"] == clips}
        if {"dynamics, fused", "dynamics, mjx"} <= set(speed):
            ratio = speed["dynamics, fused"] / speed["dynamics, mjx"]
            print(f"fused over mjx, {clips} clips: {ratio:.1f}x")
    for backend, error in errors.items():
        print(f"{backend}: largest error against C MuJoCo {error:.1e} of the largest force")


def write_json(path: Path, facts: dict[str, str], results: dict[str, Any]) -> None:
    """Results with the device and versions that they mean nothing without."""
    path.write_text(json.dumps({"facts": facts, **results}, indent=1) + "\n")


def main(options: Options) -> int:
    """Measure, print, write."""
    rows = []
    for clips in options.clips:
        for case in options.cases:
            rows.append(measure(case, clips, options))
            print(
                f"{case}, {clips} clips: {rows[-1]['frames_per_s']:,.0f} frames/s", file=sys.stderr
            )
    facts, errors = device_facts(), errors_against_mujoco(options.cases)
    show(rows, facts, errors)
    if options.json:
        write_json(options.json, facts, {"rows": rows, "errors": errors, "notes": options.notes})
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
