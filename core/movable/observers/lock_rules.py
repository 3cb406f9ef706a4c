"""`LockRules`: what may be done while a lock is held, learned before anything collides.

Each of these hangs in one schedule of many: the allocation must compact, the compactor must ask
this very driver, and the lock must be held just then. So it is not the collision that is looked
for. A lock that a hook was once seen to wait for, and that an allocation was once made with, is
reported at the second of the two, whichever comes second.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from movable.errors import ContractViolation
from movable.hookspecs import IsolateMode, MigrateMode, hookimpl
from movable.mapping import AddressSpace
from movable.page import Page
from movable.pagevec import Pagevec
from movable.sched.lock_order import Held, LockOrder
from movable.sched.lock_watch import Watched
from movable.sched.page_lock import PageLock
from movable.sched.tasks import Context, context


class Use(NamedTuple):
    """A lock as it was seen: waited for in a hook, or held in an allocation."""

    who: str
    lock: str
    where: str


class Hook(NamedTuple):
    """A call to a driver under way, and what the caller of all this held before."""

    name: str
    outside: list[Held]


class LockRules(LockOrder):
    """Attach it to address spaces, and rules L01, L03, L05, L07, L10, D08 and I19 are watched.

    One instance serves all drivers of a machine. It watches the locks of everybody from the first
    :meth:`movable.AddressSpace.attach` to the last detach.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: dict[Hashable, Use] = {}
        """By class of lock: what hooks have waited for."""
        self.allocations: dict[Hashable, Use] = {}
        """By class of lock: what was held while memory was allocated."""
        self._mappings: list[AddressSpace] = []
        self._hooks: WeakKeyDictionary[Context, list[Hook]] = WeakKeyDictionary()

    def attached(self, mapping: AddressSpace) -> None:
        """Begin to watch; :meth:`AddressSpace.attach` calls it."""
        if not self._mappings:
            self.start()
        self._mappings.append(mapping)

    def detached(self, mapping: AddressSpace) -> None:
        """Watch no more; :meth:`AddressSpace.detach` calls it."""
        self._mappings.remove(mapping)
        if not self._mappings:
            self.stop()

    def begin(self) -> None:
        """Nobody holds a lock, and no hook is under way."""
        super().begin()
        self._hooks.clear()

    # The hooks, inside which the page lock is held.

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        return (yield from self._inside("isolate_page", page))

    @hookimpl(wrapper=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        return (yield from self._inside("migratepage", page, newpage))

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        return (yield from self._inside("putback_page", page))

    @hookimpl(wrapper=True)
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Generator[None, Any, Any]:
        return (yield from self._inside("isolate_page", *pages))

    @hookimpl(wrapper=True)
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        return (yield from self._inside("migratepage", *pages, *newpages))

    @hookimpl(wrapper=True)
    def putback_pages(self, pages: Pagevec) -> Generator[None, Any, Any]:
        return (yield from self._inside("putback_page", *pages))

    def _inside(self, hook: str, *pages: Page) -> Generator[None, Any, Any]:
        hooks = self._hooks.setdefault(context(), [])
        mine = self.held()
        hooks.append(Hook(hook, [*mine]))
        known = {held.lock for held in mine}
        locks = [lock for page in pages if (lock := PageLock(page)) not in known]
        mine += (given := [Held(lock, False, f"to call {hook}") for lock in locks])
        try:
            return (yield)
        finally:
            hooks.pop()
            mine[:] = [held for held in mine if held not in given]

    # What the locks and the memory tell.

    def wants(self, lock: Watched, shared: bool, nested: bool) -> None:
        """As :meth:`LockOrder.wants`; and in a hook, learn that the lock is waited for.

        :raises ContractViolation: memory has been allocated with it held, or is being (L05).
        """
        hooks = self._hooks.get(context())
        if not hooks:
            super().wants(lock, shared, nested)
            return
        hook, outside = hooks[-1]
        for held in outside:
            if held.lock == lock:
                detail = f"waits for a lock that its own task has taken {held.where}"
                raise ContractViolation("L05", str(lock), hook, detail)
        super().wants(lock, shared, nested)
        where = f"{self.where()} ({hook})"
        if self._learn_use(self.waits, lock, where) and lock.lock_class in self.allocations:
            raise self._l05(lock, hook)

    def allocates(self) -> None:
        """Learn what is held while memory is allocated.

        :raises ContractViolation: a hook has waited for it (L05); it is the lock of a page that can
            be isolated (L07); the caller must not sleep (L10); isolate_page allocates (D08).
        """
        hooks = self._hooks.get(context())
        if hooks and hooks[-1].name == "isolate_page":
            self._refuse("D08", "isolate_page", "allocates, which may call it again")
        for lock in context().spinning:
            self._refuse("L10", str(lock), "allocates, which may sleep, while it holds this lock")
        for held in self.held():
            if isinstance(held.lock, PageLock):
                self._check_page(held.lock, held.where)
            elif self._learn_use(self.allocations, held.lock, self.where()):
                self._check_waits(held.lock)

    def _check_page(self, lock: PageLock, where: str) -> None:
        if lock.page.locked and lock.page.movable:
            detail = f"allocates with the lock of a page that can be isolated, taken {where}"
            self._refuse("L07", str(lock), detail)

    def _check_waits(self, lock: Watched) -> None:
        if lock.lock_class in self.waits:
            raise self._l05(lock, "alloc_pages")

    def _learn_use(self, uses: dict[Hashable, Use], lock: Watched, where: str) -> bool:
        """Note a use of *lock*, and say whether it is the first of its class."""
        new = lock.lock_class not in uses
        uses.setdefault(lock.lock_class, Use(context().name, lock.called, where))
        return new

    def _l05(self, lock: Watched, call: str) -> ContractViolation:
        waits, holds = self.waits[lock.lock_class], self.allocations[lock.lock_class]
        detail = (
            f"{waits.who} waits for {waits.lock} {waits.where}, and {holds.who} allocates with"
            f" {holds.lock} held {holds.where}"
        )
        return ContractViolation("L05", str(lock), call, detail)

    def _refuse(self, rule: str, what: str, detail: str) -> None:
        raise ContractViolation(rule, what, "alloc_pages", f"{context().name} {detail}")
