"""`LockPoints`: in an exploration, locks and allocations are points, too.

So a race is found in a driver whose author has marked no points at all: what is not done under one
lock can be interrupted where the lock is let go of, and before it is taken.
"""

from __future__ import annotations

from collections.abc import Hashable

from movable.sched import lock_watch, tasks
from movable.sched.lock_watch import Watched

ALLOCATES = "allocates"
_labels: dict[Hashable, tuple[str, str]] = {}


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
        tasks.here.at_point(_named(lock)[0])

    def took(self, lock: Watched, shared: bool) -> None:
        """No point: nobody could do what he could not have done before."""

    def let_go(self, lock: Watched) -> None:
        """After a lock is let go of."""
        tasks.here.at_point(_named(lock)[1])

    def allocates(self) -> None:
        """Before memory is allocated."""
        tasks.here.at_point(ALLOCATES)


def _named(lock: Watched) -> tuple[str, str]:
    """The labels of its two points, which tell kinds of locks, not pages."""
    kind = lock.lock_class
    labels = _labels.get(kind)
    if labels is not None:
        return labels
    if isinstance(kind, (str, tuple)):
        labels = _labels[kind] = _new(kind if isinstance(kind, str) else str(kind[-1]))
        return labels
    return _new(type(lock).__name__)


def _new(name: str) -> tuple[str, str]:
    return f"wants {name}", f"let go of {name}"
