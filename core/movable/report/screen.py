"""A whole result on the screen, or as a text file of fixed width."""

from __future__ import annotations

import io
from textwrap import fill

from rich.console import Console, RenderableType
from rich.text import Text

from movable.experiment.record import Result, Run
from movable.report import curves, tables, together
from movable.report import map as maps

WIDTH = 100
"""Of a text file."""


def show(result: Result, console: Console, *, full: bool = False) -> None:
    """Print what *result* says; of several variants only the essential, unless *full*."""
    first = list({run.variant: run for run in reversed(result.runs)}.values())[::-1]
    model = result.source.model
    _print(console, Text(model.title, style="bold"))
    if result.source.question:
        _print(console, Text(fill(result.source.question, min(console.width, WIDTH))))
    followed = curves.tables(result)
    for run in first if full or not followed else ():
        _print(console, "", *_parts(run, console, full or len(first) == 1))
    if len(result.runs) > 1:
        _print(console, "", tables.variants(result.runs))
    if followed:
        _print(console, "", *followed)
    _print(console, "", _verdict(result))


def text(result: Result) -> str:
    """Everything, without colour: the same text for the same result."""
    file = io.StringIO()
    show(result, Console(file=file, width=WIDTH, color_system=None), full=True)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _parts(run: Run, console: Console, full: bool) -> list[RenderableType]:
    before, after = run.outcome.before, run.outcome.after
    colour = console.is_terminal and not console.no_color
    parts: list[RenderableType] = []
    if run.variant:
        parts.append(Text(f"variant {run.variant}", style="bold"))
    parts.append(maps.memory_map(before, after, colour=colour))
    parts += ["", maps.legend(before, after, colour=colour), "", tables.owners(run.outcome)]
    if run.outcome.causes:
        parts += ["", tables.causes(run.outcome)]
    if any("ranges" in phase for phase in run.outcome.phases):
        parts += ["", tables.ranges(run.outcome)]
    for phase in run.outcome.phases:
        if phase["do"] == "together":
            parts += ["", together.tasks(phase)]
            parts += ["", together.waits(phase)] if phase["stalled"] else []
    if full:
        parts += ["", tables.free_blocks(before, after), "", tables.counters(run.outcome)]
    return parts


def _verdict(result: Result) -> Text:
    """One line: may these numbers be believed, and how to get them again."""
    seed = f"seed {result.provenance['seed']}"
    if result.valid:
        runs = f"{len(result.runs)} runs" if len(result.runs) > 1 else "the run"
        line = f"audit passed: a recount of every frame and list agrees after {runs}; {seed}"
        return Text(line, style="green")
    lines = [
        f"INVALID: audit failed: {run.audit['owner']}: {run.audit['problem']}"
        f" (after {run.audit['after']}; variant {run.variant or '-'}, seed {run.replica})"
        for run in result.runs
        if run.audit
    ]
    return Text("\n".join(lines), style="bold red")


def _print(console: Console, *parts: RenderableType) -> None:
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))
