"""`Context`: what one application has of the GPU (`struct kbase_context`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable import Mutex
from movable.errors import AuditFailed
from movable_gpu.buffer import Buffer
from movable_gpu.mmu import Mmu
from movable_gpu.page_metadata import PageMetadata
from movable_gpu.pool import Pool

if TYPE_CHECKING:
    from movable_gpu.core import Core


class Context:
    """Its page table, its pool, its buffers and their locks.

    Locks, each outside those behind it: region_lock, evict_lock, a buffer's resv, mmu_lock.
    """

    def __init__(self, number: int, device: Core) -> None:
        self.number = number
        self.pool: Pool = device.phy_pages.new_pool()
        self.mmu = Mmu(self, device.hardware, device.config)
        self.ww_class = device.ww_class
        """Of its buffers' reservations: one for all that a job may need at once."""
        self.region_lock = Mutex("region_lock")
        """Protects `buffers` and their pages; a move holds it throughout. Outside mmu_lock."""
        self.evict_lock = Mutex("evict_lock")
        """Protects `evict_list`, also from the shrinker, which does not take region_lock."""
        self.evict_list: list[Buffer] = []
        """Evictable buffers that still have pages, the oldest first."""
        self.buffers: dict[int, Buffer] = {}
        """Its buffers by number, also those freed whose pages a kernel mapping keeps."""
        self.permanent_pages = 0
        """Pages that the kernel has mapped for good."""
        self.inflight = 0
        """Moves that have read from a page's metadata that it is of this context."""
        self.closing = self.dead = False
        """It takes nothing new; it is gone."""
        self.next_pfn = 0
        """The next virtual page that nothing is mapped at."""

    def __repr__(self) -> str:
        words = ["dead" if self.dead else f"{len(self.buffers)} buffers"]
        return f"<Context {self.number} [{', '.join(words)}]>"

    def check(self) -> None:
        """Whoever still uses it must have seen to it that it is there (I17).

        :raises AuditFailed: it was destroyed.
        """
        if self.dead:
            raise AuditFailed("gpu", f"{self!r} is used after it was freed (H6)")

    def next_addresses(self, pages: int) -> range | None:
        """What :meth:`reserve` would give; nothing new comes into a context that ends."""
        return None if self.closing else range(self.next_pfn, self.next_pfn + pages)

    def reserve(self, pages: int) -> int:
        """Addresses for *pages* pages; under region_lock."""
        start, self.next_pfn = self.next_pfn, self.next_pfn + pages
        return start

    def prune(self, gone: Buffer) -> list[PageMetadata]:
        """Free the page tables that only *gone* needed; under mmu_lock. Pages freed thereby."""
        others = [
            addresses
            for buffer in self.buffers.values()
            if buffer is not gone and not buffer.freed and any(buffer.slots)
            for addresses in buffer.ranges
        ]
        return [
            page
            for addresses in gone.ranges
            for page in self.mmu.prune(addresses.start, len(addresses), others)
        ]
