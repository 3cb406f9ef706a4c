"""Who frees memory when it runs short, as far as allocation and compaction depend on it.

A memory asks its `vmscan`. What stands here decides when direct reclaim begins and ends, as in
mm/vmscan.c (v6.1); what it frees is :meth:`HeldBack.shrink_node`'s. Here are the two that free
nothing: of a machine whose reclaim is held back, as in the recordings, and of one that has nothing
to reclaim. The one that does is reclaim.py's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from movable import sched
from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.compiled import compiled
from movable.mm.suitable import compact_gap, compaction_suitable
from movable.mm.watermark import free_pages_of, wmark_pages, zone_watermark_ok

if TYPE_CHECKING:
    from typing import Any

    from movable.mm.memory import Memory
    from movable.mm.swapfile import Swap, SwapDevice

    Array = Any

DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32


class HeldBack:
    """Reclaim that is never done, but noted: from its first act on, a replay is no longer exact.

    :ivar events_before: how many words of the trace had been written when it would have begun.
    """

    reclaims = False
    """Whoever runs short may wait: memory will be freed."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.events_before: int | None = None
        self.events: dict[str, int] = {}
        """Counters of /proc/vmstat that only a memory with reclaim has."""
        self.swap: Swap | None = None
        """Where anonymous pages go; None: nowhere."""
        self._reclaiming: list[object] = []

    @property
    def reclaiming(self) -> bool:
        """The running task frees memory already, and must not begin to once more (PF_MEMALLOC)."""
        return sched.current() in self._reclaiming

    @contextmanager
    def no_reclaim(self) -> Iterator[None]:
        """What the running task does in here is done to free memory."""
        task = sched.current()
        self._reclaiming.append(task)
        try:
            yield
        finally:
            self._reclaiming.remove(task)

    def swapon(self, device: SwapDevice) -> None:
        """Swap to *device* from now on (swapon()).

        :raises BadInput: nothing reclaims this memory, so nothing would ever be swapped.
        """
        raise BadInput("swapon", "nothing reclaims this memory", "give it a Reclaim before")

    def wake_kswapd(self, gfp: int, order: int, highest_zoneidx: int) -> None:
        """A request found less than the low watermark (wakeup_kswapd())."""

    def try_to_free_pages(self, order: int, highest_zoneidx: int) -> int:
        """Reclaim for a request that waits for it: how many pages came free.

        1 also if none did, but some zone can be compacted: then that is what helps.
        """
        freed = 0
        for priority in range(DEF_PRIORITY, -1, -1):
            pages, ready = self._shrink_zones(order, highest_zoneidx, priority)
            freed += pages
            if freed >= SWAP_CLUSTER_MAX or ready:
                return freed or int(ready)
        return freed

    def _shrink_zones(self, order: int, highest_zoneidx: int, priority: int) -> tuple[int, bool]:
        """Reclaim unless compaction could begin in every zone; and whether in some it could."""
        memory, ready, due = self.memory, False, False
        memory.event_buffer.make_room()
        for z in reversed(range(len(memory.zone_names))):
            if memory.zone["zone_idx"][z] > highest_zoneidx:
                continue
            costly = order > t.PAGE_ALLOC_COSTLY_ORDER
            if costly and memory.engine.call(compaction_ready, z, order, highest_zoneidx):
                ready = True
            else:
                due = True
        return (self.shrink_node(order, highest_zoneidx, priority) if due else 0), ready

    def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
        """Free some pages: how many. The lower *priority*, the harder the search for them."""
        if self.events_before is None:
            self.events_before = len(self.memory.event_buffer)
        return 0

    def reclaimable(self, z: int) -> int:
        """Pages of zone *z* that reclaim could give at most (zone_reclaimable_pages())."""
        return 0


class NothingToReclaim(HeldBack):
    """kswapd finds nothing to free, but when it has looked, the watermarks' boost is taken back."""

    def wake_kswapd(self, gfp: int, order: int, highest_zoneidx: int) -> None:
        """Take the boost back; outside a race, all of kswapd's work is done at once."""
        self.memory.engine.call(page_alloc.withdraw_boost)


@compiled
def compaction_ready(
    mem_map: Array,
    zone: Array,
    node: Array,
    trace: Array,
    z: int,
    order: int,
    highest_zoneidx: int,
) -> bool:
    """Zone *z* has enough free pages for compaction: no need to reclaim (compaction_ready())."""
    suitable = compaction_suitable(mem_map, zone, node, trace, z, order, 0, highest_zoneidx)
    if suitable != t.COMPACT_CONTINUE:
        return suitable == t.COMPACT_SUCCESS
    mark = wmark_pages(zone, z, t.WMARK_HIGH) + compact_gap(order)
    free = free_pages_of(zone, z)
    return zone_watermark_ok(mem_map, zone, node, z, 0, mark, highest_zoneidx, 0, free)
