"""What the commands do: score files, explain a clip, and say on stderr how it went."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from phymotion_jax.assets import demo_clips
from phymotion_jax.body.skin import Skin
from phymotion_jax.body.surface_files import load_surface
from phymotion_jax.dataset import FRAMES_PER_BATCH, Clock, Step, score_files
from phymotion_jax.errors import MotionError, PhyMotionError, Status, UnknownNameError
from phymotion_jax.explain import explain
from phymotion_jax.io import find_motion_files, load_motion
from phymotion_jax.motion import Motion, MotionBatch
from phymotion_jax.options import (
    DONE,
    SOME_FAILED,
    Bench,
    ConvertBody,
    Explain,
    Options,
    Score,
    UsageError,
    say,
)
from phymotion_jax.presets import AXIS_NAMES, PRESET_NAMES, Preset, get_preset
from phymotion_jax.scorer import Scorer
from phymotion_jax.table import Row, Tally, open_table, partial_path, schema_of

_MAX_CLIPS_SHOWN = 20


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
    paths, scorer = _files(command.paths), _scorer(command)
    tally, clock = Tally(_MAX_CLIPS_SHOWN), Clock()
    try:
        with ExitStack() as stack:
            write = None
            if command.output:
                write = stack.enter_context(open_table(command.output, schema_of(scorer.preset)))
            rows = score_files(
                paths,
                scorer,
                _loader(command),
                frames_per_batch=command.frames_per_batch or FRAMES_PER_BATCH,
                on_step=stack.enter_context(_progress(len(paths), clock)),
            )
            for row in rows:
                if write:
                    write(row)
                tally.add(row)
    except (KeyboardInterrupt, PhyMotionError):
        if tally.n_rows:
            _tell_what_is_left(tally.n_rows, len(paths), command.output)
        raise
    _print_summary(tally, clock, command.output, scorer.preset)
    return SOME_FAILED if tally.failures else DONE


def run_explain(command: Explain) -> int:
    """Score one clip and print the account of it on stdout."""
    scorer = _scorer(command)
    try:
        motion = _loader(command)(command.clip)
    except MotionError as error:
        if error.status == Status.MISSING:
            raise
        say(f"{command.clip} cannot be scored: {error.reason}")
        return SOME_FAILED
    report = scorer(MotionBatch.from_motions([motion])).on_host()
    account = explain(replace(motion, name=str(command.clip)), report)
    Console(highlight=False).print(account)
    return DONE if report.valid[0] else SOME_FAILED


def run_convert_body(command: ConvertBody) -> int:
    """Write the body to the file that was asked for, and say where."""
    from phymotion_jax.body.convert import convert_body  # noqa: PLC0415  scoring needs none of it

    say(f"wrote {convert_body(command.model, command.output)}")
    return DONE


def _scorer(options: Options) -> Scorer:
    if options.preset not in PRESET_NAMES:
        raise UnknownNameError("preset", options.preset, PRESET_NAMES)
    level = options.self_penetration or get_preset(options.preset).self_penetration
    if options.surface is not None and level != "mesh":
        raise UsageError("--surface is looked at by --self-penetration mesh alone")
    return Scorer(
        options.preset,
        backend=options.backend,
        floor=options.floor,
        level_floor=options.level_floor,
        self_penetration=options.self_penetration,
        skin=None if options.surface is None else Skin.of(load_surface(options.surface)),
    )


def _loader(options: Options) -> Callable[[Path], Motion]:
    return partial(load_motion, fps=options.fps, up=options.up, mass_kg=options.mass_kg)


def _files(given: Sequence[Path]) -> list[Path]:
    if not given:
        return demo_clips()
    if not any(os.path.exists(path) for path in given):
        raise UsageError(f"there is no {' and no '.join(map(str, given))}")
    paths = find_motion_files(given)
    if not paths:
        raise UsageError(f"no motion files in {', '.join(map(str, given))}")
    return paths


def _tell_what_is_left(n_rows: int, n_paths: int, output: str | None) -> None:
    where = f"are in {partial_path(output)}" if output else "were not kept; -o keeps them"
    if output == "-":
        where = "were written"
    say(f"stopped early; the rows of {n_rows} of {n_paths} clips {where}")


@contextmanager
def _progress(n_clips: int, clock: Clock) -> Iterator[Callable[[Step], None]]:
    """A bar on stderr, where that is a terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console, quiet = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task = bar.add_task("compiling", total=n_clips, rate="")

        def on_step(step: Step) -> None:
            clock.add(step)
            bar.update(task, advance=step.clips)
            if step.seconds:
                speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
                rate = f"{speed:.0f} clips/s" if speed else ""
                bar.update(task, description="scoring", rate=rate)

        yield on_step


def _print_summary(tally: Tally, clock: Clock, output: str | None, preset: Preset) -> None:
    few = tally.n_rows <= _MAX_CLIPS_SHOWN
    if few:
        # Without markup: a file may be called [red].npz.
        Console(stderr=True, highlight=False, markup=False).print(_clip_table(tally.first, preset))
    lines = [f"scored {tally.n_scored} of {tally.n_rows} clips in {_speed(tally, clock)}"]
    for status, count in tally.failures.most_common():
        row = tally.examples[status]
        lines.append(f"  {count} not scored, {status}: {row['reason']} ({row['path']})")
    averages = (f"{name} {a:.3f} / {b:.3f}" for name, (a, b) in tally.averages().items())
    if tally.n_scored:
        lines.append(f"mean / median: {', '.join(averages)}")
    if output and output != "-":
        lines.append(f"table: {output}")
    elif not output and not few:
        lines.append("no table was written; ask for one with -o scores.parquet")
    print("\n".join(lines), file=sys.stderr)


def _speed(tally: Tally, clock: Clock) -> str:
    text = f"{clock.seconds():.1f} s, {clock.rate(tally.n_rows):.3g} clips/s"
    rate = clock.rate_compiled(tally.n_rows)
    if rate is None:
        return f"{text}, compilation included"
    return f"{text} ({rate:.3g} without the first batches, which compile)"


def _clip_table(rows: Sequence[Row], preset: Preset) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("clip", overflow="fold")
    # An axis goes by the first word of its parts, so that 80 columns leave room for names.
    for name in ("reward", *(parts[0].partition(".")[0] for parts in preset.axes.values())):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("worst part", no_wrap=True)
    for name, row in zip(_short_names([str(row["path"]) for row in rows]), rows, strict=True):
        if row["reward"] is None:
            table.add_row(name, *["-"] * (1 + len(AXIS_NAMES)), str(row["status"]), style="red")
            continue
        worst = max(preset.parts, key=lambda part: row[part] or 0.0)
        scores = (f"{row[column]:.3f}" for column in ("reward", *AXIS_NAMES))
        table.add_row(name, *scores, f"{worst} {row[worst]:.2f}" if row[worst] else "")
    return table


def _short_names(paths: list[str]) -> list[str]:
    """Paths without the folder that they share."""
    if len(paths) < 2:
        return [Path(path).name for path in paths]
    shared = os.path.commonpath([os.path.abspath(path) for path in paths])
    return [os.path.relpath(path, shared) for path in paths]
