"""Simulated CPUs: points where another may run, the locks they share, and races between them.

`point(label, page)` is two things in one. In a race it is where the running task may be
interrupted. For an observer it is the VM's event: the contract checker sees what happens between a
driver's calls only through points. Outside a race, and with nobody watching, it returns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from movable.sched import tasks
from movable.sched.clock import Clock
from movable.sched.lock_order import LockOrder
from movable.sched.locks import Mutex, RwLock, SpinLock
from movable.sched.race import Race
from movable.sched.tasks import Task, current, may_sleep, wait_until
from movable.sched.timer import Timer, sleep
from movable.sched.wait_queue import Completion, WaitQueue
from movable.sched.work import WorkQueue
from movable.sched.ww_mutex import WwAcquireCtx, WwClass, WwMutex

if TYPE_CHECKING:
    from movable.page import Page

    Watcher = Callable[[str, Page | None], None]

__all__ = [
    "SLEEPS",
    "Clock",
    "Completion",
    "LockOrder",
    "Mutex",
    "Race",
    "RwLock",
    "SpinLock",
    "Task",
    "Timer",
    "WaitQueue",
    "WorkQueue",
    "WwAcquireCtx",
    "WwClass",
    "WwMutex",
    "active",
    "current",
    "point",
    "races_end",
    "relax",
    "sleep",
    "steps",
    "subscribe",
    "unsubscribe",
    "wait_for",
]

SLEEPS = "sleeps"
"""What watchers are told, with no page, when the running task is about to sleep."""

active = False
"""A race runs or somebody watches; while it is false, points are nothing."""

_watchers: tuple[Watcher, ...] = ()
_races = 0


def point(label: str, page: Page | None = None) -> None:
    """Mark a place where another simulated CPU may run, and tell watchers what just happened.

    Name it by what has been done so far ("reference taken"), not by what comes next.
    """
    if active:
        for watcher in _watchers:
            watcher(label, page)
        tasks.here.at_point(label)


def relax(label: str, page: Page | None = None) -> None:
    """A point in a loop that only waits for others to do something (cpu_relax()): they go first."""
    if active:
        for watcher in _watchers:
            watcher(label, page)
        tasks.here.step_aside(label)


def subscribe(watcher: Watcher) -> None:
    """Have *watcher* called at every point, before another task gets to run."""
    global _watchers  # noqa: PLW0603  # a tuple, since each point walks along it
    _watchers = (*_watchers, watcher)
    _update()


def unsubscribe(watcher: Watcher) -> None:
    """Undo :func:`subscribe`."""
    global _watchers  # noqa: PLW0603
    kept = list(_watchers)
    kept.remove(watcher)
    _watchers = tuple(kept)
    _update()


def wait_for(condition: Callable[[], bool], what: object) -> None:
    """Sleep until *condition* holds; *what* says in messages what is waited for.

    :raises Deadlock: nobody is left who could bring it about.
    :raises ContractViolation: a spinning lock is held (L10).
    """
    may_sleep(what)
    if not condition():
        for watcher in _watchers:
            watcher(SLEEPS, None)
        wait_until(condition, what)


def steps() -> int:
    """How often a race has switched to a task: if it has not grown, nobody else ran meanwhile."""
    return tasks.switches


def enter_race() -> None:
    """From now on tasks run."""
    global _races  # noqa: PLW0603
    _races += 1
    _update()


def leave_race() -> None:
    """No task runs any more."""
    global _races  # noqa: PLW0603
    _races -= 1
    _update()


@contextmanager
def races_end() -> Iterator[None]:
    """Whoever is left in the middle of a race by then is left there for good."""
    global _races
    before = _races
    try:
        yield
    finally:
        _races, tasks.here = before, tasks.MAIN
        _update()


def _update() -> None:
    global active  # noqa: PLW0603  # points read it, so it must be as cheap as a name can be
    active = bool(_watchers or _races)
