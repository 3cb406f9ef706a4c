"""What is done for a request that the free lists cannot serve at once (mm/page_alloc.c, v6.1; D-2
to D-4, W-8).

kswapd is woken, memory compacted, reclaimed, compacted harder, as far as the request permits. What
reclaim does is the machine's choice (vmscan.py); without one, nothing can be reclaimed.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from movable.errors import BadInput
from movable.gfp import Gfp
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.alloc_flags import (
    ALLOC_CMA,
    ALLOC_CPUSET,
    ALLOC_KSWAPD,
    ALLOC_NO_WATERMARKS,
    cma_flag,
    gfp_compaction_allowed,
    gfp_migratetype,
    gfp_to_alloc_flags,
    gfp_zone,
)
from movable.mm.direct_compaction import (
    Request,
    direct_compact,
    get_page_from_freelist,
    zonelist,
)
from movable.mm.highatomic import unreserve_highatomic_pageblock
from movable.mm.oom_kill import OutOfMemory
from movable.mm.suitable import enough_free
from movable.mm.watermark import zone_watermark_ok

if TYPE_CHECKING:
    from movable.mm.memory import Memory

MAX_RECLAIM_RETRIES = 16
MAX_COMPACT_RETRIES = 16


def free_pages_snapshot(memory: Memory, z: int) -> int:
    """NR_FREE_PAGES of zone *z* with what its CPUs have not yet added."""
    return max(int(memory.zone["free"][z] + memory.zone["free_diff"][z].sum()), 0)


def alloc_pages(memory: Memory, gfp_mask: int, order: int) -> int:
    """A block of *order*, its head with one reference; -1 if there is none (__alloc_pages()).

    :raises ContractViolation: memory was compacted, and a driver broke a promise.
    :raises BadInput: no machine has such blocks, or this one none of the zones asked for.
    """
    gfp = int(gfp_mask)
    if not 0 <= order < memory.max_order:
        _no_such_order(memory, order)
    pfn = memory.engine.call(page_alloc.alloc_pages_fast, gfp, order, *_told_by(gfp))
    return int(pfn) if pfn >= 0 else SlowPath(memory, gfp, order).run()


@lru_cache(64)
def _told_by(gfp: int) -> tuple[int, int, int]:
    """What the flags alone say: migratetype, highest zone, and first rights."""
    return gfp_migratetype(gfp), gfp_zone(gfp), cma_flag(gfp) | (gfp & ALLOC_KSWAPD)


def _no_such_order(memory: Memory, order: int) -> NoReturn:
    largest = memory.max_order - 1
    raise BadInput("order", f"no block of order {order}", f"the largest is of order {largest}")


class SlowPath:
    """One request's way through reclaim and compaction (__alloc_pages_slowpath())."""

    def __init__(self, memory: Memory, gfp: int, order: int) -> None:
        self.memory, self.gfp, self.order = memory, gfp, order
        self.request = Request.of(gfp, order, gfp_to_alloc_flags(gfp, order))
        if not zonelist(memory, self.request.highest_zoneidx):
            wanted = t.ZONE_TYPES[self.request.highest_zoneidx]
            there = ", ".join(memory.zone_names)
            raise BadInput("gfp_mask", f"no zone up to {wanted}", f"this machine has {there}")
        self.reclaiming = memory.vmscan.reclaiming
        self.may_reclaim = bool(gfp & Gfp.DIRECT_RECLAIM) and not self.reclaiming
        self.frees_memory = self.reclaiming or bool(gfp & Gfp.MEMALLOC)
        self.may_compact = gfp_compaction_allowed(gfp)
        self.costly = order > t.PAGE_ALLOC_COSTLY_ORDER
        self.priority = t.COMPACT_PRIO_SYNC_LIGHT
        self.result = t.COMPACT_SKIPPED
        self.compaction_retries = self.no_progress_loops = 0
        self.oom = OutOfMemory(memory)

    def run(self) -> int:
        """The block's frame, or -1."""
        if self.gfp & Gfp.KSWAPD_RECLAIM:
            self.memory.vmscan.wake_kswapd(self.gfp, self.order, self.request.highest_zoneidx)
        pfn = get_page_from_freelist(self.memory, self.request)
        if pfn >= 0:
            return pfn
        if self.may_reclaim and not self._may_have_all():
            pfn = self._compact_first()
            if pfn >= 0 or self._gives_up_early():
                return pfn
        self._take_reserves()
        if not self.may_reclaim:
            return get_page_from_freelist(self.memory, self.request)
        while True:
            pfn, progress = self._attempt()
            if pfn >= 0 or self._not_worth_it():
                return pfn
            if self._may_retry(progress):
                continue
            pfn, freed = self._may_oom()
            if not freed:
                return pfn
            self.no_progress_loops = 0

    def _compact_first(self) -> int:
        """Large blocks, and unmovable ones: there is probably enough memory, only in pieces."""
        unmovable = self.order > 0 and self.request.migratetype != t.MOVABLE
        if not self.may_compact or not (self.costly or unmovable):
            return -1
        return self._compact(t.COMPACT_PRIO_ASYNC)

    def _may_have_all(self) -> bool:
        """Who frees memory may have all there is, down to the last page."""
        return self.frees_memory and not self.gfp & Gfp.NOMEMALLOC

    def _take_reserves(self) -> None:
        if not self._may_have_all():
            return
        kept = self.request.alloc_flags & (ALLOC_KSWAPD | ALLOC_CMA)
        self.request = replace(self.request, alloc_flags=ALLOC_NO_WATERMARKS | kept)

    def _compact(self, priority: int) -> int:
        with self.memory.vmscan.no_reclaim():
            self.result, pfn = direct_compact(self.memory, self.request, priority)
        return pfn

    def _gives_up_early(self) -> bool:
        """A large block that is not worth much: no more than a quick try (NORETRY)."""
        if not (self.may_compact and self.costly and self.gfp & Gfp.NORETRY):
            return False
        self.priority = t.COMPACT_PRIO_ASYNC
        hopeless = self.result in (t.COMPACT_SKIPPED, t.COMPACT_DEFERRED)
        this_node = self.memory.profile.gives_up_on_this_node and self.gfp & Gfp.THISNODE
        return hopeless or bool(this_node)

    def _attempt(self) -> tuple[int, int]:
        """Reclaim, then compact: the block's frame or -1, and how many pages were reclaimed."""
        pfn = get_page_from_freelist(self.memory, self.request)
        if pfn >= 0:
            return pfn, 0
        vmscan = self.memory.vmscan
        with vmscan.no_reclaim():
            progress = vmscan.try_to_free_pages(self.order, self.request.highest_zoneidx)
        if progress:
            pfn = self._after_reclaim()
        if pfn < 0:
            pfn = self._compact(self.priority)
        return pfn, progress

    def _after_reclaim(self) -> int:
        pfn = get_page_from_freelist(self.memory, self.request)
        if pfn < 0:
            self._unreserve(force=False)
            self.memory.drain_all_pages()
            pfn = get_page_from_freelist(self.memory, self.request)
        return pfn

    def _unreserve(self, *, force: bool) -> bool:
        request = self.request
        where = request.highest_zoneidx, request.migratetype
        return bool(self.memory.engine.call(unreserve_highatomic_pageblock, *where, force))

    def _not_worth_it(self) -> bool:
        """The request does without, rather than be tried again."""
        large = self.costly and not (self.may_compact and self.gfp & Gfp.RETRY_MAYFAIL)
        return large or bool(self.gfp & Gfp.NORETRY)

    def _may_oom(self) -> tuple[int, int]:
        """Before a process would be killed (which is not modelled): who can give memory back does,
        and says how many pages (__alloc_pages_may_oom(), out_of_memory())."""
        request = replace(self.request, alloc_flags=t.WMARK_HIGH | ALLOC_CPUSET)
        pfn = get_page_from_freelist(self.memory, request)
        dma = self.request.highest_zoneidx < t.ZONE_NORMAL
        may_fail = self.gfp & (Gfp.RETRY_MAYFAIL | Gfp.THISNODE)
        if pfn >= 0 or self.costly or may_fail or dma:
            return pfn, 0
        return -1, self.oom.notify()

    def _may_retry(self, progress: int) -> bool:
        if self._should_reclaim_retry(progress):
            return True
        return progress > 0 and self.may_compact and self._should_compact_retry()

    def _should_reclaim_retry(self, progress: int) -> bool:
        """Reclaiming all that can be would help, and it has not been in vain too often."""
        if progress and not self.costly:
            self.no_progress_loops = 0
        else:
            self.no_progress_loops += 1
        if self.no_progress_loops <= MAX_RECLAIM_RETRIES:
            for z in zonelist(self.memory, self.request.highest_zoneidx):
                if self._would_do(z):
                    return True
        return self._unreserve(force=True)

    def _would_do(self, z: int) -> bool:
        memory, request = self.memory, self.request
        mark = int(memory.zone["watermark"][z, t.WMARK_MIN] + memory.zone["boost"][z])
        available = memory.vmscan.reclaimable(z) + free_pages_snapshot(memory, z)
        limits = mark, request.highest_zoneidx, request.alloc_flags, available
        return bool(memory.engine.call(zone_watermark_ok, z, self.order, *limits))

    def _should_compact_retry(self) -> bool:
        """Compact again, as hard or harder (D-4)."""
        if self.order == 0:
            return False
        if self.result == t.COMPACT_SUCCESS:
            self.compaction_retries += 1
        if self.result == t.COMPACT_SKIPPED:
            return self._compaction_zonelist_suitable()
        withdrawn = (t.COMPACT_DEFERRED, t.COMPACT_CONTENDED, t.COMPACT_PARTIAL_SKIPPED)
        most = MAX_COMPACT_RETRIES // 4 if self.costly else MAX_COMPACT_RETRIES
        if self.result not in (t.COMPACT_COMPLETE, *withdrawn) and self.compaction_retries <= most:
            return True
        hardest = t.COMPACT_PRIO_SYNC_LIGHT if self.costly else t.COMPACT_PRIO_SYNC_FULL
        if self.priority <= hardest:
            return False
        self.priority -= 1
        self.compaction_retries = 0
        return True

    def _compaction_zonelist_suitable(self) -> bool:
        """With more of it reclaimed, some zone would have enough memory to compact."""
        memory, request = self.memory, self.request
        for z in zonelist(memory, request.highest_zoneidx):
            available = memory.vmscan.reclaimable(z) // self.order
            available += free_pages_snapshot(memory, z)
            where = z, self.order, request.alloc_flags, request.highest_zoneidx
            if memory.engine.call(enough_free, *where, available) == t.COMPACT_CONTINUE:
                return True
        return False
