"""Reclaim as far as compaction depends on it: kswapd and direct reclaim that shrink page cache, and
swap anonymous pages to a device in memory (mm/vmscan.c, v6.1, the classic LRU).

What it touches: pages on the four evictable LRU lists, of zones that the request may use, and
nothing else. From the old ends of the inactive lists

- page cache that is clean and not mapped is freed; dirty page cache is written, which takes no time
  here, and freed (not while only the watermarks' boost is reclaimed);
- anonymous pages of one process are stored on the swap device, if there is one, and freed;
- pages that were touched (PG_referenced), and mapped page cache, become active;
- all others go round once more: locked, under writeback, pinned, shared, huge, shmem, swap cache.

Caches are asked as well (shrinker.py), at the same priority; a page that comes free so is free, but
no progress that reclaim would count.

Active pages become inactive again while the inactive list is short. Page cache goes first;
anonymous pages are looked at when it is short too, in proportion to `SWAPPINESS`.

What it does not touch: slab, what drivers have no shrinker for, unevictable pages, pages in other
CPUs' LRU batches. Simplified: pages are not unmapped, so a mapped page of the cache leaves only
when its user unmaps it; touching sets one flag, and refaults are not noticed; the costs of either
kind of page are taken as equal; no cgroups, no throttling, no writeback that lasts. It is not
frame-exact: neither batches nor the order of frees are the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from movable.mm import mm_types as t
from movable.mm.kswapd import DEF_PRIORITY, SWAP_CLUSTER_MAX, Kswapd
from movable.mm.shrink_lists import (
    ACTIVE_ANON,
    ACTIVE_FILE,
    INACTIVE_ANON,
    INACTIVE_FILE,
    finish_anon,
    isolate_anon,
    shrink_active,
    shrink_file,
    zone_reclaimable_pages,
)
from movable.mm.shrinker import shrink_slab
from movable.mm.suitable import compact_gap, compaction_suitable
from movable.mm.swapfile import Swap, SwapDevice
from movable.mm.vmscan import HeldBack

if TYPE_CHECKING:
    from movable.mm.memory import Memory

SWAPPINESS = 60
"""Of 200 parts of pressure, how many are anonymous pages' once page cache is short."""
EVENTS = (
    *("pgscan_kswapd", "pgsteal_kswapd", "pgscan_direct", "pgsteal_direct"),
    *("slabs_scanned", "allocstall", "pswpin", "pswpout"),
)
"""Counters of /proc/vmstat that only a memory with reclaim has."""


@dataclass
class ScanControl:
    """One round of reclaim (`struct scan_control`): for what, how hard, and what came of it."""

    order: int
    highest_zoneidx: int
    priority: int
    nr_to_reclaim: int
    by: str
    """"kswapd" or "direct"."""
    may_writepage: bool = True
    may_swap: bool = True
    scanned: int = 0
    freed: int = 0

    def add(self, scanned: int, freed: int) -> None:
        """So many pages were looked at, and so many of them freed."""
        self.scanned += scanned
        self.freed += freed


