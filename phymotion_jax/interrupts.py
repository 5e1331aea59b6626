"""Ctrl-C while something is at work that Python cannot interrupt, as XLA's compiler is."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from phymotion_jax.options import INTERRUPTED, say

_PATIENCE_S = 1.0
"""How long a command may take to end before it is said why it does not."""


@contextmanager
def answered() -> Iterator[None]:
    """Say that the first Ctrl-C was heard, if it ends nothing yet, and end all at the second.

    Python raises KeyboardInterrupt once it has its turn again: a minute later, where a program
    compiles. Its own C handler writes a byte to a pipe at once, which a thread waits for. Outside
    the main thread, where signals cannot be had, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    ended = threading.Event()
    threading.Thread(target=_answer, args=(reader, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        os.close(writer)  # the thread reads its end, and ends


def _answer(reader: int, ended: threading.Event) -> None:
    presses = 0
    with suppress(OSError):
        while heard := os.read(reader, 1):
            if heard[0] != signal.SIGINT:
                continue
            presses += 1
            if presses > 1:
                os._exit(INTERRUPTED)
            if not ended.wait(_PATIENCE_S):
                say("interrupted: it ends when the compiler has; press Ctrl-C again to end it now")
    os.close(reader)
