"""Many files through one scorer: loaded ahead, batched by length, rows in the order given."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from phymotion_jax.checks import bucket_length
from phymotion_jax.dataset.clock import Clock, Step
from phymotion_jax.dataset.decode import Loader, load_ahead
from phymotion_jax.errors import MotionError, PhyMotionError
from phymotion_jax.motion import Motion, MotionBatch, substeps_at
from phymotion_jax.report import Report
from phymotion_jax.table import Row, empty_row, report_rows

_FRAMES_ON_CPU, _FRAMES_ON_GPU = 2**14, 2**18
"""Padded frames in one call of the scorer: 128 clips of the shortest bucket, and 2048. They take
some 25 and 7 KB each; more are no faster."""

MAX_WAITING_ROWS = 4096
"""Rows held back for the sake of order, before the clip that they wait for is scored alone."""

_FEWEST_CLIPS = 16
"""In a batch, padded, as far as a batch may have so many: a program for fewer would have to be
compiled anew for each number of files, and saves a tenth of a second."""

_IN_FLIGHT = 1
"""Batches that the device has while the next one is put together."""


class DeviceMemoryError(PhyMotionError, MemoryError):
    """A batch that does not fit into the device's memory."""


class _Bucket(NamedTuple):
    """What the clips of a batch have in common."""

    length: int
    substeps: int

    @classmethod
    def of(cls, motion: Motion) -> "_Bucket":
        return cls(bucket_length(motion.n_frames), int(substeps_at(np.asarray(motion.fps))))


Built = set[tuple[_Bucket, int]]
"""Programs that there are, by what their clips have in common and how many they are."""


def default_frames(scorer: Callable[[MotionBatch], Report]) -> int:
    """Padded frames a batch that suit the scorer's devices."""
    frames = _FRAMES_ON_CPU if jax.default_backend() == "cpu" else _FRAMES_ON_GPU
    return frames * _n_devices(scorer)


def _n_devices(scorer: Callable[[MotionBatch], Report]) -> int:
    """Over how many devices a `Scorer` spreads its clips; one for any other function."""
    mesh = getattr(scorer, "mesh", None)
    return 1 if mesh is None else mesh.size


def score_files(
    paths: Sequence[Path],
    scorer: Callable[[MotionBatch], Report],
    load: Loader,
    *,
    frames_per_batch: int | None = None,
    on_step: Callable[[Step], None] = lambda _: None,
    clock: Clock | None = None,
    workers: int | None = None,
    processes: int = 0,
) -> Generator[Row, None, None]:
    """Score files and give a row for each, in the order of `paths`.

    Memory does not grow with the number of files: a batch of clips for each length in
    `checks.BUCKETS` and one on the device, a few files loaded ahead, and `MAX_WAITING_ROWS` rows.
    Each length costs two compilations at most. Clips below 20 frames a second, which get substeps,
    have batches and compilations of their own. A file that cannot be loaded or scored is a row that
    says why. Upon an exception, KeyboardInterrupt too, the rows that are done but not yet in turn
    come first, then the exception. Rows depend, bit by bit, on `paths`, `frames_per_batch` and the
    number of devices alone.

    Args:
      paths: one clip each.
      scorer: a batch to its report; called in this thread.
      load: a path to its clip, or MotionError; called in other threads or processes.
      frames_per_batch: padded frames a batch, substeps included, by default `default_frames`; a
        clip longer than that goes alone, one on each device.
      on_step: told of each batch and of each file that failed, as they are done.
      clock: told how long files take to decode.
      workers: threads that decode.
      processes: processes that do in their place: see `load_ahead`.

    Raises:
      DeviceMemoryError: a batch does not fit; fewer frames a batch would.
    """
    loaded = load_ahead(paths, load, clock or Clock(), workers, processes)
    frames = frames_per_batch or default_frames(scorer)
    return score_loaded(zip(paths, loaded, strict=True), scorer, frames, on_step, set())


def score_loaded(
    clips: Iterable[tuple[Path, Motion | MotionError]],
    scorer: Callable[[MotionBatch], Report],
    frames_per_batch: int,
    on_step: Callable[[Step], None],
    built: Built,
) -> Generator[Row, None, None]:
    """`score_files` of clips that are loaded, or could not be.

    The sizes of batches do not depend on `built`, so that rows do not either: it says which of them
    still take a compilation, and is added to.
    """
    with ThreadPoolExecutor(max_workers=1) as waiter:
        run = _Run(scorer, frames_per_batch, on_step, built, waiter)
        try:
            for path, loaded in clips:
                run.add(path, loaded)
                yield from run.rows_in_turn()
            run.score_all()
            yield from run.rows_in_turn()
        except (Exception, KeyboardInterrupt):
            run.collect_what_can_be()
            yield from run.rows_left()
            raise


def batch_of_one(motion: Motion, scorer: Callable[[MotionBatch], Report]) -> MotionBatch:
    """The batch in which `score_files` scores a lone clip, so that one program serves both."""
    devices = _n_devices(scorer)
    full = _full_size(_Bucket.of(motion), default_frames(scorer), devices)
    return MotionBatch.from_motions([motion], n_clips=_first_size(1, full, devices))


