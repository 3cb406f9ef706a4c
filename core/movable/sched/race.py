"""`Race`: several tasks over the same memory, in an order that is written down.

A race test reads as a numbered list: run this one until there, then that one to its end. What
`run` does by itself is first come, first served: each task goes to the next point in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from movable import sched
from movable.errors import BadInput, Deadlock
from movable.sched.tasks import Task, current


class Race:
    """Simulated CPUs that take turns at points; the same calls give the same interleaving.

    ::

        race = Race()
        compactor = race.task("compactor", memory.compact_memory)
        guest = race.task("guest", balloon.deflate, 1)

        compactor.until("reference taken")
        guest.finish()
        compactor.finish()
    """

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        """All tasks, in the order they were made."""
        self._queue: list[Task] = []

    def __repr__(self) -> str:
        return f"<Race [{', '.join(map(repr, self.tasks))}]>"

    def task(self, name: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Task:
        """A further simulated CPU, which will call *fn* when it is first run."""
        task = Task(self, name, partial(fn, *args, **kwargs))
        self.tasks.append(task)
        self._queue.append(task)
        return task

    def run(self) -> None:
        """Run all tasks to their ends, each to its next point in turn."""
        while self._queue:
            self._step(self._first_runnable(self._queue))

    def advance(self, task: Task) -> None:
        """One step for *task*; while it has to wait, for the first of the others.

        Who has not begun yet holds nothing, and so comes last.
        """
        others = sorted(self._queue, key=lambda other: not other.started)
        self._step(task if task.runnable else self._first_runnable(others))

    def _first_runnable(self, tasks: list[Task]) -> Task:
        for task in tasks:
            if task.runnable:
                return task
        raise Deadlock("; ".join(f"{task.name} {task.waits_for}" for task in tasks))

    def _step(self, task: Task) -> None:
        if current():
            raise BadInput(f"task {task.name}", "is driven from inside another task of a race")
        sched.enter_race()
        try:
            task.step()
        finally:
            sched.leave_race()
            self._queue.remove(task)
            if not task.done:
                self._queue.append(task)
