"""Where the time of a run goes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What has just been done, one batch, or one file that could not be loaded; or what begins."""

    clips: int
    """Clips that now have their row."""

    seconds: float = 0.0
    """Time from when the device had the batch, and no other before it, until it was done with it; 0
    for a file that did not reach it."""

    compiled: bool = False
    """Whether this was the first batch of its shape, so that `seconds` holds a compilation."""

    compiles: tuple[int, int] | None = None
    """Clips and frames of a batch that is the first of its shape, before it is scored."""


class Clock:
    """How fast a run goes, with and without the first batch of each shape, and what takes how long.

    Files are decoded in threads or processes while the device works: the times of decoding,
    scoring and writing may add up to more than the run's.
    """

    def __init__(self):
        """Start now."""
        self._start = time.perf_counter()
        self._spent = {"decode": 0.0, "score": 0.0, "write": 0.0}
        self._lock = threading.Lock()
        self.clips = 0
        """Those of this run so far."""
        self._first_seconds = 0.0
        self._first_clips = 0

    def add(self, step: Step) -> None:
        """Take note of a step."""
        self.spend("score", step.seconds)
        self.clips += step.clips
        if step.compiled:
            self._first_seconds += step.seconds
            self._first_clips += step.clips

    def spend(self, what: str, seconds: float) -> None:
        """Take note of seconds of "decode", "score" or "write"; from any thread."""
        with self._lock:
            self._spent[what] += seconds

    @contextmanager
    def spending(self, what: str) -> Iterator[None]:
        """Take note of how long something takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.spend(what, time.perf_counter() - start)

    def spent(self, what: str) -> float:
        """Seconds of it so far."""
        return self._spent[what]

    def busy(self) -> float:
        """Share of the time so far in which the device had work: compilation counts as work."""
        return self._spent["score"] / max(self.seconds(), 1e-9)

    def seconds(self) -> float:
        """Time since the start."""
        return time.perf_counter() - self._start

    def rate(self) -> float:
        """Clips a second, compilation included."""
        return self.clips / self.seconds()

    def rate_compiled(self) -> float | None:
        """Clips a second outside the first batches; None where there were no others."""
        clips = self.clips - self._first_clips
        return clips / (self.seconds() - self._first_seconds) if clips else None
