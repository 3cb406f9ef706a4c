"""The pages of a pool: how zspages come to be, which list they are on, how they are freed.

A zspage is freed when its last object is. That takes the locks of all its pages, since whoever has
one of them locked may be about to ask about it; so it may have to be left to a work item.

Follows alloc_zspage(), free_zspage() and async_free_zspage() in mm/zsmalloc.c of Linux v6.1, as
stable since 6.1.47.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import ClassVar

from movable import AddressSpace, Memory, Page, RwLock, SpinLock, WorkQueue, point
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import Gfp
from movable_zsmalloc.contents import Contents
from movable_zsmalloc.fullness import Fullness
from movable_zsmalloc.packing import UP_TO_6_2, Packing
from movable_zsmalloc.size_class import SizeClass, create_size_classes
from movable_zsmalloc.zspage import TAGGED, Location, Zspage


class Zspages:
    """The zspages of one client, by size class.

    :param mapping: whose the pages are published as; `None`: they are not published.
    :param empty_stat_leak: the statistics never forget a zspage that was freed by the work item,
        as in 6.1 (mended in 2024).
    """

    packing: ClassVar[Packing] = UP_TO_6_2
    location: ClassVar[Location] = TAGGED
    """What the words are that handles stand for."""
    counts_isolated: ClassVar[bool] = True
    """A zspage knows how many of its pages are isolated (until Linux 6.9)."""

    def __init__(
        self,
        memory: Memory,
        contents: Contents,
        mapping: AddressSpace | None,
        *,
        empty_stat_leak: bool = True,
    ) -> None:
        self.memory, self.contents, self.mapping = memory, contents, mapping
        self.empty_stat_leak = empty_stat_leak
        self.size_class = create_size_classes(self.packing)
        self.lock = SpinLock("pool lock")
        """Protects everything here but the work queue."""
        self.zspages: dict[int, Zspage] = {}
        """By the number that their pages have in `private`."""
        self.pages_allocated = 0
        self.nr_zspages: Counter[int] = Counter()
        """Pages by zone, of all zspages (NR_ZSPAGES)."""
        self.free_work = WorkQueue("zs free work")
        """Frees the zspages on the EMPTY lists; a page of each was locked when it fell empty."""
        self._new_numbers = count(1)

    @property
    def classes(self) -> list[SizeClass]:
        """The classes that others were not merged into, smallest first."""
        return list(dict.fromkeys(self.size_class))

    def lock_of(self, size_class: SizeClass) -> SpinLock:
        """What protects a class, its lists, its zspages and their objects."""
        return self.lock

    def locks(self) -> Sequence[SpinLock | RwLock]:
        """All locks that nobody holds while nobody is inside a call."""
        return [self.lock]

    def off_list(self, zspage: Zspage) -> bool:
        """It is on no list while nobody is inside a call."""
        return False

    def fix_fullness_group(self, zspage: Zspage) -> None:
        """List a zspage anew if it now belongs to another group; within one it keeps its place."""
        size_class = zspage.size_class
        group = size_class.fullness_of(zspage.inuse)
        if group is not zspage.fullness:
            size_class.remove(zspage)
            size_class.insert(zspage, group)

    def alloc_zspage(self, size_class: SizeClass, gfp: int) -> Zspage:
        """Get the pages one by one; the VM may be at work meanwhile, so no lock is held."""
        if self.mapping is None:
            gfp &= ~Gfp.MOVABLE
        pages: list[Page] = []
        try:
            for _ in range(size_class.pages_per_zspage):
                pages.append(self.memory.alloc_page(gfp))
                self.nr_zspages[pages[-1].zone] += 1
                point("page allocated")
        except OutOfMemory:
            for page in pages:
                self.nr_zspages[page.zone] -= 1
                page.put()
            raise
        return Zspage(next(self._new_numbers), size_class, pages, self.contents)

    def publish(self, zspage: Zspage) -> None:
        """Set the pages movable (SetZsPageMovable())."""
        if self.mapping is None:
            return
        for page in zspage.pages:
            if not page.trylock():
                raise AuditFailed(self.mapping.name, f"{page!r} is new, and somebody has locked it")
            page.set_movable(self.mapping)
            page.unlock()

    def free_zspage(self, zspage: Zspage) -> None:
        """Free a zspage that fell empty, or leave it to the work item (free_zspage()).

        Whoever has a page of it locked may be about to ask about it. Under the pool's lock nobody
        can be waited for.
        """
        if not self._trylock_zspage(zspage):
            self.kick_deferred_free()
            return
        zspage.size_class.remove(zspage)
        self._destroy(zspage)

    def kick_deferred_free(self) -> None:
        """Have the work item free what is on the EMPTY lists, later."""
        self.free_work.queue(self._async_free_zspage)

    def _trylock_zspage(self, zspage: Zspage) -> bool:
        for number, page in enumerate(zspage.pages):
            if not page.trylock():
                for locked in zspage.pages[:number]:
                    locked.unlock()
                return False
        return True

    def _destroy(self, zspage: Zspage) -> None:
        """Give all pages back, whose locks the caller holds (__free_zspage())."""
        size_class = zspage.size_class
        del self.zspages[zspage.number]
        size_class.obj_allocated -= size_class.objs_per_zspage
        self.pages_allocated -= size_class.pages_per_zspage
        for page in zspage.pages:
            self.contents.forget(page)
            self.reset_page(page)
            self.nr_zspages[page.zone] -= 1
            page.unlock()
            page.put()

    def reset_page(self, page: Page) -> None:
        """Take all marks off a page, whose lock the caller holds."""
        if self.mapping:
            page.clear_movable()
        page.private = 0

    def _async_free_zspage(self) -> None:
        """The work item: free what is on the EMPTY lists, waiting for page locks."""
        empty: list[Zspage] = []
        for size_class in self.classes:
            with self.lock_of(size_class):
                listed = size_class.fullness_list[Fullness.EMPTY]
                empty += listed
                if not self.empty_stat_leak:
                    size_class.zspages[Fullness.EMPTY] -= len(listed)
                listed.clear()
        point("empty zspages taken")
        for zspage in empty:
            self._lock_zspage(zspage)
            point("zspage locked")
            with self.lock_of(zspage.size_class):
                self._destroy(zspage)

    def _lock_zspage(self, zspage: Zspage) -> None:
        """Lock all pages, first to last (lock_zspage()).

        A page that is not locked yet may be replaced, so the chain is read under the zspage's lock;
        that is dropped for waiting, and afterwards the chain is read anew.
        """
        locked = 0
        zspage.lock.read_lock()
        while locked < len(zspage.pages):
            page = zspage.pages[locked]
            if page.trylock():
                locked += 1
                continue
            page.get()
            zspage.lock.read_unlock()
            page.lock()  # to wait until it is unlocked
            page.unlock()
            page.put()
            zspage.lock.read_lock()
        zspage.lock.read_unlock()
