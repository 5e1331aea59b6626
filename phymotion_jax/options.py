"""What each command takes, and how a command ends. Imports nothing heavy."""

import os
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from phymotion_jax.errors import UsageError

PROGRAM = "phymotion-jax"
DONE, SOME_FAILED, BAD_INPUT, FAULT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 70, 130, 141
"""Exit codes. A fault of the program has one of its own (sysexits' EX_SOFTWARE), since Python's 1
would say that some clips could not be scored; the last two are the shell's own for Ctrl-C and for
a reader that has left."""


def _optional(metavar: str, **settings):
    """An option whose absence its help explains: "default: None" would not."""
    return arg(metavar=metavar, help_behavior_hint="", **settings)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every scoring command takes."""

    preset: Annotated[str, arg(metavar="NAME")] = "physical"
    """Which definition of the scores: physical, paper or reference."""
    fps: Annotated[float | None, _optional("F")] = None
    """Frames a second, in place of what the files say."""
    up: Annotated[Literal["y", "z"] | None, _optional("{y,z}")] = None
    """Vertical axis of the files, in place of what their kind says."""
    mass_kg: Annotated[float | None, _optional("M")] = None
    """Whole-body mass in kilograms. By default it follows from the body's shape."""
    floor: Annotated[float | None, _optional("H")] = None
    """Height of the floor in metres. By default it is found in each clip."""
    level_floor: Annotated[bool, arg(help_behavior_hint=""), FlagCreatePairsOff] = False
    """Turn each clip so that the plane of its standing feet is level: for recoverers that do not
    align gravity."""
    self_penetration: Annotated[Literal["capsule", "hull", "mesh"] | None, _optional("LEVEL")] = (
        None
    )
    """How self-penetration is measured, in place of the preset's way: depth between a capsule or a
    convex hull a body part, or whether triangles of the surface cross (capsule, hull or mesh)."""
    surface: Annotated[str | None, _optional("BODY")] = None
    """Whose triangles, for mesh: the name of a body (smplx-neutral) or its file. By default the
    mannequin, which needs no file."""
    backend: Literal["fused", "mjx"] = "fused"
    """Inverse dynamics: this program's own, or MuJoCo MJX (slower; to compare)."""

    def check(self) -> None:
        """Refuse numbers that make no sense, before anything slow happens."""
        require_positive("--fps", self.fps)
        require_positive("--mass-kg", self.mass_kg)
        if self.floor is not None and not abs(self.floor) < float("inf"):
            raise UsageError(f"--floor is {self.floor}; a height in metres was wanted")
        if self.floor is not None and self.level_floor:
            raise UsageError("--floor gives a level floor, --level-floor looks for one; take one")


@dataclass(frozen=True, kw_only=True)
class Score(Options):
    """Score motion files or folders of them: a row a clip. Without any, the demo clips."""

    paths: Annotated[Positional[tuple[Path, ...]], _optional("[PATH ...]")] = ()
    """Files, tar files of them, Parquet files with a clip a row, and folders that are searched for
    all of these."""
    output: Annotated[str | None, _optional("FILE", aliases=["-o"])] = None
    """Table to write: .parquet, .csv or .jsonl; - for JSON lines on stdout. A name with a / at its
    end, or without any ending, is a folder of Parquet parts; after an interruption the same command
    goes on there."""
    frames_per_batch: Annotated[int | None, _optional("N")] = None
    """Padded frames scored at once. Fewer take less memory."""
    clips_per_part: Annotated[int | None, _optional("N")] = None
    """Clips of a part, in a folder of parts: 4096 by default."""
    shard: Annotated[str | None, _optional("I/N")] = None
    """Score every N-th part alone, from part I on, counted from 0: N runs fill one folder."""
    devices: Annotated[int | None, _optional("N")] = None
    """Devices over which the clips of each batch are spread: one by default."""
    workers: Annotated[int | None, _optional("N")] = None
    """Processes that decode files, by default one a processor but one, at most 16; threads, at most
    four, where there are fewer than 1000 files, fewer than three processes, or rows of Parquet."""

    def check(self) -> None:
        """The same, where clips come from and go to, and what a folder of parts needs."""
        super().check()
        if self.output == "":
            raise UsageError("-o is empty: a file or a folder was wanted")
        if Path("-") in self.paths and not os.path.exists("-"):
            raise UsageError("standard input (-) is not read; files or folders were wanted")
        require_positive("--frames-per-batch", self.frames_per_batch)
        require_positive("--clips-per-part", self.clips_per_part)
        require_positive("--workers", self.workers)
        require_positive("--devices", self.devices)
        for flag, value in (("--shard", self.shard), ("--clips-per-part", self.clips_per_part)):
            if value is not None and self.folder is None:
                raise UsageError(f"{flag} is for a folder of parts; give one with -o, as scores/")
        if self.shard is not None:
            shard_of(self.shard)

    @property
    def folder(self) -> Path | None:
        """The folder of parts that was asked for, if one was."""
        if self.output in (None, "-"):
            return None
        path = Path(self.output)
        return path if self.output.endswith("/") or not path.suffix else None


