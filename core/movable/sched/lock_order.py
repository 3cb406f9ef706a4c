"""`LockOrder`: in which order locks are taken, learned from what is seen before it collides.

Whoever waits for a lock while it holds others says that these come first. Once two such statements
contradict each other, there is a schedule in which nobody can go on, and it is reported at the
second, before anybody waits. A lock taken by trylock was not waited for, so nothing comes before it
(L02); while it is held, it comes before others like any other.

Locks of one kind and name are one class, and all page locks are one; a lock without a name is a
class by itself. Within a class each lock has its own place, so that a fixed order is allowed.

The idea is that of Documentation/locking/lockdep-design.rst (Linux v6.1).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from movable import sched
from movable.errors import ContractViolation
from movable.sched import lock_watch
from movable.sched.lock_watch import Watched
from movable.sched.page_lock import PAGE_LOCKS, PageLock
from movable.sched.place import place
from movable.sched.tasks import Context, Task, context

if TYPE_CHECKING:
    from movable.page import Page


class Held(NamedTuple):
    """A lock that somebody has at present."""

    lock: Watched
    shared: bool
    where: str


class Edge(NamedTuple):
    """One comes before the other; *shared* says that it was held, or waited for, as a reader."""

    first: Hashable
    first_shared: bool
    then: Hashable
    then_shared: bool


class Seen(NamedTuple):
    """Where an edge was seen first."""

    who: str
    held: str
    held_where: str
    wanted: str
    wanted_where: str

    def __str__(self) -> str:
        took = f"{self.who} took {self.held} {self.held_where}"
        return f"{took}, then waits for {self.wanted} {self.wanted_where}"


class LockOrder:
    """What has been seen so far; watches while its `with` block runs.

    One for each check: what is learned is kept from schedule to schedule of a race, and
    :meth:`begin` before each forgets only what the last one left locked.
    """

    def __init__(self) -> None:
        self.edges: dict[Edge, Seen] = {}
        self._held: WeakKeyDictionary[Context, list[Held]] = WeakKeyDictionary()
        self._labels: WeakKeyDictionary[Context, str] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{len(self.edges)} edges]>"

    def __enter__(self) -> LockOrder:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Watch; locks that are held already are not known to be."""
        lock_watch.watchers.append(self)
        lock_watch.takers.append(self)
        sched.subscribe(self._watch)
        self.begin()

    def stop(self) -> None:
        """Undo :meth:`start`; what was learned stays."""
        sched.unsubscribe(self._watch)
        lock_watch.takers.remove(self)
        lock_watch.watchers.remove(self)

    def begin(self) -> None:
        """Everything is as at the start of a schedule: nobody holds a lock."""
        self._held.clear()
        self._labels.clear()

    def held(self) -> list[Held]:
        """What the running task holds, the last taken last."""
        return self._held.setdefault(context(), [])

    # What the locks tell.

    def wants(self, lock: Watched, shared: bool, nested: bool) -> None:
        """Learn that *lock* comes behind all that is held.

        :raises ContractViolation: it has been seen before one of them (I19, L01, L03).
        """
        for held in self.held():
            if held.lock == lock:
                self._check_recursion(held, lock, shared)
            elif not (nested and held.lock.lock_class == lock.lock_class):
                self._learn(held, lock, shared)

    def took(self, lock: Watched, shared: bool) -> None:
        """It is held from now on."""
        self.held().append(Held(lock, shared, self.where()))

    def let_go(self, lock: Watched) -> None:
        """It is not held any more, which for a page lock may be another task's doing."""
        for mine in (self.held(), *self._held.values()):
            for index in reversed(range(len(mine))):
                if mine[index].lock == lock:
                    del mine[index]
                    return

    def allocates(self) -> None:
        """Nothing to learn about the order."""

    def where(self) -> str:
        """The driver's function at work, and the last point passed, if one was."""
        here = context()
        label = here.labels[-1:] if isinstance(here, Task) else [*self._last_label(here)]
        return place() + "".join(f" after {name!r}" for name in label)

    def _last_label(self, here: Context) -> Iterator[str]:
        if here in self._labels:
            yield self._labels[here]

    def _watch(self, label: str, page: Page | None) -> None:
        self._labels[context()] = label
        if label == "freed" and page:
            self._forget(PageLock(page))

    def _forget(self, lock: PageLock) -> None:
        """A frame that is used anew has no place yet among others."""
        for edge in [edge for edge in self.edges if lock in (edge.first, edge.then)]:
            del self.edges[edge]

    # The graph.

    def _check_recursion(self, held: Held, lock: Watched, shared: bool) -> None:
        if not (shared and held.shared):
            detail = f"{context().name} took it {held.where}, and waits for itself"
            raise ContractViolation("I19", str(lock), "lock", detail)

    def _learn(self, held: Held, lock: Watched, shared: bool) -> None:
        edge = Edge(held.lock.lock_class, held.shared, lock.lock_class, shared)
        if edge.first == edge.then:
            edge = edge._replace(first=held.lock, then=lock)
        if edge in self.edges:
            return
        names = (held.lock.called, held.where, lock.called, self.where())
        self.edges[edge] = Seen(context().name, *names)
        cycle = self._cycle(edge)
        if cycle:
            raise self._violation(lock, cycle)

    def _cycle(self, last: Edge) -> list[Edge]:
        """The shortest way from where *last* leads back to where it comes from, and *last*."""
        paths = [[last]]
        seen = {last}
        for path in paths:
            if path[-1].then == last.first and _blocks(path[-1], last) and len(path) > 1:
                return [*path[1:], last]
            for edge in self.edges:
                if edge not in seen and edge.first == path[-1].then and _blocks(path[-1], edge):
                    seen.add(edge)
                    paths.append([*path, edge])
        return []

    def _violation(self, lock: Watched, cycle: list[Edge]) -> ContractViolation:
        classes = {_class_of(edge.first) for edge in cycle}
        rule = "I19"
        if PAGE_LOCKS in classes:
            rule = "L01" if len(classes) > 1 else "L03"
        told = "; ".join(str(self.edges[edge]) for edge in cycle)
        return ContractViolation(rule, str(lock), "lock", f"closes a cycle: {told}")


def _blocks(before: Edge, after: Edge) -> bool:
    """Who waits at the end of *before* waits for who holds the first of *after*: two readers of a
    lock do not wait for each other."""
    return not (before.then_shared and after.first_shared)


def _class_of(node: Hashable) -> Hashable:
    """A node within a class is a lock, which knows its class."""
    return getattr(node, "lock_class", node)
