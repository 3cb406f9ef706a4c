"""What points and locks cost outside a race: `python tests/bench/points.py --json`.

Nanoseconds of processor time for one call, the least of several turns, without the loop's own. With
nobody watching a point has to be next to nothing, since drivers have many and experiments run
outside races: no more than `WANTED`. A spinning lock is told beside a mutex of the standard
library.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable
from time import process_time_ns

from movable.sched import SpinLock, point

WANTED = 60
"""Nanoseconds that a point may cost outside a race."""
CALLS, TURNS = 100_000, 15


def nothing(calls: range) -> None:
    """The loop alone."""
    for _ in calls:
        pass


def points(calls: range) -> None:
    """As a driver calls it."""
    for _ in calls:
        point("page copied")


def locked(lock: SpinLock | threading.Lock) -> Callable[[range], None]:
    """A `with` statement around nothing."""

    def loop(calls: range) -> None:
        for _ in calls:
            with lock:
                pass

    return loop


def least(loop: Callable[[range], None]) -> float:
    """Nanoseconds for one call."""
    taken = []
    for _ in range(TURNS):
        begun = process_time_ns()
        loop(range(CALLS))
        taken.append(process_time_ns() - begun)
    return min(taken) / CALLS


def measured() -> dict[str, float]:
    """What each costs."""
    alone = least(nothing)
    loops = {
        "point": points,
        "spinlock": locked(SpinLock("measured")),
        "threading_lock": locked(threading.Lock()),
    }
    return {name: round(least(loop) - alone, 1) for name, loop in loops.items()}


def main(*arguments: str) -> None:
    """Print what was measured; exit code 1 if a point costs too much."""
    parser = argparse.ArgumentParser(description="What points and locks cost outside a race.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args(arguments or None)
    found = measured()
    if asked.json:
        print(json.dumps({**found, "unit": "ns", "wanted": WANTED}, indent=2))
    else:
        for name, ns in found.items():
            print(f"{name:20} {ns:8.1f} ns")
    if found["point"] > WANTED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
