"""Small races in which what came of an order can be told: for the tests of `Dpor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from movable import SpinLock
from movable.errors import Deadlock
from movable.page import Page
from movable.sched import point
from movable.sched.dpor import Dpor
from movable.sched.exploration import Exploration, Strategy
from movable.sched.lock_points import LockPoints
from movable.sched.runner import Runner
from movable.sched.strategies import Fifo

Log = dict[Any, str]
"""By what was touched: who touched it, in which order. Orders of one kind have the same."""
Work = Callable[[Log], None]


class Played(NamedTuple):
    """What came of all schedules."""

    schedules: int
    outcomes: set[str]
    complete: bool
    redundant: int


class Everything(Fifo):
    """Every order there is, one after the other."""

    def __init__(self) -> None:
        self.ways: list[tuple[int, int]] = []
        self._made = 0

    def __iter__(self) -> Iterator[Everything]:
        while True:
            yield self
            while self.ways and self.ways[-1][0] + 1 == self.ways[-1][1]:
                self.ways.pop()
            if not self.ways:
                return
            which, among = self.ways.pop()
            self.ways.append((which + 1, among))

    def begin(self, run: Exploration) -> None:
        self._made = run.ask_at = 0

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        run.ask_at = 0
        to = self.pick(run, [task, *(other for other in run.queue if other.runnable)])
        return None if to is task else to

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        if self._made == len(self.ways):
            self.ways.append((0, len(runnable)))
        self._made += 1
        return runnable[self.ways[self._made - 1][0]]


@contextmanager
def lock_points() -> Iterator[None]:
    """As a `Stage` has them."""
    points = LockPoints()
    points.start()
    try:
        yield
    finally:
        points.stop()


def play(run: Exploration, orders: Any, make: Callable[[], dict[str, Work]]) -> Played:
    """Play what *make* makes anew for each schedule."""
    outcomes, schedules = set(), 0

    def bound(work: Work, log: Log) -> Callable[[], None]:
        return lambda: work(log)

    with lock_points():
        order: Strategy
        for order in orders:
            log: Log = {}
            work = [(name, bound(one, log)) for name, one in make().items()]
            try:
                run.run(work, order)
                end = ""
            except Deadlock:
                end = "deadlock"
            outcomes.add(f"{end} {sorted(log.items(), key=str)}")
            schedules += 1
    kind = orders if isinstance(orders, Dpor) else None
    return Played(schedules, outcomes, bool(kind and kind.complete), kind.redundant if kind else 0)


def dpor(make: Callable[[], dict[str, Work]]) -> Played:
    run = Exploration()
    return play(run, Dpor(run), make)


class Touched(NamedTuple):
    """All that a point needs of a page."""

    pfn: int


def touch(name: str, log: Log, pfn: int) -> None:
    log[pfn] = log.get(pfn, "") + name
    page: Any = Touched(pfn)
    as_page: Page = page
    point("touched", as_page)


def pages(name: str, *pfns: int) -> tuple[str, Work]:
    """A task that touches one page after the other."""

    def work(log: Log) -> None:
        for pfn in pfns:
            touch(name, log, pfn)

    return name, work


def locks(name: str, *taken: SpinLock) -> tuple[str, Work]:
    """A task that takes one lock after the other."""

    def work(log: Log) -> None:
        for lock in taken:
            with lock:
                log[lock.name] = log.get(lock.name, "") + name

    return name, work
