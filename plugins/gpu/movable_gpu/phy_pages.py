"""`PhyPages`: where the GPU's pages come from and go to: pools, the VM and the free worker.

A page can stop being movable only under its page lock, and who frees a buffer holds locks that rank
inside it. So every page that goes back to the VM goes through a worker that holds nothing else.
Follows mali_kbase_mem_migrate.c and mali_kbase_mem_pool.c of kbase r51p0.
"""

from __future__ import annotations

from collections import Counter
from itertools import count

from movable import AddressSpace, Memory, Page, PageList, SpinLock, WorkQueue, point
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable_gpu.config import GpuConfig
from movable_gpu.large import LargePages, PlainPage
from movable_gpu.meter import Meter
from movable_gpu.page_metadata import PAGE_SHIFT, PageMetadata, PageStatus
from movable_gpu.pool import Pool
from movable_gpu.repairs import repairs

Slot = PageMetadata | PlainPage
"""What a buffer has in its place for a page."""


class PhyPages:
    """All pages of one GPU, whoever uses them."""

    def __init__(
        self, memory: Memory, mapping: AddressSpace, config: GpuConfig, meter: Meter
    ) -> None:
        self.memory, self.mapping, self.movable = memory, mapping, config.movable
        self.meter = meter
        self.repairs = repairs(config.profile, config.without)
        self.metadata: dict[int, PageMetadata] = {}
        """What is known of each page, by the number in its page.private."""
        self.dma_mapped: Counter[int] = Counter()
        """Frames that the GPU can reach, by number."""
        self.device_pool = Pool("device pool", config.pool_max_pages, self.metadata_of)
        self.large = LargePages(memory, config.pool_max_pages) if config.large_pages else None
        self.free_pages_list = PageList("free_pages_list")
        """Pages that the worker will give back, the first to go first."""
        self.free_pages_lock = SpinLock("free_pages_lock")
        self.free_pages_workq = WorkQueue("free worker")
        self.context_pools: list[Pool] = []
        """Those of the contexts that there are, the oldest first."""
        self._pool_max_pages = config.pool_max_pages
        self._numbers = count(1)

    def __repr__(self) -> str:
        pooled = sum(pool.cur_size for pool in self.pools)
        return f"<PhyPages [{len(self.metadata)} pages, {pooled} pooled]>"

    @property
    def pools(self) -> list[Pool]:
        """All pools: those of contexts, and the device's."""
        return [*self.context_pools, self.device_pool]

    def metadata_of(self, page: Page) -> PageMetadata:
        """What is known of *page*."""
        return self.metadata[page.private]

    # Pools.

    def new_pool(self) -> Pool:
        """A pool for a context; the device's is behind it."""
        pool = Pool("pool", self._pool_max_pages, self.metadata_of, self.device_pool)
        self.context_pools.append(pool)
        return pool

    def end_pool(self, pool: Pool) -> None:
        """Spill a context's pool into the device's, and what that has no room for to the VM."""
        for metadata in pool.term():
            metadata.page.content = 0  # the next context must not read it
            assert pool.next_pool
            if not pool.next_pool.add(metadata):
                metadata.change(PageStatus.FREE_IN_PROGRESS)
                self.give_back(metadata)
        self.context_pools.remove(pool)

    def shrink_pool(self) -> int:
        """Give pages of a pool back, one or 2 MiB; how many."""
        for pool in self.pools:
            metadata = pool.remove(PageStatus.FREE_IN_PROGRESS)
            if metadata:
                self.give_back(metadata)
                return 1
        return self.large.shrink() if self.large else 0

    # Pages come.

    def alloc(self, wanted: int, pool: Pool) -> list[Slot]:
        """*wanted* pages for a buffer: large ones, then from *pool* and those behind it.

        :raises OutOfMemory: there are not as many; those that were taken are freed again.
        """
        large: list[Slot] = list(self.large.alloc(wanted)) if self.large else []
        try:
            return [*large, *self.alloc_small(wanted - len(large), pool)]
        except OutOfMemory:
            for page in large:
                self.free(page, pool)
            raise

    def alloc_small(self, wanted: int, pool: Pool) -> list[PageMetadata]:
        """*wanted* single pages.

        :raises OutOfMemory: as above.
        """
        taken: list[PageMetadata] = []
        try:
            while len(taken) < wanted:
                taken.append(self._pooled(pool) or self._new())
        except OutOfMemory:
            for metadata in reversed(taken):
                metadata.change(PageStatus.FREE_IN_PROGRESS)
                self.free(metadata, pool)
            raise
        return taken

    def try_alloc(self, wanted: int, pool: Pool) -> list[Slot] | None:
        """*wanted* pages; `None` if there are not as many."""
        try:
            return list(self.alloc_small(wanted, pool))
        except OutOfMemory:
            self.flush()
            return None

    def _pooled(self, pool: Pool) -> PageMetadata | None:
        metadata = pool.remove(PageStatus.ALLOCATE_IN_PROGRESS)
        if metadata is None and pool.next_pool:
            metadata = pool.next_pool.remove(PageStatus.ALLOCATE_IN_PROGRESS)
        return metadata

    def _new(self) -> PageMetadata:
        page = self.memory.alloc_page(GFP_HIGHUSER_MOVABLE if self.movable else GFP_KERNEL)
        metadata = PageMetadata(next(self._numbers), page, self.repairs)
        self.metadata[metadata.number] = metadata
        page.private = metadata.number
        self.dma_map(page)
        if self.movable:
            if not page.trylock():
                raise AuditFailed(self.mapping.name, f"{page!r} is new, and somebody has locked it")
            page.set_movable(self.mapping)
            metadata.movable = True
            page.unlock()
        point("page published", page)
        return metadata

    def dma_map(self, page: Page) -> None:
        """Let the GPU reach a frame (dma_map_page())."""
        self.meter.spend("dma_map", self.meter.costs.dma_map_ns)
        self.dma_mapped[page.pfn] += 1

    def dma_unmap(self, page: Page) -> None:
        """Undo that."""
        self.meter.spend("dma_unmap", self.meter.costs.dma_map_ns)
        self.dma_mapped[page.pfn] -= 1

    # Pages go.

    def free(self, slot: Slot, pool: Pool) -> None:
        """Keep a page that is being freed in a pool, or give it back if there is no room."""
        if isinstance(slot, PlainPage):
            if slot.chunk and self.large:
                self.large.free(slot)
            else:
                slot.page.put()  # it was another device's, or a process's
        elif not pool.add(slot) and not (pool.next_pool and pool.next_pool.add(slot)):
            self.give_back(slot)

    def give_back(self, metadata: PageMetadata) -> None:
        """Have the worker give a page that is being freed back to the VM.

        :raises AuditFailed: the VM has it on a list, and there is one link for both (H3).
        """
        if metadata.isolated:
            raise AuditFailed(self.mapping.name, f"{metadata!r} is queued from the VM's list (H3)")
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
        metadata = self.metadata.pop(page.private)
        self.dma_mapped[page.pfn] -= 1
        page.private = 0
        if metadata.movable:
            metadata.movable = False
            page.clear_movable()

    def adopt(self, metadata: PageMetadata, newpage: Page) -> None:
        """The new page is the driver's from here on, and the old one nobody's (T16, S12, S13)."""
        page = metadata.page
        with metadata.migrate_lock:
            metadata.page, metadata.isolated, metadata.movable = newpage, False, True
            metadata.dma_addr = newpage.pfn << PAGE_SHIFT
        newpage.get()
        point("new page adopted", newpage)
        self.dma_unmap(page)
        newpage.private = metadata.number
        newpage.set_movable(self.mapping)
        page.private = 0
        page.clear_movable()
        page.put()
