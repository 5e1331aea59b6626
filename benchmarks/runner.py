"""The data-set runner end to end: files a second, memory, where the time goes, and kills.

    python benchmarks/runner.py --clips 100000 --self-penetration capsule
    python benchmarks/runner.py --clips 400 --kills 20 --clips-per-part 16

Makes a folder of clips (links to the demo clips, each a file of its own for the runner) and has the
command score it to a folder of parts, in a process of its own. With `--kills` that process is
killed at random moments and started again until it comes to its end; the table is then compared,
row for row, with one that was not interrupted.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from phymotion_jax.assets import demo_clips
from phymotion_jax.bench.timing import device_facts


@dataclass(frozen=True)
class Options:
    """What to run."""

    clips: int = 2000
    """Files in the folder."""

    clips_per_part: int = 4096
    """Clips of a part."""

    self_penetration: str = "hull"
    """How it is measured: capsules take a fifth of the time on a CPU."""

    kills: int = 0
    """How often to kill the run; with it a second, uninterrupted run is made."""

    seed: int = 0
    """Of the moments at which it is killed."""

    json: Path | None = None
    """Write the results here too."""


def make_clips(folder: Path, count: int) -> None:
    """So many names for the demo clips, a thousand in each folder."""
    demos = demo_clips()
    for k in range(count):
        home = folder / f"{k // 1000:04d}"
        home.mkdir(parents=True, exist_ok=True)
        source = demos[k % len(demos)]
        try:
            os.link(source, home / f"{k:07d}.npz")
        except OSError:  # another file system
            (home / f"{k:07d}.npz").write_bytes(source.read_bytes())


def command(clips: Path, scores: Path, options: Options) -> list[str]:
    """The command that a user would give."""
    program = "import sys; from phymotion_jax.cli import main; sys.exit(main())"
    arguments = ["score", str(clips), "-o", str(scores)]
    size = ["--clips-per-part", str(options.clips_per_part)]
    level = ["--self-penetration", options.self_penetration]
    return [sys.executable, "-c", program, *arguments, *size, *level]


def run(clips: Path, scores: Path, options: Options) -> dict[str, Any]:
    """One run to its end: its time and memory, and what it says of where the time went."""
    start = time.perf_counter()
    done = subprocess.run(
        command(clips, scores, options), stderr=subprocess.PIPE, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    found = re.search(
        r"decode ([\d.]+) s, score ([\d.]+) s, write ([\d.]+) s.*busy (\d+)%", done.stderr
    )
    assert found, done.stderr
    names = ("decode_s", "score_s", "write_s", "busy_percent")
    return {
        "seconds": seconds,
        "files_per_s": options.clips / seconds,
        **{name: float(x) for name, x in zip(names, found.groups(), strict=True)},
        "peak_mb": getrusage(RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6,  # from KiB
    }


def run_killed(clips: Path, scores: Path, options: Options, about_s: float) -> list[float]:
    """Kill it at random moments, so many times, then let it end; how long each try lived."""
    draw, lives = random.Random(options.seed), []
    for _ in range(options.kills):
        life = draw.uniform(0.0, about_s)
        start = time.perf_counter()
        with subprocess.Popen(command(clips, scores, options), stderr=subprocess.DEVNULL) as tried:
            try:
                tried.wait(timeout=life)
            except subprocess.TimeoutExpired:
                tried.kill()
        lives.append(time.perf_counter() - start)
    run_to_end = subprocess.run(
        command(clips, scores, options), capture_output=True, text=True, check=False
    )
    if run_to_end.returncode:
        raise SystemExit(run_to_end.stderr)
    return lives


def table_of(scores: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(f) for f in sorted(scores.glob("part-*.parquet"))])


def main(options: Options) -> int:
    names = ("clips", "clips_per_part", "self_penetration")
    results: dict[str, Any] = {name: getattr(options, name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        clips, scores = Path(folder, "clips"), Path(folder, "scores")
        make_clips(clips, options.clips)
        results |= run(clips, scores, options)
        whole = table_of(scores)
        assert len(whole) == options.clips
        if options.kills:
            killed = Path(folder, "killed")
            lives = run_killed(clips, killed, options, results["seconds"])
            results["kills"] = len(lives)
            results["lives_s"] = [round(x, 2) for x in lives]
            results["same_table"] = table_of(killed).equals(whole)
    facts = device_facts()
    print(json.dumps({"facts": facts, **results}, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, **results}, indent=1) + "\n")
    return 0 if results.get("same_table", True) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
