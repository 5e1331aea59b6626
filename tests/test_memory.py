"""What the compiler has freed is given back as soon as a program is compiled."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp

from phymotion_jax.dataset import memory


def test_every_compiled_program_gives_back(monkeypatch):
    """Listening twice is listening once; JAX's event has the name that is listened to."""
    asked = []
    library = SimpleNamespace(malloc_trim=asked.append)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: library)
    memory.give_back_after_compiling()
    memory.give_back_after_compiling()
    ones = jnp.ones(3)
    asked.clear()
    program = jax.jit(lambda x: 2.0 * x - 1.0).lower(ones)
    assert not asked
    program.compile()
    assert asked == [0]
