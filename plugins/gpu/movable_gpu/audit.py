"""What must add up in a GPU while nobody is inside a call of it, though the VM may hold pages.

Numbers I1 to I18 and Q1 to Q7 are those that the tests give to what a GPU promises. What holds only
while nothing is isolated (Q) is the VM's to see: `movable check` does, and so do the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable_gpu.audit_buffers import AuditBuffers
from movable_gpu.page_metadata import PAGE_SHIFT, PageMetadata, PageStatus
from movable_gpu.pool import Pool

if TYPE_CHECKING:
    from movable_gpu import Gpu


class Audit(AuditBuffers):
    """One recount of one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        super().__init__(gpu)
        self.phy_pages = gpu.phy_pages
        self.strict = gpu.config.profile == "strict" and not gpu.config.without

    def run(self) -> None:
        """Count everything that is kept in two places in both of them.

        :raises AuditFailed: they differ; the text says what, and whose.
        """
        self._check_locks()
        for metadata in self.pages:
            self._check_page(metadata)
            self._check_owner(metadata)
        self._check_isolated()
        for pool in self.phy_pages.pools:
            self._check_pool(pool)
        self._check_dma()
        self._check_large()
        super().run()

    def _check_locks(self) -> None:
        """All are free (Q3)."""
        hardware = self.gpu.hardware
        locks = [hardware.mmu_hw_mutex, hardware.sync_sem]
        for context in self.gpu.contexts:
            locks += [context.region_lock, context.evict_lock, context.mmu.mmu_lock]
        locks += [buffer.resv for buffer in self.buffers]
        spinning = [self.phy_pages.free_pages_lock, hardware.hwaccess_lock]
        spinning += [pool.pool_lock for pool in self.phy_pages.pools]
        spinning += [metadata.migrate_lock for metadata in self.pages]
        spinning += [slot.blocked for slot in hardware.slots]
        for lock in [*locks, *spinning]:
            self.check(not lock.is_locked(), "is held", lock)

    def _check_page(self, metadata: PageMetadata) -> None:
        """The flags and references that the VM sees are those that the state implies (I2, I3)."""
        page = metadata.page
        self.check(page.private == metadata.number, "is not what its page names", metadata)
        self.check(
            page.mapping is (self.gpu.mapping if metadata.movable else None), "is lost", page
        )
        kept = metadata.movable or not (self.strict and self.phy_pages.movable)
        self.check(kept, "is never offered again", metadata)
        self.check(page.isolated == metadata.isolated, "is isolated in part", metadata)
        at_rest = (1 + metadata.isolated, False)
        self.check((page.refcount, page.locked) == at_rest, "is not at rest", page)

    def _check_owner(self, metadata: PageMetadata) -> None:
        """Each page has one owner: a slot, page tables, a list, or the VM (I1, I8)."""
        page = metadata.page
        match metadata.status:
            case PageStatus.MEM_POOL:
                pool = metadata.pool
                kept = metadata.isolated != bool(pool and page in pool.page_list)
            case PageStatus.ALLOCATED_MAPPED:
                kept = self._in_slot(metadata)
            case PageStatus.NOT_MOVABLE:
                kept = self._in_slot(metadata) != self._in_tables(metadata)
            case PageStatus.PT_MAPPED:
                kept = self._in_tables(metadata)
            case PageStatus.FREE_IN_PROGRESS:
                queued = page in self.phy_pages.free_pages_list
                kept = queued or (metadata.vmap_count > 0 and not metadata.isolated)
            case PageStatus.FREE_ISOLATED_IN_PROGRESS | PageStatus.FREE_PT_ISOLATED_IN_PROGRESS:
                kept = metadata.isolated
            case PageStatus.FREE_AFTER_VUNMAP:
                kept = metadata.vmap_count > 0 and not metadata.isolated
            case _:
                kept = False
        self.check(kept, "has no owner", metadata)

    def _in_slot(self, metadata: PageMetadata) -> bool:
        buffer = metadata.buffer
        if buffer is None or self.gpu.buffers.get(buffer.number) is not buffer:
            return False
        return metadata.index < len(buffer.slots) and buffer.slots[metadata.index] is metadata

    def _in_tables(self, metadata: PageMetadata) -> bool:
        page = metadata.pgd_page
        return page is not None and page in page.context.mmu.pgd_pages

    def _check_isolated(self) -> None:
        """Every isolation ends in one way, once (I15, Q6)."""
        held, events = sum(metadata.isolated for metadata in self.pages), self.gpu.events
        self.check(held == self.gpu.isolated_pages, f"{held} pages are isolated")
        ended = events["migrated"] + events["discarded"] + events["putback"]
        self.check(events["isolated"] == ended + held, f"{events} do not add up")

    def _check_pool(self, pool: Pool) -> None:
        """It holds what it may, and nobody is still looking at it (I8, I17, Q4)."""
        self.check(pool.cur_size <= pool.max_size, "the pool is too large")
        self.check(not pool.gone, f"{pool!r} is used after it ended")
        kept = sum(m.pool is pool and m.isolated for m in self.pages)
        late = pool.isolation_in_progress_cnt != kept
        self.check(not late, "an isolation has not left the pool")
        for page in pool.page_list:
            metadata = self.phy_pages.metadata_of(page)
            pooled = metadata.status is PageStatus.MEM_POOL and metadata.pool is pool
            self.check(pooled, f"{page!r} is pooled, and {metadata.status.name}")

    def _check_dma(self) -> None:
        """The GPU reaches each known frame once, and no other (I7)."""
        known = {metadata.page.pfn: 1 for metadata in self.pages}
        mapped = {pfn: times for pfn, times in self.phy_pages.dma_mapped.items() if times}
        self.check(mapped == known, "the GPU reaches other frames than it has")
        for metadata in self.pages:
            right = metadata.dma_addr == metadata.page.pfn << PAGE_SHIFT
            self.check(right, "is elsewhere for the GPU", metadata)

    def _check_large(self) -> None:
        """Of each large page so many are in use as buffers have of it."""
        large = self.phy_pages.large
        if large:
            used = self.plain_in_use()
            counted = {head: 512 - len(chunk.free) for head, chunk in large.chunks.items()}
            self.check(used == counted, "large pages are counted wrongly")
