"""Where the time of the whole score goes, stage by stage, and how far it is from the floor.

    python benchmarks/profile_score.py --clips 4096 --case "physical, none" --json profile.json

A traced run gives each kernel's time; the compiler's own stack frames say which line of this
project a kernel comes from, and so which stage. A fusion goes to the stage of its last operation.

The floor is what no program could beat on this device: the call's own inputs and outputs over the
measured copy bandwidth, and its arithmetic over the measured rate. Between the two and the run lies
what passes between kernels: of each, what it reads and writes is counted from its shapes.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import tyro

from phymotion_jax.bench.cases import work
from phymotion_jax.bench.timing import device_facts

STAGES = (
    ("body", ("from_betas", "batch_status", "rest_padding")),
    ("self-penetration", ("link_overlap",)),
    ("low-pass", ("low_pass_motion",)),
    ("jitter", ("roughness",)),
    ("joint rates", ("rates_of",)),
    ("dynamics", ("dynamics",)),
    ("contact points", ("moving_body", "_touch", "static_points")),
    ("contact forces", ("ground_forces",)),
    ("joint loads", ("ground_loads",)),
    ("balance", ("imbalance",)),
    ("kinematic parts", ("velocity", "discontinuity", "joint_limit", "self_penetration")),
    ("contact parts", ("slip", "ground_penetration", "floating", "balance")),
    ("dynamic parts", ("torque", "ground_force", "effort", "residual")),
    ("summaries", ("_over_clip", "summarise", "activity", "_report", "_score")),
)
"""A kernel belongs to the first stage one of whose functions is on its stack."""


@dataclass(frozen=True)
class Options:
    """What to look at."""

    case: str = "physical, none"
    """One of the cases of `phymotion-jax bench`."""

    clips: int = 4096
    """Clips in the call."""

    frames: int = 128
    """Frames a clip."""

    runs: int = 5
    """Traced runs; times are their mean."""

    top: int = 25
    """How many kernels to list."""

    json: Path | None = None
    """Write all kernels here."""


class Kernel(NamedTuple):
    """One instruction of the compiled program, over one call."""

    name: str
    stage: str
    where: str  # file:line of this project
    launches: float
    ms: float
    mb: float  # read and written, of all launches


class Frames:
    """The compiler's table of stack frames."""

    def __init__(self, text: str):
        """Read the header of a module's text."""
        self._files = _table(text, "FileNames", r'(\d+) "(.*)"')
        self._functions = _table(text, "FunctionNames", r'(\d+) "(.*)"')
        places = r"(\d+) \{file_name_id=(\d+) function_name_id=(\d+) line=(\d+)"
        self._places = _table(text, "FileLocations", places)
        self._frames = _table(
            text, "StackFrames", r"(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?"
        )

    def stack(self, frame: str | None) -> Iterator[tuple[str, str, str]]:
        """File, function and line, from the inside out."""
        seen = set()
        while frame in self._frames and frame not in seen:
            seen.add(frame)
            place, parent = self._frames[frame]
            file, function, line = self._places[place]
            yield self._files[file][0], self._functions[function][0], line
            frame = str(int(parent or 1) - 1)  # counted from 1, so that 1 is none


def _table(text: str, title: str, pattern: str) -> dict[str, tuple[str, ...]]:
    start = text.index(f"\n{title}\n") + len(title) + 2
    rows = (re.match(pattern, line) for line in text[start : text.index("\n\n", start)].split("\n"))
    return {row.group(1): row.groups()[1:] for row in rows if row}


_SIZES = {"pred": 1, "s8": 1, "u8": 1, "s32": 4, "u32": 4, "f32": 4, "f16": 2, "bf16": 2, "f64": 8}
_SHAPE = re.compile(r"\b(pred|[suf]\d+|bf16)\[([\d,]*)\]")


def _bytes(shape: str) -> int:
    total = 0
    for kind, dims in _SHAPE.findall(shape):
        count = 1
        for d in filter(None, dims.split(",")):
            count *= int(d)
        total += _SIZES.get(kind, 8) * count
    return total


def instructions(text: str) -> dict[str, tuple[int, str | None]]:
    """Bytes that each instruction reads and writes, and its stack frame, by its name.

    Operands of a fusion that it reads in part (a slice, a row of a loop) are counted in full only
    as far as its own largest result goes: an upper bound of what it needs.
    """
    size: dict[str, int] = {}
    found = {}
    line_of = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
    for line in text.split("\n"):
        match = line_of.match(line)
        if not match:
            continue
        name, shape, _, rest = match.groups()
        size[name] = _bytes(shape)
        operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
        read = sum(size.get(o, 0) for o in operands)
        frame = re.search(r"stack_frame_id=(\d+)", line)
        found[name] = (size[name] + read, frame.group(1) if frame else None)
    return found


def stage_of(stack: list[tuple[str, str, str]]) -> str:
    """The stage whose function is on the stack."""
    names = {name for _, function, _ in stack for name in function.split(".")}
    return next((stage for stage, of in STAGES if names & set(of)), "other")


