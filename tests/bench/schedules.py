"""How many schedules a second: `python tests/bench/schedules.py --json`.

`alone` is an `Exploration` whose tasks do nothing but pass fifty points each. `stage` is what
`movable check` plays: the real engine, the shipped balloon, and every oracle that `check` uses, put
back as it was before each schedule. Two tasks there are a compactor over two pages of the balloon
and its user; three are two compactors and the user, who inflates and deflates. Half of the
schedules are random walks, half PCT; steps are what they took, waits and ends included.

`restore` is `Checkpoint.restore` by itself, `reset` with what the oracles forget besides. `jobs` is
a whole hunt, `movable check balloon --schedules`, by the clock: plans are drawn, processes started.
All else is of processor time of the thread; medians of several turns, in each of which everything
is measured once, so that whatever else the machine does slows all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from statistics import median
from typing import Any

from movable.conformance.declared import Declared
from movable.conformance.hunt import Search
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.races import race
from movable.conformance.stage import Stage
from movable.registry import load
from movable.sched import point
from movable.sched.exploration import Exploration, Strategy
from movable.sched.strategies import Pct, RandomWalk

TURNS = 5
ALONE, ON_STAGE, RESETS, HUNTED = 4_000, 1_500, 2_000, 5_120
"""Schedules, or resets, of one turn."""
POINTS = 50
WANTED = {2: 15_000, 3: 9_000}
"""Schedules a second on the stage, by number of tasks."""
JOBS = (1, 2)


def orders() -> Iterator[Strategy]:
    """A random walk and PCT in turn, as `check` plays them."""
    return cycle((RandomWalk(0), Pct(0, 2)))


def timed(play: Callable[[], object], times: int) -> float:
    """How often a second *play* can be done."""
    start = time.thread_time()
    for _ in range(times):
        play()
    return times / (time.thread_time() - start)


# Nothing but turns.


def fifty_points() -> None:
    """A task."""
    for _ in range(POINTS):
        point("passed")


def alone(tasks: int) -> float:
    """Schedules a second of so many tasks that do nothing."""
    run, strategies = Exploration(), orders()
    work = [(f"task{number}", fifty_points) for number in range(tasks)]
    return timed(lambda: run.run(work, next(strategies)), ALONE)


# What `check` plays.


def call(verb: str, count: int) -> Step:
    """One call of the balloon's."""
    return Step(do="call", verb=verb, arguments={"count": count})


COMPACT = Step(do="compact")
USER = Part(name="user0", steps=(call("inflate", 2), call("deflate", 2), call("inflate", 1)))
CPU0, CPU1 = Part(name="cpu0", steps=(COMPACT,)), Part(name="cpu1", steps=(COMPACT,))
PLANS = {2: (CPU0, USER), 3: (CPU0, CPU1, USER)}
"""By number of tasks."""


def stage(tasks: int) -> Stage:
    """The balloon with two pages, and so many tasks."""
    kind = load("balloon")
    plan = Plan(collision="benchmark", prepare=(call("inflate", 2),), tasks=PLANS[tasks])
    return Stage("balloon", kind, Declared.of(kind), plan)


def on_stage(tasks: int) -> dict[str, float]:
    """Schedules a second, and the steps of one; resets a second."""
    scene, strategies, steps = stage(tasks), orders(), list[int]()

    def play() -> None:
        failed = scene.run(next(strategies))
        assert failed is None, failed
        steps.append(scene.exploration.steps)

    def reset() -> None:
        scene.checkpoint.restore()
        scene.oracles.reset()

    try:
        return {
            f"stage_{tasks}_schedules_per_s": timed(play, ON_STAGE),
            f"stage_{tasks}_steps": sum(steps) / len(steps),
            f"stage_{tasks}_restores_per_s": timed(scene.checkpoint.restore, RESETS),
            f"stage_{tasks}_resets_per_s": timed(reset, RESETS),
        }
    finally:
        scene.close()


def hunted(jobs: int) -> float:
    """Schedules a second of a hunt, by the clock."""
    kind = load("balloon")
    start = time.perf_counter()
    search = Search("balloon", kind, Declared.of(kind))
    found = race(search, search.shares(HUNTED), jobs)
    assert not found.violations
    return found.played.schedules / (time.perf_counter() - start)


# All of it.


def turn() -> dict[str, float]:
    """Everything once."""
    figures = {f"alone_{tasks}_schedules_per_s": alone(tasks) for tasks in PLANS}
    for tasks in PLANS:
        figures |= on_stage(tasks)
    return figures | {f"jobs_{jobs}_schedules_per_s": hunted(jobs) for jobs in JOBS}


def measure(turns: int) -> dict[str, Any]:
    """The medians, and ratios: of the stage to what is wanted, and of two processes to one."""
    on_stage(2)  # compiles
    figures = medians([turn() for _ in range(turns)])
    ratios = {
        f"stage_{tasks}_to_wanted": figures[f"stage_{tasks}_schedules_per_s"] / wanted
        for tasks, wanted in WANTED.items()
    }
    few, many = (figures[f"jobs_{jobs}_schedules_per_s"] for jobs in JOBS)
    return figures | ratios | {"jobs_2_to_1": many / few}


def medians(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of each figure."""
    return {name: median(turn[name] for turn in turns) for name in turns[0]}


def main() -> None:
    """Print the figures, a line each or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    figures = measure(asked.turns)
    if asked.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:28} {value:12,.2f}")


if __name__ == "__main__":
    main()
