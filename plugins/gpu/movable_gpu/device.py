"""`Device`: all that a GPU does for its users, and its end.

Locks, each outside those behind it: a context's region_lock, its evict_lock, a buffer's resv, the
context's mmu_lock, mmu_hw_mutex, hwaccess_lock, pool_lock, a page's migrate_lock. The shrinker
takes evict_lock and mmu_lock only.
"""

from __future__ import annotations

from collections.abc import Mapping

from movable import operation, point, reads_back, relax
from movable_gpu.workloads import Workloads


class Device(Workloads):
    """One GPU (`struct kbase_device`)."""

    @operation
    def remove(self) -> None:
        """Take everything from everybody and give all pages back (kbase_device_term()).

        It goes round until the VM has let go of every page that it held.
        """
        self.finish(len(self.jobs))
        self.blank()
        while self.contexts or self.phy_pages.metadata:
            while self.contexts:
                self._destroy(self.contexts.pop())
            while self.phy_pages.shrink_pool():
                point("pooled page given back")
            self.phy_pages.flush()
            if self.phy_pages.metadata:
                relax("pages left")
        while self.phy_pages.large and self.phy_pages.large.shrink():
            point("large page given back")

    @reads_back
    def contents(self) -> Mapping[tuple[int, int], int | None]:
        """What each page of each buffer reads, by the buffer's number and the page's index."""
        return {
            (buffer.number, index): page.content if page else None
            for buffer in self.buffers.values()
            if not buffer.freed
            for index, page in enumerate(buffer.frames())
        }
