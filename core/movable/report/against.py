"""What `movable replay --against` found: a row a recording, then where both sides part."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from movable.recording.moved import Moved

NUMBERS = ("pages_migrated", "frames_scanned", "requests_served", "free_blocks")
HEADINGS = ("event", "migrated", "scanned", "served", "order 9", "unusable")
"""First event that moves, pages, frames, requests, free blocks, and the index of that order."""


def show(found: Sequence[Moved], console: Console) -> None:
    """The table, the partings, and one line for all."""
    if compared := [row for row in found if not row.problem]:
        console.print(table(compared))
    for row in found:
        for line in partings(row):
            console.print(line, soft_wrap=True, markup=False)
    console.print(f"\n{verdict(found)}", soft_wrap=True)


def table(found: Sequence[Moved]) -> Table:
    """Where each recording parts, and what it reaches here, with the change from here to there."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("recording", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in found:
        table.add_row(row.recording, f"{row.event.index:,}" if row.event else "·", *_numbers(row))
    return table


def _numbers(row: Moved) -> list[str]:
    assert row.here
    assert row.there
    cells = []
    for name in NUMBERS:
        here = getattr(row.here, name)
        change = getattr(row.there, name) - here
        cells.append(f"{here:,} {change:+,}" if change else f"{here:,}")
    here, change = row.here.unusable_index, row.there.unusable_index - row.here.unusable_index
    return [*cells, f"{here:.2f} {change:+.2f}" if abs(change) >= 0.005 else f"{here:.2f}"]


def partings(row: Moved) -> list[str]:
    """Where *row* parts and into what, or why there is nothing to say."""
    if row.problem:
        return ["", f"{row.recording} cannot be compared: {row.problem}"]
    if not row.differs:
        return []
    lines = ["", f"{row.recording}: {row.action}"]
    for name, parting in (("event", row.event), ("call", row.call), ("request", row.request)):
        if parting:
            lines.append(f"  {name} {parting.index:,}")
            lines.append(f"    here   {parting.here or 'no more'}")
            lines.append(f"    there  {parting.there or 'no more'}")
    names = ", ".join(row.differs).replace("_", " ")
    return [*lines, f"  differing: {names}"]


def verdict(found: Sequence[Moved]) -> str:
    """One line for all recordings."""
    compared = [row for row in found if not row.problem]
    differing = [row for row in compared if row.differs]
    without = len(found) - len(compared)
    missing = f"; {without} cannot be compared" if without else ""
    if not differing:
        return f"nothing moves in {_count(len(compared))}{missing}"
    gain = sum(row.gain for row in compared)
    return (
        f"something moves in {len(differing)} of {_count(len(compared))}{missing};"
        f" free blocks of order 9: {gain:+d} there"
    )


def _count(number: int) -> str:
    return f"{number} recording" + ("s" if number != 1 else "")
