"""VMware's balloon: a page that moves is taken back from the hypervisor before the new one is lent.

So a move can succeed by half: the old frame is the guest's again, and the hypervisor does not want
the new one. Then the balloon is one page smaller, and the answer is success (rule D15).

Follows drivers/misc/vmw_balloon.c of Linux v6.18, with pages of 4 KiB only.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

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
    relax,
)
from movable.errors import AuditFailed, OutOfMemory

__version__ = "0.1.0"

Pages = Annotated[int, Field(ge=0, le=256, json_schema_extra={"unit": "pages"})]


class Hypervisor:
    """Which frames it has, and how it feels about having more, or fewer."""

    def __init__(self) -> None:
        self.pfns: set[int] = set()
        self.limit = 256
        self.stubborn = False
        """It gives nothing back at present."""

    def __repr__(self) -> str:
        return f"<Hypervisor [{len(self.pfns)} of {self.limit} frames]>"

    def lock(self, page: Page) -> bool:
        """Take a frame from the guest (VMW_BALLOON_INFLATE), unless it has enough."""
        if len(self.pfns) >= self.limit:
            return False
        self.pfns.add(page.pfn)
        return True

    def unlock(self, page: Page) -> bool:
        """Give a frame back (VMW_BALLOON_DEFLATE), unless it will not."""
        if self.stubborn:
            return False
        self.pfns.remove(page.pfn)
        return True


class VmwBalloon:
    """Frames lent to the hypervisor (`struct vmballoon`)."""

    class Config(BaseModel):
        """Settings of one balloon."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        limit: int = Field(default=256, ge=0, json_schema_extra={"unit": "pages"})

    class Conformance:
        """What the checks should know."""

        impossible = {
            "refused": "the balloon core lets go of every page that it lists",
            "freed_while_isolated": "deflation takes listed pages, and isolated ones are not",
        }

    def __init__(self, memory: Memory, config: Config | None = None) -> None:
        self.memory = memory
        self.hypervisor = Hypervisor()
        self.hypervisor.limit = (config or self.Config()).limit
        self.conf_sem = Mutex("conf_sem")
        """Held through inflation and deflation; a move only tries it."""
        self.pages = PageList("vmballoon")
        self.isolated_pages = 0
        self.pages_lock = SpinLock("pages_lock")
        self.size = 0
        """Pages in the balloon, isolated ones included."""
        self.moves = 0
        """How many pages are being moved."""
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<VmwBalloon [{self.size} pages, {self.isolated_pages} isolated]>"

    # The device: what guest and hypervisor do.

    @operation
    def inflate(self, count: Pages) -> int:
        """Lend up to *count* frames more; return how many the hypervisor took."""
        done = 0
        # Allocations may enter compaction, and so this driver: nothing is held meanwhile.
        for page in self._allocate(count):
            with self.conf_sem:
                point("hypervisor asked")
                if not self.hypervisor.lock(page):
                    page.put()
                    continue
                page.trylock()
                self._enqueue(page)
                page.unlock()
                self.size += 1
                done += 1
        return done

    @operation
    def deflate(self, count: Pages) -> int:
        """Take up to *count* frames back; return how many."""
        done = 0
        with self.conf_sem:
            while done < count and (page := self._dequeue()):
                if not self.hypervisor.unlock(page):
                    page.lock()
                    self._enqueue(page)
                    page.unlock()
                    break
                point("hypervisor told")
                self.size -= 1
                page.put()
                done += 1
        return done

    @operation
    def decree(self, limit: Pages, stubborn: bool) -> None:
        """The hypervisor makes up its mind: at most *limit* frames; *stubborn*, it keeps them."""
        self.hypervisor.limit, self.hypervisor.stubborn = limit, stubborn

    @operation
    def remove(self) -> None:
        """Empty the balloon, once the VM has given back what it isolated (vmballoon_exit())."""
        self.hypervisor.stubborn = False
        while self.size:
            self.deflate(self.size)
            relax("balloon not empty")
        # A move that the hypervisor made the balloon smaller with is not over when that is counted.
        while self.moves:
            relax("a page on its way")

    def _allocate(self, count: int) -> list[Page]:
        pages: list[Page] = []
        try:
            while len(pages) < count:
                pages.append(self.memory.alloc_page())
        except OutOfMemory:
            pass
        return pages

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
        if not self.conf_sem.trylock():
            return MigrateResult.AGAIN
        self.moves += 1
        try:
            # Deflate first: inflation may be refused, and then the guest is no worse off.
            if not self.hypervisor.unlock(page):
                return MigrateResult.BUSY
            self._move(newpage, page)
        finally:
            self.conf_sem.unlock()
            self.moves -= 1
        return MigrateResult.SUCCESS

    def _move(self, newpage: Page, page: Page) -> None:
        if self.hypervisor.lock(newpage):
            newpage.get()
            self._enqueue(newpage)
            point("new page adopted")
        else:
            self.size -= 1
        with self.pages_lock:
            self.isolated_pages -= 1
        self._give_up(page)

    @hookimpl
    def putback_page(self, page: Page) -> None:
        with self.pages_lock:
            self.pages.add(page)
            point("on the balloon's list again")
            self.isolated_pages -= 1

    # Both.

    def _enqueue(self, page: Page) -> None:
        with self.pages_lock:
            page.set_movable(self.mapping)
            self.pages.add(page)

    def _dequeue(self) -> Page | None:
        """Take the first page that nobody has locked: who has, is about to isolate it."""
        with self.pages_lock:
            page = next((page for page in self.pages if page.trylock()), None)
            if page:
                self.pages.remove(page)
                page.clear_movable()
                page.unlock()
        return page

    def _give_up(self, page: Page) -> None:
        page.clear_movable()
        page.put()

    @invariant
    def balloon_and_hypervisor_agree(self) -> None:
        """Balloon and hypervisor agree."""
        sizes = (self.size, len(self.pages) + self.isolated_pages, len(self.hypervisor.pfns))
        if len(set(sizes)) > 1:
            raise AuditFailed(self.mapping.name, f"the sizes differ: {self!r}, {self.hypervisor!r}")
