"""Ctrl-C while code runs that Python cannot interrupt."""

import signal
import subprocess
import sys

import pytest

from phymotion_jax.options import INTERRUPTED

BUSY = """
import hashlib
from phymotion_jax.interrupts import answered
with answered():
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # minutes of C
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_first_is_answered_and_the_second_ends_it():
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        try:
            assert process.stdout.readline() == "busy\n"
            process.send_signal(signal.SIGINT)
            assert "press Ctrl-C again" in process.stderr.readline()
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == INTERRUPTED
        finally:
            process.kill()
