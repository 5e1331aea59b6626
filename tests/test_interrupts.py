"""Ctrl-C while code runs that Python cannot interrupt."""

import signal
import subprocess
import sys
from select import select

import pytest

from phymotion_jax.options import INTERRUPTED

BUSY = """
import signal, threading
from phymotion_jax.interrupts import answered
signal.signal(signal.SIGINT, lambda *_: None)  # which never has its turn while XLA compiles
with answered():
    print("busy", flush=True)
    threading.Event().wait()
"""


def next_line(stream, seconds=60.0):
    """What comes next, or nothing in that time."""
    return stream.readline() if select([stream], [], [], seconds)[0] else ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_first_is_answered_and_the_second_ends_it():
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert next_line(process.stdout) == "busy\n"
            process.send_signal(signal.SIGINT)
            assert "press Ctrl-C again" in next_line(process.stderr)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == INTERRUPTED
        finally:
            process.kill()
