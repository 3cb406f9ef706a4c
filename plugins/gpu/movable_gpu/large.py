"""`LargePages`: memory in pieces of 2 MiB, whole or lent out page by page.

Their pages have no metadata and are never published, so they never move: 2 MiB that nobody can
break up, but that also need no other 2 MiB. Follows mali_kbase_mem_pool.c and
kbase_alloc_phy_pages_helper() of kbase r51p0.
"""

from __future__ import annotations

from movable import Memory, Page, SpinLock
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER, Gfp

ORDER = 9
"""Of a large page: 512 pages of 4 KiB."""
SIZE = 1 << ORDER
GFP = GFP_HIGHUSER | Gfp.ZERO | Gfp.NOWARN | Gfp.NORETRY


class PlainPage:
    """A page that the driver knows nothing about but where it is: part of a large one, or another
    device's."""

    __slots__ = ("chunk", "page")

    def __init__(self, page: Page, chunk: Chunk | None = None) -> None:
        self.page, self.chunk = page, chunk

    def __repr__(self) -> str:
        return f"<PlainPage {self.page!r}>"


class Chunk:
    """One large page, and which of its pages are in use (`struct kbase_sub_alloc`)."""

    def __init__(self, memory: Memory, head: int) -> None:
        self.head = head
        self.pages = [memory.page(head + offset) for offset in range(SIZE)]
        self.free = list(reversed(range(SIZE)))
        """Offsets of those that nobody uses, the next to be used last."""

    def __repr__(self) -> str:
        return f"<Chunk {self.head} [{SIZE - len(self.free)} pages in use]>"

    def take(self) -> PlainPage:
        """One page of it."""
        return PlainPage(self.pages[self.free.pop()], self)

    def give(self, page: PlainPage) -> bool:
        """Have a page again, and say whether none is in use any more."""
        self.free.append(page.page.pfn - self.head)
        return len(self.free) == SIZE


class LargePages:
    """The pool of order 9, and large pages of which a part is lent out."""

    def __init__(self, memory: Memory, max_pages: int) -> None:
        self.memory, self.max_chunks = memory, max_pages // SIZE
        self.pool: list[Chunk] = []
        """Large pages that nobody uses."""
        self.chunks: dict[int, Chunk] = {}
        """Those of which some pages are in use, by the number of the first frame."""
        self.lock = SpinLock("large_pool_lock")
        """Protects both."""

    def __repr__(self) -> str:
        return f"<LargePages [{len(self.chunks)} in use, {len(self.pool)} pooled]>"

    def alloc(self, wanted: int) -> list[PlainPage]:
        """As many of *wanted* pages as large pages can give.

        Whole ones first; a rest comes from one that is lent out in part, or from a further one.
        """
        taken: list[PlainPage] = []
        while len(taken) < wanted:
            chunk = self._whole() if wanted - len(taken) >= SIZE else self._partial()
            if chunk is None:
                break
            with self.lock:
                taken += [chunk.take() for _ in range(min(wanted - len(taken), len(chunk.free)))]
        return taken

    def _partial(self) -> Chunk | None:
        with self.lock:
            partial = next((chunk for chunk in self.chunks.values() if chunk.free), None)
        return partial or self._whole()

    def _whole(self) -> Chunk | None:
        with self.lock:
            chunk = self.pool.pop() if self.pool else None
        if chunk is None:
            try:
                # It may compact; no lock is held.
                chunk = Chunk(self.memory, self.memory.alloc_pages(GFP, ORDER))
            except OutOfMemory:
                return None
        with self.lock:
            self.chunks[chunk.head] = chunk
        return chunk

    def free(self, page: PlainPage) -> None:
        """Give one page back; with the last one its large page goes to the pool, or to the VM."""
        chunk = page.chunk
        assert chunk
        with self.lock:
            whole = chunk.give(page)
            if whole:
                del self.chunks[chunk.head]
                keep = len(self.pool) < self.max_chunks
                if keep:
                    self.pool.append(chunk)
        if whole and not keep:
            self.memory.free_pages(chunk.head, ORDER)

    def shrink(self) -> int:
        """Give one pooled large page back; how many pages that was."""
        with self.lock:
            chunk = self.pool.pop() if self.pool else None
        if chunk is None:
            return 0
        self.memory.free_pages(chunk.head, ORDER)
        return SIZE
