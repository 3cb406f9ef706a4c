"""`ByTime`: who runs next is who would, on a machine where each step takes its time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, cast

from movable.sched import tasks

if TYPE_CHECKING:
    from movable.sched.exploration import Exploration
    from movable.sched.runner import Runner

LOCK, HAND_OVER, STEP = 5, 70, 60
"""Nanoseconds: a lock that nobody else wants is taken or let go of; one that somebody waited for
comes from another CPU; anything that is not told, about one cache line that is cold."""
LOCK_LABELS = ("wants ", "let go of ")
SPREAD = (0.5, 3.0)
"""By what a step's time is multiplied, at random: caches are warm or cold."""
APART = 2_000
"""Nanoseconds within which tasks begin."""


class ByTime:
    """Each task has a clock of its own, and the one that is furthest behind runs.

    What comes out are orders that are likely on a machine, where the other strategies look for
    those that are not: long steps are often interrupted by several short ones, and short ones
    hardly ever.

    :param costs: nanoseconds that it takes to get to the point of a label.
    """

    def __init__(self, seed: int | str, costs: Mapping[str, int]) -> None:
        self._random = Random(seed)
        self._costs = dict(costs)
        self._clocks: dict[int, float] = {}
        self._woken: set[int] = set()
        self._now = 0.0

    def begin(self, run: Exploration) -> None:
        """Tasks begin shortly after one another, in any order."""
        run.ask_at = 0
        self._clocks = {task.number: self._random.random() * APART for task in run.tasks}
        self._woken.clear()
        self._now = 0.0

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who is further behind than *task*."""
        run.ask_at = run.steps + 1
        self._spend(task)
        to = min((task, *self._able(run.queue)), key=self._clock)
        return None if to is task else to

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who is furthest behind."""
        if tasks.here is not tasks.MAIN:
            self._spend(cast("Runner", tasks.here))
        self._able(run.queue)
        return min(runnable, key=self._clock)

    def _spend(self, task: Runner) -> None:
        cost = self._cost(task.at) * self._random.uniform(*SPREAD)
        self._now = self._clocks[task.number] = self._clock(task) + cost

    def _cost(self, label: str) -> int:
        cost = self._costs.get(label)
        if cost is None:
            cost = self._costs[label] = LOCK if label.startswith(LOCK_LABELS) else STEP
        return cost

    def _clock(self, task: Runner) -> float:
        """When *task* goes on; one that was made meanwhile begins then."""
        return self._clocks.setdefault(task.number, self._now)

    def _able(self, queue: Sequence[Runner]) -> list[Runner]:
        """Who can go on. Whose wait is over has not been able to before now."""
        able = [task for task in queue if task.runnable]
        over = {task.number for task in able if task.ready is not None}
        for number in over - self._woken:
            self._clocks[number] = max(self._clocks.get(number, 0), self._now) + HAND_OVER
        self._woken = over
        return able
