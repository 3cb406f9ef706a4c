"""`Pool`: free pages that a context, or the device, keeps for the next buffer.

The VM may take a page out while the driver allocates from the pool. It sees the page's state first
and locks the pool afterwards, so it must look again. Follows mali_kbase_mem_pool.c of kbase r51p0.
"""

from __future__ import annotations

from collections.abc import Callable

from movable import Page, PageList, SpinLock, point, relax
from movable_gpu.page_metadata import PageMetadata, PageStatus


class Pool:
    """Pages of no buffer, the newest first (`struct kbase_mem_pool`, order 0).

    :param next_pool: where pages come from when this is empty, and go to when it is full.
    """

    def __init__(
        self,
        name: str,
        max_size: int,
        metadata_of: Callable[[Page], PageMetadata],
        next_pool: Pool | None = None,
    ) -> None:
        self.name, self.max_size, self.next_pool = name, max_size, next_pool
        self.page_list = PageList(name)
        self.isolation_in_progress_cnt = 0
        """Isolations that have seen a page of this pool and not done with the pool yet."""
        self.dying = self.gone = False
        """It takes no more pages; it must not be touched any more."""
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
        """Take a page that is being freed (T2, T4, T13), and say whether there was room for it.

        A page that was not movable is not taken, so that pooled pages always can be moved.
        """
        with self.pool_lock:
            if self.dying or metadata.fixed or self.cur_size >= self.max_size:
                return False
            with metadata.migrate_lock:
                metadata.become(PageStatus.MEM_POOL)
                metadata.pool = self
            self.page_list.add(metadata.page)
        return True

    def remove(self, status: PageStatus) -> PageMetadata | None:
        """Take out the newest page and give it *status* (T3); `None` if the pool is empty."""
        with self.pool_lock:
            page = next(iter(self.page_list), None)
            if page is None:
                return None
            point("pool locked", page)
            metadata = self._metadata_of(page)
            with metadata.migrate_lock:
                metadata.become(status)
                metadata.pool = None
            self.page_list.remove(page)
        return metadata

    def isolate(self, metadata: PageMetadata, *, keep: bool) -> bool:
        """Give the VM a page that was in the pool a moment ago; `False` if it cannot have it.

        The caller has counted itself in isolation_in_progress_cnt while it held migrate_lock.

        :param keep: stay counted until the page is put back, so that the pool is there then.
        """
        page = metadata.page
        point("pooled page seen", page)
        if not self.pool_lock.trylock():
            self.isolation_in_progress_cnt -= 1
            return False
        with metadata.migrate_lock:
            # It may be pooled again by now, but in the device's: its context has ended.
            pooled = metadata.status is PageStatus.MEM_POOL and metadata.pool is self
            metadata.isolated = pooled
            if pooled and not keep:
                metadata.pool = None
        if pooled:
            self.page_list.remove(page)
            point("off the pool's list", page)
        self.pool_lock.unlock()
        if not (pooled and keep):
            self.isolation_in_progress_cnt -= 1
        return pooled

    def take_back(self, metadata: PageMetadata) -> bool:
        """Have a page again that was isolated with *keep*; `False` if there is no room for it."""
        with self.pool_lock:
            room = not self.dying and self.cur_size < self.max_size
            if room:
                with metadata.migrate_lock:
                    metadata.isolated = False
                self.page_list.add(metadata.page)
        self.isolation_in_progress_cnt -= 1
        return room

    def term(self) -> list[PageMetadata]:
        """End the pool (kbase_mem_pool_term()); what was in it is the caller's, being spilt.

        It spins until no isolation looks at it any more: such a one would touch what is gone.
        """
        with self.pool_lock:
            self.dying = True
        spilt = []
        while metadata := self.remove(PageStatus.SPILL_IN_PROGRESS):
            spilt.append(metadata)
        while self.isolation_in_progress_cnt:
            relax("isolation in progress")
        self.gone = True
        return spilt
