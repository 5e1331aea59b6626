"""`phymotion-jax bench`: what it measures, in which order, and where the results go."""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from phymotion_jax.bench.cases import CASES, Work, known_cases, whole_scores, work
from phymotion_jax.bench.oracle import errors_against_mujoco
from phymotion_jax.bench.plot import draw, require_matplotlib
from phymotion_jax.bench.results import markdown, read_results, require_writable, writing
from phymotion_jax.bench.timing import device_facts, peak_bytes, timed, write_json
from phymotion_jax.dynamics import BACKENDS, Backend
from phymotion_jax.errors import UnknownNameError, UsageError
from phymotion_jax.options import DONE, SOME_FAILED, Bench, say

Results = dict[str, Any]
Row = dict[str, Any]


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
        with writing(command.output):
            write_json(command.output, results["facts"], results)
    if command.plot:
        draw(results, command.plot)
    rows = (*results["rows"], *results["memory"])
    return SOME_FAILED if any("error" in row for row in rows) else DONE


def _check(command: Bench, cases: Sequence[str]) -> None:
    for case in cases:
        if case not in known_cases():
            raise UnknownNameError("case", case, known_cases())
    other = next((case for case in command.cases if case not in whole_scores()), None)
    if command.scored and other:
        raise UsageError(f"--scored is for whole scores, and {other!r} is none; leave one out")
    if not command.read and max(command.devices) > len(jax.devices()):
        raise UsageError(
            f"--devices {max(command.devices)}: JAX finds {len(jax.devices())} "
            f"({jax.devices()[0].device_kind})"
        )
    if command.plot:
        require_matplotlib(command.plot)
    for path in filter(None, (command.output, command.plot)):
        require_writable(path)


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


def _row(case: str, clips: int, frames: int, devices: int, runs: int) -> Row:
    """One row of times."""

    def figures() -> dict[str, float]:
        function, arguments = _work(case, clips, frames, devices)
        found = timed(function, arguments, clips * frames, runs)
        return found | {"clips_per_s": found["frames_per_s"] / frames}

    return _unless_full(
        {"case": case, "clips": clips, "frames": frames, "devices": devices}, figures
    )


def _work(case: str, clips: int, frames: int, devices: int) -> Work:
    return work(case, clips, frames, jax.devices()[:devices] if devices > 1 else None)


def _unless_full(row: Row, figures: Callable[[], dict[str, float]]) -> Row:
    """The row with its figures; where they do not fit into memory, with that instead."""
    try:
        return row | figures()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return row | {"error": "does not fit into memory"}


def many_clips(case: str, command: Bench) -> Iterator[Row]:
    """Score ever more clips from the host's memory, and tell the peak after each number.

    In calls of the largest --clips, over the first of --devices. What does not fit ends it.
    """
    clips, frames, devices = max(command.clips), command.frames[0], command.devices[0]
    call = {"case": case, "clips": clips, "frames": frames, "devices": devices}
    scorer = cache(lambda: _from_host(case, clips, frames, devices))
    for total in sorted(command.scored):
        calls = -(-total // clips)
        row = call | {"scored": calls * clips}
        row = _unless_full(row, lambda calls=calls: _passes(scorer(), calls, clips))
        yield row
        told = row.get("error") or f"peak {row['peak_mb']:,.0f} MB"
        say(f"{case}, {row['scored']} clips in calls of {clips}: {told}")
        if "error" in row:
            return


def _from_host(case: str, clips: int, frames: int, devices: int) -> Callable[[int], None]:
    """A compiled call that scores other clips each time, as a data set has."""
    function, (batch,) = _work(case, clips, frames, devices)
    compiled = jax.jit(function).lower(batch).compile()
    host, places = jax.tree.map(np.asarray, batch), jax.tree.map(lambda x: x.sharding, batch)

    def score(by: int) -> None:
        others = jax.tree.map(lambda x: np.roll(x, by, axis=0), host)
        # Rewards are all that a table needs.
        np.asarray(compiled(jax.device_put(others, places)).reward)

    return score


def _passes(score: Callable[[int], None], calls: int, clips: int) -> dict[str, float]:
    start = time.perf_counter()
    for by in range(calls):
        score(by)
    seconds, peak = time.perf_counter() - start, peak_bytes() / 1e6
    return {"seconds": seconds, "clips_per_s": calls * clips / seconds, "peak_mb": peak}
