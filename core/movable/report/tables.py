"""The tables of a result: owners, free blocks by order, counters, and variants side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.table import Table

from movable.experiment.compare import Change
from movable.experiment.measures import CALLS, Number, Outcome, unusable
from movable.experiment.record import Run
from movable.snapshot import Snapshot

HEADINGS = {
    "isolated": "isolated",
    "refused": "refused",
    "migrated": "migrated",
    "again": "-EAGAIN",
    "failed": "failed",
    "putback": "put\nback",
}


def owners(outcome: Outcome) -> Table:
    """What every owner has, what happened to its pages, and how many blocks it spoils."""
    table = _table("owner", "pages")
    for column in CALLS:
        table.add_column(HEADINGS[column], justify="right")
    table.add_column("blocks", justify="right")
    table.add_column("in the\nway", justify="right")
    for name, row in outcome.owners().items():
        before = outcome.before.shares.get(name)
        way = f"{before.in_the_way if before else 0} → {row['in_the_way']}"
        calls = [_number(row[column]) for column in CALLS]
        table.add_row(name, str(row["pages"]), *calls, _number(row["blocks"]), way)
    return table


def causes(outcome: Outcome) -> Table:
    """Why drivers refused or failed, in their own words."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("why not", no_wrap=True)
    table.add_column("times", justify="right")
    table.add_column("because")
    for owner, why in outcome.causes.items():
        for cause, times in why.items():
            table.add_row(owner, str(times), cause)
    return table


def ranges(outcome: Outcome) -> Table:
    """Who asked for contiguous memory, how often it was had, and whose pages were in the way."""
    table = _table("contiguous memory", "asked", "had")
    table.add_column("places spoilt, by owner")
    for phase in outcome.phases:
        if "ranges" in phase:
            blame = ", ".join(f"{owner} {times}" for owner, times in phase["in_the_way"].items())
            table.add_row(phase["do"], str(phase["asked"]), _number(phase["ranges"]), blame or "·")
    return table


def free_blocks(before: Snapshot, after: Snapshot) -> Table:
    """/proc/buddyinfo and the unusable index of every order, before and after."""
    orders = range(len(next(iter(before.buddyinfo.values()), [])))
    table = _table("free blocks of order", *map(str, orders))
    for zone in before.buddyinfo:
        for moment, word in ((before, "before"), (after, "after")):
            numbers = [_number(count) for count in moment.buddyinfo[zone]]
            table.add_row(f"{zone:<8}{word}", *numbers)
    for moment, word in ((before, "before"), (after, "after")):
        share = [f"{unusable(moment, order):.2f}".removeprefix("0") for order in orders]
        table.add_row(f"unusable {word}", *share)
    return table


def counters(outcome: Outcome) -> Table:
    """Counters of /proc/vmstat that grew, under the kernel's names."""
    table = _table("/proc/vmstat", "grew by")
    for name, growth in outcome.vmstat.items():
        if growth:
            table.add_row(name, str(growth))
    return table


def variants(runs: Sequence[Run]) -> Table:
    """The measures of every variant; with several seeds, the median and the range."""
    names = list(dict.fromkeys(run.variant for run in runs))
    table = _table("measure", *(name or "value" for name in names))
    for measure in runs[0].measures:
        values = {
            name: [run.measures[measure] for run in runs if run.variant == name] for name in names
        }
        table.add_row(measure, *(_spread(values[name]) for name in names))
    return table


def changes(found: Sequence[Change], a: str, b: str) -> Table:
    """What `movable compare` found: means, change, interval, and a star where that is sure."""
    several = len({change.variant for change in found}) > 1
    table = _table("measure", f"A: {a}", f"B: {b}", "change", "", "95 % interval", "")
    for change in found:
        name = f"{change.variant} {change.measure}" if several else change.measure
        per_cent = f"{100 * change.change / abs(change.a):+.1f} %" if change.a else ""
        interval = "" if change.low is None else f"{change.low:+.4g} .. {change.high:+.4g}"
        star = "*" if change.sure else ""
        table.add_row(
            name, f"{change.a:g}", f"{change.b:g}", f"{change.change:+g}", per_cent, interval, star
        )
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _number(count: int) -> str:
    return str(count) if count else "·"


def _spread(values: list[Number]) -> str:
    middle, low, high = median(values), min(values), max(values)
    return f"{middle:g}" if low == high else f"{middle:g} ({low:g}..{high:g})"
