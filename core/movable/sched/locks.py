"""The kernel's locks for drivers: `Mutex`, `SpinLock` and `RwLock`, under the kernel's verbs.

Each knows who holds it, so that a wait that cannot end is reported with lock and owner. A holder of
a `SpinLock` or `RwLock` must not sleep, that is, must not lock a `Mutex` or a page (rule L10).

Follows kernel/locking/mutex.c, include/linux/spinlock.h and include/linux/rwlock.h of Linux v6.1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from types import TracebackType
from weakref import ref

from movable import sched
from movable.errors import ContractViolation
from movable.sched import lock_watch, tasks
from movable.sched.lock_watch import takers, watchers
from movable.sched.tasks import Context, may_sleep, wait_until


def not_held(lock: object, call: str) -> ContractViolation:
    """What to raise when somebody lets go of a lock that he does not hold."""
    detail = f"by {tasks.here.name}, which does not hold it"
    return ContractViolation("L11", repr(lock), call, detail)


class Named:
    """What all locks say about themselves in reports."""

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.kind = name or type(self).__name__
        """What points at it are named by."""

    @property
    def called(self) -> str:
        """Its name in a sentence."""
        return self.name or f"a {type(self).__name__} without a name"

    @property
    def lock_class(self) -> Hashable:
        """Locks of one kind and name obey one order; one without a name is by itself."""
        return (type(self).__name__, self.name) if self.name else self


class Lock(Named, ABC):
    """What `Mutex` and `SpinLock` share: one owner at a time."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._owner: Context | None = None
        self._me = ref(self)

    def __repr__(self) -> str:
        kind = type(self).__name__ + (f" {self.name}" if self.name else "")
        return f"<{kind} [{'held by ' + self._owner.name if self._owner else 'free'}]>"

    def __enter__(self) -> None:
        self.lock()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unlock()

    @property
    def owner(self) -> Context | None:
        """Who holds it: a task, or "main" outside a race."""
        return self._owner

    @property
    def holders(self) -> list[Context]:
        """Everybody who must let go before somebody else gets it."""
        return [self._owner] if self._owner else []

    def is_locked(self) -> bool:
        """Somebody holds it; the answer may be out of date at the next point."""
        return self._owner is not None

    @abstractmethod
    def lock(self) -> None:
        """Take the lock, waiting until it is free."""

    def trylock(self) -> bool:
        """Take the lock if it is free, and say whether it was; never waits."""
        if self._owner is not None:
            return False
        self._owner = tasks.here
        if takers:
            lock_watch.took(self)
        return True

    def unlock(self) -> None:
        """Let go of the lock, which only its owner may."""
        if self._owner is not tasks.here:
            raise not_held(self, "unlock")
        self._owner = None
        if watchers:
            lock_watch.let_go(self)


class Mutex(Lock):
    """A lock whose waiters sleep (`struct mutex`).

    In `isolate_page` and `migratepage` use :meth:`trylock`: the allocation that started this
    compaction may have been made by whoever holds the mutex (rules D08 and L05).
    """

    def lock(self) -> None:
        """Take the mutex, sleeping until it is free (mutex_lock())."""
        may_sleep(self)
        if watchers:
            lock_watch.wants(self)
        if not self.trylock():
            sched.wait_for(lambda: self._owner is None, self)
            self.trylock()


class Spun(Named):
    """What locks share whose waiters spin."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._spinning = 0

    def is_contended(self) -> bool:
        """Somebody spins for it, so who holds it may want to let go (spin_is_contended(),
        rwlock_is_contended())."""
        return self._spinning > 0

    def _spin_until(self, free: Callable[[], bool]) -> None:
        self._spinning += 1
        try:
            wait_until(free, self)
        finally:
            self._spinning -= 1


class SpinLock(Spun, Lock):
    """A lock whose waiters spin and whose holder never sleeps (`spinlock_t`)."""

    def lock(self) -> None:
        """Take the lock, spinning until it is free (spin_lock())."""
        if watchers:
            lock_watch.wants(self)
        while not self.trylock():
            self._spin_until(lambda: self._owner is None)

    def trylock(self) -> bool:
        """Take the lock if it is free, and say whether it was (spin_trylock())."""
        if self._owner is not None:
            return False
        self._owner = here = tasks.here
        here.begin_spinning(self._me)
        if takers:
            lock_watch.took(self)
        return True

    def unlock(self) -> None:
        """Let go of the lock (spin_unlock())."""
        here = tasks.here
        if self._owner is not here:
            raise not_held(self, "unlock")
        self._owner = None
        here.end_spinning(self._me)
        if watchers:
            lock_watch.let_go(self)


class RwLock(Spun):
    """Many readers or one writer, spinning; a holder never sleeps (`rwlock_t`)."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self._writer: Context | None = None
        self._readers: list[Context] = []
        self._me = ref(self)

    def __repr__(self) -> str:
        kind = "RwLock" + (f" {self.name}" if self.name else "")
        if self._writer:
            return f"<{kind} [written by {self._writer.name}]>"
        names = ", ".join(reader.name for reader in self._readers)
        return f"<{kind} [{'read by ' + names if names else 'free'}]>"

    @property
    def holders(self) -> list[Context]:
        """Everybody who must let go before a writer gets it."""
        return [self._writer] if self._writer else list(self._readers)

    def is_locked(self) -> bool:
        """Somebody reads or writes under it."""
        return bool(self._writer or self._readers)

    def read_lock(self) -> None:
        """Take a share, waiting while someone writes (read_lock())."""
        if watchers:
            lock_watch.wants(self, shared=True)
        while not self.read_trylock():
            self._spin_until(lambda: self._writer is None)

    def read_trylock(self) -> bool:
        """Take a share unless someone writes, and say whether it was possible (read_trylock())."""
        if self._writer:
            return False
        here = tasks.here
        self._readers.append(here)
        here.begin_spinning(self._me)
        if takers:
            lock_watch.took(self, shared=True)
        return True

    def read_unlock(self) -> None:
        """Give the share back (read_unlock())."""
        here = tasks.here
        if here not in self._readers:
            raise not_held(self, "read_unlock")
        self._readers.remove(here)
        here.end_spinning(self._me)
        if watchers:
            lock_watch.let_go(self)

    def write_lock(self) -> None:
        """Take the lock alone, waiting for readers and writer (write_lock())."""
        if watchers:
            lock_watch.wants(self)
        while not self.write_trylock():
            self._spin_until(lambda: not self.is_locked())

    def write_trylock(self) -> bool:
        """Take the lock alone if nobody has it, and say whether it was free (write_trylock())."""
        if self.is_locked():
            return False
        self._writer = here = tasks.here
        here.begin_spinning(self._me)
        if takers:
            lock_watch.took(self)
        return True

    def write_unlock(self) -> None:
        """Let go of the lock (write_unlock())."""
        here = tasks.here
        if self._writer is not here:
            raise not_held(self, "write_unlock")
        self._writer = None
        here.end_spinning(self._me)
        if watchers:
            lock_watch.let_go(self)

    @contextmanager
    def read(self) -> Iterator[None]:
        """`with lock.read():` holds a share."""
        self.read_lock()
        try:
            yield
        finally:
            self.read_unlock()

    @contextmanager
    def write(self) -> Iterator[None]:
        """`with lock.write():` holds it alone."""
        self.write_lock()
        try:
            yield
        finally:
            self.write_unlock()
