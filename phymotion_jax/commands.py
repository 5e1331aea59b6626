"""What the commands do: score files, explain a clip, and say on stderr how it went."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path

from rich.console import Console

from phymotion_jax._version import __version__
from phymotion_jax.dataset import (
    CLIPS_PER_PART,
    Clock,
    Plan,
    Settings,
    batch_of_one,
    decoding_processes,
    default_frames,
    digests_of,
    give_back_after_compiling,
    rows_there,
    score_files,
    score_parts,
    sole_run,
    unfinished_parts,
    with_settings,
)
from phymotion_jax.errors import MotionError, OutputError, Status
from phymotion_jax.explain import explain
from phymotion_jax.from_options import files_of, loader_of, scorer_of, surface_file
from phymotion_jax.options import (
    DONE,
    SOME_FAILED,
    Bench,
    ConvertBody,
    Explain,
    Options,
    Score,
    say,
    shard_of,
)
from phymotion_jax.presets import Preset
from phymotion_jax.scorer import Scorer
from phymotion_jax.summary import MAX_CLIPS_SHOWN, print_summary, progress, word_of_compiling
from phymotion_jax.table import Row, Tally, open_table, partial_path, schema_of


def run(command: Score | Explain | ConvertBody | Bench) -> int:
    """Do what was asked; return the exit code."""
    if isinstance(command, Score):
        return run_score(command)
    if isinstance(command, ConvertBody):
        return run_convert_body(command)
    if isinstance(command, Bench):
        from phymotion_jax.bench.run import run_bench  # noqa: PLC0415  scoring needs none of it

        return run_bench(command)
    return run_explain(command)


def run_score(command: Score) -> int:
    """Score the files to the table that was asked for, and sum up on stderr."""
    give_back_after_compiling()
    paths, scorer = files_of(command.paths), scorer_of(command, command.devices)
    tally, clock = Tally(MAX_CLIPS_SHOWN), Clock()
    where = _where_rows_are(command)  # before one of them is there
    try:
        with ExitStack() as stack:
            to = _to_folder if command.folder else _to_table
            for row in to(command, paths, scorer, clock, stack):
                tally.add(row)
    except (BrokenPipeError, OutputError):  # which rows were written is not known
        raise
    except (Exception, KeyboardInterrupt):
        if clock.clips and tally.n_rows:
            count = f"{tally.n_rows} of {_clips_asked_for(command, paths)} clips"
            say(f"stopped early; the rows of {count} {where}")
        raise
    print_summary(tally, clock, command.output, scorer.preset)
    return SOME_FAILED if tally.failures else DONE


def _to_table(
    command: Score, paths: Sequence[Path], scorer: Scorer, clock: Clock, stack: ExitStack
) -> Iterator[Row]:
    """Rows as they are scored, written to one table where one was asked for."""
    write, frames = None, command.frames_per_batch or default_frames(scorer)
    if command.output:
        settings = _settings_of(command, paths, frames, scorer.preset)
        schema = with_settings(schema_of(scorer.preset), settings)
        write = stack.enter_context(open_table(command.output, schema))
    rows = score_files(
        *(paths, scorer, loader_of(command)),
        frames_per_batch=frames,
        on_step=stack.enter_context(progress(len(paths), clock)),
        clock=clock,
        workers=command.workers,
        processes=decoding_processes(paths, command.workers),
    )
    for row in rows:
        if write:
            with clock.spending("write"):
                write(row)
        yield row


def _to_folder(
    command: Score, paths: Sequence[Path], scorer: Scorer, clock: Clock, stack: ExitStack
) -> Iterator[Row]:
    """Rows of the parts that are in a folder already, and of those that it lacks, once they are
    there: the account is one of the whole shard."""
    folder, plan = command.folder, _plan_of(command, paths)
    assert folder is not None
    frames = command.frames_per_batch or default_frames(scorer)
    settings = _settings_of(command, paths, frames, scorer.preset)
    settings["clips_per_part"] = plan.clips_per_part
    stack.enter_context(sole_run(folder, plan.shard))
    parts = unfinished_parts(folder, plan, settings)
    there = sorted(set(plan.parts) - set(parts))
    if there:
        say(f"{len(there)} of {len(plan.parts)} parts are in {folder} already")
    yield from rows_there(folder, there, scorer.preset)
    todo = [path for part in parts for path in plan.clips(part)]
    yield from score_parts(
        *(folder, plan, parts, settings, scorer, loader_of(command)),
        frames_per_batch=frames,
        clock=clock,
        on_step=stack.enter_context(progress(len(todo), clock)),
        workers=command.workers,
        processes=decoding_processes(todo, command.workers),
    )


def _settings_of(command: Score, paths: Sequence[Path], frames: int, preset: Preset) -> Settings:
    settings: Settings = {"version": __version__, "clips": len(paths), "frames_per_batch": frames}
    settings["devices"] = command.devices or 1  # each compiles for its share of a batch
    settings |= {field.name: getattr(command, field.name) for field in fields(Options)}
    return settings | digests_of(paths, preset, surface_file(command))


def _plan_of(command: Score, paths: Sequence[Path]) -> Plan:
    shard = shard_of(command.shard or "0/1")
    return Plan(paths, command.clips_per_part or CLIPS_PER_PART, shard)


def _clips_asked_for(command: Score, paths: Sequence[Path]) -> int:
    """Of this shard, where there are several."""
    plan = _plan_of(command, paths)
    return sum(len(plan.clips(part)) for part in plan.parts)


def run_explain(command: Explain) -> int:
    """Score one clip and print the account of it on stdout."""
    scorer = scorer_of(command)
    try:
        motion = loader_of(command)(command.clip)
    except MotionError as error:
        if error.status == Status.MISSING:
            raise
        say(f"{command.clip} cannot be scored: {error.reason}")
        return SOME_FAILED
    batch = batch_of_one(motion, scorer)
    word = word_of_compiling(batch.n_clips, batch.mask.shape[1] * batch.substeps)
    try:
        report = scorer(batch).on_host()
    finally:
        word.cancel()
    account = explain(replace(motion, name=str(command.clip)), report)
    Console(highlight=False).print(account)
    return DONE if report.valid[0] else SOME_FAILED


def run_convert_body(command: ConvertBody) -> int:
    """Write the body to the file that was asked for, and say where."""
    from phymotion_jax.body.convert import convert_body  # noqa: PLC0415  scoring needs none of it

    say(f"wrote {convert_body(command.model, command.output)}")
    return DONE


def _where_rows_are(command: Score) -> str:
    """What to say of them where a run stops early."""
    if not command.output:
        return "were not kept; -o keeps them"
    if command.output == "-":
        return "were written"
    if command.folder:
        return f"are in {command.folder}; the same command goes on from there"
    return f"are in {partial_path(command.output)}"
