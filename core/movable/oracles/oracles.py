"""`Oracles`: all of them together, as a search through schedules needs them.

::

    oracles = Oracles(memory, [balloon])
    oracles.attach()
    for schedule in schedules:
        ...  # memory and driver as they were
        oracles.reset()
        ...  # play it: what breaks a rule raises at its point
        oracles.at_end()
    oracles.verdict()
    oracles.detach()
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

from movable import sched
from movable.errors import AuditFailed, ContractViolation, Deadlock
from movable.invariant import Invariant, invariants
from movable.mapping import AddressSpace
from movable.mm.memory import Memory
from movable.observers.contract import Contract
from movable.oracles.conservation import Conservation
from movable.oracles.contents import Contents
from movable.oracles.discipline import nothing_held
from movable.oracles.doors import Doors
from movable.oracles.progress import Progress
from movable.oracles.teardown import Teardown
from movable.page import Page
from movable.sched.tasks import Context

Audits = Literal["at rest", "at the end", "never"]


class Watched:
    """One driver, and what is held against it."""

    def __init__(self, memory: Memory, driver: Any) -> None:
        self.driver, self.mapping = driver, driver.mapping
        self.doors, self.contents = Doors(driver), Contents(memory, driver)
        self.progress = Progress(self.mapping)
        self.teardown = Teardown(memory, driver)
        declared = invariants(driver)
        self.always = tuple(one for one in declared if one.always)
        self.at_rest = tuple(one for one in declared if not one.always)
        self.stirred = False
        """Somebody was inside, and it has not been at rest since."""

    def __repr__(self) -> str:
        return f"<Watched {self.mapping.name}>"

    def reset(self) -> None:
        """A schedule begins."""
        self.doors.reset()
        self.contents.reset()
        self.progress.reset()
        self.teardown.gone, self.stirred = False, True

    def hold(self, one: Invariant, call: str) -> None:
        """Ask *one* of the driver's invariants.

        :raises ContractViolation: it does not hold.
        """
        try:
            problem = one.problem(self.driver)
        except AuditFailed as error:
            problem = error.problem
        if problem is not None:
            detail = f"{one.name}: {problem}"
            raise ContractViolation("I20", repr(self.mapping), call, detail)


class Oracles:
    """Hold *memory* and its *drivers* to every rule, in schedule after schedule.

    :param audits: when drivers' invariants are asked and contents read back: whenever a driver
        comes to rest, at the end of a schedule, or never (what must hold always is always asked).
        It is what takes most of the time, and how long is for the drivers to say.
    """

    def __init__(
        self, memory: Memory, drivers: Iterable[Any], *, audits: Audits = "at rest"
    ) -> None:
        self.memory, self.audits = memory, audits
        self.often = audits == "at rest"
        self.contract = Contract()
        self.conservation = Conservation(memory)
        self.watched = [Watched(memory, driver) for driver in drivers]
        self._by_mapping = {one.mapping: one for one in self.watched}
        self._watchers = [self._asking(one, rule) for one in self.watched for rule in one.always]
        if self.often:
            self._watchers.append(self._settle_at)

    def __repr__(self) -> str:
        return f"<Oracles [{', '.join(one.mapping.name for one in self.watched)}]>"

    def attach(self) -> None:
        """Watch from now on; everybody is at rest."""
        for one in self.watched:
            one.mapping.attach(self.contract)
            one.doors.open()
            one.doors.entered = partial(self._entered, one)
            one.doors.left = partial(self._left, one)
        self.contract.judges.append(self._judge)
        for watcher in self._watchers:
            sched.subscribe(watcher)
        self.reset()

    def detach(self) -> None:
        """Undo :meth:`attach`."""
        for watcher in self._watchers:
            sched.unsubscribe(watcher)
        self.contract.judges.remove(self._judge)
        for one in self.watched:
            one.doors.close()
            one.mapping.detach(self.contract)

    def reset(self) -> None:
        """A schedule begins, with memory and drivers as they were: forget the one before."""
        self.contract.reset()
        for one in self.watched:
            one.reset()
        self._settle_all("at the start")

    def at_end(self, tasks: Iterable[Context] = ()) -> None:
        """Everybody is done: recount everything, and read what is left.

        :param tasks: who was at work, whose spinning locks are looked for.
        :raises ContractViolation: something does not add up, or is still held.
        """
        call = "at the end"
        self.memory.raise_fault()  # of a page that was freed when the VM was not at work
        self.contract.check_at_rest()
        nothing_held((one.driver for one in self.watched), tasks)
        self.conservation.check(call)
        for one in self.watched if self.audits != "never" else ():
            one.contents.settle(call)
            for rule in (*one.always, *one.at_rest):
                one.hold(rule, call)
            one.contents.survive(call)

    def verdict(self) -> None:
        """After all schedules: in some of them pages have moved.

        :raises ContractViolation: a driver was asked and asked, and none did.
        """
        for one in self.watched:
            one.progress.verdict()

    def stuck(self, deadlock: Deadlock) -> ContractViolation:
        """What to raise when a schedule cannot go on: everybody waits for another (I19)."""
        names = ", ".join(one.mapping.name for one in self.watched)
        return ContractViolation("I19", names, "the schedule", f"nobody can go on: {deadlock}")

    # While a schedule is played.

    def _asking(self, one: Watched, rule: Invariant) -> sched.Watcher:
        """Who holds *one* to what must always be so."""
        ask = getattr(one.driver, rule.name)

        def watch(label: str, page: Page | None) -> None:
            try:
                answer = ask()
            except (AssertionError, AuditFailed):
                answer = False
            if answer is not None and answer is not True:
                one.hold(rule, f"point {label!r}")

        return watch

    def _settle_at(self, label: str, page: Page | None) -> None:
        for one in self.watched:
            if one.stirred and not one.doors.inside:
                self._settle(one, f"point {label!r}")

    def _entered(self, one: Watched, name: str) -> None:
        one.teardown.begins()
        if not one.doors.inside:
            if self.often and one.stirred:
                self._settle(one, f"before {one.mapping.name}.{name}")
            one.contents.changing()
        one.stirred = True

    def _left(self, one: Watched, name: str) -> None:
        if one.doors.inside:
            return  # a device that somebody else still uses is not gone
        hooks = [page for _, _, page, _ in self.contract.inside if page.mapping is one.mapping]
        one.teardown.returned(name, hooks)
        if self.often:
            self._settle(one, f"after {one.mapping.name}.{name}")

    def _judge(self, hook: str, mapping: AddressSpace, page: Page, answer: Any) -> None:
        one = self._by_mapping[mapping]
        one.stirred = True
        one.teardown.asked(hook, page)
        one.progress.judge(hook, page, answer, not one.doors.inside)
        if hook == "migratepage" and not answer:
            one.contents.moved(page.pfn)

    def _settle_all(self, call: str) -> None:
        for one in self.watched:
            if self.often:
                self._settle(one, call)

    def _settle(self, one: Watched, call: str) -> None:
        """If *one* is at rest, see to it that everything adds up."""
        if self.contract.inside or not self.contract.quiet or not one.doors.empty:
            return
        one.stirred = False
        one.contents.settle(call)
        self.contract.check_counts(call)
        for rule in one.at_rest:
            one.hold(rule, call)
