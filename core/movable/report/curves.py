"""Curves over rounds as tables: every variant side by side, and from when on which are apart."""

from __future__ import annotations

import numpy as np
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from movable.experiment.curves import WINDOW, Curve, curves, names, separations
from movable.experiment.record import Result

MOST_ROWS = 16
"""A longer curve is shown at so many of its rounds."""


def tables(result: Result) -> list[RenderableType]:
    """For each curve a table of its rounds, a table of who is apart from whom, and a line that says
    whether anybody is."""
    parts: list[RenderableType] = []
    for name in names(result.source.model.phases):
        found = curves(result.runs, name)
        if not found:
            continue
        parts += ["", rounds(name, found)] if parts else [rounds(name, found)]
        if len(found) > 1:
            parts += ["", apart(name, found), Text(verdict(name, found), style="bold")]
    return parts


def rounds(name: str, found: dict[str, Curve]) -> Table:
    """A row for each round: per cent of the requests that succeeded, of several runs the range."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"{name}, %", no_wrap=True)
    for variant in found:
        table.add_column(variant or "success", justify="right", no_wrap=True)
    count = next(iter(found.values())).shape[1]
    shown = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    for number in shown.tolist():
        table.add_row(str(number + 1), *(_cell(curve[:, number]) for curve in found.values()))
    return table


def apart(name: str, found: dict[str, Curve]) -> Table:
    """From which round on each two variants are apart, to the end."""
    days = separations(found)
    listed = list(found)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"{name}: apart from", no_wrap=True)
    for other in listed[1:]:
        table.add_column(other, justify="right", no_wrap=True)
    for number, one in enumerate(listed[:-1]):
        cells = [
            "" if other in listed[: number + 1] else _from(days[one, other]) for other in listed[1:]
        ]
        table.add_row(one, *cells)
    table.caption = (
        f"the round from which on, for {WINDOW} at least and to the end,"
        f"\nall runs of one are above all of the other, in the mean of {WINDOW} rounds"
        "\n·: they do not separate"
    )
    table.caption_justify = "left"
    return table


def verdict(name: str, found: dict[str, Curve]) -> str:
    """Whether the curves separate, in one line."""
    days = separations(found)
    parted = [first for first in days.values() if first is not None]
    if not parted:
        return f"{name}: the curves do not separate"
    words = [f"{name}: {len(parted)} of {len(days)} pairs of curves separate"]
    for variant in found if len(found) > 2 else ():
        own = [first for pair, first in days.items() if variant in pair]
        if None not in own:
            last = max(first for first in own if first is not None)
            words.append(f"{variant} from all others by round {last + 1}")
    return "; ".join(words)


def _from(number: int | None) -> str:
    return "·" if number is None else str(number + 1)


def _cell(values: Curve) -> str:
    low, high = (round(100 * float(end)) for end in (values.min(), values.max()))
    return f"{low}" if low == high else f"{low}..{high}"
