"""`LockPoints`: in an exploration, locks and allocations are points, too.

So a race is found in a driver whose author has marked no points at all: what is not done under one
lock can be interrupted where the lock is let go of, and before it is taken.
"""

from __future__ import annotations

from movable.sched import lock_watch, tasks
from movable.sched.lock_watch import Watched

ALLOCATES = "allocates"


class _Labels(dict[str, tuple[str, str]]):
    """By kind of lock: its two points."""

    def __missing__(self, kind: str) -> tuple[str, str]:
        labels = self[kind] = f"wants {kind}", f"let go of {kind}"
        return labels


_LABELS = _Labels()


class LockPoints:
    """Watches while it is started (:meth:`start`, :meth:`stop`)."""

    def start(self) -> None:
        """From now on tasks can be interrupted at locks."""
        lock_watch.watchers.append(self)

    def stop(self) -> None:
        """Undo :meth:`start`."""
        lock_watch.watchers.remove(self)

    def wants(self, lock: Watched, shared: bool, nested: bool) -> None:
        """Before a lock is taken, if need be by waiting for it."""
        tasks.here.at_point(_LABELS[lock.kind][0])

    # When it was taken is no point: nobody could do then what he could not have done before.

    def let_go(self, lock: Watched) -> None:
        """After a lock is let go of."""
        tasks.here.at_point(_LABELS[lock.kind][1])

    def allocates(self) -> None:
        """Before memory is allocated."""
        tasks.here.at_point(ALLOCATES)
