"""A memory of plain lists, a driver and a VM: what tests of the lower layers need of a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import cast

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Page,
    PageList,
    hookimpl,
    reads_back,
)
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.page import Column
from movable.page_flags import PG_isolated
from movable.sched import point


class Frames:
    """The columns behind `Page`, eight frames of them; all are free at first."""

    def __init__(self, size: int = 8) -> None:
        self.size = size
        self.real_bytes, self.page_size = True, 16
        self.flags: Column = [0] * size
        self.refcount: Column = [0] * size
        self.mapcount: Column = [0] * size
        self.mapping: Column = [0] * size
        self.private: Column = [0] * size
        self.content: Column = [0] * size
        self.next: Column = [0] * size
        self.lock_owner: MutableMapping[int, object] = {}
        self.lists: MutableMapping[int, PageList] = {}
        self.spaces: list[AddressSpace | None] = [None]
        self.bytes = [bytearray(16) for _ in range(size)]

    def page(self, pfn: int) -> Page:
        return Page(self, pfn)

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        for pfn in range(self.size):
            if not self.refcount[pfn]:
                self.refcount[pfn], self.content[pfn] = 1, pfn
                return self.page(pfn)
        raise OutOfMemory("all frames are in use")

    def alloc_pages(self, gfp_mask: int, order: int) -> int:
        raise OutOfMemory("there are single frames only")

    def free_pages(self, pfn: int, order: int) -> None:
        """Nobody was ever given a block."""

    def adjust_managed_page_count(self, page: Page, count: int) -> None:
        """There is no zone to count."""

    def register_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Nobody is ever killed here."""

    def mapping_of(self, word: int) -> AddressSpace | None:
        return self.spaces[word >> 4] if word >> 4 < len(self.spaces) else None

    def word_of(self, mapping: AddressSpace) -> int:
        if mapping not in self.spaces:
            self.spaces.append(mapping)
        return self.spaces.index(mapping) << 4

    def release(self, pfn: int) -> None:
        point("freed", self.page(pfn))
        self.flags[pfn] = self.mapping[pfn] = self.private[pfn] = self.mapcount[pfn] = 0

    def read(self, pfn: int, offset: int, size: int) -> bytes:
        return bytes(self.bytes[pfn][offset : offset + size])

    def write(self, pfn: int, offset: int, data: bytes) -> None:
        self.bytes[pfn][offset : offset + len(data)] = data


class Shelf:
    """A driver that does everything right: pages on a list, each with contents and a mark.

    Tests break one promise in a subclass.
    """

    def __init__(self, memory: Frames) -> None:
        self.memory = memory
        self.pages = PageList("shelf")
        self.handles: dict[int, Page] = {}
        """What users know their pages by; the handle is what was first stored."""
        self.isolated_pages = 0
        self.mapping = AddressSpace(self, cast("Memory", memory))  # as much as is needed

    def store(self, content: int) -> Page:
        page = self.memory.alloc_page()
        page.content = content
        self.handles[content] = page
        self.adopt(page)
        return page

    def adopt(self, page: Page) -> None:
        locked = page.trylock()
        page.private = 7
        self.pages.add_tail(page)
        page.set_movable(self.mapping)
        if locked:
            page.unlock()

    def drop(self, page: Page) -> None:
        """Give *page* up and let go of it, isolated or not."""
        page.lock()
        self.handles = {handle: kept for handle, kept in self.handles.items() if kept != page}
        if page.isolated:
            self.isolated_pages -= 1
        else:
            self.pages.remove(page)
        page.clear_movable()
        page.private = 0
        page.unlock()
        page.put()

    def switch_handles(self, newpage: Page, page: Page) -> None:
        for handle, kept in self.handles.items():
            if kept == page:
                self.handles[handle] = newpage

    @reads_back
    def contents(self) -> Mapping[int, int]:
        return {handle: page.content for handle, page in self.handles.items()}

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.pages.remove(page)
        self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL
        newpage.copy_from(page)
        newpage.get()
        self.adopt(newpage)
        self.switch_handles(newpage, page)
        self.isolated_pages -= 1
        page.clear_movable()
        page.private = 0
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.pages.add_tail(page)
        self.isolated_pages -= 1


class VM:
    """The three things that a VM does with a driver's page, with their points, and nothing else."""

    def __init__(self, memory: Frames) -> None:
        self.memory = memory

    def set_isolated(self, page: Page, isolated: bool) -> None:
        bit = PG_isolated if isolated else 0
        self.memory.flags[page.pfn] = self.memory.flags[page.pfn] & ~PG_isolated | bit

    def isolate(self, page: Page) -> bool:
        if not page.get_unless_zero():
            return False
        point("reference taken", page)
        isolated = page.movable_tag and self._isolate_tagged(page)
        if not isolated:
            page.put()
            point("isolate gave up", page)
        return isolated

    def _isolate_tagged(self, page: Page) -> bool:
        point("movable tested", page)
        if not page.trylock():
            point("page lock busy", page)
            return False
        point("page locked", page)
        isolated = page.movable and not page.isolated and self._ask(page)
        page.unlock()
        if isolated:
            point("isolate unlocked", page)
        return isolated

    def _ask(self, page: Page) -> bool:
        mapping = page.mapping
        assert mapping
        if not mapping.a_ops.isolate_page(page, IsolateMode.UNEVICTABLE):
            point("isolate refused", page)
            return False
        self.set_isolated(page, True)
        point("isolated", page)
        return True

    def migrate(self, page: Page, mode: MigrateMode = MigrateMode.SYNC) -> int:
        newpage = self.memory.alloc_page()
        point("target allocated", newpage)
        page.lock()
        point("source locked", page)
        newpage.trylock()
        point("target locked", newpage)
        answer = self._move(newpage, page, mode)
        newpage.unlock()
        page.unlock()
        point("unlocked", page)
        if answer:
            point("target returned", newpage)
        else:
            point("off the migrate list", page)
            page.put()
            point("source put", page)
        newpage.put()
        return answer

    def _move(self, newpage: Page, page: Page, mode: MigrateMode) -> int:
        answer = 0
        if page.movable:
            mapping = page.mapping
            assert mapping
            answer = mapping.a_ops.migratepage(mapping, newpage, page, mode)
            point("migrate returned", page)
        else:
            point("released noticed", page)
        if not answer:
            self.set_isolated(page, False)
            point("isolated cleared", page)
        return answer

    def putback(self, page: Page) -> None:
        point("off the migrate list", page)
        page.lock()
        point("putback locked", page)
        if page.movable:
            mapping = page.mapping
            assert mapping
            mapping.a_ops.putback_page(page)
        else:
            point("putback skipped", page)
        self.set_isolated(page, False)
        point("isolated cleared", page)
        page.unlock()
        point("unlocked", page)
        page.put()
        point("source put", page)
