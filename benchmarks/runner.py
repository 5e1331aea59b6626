"""The data-set runner end to end: files a second, memory, where the time goes, and kills.

    python benchmarks/runner.py --clips 100000 --self-penetration capsule
    python benchmarks/runner.py --clips 400 --kills 20 --clips-per-part 16

Makes a folder of clips (links to the demo clips, each a file of its own for the runner) and has the
command score it to a folder of parts, in a process of its own. With `--kills` such processes are
killed at random moments and started again until they come to their end; each table is then compared
with the one that was not interrupted, row for row.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
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
    """How often to kill runs, beside the first, which is left alone."""

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


def killed_tables(folder: Path, clips: Path, options: Options, about_s: float) -> Iterator[Any]:
    """Kill runs at random moments, so many times in all; each folder as it comes to its end.

    A run that ends by itself before its moment was not killed: another folder is begun then.
    """
    draw, lives, number = random.Random(options.seed), [], 0
    while True:
        scores, mine = folder / f"killed-{number}", len(lives)
        while not ended(command(clips, scores, options), lives, draw, about_s, options.kills):
            pass
        yield scores, lives[mine:]
        if len(lives) == options.kills:
            return
        number += 1


def ended(
    command: list[str], lives: list[float], draw: random.Random, about_s: float, most: int
) -> bool:
    """Start a run once; whether it came to its end. If not, how long it lived is noted."""
    life = draw.uniform(0.0, about_s) if len(lives) < most else None
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tried:
        try:
            _, said = tried.communicate(timeout=life)
        except subprocess.TimeoutExpired:
            tried.kill()
            lives.append(round(life or 0.0, 2))
            return False
    if tried.returncode:
        raise SystemExit(said)
    return True


def table_of(scores: Path) -> pa.Table:
    return pa.concat_tables([pq.read_table(f) for f in sorted(scores.glob("part-*.parquet"))])


def main(options: Options) -> int:
    names = ("clips", "clips_per_part", "self_penetration", "kills")
    results: dict[str, Any] = {name: getattr(options, name) for name in names}
    with tempfile.TemporaryDirectory() as folder:
        clips, scores = Path(folder, "clips"), Path(folder, "scores")
        make_clips(clips, options.clips)
        results |= run(clips, scores, options)
        whole = table_of(scores)
        assert len(whole) == options.clips
        if options.kills:
            # Once more: the first run may have compiled, which those to be killed need not.
            about_s = run(clips, Path(folder, "again"), options)["seconds"]
            ends = list(killed_tables(Path(folder), clips, options, about_s))
            results["lives_s"] = [lives for _, lives in ends]
            results["same_table"] = all(table_of(scores).equals(whole) for scores, _ in ends)
    facts = device_facts()
    print(json.dumps({"facts": facts, **results}, indent=1))
    if options.json:
        options.json.write_text(json.dumps({"facts": facts, **results}, indent=1) + "\n")
    return 0 if results.get("same_table", True) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
