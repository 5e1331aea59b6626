"""What the compiler has freed goes back to the system before the program runs."""

import ctypes
from contextlib import suppress
from functools import cache

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"


@cache
def give_back_after_compiling() -> None:
    """From now on, in this process: 0.7 to 1 GB a program, which would stay with it otherwise.

    Only GNU's C library keeps so much, and has a way to ask for it. JAX's name of the event is not
    promised: under another one the memory stays.
    """
    jax.monitoring.register_event_duration_secs_listener(_give_back)


def _give_back(event: str, duration_secs: float, **_: object) -> None:
    del duration_secs
    if event == _COMPILED:
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
