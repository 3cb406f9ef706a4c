"""What must add up in a GPU while nobody is inside a call of it, though the VM may hold pages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from movable.errors import AuditFailed
from movable_gpu.mmu import ENTRIES
from movable_gpu.page_metadata import IN_BUFFER, PageMetadata, PageStatus

if TYPE_CHECKING:
    from movable_gpu import Gpu
    from movable_gpu.buffer import Buffer


class Audit:
    """One recount of one GPU."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.mmu, self.phy_pages = gpu, gpu.mmu, gpu.phy_pages
        self.pool = gpu.phy_pages.pool
        self.buffers = list(gpu.buffers.values())
        self.pages = list(gpu.phy_pages.metadata.values())

    def run(self) -> None:
        """Count everything that is kept in two places in both of them.

        :raises AuditFailed: they differ; the text says what, and whose.
        """
        self._check_locks()
        for metadata in self.pages:
            self._check_page(metadata)
            self._check_owner(metadata)
        self._check_isolated()
        self._check_pool()
        for buffer in self.buffers:
            self._check_buffer(buffer)
            self._check_contents(buffer)
        self._check_evict_list()
        self._check_page_table()
        self._check_vmaps()
        self._check_jobs()
        self._check_display()

    def _check(self, kept: bool, problem: str, what: object = "") -> None:
        """Fail unless *kept*; *what* is wrong is put into words only then."""
        if not kept:
            words = f"{what!r} {problem}" if what else problem
            raise AuditFailed(self.gpu.mapping.name, f"{words}: {self.gpu!r}")

    def _check_locks(self) -> None:
        locks = [self.gpu.region_lock, self.gpu.evict_lock, self.mmu.mmu_lock]
        locks += [buffer.resv for buffer in self.buffers]
        spinning = [self.pool.pool_lock, self.phy_pages.free_pages_lock]
        spinning += [metadata.migrate_lock for metadata in self.pages]
        for lock in [*locks, *spinning, *self.mmu.regions.values()]:
            self._check(not lock.is_locked(), "is held", lock)

    def _check_page(self, metadata: PageMetadata) -> None:
        """The flags and references that the VM sees are those that the state implies."""
        page, movable = metadata.page, self.phy_pages.movable
        self._check(page.private == metadata.number, "is not what its page names", metadata)
        self._check(page.mapping is (self.gpu.mapping if movable else None), "is lost", page)
        self._check(page.isolated == metadata.isolated, "is isolated in part", metadata)
        at_rest = (1 + metadata.isolated, False)
        self._check((page.refcount, page.locked) == at_rest, "is not at rest", page)

    def _check_owner(self, metadata: PageMetadata) -> None:
        """Each page has one owner: a slot, a list, or the VM."""
        page = metadata.page
        match metadata.status:
            case PageStatus.MEM_POOL:
                kept = metadata.isolated != (page in self.pool.page_list)
            case PageStatus.ALLOCATED_MAPPED | PageStatus.NOT_MOVABLE:
                kept = self._in_slot(metadata)
            case PageStatus.FREE_IN_PROGRESS:
                queued = page in self.phy_pages.free_pages_list
                kept = queued or (metadata.vmap_count > 0 and not metadata.isolated)
            case PageStatus.FREE_ISOLATED_IN_PROGRESS:
                kept = metadata.isolated
            case PageStatus.FREE_AFTER_VUNMAP:
                kept = metadata.vmap_count > 0 and not metadata.isolated
            case PageStatus.ALLOCATE_IN_PROGRESS:
                kept = False
        self._check(kept, "has no owner", metadata)

    def _in_slot(self, metadata: PageMetadata) -> bool:
        buffer = metadata.buffer
        if buffer is None or self.gpu.buffers.get(buffer.number) is not buffer:
            return False
        return buffer.slots[metadata.index] is metadata

    def _check_isolated(self) -> None:
        held, events = sum(metadata.isolated for metadata in self.pages), self.gpu.events
        self._check(held == self.gpu.isolated_pages, f"{held} pages are isolated")
        ended = events["migrated"] + events["discarded"] + events["putback"]
        self._check(events["isolated"] == ended + held, f"{events} do not add up")

    def _check_pool(self) -> None:
        pool = self.pool
        self._check(pool.cur_size <= pool.max_size, "the pool is too large")
        self._check(not pool.isolation_in_progress_cnt, "an isolation has not left the pool")
        for page in pool.page_list:
            status = self.phy_pages.metadata_of(page).status
            self._check(status is PageStatus.MEM_POOL, f"{page!r} is pooled, and {status.name}")

    def _check_buffer(self, buffer: Buffer) -> None:
        """Its pages are all there or all gone, and in the state that its user put them in."""
        there = list(buffer.pages)
        purged = buffer.evictable and buffer not in self.gpu.evict_list
        if buffer.freed:
            self._check(bool(buffer.vmaps) and not buffer.bound, f"{buffer!r} is kept for nobody")
            return
        self._check(len(there) == (0 if purged else len(buffer.slots)), f"{buffer!r} lost pages")
        expected = IN_BUFFER[buffer.evictable]
        self._check(all(page.status is expected for page in there), f"{buffer!r} is mixed")

    def _check_contents(self, buffer: Buffer) -> None:
        """Every reader finds what was last written (I16)."""
        if not buffer.freed:
            for index, page in enumerate(buffer.frames(self.mmu)):
                found = page.content if page else None
                if page and found != buffer.contents[index]:
                    self._check(False, f"page {index} of {buffer!r} reads {found}")

    def _check_evict_list(self) -> None:
        """What the shrinker may take is there, and nobody needs it."""
        for buffer in self.gpu.evict_list:
            kept = buffer in self.buffers and buffer.evictable and not buffer.freed
            self._check(kept, f"{buffer!r} is not for the shrinker")

    def _check_page_table(self) -> None:
        """Each valid entry names the frame that the slot does, and a PGD knows how many it has."""
        expected = {
            buffer.start_pfn + index: metadata.page
            for buffer in self.buffers
            if buffer.bound
            for index, metadata in enumerate(buffer.slots)
            if metadata
        }
        self._check(self.mmu.entries == expected, "the page table names other frames")
        counted = Counter(vpfn // ENTRIES for vpfn in self.mmu.entries)
        self._check(self.mmu.num_valid_entries == counted, "a PGD counts its entries wrongly")

    def _check_vmaps(self) -> None:
        """Kernel mappings are counted, and name frames that are still the pages'."""
        counted: Counter[PageMetadata] = Counter()
        for buffer in self.buffers:
            for mapping in buffer.vmaps:
                for index, (metadata, page) in enumerate(mapping):
                    counted[metadata] += 1
                    self._check(metadata.page == page, f"{buffer!r} is mapped where it was")
                    same = page.content == buffer.contents[index]
                    self._check(same, f"a mapping of {buffer!r} reads other contents")
        known = {metadata: metadata.vmap_count for metadata in self.pages if metadata.vmap_count}
        self._check(known == dict(counted), "kernel mappings are counted wrongly")

    def _check_jobs(self) -> None:
        """What keeps buffers busy is what the GPU has to do."""
        pending = [fence for b in self.buffers for fence in b.fences if not fence.signalled]
        jobs = sorted(job.fence.seqno for job in self.gpu.jobs)
        self._check(sorted(fence.seqno for fence in pending) == jobs, "a fence is nobody's")
        for job in self.gpu.jobs:
            self._check(job.buffer.bound, f"{job.buffer!r} is not mapped for its job")

    def _check_display(self) -> None:
        for buffer in self.buffers:
            pins = int(buffer is self.gpu.displayed)
            self._check(buffer.pins == pins, f"{buffer!r} has {buffer.pins} pins")
