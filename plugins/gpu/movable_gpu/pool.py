"""`Pool`: free pages that the GPU keeps for its next buffer.

The VM may take a page out while the driver allocates from the pool. It sees the page's state first
and locks the pool afterwards, so it must look again.
"""

from __future__ import annotations

from collections.abc import Callable

from movable import Page, PageList, SpinLock, point
from movable_gpu.page_metadata import PageMetadata, PageStatus


class Pool:
    """Pages of no buffer, the newest first (`struct kbase_mem_pool`)."""

    def __init__(self, max_size: int, metadata_of: Callable[[Page], PageMetadata]) -> None:
        self.max_size = max_size
        self.page_list = PageList("pool")
        self.isolation_in_progress_cnt = 0
        """Isolations that have seen a pooled page and not locked the pool yet.

        kbase ends a pool only at 0. Here the end of a pool also waits for the page lock, which an
        isolation holds, so the count is there to be audited.
        """
        self.pool_lock = SpinLock("pool_lock")
        """Protects the list."""
        self._metadata_of = metadata_of

    def __repr__(self) -> str:
        return f"<Pool [{self.cur_size} of {self.max_size} pages]>"

    @property
    def cur_size(self) -> int:
        """Pages on the list; isolated ones have left the pool."""
        return len(self.page_list)

    def add(self, metadata: PageMetadata) -> bool:
        """Take a page that is being freed, and say whether there was room for it."""
        with self.pool_lock:
            if self.cur_size >= self.max_size:
                return False
            with metadata.migrate_lock:
                metadata.become(PageStatus.MEM_POOL)
            self.page_list.add(metadata.page)
        return True

    def remove(self, status: PageStatus) -> PageMetadata | None:
        """Take out the newest page and give it *status*; `None` if the pool is empty."""
        with self.pool_lock:
            page = next(iter(self.page_list), None)
            if page is None:
                return None
            point("pool locked", page)
            metadata = self._metadata_of(page)
            with metadata.migrate_lock:
                metadata.become(status)
            self.page_list.remove(page)
        return metadata

    def isolate(self, metadata: PageMetadata) -> bool:
        """Give the VM a page that was in the pool a moment ago; `False` if it cannot have it.

        The caller has counted itself in isolation_in_progress_cnt while it held migrate_lock.
        """
        page = metadata.page
        point("pooled page seen", page)
        if not self.pool_lock.trylock():
            self.isolation_in_progress_cnt -= 1
            return False
        with metadata.migrate_lock:
            metadata.isolated = metadata.status is PageStatus.MEM_POOL
        if metadata.isolated:
            self.page_list.remove(page)
            point("off the pool's list", page)
        self.pool_lock.unlock()
        self.isolation_in_progress_cnt -= 1
        return metadata.isolated
