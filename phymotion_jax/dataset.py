"""Many files through one scorer: loaded ahead, batched by length, rows in the order given."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import jax

from phymotion_jax.checks import bucket_length
from phymotion_jax.errors import MotionError, PhyMotionError, Status
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.report import Report
from phymotion_jax.table import Row, empty_row, report_rows

FRAMES_PER_BATCH = 2**16
"""Padded frames in one call of the scorer: 512 clips of the shortest bucket."""

MAX_WAITING_ROWS = 4096
"""Rows held back for the sake of order, before the clip that they wait for is scored alone."""

_LOADED_AHEAD = 16
"""Files decoded before the scorer asks for them."""


class DeviceMemoryError(PhyMotionError, MemoryError):
    """A batch that does not fit into the device's memory."""


@dataclass(frozen=True)
class Step:
    """What has just been done: one batch, or one file that could not be loaded."""

    clips: int
    """Clips that now have their row."""

    seconds: float = 0.0
    """Time in the scorer; 0 for a file that did not reach it."""

    compiled: bool = False
    """Whether this was the first batch of its shape, so that `seconds` holds a compilation."""


class Clock:
    """How fast a run goes, with and without the first batch of each shape."""

    def __init__(self):
        """Start now."""
        self._start = time.perf_counter()
        self._first_seconds = 0.0
        self._first_clips = 0

    def add(self, step: Step) -> None:
        """Take note of a step."""
        if step.compiled:
            self._first_seconds += step.seconds
            self._first_clips += step.clips

    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._start

    def rate(self, n_clips: int) -> float:
        """Clips a second, compilation included."""
        return n_clips / self.seconds()

    def rate_compiled(self, n_clips: int) -> float | None:
        """Clips a second outside the first batches; None where there were no others."""
        clips = n_clips - self._first_clips
        return clips / (self.seconds() - self._first_seconds) if clips else None


def score_files(
    paths: Sequence[Path],
    scorer: Callable[[MotionBatch], Report],
    load: Callable[[Path], Motion],
    *,
    frames_per_batch: int = FRAMES_PER_BATCH,
    on_step: Callable[[Step], None] = lambda _: None,
) -> Generator[Row, None, None]:
    """Score files and give a row for each, in the order of `paths`.

    Memory does not grow with the number of files: a batch of clips for each length in
    `checks.BUCKETS`, a few files loaded ahead, and `MAX_WAITING_ROWS` rows. Each length costs two
    compilations at most. A file that cannot be loaded or scored is a row that says why. Upon
    KeyboardInterrupt the rows that are done but not yet in turn come first, then the exception.

    Args:
      paths: one clip each.
      scorer: a batch to its report; called in this thread.
      load: a path to its clip, or MotionError; called in other threads.
      frames_per_batch: padded frames a batch; a clip longer than that goes alone.
      on_step: told of each batch and of each file that failed, as they are done.

    Raises:
      DeviceMemoryError: a batch does not fit; fewer frames a batch would.
    """
    run = _Run(scorer, frames_per_batch, on_step)
    try:
        for path, loaded in zip(paths, _load_ahead(paths, load), strict=True):
            run.add(path, loaded)
            yield from run.rows_in_turn()
        run.score_all()
        yield from run.rows_in_turn()
    except KeyboardInterrupt:
        yield from run.rows_left()
        raise


def _load_ahead(
    paths: Sequence[Path], load: Callable[[Path], Motion]
) -> Iterator[Motion | MotionError]:
    """Clips, or why not, in order; a few files are read while the scorer works."""
    remaining = iter(paths)
    pool = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1))
    futures: deque[Future[Motion | MotionError]] = deque()
    try:
        futures.extend(pool.submit(_load, load, p) for p in islice(remaining, _LOADED_AHEAD))
        while futures:
            loaded = futures.popleft().result()
            futures.extend(pool.submit(_load, load, p) for p in islice(remaining, 1))
            yield loaded
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load(load: Callable[[Path], Motion], path: Path) -> Motion | MotionError:
    try:
        return load(path)
    except MotionError as error:
        return error
    except OSError as error:
        return MotionError(Status.UNREADABLE, f"cannot be read: {error.strerror or error}")


class _Run:
    """One pass over the files: clips that wait for their batch, rows that wait for their turn."""

    def __init__(
        self,
        scorer: Callable[[MotionBatch], Report],
        frames_per_batch: int,
        on_step: Callable[[Step], None],
    ):
        self._scorer = scorer
        self._frames_per_batch = frames_per_batch
        self._on_step = on_step
        self._clips: dict[int, list[tuple[int, Path, Motion]]] = {}  # by bucket length
        self._rows: dict[int, Row] = {}  # by place in the table
        self._n_added = 0
        self._n_given = 0
        self._sizes: dict[int, set[int]] = {}  # rows of the compiled programs, by bucket length

    def add(self, path: Path, loaded: Motion | MotionError) -> None:
        """Take the next clip; score its bucket where that is full."""
        place, self._n_added = self._n_added, self._n_added + 1
        if isinstance(loaded, MotionError):
            self._rows[place] = empty_row(path, loaded.status, loaded.reason)
            self._on_step(Step(clips=1))
        else:
            length = bucket_length(loaded.n_frames)
            clips = self._clips.setdefault(length, [])
            clips.append((place, path, loaded))
            if len(clips) >= self._full(length):
                self._score(length)
        if len(self._rows) > MAX_WAITING_ROWS and self._n_given not in self._rows:
            self._score(self._bucket_of(self._n_given))

    def score_all(self) -> None:
        """Score what waits, however few."""
        for length in list(self._clips):
            self._score(length)

    def rows_in_turn(self) -> Iterator[Row]:
        """The rows that need wait for no other."""
        while self._n_given in self._rows:
            row = self._rows.pop(self._n_given)
            self._n_given += 1
            yield row

    def rows_left(self) -> Iterator[Row]:
        """The rows that are done, gaps or not."""
        for place in sorted(self._rows):
            yield self._rows.pop(place)

    def _score(self, length: int) -> None:
        places, paths, motions = zip(*self._clips.pop(length), strict=True)
        n_clips, compiled = self._batch_size(length, len(motions))
        start = time.perf_counter()
        batch = MotionBatch.from_motions(motions, length=length, n_clips=n_clips)
        try:
            # A row needs no frame's own violations: they stay on the device.
            report = self._scorer(batch).replace(frames={}, links={}).on_host()
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise DeviceMemoryError(
                f"{n_clips} clips of {length} frames do not fit into the device's memory; ask for "
                f"fewer than {n_clips * length} frames a batch (--frames-per-batch)"
            ) from error
        seconds = time.perf_counter() - start
        self._rows.update(zip(places, report_rows(report, paths, motions), strict=True))
        self._on_step(Step(len(motions), seconds, compiled))

    def _batch_size(self, length: int, n_clips: int) -> tuple[int, bool]:
        """Rows of the batch for some clips, and whether that takes a new program.

        A compilation costs more than the padding of one batch, so that a built program that is
        large enough is used again. A first, partial batch is not padded to a full one: three
        files must not cost what 512 do.
        """
        sizes = self._sizes.setdefault(length, set())
        large_enough = [size for size in sizes if size >= n_clips]
        if large_enough:
            return min(large_enough), False
        full = self._full(length)
        size = full if sizes else min(full, 1 << (n_clips - 1).bit_length())
        sizes.add(size)
        return size, True

    def _full(self, length: int) -> int:
        return max(1, self._frames_per_batch // length)

    def _bucket_of(self, place: int) -> int:
        return next(n for n, clips in self._clips.items() if clips[0][0] == place)
