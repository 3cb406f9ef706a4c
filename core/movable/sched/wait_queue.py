"""`WaitQueue` and `Completion`: sleeping until somebody says that something has changed.

A sleeper looks at its condition again only when it is woken. Who makes the condition true and wakes
nobody, or wakes before it is true, leaves it asleep: the lost wake-up, which a race shows as a
deadlock.

Follows include/linux/wait.h and kernel/sched/completion.c of Linux v6.1. Left out: exclusive
waiters, signals and timeouts.
"""

from __future__ import annotations

from collections.abc import Callable

from movable import sched
from movable.sched.tasks import Context, context, may_sleep


class WaitQueue:
    """Tasks that sleep until they are woken (`wait_queue_head_t`)."""

    def __init__(self, name: str = "wait queue") -> None:
        self.name = name
        self._waiting: list[Context] = []

    def __repr__(self) -> str:
        names = ", ".join(waiter.name for waiter in self._waiting)
        return f"<WaitQueue {self.name} [{names or 'nobody'}]>"

    def active(self) -> bool:
        """Somebody waits; the answer may be out of date at the next point (waitqueue_active())."""
        return bool(self._waiting)

    def wait_event(self, condition: Callable[[], bool]) -> None:
        """Sleep until *condition* holds; it is looked at now, and whenever somebody wakes.

        :raises ContractViolation: the caller must not sleep (L10).
        :raises Deadlock: outside a race nobody could wake it.
        """
        here = context()
        nap = Nap(self, condition)
        may_sleep(nap)
        try:
            while self._wait_in_line(here, condition):
                sched.wait_for(lambda: here not in self._waiting, nap)
        finally:
            self._leave(here)

    def wake_up(self) -> None:
        """Wake everybody who waits, to look at their conditions again (wake_up())."""
        self._waiting.clear()

    def _wait_in_line(self, here: Context, condition: Callable[[], bool]) -> bool:
        """Stand in line first and look then, so that a wake-up in between is not lost."""
        if here not in self._waiting:
            self._waiting.append(here)
        return not condition()

    def _leave(self, here: Context) -> None:
        if here in self._waiting:
            self._waiting.remove(here)


class Nap:
    """Why a task sleeps in a `WaitQueue`, for reports."""

    def __init__(self, queue: WaitQueue, condition: Callable[[], bool]) -> None:
        self.queue, self.condition = queue, condition

    def __str__(self) -> str:
        return f"somebody to wake {self.queue!r}{self._lost}"

    @property
    def called(self) -> str:
        """What is waited for, in a sentence."""
        return f"somebody to wake {self.queue.name}{self._lost}"

    @property
    def _lost(self) -> str:
        return ", though its condition holds: the wake-up was lost" if self.condition() else ""


class Completion:
    """One event or several, each of which lets one waiter go on (`struct completion`)."""

    def __init__(self, name: str = "completion") -> None:
        self.wait_queue = WaitQueue(name)
        self._done = 0
        self._for_all = False

    def __repr__(self) -> str:
        state = "done for all" if self._for_all else f"{self._done} done"
        return f"<Completion {self.wait_queue.name} [{state}]>"

    def complete(self) -> None:
        """It has happened once: one waiter, now or later, goes on (complete())."""
        self._done += 1
        self.wait_queue.wake_up()

    def complete_all(self) -> None:
        """It has happened for everybody, now and later (complete_all())."""
        self._for_all = True
        self.wait_queue.wake_up()

    def wait_for_completion(self) -> None:
        """Sleep until it has happened, and use that up (wait_for_completion())."""
        self.wait_queue.wait_event(self.done)
        self._use_up()

    def try_wait_for_completion(self) -> bool:
        """Use it up if it has happened, and say whether it had; never sleeps."""
        return self.done() and self._use_up()

    def done(self) -> bool:
        """It has happened, and nobody has used it up (completion_done())."""
        return self._for_all or self._done > 0

    def reinit(self) -> None:
        """As if it had never happened (reinit_completion())."""
        self._done, self._for_all = 0, False

    def _use_up(self) -> bool:
        self._done -= 1
        return True
