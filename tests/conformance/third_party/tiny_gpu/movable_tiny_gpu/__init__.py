"""A GPU of the older kind, which can only flush all of its caches: once a page, or once a batch.

The smallest driver for which a batch pays. A page that the GPU reaches moves while one address
space is locked: its entry in the page table is written anew, and the caches, which may hold lines
of the old page, are flushed. What costs is the flush (`Costs`), and one does for all pages that
move under the same lock.

The mechanism is that of drivers/gpu/arm/midgard (kbase), MMU_AS LOCK, FLUSH_MEM and UNLOCK, on
hardware without flushes by range. The costs are those of a model, estimated or derived from cycle
counts, and not of a device that anybody has measured here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    PageList,
    Pagevec,
    hookimpl,
    operation,
    reads_back,
    relax,
)
from movable.errors import OutOfMemory

__version__ = "0.1.0"

Count = Annotated[int, Field(ge=0, le=64)]


class Costs(NamedTuple):
    """What the parts of a move take, in nanoseconds."""

    page: int = 5_700
    """Map and unmap for DMA, zap users, sync caches, copy: whether the GPU is on or not."""
    entry: int = 500
    """One page table entry, written and cleaned."""
    lock: int = 4_000
    """AS LOCK and UNLOCK with their polling."""
    flush: int = 1_880_000
    """All of L2 and LSC: 1.6 million cycles at 850 MHz."""

    def of(self, done: Counter[str]) -> int:
        """Nanoseconds for what was done: the model's arithmetic, and no measurement."""
        return sum(cost * done[name] for name, cost in self._asdict().items())


class TinyGpu:
    """One context, all of whose pages the GPU has mapped."""

    class Conformance:
        """What the checks should know."""

        impossible: ClassVar = {
            "refused": "every page that is listed can be isolated",
            "freed_while_isolated": "pages that the VM holds are waited for",
        }

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.pages = PageList("tiny_gpu")
        self.page_table: dict[int, Page] = {}
        """Every page by its number in the GPU's address space, isolated or not."""
        self.isolated_pages = 0
        self.mmu_lock = Mutex("mmu_hw_mutex")
        """The address space is locked: the GPU waits."""
        self.done: Counter[str] = Counter()
        """How often each of `Costs` has been spent."""
        self._made = 0
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<TinyGpu [{len(self.page_table)} pages, {self.done['flush']} flushes]>"

    @operation
    def grow(self, count: Count) -> int:
        """Map *count* pages more; return for how many there was memory."""
        for done in range(count):
            try:
                page = self.memory.alloc_page()
            except OutOfMemory:
                return done
            page.trylock()
            self._made += 1
            page.private = self._made
            self.page_table[self._made] = page
            self.pages.add_tail(page)
            page.set_movable(self.mapping)
            page.unlock()
        return count

    @operation
    def close(self) -> None:
        """Unmap everything, what the VM holds once it is back."""
        while self.page_table:
            for page in self.pages:
                page.lock()
                if page in self.pages:
                    self.pages.remove(page)
                    del self.page_table[page.private]
                    page.clear_movable()
                    page.private = 0
                    page.unlock()
                    page.put()
                else:
                    page.unlock()
            relax("pages are left")

    @reads_back
    def contents(self) -> Mapping[int, int]:
        """What the GPU reads at each of its addresses."""
        return {number: page.content for number, page in self.page_table.items()}

    # What the VM asks, page by page.

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
        if not self.mmu_lock.trylock():
            return MigrateResult.AGAIN
        with self._blocked():
            newpage.copy_from(page)
            newpage.private, page.private = page.private, 0
            newpage.get()
            newpage.set_movable(mapping)
            page.clear_movable()
            page.put()
            self._moved(newpage)
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.pages.add_tail(page)
        self.isolated_pages -= 1

    # And at once: one lock and one flush.

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int] | None:
        if mode is MigrateMode.SYNC_NO_COPY or not self.mmu_lock.trylock():
            return None
        with self._blocked():
            pages.move_to(newpages, mapping)
            for newpage in newpages:
                self._moved(newpage)
        return [MigrateResult.SUCCESS] * len(pages)

    @contextmanager
    def _blocked(self) -> Iterator[None]:
        """While the address space is locked; the caches are flushed before the GPU goes on."""
        self.done["lock"] += 1
        yield
        self.done["flush"] += 1
        self.mmu_lock.unlock()

    def _moved(self, newpage: Page) -> None:
        self.page_table[newpage.private] = newpage
        self.pages.add_tail(newpage)
        self.isolated_pages -= 1
        self.done["entry"] += 1
        self.done["page"] += 1
