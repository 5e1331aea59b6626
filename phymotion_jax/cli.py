"""The command line: its arguments, and errors said in one line.

Nothing here imports JAX, NumPy or Arrow, so that `--help` is quick; `commands` does the work.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from phymotion_jax._version import __version__
from phymotion_jax.errors import PhyMotionError

PROGRAM = "phymotion-jax"
DONE, SOME_FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes. The last is the shell's own for Ctrl-C."""


class UsageError(PhyMotionError, ValueError):
    """Something on the command line that cannot be done."""


def _optional(metavar: str, **settings):
    """An option whose absence its help explains: "default: None" would not."""
    return arg(metavar=metavar, help_behavior_hint="", **settings)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every scoring command takes."""

    preset: Annotated[str, arg(metavar="NAME")] = "paper"
    """Which definition of the scores."""
    fps: Annotated[float | None, _optional("F")] = None
    """Frames a second, in place of what the files say."""
    up: Annotated[Literal["y", "z"] | None, _optional("{y,z}")] = None
    """Vertical axis of the files, in place of what their kind says."""
    mass_kg: Annotated[float | None, _optional("M")] = None
    """Whole-body mass in kilograms. By default it follows from the body's shape."""
    floor: Annotated[float | None, _optional("H")] = None
    """Height of the floor in metres. By default it is found in each clip."""
    backend: Literal["fused", "mjx"] = "fused"
    """Inverse dynamics: this program's own, or MuJoCo MJX (slower; to compare)."""

    def check(self) -> None:
        """Refuse numbers that make no sense, before anything slow happens."""
        _require_positive("--fps", self.fps)
        _require_positive("--mass-kg", self.mass_kg)


@dataclass(frozen=True, kw_only=True)
class Score(Options):
    """Score motion files or folders of them: a row a clip. Without any, the demo clips."""

    paths: Annotated[Positional[tuple[Path, ...]], _optional("[PATH ...]")] = ()
    """Files, and folders that are searched for files."""
    output: Annotated[str | None, _optional("FILE", aliases=["-o"])] = None
    """Table to write: .parquet, .csv or .jsonl; - for JSON lines on stdout."""
    frames_per_batch: Annotated[int | None, _optional("N")] = None
    """Padded frames scored at once. Fewer take less memory."""

    def check(self) -> None:
        """The same, and the size of a batch."""
        super().check()
        _require_positive("--frames-per-batch", self.frames_per_batch)


@dataclass(frozen=True, kw_only=True)
class Explain(Options):
    """Tell where one clip lost its reward: parts, frames and joints."""

    clip: Annotated[Positional[Path], arg(metavar="CLIP")]
    """A motion file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 done, 1 some clips not scored, 2 bad input."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without █ shows ?, and goes on
    if list(argv) == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return DONE
    try:
        return _run(_parse(argv))
    except PhyMotionError as error:
        say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader at the other end has left, as `head` does. Python would fail once more on
        # flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def say(text: str) -> None:
    """One line to the user on stderr."""
    print(f"{PROGRAM}: {' '.join(text.split())}", file=sys.stderr)


def _run(command: Score | Explain) -> int:
    command.check()
    _set_xla_flags()
    _keep_compiled_programs()
    from phymotion_jax import commands  # noqa: PLC0415  # JAX: seconds, and reads XLA_FLAGS

    return commands.run(command)


def _parse(argv: Sequence[str]) -> Score | Explain:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Score | Explain,  # pyright: ignore[reportArgumentType]  # tyro takes unions
                prog=PROGRAM,
                description="Score how physically possible 3D human motion is. "
                "Also: --version. Each command has its own --help.",
                args=argv,
            )
    except SystemExit as end:
        if end.code in (None, DONE):
            raise
        command = [name for name in argv[:1] if name in ("score", "explain")]
        help_of = " ".join([PROGRAM, *command, "--help"])
        raise UsageError(f"{_one_line(said.getvalue())}; see {help_of}") from None


def _one_line(box: str) -> str:
    """What tyro says in a box of several parts, in one line: the error and the first advice."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", box)
    inside = "\n".join(line.strip("│ ") for line in plain.splitlines()[1:-1])
    parts = [part.strip() for part in re.split(r"^[─-]+$", inside, flags=re.MULTILINE)]
    error, *advice = list(filter(None, parts)) or [plain]
    error = " ".join(error.partition("\n\n")[0].split()).rstrip(".")
    if advice and advice[0].startswith("Perhaps you meant:\n"):
        error += f"; perhaps you meant {advice[0].splitlines()[1].strip()}"
    return error


def _require_positive(flag: str, value: float | None) -> None:
    if value is not None and not 0.0 < value < float("inf"):
        raise UsageError(f"{flag} is {value:g}; a number above 0 was wanted")


def _keep_compiled_programs() -> None:
    """A second run need not compile again: 40 s become 5 s for the clips of one small folder.

    JAX reads the variable when it is first imported; a user who has set it knows better. Where the
    folder cannot be written, JAX says so and goes on.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(home, PROGRAM))


def _set_xla_flags() -> None:
    """Before JAX 0.11, XLA's newer CPU emitters run these kernels 25 to 40 times slower.

    JAX 0.11 and later use them well, and stop at the flag as unknown. It is read when JAX is first
    imported. A user who has set it knows better.
    """
    name, flags = "--xla_cpu_use_fusion_emitters", os.environ.get("XLA_FLAGS", "")
    major, minor = (int(number) for number in version("jax").split(".")[:2])
    if (major, minor) < (0, 11) and name not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {name}=false".strip()
