"""Compaction: bring movable pages together at a zone's end (mm/compaction.c, v6.1).

`compact_memory` is the write to /proc/sys/vm/compact_memory. Two scanners approach each other: one
collects movable pages from the zone's start, the other free pages from its end. Rules E-1, CZ-1 to
CZ-11, CF-1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable.hookspecs import IsolateMode, MigrateMode
from movable.mm import isolate_freepages, tracepoints
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_migratepages import (
    IS_ISOLATED,
    NOT_ASKED,
    NOT_ISOLATED,
    SCAN_DONE,
    isolate_migratepages,
)
from movable.mm.migrate import isolate_movable_page, migrate_pages, putback_movable_pages

if TYPE_CHECKING:
    from movable.mm.memory import Memory

MODE = IsolateMode.UNEVICTABLE
"""Mlocked pages are compacted too (compact_unevictable_allowed)."""
ORDER_NONE = -1
"""Manual compaction works for no order in particular, until the scanners meet."""


def compact_memory(memory: Memory) -> None:
    """Compact every zone, from the lowest to the highest (compact_nodes()).

    :raises ContractViolation: a driver broke a promise; its page was put back, and nothing is left
        isolated.
    """
    memory.lru_add_drain_all()
    cc = CompactControl(memory)
    try:
        for z in range(len(memory.zone_names)):
            if memory.zone["present"][z]:
                compact_zone(cc, z)
            memory.raise_fault()
    finally:
        cc.close()


def compact_zone(cc: CompactControl, z: int) -> int:
    """Compact one zone until the scanners meet; the result code (compact_zone())."""
    memory, block = cc.memory, cc.memory.pageblock_order
    start = int(memory.zone["start_pfn"][z])
    end = start + int(memory.zone["spanned"][z])
    cc.zone, cc.mode = z, MigrateMode.SYNC
    cc.total_migrate_scanned = cc.total_free_scanned = cc.nr_migratepages = cc.nr_freepages = 0
    memory.event(tracepoints.SUITABLE, z, ORDER_NONE, t.COMPACT_CONTINUE)
    cc.migrate_pfn, cc.free_pfn = start, (end - 1) >> block << block
    memory.event(tracepoints.BEGIN, start, cc.migrate_pfn, cc.free_pfn, end, 1)
    memory.lru_add_drain()
    last_migrated = 0
    while (status := compact_finished(cc)) == t.COMPACT_CONTINUE:
        iteration_start = cc.migrate_pfn
        # Also true at first in a zone that starts in block 0 (CZ-11).
        cc.rescan = last_migrated >> block == iteration_start >> block
        isolate(cc)
        if cc.nr_migratepages:
            last_migrated = iteration_start
            status = migrate_batch(cc)
            if status != t.COMPACT_CONTINUE:
                break
        if memory.fault:
            break
    memory.engine.call(isolate_freepages.release_freepages, cc.record)
    memory.count(t.COMPACTMIGRATE_SCANNED, cc.total_migrate_scanned)
    memory.count(t.COMPACTFREE_SCANNED, cc.total_free_scanned)
    memory.event(tracepoints.END, start, cc.migrate_pfn, cc.free_pfn, end, 1, status)
    return status


def compact_finished(cc: CompactControl) -> int:
    """COMPLETE once the scanners have met, and then later runs start at the zone's ends (CF-1)."""
    memory, z, status = cc.memory, cc.zone, t.COMPACT_CONTINUE
    if scanners_met(cc):
        zone, block = memory.zone, memory.pageblock_order
        start = int(zone["start_pfn"][z])
        zone["cached_migrate_pfn"][z] = start
        zone["cached_free_pfn"][z] = (start + int(zone["spanned"][z]) - 1) >> block << block
        status = t.COMPACT_COMPLETE
    memory.event(tracepoints.FINISHED, z, ORDER_NONE, status)
    return status


def scanners_met(cc: CompactControl) -> bool:
    """The free scanner is in the migrate scanner's block, or below."""
    block = cc.memory.pageblock_order
    return cc.free_pfn >> block <= cc.migrate_pfn >> block


def isolate(cc: CompactControl) -> None:
    """One round of the migrate scanner, asking drivers about their pages as it meets them."""
    memory, record = cc.memory, cc.record
    memory.reserve_trace(tracepoints.LONGEST)
    scan = memory.engine.compact
    pfn = scan(isolate_migratepages, record, NOT_ASKED)
    while pfn != SCAN_DONE:
        taken = isolate_movable_page(memory, pfn, MODE)
        pfn = scan(isolate_migratepages, record, IS_ISOLATED if taken else NOT_ISOLATED)


def migrate_batch(cc: CompactControl) -> int:
    """Migrate what was isolated and put the rest back; CONTENDED if memory ran out early."""
    memory = cc.memory
    error = migrate_pages(cc, MigrateMode.SYNC)
    left = cc.nr_migratepages - cc.nr_succeeded
    memory.event(tracepoints.MIGRATEPAGES, cc.nr_succeeded, left)
    cc.nr_migratepages = 0
    if error:
        putback_movable_pages(memory, cc.migratepages)
        if error == t.ENOMEM and not scanners_met(cc):
            return t.COMPACT_CONTENDED
    return t.COMPACT_CONTINUE
