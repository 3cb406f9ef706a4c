"""A driver with operations, contents and invariants, in a real memory; tests break one step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    PageList,
    SpinLock,
    hookimpl,
    invariant,
    operation,
    point,
    reads_back,
)
from movable.errors import OutOfMemory
from movable.mm.memory import Memory as RealMemory

FRAMES = 128


def room() -> RealMemory:
    """A memory of which every other frame is in use, but for the lowest sixteen."""
    memory = RealMemory.blank(FRAMES, pageblock_order=4, max_order=7)
    taken = []
    with suppress(OutOfMemory):
        while True:
            taken.append(memory.alloc_page())
    taken.sort(key=lambda page: page.pfn)
    for page in reversed(taken[:16] + taken[16::2]):  # what was freed last is allocated first
        page.put()
    return memory


class Cupboard:
    """Keeps one number on each page."""

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.pages = PageList("cupboard")
        self.handles: dict[int, Page] = {}
        self.isolated_pages = 0
        self.mutex, self.lock = Mutex("door"), SpinLock("shelf")
        self.mapping = AddressSpace(self, memory)

    @operation
    def store(self, count: int) -> None:
        """Put *count* numbers in."""
        for _ in range(count):
            page = self.memory.alloc_page()
            handle = max(self.handles, default=0) + 1
            page.content = 1000 + handle
            self.handles[handle] = page
            point("half stored")
            page.lock()
            self.adopt(page)
            page.unlock()

    @operation
    def drop(self, handle: int) -> None:
        """Take the number out, whoever has its page."""
        page = self.handles.pop(handle)
        point("half dropped")
        page.lock()
        if page.isolated:
            self.isolated_pages -= 1
        else:
            self.pages.remove(page)
        self.let_go(page)
        page.unlock()
        page.put()

    def let_go(self, page: Page) -> None:
        page.clear_movable()

    @operation
    def look(self) -> None:
        """Do nothing, at some length."""
        point("looking")

    @operation
    def remove(self) -> None:
        """Take everything out."""
        for handle in list(self.handles):
            self.drop(handle)

    def adopt(self, page: Page) -> None:
        self.pages.add_tail(page)
        page.set_movable(self.mapping)

    @reads_back
    def contents(self) -> Mapping[int, int]:
        """The numbers."""
        return {handle: page.content for handle, page in self.handles.items()}

    @invariant
    def every_page_has_a_handle(self) -> None:
        """Handles and pages are the same number."""
        assert len(self.handles) == len(self.pages) + self.isolated_pages

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.pages.remove(page)
        self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return self.move(newpage, page)

    def move(self, newpage: Page, page: Page) -> int:
        newpage.copy_from(page)
        newpage.get()
        self.adopt(newpage)
        self.switch(newpage, page)
        self.isolated_pages -= 1
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    def switch(self, newpage: Page, page: Page) -> None:
        for handle, kept in self.handles.items():
            if kept == page:
                self.handles[handle] = newpage

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.pages.add_tail(page)
        self.isolated_pages -= 1


class Busy(Cupboard):
    """Never moves a page."""

    def move(self, newpage: Page, page: Page) -> int:
        return MigrateResult.BUSY
