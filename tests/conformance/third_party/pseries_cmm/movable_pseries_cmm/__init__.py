"""The balloon of PowerVM guests: pages are lent to the hypervisor, and no longer managed by Linux.

What is lent is taken from the managed pages of its zone, so a page that moves to another zone
changes both zones' numbers.

Follows arch/powerpc/platforms/pseries/cmm.c and mm/balloon_compaction.c of Linux v6.1. Left out:
the target that the hypervisor sets, and the reserve for low memory.
"""

from __future__ import annotations

from collections import Counter
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
    invariant,
    operation,
    point,
    relax,
)
from movable.errors import AuditFailed, OutOfMemory

__version__ = "0.1.0"

Pages = Annotated[int, Field(ge=0, le=256, json_schema_extra={"unit": "pages"})]


class PseriesCmm:
    """Frames lent to the hypervisor (`struct balloon_dev_info`, and what cmm.c counts)."""

    class Conformance:
        """What the checks should know."""

        impossible: ClassVar = {
            "refused": "the balloon core lets go of every page that it lists",
            "freed_while_isolated": "deflation takes listed pages, and isolated ones are not",
        }

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.loaned: set[int] = set()
        """Frames that the hypervisor has (H_PAGE_SET_LOANED)."""
        self.pages = PageList("cmm")
        self.isolated_pages = 0
        self.pages_lock = SpinLock("pages_lock")
        """Protects the two above."""
        self.unmanaged: Counter[int] = Counter()
        """By zone: how much its managed pages were lowered (adjust_managed_page_count())."""
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<PseriesCmm [{len(self.loaned)} pages, {self.isolated_pages} isolated]>"

    # The device: what the guest does.

    @operation
    def loan(self, count: Pages) -> int:
        """Lend up to *count* frames more; return how many (cmm_alloc_pages())."""
        for done in range(count):
            try:
                page = self.memory.alloc_page()
            except OutOfMemory:
                return done
            self.loaned.add(page.pfn)
            self.unmanaged[page.zone] += 1
            with self.pages_lock:
                page.trylock()
                self._insert(page)
                page.unlock()
            point("page loaned")
        return count

    @operation
    def activate(self, count: Pages) -> int:
        """Take up to *count* frames back; return how many (cmm_free_pages())."""
        for done in range(count):
            page = self._dequeue()
            if page is None:
                return done
            self.loaned.remove(page.pfn)
            point("page activated")
            self.unmanaged[page.zone] -= 1
            page.put()
        return count

    @operation
    def remove(self) -> None:
        """Take everything back, however long the VM keeps some of it (cmm_exit())."""
        while self.loaned:
            self.activate(len(self.loaned))
            relax("pages are left")

    # The driver: what the VM asks.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        with self.pages_lock:
            self.pages.remove(page)
            point("off the balloon's list")
            self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.loaned.add(newpage.pfn)
        point("new page loaned")
        newpage.get()
        if newpage.zone != page.zone:
            self.unmanaged[page.zone] -= 1
            self.unmanaged[newpage.zone] += 1
        with self.pages_lock:
            self._insert(newpage)
            self.isolated_pages -= 1
        self.loaned.remove(page.pfn)
        point("old page activated")
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        with self.pages_lock:
            self.pages.add(page)
            point("on the balloon's list again")
            self.isolated_pages -= 1

    # Both.

    def _insert(self, page: Page) -> None:
        page.set_movable(self.mapping)
        self.pages.add(page)

    def _dequeue(self) -> Page | None:
        with self.pages_lock:
            for page in self.pages:
                if page.trylock():
                    page.clear_movable()
                    self.pages.remove(page)
                    page.unlock()
                    return page
        return None

    @invariant
    def hypervisor_list_and_zones_agree(self) -> None:
        """Hypervisor, list and zones agree."""
        zones = Counter(self.memory.page(pfn).zone for pfn in self.loaned)
        if len(self.loaned) != len(self.pages) + self.isolated_pages:
            raise AuditFailed(self.mapping.name, f"the sizes differ: {self!r}")
        if +self.unmanaged != zones or min(self.unmanaged.values(), default=0) < 0:
            problem = f"zones lack {dict(self.unmanaged)} pages, and {dict(zones)} are lent"
            raise AuditFailed(self.mapping.name, problem)
