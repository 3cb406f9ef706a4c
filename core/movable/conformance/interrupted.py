"""`Interrupted`: users at work while a compactor holds pages, as two tasks in a fixed order.

Two tasks, since a driver may have to wait until the VM is done, or the VM for a lock of the
driver's; one after the other, so that each run is the same. All that users do in such a scene is
one task's, since a driver may keep a lock from one operation to the next.
"""

from __future__ import annotations

from collections.abc import Callable

from movable.conformance.bench import Bench
from movable.conformance.held import Held
from movable.errors import ContractViolation, Deadlock
from movable.sched import Race, Task, point

READY, OUT, DONE = "users are ready", "pages are out", "users have done it"
PATIENCE = 2_000
"""Steps after which a task that goes round and round is thought to wait."""
ENDLESS = 20_000
"""Steps after which a task that nobody keeps waiting is thought to come to no end."""

Work = Callable[[], None]


class Interrupted:
    """Users do *first*, then *meanwhile* with the VM holding every page it could get, then *last*.

    *end* is what the compactor does when users have done what they could do *meanwhile*:
    "migrate", or "put back" at once.
    """

    held: Held

    def __init__(self, bench: Bench, end: str, first: Work, meanwhile: Work, last: Work) -> None:
        self.bench, self.end = bench, end
        self._work = (first, meanwhile, last)
        self.race = Race()
        self.waited = False
        """Users could do *meanwhile* only once the compactor was done."""

    def __repr__(self) -> str:
        return f"<Interrupted [{len(self.held.pages)} pages, then {self.end}]>"

    def play(self, look: Callable[[Interrupted], None]) -> None:
        """Play the scene; *look* is called before the compactor goes on.

        :raises ContractViolation: one of the tasks cannot come to its end.
        """
        users = self.race.task("users", self._use)
        users.until(READY)
        compactor = self.race.task("compactor", self._compact)
        compactor.until(OUT)
        self._let_users_do_what_they_can(users)
        look(self)
        self._finish(compactor, "I19", "and wait for each other")
        self._finish(users, "D24", "though every isolation has ended")
        self.race.run()

    def _use(self) -> None:
        first, meanwhile, last = self._work
        first()
        point(READY)
        meanwhile()
        point(DONE)
        last()

    def _compact(self) -> None:
        with Held(self.bench, self.bench.pages()) as self.held:
            point(OUT)
            if self.end == "migrate":
                self.held.migrate()

    def _let_users_do_what_they_can(self, users: Task) -> None:
        for _ in range(PATIENCE):
            if not users.runnable or users.labels[-1] == DONE:
                break
            self.race.advance(users)
        self.waited = users.labels[-1] != DONE

    def _finish(self, task: Task, rule: str, how: str) -> None:
        try:
            for _ in range(ENDLESS):
                if task.done:
                    return
                self.race.advance(task)
        except Deadlock as stuck:
            raise self._stuck(rule, str(stuck)) from stuck
        tasks = " and ".join(task.name for task in self.race.tasks if not task.done)
        raise self._stuck(rule, f"{tasks} come to no end, {how}")

    def _stuck(self, rule: str, detail: str) -> ContractViolation:
        return ContractViolation(rule, repr(self.bench.mapping), "with pages out", detail)
