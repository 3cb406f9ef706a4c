"""`WorkQueue`: work that a driver leaves for later, because it cannot do it where it is.

zsmalloc frees an emptied zspage so, when it cannot get all the page locks at once.

Follows kernel/workqueue.c of Linux v6.1.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

from movable.sched.clock import Clock
from movable.sched.race import Race
from movable.sched.tasks import current, wait_until

Work = Callable[[], object]
_waiting: WeakKeyDictionary[WorkQueue, None] = WeakKeyDictionary()
"""Queues with pending work, in the order in which they came to have some."""


def flush_work() -> int:
    """Let everything that is pending in any queue be done; how many works that was at least."""
    done = 0
    while (queue := next(iter(_waiting), None)) is not None:
        done += len(queue)
        queue.flush()
    return done


def pass_time(clock: Clock, ns: int) -> int:
    """Let *ns* nanoseconds pass, and what timers leave for later be done when they do; how many
    works that was at least.

    Work that takes its time may end later than that.
    """
    until, done = clock.now + ns, flush_work()
    while (expiry := clock.next_expiry(until)) is not None:
        clock.advance(max(0, expiry - clock.now))
        done += flush_work()
    clock.advance(max(0, until - clock.now))
    return done


class WorkQueue:
    """Work in the order it was queued (`struct workqueue_struct`, ordered).

    In a race the work is a task of its own, named after the queue. Outside a race nothing runs
    before :meth:`flush`.
    """

    def __init__(self, name: str = "kworker") -> None:
        self.name = name
        self._pending: deque[Work] = deque()
        self._running: Work | None = None
        self._cancelled: list[Work] = []
        """Work that somebody waits for the end of."""
        self._worked_by: Race | None = None

    def __repr__(self) -> str:
        return f"<WorkQueue {self.name} [{len(self._pending)} pending]>"

    def __len__(self) -> int:
        return len(self._pending)

    def queue(self, work: Work) -> bool:
        """Have *work* called later; `False` if it is pending already, or being cancelled
        (queue_work()).

        Work that has begun is no longer pending, and so can queue itself again.
        """
        if work in self._pending or work in self._cancelled:
            return False
        self._pending.append(work)
        _waiting[self] = None
        self._employ_worker()
        return True

    def cancel(self, work: Work) -> bool:
        """Have *work* not called, and return when it does not run; whether it was pending
        (cancel_work_sync()).

        While it is waited for, nobody can queue it, itself neither.
        """
        was_pending = work in self._pending
        if was_pending:
            self._pending.remove(work)
            if not self._pending:
                _waiting.pop(self, None)
        self._cancelled.append(work)
        try:
            wait_until(lambda: self._running != work, self)
        finally:
            self._cancelled.remove(work)
        return was_pending

    def flush(self) -> None:
        """Return when nothing is pending and nothing runs (flush_workqueue())."""
        self._employ_worker()
        if not current():
            self._work()
        wait_until(lambda: not (self._pending or self._running), self)

    def _employ_worker(self) -> None:
        """In a race, see to it that a task of that race does what is pending."""
        task = current()
        if task and self._pending and self._worked_by is not task.race:
            self._worked_by = task.race
            task.race.task(self.name, self._work)

    def _work(self) -> None:
        while self._pending and not self._running:
            self._running = self._pending.popleft()
            try:
                self._running()
            finally:
                self._running = None
        self._worked_by = None
        if not self._pending:
            _waiting.pop(self, None)
