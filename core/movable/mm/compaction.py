"""Compaction: bring movable pages together at a zone's end (mm/compaction.c, v6.1).

Two scanners approach each other: one collects movable pages from the zone's start, the other free
pages from its end. As steps (steps.py). Rules CZ-1 to CZ-11.
"""

from __future__ import annotations

from typing import Any

from movable.mm import steps
from movable.mm.batches import batch_pending
from movable.mm.compiled import compiled
from movable.mm.defer import compaction_restarting
from movable.mm.isolate_freepages import release_freepages
from movable.mm.isolate_migratepages import (
    FAIL,
    LOOK,
    PUT_BACK,
    SCAN_DONE,
    TAKEN,
    WAS_PUT_BACK,
    behind,
    isolate_migratepages,
)
from movable.mm.list import list_count
from movable.mm.mm_types import (
    COMPACT_CONTENDED,
    COMPACT_CONTINUE,
    COMPACT_SUCCESS,
    COMPACTFREE_SCANNED,
    COMPACTMIGRATE_SCANNED,
    ENOMEM,
    MIGRATE_ASYNC,
)
from movable.mm.pcp import drain_pages_zone
from movable.mm.skip_hints import reset_isolation_suitable
from movable.mm.steps import ask
from movable.mm.suitable import (
    block_of,
    compact_finished,
    compaction_suitable,
    last_block,
    scanners_met,
)
from movable.mm.swap import lru_add_drain
from movable.mm.tracepoints import trace_begin, trace_end, trace_migratepages
from movable.mm.vmstat import count_vm_events

Array = Any


