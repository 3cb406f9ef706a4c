"""What must add up in a GPU's buffers, page tables, mappings, jobs and hardware."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from movable import Page
from movable.errors import AuditFailed
from movable_gpu.buffer import Buffer
from movable_gpu.context import Context
from movable_gpu.large import PlainPage
from movable_gpu.page_metadata import IN_BUFFER, VMAP_LIMIT, PageMetadata
from movable_gpu.pgd import BOTTOM, Entry, Pgd

if TYPE_CHECKING:
    from movable_gpu import Gpu


class AuditBuffers:
    """The part of a recount that goes from the buffers."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.buffers = list(gpu.buffers.values())
        self.pages = list(gpu.phy_pages.metadata.values())

    def check(self, kept: bool, problem: str, what: object = "") -> None:
        """Fail unless *kept*; *what* is wrong is put into words only then."""
        if not kept:
            words = f"{what!r} {problem}" if what else problem
            raise AuditFailed(self.gpu.mapping.name, f"{words}: {self.gpu!r}")

    def run(self) -> None:
        """The recount."""
        for buffer in self.buffers:
            self._check_buffer(buffer)
            self._check_contents(buffer)
            self._check_users(buffer)
        for context in self.gpu.contexts:
            self._check_context(context)
            self._check_page_table(context)
            for pgd in context.mmu.pgds.values():
                self._check_pgd(context, pgd)
        self._check_vmaps()
        self._check_jobs()
        self._check_display()
        self._check_hardware()

    def plain_in_use(self) -> dict[int, int]:
        """By large page: how many of its pages buffers have."""
        chunks = Counter(
            slot.chunk.head
            for buffer in self.buffers
            for slot in buffer.slots
            if isinstance(slot, PlainPage) and slot.chunk
        )
        return dict(chunks)

    def _check_buffer(self, buffer: Buffer) -> None:
        """Its pages are all there or all gone (I18), and in the state that its user put them in."""
        there = [slot for slot in buffer.slots if slot]
        purged = buffer.evictable and buffer not in buffer.context.evict_list
        if buffer.freed:
            self.check(bool(buffer.vmaps) and not buffer.bound, f"{buffer!r} is kept for nobody")
            return
        self.check(len(there) == (0 if purged else len(buffer.slots)), f"{buffer!r} lost pages")
        expected = IN_BUFFER[buffer.evictable or buffer.fixed]
        for metadata in buffer.pages:
            right = metadata.status is expected or metadata.fixed
            self.check(right, f"{buffer!r} is mixed")

    def _check_contents(self, buffer: Buffer) -> None:
        """Every reader finds what was last written (I16)."""
        if not buffer.freed:
            for index, page in enumerate(buffer.frames()):
                found = page.content if page else None
                if page and found != buffer.contents[index]:
                    self.check(False, f"page {index} of {buffer!r} reads {found}")

    def _check_users(self, buffer: Buffer) -> None:
        """Processes and other devices are led to the frames that the slots name (I5, I6)."""
        for index, page in buffer.user_pages.items():
            slot = buffer.slots[index]
            same = slot is not None and slot.page == page
            self.check(same, f"a process has page {index} of {buffer!r} where it was")
        for importer in buffer.importers:
            there = [slot.page if slot else None for slot in buffer.slots]
            same = importer.frames is None or importer.frames == there
            self.check(same, f"another device has {buffer!r} where it was")

    def _check_context(self, context: Context) -> None:
        """What the shrinker may take is there, and nobody needs it; nothing is in flight (Q3)."""
        self.check(not context.dead and not context.inflight, f"{context!r} is not at rest")
        for buffer in context.evict_list:
            kept = buffer in self.buffers and buffer.evictable and not buffer.freed
            self.check(kept, f"{buffer!r} is not for the shrinker")

    def _check_page_table(self, context: Context) -> None:
        """Each valid entry names the frame that the slot does (I5, I6, I8)."""
        expected = {
            start + index: slot.page
            for buffer in context.buffers.values()
            if buffer.bound
            for start in buffer.starts
            for index, slot in enumerate(buffer.slots)
            if slot
        }
        self.check(context.mmu.entries == expected, "the page table names other frames")

    def _check_pgd(self, context: Context, pgd: Pgd) -> None:
        """Its parent names it, and it knows how many of its entries are valid (I8, I10)."""
        mmu = context.mmu
        self.check(mmu.frame_of(pgd) == pgd.page.frame, "is elsewhere for the GPU", pgd)
        table = mmu.table_of(pgd)
        self.check(table is not None, "cannot be reached", pgd)
        assert table is not None
        self.check(len(table) == pgd.num_valid_entries, "counts its entries wrongly", pgd)
        for entry in table.values():
            leaf = isinstance(entry, Page)
            self.check(leaf == (pgd.level == BOTTOM), "has an entry of another level", pgd)
            if isinstance(entry, Entry):
                right = entry[2:] == (pgd.level + 1, 0, 1)
                self.check(right, "has an entry whose attributes are mixed up", pgd)

    def _check_vmaps(self) -> None:
        """Kernel mappings are counted (I9), and name frames that are still the pages' (I5)."""
        counted: Counter[PageMetadata] = Counter()
        for buffer in self.buffers:
            for mapping in buffer.vmaps:
                for slot, page, index in mapping.pages:
                    self.check(slot.page == page, f"{buffer!r} is mapped where it was")
                    same = page.content == buffer.contents[index]
                    self.check(same, f"a mapping of {buffer!r} reads other contents")
                    if isinstance(slot, PageMetadata):
                        counted[slot] += 1
                        self.check(page.refcount > 0, f"a mapping of {buffer!r} has a free page")
        known = {metadata: metadata.vmap_count for metadata in self.pages if metadata.vmap_count}
        mapped = {metadata: min(times, VMAP_LIMIT) for metadata, times in counted.items()}
        full = {metadata for metadata, times in known.items() if times == VMAP_LIMIT}
        for metadata in {*known, *mapped} - full:
            right = known.get(metadata) == mapped.get(metadata)
            self.check(right, "kernel mappings are counted wrongly")

    def _check_jobs(self) -> None:
        """What keeps buffers busy is what the GPU has to do."""
        pending = [fence for b in self.buffers for fence in b.resv.fences if not fence.signalled]
        jobs = sorted(fence.seqno for job in self.gpu.jobs for fence in job.fences)
        self.check(sorted(fence.seqno for fence in pending) == jobs, "a fence is nobody's")
        for buffer in (buffer for job in self.gpu.jobs for buffer in job.buffers):
            self.check(buffer.bound, f"{buffer!r} is not mapped for its job")

    def _check_display(self) -> None:
        for buffer in self.buffers:
            pins = int(buffer is self.gpu.displayed)
            self.check(buffer.pins == pins, f"{buffer!r} has {buffer.pins} pins")

    def _check_hardware(self) -> None:
        """No move is under way, and whoever has an address space knows it (I12, Q3)."""
        hardware = self.gpu.hardware
        self.check(not hardware.transactions, "a move has not ended", hardware)
        self.check(hardware.jobs == len(self.gpu.jobs), "counts its jobs wrongly", hardware)
        for slot in hardware.slots:
            self.check(slot.region is None, "is still blocked", slot)
            same = slot.mmu is None or slot.mmu.slot is slot
            self.check(same, "has a page table that does not know it", slot)
