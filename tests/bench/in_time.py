"""How fast simulated time goes: `python tests/bench/in_time.py --json`.

Tasks on two simulated CPUs that pass points under locks, on the bare timeline and in a shipped
experiment, with all its drivers. Steps are points, locks and waits; the median of several runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from statistics import median
from time import process_time

from movable.experiment.runner import run
from movable.experiment.source import find, from_table
from movable.sched import Mutex, point
from movable.sched.timeline import Timeline
from movable.sched.turns import Cost

RUNS, TASKS, ROUNDS = 5, 6, 5_000
SHIPPED = "slow-host-long-pin"


class Prices:
    """Every point takes 60 ns."""

    wake_up, hand_over, slice = 2_500, 70, 3_000_000

    def point(self, owner: str, label: str) -> Cost:
        return Cost(60)

    def work(self) -> int:
        return 0


def bare() -> int:
    """Tasks that have nothing to do but to wait for one another."""
    line, mutex = Timeline(Prices(), 2, 0), Mutex("m")

    def work() -> None:
        for _ in range(ROUNDS):
            with mutex:
                point("under the lock")
            point("outside")

    line.play([(f"task{number}", work) for number in range(TASKS)])
    return line.steps


def shipped() -> int:
    """One seed of every variant of an experiment, preparations included."""
    source = find(SHIPPED)
    one = from_table({**source.table, "seeds": 1}, source.place, SHIPPED)
    return sum(run_.outcome.phases[-1]["steps"] for run_ in run(one).runs)


def rate(play: Callable[[], int]) -> float:
    """Steps a second of processor time."""
    rates = []
    for _ in range(RUNS):
        begun = process_time()
        rates.append(play() / (process_time() - begun))
    return median(rates)


def main() -> None:
    """Both, in steps a second."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    shipped()  # once for the compiler
    found = {"bare": round(rate(bare)), SHIPPED: round(rate(shipped))}
    for name, steps in [] if as_json else found.items():
        print(f"{name}: {steps} steps a second")
    if as_json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
