"""z3fold: up to three objects in a page, claims that keep others off it, and a queue of work.

Whoever has claimed a page (the VM when it isolates it, reclaim) has a reference on its header, as
each object has. The last reference leaves the page to the worker (rule D21), which frees it under
the page lock.

Follows mm/z3fold.c of Linux v6.1, with the wait for isolated pages that it had in v5.3 (it hung,
since migration did not count them out; here it does). Objects are all of one size, a third of a
page, and of one pool; what an object holds is its page's contents and its place.
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
    point,
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
    number: int
    buddies: list[int | None] = field(default_factory=lambda: [None] * BUDDIES)
    """The handles of the objects in it."""
    refs: int = 0
    """One for each object, and one for who has claimed it (`refcount`)."""
    claimed: bool = False
    """Somebody has it to himself: PAGE_CLAIMED."""
    mapped: int = 0
    lock: SpinLock = field(default_factory=lambda: SpinLock("page_lock"))
    """Protects everything above; outside the pool's lock."""

    @property
    def handles(self) -> list[int]:
        """Of the objects that are in it."""
        return [handle for handle in self.buddies if handle is not None]


class Z3fold:
    """A pool of pages with up to three objects each (`struct z3fold_pool`)."""

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.lock = SpinLock("pool lock")
        """Protects the lists, and the count of isolated pages."""
        self.lru = PageList("lru")
        """Every page that nobody has claimed, the oldest first."""
        self.unbuddied: dict[int, Header] = {}
        """Those of them that have room, by number."""
        self.stale: deque[Header] = deque()
        """What nothing refers to any more, left for the worker (`pool->stale`)."""
        self.headers: dict[int, Header] = {}
        """By number, which stands in the page's private."""
        self.objects: dict[int, Header] = {}
        self.mapped: deque[tuple[int, Page]] = deque()
        """Handles that are mapped, and where, the oldest first."""
        self.isolated_pages = 0
        self.destroying = self.drained = False
        self._numbers = 0
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<Z3fold [{len(self.objects)} objects in {len(self.headers)} pages]>"

    # The device: what zswap asks for.

    @operation
    def store(self, count: Annotated[int, Field(ge=1, le=32)]) -> int:
        """Store *count* more objects (z3fold_alloc()); return how many."""
        for done in range(count):
            header = self._with_room() or self._new_page()
            if header is None:
                return done
            handle = self._number()
            header.buddies[header.buddies.index(None)] = handle
            header.refs += 1
            self.objects[handle] = header
            self._relist(header)
            header.lock.unlock()
        return count

    @operation
    def free(self, nth: Nth) -> None:
        """Free an object that is not mapped (z3fold_free())."""
        handles = self._unmapped()
        if handles:
            self._free(handles[nth % len(handles)])

    @operation
    def map(self, nth: Nth) -> None:
        """Map an object for use, so that it stays where it is (z3fold_map())."""
        if self.objects:
            handle = list(self.objects)[nth % len(self.objects)]
            header = self.objects[handle]
            with header.lock:
                if handle not in self.objects:
                    return  # it was freed while the lock was waited for
                header.mapped += 1
                self.mapped.append((handle, header.page))
                point("object mapped")

    @operation
    def unmap(self) -> None:
        """Unmap the object that has been mapped longest (z3fold_unmap())."""
        if self.mapped:
            oldest = self.mapped[0]
            header = self.objects[oldest[0]]
            with header.lock:
                if oldest in self.mapped:
                    self.mapped.remove(oldest)
                    header.mapped -= 1

    @operation
    def reclaim(self) -> bool:
        """Have the oldest page's objects written elsewhere, and say whether that freed it
        (z3fold_reclaim_page())."""
        header = self._claim_oldest()
        if header is None:
            return False
        point("page claimed")
        for handle in header.handles:
            if handle in self._unmapped():
                self._free(handle)
        with header.lock:
            return self._end_claim(header)

    @operation
    def work(self) -> None:
        """The worker's turn: free what nothing refers to (free_pages_work())."""
        while self.stale:
            with self.lock:
                header = self.stale.popleft()
            page = header.page
            page.lock()
            del self.headers[header.number]
            page.private = 0
            page.clear_movable()
            page.unlock()
            page.put()

    @operation
    def destroy(self) -> None:
        """Wait for the VM, let go of everything (z3fold_destroy_pool())."""
        with self.lock:
            self.destroying = True
            pages = self.isolated_pages
        point("no more isolations")
        while pages and not self.drained:
            relax("isolated pages are out")
        while self.mapped:
            self.unmap()
        for handle in list(self.objects):
            self._free(handle)
        self.work()

    @reads_back
    def contents(self) -> Mapping[int, tuple[int, int]]:
        """Each object: what its page holds, and its place there; mapped ones are read where they
        were mapped."""
        pages = dict(self.mapped)
        return {
            handle: (pages.get(handle, header.page).content, header.buddies.index(handle))
            for handle, header in self.objects.items()
        }

    # The driver: what the VM asks.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        header = self.headers[page.private]
        with header.lock:
            if header.claimed or header.mapped or not header.refs:
                return False
            with self.lock:
                if self.destroying:
                    return False
                self._claim(header)
                point("page claimed")
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
            if header.mapped:
                return MigrateResult.BUSY
            self._move(header, newpage, page)
        finally:
            header.lock.unlock()
        self._count_out()
        return MigrateResult.SUCCESS

    def _move(self, header: Header, newpage: Page, page: Page) -> None:
        newpage.copy_from(page)
        point("page copied")
        newpage.private = header.number
        header.page = newpage
        newpage.get()
        newpage.set_movable(self.mapping)
        self._end_claim(header)
        page.private = 0
        page.clear_movable()
        page.put()

    @hookimpl
    def putback_page(self, page: Page) -> None:
        header = self.headers[page.private]
        with header.lock:
            self._end_claim(header)
        self._count_out()

    def _count_out(self) -> None:
        """End an isolation; the last one wakes who destroys the pool."""
        with self.lock:
            self.isolated_pages -= 1
        point("isolation counted out")
        if self.destroying and not self.isolated_pages:
            self.drained = True

    # Both.

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _with_room(self) -> Header | None:
        """A page that has room, locked."""
        with self.lock:
            for header in self.unbuddied.values():
                if header.lock.trylock():
                    return header
        return None

    def _new_page(self) -> Header | None:
        """A new page, locked as `_with_room` has it."""
        try:
            page = self.memory.alloc_page()
        except OutOfMemory:
            return None
        page.private = self._number()
        header = self.headers[page.private] = Header(page, page.private)
        header.lock.lock()
        page.trylock()
        with self.lock:
            self.lru.add_tail(page)
        page.set_movable(self.mapping)
        page.unlock()
        return header

    def _claim_oldest(self) -> Header | None:
        with self.lock:
            for page in self.lru:
                header = self.headers[page.private]
                if not header.lock.trylock():
                    continue
                free = not header.claimed and not header.mapped and header.refs > 0
                if free:
                    self._claim(header)
                header.lock.unlock()
                if free:
                    return header
        return None

    def _claim(self, header: Header) -> None:
        """Have a page to oneself; under both locks."""
        header.claimed = True
        header.refs += 1
        self.lru.remove(header.page)
        self.unbuddied.pop(header.number, None)

    def _end_claim(self, header: Header) -> bool:
        """List a page again, unless it has become the worker's meanwhile."""
        if self._put(header):
            return True
        with self.lock:
            self.lru.add_tail(header.page)
        point("page listed")
        header.claimed = False
        self._relist(header)
        return False

    def _relist(self, header: Header) -> None:
        """Offer a page's room to others, if it has some."""
        with self.lock:
            if None in header.buddies and not header.claimed:
                self.unbuddied[header.number] = header
            else:
                self.unbuddied.pop(header.number, None)

    def _put(self, header: Header) -> bool:
        """Drop a reference, and say whether it was the last (release_z3fold_page_locked())."""
        header.refs -= 1
        if header.refs:
            return False
        with self.lock:
            self.unbuddied.pop(header.number, None)
            if header.page in self.lru:
                self.lru.remove(header.page)
            self.stale.append(header)
        return True

    def _unmapped(self) -> list[int]:
        """Objects that may be freed: who maps one has a reference on it (`struct zswap_entry`)."""
        mapped = {handle for handle, _ in self.mapped}
        return [handle for handle in self.objects if handle not in mapped]

    def _free(self, handle: int) -> None:
        header = self.objects.pop(handle)
        with header.lock:
            header.buddies[header.buddies.index(handle)] = None
            point("object freed")
            if not self._put(header):
                self._relist(header)

    @invariant
    def pages_are_listed_as_their_state_says(self) -> None:
        """Every page is listed where its state says, and has the references that it should."""
        for header in self.headers.values():
            stale = header in self.stale
            listed = header.page in self.lru
            roomy = listed and None in header.buddies
            refs = len(header.handles) + (header.claimed and not stale)
            if (
                listed is (header.claimed or stale)
                or (header.number in self.unbuddied) is not roomy
            ):
                raise AuditFailed(self.mapping.name, f"is not listed as it should be: {header!r}")
            if header.refs != refs:
                raise AuditFailed(self.mapping.name, f"{refs} references were counted: {header!r}")
