"""The locks of Linux 4.8, the first kernel that could move these pages.

Each class has a lock of its own, and each handle a bit that pins its object. A zspage with isolated
pages is on no list, so nothing new is put into it. Who moves a page tries to pin each object that
starts in it: whoever wants to use or free one has its pin first, and waits for the zspage's lock
with it, so that waiting for the pin would be a deadlock. Hence the answers that 6.1 never gives:

- isolate_page: `False` for a zspage that is empty, and waits to be freed;
- migratepage: `BUSY` for one that fell empty since, `AGAIN` if an object could not be pinned.

Follows mm/zsmalloc.c of Linux v4.8, but frees a zspage that fell empty while isolated also at the
end of a migration, as kernels since 2019 do. Locks, from the outside in: page locks, pins, a
zspage's lock, a class's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from movable import MigrateResult, Page, SpinLock, point
from movable_zsmalloc.fullness import Fullness
from movable_zsmalloc.mapped import MapMode, Mapped
from movable_zsmalloc.migration import Migration
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.zspage import Zspage


class PinningPool(Pool):
    """A pool whose classes have a lock each, and whose objects are pinned one by one."""

    @cached_property
    def _class_locks(self) -> dict[SizeClass, SpinLock]:
        return {}

    @cached_property
    def _pins(self) -> dict[int, SpinLock]:
        return {}

    def pin(self, handle: int) -> SpinLock:
        """The bit that pins an object (HANDLE_PIN_BIT)."""
        return self._pins.setdefault(handle, SpinLock(f"pin of {handle:#x}"))

    def lock_of(self, size_class: SizeClass) -> SpinLock:
        return self._class_locks.setdefault(size_class, SpinLock(f"class {size_class.index}"))

    def off_list(self, zspage: Zspage) -> bool:
        return zspage.isolated > 0

    def locks(self) -> list[SpinLock]:
        return [*self._class_locks.values(), *self._pins.values()]

    def free(self, handle: int) -> None:
        with self.pin(handle):
            point("handle pinned")
            zspage, _ = self.locate(handle)
            zspage.lock.read_lock()
            with self.lock_of(zspage.size_class):
                self._obj_free(handle)
                zspage.lock.read_unlock()
                # Otherwise whoever ends the isolation frees it.
                if not zspage.inuse and not zspage.isolated:
                    self.free_zspage(zspage)
            del self.handles[handle]
        del self._pins[handle]

    @contextmanager
    def mapped(self, handle: int, mode: MapMode = MapMode.RW) -> Iterator[Mapped]:
        with self.pin(handle):
            point("handle pinned")
            zspage, obj_idx = self.locate(handle)
            with zspage.lock.read():
                point("object mapped")
                with Mapped(zspage, obj_idx, mode) as mapped:
                    yield mapped

    def fix_fullness_group(self, zspage: Zspage) -> None:
        """Of a zspage that is on no list only the group is remembered."""
        if zspage.isolated:
            zspage.fullness = zspage.size_class.fullness_of(zspage.inuse)
        else:
            super().fix_fullness_group(zspage)

    def gives_way(self) -> bool:
        """A class's lock is kept until its zspage is empty."""
        return False

    def keep_users_out(self, zspage: Zspage) -> None:
        """Nobody needs to wait: objects in use are left where they are."""

    def let_users_in(self, zspage: Zspage) -> None:
        """Nobody was kept out."""

    def trypin(self, handle: int) -> bool:
        return self.pin(handle).trylock()

    def unpin(self, handle: int) -> None:
        self.pin(handle).unlock()


class PinningMigration(Migration):
    """What the VM asks a pool that pins."""

    def isolate(self, page: Page) -> bool:
        """Take the whole zspage off its list, unless it is empty, and so about to be freed."""
        zspage = self.pool.zspages[page.private]
        size_class = zspage.size_class
        with self.pool.lock_of(size_class):
            if not zspage.inuse:
                return False
            if not zspage.isolated:
                size_class.remove(zspage)
                point("zspage off its list")
            zspage.isolated += 1
        return True

    def move(self, newpage: Page, page: Page) -> int:
        """Move the page if no object that starts in it is in use, or about to be."""
        zspage = self.pool.zspages[page.private]
        with zspage.lock.write(), self.pool.lock_of(zspage.size_class):
            if not zspage.inuse:
                return MigrateResult.BUSY
            pinned: list[int] = []
            for handle in self.objects_in(zspage, page):
                if not self.pool.trypin(handle):
                    for other in pinned:
                        self.pool.unpin(other)
                    return MigrateResult.AGAIN
                pinned.append(handle)
            newpage.copy_from(page)
            point("page copied")
            self.replace(zspage, newpage, page)
            newpage.get()
            point("new page's reference taken")
            self._end_isolation(zspage)
            self.pool.reset_page(page)
            page.put()
            for handle in pinned:
                self.pool.unpin(handle)
        return MigrateResult.SUCCESS

    def putback(self, page: Page) -> None:
        """The last page to come back puts the zspage on its list."""
        zspage = self.pool.zspages[page.private]
        with self.pool.lock_of(zspage.size_class):
            self._end_isolation(zspage)

    def _end_isolation(self, zspage: Zspage) -> None:
        zspage.isolated -= 1
        if not zspage.isolated:
            group = zspage.size_class.fullness_of(zspage.inuse)
            zspage.size_class.insert(zspage, group)
            point("zspage listed again")
            if group is Fullness.EMPTY:
                self.pool.kick_deferred_free()
