"""Memory that even the kernel has no mapping of, and that therefore never moves: the legal "never".

Every page can be isolated, and every migration fails for good: no retries, one putback, and the
compactor goes on. A driver that cannot move its pages at present answers so too.

Follows mm/secretmem.c of Linux v6.1, secretmem_migrate_folio(). There the pages are page cache,
isolated through the LRU.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Page,
    PageList,
    SpinLock,
    hookimpl,
    operation,
    point,
    reads_back,
    relax,
)
from movable.errors import OutOfMemory

__version__ = "0.1.0"


class SecretMem:
    """The pages behind one file descriptor."""

    class Conformance:
        """What the checks should know."""

        impossible: ClassVar = {
            "refused": "every page is isolated, in vain",
            "migrated": "secret pages stay where they are",
            "freed_while_isolated": "truncation waits for pages that the VM holds",
        }

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.owned: dict[int, Page] = {}
        """Every page by its frame, isolated or not."""
        self.pages = PageList("secretmem")
        self.isolated_pages = 0
        self.lock = SpinLock("i_pages")
        """Protects `pages` and `isolated_pages`."""
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<SecretMem [{len(self.owned)} pages, {self.isolated_pages} isolated]>"

    @operation
    def fault(self, count: Annotated[int, Field(ge=0, le=64)]) -> int:
        """Touch *count* pages for the first time; return for how many there was memory."""
        for done in range(count):
            try:
                page = self.memory.alloc_page()
            except OutOfMemory:
                return done
            page.trylock()
            with self.lock:
                page.set_movable(self.mapping)
                self.pages.add_tail(page)
            self.owned[page.pfn] = page
            page.unlock()
        return count

    @operation
    def close(self) -> None:
        """Give all pages back, those that the VM holds once it has put them back."""
        while self.owned:
            for page in self.pages:
                self._truncate(page)
            relax("pages are left")

    @reads_back
    def contents(self) -> Mapping[int, int]:
        """What is read at each frame, which is as good as an address."""
        return {pfn: page.content for pfn, page in self.owned.items()}

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        with self.lock:
            self.pages.remove(page)
            point("off the list")
            self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.mapping.because("secret pages stay where they are")
        return MigrateResult.BUSY

    @hookimpl
    def putback_page(self, page: Page) -> None:
        with self.lock:
            self.pages.add_tail(page)
            point("on the list again")
            self.isolated_pages -= 1

    def _truncate(self, page: Page) -> None:
        page.lock()
        if page in self.pages:
            with self.lock:
                self.pages.remove(page)
            page.clear_movable()
            del self.owned[page.pfn]
            page.unlock()
            page.put()
        else:
            page.unlock()
