"""Times, memory, and the device and versions that neither means anything without."""

import json
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import jax

PACKAGES = ("jax", "jaxlib", "mujoco", "mujoco-mjx", "warp-lang", "numpy", "phymotion-jax")


def device_facts() -> dict[str, str]:
    """Device, driver, versions, date and command. A package that is not installed is left out."""
    device = jax.devices()[0]
    facts = {"device": device.device_kind, "platform": device.platform}
    if device.platform == "cpu":
        facts["device"] = _cpu()
    elif shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        facts["driver"] = subprocess.run(
            query, capture_output=True, text=True, check=True
        ).stdout.split()[0]
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    program = Path(sys.argv[0])
    module = ["python", "-m", program.parent.name] if program.stem == "__main__" else [program.name]
    command = [*module, *sys.argv[1:]]
    return facts | {
        "python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": shlex.join(command),
    }


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else platform.processor() or platform.machine()
    return f"{model}, {len(names) or '?'} cores"


def peak_bytes() -> float:
    """Most memory held so far: the first device's, or on a CPU this process's."""
    stats = jax.devices()[0].memory_stats() or {}
    # Linux counts in KiB, macOS in bytes.
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return stats.get("peak_bytes_in_use", unit * getrusage(RUSAGE_SELF).ru_maxrss)


def timed(
    function: Callable[..., Any], arguments: tuple[Any, ...], count: int, runs: int
) -> dict[str, float]:
    """Compile, run once to warm up, and time `runs` runs, each to its end.

    Args:
      function: pure; it is lowered and compiled here, each timed by itself.
      arguments: on the device already.
      count: frames in a call.
      runs: timed runs, two or more.

    Returns:
      `trace_s` and `compile_s`; `median_ms` and `iqr_ms` of the runs; `frames_per_s`; and memory:
      `temp_bytes_per_frame` between inputs and outputs, `program_mb` of all three on each device,
      `peak_mb` since the process began.
    """
    start = time.perf_counter()
    lowered = jax.jit(function).lower(*arguments)
    trace_s, start = time.perf_counter() - start, time.perf_counter()
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
    return {
        "trace_s": trace_s,
        "compile_s": compile_s,
        "median_ms": 1e3 * median,
        "iqr_ms": 1e3 * (high - low),
        "frames_per_s": count / median,
        **_memory(compiled, count / _devices(arguments)),
        "peak_mb": peak_bytes() / 1e6,
    }


def _devices(arguments: tuple[Any, ...]) -> int:
    arrays = (x for x in jax.tree.leaves(arguments) if isinstance(x, jax.Array))
    return max((len(x.sharding.device_set) for x in arrays), default=1)


def _memory(compiled: jax.stages.Compiled, count: float) -> dict[str, float]:
    found = compiled.memory_analysis()
    if found is None:
        return {}
    total = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes
    return {
        "temp_bytes_per_frame": found.temp_size_in_bytes / count,
        "program_mb": (total - found.alias_size_in_bytes) / 1e6,
    }


def write_json(path: Path, facts: dict[str, str], results: dict[str, Any]) -> None:
    """Results with the device and versions that they mean nothing without."""
    path.write_text(json.dumps({"facts": facts, **results}, indent=1) + "\n")
