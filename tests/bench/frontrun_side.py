"""frontrun's side of peer.py, under its own command: what it makes of the tiny balloon, as JSON.

    frontrun python -m bench.frontrun_side

Its three ways to search are left as they come, but for replays of what was found, which are not
counted here. Two interleave real threads between any two bytecodes, the third at our points.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import frontrun
from frontrun.trace_markers import explore_marker_interleavings

from bench.tiny_balloon import USER, VM, TinyBalloon

MOST = 100
"""Schedules of the balloon without its mistake."""
MOST_TO_FAILURE = 2_000
SEEDS = 20
TASKS = [TinyBalloon.compact, TinyBalloon.deflate]
MARKED = {"vm": (TinyBalloon.compact, list(VM)), "user": (TinyBalloon.deflate, list(USER))}


def fresh(mistake: bool) -> Callable[[], TinyBalloon]:
    """Makes balloons for frontrun, which needs no points, and has its own threading.Lock."""
    return lambda: TinyBalloon(threading.Lock(), lambda _: None, mistake)


def dpor(mistake: bool, seed: int) -> Any:
    """Every order that differs in what it reads or writes, with as many preemptions as it takes."""
    most = MOST_TO_FAILURE if mistake else MOST
    how = {"preemption_bound": None, "max_executions": most, "reproduce_on_failure": 0}
    return frontrun.explore(fresh(mistake), TASKS, TinyBalloon.whole, **how)


def random(mistake: bool, seed: int) -> Any:
    """Random orders of bytecodes."""
    most = MOST_TO_FAILURE if mistake else MOST
    how = {"strategy": "random", "seed": seed, "max_attempts": most, "reproduce_on_failure": 0}
    return frontrun.explore(fresh(mistake), TASKS, TinyBalloon.whole, **how)


def markers(mistake: bool, seed: int) -> Any:
    """Every order of the points."""
    return explore_marker_interleavings(fresh(mistake), MARKED, TinyBalloon.whole)


def rate(search: Callable[[bool, int], Any]) -> dict[str, float]:
    """Schedules a second of the balloon without its mistake."""
    clock, processor = time.perf_counter(), time.process_time()
    found = search(False, 0)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    assert found.property_holds, found.explanation
    return {
        "schedules_per_s": found.num_explored / processor,
        "schedules_per_s_by_the_clock": found.num_explored / clock,
    }


def to_failure(search: Callable[[bool, int], Any], seeds: int) -> list[int]:
    """For each seed: how many schedules until the mistake was found, 0 if it was not."""
    found = [search(True, seed) for seed in range(seeds)]
    return [0 if one.property_holds else one.num_explored for one in found]


def main() -> None:
    """All three."""
    searches = {"dpor": (dpor, 1), "random": (random, SEEDS), "markers": (markers, 1)}
    sides = {
        name: rate(search) | {"to_failure": to_failure(search, seeds)}
        for name, (search, seeds) in searches.items()
    }
    print(json.dumps({"version": frontrun.__version__, "searches": sides}))


if __name__ == "__main__":
    main()
