"""Who runs next: the strategies of an `Exploration`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from movable.sched.exploration import Exploration
    from movable.sched.runner import Runner

NEVER = 1 << 40
MOST_TASKS = 32
ROOM = 1 << 12
"""Random bytes that are drawn at once."""


class Fifo:
    """First come, first served: one schedule, in which only who has to wait is interrupted."""

    def begin(self, run: Exploration) -> None:
        """Nothing to ask."""
        run.ask_at = run.most_steps + 1

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Go on."""
        return None

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who came first."""
        return runnable[0]


class RandomWalk:
    """At each point any task that can go on, each as likely as the others."""

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)
        self._draws = [chain.from_iterable(self._drawn(others)) for others in range(MOST_TASKS)]

    def _drawn(self, others: int) -> Iterator[list[tuple[int, int]]]:
        """For ever: how many points pass until one of *others* is drawn, and which."""
        whom = bytes(byte % (others + 1) for byte in range(256))
        while True:
            drawn = self._random.randbytes(ROOM).translate(whom)
            places = [place for place, who in enumerate(drawn) if who]
            pairs = zip([-1, *places], places, strict=False)
            yield [(place - before, drawn[place] - 1) for before, place in pairs]

    def begin(self, run: Exploration) -> None:
        """Draw the first point at which somebody else is drawn."""
        others = len(run.queue) - 1
        run.ask_at = 1 + next(self._draws[others])[0] if others else NEVER

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """One of those who wait for their turn, unless they wait for more than that."""
        queue = run.queue
        points, which = next(self._draws[len(queue)])
        run.ask_at = run.steps + points
        other = queue[which]
        return other if other.ready is None or other.ready() else None

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Any."""
        return runnable[self._random.randrange(len(runnable))]


class Pct(Fifo):
    """Probabilistic concurrency testing (Burckhardt and others, ASPLOS 2010).

    Tasks have random priorities, and the highest that can go on runs; at *depth* - 1 random steps
    who runs becomes the lowest. A mistake that needs *depth* orderings to show is hit by one
    schedule in n * k**(depth - 1) at least, for n tasks and k steps.

    k is the length of the longest schedule so far: measured, not guessed.
    """

    def __init__(self, seed: int | str, depth: int = 3) -> None:
        self.depth = depth
        self._random = Random(seed)
        self._priority: dict[int, float] = {}
        self._changes = [NEVER]
        self._lowest = 0

    def begin(self, run: Exploration) -> None:
        """Draw priorities, and the steps at which they change."""
        draw = self._random.random
        self._priority = {task.number: draw() for task in run.tasks}
        self._lowest = 0
        self._changes = [NEVER]
        if run.longest:
            drawn = {1 + int(draw() * run.longest) for _ in range(self.depth - 1)}
            self._changes = [NEVER, *sorted(drawn, reverse=True)]

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """Who has a higher priority than *task* has, or has now."""
        step, mine = run.steps, self._of(task)
        if step >= self._changes[-1]:
            self._changes.pop()
            mine = self._demote(task)
        run.ask_at = step + 1 if run.waiting else self._changes[-1]
        best = None
        for other in run.queue:
            its = self._of(other)
            if its > mine and (other.ready is None or other.ready()):
                best, mine = other, its
        return best

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """Who has the highest priority."""
        return max(runnable, key=self._of)

    def _of(self, task: Runner) -> float:
        known = self._priority.get(task.number)
        if known is None:  # it was made by another task meanwhile
            known = self._priority[task.number] = self._random.random()
        return known

    def _demote(self, task: Runner) -> float:
        self._lowest -= 1
        self._priority[task.number] = self._lowest
        return self._lowest
