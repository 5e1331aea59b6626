"""Many files through one scorer: their order, their memory, their programs, their failures."""

import time
from pathlib import Path

import jax
import pytest
from fakes import CountingLoader, FakeScorer, make_motion

from phymotion_jax.checks import BUCKETS
from phymotion_jax.dataset import Clock, DeviceMemoryError, Step, batches, clock, score_files
from phymotion_jax.report import Report

SHORT, LONG = BUCKETS[0], BUCKETS[1]


def run(lengths, scorer=None, **settings):
    load = CountingLoader(lengths)
    scorer = FakeScorer() if scorer is None else scorer
    return list(score_files(load.paths(), scorer, load, **settings)), scorer, load


def names(rows):
    return [int(Path(row["path"]).stem) for row in rows]


def test_order_over_buckets_and_failures(rng):
    lengths: list[int | str] = [
        int(n) for n in rng.choice([3, SHORT, SHORT + 1, LONG, LONG + 1], 100)
    ]
    for broken in rng.choice(100, 15, replace=False):
        lengths[broken] = "damaged"
    rows, _, _ = run(lengths, frames_per_batch=4 * LONG)
    assert names(rows) == list(range(100))
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        if isinstance(length, str):
            assert (row["status"], row["reason"], row["reward"]) == ("unreadable", "damaged", None)
        else:
            assert (row["status"], row["frames"], row["activity"]) == ("ok", length, number)


def test_nothing_to_score():
    assert run([])[0] == []


def test_all_broken():
    rows, scorer, _ = run(["damaged"] * 3)
    assert [row["status"] for row in rows] == ["unreadable"] * 3
    assert scorer.shapes == []


def test_refused_by_the_score():
    def load(path):
        return make_motion(value=FakeScorer.BAD_X if path.name == "bad" else 1.0)

    rows = list(score_files([Path("good"), Path("bad")], FakeScorer(), load))
    assert [row["status"] for row in rows] == ["ok", "not_finite"]
    assert rows[1]["reward"] is None


def test_system_error_is_a_row():
    def load(path):
        raise PermissionError(13, "Permission denied")

    (row,) = score_files([Path("a")], FakeScorer(), load)
    assert (row["status"], row["reason"]) == ("unreadable", "cannot be read: Permission denied")


def test_few_files_cost_little():
    """And one program serves any number of them up to sixteen."""
    for few in (1, 3, 16):
        _, scorer, _ = run([10] * few)
        assert scorer.shapes == [(16, SHORT)]


def test_two_programs_a_bucket_at_most(rng, monkeypatch):
    monkeypatch.setattr(batches, "MAX_WAITING_ROWS", 7)
    lengths = [int(n) for n in rng.choice([SHORT, LONG, BUCKETS[2]], 300, p=[0.8, 0.17, 0.03])]
    rows, scorer, _ = run(lengths, frames_per_batch=16 * SHORT)
    assert names(rows) == list(range(300))
    for length in BUCKETS:
        sizes = {n for n, frames in scorer.shapes if frames == length}
        assert len(sizes) <= 2
        assert all(n == 1 or n * length <= 16 * SHORT for n in sizes)


@pytest.mark.parametrize(
    ("n_clips", "shapes"), [(5, [18]), (20, [33]), (65, [60, 60]), (1, [18])], ids=str
)
def test_every_device_has_as_many_clips(n_clips, shapes):
    """Three devices; 62 clips would make a batch of one device."""
    scorer = FakeScorer(devices=range(3))
    rows, _, _ = run([10] * n_clips, scorer, frames_per_batch=62 * SHORT)
    assert names(rows) == list(range(n_clips))
    assert scorer.shapes == [(size, SHORT) for size in shapes]


def test_batches_grow_with_the_devices():
    eight = FakeScorer(devices=range(8))
    assert batches.default_frames(eight) == 8 * batches.default_frames(FakeScorer())


def test_last_batch_runs_a_program_that_is_there():
    _, scorer, _ = run([10] * 18, frames_per_batch=8 * SHORT)
    assert scorer.shapes == [(8, SHORT)] * 3


def test_slow_clips_do_not_make_the_others_large():
    """Two frames stand for each of theirs: half as many clips make a batch."""

    def load(path):
        number = int(path.stem)
        return make_motion(value=float(number), fps=30.0 if number % 4 else 15.0)

    scorer, paths = FakeScorer(), [Path(f"{number}.npz") for number in range(40)]
    rows = list(score_files(paths, scorer, load, frames_per_batch=8 * SHORT))
    assert names(rows) == [row["activity"] for row in rows] == list(range(40))
    batches_sent = sorted(zip(scorer.substeps, scorer.shapes, strict=True))
    assert batches_sent == [(1, (8, SHORT))] * 4 + [(2, (4, SHORT))] * 3


def test_clip_longer_than_a_batch_goes_alone():
    _, scorer, _ = run([LONG, LONG], frames_per_batch=SHORT)
    assert scorer.shapes == [(1, LONG)] * 2


