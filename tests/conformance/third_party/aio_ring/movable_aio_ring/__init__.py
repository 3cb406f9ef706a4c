"""Rings of asynchronous I/O: a page of events that users have mapped, and that must keep its place.

A ring's pages are found through `private`, which says whose they are and which. A context that goes
away gives its pages up before it forgets them.

Follows fs/aio.c of Linux v6.1. There the pages are page cache, isolated through the LRU; here they
are published as a driver's, and the locks are those of aio_migrate_folio().
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
    Mutex,
    Page,
    hookimpl,
    invariant,
    operation,
    point,
    reads_back,
)
from movable.errors import AuditFailed, OutOfMemory

__version__ = "0.1.0"

MOST_PAGES = 8
Which = Annotated[int, Field(ge=0, le=4096, description="which context, counted around")]


class Context:
    """One ring, and who may touch it (`struct kioctx`)."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ring_pages: list[Page] = []
        self.ring_lock = Mutex(f"ring {number}")
        """Held by who reads events, and by who moves a page."""


class AioRing:
    """All contexts of a process."""

    class Conformance:
        """What the checks should know."""

        impossible: ClassVar = {
            "refused": "pages are isolated whatever their context does",
        }

    def __init__(self, memory: Memory, config: object = None) -> None:
        self.memory = memory
        self.contexts: dict[int, Context] = {}
        self._numbers = self._events = 0
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<AioRing [{len(self.contexts)} contexts]>"

    # The device: what processes ask for.

    @operation
    def setup(self, pages: Annotated[int, Field(ge=1, le=MOST_PAGES)]) -> bool:
        """Make a context with a ring of *pages* pages, if there is memory (io_setup())."""
        self._numbers += 1
        context = Context(self._numbers)
        for index in range(pages):
            page = self._new_page(context, index)
            if page is None:
                self._free_ring(context)
                return False
            context.ring_pages.append(page)
        # Locked before it can be found: who wants to let it go waits until it is whole
        # (ioctx_alloc()).
        with context.ring_lock:
            self.contexts[context.number] = context
            for page in context.ring_pages:
                page.lock()
                page.set_movable(self.mapping)
                page.unlock()
                point("ring page published")
        return True

    @operation
    def complete(self, nth: Which) -> None:
        """Write an event to every page of a ring (aio_complete())."""
        context = self._nth(nth)
        if context:
            with context.ring_lock:
                self._events += 1
                for page in context.ring_pages if context.number in self.contexts else ():
                    page.content = (1 << 31) + (self._events << 8) + page.private % 256
                    point("event written")

    @operation
    def exit(self, nth: Which) -> None:
        """Let a context go (io_destroy())."""
        context = self._nth(nth)
        if context:
            self._exit(context)

    @operation
    def remove(self) -> None:
        """Let every context go, as when the process ends (exit_aio())."""
        for context in list(self.contexts.values()):
            self._exit(context)

    @reads_back
    def ring_contents(self) -> Mapping[int, tuple[int, ...]]:
        """What users read in each ring."""
        return {
            number: tuple(page.content for page in context.ring_pages)
            for number, context in self.contexts.items()
        }

    # The driver: what the VM asks.

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if mode is MigrateMode.SYNC_NO_COPY:
            return MigrateResult.INVAL
        number, index = divmod(page.private, MOST_PAGES)
        context = self.contexts.get(number)
        if context is None:
            return MigrateResult.INVAL  # it is on its way out, and about to give the page up
        if not context.ring_lock.trylock():
            return MigrateResult.AGAIN
        newpage.copy_from(page)
        point("page copied")
        newpage.private = page.private
        context.ring_pages[index] = newpage
        newpage.get()
        newpage.set_movable(self.mapping)
        point("ring names the new page")
        page.private = 0
        page.clear_movable()
        page.put()
        context.ring_lock.unlock()
        return MigrateResult.SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        """It is on no list of ours."""

    # Both.

    def _nth(self, nth: int) -> Context | None:
        contexts = list(self.contexts.values())
        return contexts[nth % len(contexts)] if contexts else None

    def _new_page(self, context: Context, index: int) -> Page | None:
        try:
            page = self.memory.alloc_page()
        except OutOfMemory:
            return None
        page.private = context.number * MOST_PAGES + index
        return page

    def _exit(self, context: Context) -> None:
        """Give the pages up, each under its lock, and then free them (put_aio_ring_file())."""
        with context.ring_lock:
            if self.contexts.pop(context.number, None):
                for page in context.ring_pages:
                    page.lock()
                    page.clear_movable()
                    page.unlock()
                    point("ring page given up")
                self._free_ring(context)

    def _free_ring(self, context: Context) -> None:
        for page in context.ring_pages:
            page.private = 0
            page.put()

    @invariant
    def each_page_knows_its_place(self) -> None:
        """Each page knows its place."""
        for number, context in self.contexts.items():
            places = [page.private for page in context.ring_pages]
            if places != [number * MOST_PAGES + index for index in range(len(places))]:
                raise AuditFailed(self.mapping.name, f"ring {number} has the pages of {places}")
