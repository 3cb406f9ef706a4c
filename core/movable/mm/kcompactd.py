"""The compaction daemon (mm/compaction.c, v6.1; K-1 to K-5, PR-1 to PR-4).

Somebody who ran short of large blocks asks for them and goes on; the daemon makes them later. Left
alone, it looks every half second whether memory has become too fragmented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable.hookspecs import MigrateMode
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl, compact_node
from movable.mm.defer import compaction_defer_reset, compaction_deferred, defer_compaction
from movable.mm.fragmentation import fragmentation_score_node, fragmentation_score_wmark
from movable.mm.suitable import compaction_suitable
from movable.mm.tracepoints import (
    KCOMPACTD_SLEEP,
    KCOMPACTD_WAKE,
    WAKEUP_KCOMPACTD,
    trace_two,
    trace_word,
)
from movable.mm.vmstat import count_vm_events

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Kcompactd:
    """The daemon of one memory: woken by :meth:`wakeup`, it works when :meth:`run` lets it."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.node = memory.node
        self.awake = False

    def wakeup(self, order: int, highest_zoneidx: int) -> None:
        """Ask for a free block of *order* (wakeup_kcompactd()); no zone may be worth it."""
        if order == 0:
            return
        node = self.node
        node["kcompactd_max_order"] = max(order, int(node["kcompactd_max_order"][0]))
        lowest = min(highest_zoneidx, int(node["kcompactd_highest_zoneidx"][0]))
        node["kcompactd_highest_zoneidx"] = lowest
        if not self.awake and self._node_suitable():
            self.memory.engine.call(trace_two, WAKEUP_KCOMPACTD, order, highest_zoneidx)
            self.awake = True

    def run(self) -> None:
        """Do what was asked for, then sleep.

        :raises ContractViolation: a driver broke a promise.
        """
        if self.awake:
            self.awake = False
            self._do_work()
            self.memory.engine.call(trace_word, KCOMPACTD_SLEEP)

    def check_fragmentation(self) -> bool:
        """What the daemon does when nobody has asked it anything for half a second (PR-3, PR-4).

        Returns whether it is to look again as soon: False if compaction did not help.

        :raises ContractViolation: a driver broke a promise.
        """
        score = self._score()
        if not self.node["compaction_proactiveness"][0] or score <= self._high():
            return True
        self._proactive_compact_node()
        self.memory.engine.call(trace_word, KCOMPACTD_SLEEP)
        return self._score() < score

    def _score(self) -> int:
        return int(self.memory.engine.call(fragmentation_score_node))

    def _high(self) -> int:
        return int(self.memory.engine.call(fragmentation_score_wmark, False))

    def _zones(self) -> list[int]:
        """The populated zones that are asked for, the lowest first."""
        zone, highest = self.memory.zone, int(self.node["kcompactd_highest_zoneidx"][0])
        return [
            z for z in range(len(zone)) if zone["present"][z] and zone["zone_idx"][z] <= highest
        ]

    def _node_suitable(self) -> bool:
        self.memory.event_buffer.make_room()
        order = int(self.node["kcompactd_max_order"][0])
        highest = int(self.node["kcompactd_highest_zoneidx"][0])
        suitable = self.memory.engine.call
        return any(
            suitable(compaction_suitable, z, order, 0, highest) == t.COMPACT_CONTINUE
            for z in self._zones()
        )

    def _do_work(self) -> None:
        """Compact each zone until it has a free block of the order asked for."""
        call, zones = self.memory.engine.call, self._zones()
        order = int(self.node["kcompactd_max_order"][0])
        highest = int(self.node["kcompactd_highest_zoneidx"][0])
        call(trace_two, KCOMPACTD_WAKE, order, highest)
        call(count_vm_events, t.KCOMPACTD_WAKE, 1)
        cc = CompactControl(
            self.memory,
            MigrateMode.SYNC_LIGHT,
            order=order,
            search_order=order,
            highest_zoneidx=highest,
        )
        try:
            for z in zones:
                self._compact_zone(cc, z, order)
        finally:
            cc.close()
        if self.node["kcompactd_max_order"] <= order:
            self.node["kcompactd_max_order"] = 0
        if self.node["kcompactd_highest_zoneidx"] >= highest:
            self.node["kcompactd_highest_zoneidx"] = self.memory.zone["zone_idx"].max()

    def _compact_zone(self, cc: CompactControl, z: int, order: int) -> None:
        call, index = self.memory.engine.call, int(self.memory.zone["zone_idx"][z])
        self.memory.event_buffer.make_room()
        if call(compaction_deferred, z, order):
            return
        if call(compaction_suitable, z, order, 0, index) != t.COMPACT_CONTINUE:
            return
        status = cc.compact_zone(z)
        if status == t.COMPACT_SUCCESS:
            call(compaction_defer_reset, z, order, False)
        elif status in (t.COMPACT_PARTIAL_SKIPPED, t.COMPACT_COMPLETE):
            self.memory.drain_zone_pages(z)
            call(defer_compaction, z, order)
        call(count_vm_events, t.KCOMPACTD_MIGRATE_SCANNED, cc["total_migrate_scanned"])
        call(count_vm_events, t.KCOMPACTD_FREE_SCANNED, cc["total_free_scanned"])

    def _proactive_compact_node(self) -> None:
        """Compact every zone until its own score is low enough (CF-2)."""
        request = {"whole_zone": 1, "ignore_skip_hint": 1, "proactive_compaction": 1}
        compact_node(self.memory, CompactControl(self.memory, MigrateMode.SYNC_LIGHT, **request))
