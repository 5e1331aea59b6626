"""Clips decoded ahead of the scorer: in threads, and of many files in processes of their own."""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing.connection import wait
from pathlib import Path

import jax

from phymotion_jax.dataset.clock import Clock
from phymotion_jax.errors import MotionError, Status
from phymotion_jax.io.shards import PARQUET
from phymotion_jax.motion import Motion

Loader = Callable[[Path], Motion]

LOADED_AHEAD = 16
"""Files decoded before the scorer asks for them."""

MANY_FILES = 1000
"""From here on processes are worth the seconds that they take to start."""

_FILES_A_TASK = 4
"""Files that a process decodes before it sends them: the fewer, the less is held of long clips."""

_Decoded = tuple[list[Motion | MotionError], float]
"""Clips, or why not, and the seconds that they took."""


def decoding_processes(paths: Sequence[Path], workers: int | None = None) -> int:
    """How many processes should decode these files; 0 where threads do as well.

    Threads of one Python decode hardly faster than one of them. Not worth it are few files, fewer
    than three processes, and rows of Parquet, of which each process would unpack whole row groups.

    Args:
      paths: one clip each.
      workers: how many were asked for; by default one a processor but the scorer's, at most 16.
    """
    workers = workers or min(16, _processors() - 1)
    if workers < 3 or len(paths) < MANY_FILES:
        return 0
    return 0 if any(f"{PARQUET}/" in os.fspath(path).lower() for path in paths) else workers


def load_ahead(
    paths: Sequence[Path],
    load: Loader,
    clock: Clock,
    workers: int | None = None,
    processes: int = 0,
) -> Iterator[Motion | MotionError]:
    """Clips, or why not, in order; some files are read while the scorer works.

    Args:
      paths: one clip each.
      load: a path to its clip, or MotionError; called in other threads or processes.
      clock: told how long the files took.
      workers: how many threads; by default one a processor, at most four.
      processes: how many processes in their place; `load` has to be one that can be pickled, and a
        script that is run has to keep to ``if __name__ == "__main__"``.
    """
    if processes:
        pool, ahead, size = _processes(processes), 2 * processes, _FILES_A_TASK
    else:
        workers = workers or min(4, _processors())
        pool, ahead, size = ThreadPoolExecutor(workers), max(LOADED_AHEAD, 2 * workers), 1
    tasks = (paths[first : first + size] for first in range(0, len(paths), size))
    return _in_order(pool, partial(_decoded, load), tasks, ahead, clock)


def _in_order(
    pool: Executor,
    decode: Callable[[Sequence[Path]], _Decoded],
    tasks: Iterator[Sequence[Path]],
    ahead: int,
    clock: Clock,
) -> Iterator[Motion | MotionError]:
    futures: deque[Future[_Decoded]] = deque()
    try:
        futures.extend(pool.submit(decode, task) for task in islice(tasks, ahead))
        while futures:
            clips, seconds = futures.popleft().result()
            clock.spend("decode", seconds)
            futures.extend(pool.submit(decode, task) for task in islice(tasks, 1))
            yield from clips
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _processors() -> int:
    """Those that this process may use: a scheduler may have given it a share of the machine."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def _processes(count: int) -> ProcessPoolExecutor:
    """Processes that share what is imported, where the system can fork."""
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if can_fork else "spawn")
    if can_fork:
        context.set_forkserver_preload([__name__])
    return ProcessPoolExecutor(count, mp_context=context, initializer=_begin)


def _begin() -> None:
    """An interruption is the parent's to handle, and so is the device."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jax.config.update("jax_platforms", "cpu")
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """A parent that is killed closes nothing that a worker waits for."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _decoded(load: Loader, paths: Sequence[Path]) -> _Decoded:
    start = time.perf_counter()
    return [_load(load, path) for path in paths], time.perf_counter() - start


def _load(load: Loader, path: Path) -> Motion | MotionError:
    try:
        return load(path)
    except MotionError as error:
        return error
    except OSError as error:
        return MotionError(Status.UNREADABLE, f"cannot be read: {error.strerror or error}")
