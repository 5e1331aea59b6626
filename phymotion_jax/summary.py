"""What is said on stderr while files are scored, and in the end."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from phymotion_jax.dataset import Clock, Step
from phymotion_jax.options import say
from phymotion_jax.presets import AXIS_NAMES, Preset
from phymotion_jax.table import Row, Tally

MAX_CLIPS_SHOWN = 20
"""Clips that are listed one by one, and failures."""

_SHORTEST_NAME, _UNLIMITED = 16, 2**16
"""Columns: of a name on a narrow terminal, and of the table where it is no terminal."""

_LINE_EVERY_S = 30.0
"""Where no terminal shows a bar."""

_SILENT_S = 5.0
"""How long a program may take to be ready before a word is said of it."""


@contextmanager
def progress(n_clips: int, clock: Clock) -> Iterator[Callable[[Step], None]]:
    """A bar on stderr, where that is a terminal; else a line now and then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    console, quiet = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=console, disable=quiet, transient=True) as bar:
        task, done, said = bar.add_task("compiling", total=n_clips, rate=""), 0, 0.0
        word = Timer(0.0, say)

        def on_step(step: Step) -> None:
            nonlocal done, said, word
            clock.add(step)
            done += step.clips
            bar.update(task, advance=step.clips)
            word.cancel()
            if step.compiles:
                bar.update(task, description="compiling")
                if quiet:
                    word = word_of_compiling(*step.compiles)
            elif quiet and clock.seconds() > said + _LINE_EVERY_S:
                said = clock.seconds()
                say(f"{done} of {n_clips} clips{_pace(clock, n_clips - done)}")
            if step.seconds:
                speed = bar.tasks[task].finished_speed or bar.tasks[task].speed
                rate = f"{speed:.3g} clips/s, device busy {clock.busy():.0%}" if speed else ""
                bar.update(task, description="scoring", rate=rate)

        try:
            yield on_step
        finally:
            word.cancel()


def word_of_compiling(clips: int, frames: int) -> Timer:
    """Says why nothing happens, some seconds from now; to be cancelled when something has."""
    text = f"compiling for {clips} clips of {frames} frames, once: later runs find it done"
    word = Timer(_SILENT_S, say, [text])
    word.daemon = True
    word.start()
    return word


def _pace(clock: Clock, clips_left: int) -> str:
    """How fast it goes, and for how long still, once something went without a compilation."""
    rate = clock.rate_compiled()
    if rate is None:
        return ""
    left = clips_left / rate / 60
    return f", {rate:.3g} clips/s, {left:.0f} min left, device busy {clock.busy():.0%}"


def print_summary(tally: Tally, clock: Clock, output: str | None, preset: Preset) -> None:
    """How it went: the clips where they are few, what failed, where the time went, averages."""
    few = tally.n_rows <= MAX_CLIPS_SHOWN
    if few:
        _print_clips(tally.first, preset)
    lines = [f"scored {tally.n_scored} of {tally.n_rows} clips{_when(tally, clock)}"]
    lines += _failure_lines(tally)
    if clock.clips:
        spent = (f"{what} {clock.spent(what):.1f} s" for what in ("decode", "score", "write"))
        lines.append(f"  {', '.join(spent)}, at the same time; device busy {clock.busy():.0%}")
    averages = (f"{name} {a:.3f} / {b:.3f}" for name, (a, b) in tally.averages().items())
    if tally.n_scored:
        lines.append(f"mean / median: {', '.join(averages)}")
    if output and output != "-":
        lines.append(f"table: {output}")
    elif not output and not few:
        lines.append("no table was written; ask for one with -o scores.parquet")
    print("\n".join(lines), file=sys.stderr)


def print_failures(tally: Tally) -> None:
    """Why clips could not be scored, where the time was spent elsewhere."""
    for line in _failure_lines(tally):
        print(line, file=sys.stderr)


def _failure_lines(tally: Tally) -> list[str]:
    """How many could not be scored, and why; then which, up to a number of them."""
    lines = []
    for status, count in tally.failures.most_common():
        row = tally.examples[status]
        why = "for instance " * (status in tally.of_many_reasons) + str(row["reason"])
        lines.append(f"  {count} not scored, {status}: {why} ({row['path']})")
    shown = tally.failed if len(tally.failed) > len(tally.failures) else []
    lines += [f"    {row['path']}: {row['status']}" for row in shown]
    if tally.failures.total() > len(tally.failed):
        lines.append(f"    and {tally.failures.total() - len(tally.failed)} more: see the table")
    return lines


def _when(tally: Tally, clock: Clock) -> str:
    """Of which rows this run did, and how fast; the others were in its folder."""
    earlier = tally.n_rows - clock.clips
    if not earlier:
        return f" in {_speed(clock)}"
    if not clock.clips:
        return ", all of them in earlier runs"
    return f": {earlier} in earlier runs, {clock.clips} now in {_speed(clock)}"


def _speed(clock: Clock) -> str:
    text = f"{clock.seconds():.1f} s, {clock.rate():.3g} clips/s"
    rate = clock.rate_compiled()
    if rate is None:
        return f"{text}, compilation included"
    return f"{text} ({rate:.3g} without the first batches, which compile)"


def _print_clips(rows: Sequence[Row], preset: Preset) -> None:
    """As wide as it needs to be; on a narrow terminal names lose their beginnings."""
    # Without markup: a file may be called [red].npz.
    console = Console(stderr=True, highlight=False, markup=False)
    names = _short_names([str(row["path"]) for row in rows])
    table = _clip_table(rows, names, preset)
    wide = console.options.update(max_width=_UNLIMITED)
    width = console.measure(table, options=wide).maximum
    if console.is_terminal:
        longest = max(map(cell_len, names), default=0)
        room = max(_SHORTEST_NAME, longest - max(0, width - console.width))
        table = _clip_table(rows, [_cut(name, room) for name in names], preset)
    else:
        console.width = width
    console.print(table)


def _cut(name: str, room: int) -> str:
    """The end of a name: what clips of one folder differ in."""
    if cell_len(name) <= room:
        return name
    while cell_len(name) >= room:
        name = name[1:]
    return f"…{name}"


def _clip_table(rows: Sequence[Row], names: Sequence[str], preset: Preset) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("clip", overflow="fold")
    # An axis goes by the first word of its parts, so that 80 columns leave room for names.
    for name in ("reward", *(parts[0].partition(".")[0] for parts in preset.axes.values())):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("worst part", no_wrap=True)
    for name, row in zip(names, rows, strict=True):
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