class Reclaim(HeldBack):
    """Reclaim that is really done."""

    reclaims = True

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)
        self.kswapd = Kswapd(self)
        self.events = dict.fromkeys(EVENTS, 0)

    def __repr__(self) -> str:
        return f"<Reclaim [{self.kswapd!r}, {self.swap or 'no swap'}]>"

    def swapon(self, device: SwapDevice) -> None:
        self.swap = Swap(self.memory, device)

    def wake_kswapd(self, gfp: int, order: int, highest_zoneidx: int) -> None:
        self._look_again()
        self.kswapd.wakeup(gfp, order, highest_zoneidx)

    def try_to_free_pages(self, order: int, highest_zoneidx: int) -> int:
        self.events["allocstall"] += 1
        self._look_again()
        return super().try_to_free_pages(order, highest_zoneidx)

    def reclaimable(self, z: int) -> int:
        return int(self.memory.engine.call(zone_reclaimable_pages, z, self._room(True)))

    def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
        return self.shrink(self.scan(order, highest_zoneidx, priority, SWAP_CLUSTER_MAX, "direct"))

    def scan(
        self, order: int, highest_zoneidx: int, priority: int, wanted: int, by: str
    ) -> ScanControl:
        """A round of reclaim at *priority* (the lower, the harder) for *wanted* pages."""
        return ScanControl(order, highest_zoneidx, priority, wanted, by)

    def shrink(self, sc: ScanControl) -> int:
        """Do the round, and further ones while a large block needs more: how many pages came free
        (shrink_node())."""
        self.memory.lru_add_drain()
        while True:
            freed = sc.freed
            self._shrink_lists(sc)
            self._shrink_slab(sc.priority)
            if not self._should_continue(sc, sc.freed - freed):
                break
        if sc.freed:
            self.kswapd.failures = 0
        self.events[f"pgscan_{sc.by}"] += sc.scanned
        self.events[f"pgsteal_{sc.by}"] += sc.freed
        return sc.freed

    def _shrink_slab(self, priority: int) -> None:
        _, scanned = shrink_slab(self.memory, priority)
        self.events["slabs_scanned"] += scanned

    def age_anon(self, sc: ScanControl) -> None:
        """Let some active anonymous pages show whether they are still in use."""
        if self._room(sc.may_swap) and self._inactive_is_low(INACTIVE_ANON):
            self.memory.engine.call(shrink_active, ACTIVE_ANON, SWAP_CLUSTER_MAX)

    def _shrink_lists(self, sc: ScanControl) -> None:
        """Look at a share of each list that grows with the priority, in turns (shrink_lruvec())."""
        file, anon = self._scan_counts(sc)
        enough = sc.freed + sc.nr_to_reclaim
        while (file > 0 or anon > 0) and sc.freed < enough:
            if file > 0:
                self._refill(INACTIVE_FILE, ACTIVE_FILE, sc.priority)
                self._drop(min(file, SWAP_CLUSTER_MAX), sc)
                file -= SWAP_CLUSTER_MAX
            if anon > 0:
                self._refill(INACTIVE_ANON, ACTIVE_ANON, sc.priority)
                if not self._swap_out(min(anon, SWAP_CLUSTER_MAX), sc):
                    anon = 0
                anon -= SWAP_CLUSTER_MAX

    def _scan_counts(self, sc: ScanControl) -> tuple[int, int]:
        """How many pages of page cache, and how many anonymous ones, to look at."""
        file, anon = self._size(INACTIVE_FILE), self._size(INACTIVE_ANON)
        if not self._room(sc.may_swap):
            return self._share(file + self._size(ACTIVE_FILE), 1, sc), 0
        tiny = self._file_is_tiny(sc)
        if not tiny and file >> sc.priority and not self._inactive_is_low(INACTIVE_FILE):
            return file >> sc.priority, 0
        part = 1 if tiny else SWAPPINESS / 200
        file += self._size(ACTIVE_FILE)
        anon += self._size(ACTIVE_ANON)
        return self._share(file, 1 - part, sc), self._share(anon, part, sc)

    def _share(self, size: int, part: float, sc: ScanControl) -> int:
        return int((size >> sc.priority) * part)

    def _file_is_tiny(self, sc: ScanControl) -> bool:
        """Page cache is too little to balance the node with, and there are anonymous pages."""
        zone = self.memory.zone
        high = int(zone["watermark"][:, t.WMARK_HIGH].sum() + zone["boost"].sum())
        file = self._size(INACTIVE_FILE) + self._size(ACTIVE_FILE)
        enough = self._size(INACTIVE_ANON) >> sc.priority > 0
        return enough and file + int(zone["free"].sum()) <= high

    def _look_again(self) -> None:
        """A device that was full may have room now."""
        if self.swap and not self.reclaiming:
            self.swap.full = False

    def _room(self, may_swap: bool) -> bool:
        """Anonymous pages can go somewhere (can_reclaim_anon_pages())."""
        return may_swap and self.swap is not None and not self.swap.full

    def _size(self, index: int) -> int:
        return int(self.memory.node["nr_lru"][0, index])

    def _inactive_is_low(self, index: int) -> bool:
        """The active list is longer than it should be beside the inactive one."""
        inactive, active = self._size(index), self._size(index + 1)
        gigabytes = (inactive + active) << self.memory.page_shift >> 30
        return inactive * (isqrt(10 * gigabytes) if gigabytes else 1) < active

    def _refill(self, inactive: int, active: int, priority: int) -> None:
        if self._inactive_is_low(inactive):
            count = max(self._size(active) >> priority, 1)
            self.memory.engine.call(shrink_active, active, min(count, SWAP_CLUSTER_MAX))

    def _drop(self, count: int, sc: ScanControl) -> None:
        call, where = self.memory.engine.call, (sc.highest_zoneidx, sc.may_writepage)
        sc.add(*map(int, call(shrink_file, count, *where)))

    def _swap_out(self, count: int, sc: ScanControl) -> bool:
        """Swap some pages out; whether the device has room for more.

        They are freed together, after the device has taken what it needs to keep them.
        """
        assert self.swap
        memory, victims = self.memory, np.empty(count, np.int64)
        where = count, sc.highest_zoneidx
        scanned, taken = map(int, memory.engine.call(isolate_anon, victims, *where))
        stored = 0
        for pfn in victims[:taken].tolist():
            if not self.swap.write(pfn):
                break
            stored += 1
        memory.engine.call(finish_anon, victims[:taken], stored)
        self.events["pswpout"] += stored
        sc.add(scanned, stored)
        return stored == taken

    def _should_continue(self, sc: ScanControl, freed: int) -> bool:
        """More must be free before compaction can make a large block, and more there is
        (should_continue_reclaim())."""
        hard = sc.order > t.PAGE_ALLOC_COSTLY_ORDER or sc.priority < DEF_PRIORITY - 2
        if not (sc.order and hard and freed):
            return False
        memory = self.memory
        memory.event_buffer.make_room()
        for z in range(len(memory.zone_names)):
            where = z, sc.order, 0, sc.highest_zoneidx
            if memory.zone["zone_idx"][z] > sc.highest_zoneidx:
                continue
            if memory.engine.call(compaction_suitable, *where) != t.COMPACT_SKIPPED:
                return False
        inactive = self._size(INACTIVE_FILE)
        inactive += self._size(INACTIVE_ANON) if self._room(sc.may_swap) else 0
        return inactive > int(memory.engine.call(compact_gap, sc.order))
