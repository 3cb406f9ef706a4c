"""The reclaim daemon (mm/vmscan.c, v6.1): who wakes it, until when it works, whom it wakes (K-2).

Its work is done at once when it is woken, before whoever woke it goes on; in Linux both run at the
same time. Where time is simulated, `Kswapd.in_background` is set, and a task calls :meth:`run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movable.gfp import Gfp
from movable.mm import mm_types as t
from movable.mm.compiled import compiled
from movable.mm.skip_hints import reset_isolation_suitable
from movable.mm.suitable import compact_gap
from movable.mm.watermark import free_pages_of, wmark_pages, zone_watermark_ok

if TYPE_CHECKING:
    from movable.mm.reclaim import Reclaim

Array = Any
MAX_RECLAIM_RETRIES = 16
DEF_PRIORITY = 12
SWAP_CLUSTER_MAX = 32


class Kswapd:
    """The daemon of one memory."""

    def __init__(self, vmscan: Reclaim) -> None:
        self.vmscan, self.memory = vmscan, vmscan.memory
        self.failures = 0
        """How often in a row it could reclaim nothing; at 16 the node is hopeless."""
        self.order, self.highest_zoneidx = 0, -1
        """What it was asked for and has not begun with."""
        self.running = False
        self.in_background = False
        """A task of its own does the work."""
        self.awake = False

    def __repr__(self) -> str:
        state = "hopeless" if self.failures >= MAX_RECLAIM_RETRIES else "asleep"
        return f"<Kswapd [{'running' if self.running else state}]>"

    def wakeup(self, gfp: int, order: int, highest_zoneidx: int) -> None:
        """A request found less than the low watermark (wakeup_kswapd())."""
        self.order = max(self.order, order)
        self.highest_zoneidx = max(self.highest_zoneidx, highest_zoneidx)
        if self.running or self.vmscan.reclaiming:
            return
        if self._of_no_use(order, highest_zoneidx):
            if not gfp & Gfp.DIRECT_RECLAIM:
                self.memory.kcompactd.wakeup(order, highest_zoneidx)
            return
        self.awake = True
        if not self.in_background:
            self.run()

    def run(self) -> None:
        """Do what it was woken for, then sleep (kswapd())."""
        self.awake, self.running = False, True
        try:
            with self.vmscan.no_reclaim():
                self._work()
        finally:
            self.running = False

    def _of_no_use(self, order: int, highest_zoneidx: int) -> bool:
        """There is nothing to reclaim, or no need: memory is there, perhaps in pieces."""
        if self.failures >= MAX_RECLAIM_RETRIES:
            return True
        boosted = any(self.memory.zone["boost"][z] for z in self._zones(highest_zoneidx))
        return not boosted and self.balanced(order, highest_zoneidx)

    def _work(self) -> None:
        """Reclaim until it can sleep."""
        asleep, highest = False, self.highest_zoneidx
        while not asleep:
            highest = highest if self.highest_zoneidx < 0 else self.highest_zoneidx
            order, self.order, self.highest_zoneidx = self.order, 0, -1
            reached = self.balance_pgdat(order, highest)
            if reached == order:
                order = reached = self.order
            asleep = self._try_to_sleep(order, reached, highest)

    def balanced(self, order: int, highest_zoneidx: int) -> bool:
        """Some zone has a block of *order* to spare, above its high watermark."""
        return bool(self.memory.engine.call(pgdat_balanced, order, highest_zoneidx))

    def _zones(self, highest_zoneidx: int) -> list[int]:
        index = self.memory.zone["zone_idx"].tolist()
        return [z for z in range(len(index)) if index[z] <= highest_zoneidx]

    def balance_pgdat(self, order: int, highest_zoneidx: int) -> int:
        """Reclaim until the node is balanced, take back the boost found: the order reached.

        That is 0 if twice the block's size was reclaimed in vain: then the block has to be made by
        compaction.
        """
        zone, zones = self.memory.zone, self._zones(highest_zoneidx)
        boosts = {z: int(zone["boost"][z]) for z in zones if zone["boost"][z]}
        zone["zflags"][zones] |= t.ZONE_RECLAIM_ACTIVE
        try:
            order = self._reclaim(order, highest_zoneidx, sum(boosts.values()))
        finally:
            zone["zflags"][zones] &= ~t.ZONE_RECLAIM_ACTIVE
        for z, boost in boosts.items():
            zone["boost"][z] -= min(int(zone["boost"][z]), boost)
        if boosts:
            self.memory.kcompactd.wakeup(self.memory.pageblock_order, highest_zoneidx)
        return order

    def _reclaim(self, order: int, highest_zoneidx: int, boost: int) -> int:
        """Go round, each time harder unless it helps. For a *boost* alone nothing is written."""
        priority, total = DEF_PRIORITY, 0
        while priority >= 1:
            balanced = self.balanced(order, highest_zoneidx)
            if not balanced and boost:
                boost, priority = 0, DEF_PRIORITY
            if balanced and not boost:
                return order
            target = self._target(highest_zoneidx)
            sc = self.vmscan.scan(order, highest_zoneidx, priority, target, "kswapd")
            sc.may_writepage = sc.may_swap = not boost
            self.vmscan.age_anon(sc)
            freed = self.vmscan.shrink(sc)
            total += freed
            if order and total >= self.memory.engine.call(compact_gap, order):
                order = 0
            if boost and not freed:
                break
            enough = sc.scanned >= target or (boost and priority == DEF_PRIORITY - 2)
            boost -= min(boost, freed)
            if not (freed and enough):
                priority -= 1
        if not total:
            self.failures += 1
        return order

    def _target(self, highest_zoneidx: int) -> int:
        zone = self.memory.zone
        high = [
            int(zone["watermark"][z, t.WMARK_HIGH] + zone["boost"][z]) for z in range(len(zone))
        ]
        return sum(max(high[z], SWAP_CLUSTER_MAX) for z in self._zones(highest_zoneidx))

    def _try_to_sleep(self, order: int, reached: int, highest_zoneidx: int) -> bool:
        """Sleep if the node is balanced, or hopeless; compaction then gets its turn (SK-7)."""
        if self.failures < MAX_RECLAIM_RETRIES and not self.balanced(reached, highest_zoneidx):
            return False
        for z in range(len(self.memory.zone_names)):
            self.memory.engine.call(reset_isolation_suitable, z)
        self.memory.kcompactd.wakeup(order, highest_zoneidx)
        return not self.order


@compiled
def pgdat_balanced(
    mem_map: Array, zone: Array, node: Array, order: int, highest_zoneidx: int
) -> bool:
    """Some zone could give a block of *order* and stay above its high watermark."""
    known = False
    for z in range(node[0]["nr_zones"]):
        if zone[z]["zone_idx"] > highest_zoneidx or zone[z]["managed"] == 0:
            continue
        known = True
        mark, free = wmark_pages(zone, z, t.WMARK_HIGH), free_pages_of(zone, z)
        if zone_watermark_ok(mem_map, zone, node, z, order, mark, highest_zoneidx, 0, free):
            return True
    return not known
