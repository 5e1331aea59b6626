"""Fixtures shared by all tests: seeded randomness and the folder of real motions."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_configure(config):
    """Workers, and the commands that tests run, share what they compile.

    Nearly all of the tests' time is compilation, of programs that run once or twice: LLVM spends
    little on them. What `test_end_to_end.py` runs as a user would is compiled as for a user.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("jax")))
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Whole files to each worker: two that begin one file compile all of its programs twice."""
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415  # only where it is installed

    return LoadFileScheduling(config, log)


@pytest.fixture
def rng(request):
    """A generator seeded by the test's own name."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="session")
def shared():
    """The folder of real motions; tests that need it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"no real motions: {SHARED} is missing")
    return SHARED
