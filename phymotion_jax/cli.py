"""The command line: its arguments, and errors said in one line.

Nothing here imports JAX, NumPy or Arrow, so that `--help` is quick; `commands` does the work.
"""

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib.metadata import version

import tyro

from phymotion_jax._version import __version__
from phymotion_jax.errors import PhyMotionError, UsageError
from phymotion_jax.interrupts import answered
from phymotion_jax.options import (
    BAD_INPUT,
    BROKEN_PIPE,
    DONE,
    FAULT,
    INTERRUPTED,
    PROGRAM,
    SOME_FAILED,
    Bench,
    ConvertBody,
    Explain,
    Score,
    discard_stdout,
    say,
)

Command = Score | Explain | ConvertBody | Bench


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code, one of those of `options`."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without █ shows ?, and goes on
    if list(argv) == ["--version"]:
        print(f"{PROGRAM} {__version__}")
        return DONE
    return ended(lambda: _run(_parse(argv)))


def ended(run: Callable[[], int]) -> int:
    """Exit code of a run, or of what it ends with; that is said on stderr."""
    try:
        with answered():
            code = run()
        sys.stdout.flush()
        return code
    except PhyMotionError as error:
        say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader at the other end has left, as `head` does
        discard_stdout()
        return BROKEN_PIPE
    except Exception:
        traceback.print_exc()
        return FAULT


def _run(command: Command) -> int:
    command.check()
    _set_xla_flags()
    _keep_compiled_programs()
    from phymotion_jax import commands  # noqa: PLC0415  # JAX: seconds, and reads XLA_FLAGS

    return commands.run(command)


def _parse(argv: Sequence[str]) -> Command:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                Command,  # pyright: ignore[reportArgumentType]  # tyro takes unions
                prog=PROGRAM,
                description="Score how physically possible 3D human motion is. "
                "Also: --version. Each command has its own --help. "
                f"Exit codes: {DONE} all scored, {SOME_FAILED} some clips could not be, "
                f"{BAD_INPUT} a command that cannot be done, {FAULT} a fault of the program, "
                f"{INTERRUPTED} interrupted, {BROKEN_PIPE} nobody reads its output any longer.",
                args=argv,
            )
    except SystemExit as end:
        if end.code in (None, DONE):
            raise
        command = [
            name for name in argv[:1] if name in ("score", "explain", "convert-body", "bench")
        ]
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


def _keep_compiled_programs() -> None:
    """A second run need not compile again: 40 s become 5 s for the clips of one small folder.

    JAX reads the variable when it is first imported; a user who has set it knows better. Where the
    folder cannot be written, JAX says so and goes on.
    """
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(home, PROGRAM))


def _set_xla_flags() -> None:
    """Before JAX 0.11, XLA's newer CPU emitters run these kernels tens of times slower.

    JAX 0.11 and later use them well, and stop at the flag as unknown. It is read when JAX is first
    imported. A user who has set it knows better.
    """
    name, flags = "--xla_cpu_use_fusion_emitters", os.environ.get("XLA_FLAGS", "")
    major, minor = (int(number) for number in version("jax").split(".")[:2])
    if (major, minor) < (0, 11) and name not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {name}=false".strip()