def shard_of(text: str) -> tuple[int, int]:
    """Number and count of shards, from "i/n".

    Raises:
      UsageError: for what is not two numbers, the first below the second.
    """
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and int(number) < int(of)):
        raise UsageError(f"--shard is {text}; I/N with I from 0 to N - 1 was wanted, as 0/4")
    return int(number), int(of)


@dataclass(frozen=True, kw_only=True)
class Explain(Options):
    """Tell where one clip lost its reward: parts, frames and joints."""

    clip: Annotated[Positional[Path], arg(metavar="CLIP")]
    """A motion file."""


@dataclass(frozen=True, kw_only=True)
class ConvertBody:
    """Make a small file of your SMPL, SMPL-H or SMPL-X model, to be found by name from then on."""

    model: Annotated[Positional[Path], arg(metavar="MODEL")]
    """The model's .npz; or its .pkl, which smplx opens and thereby executes."""
    output: Annotated[Path | None, _optional("FILE", aliases=["-o"])] = None
    """The .npz to write. By default one in ~/.cache/phymotion-jax/bodies, smplx-neutral.npz say."""

    def check(self) -> None:
        """Nothing to check before the file is opened."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Time the scorer on this machine, on the demo clips: a table in Markdown on stdout."""

    cases: Annotated[tuple[str, ...], _optional("CASE ...")] = ()
    """What to time: a preset ("physical"), with another level of self-penetration ("physical,
    none"; also capsule, hull, mesh), its contact and dynamic axes alone ("paper, two axes"), or
    inverse dynamics alone ("dynamics, fused", "dynamics, mjx"). By default a choice of them."""
    clips: Annotated[tuple[int, ...], arg(metavar="N ...")] = (64,)
    """Clips in a call."""
    frames: Annotated[tuple[int, ...], arg(metavar="N ...")] = (128,)
    """Frames a clip."""
    devices: Annotated[tuple[int, ...], arg(metavar="N ...")] = (1,)
    """Devices over which the clips of a call are spread."""
    runs: Annotated[int, arg(metavar="N")] = 10
    """Timed runs of each."""
    scored: Annotated[tuple[int, ...], _optional("N ...")] = ()
    """Also score so many clips from the host's memory, by each case that is a whole score, and tell
    the peak of memory after each number: whether it grows. A call of the largest --clips after the
    other, over the first of --devices."""
    output: Annotated[Path | None, _optional("FILE", aliases=["-o"])] = None
    """Write the results here too, as JSON."""
    plot: Annotated[Path | None, _optional("FILE")] = None
    """Draw them, as .png, .svg or .pdf. Needs matplotlib (the extra `bench`)."""
    read: Annotated[Path | None, _optional("FILE")] = None
    """Show and draw earlier results in place of measuring."""
    notes: Annotated[str, _optional("TEXT")] = ""
    """Free text for the JSON."""

    def check(self) -> None:
        """Refuse what cannot be timed, before anything slow happens."""
        self._check_read()
        for flag in ("clips", "frames", "devices"):
            if not getattr(self, flag):
                raise UsageError(f"--{flag} is empty; a number or several were wanted")
        for flag in ("clips", "frames", "devices", "scored"):
            for number in getattr(self, flag):
                require_positive(f"--{flag}", number)
        if self.scored and len(self.frames) > 1:
            raise UsageError("--scored takes calls of one length; one of --frames was wanted")
        if self.runs < 2:
            raise UsageError(f"--runs is {self.runs}; 2 or more were wanted, for a spread")
        for clips in self.clips:
            for devices in self.devices:
                if clips % devices:
                    raise UsageError(
                        f"--clips {clips} cannot be spread evenly over --devices {devices}"
                    )

    def _check_read(self) -> None:
        """Earlier results are what they are."""
        free = ("read", "output", "plot")
        asked = (f.name for f in fields(self) if getattr(self, f.name) != f.default)
        other = next((name for name in asked if name not in free), None)
        if self.read and other:
            raise UsageError(f"--read measures nothing, and --{other} is about that; leave one out")


def say(text: str) -> None:
    """One line to the user on stderr."""
    print(f"{PROGRAM}: {' '.join(text.split())}", file=sys.stderr)


def discard_stdout() -> None:
    """Send what is still to be flushed nowhere: Python would fail once more on it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require_positive(flag: str, value: float | None) -> None:
    """Refuse what is no number above 0, or infinite; None is an option that was not given."""
    if value is not None and not 0.0 < value < float("inf"):
        raise UsageError(f"{flag} is {value:g}; a number above 0 was wanted")
