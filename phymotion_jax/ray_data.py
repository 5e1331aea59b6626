"""A data set scored on a Ray cluster: a scorer an actor, files by parts, one table. Extra `ray`.

    python -m phymotion_jax.ray_data clips/ -o scores.parquet --actors 8 --gpus 1

Every node has to see the files under the same paths, and to have this package installed. The
cluster is the one that Ray finds (`RAY_ADDRESS`, or the node it runs on), else this machine.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import tyro

from phymotion_jax.cli import ended
from phymotion_jax.dataset import CLIPS_PER_PART, Plan, score_files
from phymotion_jax.errors import UsageError
from phymotion_jax.from_options import files_of, loader_of, scorer_of
from phymotion_jax.motion import Motion
from phymotion_jax.options import DONE, SOME_FAILED, Options, require_positive, say
from phymotion_jax.scorer import Scorer
from phymotion_jax.summary import MAX_CLIPS_SHOWN, print_failures
from phymotion_jax.table import Tally, open_table, schema_of

if TYPE_CHECKING:
    from ray.data import Dataset  # pyright: ignore[reportMissingImports]  # an extra

MakeScorer = Callable[[], Scorer]
Load = Callable[[Path], Motion]


def score_part(
    paths: Sequence[Path], scorer: Scorer, load: Load, frames_per_batch: int | None = None
) -> pa.Table:
    """The rows of one part's files, in order.

    Batches do not reach over parts, so that a part has the same numbers, to the last bit, wherever
    and however often it is scored by machines of one kind.
    """
    rows = score_files(paths, scorer, load, frames_per_batch=frames_per_batch)
    return pa.Table.from_pylist(list(rows), schema=schema_of(scorer.preset))


def score_with_ray(
    paths: Sequence[Path],
    output: str,
    make_scorer: MakeScorer,
    load: Load,
    *,
    clips_per_part: int = CLIPS_PER_PART,
    frames_per_batch: int | None = None,
    actors: int = 1,
    gpus: float = 0.0,
    cpus: float = 1.0,
) -> Tally:
    """Score files on a Ray cluster to one table, a row a file in the order given.

    An actor that dies, with its process or its node, is started anew, and its part scored again:
    the table has each row once. Where the run itself fails, what was done until then is beside
    `output`, as a table called `*.partial.*`.

    Args:
      paths: one clip each, under names that every node knows.
      output: .parquet, .csv or .jsonl to write, on this machine.
      make_scorer: gives an actor its scorer; pickled.
      load: a path to its clip, or MotionError; pickled.
      clips_per_part: clips scored at a time, and done again where an actor dies.
      frames_per_batch: padded frames in one call of the scorer.
      actors: scorers at work at once.
      gpus: GPUs of each. For less than one, set XLA_PYTHON_CLIENT_MEM_FRACTION accordingly.
      cpus: CPU cores that Ray sets aside for each.

    Returns:
      Account of the rows written.

    Raises:
      UsageError: Ray is not installed.
      OutputError: the ending is unknown, or nothing can be written there.
      RayError: what stopped an actor, a batch beyond its memory say; Ray keeps its text alone.
    """
    data = _ray_data()
    schema = schema_of(make_scorer().preset)
    plan = Plan(paths, clips_per_part)
    parts = [[str(path) for path in plan.clips(part)] for part in plan.parts]
    # A block a part: Ray's unit of work, and of what is done again.
    rows = data.from_items([{"paths": part} for part in parts], override_num_blocks=len(parts))
    scored = rows.map_batches(
        _Actor,
        fn_constructor_args=(make_scorer, load, frames_per_batch),
        batch_size=1,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=actors),
        num_gpus=gpus,
        num_cpus=cpus,
    )
    return _write(scored, output, schema)


class _Actor:
    """One scorer, whose programs are compiled once."""

    def __init__(self, make_scorer: MakeScorer, load: Load, frames_per_batch: int | None):
        self._score = partial(
            score_part, scorer=make_scorer(), load=load, frames_per_batch=frames_per_batch
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        (part,) = batch["paths"].to_pylist()
        return self._score([Path(path) for path in part])


def _ray_data() -> Any:
    """`ray.data`, with rows in order and a cluster to run on."""
    try:
        import ray  # noqa: PLC0415  # pyright: ignore[reportMissingImports]  # an extra
        import ray.data  # noqa: PLC0415  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UsageError(
            f'this needs Ray Data: pip install "phymotion-jax[ray]" ({error})'
        ) from None
    ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    return ray.data


def _write(scored: "Dataset", output: str, schema: pa.Schema) -> Tally:
    tally = Tally(MAX_CLIPS_SHOWN)
    with open_table(output, schema) as add:
        for part in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
            for row in part.to_pylist():
                add(row)
                tally.add(row)
    return tally


@dataclass(frozen=True, kw_only=True)
class Run(Options):
    """Score motion files, or folders of them, on a Ray cluster."""

    paths: tyro.conf.Positional[tuple[Path, ...]]
    """Files, and folders that are searched for files."""
    output: Annotated[str, tyro.conf.arg(aliases=["-o"], metavar="FILE")]
    """Table to write: .parquet, .csv or .jsonl."""
    actors: int = 1
    """Scorers at work at once."""
    gpus: float = 0.0
    """GPUs of each."""
    cpus: float = 1.0
    """CPU cores of each."""
    clips_per_part: int = CLIPS_PER_PART
    """Clips that one scores at a time, and that are done again where it dies."""
    frames_per_batch: int | None = None
    """Padded frames scored at once. Fewer take less memory."""

    def check(self) -> None:
        """The same, and what a scorer needs."""
        super().check()
        require_positive("--clips-per-part", self.clips_per_part)
        require_positive("--frames-per-batch", self.frames_per_batch)


def main(run: Run) -> int:
    """Score; the exit codes of `phymotion-jax score`."""
    return ended(lambda: _score(run))


def _score(run: Run) -> int:
    run.check()
    tally = score_with_ray(
        files_of(run.paths),
        run.output,
        partial(scorer_of, run),
        loader_of(run),
        clips_per_part=run.clips_per_part,
        frames_per_batch=run.frames_per_batch,
        actors=run.actors,
        gpus=run.gpus,
        cpus=run.cpus,
    )
    say(f"scored {tally.n_scored} of {tally.n_rows} clips; table: {run.output}")
    print_failures(tally)
    return SOME_FAILED if tally.failures else DONE


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Run, description=__doc__)))