def kernels(compiled: Any, run: Callable[[], Any], runs: int) -> list[Kernel]:
    """Trace some runs, and add up each kernel's time."""
    times, launches = defaultdict(float), defaultdict(int)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(runs):
                jax.block_until_ready(run())
        (path,) = Path(folder).rglob("*.xplane.pb")
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            if "GPU" not in plane.name and "CPU" not in plane.name:
                continue
            for line in plane.lines:
                for event in line.events:
                    stats = dict(iter(event.stats))
                    if "hlo_op" in stats:
                        name = str(stats["hlo_op"])
                        times[name] += event.duration_ns * 1e-6
                        launches[name] += 1
    text = compiled.as_text()
    frames, known = Frames(text), instructions(text)
    rows = []
    for name, ms in times.items():
        moved, frame = known.get(name, (0, None))
        stack = list(frames.stack(frame))
        own = [(f, n) for f, _, n in stack if "phymotion_jax" in f or "kernels" in f]
        where = f"{Path(own[0][0]).name}:{own[0][1]}" if own else "?"
        count = launches[name] / runs
        rows.append(Kernel(name, stage_of(stack), where, count, ms / runs, moved * count / 1e6))
    return sorted(rows, key=lambda k: -k.ms)


def copy_gb_s(mb: int = 2048) -> float:
    """Bytes read and written a second by a large copy."""
    source = jax.random.normal(jax.random.key(0), (mb * 2**18,))
    copy = jax.jit(lambda x: x + 1.0)
    return 2 * source.nbytes / _seconds(lambda: copy(source)) / 1e9


def gflop_s(n: int = 2**24, steps: int = 512) -> float:
    """Float32 operations a second outside of matrix units: chains of multiply and add."""
    x = jax.random.normal(jax.random.key(0), (n,))

    @jax.jit
    def chains(x):
        rows = [x, x + 1.0, x + 2.0, x + 3.0]
        for k in range(steps):
            rows = [r * 0.999 + (0.001 * k) for r in rows]
        return rows[0] + rows[1] + rows[2] + rows[3]

    return 8.0 * n * steps / _seconds(lambda: chains(x)) / 1e9


def _seconds(run: Callable[[], Any], runs: int = 20) -> float:
    jax.block_until_ready(run())
    start = time.perf_counter()
    for _ in range(runs):
        out = run()
    jax.block_until_ready(out)  # pyright: ignore[reportPossiblyUnboundVariable]
    return (time.perf_counter() - start) / runs


def main(options: Options) -> int:
    """Compile, time, trace, print."""
    # Before the device is asked for: else XLA launches many kernels as one, which has one time.
    flags = (os.environ.get("XLA_FLAGS", ""), "--xla_gpu_enable_command_buffer=")
    os.environ["XLA_FLAGS"] = " ".join(flags).strip()
    jax.config.update("jax_traceback_in_locations_limit", -1)  # else ten frames are kept
    function, arguments = work(options.case, options.clips, options.frames)
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*arguments)
    traced_s, start = time.perf_counter() - start, time.perf_counter()
    compiled = lowered.compile()
    compile_s = time.perf_counter() - start
    run = lambda: compiled(*arguments)  # noqa: E731
    wall_ms = 1e3 * _seconds(run)
    found = kernels(compiled, run, options.runs)
    count = options.clips * options.frames
    cost: dict[str, float] = compiled.cost_analysis() or {}  # pyright: ignore
    ends = sum(x.nbytes for x in jax.tree.leaves((arguments, run())) if isinstance(x, jnp.ndarray))
    copied, rate = copy_gb_s(), gflop_s()
    kernel_ms, moved = sum(k.ms for k in found), sum(k.mb for k in found)
    summary = {
        "case": options.case,
        "clips": options.clips,
        "frames": options.frames,
        "trace_s": traced_s,
        "compile_s": compile_s,
        "wall_ms": wall_ms,
        "frames_per_s": 1e3 * count / wall_ms,
        "kernel_ms": kernel_ms,
        "launches": sum(k.launches for k in found),
        "copy_gb_s": copied,
        "gflop_s": rate,
        "flop_per_frame": cost.get("flops", float("nan")) / count,
        "input_and_output_bytes_per_frame": ends / count,
        "kernel_bytes_per_frame": 1e6 * moved / count,
        "floor_bytes_frames_per_s": copied * 1e9 * count / ends,
        "passes_frames_per_s": copied * 1e3 * count / moved if moved else float("nan"),
    }
    show(summary, found, options.top)
    if options.json:
        rows = [k._asdict() for k in found]
        options.json.write_text(
            json.dumps({"facts": device_facts(), "summary": summary, "kernels": rows}, indent=1)
        )
    return 0


def show(summary: dict[str, Any], found: list[Kernel], top: int) -> None:
    """The summary, a table of stages, and the slowest kernels."""
    print(", ".join(f"{k} {v}" for k, v in device_facts().items()) + "\n")
    for key, value in summary.items():
        print(f"- {key}: {value:,.4g}" if isinstance(value, float) else f"- {key}: {value}")
    print(
        "\n| stage | ms | share | kernels | launches | GB | GB/s |\n|---|---|---|---|---|---|---|"
    )
    total = sum(k.ms for k in found) or 1.0
    for stage in (*(s for s, _ in STAGES), "other"):
        mine = [k for k in found if k.stage == stage]
        ms, mb, n = (sum(getattr(k, f) for k in mine) for f in ("ms", "mb", "launches"))
        if ms:
            print(
                f"| {stage} | {ms:.3f} | {ms / total:.1%} | {len(mine)} | {n:.0f} "
                f"| {mb / 1e3:.2f} | {mb / ms:.0f} |"
            )
    print("\n| kernel | stage | where | ms | launches | MB | GB/s |\n|---|---|---|---|---|---|---|")
    for k in found[:top]:
        print(
            f"| {k.name} | {k.stage} | {k.where} | {k.ms:.3f} | {k.launches:.0f} | {k.mb:.0f} "
            f"| {k.mb / k.ms if k.ms else 0:.0f} |"
        )


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
