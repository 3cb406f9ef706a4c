"""Compaction: bring movable pages together at a zone's end (mm/compaction.c, v6.1).

Two scanners approach each other: one collects movable pages from the zone's start, the other free
pages from its end. As steps (steps.py). Rules CZ-1 to CZ-11, CF-1.
"""

from __future__ import annotations

from typing import Any

from movable.mm import steps
from movable.mm.compiled import compiled
from movable.mm.isolate_freepages import release_freepages
from movable.mm.isolate_migratepages import NOT_ASKED, SCAN_DONE, isolate_migratepages
from movable.mm.mm_types import (
    COMPACT_COMPLETE,
    COMPACT_CONTENDED,
    COMPACT_CONTINUE,
    COMPACTFREE_SCANNED,
    COMPACTMIGRATE_SCANNED,
    ENOMEM,
)
from movable.mm.steps import ask
from movable.mm.swap import lru_add_drain
from movable.mm.tracepoints import (
    FINISHED,
    SUITABLE,
    trace_begin,
    trace_end,
    trace_migratepages,
    trace_status,
)
from movable.mm.vmstat import count_vm_events

Array = Any


@compiled
def block_of(node: Array, pfn: int) -> int:
    """Number of the pageblock that *pfn* is in."""
    return pfn >> int(node[0]["pageblock_order"])


@compiled
def last_block(zone: Array, node: Array, z: int) -> int:
    """First frame of a zone's last pageblock."""
    last = zone[z]["start_pfn"] + zone[z]["spanned"] - 1
    return int(last >> node[0]["pageblock_order"] << node[0]["pageblock_order"])


@compiled
def scanners_met(node: Array, cc: Array) -> bool:
    """The free scanner is in the migrate scanner's block, or below."""
    return block_of(node, cc[0]["free_pfn"]) <= block_of(node, cc[0]["migrate_pfn"])


@compiled
def compact_finished(zone: Array, node: Array, cc: Array, trace: Array) -> int:
    """COMPLETE once the scanners have met, and then later runs start at the zone's ends (CF-1)."""
    z, status = cc[0]["zone"], COMPACT_CONTINUE
    if scanners_met(node, cc):
        for sync in range(2):
            zone[z]["cached_migrate_pfn"][sync] = zone[z]["start_pfn"]
        zone[z]["cached_free_pfn"] = last_block(zone, node, z)
        status = COMPACT_COMPLETE
    trace_status(node, trace, FINISHED, z, status)
    return status


@compiled
def begin_zone(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Begin at both ends of zone `cc.zone` (compact_zone())."""
    z = cc[0]["zone"]
    start = zone[z]["start_pfn"]
    cc[0]["total_migrate_scanned"] = cc[0]["total_free_scanned"] = 0
    cc[0]["nr_migratepages"] = cc[0]["nr_freepages"] = 0
    cc[0]["migrate_pfn"] = start
    cc[0]["free_pfn"] = last_block(zone, node, z)
    trace_status(node, trace, SUITABLE, z, COMPACT_CONTINUE)
    trace_begin(node, trace, start, start, cc[0]["free_pfn"], start + zone[z]["spanned"])
    lru_add_drain(mem_map, zone, pageblock, node)
    cc[0]["last_migrated"] = 0
    return steps.COMPACT_ROUND


@compiled
def begin_round(zone: Array, node: Array, cc: Array, trace: Array) -> int:
    """Scan on until the scanners have met."""
    if node[0]["trace_count"] > node[0]["trace_limit"]:
        return ask(cc, steps.FLUSH_TRACE, steps.COMPACT_ROUND)
    cc[0]["status"] = compact_finished(zone, node, cc, trace)
    if cc[0]["status"] != COMPACT_CONTINUE:
        return steps.END_ZONE
    iteration_start = cc[0]["migrate_pfn"]
    cc[0]["iteration_start"] = iteration_start
    # Also true at first in a zone that starts in block 0 (CZ-11).
    cc[0]["rescan"] = block_of(node, cc[0]["last_migrated"]) == block_of(node, iteration_start)
    cc[0]["error"] = 0
    cc[0]["after_isolate"] = steps.MIGRATE_BATCH
    return steps.ISOLATE_MIGRATEPAGES


@compiled
def scan(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, answer: int
) -> int:
    """Let the migrate scanner go on until it has a batch, or comes to a driver's page."""
    pfn = isolate_migratepages(mem_map, zone, pageblock, node, cc, trace, answer)
    if pfn == SCAN_DONE:
        return int(cc[0]["after_isolate"])
    cc[0]["page"] = pfn
    cc[0]["after_page"] = steps.SCAN_ON
    return steps.ISOLATE_MOVABLE_PAGE


@compiled
def put_back_rest(node: Array, cc: Array, trace: Array) -> int:
    """Put back what was not migrated."""
    left = cc[0]["nr_migratepages"] - cc[0]["nr_succeeded"]
    trace_migratepages(node, trace, cc[0]["nr_succeeded"], left)
    cc[0]["nr_migratepages"] = 0
    cc[0]["error"] = cc[0]["rc"]
    if cc[0]["error"] == 0:
        return steps.END_ROUND
    cc[0]["putback_head"] = cc[0]["migratepages"]
    cc[0]["after_putback"] = steps.END_ROUND
    return steps.PUTBACK_MOVABLE_PAGES


@compiled
def end_round(node: Array, cc: Array) -> int:
    """Go on, unless targets ran out early (CONTENDED) or a promise was broken."""
    if cc[0]["error"] == ENOMEM and not scanners_met(node, cc):
        cc[0]["status"] = COMPACT_CONTENDED
        return steps.END_ZONE
    return steps.END_ZONE if node[0]["fault"] else steps.COMPACT_ROUND


@compiled
def end_zone(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Free the targets that are left, and add up; `cc.status` is compact_zone()'s result."""
    z = cc[0]["zone"]
    start = zone[z]["start_pfn"]
    end = start + zone[z]["spanned"]
    release_freepages(mem_map, zone, pageblock, node, cc)
    count_vm_events(node, COMPACTMIGRATE_SCANNED, cc[0]["total_migrate_scanned"])
    count_vm_events(node, COMPACTFREE_SCANNED, cc[0]["total_free_scanned"])
    trace_end(node, trace, start, cc[0]["migrate_pfn"], cc[0]["free_pfn"], end, cc[0]["status"])
    return steps.DONE


@compiled
def compact_step(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """Take one step with a zone; which comes next."""
    if step == steps.COMPACT_ZONE:
        return begin_zone(mem_map, zone, pageblock, node, cc, trace)
    if step == steps.COMPACT_ROUND:
        return begin_round(zone, node, cc, trace)
    if step == steps.ISOLATE_MIGRATEPAGES or step == steps.SCAN_ON:
        answer = NOT_ASKED if step == steps.ISOLATE_MIGRATEPAGES else cc[0]["rc"]
        return scan(mem_map, zone, pageblock, node, cc, trace, answer)
    if step == steps.MIGRATE_BATCH:
        if cc[0]["nr_migratepages"] == 0:
            return steps.END_ROUND
        cc[0]["last_migrated"] = cc[0]["iteration_start"]
        cc[0]["after_migrate"] = steps.BATCH_MIGRATED
        return steps.MIGRATE_PAGES
    if step == steps.BATCH_MIGRATED:
        return put_back_rest(node, cc, trace)
    if step == steps.END_ROUND:
        return end_round(node, cc)
    return end_zone(mem_map, zone, pageblock, node, cc, trace)
