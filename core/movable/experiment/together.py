"""`do = "together"`: tasks that work at the same time, in simulated time.

Each task goes through phases of its own again and again. Beside them daemons are at work
(background.py). What everything takes stands in costs.py, who runs when in sched/timeline.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from movable import sched
from movable.errors import OutOfMemory
from movable.experiment import model
from movable.experiment.background import Background
from movable.experiment.costs import Costs
from movable.experiment.seeds import derived, generator
from movable.experiment.steps import Step, has, tasks
from movable.hookspecs import hookimpl
from movable.sched.clock import Clock
from movable.sched.lock_points import LockPoints
from movable.sched.timeline import HUNG, SECOND, Timeline

if TYPE_CHECKING:
    from movable.experiment.phases import Stage
    from movable.machine import Machine

SAMPLES = 100
"""How often the huge pages are counted meanwhile."""
Timed: TypeAlias = Generator[None, Any, Any]
QUANTILES = {"p50": 50, "p95": 95, "p99": 99, "max": 100}


@dataclass
class Done:
    """What one task has done."""

    times: list[int] = field(default_factory=list)
    """How long each round took, in ns."""
    sums: Counter[str] = field(default_factory=Counter)
    """What its phases report, added up."""


class Timekeeper:
    """Says in whose code a compactor is, and for how long."""

    def __init__(self, timeline: Timeline, owner: str, hooks: Counter[str]) -> None:
        self.timeline, self.owner, self.hooks = timeline, owner, hooks

    def __repr__(self) -> str:
        return f"<Timekeeper of {self.owner} [{self.hooks[self.owner]} ns]>"

    @hookimpl(wrapper=True)
    def isolate_page(self) -> Timed:
        return (yield from self._timed())

    @hookimpl(wrapper=True)
    def migratepage(self) -> Timed:
        return (yield from self._timed())

    @hookimpl(wrapper=True)
    def putback_page(self) -> Timed:
        return (yield from self._timed())

    def _timed(self) -> Timed:
        with self.timeline.inside(self.owner) as turn:
            began = turn.clock
            try:
                return (yield)
            finally:
                self.hooks[self.owner] += turn.clock - began


class Together:
    """One such phase on one machine."""

    def __init__(self, stage: Stage, step: Step, phase: model.Together) -> None:
        self.stage, self.machine, self.step, self.phase = stage, stage.machine, step, phase
        seed = derived(stage.seed, "time", *step.seeds)
        asked = stage.plan.experiment.machine
        prices = Costs(self.machine, asked.costs)
        self.timeline = Timeline(prices, asked.cpus, seed, clocks_of(self.machine))
        self.tasks = tasks(phase, stage.plan.variant)
        self.end = int(phase.seconds * SECOND)
        self.timeline.limit = self.end + HUNG
        self.done = {task.name: Done() for _, task in self.tasks}
        self.hooks = Counter[str]()
        """By driver: how long compactors were in its hooks, in ns."""
        self.background = Background(self.machine, self.timeline, self.end // SAMPLES)

    def run(self) -> dict[str, Any]:
        """Do it, and say what came of it."""
        with ExitStack() as stack:
            stack.enter_context(self.background)
            self._watch(stack)
            self.timeline.play(self._work(), self.background.tasks())
        return self._report()

    def _watch(self, stack: ExitStack) -> None:
        points = LockPoints()
        points.start()
        stack.callback(points.stop)
        for name, driver in self.machine.drivers.items():
            keeper = Timekeeper(self.timeline, name, self.hooks)
            driver.mapping.attach(keeper)
            stack.callback(driver.mapping.detach, keeper)

    # The tasks.

    def _work(self) -> list[tuple[str, Callable[[], None]]]:
        return [(task.name, partial(self._go_round, task, number)) for number, task in self.tasks]

    def _go_round(self, task: model.Task, number: int) -> None:
        """A task: round after round, each at its time, or at once if that has passed."""
        timeline, interval = self.timeline, int(task.interval * SECOND)
        random = generator(self.stage.seed, "offset", *self.step.seeds, number)
        due = int(interval * random.random())
        for again in range(task.times) if task.times else count():
            timeline.sleep(due - timeline.reached())
            began = timeline.reached()
            if began >= self.end:
                return
            for inner, phase in enumerate(task.phases):
                if has(phase, self.stage.plan.variant):
                    self._do(task, Step((*self.step.where, number, inner), phase, again))
            self.done[task.name].times.append(timeline.reached() - began)
            due = max(due + interval, began)

    def _do(self, task: model.Task, step: Step) -> None:
        sums = self.done[task.name].sums
        owner = step.phase.do.partition(".")[0] if isinstance(step.phase, model.Operation) else ""
        try:
            if isinstance(step.phase, model.Wait):
                self.timeline.sleep(int(step.phase.seconds * SECOND))
                return
            with self.timeline.inside(owner) if owner else nullcontext():
                done = self.stage.perform(step)
        except OutOfMemory:
            done = {"out_of_memory": 1}
        # Whether a request had to wait is counted for all tasks together (vmstat.allocstall).
        numbers = {name: n for name, n in done.items() if isinstance(n, int) and name != "stalls"}
        sums.update(numbers)
        sched.point("phase done")

    # The report.

    def _report(self) -> dict[str, Any]:
        tasks = {name: self._task(name, done) for name, done in self.done.items()}
        totals = ("allocated", "failed", "in_single_pages")
        sums = {total: sum(done.sums[total] for done in self.done.values()) for total in totals}
        return {
            "ns": self.timeline.now,
            "steps": self.timeline.steps,
            **{total: number for total, number in sums.items() if number},
            "tasks": tasks,
            "stalled": self._stalled(),
            "hooks": dict(self.hooks),
            "huge_pages": self.background.huge_pages,
        }

    def _task(self, name: str, done: Done) -> dict[str, Any]:
        taken = np.array(done.times or [0])
        quantiles = np.percentile(taken, list(QUANTILES.values()), method="higher").tolist()
        times = dict(zip(QUANTILES, map(int, quantiles), strict=True))
        return {"rounds": len(done.times), "ns": times, **done.sums}

    def _stalled(self) -> dict[str, dict[str, dict[str, int]]]:
        """By task, driver and what was waited for, in ns."""
        found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        for (task, owner, what), ns in sorted(self.timeline.stalled.items()):
            found[task][owner][what] = ns
        return {task: dict(owners) for task, owners in found.items()}


def clocks_of(machine: Machine) -> list[Clock]:
    """What the drivers' timers go by: the clocks that are attributes of theirs."""
    owners = (machine.memory, *machine.drivers.values())
    found = (value for owner in owners for value in vars(owner).values())
    return list(dict.fromkeys(value for value in found if isinstance(value, Clock)))
