"""The tables of tasks at work together, as text."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from movable.report.together import tasks, time, waits

TIMES = {"p50": 1_500, "p95": 2_000_000, "p99": 2_500_000_000, "max": 2_500_000_000}
PHASE = {
    "ns": 1_000_000_000,
    "tasks": {"fork": {"rounds": 3, "ns": TIMES, "allocated": 2, "failed": 1}},
    "stalled": {"fork": {"": {"a CPU": 70}, "balloon": {"balloon_lock": 80_000}}},
}


def rows(table: Table) -> list[list[str]]:
    """The words of each line."""
    file = io.StringIO()
    Console(file=file, width=120).print(table)
    return [line.split() for line in file.getvalue().splitlines()]


def test_each_task_has_a_row() -> None:
    """Times in units that fit."""
    heading, fork = rows(tasks(PHASE))

    assert " ".join(heading).startswith("together, for 1 s rounds p50 p95 p99 max served failed")
    assert " ".join(fork) == "fork 3 1.5 us 2 ms 2.5 s 2.5 s 2 1 ·"


def test_each_wait_has_a_row() -> None:
    """With the driver in whose code it was."""
    assert [" ".join(row) for row in rows(waits(PHASE))][1:] == [
        "fork the VM a CPU 70 ns",
        "fork balloon balloon_lock 80 us",
    ]


@pytest.mark.parametrize(("ns", "text"), [(0, "0 ns"), (999, "999 ns"), (1_000, "1 us")])
def test_a_time_is_told_in_its_unit(ns: int, text: str) -> None:
    """Up to three digits."""
    assert time(ns) == text
