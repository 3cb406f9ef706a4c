"""z3fold: up to three objects in a page, claims that keep others off it, and a queue of work.

A page that is claimed (by the VM, when it isolates it) is not filled any further; a page whose last
object goes meanwhile is left to whoever has claimed it, and then to the worker (rule D21).

Follows mm/z3fold.c of Linux v6.1. Objects are all of one size here, a third of a page; what an
object holds is its page's contents and its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

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
    reads_back,
    relax,
)
from movable.errors import AuditFailed, OutOfMemory

__version__ = "0.1.0"

BUDDIES = 3
"""Objects that fit into a page."""
Nth = Annotated[int, Field(ge=0, le=4096, description="which object, counted around")]


@dataclass(eq=False)
class Header:
    """What z3fold knows of one of its pages (`struct z3fold_header`)."""

    page: Page
    buddies: list[int | None] = field(default_factory=lambda: [None] * BUDDIES)
    """The handles of the objects in it."""
    claimed: bool = False
    """Somebody has it to himself: PAGE_CLAIMED."""
    mapped: int = 0
    lock: SpinLock = field(default_factory=lambda: SpinLock("page_lock"))

    @property
    def empty(self) -> bool:
        """No object is left in it."""
        return self.buddies == [None] * BUDDIES


class Z3fold:
    """A pool of pages with up to three objects each (`struct z3fold_pool`)."""

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.lru = PageList("lru")
        """Every page that nobody has claimed."""
        self.unbuddied: set[Header] = set()
        """Those of them that have room."""
        self.headers: dict[int, Header] = {}
        """By number, which stands in the page's private."""
        self.objects: dict[int, Header] = {}
        self.mapped: deque[int] = deque()
        """Handles that are mapped, the oldest first."""
        self.pending: deque[Header] = deque()
        """Work left for later (`pool->compact_wq`, `pool->release_wq`)."""
        self.isolated_pages = 0
        self.destroying = False
        self._numbers = 0
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<Z3fold [{len(self.objects)} objects in {len(self.headers)} pages]>"

    # The device: what zswap asks for.

    @operation
    def store(self, count: Annotated[int, Field(ge=1, le=32)]) -> int:
        """Store *count* more objects (z3fold_alloc()); return how many."""
        for done in range(count):
            header = next(iter(sorted(self.unbuddied, key=self._number)), None) or self._new_page()
            if header is None:
                return done
            self._numbers += 1
            header.buddies[header.buddies.index(None)] = self._numbers
            self.objects[self._numbers] = header
            self._relist(header)
        return count

    @operation
    def free(self, nth: Nth) -> None:
        """Free an object that is not mapped (z3fold_free())."""
        handles = [handle for handle in self.objects if handle not in self.mapped]
        if handles:
            self._free(handles[nth % len(handles)])

    @operation
    def map(self, nth: Nth) -> None:
        """Map an object for use, so that it stays where it is (z3fold_map())."""
        if self.objects:
            handle = list(self.objects)[nth % len(self.objects)]
            self.mapped.append(handle)
            self.objects[handle].mapped += 1

    @operation
    def unmap(self) -> None:
        """Unmap the object that has been mapped longest (z3fold_unmap())."""
        if self.mapped:
            self.objects[self.mapped.popleft()].mapped -= 1

    @operation
    def work(self) -> None:
        """The worker's turn: free what is empty (compact_page_work())."""
        for header in [self.pending.popleft() for _ in range(len(self.pending))]:
            if header.empty and not header.claimed:
                self._release(header)

    @operation
    def destroy(self) -> None:
        """Wait for the VM, let go of everything (z3fold_destroy_pool())."""
        self.destroying = True
        while self.isolated_pages:
            relax("isolated pages are out")
        while self.mapped:
            self.unmap()
        for handle in list(self.objects):
            self._free(handle)
        self.work()

    @reads_back
    def contents(self) -> Mapping[int, tuple[int, int]]:
        """Each object: what its page holds, and its place there."""
        return {
            handle: (header.page.content, header.buddies.index(handle))
            for handle, header in self.objects.items()
        }

    # The driver: what the VM asks.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        header = self.headers[page.private]
        with header.lock:
            if header.claimed or header.mapped or header in self.pending or self.destroying:
                return False
            self._claim(header)
        self.isolated_pages += 1
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL
        header = self.headers[page.private]
        if not header.lock.trylock():
            return MigrateResult.AGAIN
        try:
            if header in self.pending:
                return MigrateResult.AGAIN
            if header.mapped:
                return MigrateResult.BUSY
            return self._move(header, newpage, page)
        finally:
            header.lock.unlock()

    def _move(self, header: Header, newpage: Page, page: Page) -> int:
        newpage.copy_from(page)
        newpage.private = page.private
        header.page = newpage
        newpage.get()
        newpage.set_movable(self.mapping)
        self.isolated_pages -= 1
        self._unclaim(header)
        page.private = 0
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        header = self.headers[page.private]
        with header.lock:
            self._unclaim(header)
        self.isolated_pages -= 1

    # Both.

    def _number(self, header: Header) -> int:
        return header.page.private

    def _new_page(self) -> Header | None:
        try:
            page = self.memory.alloc_page()
        except OutOfMemory:
            return None
        self._numbers += 1
        page.private = self._numbers
        header = self.headers[self._numbers] = Header(page)
        page.trylock()
        self._publish(header)
        page.unlock()
        return header

    def _publish(self, header: Header) -> None:
        self.lru.add_tail(header.page)
        self.unbuddied.add(header)
        header.page.set_movable(self.mapping)

    def _claim(self, header: Header) -> None:
        header.claimed = True
        self.lru.remove(header.page)
        self.unbuddied.discard(header)

    def _unclaim(self, header: Header) -> None:
        """List a page again; one that has become empty meanwhile is the worker's."""
        header.claimed = False
        self.lru.add_tail(header.page)
        self._relist(header)
        if header.empty:
            self._queue(header)

    def _relist(self, header: Header) -> None:
        if None in header.buddies and not header.claimed:
            self.unbuddied.add(header)
        else:
            self.unbuddied.discard(header)

    def _queue(self, header: Header) -> None:
        self.unbuddied.discard(header)
        self.pending.append(header)

    def _free(self, handle: int) -> None:
        header = self.objects.pop(handle)
        header.buddies[header.buddies.index(handle)] = None
        self._relist(header)
        if header.empty and not header.claimed:
            self._release(header)

    def _release(self, header: Header) -> None:
        page = header.page
        self.unbuddied.discard(header)
        if header in self.pending:
            self.pending.remove(header)
        del self.headers[page.private]
        page.lock()
        self.lru.remove(page)
        page.clear_movable()
        page.private = 0
        page.unlock()
        page.put()

    @invariant
    def pages_are_listed_as_their_state_says(self) -> None:
        """Every page is listed where its state says."""
        for header in self.headers.values():
            listed = header.page in self.lru
            roomy = None in header.buddies and header not in self.pending
            if listed is header.claimed or (header in self.unbuddied) is not (listed and roomy):
                raise AuditFailed(self.mapping.name, f"is not listed as it should be: {header!r}")
