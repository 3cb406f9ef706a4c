"""What can be measured of tasks that are at work together (together.py), in simulated time.

`time.TASK.p50`, `.p95`, `.p99`, `.max`: how long its rounds take, in ns; `rounds.TASK`: how many
it had; `served.TASK`: the share of its requests for blocks that were served whole;
`out_of_memory.TASK`: how often there was none for what it does; `stalled.TASK`: how long it waited
for locks and answers, in ns; `stalled.OWNER`: how long all tasks did in this driver's code;
`hooks.OWNER`: how long compactors were in this driver's hooks; `huge_pages_meanwhile`: free
pageblocks, in the mean over the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from statistics import fmean
from typing import Any

from movable.experiment import model
from movable.experiment.measures import Measure, Number, Outcome
from movable.experiment.together import QUANTILES
from movable.sched.timeline import A_CPU


def measures(phases: Iterable[model.Phase], drivers: Iterable[str]) -> dict[str, Measure]:
    """Every measure of this kind that an experiment with *phases* has."""
    together = [phase for phase in phases if isinstance(phase, model.Together)]
    if not together:
        return {}
    meaning = "free pageblocks, in the mean over the simulated time"
    known = {"huge_pages_meanwhile": Measure(meaning, _huge_pages)}
    for name in dict.fromkeys(task.name for phase in together for task in phase.tasks):
        for quantile in QUANTILES:
            meaning = f"ns that a round of {name} takes: {quantile}"
            known[f"time.{name}.{quantile}"] = Measure(meaning, partial(_time, name, quantile))
        known[f"rounds.{name}"] = Measure(f"rounds of {name}", partial(_sum, name, "rounds"))
        meaning = f"share of {name}'s requests that were served whole"
        known[f"served.{name}"] = Measure(meaning, partial(_served, name))
        meaning = f"how often there was no memory for a phase of {name}"
        known[f"out_of_memory.{name}"] = Measure(meaning, partial(_sum, name, "out_of_memory"))
        meaning = f"ns that {name} waited for locks and answers"
        known[f"stalled.{name}"] = Measure(meaning, partial(_task_stalled, name))
    for owner in drivers:
        meaning = f"ns that tasks waited in the code of {owner}"
        known[f"stalled.{owner}"] = Measure(meaning, partial(_stalled_by, owner))
        meaning = f"ns that compactors were in the hooks of {owner}"
        known[f"hooks.{owner}"] = Measure(meaning, partial(_in_hooks, owner))
    return known


def _together(outcome: Outcome) -> list[dict[str, Any]]:
    return [phase for phase in outcome.phases if phase["do"] == "together"]


def _tasks(name: str, outcome: Outcome) -> list[dict[str, Any]]:
    return [one["tasks"][name] for one in _together(outcome) if name in one["tasks"]]


def _time(name: str, quantile: str, outcome: Outcome) -> int:
    """The longest of several phases'."""
    return max((task["ns"][quantile] for task in _tasks(name, outcome)), default=0)


def _sum(name: str, what: str, outcome: Outcome) -> int:
    return sum(task.get(what, 0) for task in _tasks(name, outcome))


def _served(name: str, outcome: Outcome) -> float:
    whole = _sum(name, "allocated", outcome)
    asked = whole + _sum(name, "failed", outcome) + _sum(name, "in_single_pages", outcome)
    return round(whole / asked, 4) if asked else 0.0


def _waits(outcome: Outcome) -> Iterator[tuple[str, str, int]]:
    """Who waited, in whose code, and how long; waiting for a CPU is left out."""
    for phase in _together(outcome):
        for task, owners in phase["stalled"].items():
            for owner, waits in owners.items():
                yield task, owner, sum(ns for what, ns in waits.items() if what != A_CPU)


def _task_stalled(name: str, outcome: Outcome) -> int:
    return sum(ns for task, _, ns in _waits(outcome) if task == name)


def _stalled_by(name: str, outcome: Outcome) -> int:
    return sum(ns for _, owner, ns in _waits(outcome) if owner == name)


def _in_hooks(name: str, outcome: Outcome) -> int:
    return sum(phase["hooks"].get(name, 0) for phase in _together(outcome))


def _huge_pages(outcome: Outcome) -> Number:
    counts = [count for phase in _together(outcome) for _, count in phase["huge_pages"]]
    return round(fmean(counts), 4) if counts else 0
