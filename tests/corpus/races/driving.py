"""Two tasks on a bench, and how far each goes.

A mutant may have a point that the model lacks, so a task is driven up to the first of several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from movable.conformance.bench import Bench
from movable.conformance.held import Held
from movable.errors import ContractViolation
from movable.hookspecs import MigrateMode
from movable.sched import Race, Task, point

PATIENCE = 2000
"""Steps after which a task is thought to wait for something that never comes."""
OUT = "pages are out"

Users = Callable[..., object]


def tasks(bench: Bench, user: Users, *args: Any) -> tuple[Task, Task]:
    """A compactor of everything, and somebody who uses the driver."""
    race = Race()
    return race.task("compactor", bench.memory.compact_memory), race.task("user", user, *args)


def holding(bench: Bench, mode: MigrateMode | None, user: Users, *args: Any) -> tuple[Task, Task]:
    """A compactor that stops at `OUT` with everything isolated, and then migrates, or with no
    *mode* puts everything back; and a user."""

    def compact() -> None:
        with Held(bench, bench.pages(), MigrateMode.SYNC if mode is None else mode) as held:
            point(OUT)
            if mode is not None:
                held.migrate()

    race = Race()
    return race.task("compactor", compact), race.task("user", user, *args)


def until(task: Task, *labels: str) -> None:
    """Run *task* up to its next point with one of *labels*, or to its end."""
    passed = len(task.labels)
    while not task.done and not set(labels) & set(task.labels[passed:]):
        task.race.advance(task)


def finish(bench: Bench, *ending: Task) -> None:
    """Run each to its end, and then who else is left; a task that does not end waits for ever."""
    for task in ending:
        for _ in range(PATIENCE):
            if task.done:
                break
            task.race.advance(task)
        else:
            detail = f"{task.name} comes to no end, though every isolation has ended"
            raise ContractViolation("D24", repr(bench.mapping), "with pages out", detail)
    ending[0].race.run()


def settle(bench: Bench) -> None:
    """Recount; then move everything once more, so that nothing was only put off."""
    bench.audit()
    bench.compact()
    bench.audit()
