"""Clips decoded ahead of the scorer, in threads of their own."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from phymotion_jax.dataset.clock import Clock
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.motion import Motion

Loader = Callable[[Path], Motion]

LOADED_AHEAD = 16
"""Files decoded before the scorer asks for them."""


def load_ahead(
    paths: Sequence[Path], load: Loader, clock: Clock, workers: int | None = None
) -> Iterator[Motion | MotionError]:
    """Clips, or why not, in order; some files are read while the scorer works.

    Args:
      paths: one clip each.
      load: a path to its clip, or MotionError; called in other threads.
      clock: told how long each file took.
      workers: how many threads; by default one a processor, at most four.
    """

    def timed(path: Path) -> Motion | MotionError:
        with clock.spending("decode"):
            return _load(load, path)

    remaining = iter(paths)
    workers = workers or min(4, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(max_workers=workers)
    futures: deque[Future[Motion | MotionError]] = deque()
    ahead = max(LOADED_AHEAD, 2 * workers)
    try:
        futures.extend(pool.submit(timed, p) for p in islice(remaining, ahead))
        while futures:
            loaded = futures.popleft().result()
            futures.extend(pool.submit(timed, p) for p in islice(remaining, 1))
            yield loaded
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load(load: Loader, path: Path) -> Motion | MotionError:
    try:
        return load(path)
    except MotionError as error:
        return error
    except OSError as error:
        return MotionError(Status.UNREADABLE, f"cannot be read: {error.strerror or error}")
