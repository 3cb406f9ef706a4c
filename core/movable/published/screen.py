"""The table on the screen, or as a text file of fixed width."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from movable.published.claims import numbers
from movable.published.table import Row, summary

WIDTH = 140
"""Of a text file."""


def show(rows: Sequence[Row], seconds: Mapping[str, float], console: Console | None = None) -> None:
    """Print *rows*, and what each experiment took, in *seconds* by name."""
    console = console or Console(highlight=False)
    for part in _parts(rows, seconds):
        console.print(part)


def text(rows: Sequence[Row]) -> str:
    """The same without times: the same text for the same numbers."""
    file = io.StringIO()
    show(rows, {}, Console(file=file, width=WIDTH, color_system=None))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _parts(rows: Sequence[Row], seconds: Mapping[str, float]) -> list[RenderableType]:
    sources = numbers().sources
    used = dict.fromkeys((one.claim.id, one.claim.source) for one in rows)
    told = [Text(f"{name}: {sources[source]}") for name, source in used]
    times = [Text(", ".join(f"{name} {taken:.0f} s" for name, taken in seconds.items()))]
    taken: list[RenderableType] = ["", *times] if seconds else []
    return [_table(rows), "", summary(rows), "", *told, *taken]


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("what")
    for name in ("theirs", "ours", "error"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("sign")
    table.add_column("fitted or predicted")
    table.add_column("by")
    last = ""
    for one in rows:
        label = "" if one.claim.id == last else one.claim.id
        last = one.claim.id
        table.add_row(label, *_cells(one))
    return table


def _cells(one: Row) -> list[str]:
    claim, unit = one.claim, "pt" if one.in_points else "%"
    theirs = f"{_number(claim.theirs)} {claim.unit}"
    if claim.was is not None:
        theirs = f"{_number(claim.was)} → {theirs}"
    ours = _number(one.ours)
    if one.low != one.high:
        ours += f" ({_number(one.low)}..{_number(one.high)})"
    sign = {None: "", True: "right", False: "wrong"}[one.sign_right]
    near = "*" if one.near else " "
    return [claim.what, theirs, ours, f"{one.error:+.1f} {unit}{near}", sign, one.how, claim.of]


def _number(number: float) -> str:
    """Three digits, or more before the point."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
