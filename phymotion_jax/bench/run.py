"""`phymotion-jax bench`: what it measures, in which order, and where the results go."""

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from phymotion_jax.bench.cases import CASES, known_cases, whole_scores, work
from phymotion_jax.bench.oracle import errors_against_mujoco
from phymotion_jax.bench.plot import draw, require_matplotlib
from phymotion_jax.bench.results import markdown, read_results
from phymotion_jax.bench.timing import device_facts, peak_bytes, timed, write_json
from phymotion_jax.dynamics import BACKENDS, Backend
from phymotion_jax.errors import UnknownNameError
from phymotion_jax.options import DONE, SOME_FAILED, Bench, UsageError, say
from phymotion_jax.table import OutputError

Results = dict[str, Any]


def run_bench(command: Bench) -> int:
    """Measure or read, print, write and draw; 1 where a case did not fit into memory."""
    cases = command.cases or CASES
    _check(command, cases)
    if command.read:
        results = read_results(command.read)
    else:
        with _nothing_compiled_before():
            results = measure(command, cases)
        backends: tuple[Backend, ...] = tuple(b for b in BACKENDS if f"dynamics, {b}" in cases)
        results["errors"] = errors_against_mujoco(backends)
    print(markdown(results))
    if command.output:
        try:
            write_json(command.output, results["facts"], results)
        except OSError as error:
            raise OutputError(f"cannot write {command.output}: {error.strerror}") from error
    if command.plot:
        draw(results, command.plot)
    return SOME_FAILED if any("error" in row for row in results["rows"]) else DONE


def _check(command: Bench, cases: Sequence[str]) -> None:
    for case in cases:
        if case not in known_cases():
            raise UnknownNameError("case", case, known_cases())
    if not command.read and max(command.devices) > len(jax.devices()):
        raise UsageError(
            f"--devices {max(command.devices)}: JAX finds {len(jax.devices())} "
            f"({jax.devices()[0].device_kind})"
        )
    if command.plot:
        require_matplotlib(command.plot)


@contextmanager
def _nothing_compiled_before() -> Iterator[None]:
    """Compile times are those of a first run: without the programs that the command line keeps."""
    kept = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # which else remembers that it was on
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", kept)
        compilation_cache.reset_cache()


def measure(command: Bench, cases: Sequence[str]) -> Results:
    """Everything that was asked for. Memory comes first, since a peak does not come down."""
    scored = [c for c in cases if c in whole_scores()] if command.scored else []
    memory = [row for case in scored for row in many_clips(case, command)]
    rows = []
    for devices, frames, clips, case in itertools.product(
        command.devices, command.frames, command.clips, cases
    ):
        rows.append(_row(case, clips, frames, devices, command.runs))
        rate = rows[-1].get("frames_per_s")
        told = f"{rate:,.0f} frames/s" if rate else rows[-1]["error"]
        say(f"{case}, {clips} x {frames} on {devices}: {told}")
    return {
        "facts": device_facts() | {"devices": f"{len(jax.devices())}"},
        "rows": rows,
        "memory": memory,
        "notes": command.notes,
    }


def _row(case: str, clips: int, frames: int, devices: int, runs: int) -> dict[str, Any]:
    """One row; where it does not fit into memory, that instead of its figures."""
    row: dict[str, Any] = {"case": case, "clips": clips, "frames": frames, "devices": devices}
    try:
        function, arguments = work(
            case, clips, frames, jax.devices()[:devices] if devices > 1 else None
        )
        row |= timed(function, arguments, clips * frames, runs)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return row | {"error": "does not fit into memory"}
    return row | {"clips_per_s": row["frames_per_s"] / frames}


def many_clips(case: str, command: Bench) -> Iterator[dict[str, Any]]:
    """Score ever more clips from the host's memory, and tell the peak after each number."""
    clips, frames = max(command.clips), command.frames[0]
    function, (batch,) = work(case, clips, frames)
    compiled = jax.jit(function).lower(batch).compile()
    host = jax.tree.map(np.asarray, batch)
    del batch
    for total in sorted(command.scored):
        start, done = time.perf_counter(), 0
        while done < total:
            # Other clips each time, as a data set has; rewards are all that a table needs.
            batch = jax.tree.map(lambda x, by=done // clips: np.roll(x, by, axis=0), host)
            np.asarray(compiled(jax.device_put(batch)).reward)
            done += clips
        seconds = time.perf_counter() - start
        row = {"case": case, "clips": clips, "frames": frames, "scored": done, "seconds": seconds}
        yield row | {"clips_per_s": done / seconds, "peak_mb": peak_bytes() / 1e6}
        say(f"{case}, {done} clips in calls of {clips}: peak {peak_bytes() / 1e6:,.0f} MB")
