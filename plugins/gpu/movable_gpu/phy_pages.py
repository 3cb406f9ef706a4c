"""`PhyPages`: where the GPU's pages come from and go to: the pool, the VM and the free worker.

A page can stop being movable only under its page lock, and who frees a buffer holds locks that rank
inside it. So every page that goes back to the VM goes through a worker that holds nothing else.
"""

from __future__ import annotations

from itertools import count

from movable import AddressSpace, Memory, Page, PageList, SpinLock, WorkQueue, point
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable_gpu.page_metadata import PageMetadata, PageStatus
from movable_gpu.pool import Pool


class PhyPages:
    """All pages of one GPU, whoever uses them."""

    def __init__(
        self, memory: Memory, mapping: AddressSpace, pool_max_pages: int, movable: bool
    ) -> None:
        self.memory, self.mapping, self.movable = memory, mapping, movable
        self.metadata: dict[int, PageMetadata] = {}
        """What is known of each page, by the number in its page.private."""
        self.pool = Pool(pool_max_pages, self.metadata_of)
        self.free_pages_list = PageList("free_pages_list")
        """Pages that the worker will give back, the first to go first."""
        self.free_pages_lock = SpinLock("free_pages_lock")
        self.free_pages_workq = WorkQueue("free worker")
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<PhyPages [{len(self.metadata)} pages, {self.pool.cur_size} pooled]>"

    def metadata_of(self, page: Page) -> PageMetadata:
        """What is known of *page*."""
        return self.metadata[page.private]

    def alloc(self, wanted: int) -> list[PageMetadata]:
        """*wanted* pages for a buffer, from the pool while it has any.

        :raises OutOfMemory: there are not as many; those that were taken are freed again.
        """
        taken: list[PageMetadata] = []
        try:
            while len(taken) < wanted:
                pooled = self.pool.remove(PageStatus.ALLOCATE_IN_PROGRESS)
                taken.append(pooled or self._new())
        except OutOfMemory:
            for metadata in reversed(taken):
                metadata.change(PageStatus.FREE_IN_PROGRESS)
                self.free(metadata)
            raise
        return taken

    def _new(self) -> PageMetadata:
        page = self.memory.alloc_page(GFP_HIGHUSER_MOVABLE if self.movable else GFP_KERNEL)
        metadata = PageMetadata(next(self._numbers), page)
        self.metadata[metadata.number] = metadata
        page.private = metadata.number
        if self.movable:
            if not page.trylock():
                raise AuditFailed(self.mapping.name, f"{page!r} is new, and somebody has locked it")
            page.set_movable(self.mapping)
            page.unlock()
        point("page published", page)
        return metadata

    def free(self, metadata: PageMetadata) -> None:
        """Keep a page that is being freed in the pool, or give it back if there is no room."""
        if not self.pool.add(metadata):
            self.give_back(metadata)

    def shrink_pool(self) -> bool:
        """Give one pooled page back, and say whether there was one."""
        metadata = self.pool.remove(PageStatus.FREE_IN_PROGRESS)
        if metadata:
            self.give_back(metadata)
        return metadata is not None

    def give_back(self, metadata: PageMetadata) -> None:
        """Have the worker give a page that is being freed back to the VM."""
        with self.free_pages_lock:
            self.free_pages_list.add_tail(metadata.page)
        self.free_pages_workq.queue(self._free_pages)

    def flush(self) -> None:
        """Return when the worker has given back whatever it was asked to."""
        self.free_pages_workq.flush()

    def _free_pages(self) -> None:
        """The free worker."""
        while (page := self._next_to_free()) is not None:
            point("taken by the free worker", page)
            # The VM may still hold the lock, when it has just put the page back.
            page.lock()
            self.forget(page)
            page.unlock()
            page.put()

    def _next_to_free(self) -> Page | None:
        with self.free_pages_lock:
            page = next(iter(self.free_pages_list), None)
            if page is not None:
                self.free_pages_list.remove(page)
        return page

    def forget(self, page: Page) -> None:
        """Drop all knowledge of *page*; under the page lock. The reference stays the caller's."""
        del self.metadata[page.private]
        page.private = 0
        if self.movable:
            page.clear_movable()
