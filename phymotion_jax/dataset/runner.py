"""Scores a plan part by part into a folder, and goes on where it was interrupted."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from phymotion_jax.dataset.batches import Built, score_loaded
from phymotion_jax.dataset.clock import Clock, Step
from phymotion_jax.dataset.decode import Loader, load_ahead
from phymotion_jax.dataset.parts import (
    Plan,
    Settings,
    finished_parts,
    part_path,
    read_part,
    require_same,
    write_part,
)
from phymotion_jax.dataset.state import load_settings, save_settings, state_folder
from phymotion_jax.motion import MotionBatch
from phymotion_jax.presets import Preset
from phymotion_jax.report import Report
from phymotion_jax.table import Row, schema_of, summary_columns


def unfinished_parts(folder: Path, plan: Plan, settings: Settings) -> list[int]:
    """Parts that are still to be scored, in order.

    Raises:
      UsageError: where the folder was begun with other settings.
    """
    begun_with = load_settings(state_folder(folder, plan.shard))
    if begun_with:
        require_same(folder, begun_with, settings)
    done = finished_parts(folder, plan, settings)
    return [part for part in plan.parts if part not in done]


def rows_there(folder: Path, parts: Iterable[int], preset: Preset) -> Iterator[Row]:
    """Rows of parts that are finished, with what a summary needs of them.

    Raises:
      UsageError: for a part that is damaged.
    """
    for part in parts:
        yield from read_part(part_path(folder, part), summary_columns(preset))


def score_parts(
    folder: Path,
    plan: Plan,
    parts: Sequence[int],
    settings: Settings,
    scorer: Callable[[MotionBatch], Report],
    load: Loader,
    *,
    frames_per_batch: int,
    clock: Clock,
    on_step: Callable[[Step], None] = lambda _: None,
    workers: int | None = None,
    processes: int = 0,
) -> Iterator[Row]:
    """Score some parts of a plan, and give each one's rows once they are on the disk.

    A part is scored in batches of its own, so that its rows are the same bit by bit whenever it is
    scored, and by whichever shard. Files are decoded on across the ends of parts, and programs
    serve all of them: each length costs the compilation of a full batch and, at most, one of each
    power of two below it, for parts that have fewer clips of that length.

    Args:
      folder: where they go.
      plan: which clips are in which part.
      parts: those to score, from `unfinished_parts` under `sole_run`.
      settings: all that rows depend on; they go into every part.
      scorer: a batch to its report.
      load: a path to its clip.
      frames_per_batch: as for `score_files`; so are the others.
      clock: told how long files take to decode, and parts to write.
      on_step: told of each batch and of each file that failed, as they are done.
      workers: threads that decode.
      processes: processes that do in their place: see `load_ahead`.

    Raises:
      OutputError: where a part cannot be written; those before it stay.
      DeviceMemoryError: as `score_files`.
    """
    home = state_folder(folder, plan.shard)
    if not load_settings(home):
        save_settings(home, settings)
    paths = [path for part in parts for path in plan.clips(part)]
    loaded = load_ahead(paths, load, clock, workers, processes)
    schema: pa.Schema = schema_of(scorer.preset)  # pyright: ignore[reportFunctionMemberAccess]
    built: Built = set()
    for part in parts:
        clips = plan.clips(part)
        here = zip(clips, islice(loaded, len(clips)), strict=True)
        rows = list(score_loaded(here, scorer, frames_per_batch, on_step, built))
        with clock.spending("write"):
            write_part(part_path(folder, part), rows, schema, settings, plan.shard)
        yield from rows
