"""The tables of a result, read as a person reads them."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from movable.experiment.measures import Outcome
from movable.experiment.record import Run
from movable.report import tables
from report.snapshots import drawn

BEFORE = drawn("aab." + "b.a." + "kkkk" + "....", balloon={"isolated": 1})
AFTER = drawn(
    "...." + "...." + "kkkk" + "aabb",
    balloon={"isolated": 3, "refused": 1, "migrated": 2, "again": 12, "failed": 1, "putback": 1},
    anonymous={"isolated": 3, "migrated": 3},
)
OUTCOME = Outcome(BEFORE, BEFORE, AFTER, [], [])


def lines(part: RenderableType) -> list[str]:
    """The words of each line that is printed."""
    file = io.StringIO()
    Console(file=file, width=80, color_system=None).print(part)
    return [" ".join(line.split()) for line in file.getvalue().splitlines()]


def run(variant: str, replica: int, **measures: float) -> Run:
    """A run of which only the measures matter."""
    return Run(variant, replica, 0, OUTCOME, dict(measures), None, 0.0)


def test_the_table_of_owners_counts_what_happened_during_the_run() -> None:
    """What was counted before it began is left out; zeros are dots."""
    assert lines(tables.owners(OUTCOME)) == [
        "put in the",
        "owner pages isolated refused migrated -EAGAIN failed back blocks way",
        "anonymous 2 3 · 3 · · · 1 2 → 0",
        "kernel 4 · · · · · · 1 0 → 0",
        "balloon 2 2 1 2 12 1 1 1 2 → 0",
    ]


def test_free_blocks_stand_by_order_before_and_after() -> None:
    """With the share of free memory that each order cannot use."""
    assert lines(tables.free_blocks(BEFORE, AFTER)) == [
        "free blocks of order 0 1 2",
        "DMA before 3 · 1",
        "DMA after · · 2",
        "unusable before .00 .43 .43",
        "unusable after .00 .00 .00",
    ]


def test_counters_that_stood_still_are_left_out() -> None:
    """The others have the kernel's names."""
    assert lines(tables.counters(OUTCOME)) == ["/proc/vmstat grew by", "pgmigrate_success 1"]


def test_variants_stand_side_by_side_with_median_and_range() -> None:
    """One number where all seeds agree."""
    runs = [
        run("movable", 0, huge_pages=5),
        run("pinned", 0, huge_pages=1),
        run("movable", 1, huge_pages=8),
        run("pinned", 1, huge_pages=1),
    ]

    assert lines(tables.variants(runs)) == [
        "measure movable pinned",
        "huge_pages 6.5 (5..8) 1",
    ]