def test_memory_is_bounded():
    """A batch of each bucket, two being scored, 16 loaded ahead, and the one in hand."""
    lengths = ([SHORT] * 7 + [LONG]) * 100
    _, _, load = run(lengths, frames_per_batch=8 * SHORT)
    assert load.n_made == 800
    assert load.most_alive <= (8 + 2) + 2 * 8 + 16 + 1


def test_files_are_loaded_lazily():
    load = CountingLoader([10] * 100)
    rows = score_files(load.paths(), FakeScorer(), load, frames_per_batch=4 * SHORT)
    next(rows)
    rows.close()
    assert load.n_made <= 2 * 4 + 16


def test_rows_do_not_wait_for_ever(monkeypatch):
    """The first clip's bucket never fills; it is scored alone when too many rows wait for it."""
    monkeypatch.setattr(batches, "MAX_WAITING_ROWS", 20)
    load = CountingLoader([LONG] + [SHORT] * 199)
    scorer = FakeScorer()
    rows = score_files(load.paths(), scorer, load, frames_per_batch=8 * SHORT)
    assert next(rows)["frames"] == LONG
    assert len(scorer.shapes) <= 5
    assert names(rows) == list(range(1, 200))


def test_steps_tell_of_every_clip():
    steps = []
    run([10, "damaged", LONG] * 20, frames_per_batch=4 * SHORT, on_step=steps.append)
    assert sum(step.clips for step in steps) == 60
    assert sum(step.compiled for step in steps) == 2
    assert {step.seconds > 0 for step in steps if step.compiled} == {True}


class Instantaneous(FakeScorer):
    """The same report for each batch of a shape."""

    def __init__(self):
        super().__init__()
        self.made = {}

    def __call__(self, batch):
        shape = batch.mask.shape
        if shape not in self.made:
            self.made[shape] = super().__call__(batch)
        return self.made[shape]


def busy_share(load_s, device_s, monkeypatch):
    def slow(path):
        time.sleep(load_s)
        return make_motion()

    monkeypatch.setattr(jax, "block_until_ready", lambda _: time.sleep(device_s))
    watch, paths = Clock(), [Path(f"{k}.npz") for k in range(24)]
    settings = {"frames_per_batch": 4 * SHORT, "clock": watch, "workers": 1}
    assert len(list(score_files(paths, Instantaneous(), slow, on_step=watch.add, **settings))) == 24
    return watch.busy()


def test_a_device_that_waits_for_files_is_not_busy(monkeypatch):
    assert busy_share(0.02, 0.0, monkeypatch) < 0.5


def test_a_device_that_files_wait_for_is_busy(monkeypatch):
    """Though its calls return at once, and nobody fetches what is done."""
    assert busy_share(0.0, 0.05, monkeypatch) > 0.5


OUT_OF_MEMORY = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OUT_OF_MEMORY, DeviceMemoryError),
        (RuntimeError("a fault"), RuntimeError),
    ],
    ids=["interrupted", "memory", "fault"],
)
def test_what_stops_a_run_loses_no_scored_row(error, raised):
    """Eight short clips are done and wait for the long one before them, when it comes."""
    scorer = FakeScorer()

    def interrupted(batch):
        if scorer.shapes:
            raise error
        return scorer(batch)

    load = CountingLoader([LONG] + [SHORT] * 9)
    given = score_files(load.paths(), interrupted, load, frames_per_batch=8 * SHORT)
    assert names(next(given) for _ in range(8)) == list(range(1, 9))
    with pytest.raises(raised):
        next(given)


def test_a_batch_that_fails_on_the_device_costs_its_own_rows(monkeypatch):
    """Errors come when a batch is fetched; the one sent after it is fetched all the same."""

    def fetched(report):
        if report.activity[0] == 0.0:
            raise OUT_OF_MEMORY
        return real(report)

    real = Report.on_host
    monkeypatch.setattr(Report, "on_host", fetched)
    load = CountingLoader([SHORT] * 16)
    given = score_files(load.paths(), FakeScorer(), load, frames_per_batch=8 * SHORT)
    assert names(next(given) for _ in range(8)) == list(range(8, 16))
    with pytest.raises(DeviceMemoryError):
        next(given)


@pytest.mark.parametrize(("n_first", "n_later"), [(0, 4), (4, 4)], ids=["one", "more"])
def test_clock(monkeypatch, n_first, n_later):
    now = 100.0
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now)
    watch = Clock()
    now = 110.0
    watch.add(Step(n_first, 8.0 * bool(n_first), compiled=True))
    assert watch.rate_compiled() is None
    watch.add(Step(n_later, 1.0))
    assert watch.rate() == (n_first + n_later) / 10
    assert watch.rate_compiled() == n_later / (2.0 if n_first else 10.0)


def test_device_without_memory():
    def scorer(batch):
        raise OUT_OF_MEMORY

    with pytest.raises(DeviceMemoryError, match=r"16 clips of 128 frames .* fewer than 2048"):
        run([10] * 4, scorer)


def test_other_failures_of_the_device_pass():
    def scorer(batch):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    with pytest.raises(jax.errors.JaxRuntimeError):
        run([10], scorer)