def _full_size(bucket: _Bucket, frames: int, devices: int) -> int:
    """Clips of a full batch of so many frames, as many on each device, and one at least."""
    clips = frames // (bucket.length * bucket.substeps)
    return max(1, clips // devices) * devices


def _first_size(n_clips: int, full: int, devices: int) -> int:
    """Clips of a batch for so many, which need not be a full one."""
    some = max(_FEWEST_CLIPS, 1 << (n_clips - 1).bit_length())
    return min(full, -(-some // devices) * devices)


class _Sent(NamedTuple):
    """A batch that the device works on."""

    places: tuple[int, ...]
    paths: tuple[Path, ...]
    motions: tuple[Motion, ...]
    report: Report
    shape: tuple[int, int]
    compiled: bool
    start: float
    ready: Future[float]
    """When the device is done with it, by a thread that waits for that alone."""


class _Run:
    """One pass over the files: clips that wait for their batch, rows that wait for their turn."""

    def __init__(
        self,
        scorer: Callable[[MotionBatch], Report],
        frames_per_batch: int,
        on_step: Callable[[Step], None],
        built: Built,
        waiter: Executor,
    ):
        self._scorer = scorer
        self._built = built
        self._waiter = waiter
        self._frames_per_batch = frames_per_batch
        self._n_devices = _n_devices(scorer)
        self._on_step = on_step
        self._clips: dict[_Bucket, list[tuple[int, Path, Motion]]] = {}
        self._rows: dict[int, Row] = {}  # by place in the table
        self._n_added = 0
        self._n_given = 0
        self._sizes: dict[_Bucket, set[int]] = {}  # of the batches so far
        self._sent: deque[_Sent] = deque()
        self._ready = 0.0  # when the device was last done

    def add(self, path: Path, loaded: Motion | MotionError) -> None:
        """Take the next clip; score its bucket where that is full."""
        place, self._n_added = self._n_added, self._n_added + 1
        if isinstance(loaded, MotionError):
            self._rows[place] = empty_row(path, loaded.status, loaded.reason)
            self._on_step(Step(clips=1))
        else:
            bucket = _Bucket.of(loaded)
            clips = self._clips.setdefault(bucket, [])
            clips.append((place, path, loaded))
            if len(clips) >= self._full(bucket):
                self._score(bucket)
        if len(self._rows) > MAX_WAITING_ROWS and self._n_given not in self._rows:
            self._hurry(self._n_given)

    def score_all(self) -> None:
        """Score what waits, however few."""
        for bucket in list(self._clips):
            self._score(bucket)
        self.collect_all()

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

    def collect_all(self) -> None:
        """Wait for the device, and keep the rows that it has."""
        while self._sent:
            self._collect()

    def collect_what_can_be(self) -> None:
        """The same after an error: a batch that has one of its own is left out."""
        while self._sent:
            with suppress(Exception):
                self._collect()

    def _score(self, bucket: _Bucket) -> None:
        """Send a bucket to the device, and meanwhile fetch what it did before."""
        places, paths, motions = zip(*self._clips.pop(bucket), strict=True)
        n_clips = self._batch_size(bucket, len(motions))
        compiled = (bucket, n_clips) not in self._built
        self._built.add((bucket, n_clips))
        shape = (n_clips, bucket.length * bucket.substeps)
        if compiled:
            self._on_step(Step(clips=0, compiles=shape))
        with _memory_to_blame(shape):
            batch = MotionBatch.from_motions(motions, length=bucket.length, n_clips=n_clips)
            start = time.perf_counter()
            # A row needs no frame's own violations: they stay on the device.
            report = self._scorer(batch).replace(frames={}, links={})
        ready = self._waiter.submit(_when_ready, report)
        self._sent.append(_Sent(places, paths, motions, report, shape, compiled, start, ready))
        while len(self._sent) > _IN_FLIGHT:
            self._collect()

    def _collect(self) -> None:
        ready = self._sent[0].ready.result()  # Ctrl-C meanwhile does not lose it
        sent = self._sent.popleft()
        with _memory_to_blame(sent.shape):
            report = sent.report.on_host()
        seconds, self._ready = ready - max(sent.start, self._ready), ready
        rows = report_rows(report, sent.paths, sent.motions)
        self._rows.update(zip(sent.places, rows, strict=True))
        self._on_step(Step(len(sent.motions), seconds, sent.compiled))

    def _batch_size(self, bucket: _Bucket, n_clips: int) -> int:
        """Rows of the batch for some clips.

        A compilation costs more than the padding of one batch, so that a size that was used and is
        large enough is used again: there are two of a bucket at most. A first, partial batch is not
        padded to a full one: a few files must not cost what 512 do. Every device has as many clips
        as the others.
        """
        sizes = self._sizes.setdefault(bucket, set())
        large_enough = [size for size in sizes if size >= n_clips]
        if large_enough:
            return min(large_enough)
        full = self._full(bucket)
        size = full if sizes else _first_size(n_clips, full, self._n_devices)
        sizes.add(size)
        return size

    def _full(self, bucket: _Bucket) -> int:
        return _full_size(bucket, self._frames_per_batch, self._n_devices)

    def _hurry(self, place: int) -> None:
        """Get the row of a clip that others wait for."""
        for bucket, clips in list(self._clips.items()):
            if clips[0][0] == place:
                self._score(bucket)
        self.collect_all()


def _when_ready(report: Report) -> float:
    """When the device is done with it; an error is raised where the report is fetched."""
    with suppress(Exception):
        jax.block_until_ready(report)
    return time.perf_counter()


@contextmanager
def _memory_to_blame(shape: tuple[int, int]) -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        clips, length = shape
        raise DeviceMemoryError(
            f"{clips} clips of {length} frames do not fit into the device's memory; ask for fewer "
            f"than {clips * length} frames a batch (--frames-per-batch)"
        ) from error