@compiled
def begin_zone(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Begin with zone `cc.zone`, unless that is not worth while (compact_zone())."""
    z = cc[0]["zone"]
    cc[0]["total_migrate_scanned"] = cc[0]["total_free_scanned"] = 0
    cc[0]["nr_migratepages"] = cc[0]["nr_freepages"] = 0
    order = cc[0]["order"]
    alloc_flags, highest = cc[0]["alloc_flags"], cc[0]["highest_zoneidx"]
    cc[0]["status"] = compaction_suitable(
        mem_map, zone, node, trace, z, order, alloc_flags, highest
    )
    if cc[0]["status"] != COMPACT_CONTINUE:
        return steps.DONE
    if order >= 0 and compaction_restarting(zone, z, order):
        reset_isolation_suitable(mem_map, zone, pageblock, node, z)
    place_scanners(zone, node, cc)
    start = zone[z]["start_pfn"]
    end = start + zone[z]["spanned"]
    sync = cc[0]["mode"] != MIGRATE_ASYNC
    trace_begin(node, trace, start, cc[0]["migrate_pfn"], cc[0]["free_pfn"], end, sync)
    lru_add_drain(mem_map, zone, pageblock, node)
    return steps.COMPACT_ROUND


@compiled
def place_scanners(zone: Array, node: Array, cc: Array) -> None:
    """At both ends of the zone, or where the last run has stopped (CZ-3, CZ-4).

    The asynchronous run keeps the synchronous runs' start beside its own for as long as it has
    found nothing to isolate (CZ-5).
    """
    z = cc[0]["zone"]
    start = zone[z]["start_pfn"]
    end = start + zone[z]["spanned"]
    sync = 0 if cc[0]["mode"] == MIGRATE_ASYNC else 1
    cached = zone[z]["cached_migrate_pfn"]
    migrate, free = start, last_block(zone, node, z)
    if not cc[0]["whole_zone"]:
        migrate = cached[sync]
        if start <= zone[z]["cached_free_pfn"] and zone[z]["cached_free_pfn"] < end:
            free = zone[z]["cached_free_pfn"]
        else:
            zone[z]["cached_free_pfn"] = free
        if migrate < start or migrate >= end:
            migrate = cached[0] = cached[1] = start
        if migrate <= zone[z]["init_migrate_pfn"]:
            cc[0]["whole_zone"] = 1
    cc[0]["migrate_pfn"], cc[0]["free_pfn"] = migrate, free
    cc[0]["fast_start_pfn"] = cc[0]["last_migrated"] = 0
    cc[0]["update_cached"] = not sync and cached[0] == cached[1]


@compiled
def begin_round(mem_map: Array, zone: Array, node: Array, cc: Array, trace: Array) -> int:
    """Scan on until the run has what it wants, or the scanners have met."""
    if node[0]["trace_count"] > node[0]["trace_limit"]:
        return ask(cc, steps.FLUSH_TRACE, steps.COMPACT_ROUND)
    cc[0]["status"] = compact_finished(mem_map, zone, node, cc, trace)
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
    """Let the migrate scanner go on until it has a batch, or needs somebody else."""
    pfn = isolate_migratepages(mem_map, zone, pageblock, node, cc, trace, answer)
    if pfn == SCAN_DONE:
        return int(cc[0]["after_isolate"])
    if pfn == PUT_BACK:
        cc[0]["putback_head"] = cc[0]["migratepages"]
        cc[0]["after_putback"] = steps.SCAN_ON_AFTER_PUTBACK
        return steps.PUTBACK_MOVABLE_PAGES
    cc[0]["page"] = pfn
    cc[0]["after_page"] = steps.SCAN_ON
    if batch_pending(cc):
        cc[0]["rc"] = cc[0]["batch_rc"][cc[0]["batch_next"]]
        cc[0]["batch_next"] += 1
        return steps.ISOLATE_ANSWERED
    return steps.ISOLATE_MOVABLE_PAGE


@compiled
def begin_batch(zone: Array, cc: Array) -> int:
    """Migrate what was isolated, if anything was."""
    if cc[0]["nr_migratepages"] == 0:
        if cc[0]["update_cached"]:
            cached = zone[cc[0]["zone"]]["cached_migrate_pfn"]
            cached[1] = cached[0]
        return steps.END_ROUND
    cc[0]["update_cached"] = 0
    cc[0]["last_migrated"] = cc[0]["iteration_start"]
    cc[0]["after_migrate"] = steps.BATCH_MIGRATED
    return steps.MIGRATE_PAGES


@compiled
def put_back_rest(mem_map: Array, node: Array, cc: Array, trace: Array) -> int:
    """Put back what was not migrated."""
    left = cc[0]["nr_migratepages"] - cc[0]["nr_succeeded"]
    if cc[0]["remaining_pages_failed"]:
        left = cc[0]["rc"] if cc[0]["rc"] >= 0 else list_count(mem_map, cc[0]["migratepages"])
    trace_migratepages(node, trace, cc[0]["nr_migratepages"] - left, left)
    cc[0]["nr_migratepages"] = 0
    cc[0]["error"] = cc[0]["rc"]
    if cc[0]["error"] == 0:
        return steps.END_ROUND
    cc[0]["putback_head"] = cc[0]["migratepages"]
    cc[0]["after_putback"] = steps.END_ROUND
    return steps.PUTBACK_MOVABLE_PAGES


@compiled
def end_round(mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array) -> int:
    """Go on, unless targets ran out early (CONTENDED), a promise was broken, or a block is had.

    Where a page could not be migrated, the rest of the request's block is of no use to an
    asynchronous run.
    """
    error = cc[0]["error"]
    if error == ENOMEM and not scanners_met(node, cc):
        cc[0]["status"] = COMPACT_CONTENDED
        return steps.END_ZONE
    if error and cc[0]["direct_compaction"] and cc[0]["mode"] == MIGRATE_ASYNC:
        cc[0]["migrate_pfn"] = behind(cc[0]["migrate_pfn"] - 1, cc[0]["order"])
        cc[0]["last_migrated"] = 0
    drain_behind(mem_map, zone, pageblock, node, cc)
    if cc[0]["direct_compaction"] and node[0]["captured"] >= 0:
        cc[0]["status"] = COMPACT_SUCCESS
        return steps.END_ZONE
    return steps.END_ZONE if node[0]["fault"] else steps.COMPACT_ROUND


@compiled
def drain_behind(mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array) -> None:
    """Once the scanner has left the request's block, let what was freed in it merge (CZ-7)."""
    order = cc[0]["order"]
    if order <= 0 or cc[0]["last_migrated"] == 0:
        return
    if cc[0]["last_migrated"] < cc[0]["migrate_pfn"] >> order << order:
        lru_add_drain(mem_map, zone, pageblock, node)
        drain_pages_zone(mem_map, zone, pageblock, node, cc[0]["zone"], node[0]["cpu"])
        cc[0]["last_migrated"] = 0


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
    trace_end(
        node,
        trace,
        start,
        cc[0]["migrate_pfn"],
        cc[0]["free_pfn"],
        end,
        cc[0]["mode"] != MIGRATE_ASYNC,
        cc[0]["status"],
    )
    return steps.DONE


@compiled
def compact_step(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """Take one step with a zone; which comes next."""
    if step == steps.COMPACT_ZONE:
        return begin_zone(mem_map, zone, pageblock, node, cc, trace)
    if step == steps.COMPACT_ROUND:
        return begin_round(mem_map, zone, node, cc, trace)
    if step == steps.ISOLATE_MIGRATEPAGES:
        return scan(mem_map, zone, pageblock, node, cc, trace, LOOK)
    if step == steps.SCAN_ON:
        answer = TAKEN if cc[0]["rc"] else FAIL
        return scan(mem_map, zone, pageblock, node, cc, trace, answer)
    if step == steps.SCAN_ON_AFTER_PUTBACK:
        return scan(mem_map, zone, pageblock, node, cc, trace, WAS_PUT_BACK)
    if step == steps.MIGRATE_BATCH:
        return begin_batch(zone, cc)
    if step == steps.BATCH_MIGRATED:
        return put_back_rest(mem_map, node, cc, trace)
    if step == steps.END_ROUND:
        return end_round(mem_map, zone, pageblock, node, cc)
    return end_zone(mem_map, zone, pageblock, node, cc, trace)
