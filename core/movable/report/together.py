"""The tables of tasks at work at the same time: how long they took, what they waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from movable.experiment.together import QUANTILES
from movable.sched.timeline import SECOND

UNITS = (("s", SECOND), ("ms", 1_000_000), ("us", 1_000))


def tasks(phase: Mapping[str, Any]) -> Table:
    """Each task's rounds, how long they took, and how many of its requests were served whole."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(f"together, for {time(phase['ns'])}", no_wrap=True)
    for heading in ("rounds", *QUANTILES, "served", "failed", "no memory"):
        table.add_column(heading, justify="right")
    for name, task in phase["tasks"].items():
        times = [time(task["ns"][quantile]) for quantile in QUANTILES]
        counts = [task.get(key, 0) for key in ("allocated", "failed", "out_of_memory")]
        table.add_row(name, str(task["rounds"]), *times, *(str(n) if n else "·" for n in counts))
    return table


def waits(phase: Mapping[str, Any]) -> Table:
    """Who waited, in whose code, for what, and how long in all."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("who waited", no_wrap=True)
    for heading in ("in the code of", "for"):
        table.add_column(heading)
    table.add_column("in all", justify="right")
    for name, owners in phase["stalled"].items():
        for owner, found in owners.items():
            for what, ns in found.items():
                table.add_row(name, owner or "the VM", what, time(ns))
    return table


def time(ns: int) -> str:
    """*ns* nanoseconds as they are easy to read: "12.5 ms"."""
    for unit, size in UNITS:
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns} ns"
