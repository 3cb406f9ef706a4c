"""The locks of Linux 7.2, with which a page in use is refused and nobody is waited for.

The pool's lock has readers and writers: who looks an object up reads, who moves pages or objects
writes. Under it each class has a lock of its own, so that objects come and go in different classes
at once. A zspage's lock is tried, never waited for, by who wants it alone: its readers may take
their time. Hence the answer that 6.1 never gives:

- migratepage: `BUSY` while an object of the zspage is in use.

A zspage is not counted as isolated any more: isolate_page refuses only a page that was given up,
and putback_page does nothing. Zspages are longer, and sorted in tenths (packing.py, fullness.py).

Follows mm/zsmalloc.c of Linux v7.2; there since 6.15, when the refusal was `INVAL`. Locks, from the
outside in: page locks, the pool's lock, a class's lock, a zspage's lock.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import ClassVar

from movable import MigrateResult, Page, RwLock, SpinLock, point
from movable_zsmalloc.migration import Migration
from movable_zsmalloc.packing import SINCE_6_4, Packing
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.zspage import UNTAGGED, Location


class TryingPool(Pool):
    """A pool with a lock for readers and writers, and one for each class."""

    packing: ClassVar[Packing] = SINCE_6_4
    location: ClassVar[Location] = UNTAGGED
    counts_isolated: ClassVar[bool] = False

    @cached_property
    def rwlock(self) -> RwLock:
        """Read by who finds an object by its handle, written by who moves some (`pool->lock`)."""
        return RwLock("pool lock")

    @cached_property
    def _class_locks(self) -> dict[SizeClass, SpinLock]:
        return {}

    def lock_of(self, size_class: SizeClass) -> SpinLock:
        return self._class_locks.setdefault(size_class, SpinLock(f"class {size_class.index}"))

    def locks(self) -> list[SpinLock | RwLock]:
        return [self.rwlock, *self._class_locks.values()]

    def free(self, handle: int) -> None:
        self.rwlock.read_lock()
        zspage, _ = self.locate(handle)
        with self.lock_of(zspage.size_class):
            self.rwlock.read_unlock()
            point("object found")
            self._obj_free(handle)
            if not zspage.inuse:
                self.free_zspage(zspage)
        del self.handles[handle]

    def finding(self) -> AbstractContextManager[None]:
        return self.rwlock.read()


class TryingMigration(Migration):
    """What the VM asks a pool that waits for nobody."""

    def __init__(self, pool: TryingPool) -> None:
        super().__init__(pool)
        self.rwlock = pool.rwlock

    def isolate(self, page: Page) -> bool:
        """Refuse only a page whose zspage is gone."""
        return page.private in self.pool.zspages

    def putback(self, page: Page) -> None:
        """Nothing was changed."""

    def move(self, newpage: Page, page: Page) -> int:
        """Move the page unless an object of its zspage is in use."""
        pool = self.pool
        zspage = pool.zspages.get(page.private)
        if zspage is None:
            return MigrateResult.SUCCESS  # there is nothing to move
        with self.rwlock.write(), pool.lock_of(zspage.size_class):
            if not zspage.lock.write_trylock():
                return MigrateResult.BUSY
            newpage.copy_from(page)
            point("page copied")
            self.replace(zspage, newpage, page)
            zspage.lock.write_unlock()
        self.let_go(newpage, page)
        return MigrateResult.SUCCESS
