"""Who is told of every lock that is asked for, taken and let go of, and of every allocation.

The locks ask `if watchers` and no more, so that a lock that nobody watches costs what it did. Who
listens (`LockOrder`) learns from what is asked for, not from what collides.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol


class Watched(Protocol):
    """What every lock says about itself."""

    @property
    def called(self) -> str:
        """Its name in a sentence: "balloon_lock", "the lock of page 12"."""
        ...

    @property
    def kind(self) -> str:
        """What points at it are named by, which tell kinds of locks and not pages."""
        ...

    @property
    def lock_class(self) -> Hashable:
        """What it is ordered with others by: locks of one class obey the same order."""
        ...

    def __hash__(self) -> int: ...


class LockWatcher(Protocol):
    """Told by whoever runs (:func:`movable.sched.tasks.context`), before anybody else gets to."""

    def wants(self, lock: Watched, shared: bool, nested: bool) -> None:
        """*lock* is about to be taken by a call that waits if it must; here nothing has happened.

        *shared*: as a reader. *nested*: locks of its class may be taken in any order, since an
        acquire context sorts that out.
        """

    def let_go(self, lock: Watched) -> None:
        """*lock* was let go of, once."""

    def allocates(self) -> None:
        """Memory is about to be allocated by a call that may sleep, reclaim and compact."""


class LockTaker(Protocol):
    """Told of locks that are taken, too."""

    def took(self, lock: Watched, shared: bool) -> None:
        """*lock* was taken, by waiting for it or by trying."""


watchers: list[LockWatcher] = []
takers: list[LockTaker] = []
"""Apart, since most who watch need not know, and more locks are taken than waited for."""


def wants(lock: Watched, *, shared: bool = False, nested: bool = False) -> None:
    """Tell watchers; see :meth:`LockWatcher.wants`."""
    for watcher in tuple(watchers):
        watcher.wants(lock, shared, nested)


def took(lock: Watched, *, shared: bool = False) -> None:
    """Tell takers; see :meth:`LockTaker.took`."""
    for taker in tuple(takers):
        taker.took(lock, shared)


def let_go(lock: Watched) -> None:
    """Tell watchers; see :meth:`LockWatcher.let_go`."""
    for watcher in tuple(watchers):
        watcher.let_go(lock)


def allocates() -> None:
    """Tell watchers; see :meth:`LockWatcher.allocates`."""
    for watcher in tuple(watchers):
        watcher.allocates()
