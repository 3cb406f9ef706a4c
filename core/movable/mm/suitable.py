"""Whether compaction should begin, and whether it may stop (mm/compaction.c, v6.1; S-1 to S-6,
CF-1 to CF-7)."""

from __future__ import annotations

from typing import Any

from movable.mm.alloc_flags import ALLOC_CMA
from movable.mm.buddy import free_list
from movable.mm.compiled import compiled
from movable.mm.fallback import can_steal_fallback, find_suitable_fallback
from movable.mm.fragmentation import (
    fragmentation_index,
    fragmentation_score_wmark,
    fragmentation_score_zone,
)
from movable.mm.list import list_empty
from movable.mm.mm_types import (
    CMA,
    COMPACT_COMPLETE,
    COMPACT_CONTINUE,
    COMPACT_NO_SUITABLE_PAGE,
    COMPACT_NOT_SUITABLE_ZONE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_SKIPPED,
    COMPACT_SUCCESS,
    MOVABLE,
    PAGE_ALLOC_COSTLY_ORDER,
    WMARK_LOW,
    WMARK_MIN,
    ZONE_RECLAIM_ACTIVE,
)
from movable.mm.tracepoints import FINISHED, SUITABLE, trace_status
from movable.mm.watermark import free_pages_of, wmark_pages, zone_watermark_ok

Array = Any
WHOLE_MEMORY = -1
"""The order of runs that are not for a request (is_via_compact_memory())."""


@compiled
def compact_gap(order: int) -> int:
    """Pages that must be free so that a block of *order* can be made: some wait to be reused."""
    return 2 << order


@compiled
def enough_free(
    mem_map: Array,
    zone: Array,
    node: Array,
    z: int,
    order: int,
    alloc_flags: int,
    highest_zoneidx: int,
    free: int,
) -> int:
    """SUCCESS if a block is there already, SKIPPED if too little is *free*, else CONTINUE."""
    mark = wmark_pages(zone, z, alloc_flags)
    now = free_pages_of(zone, z)
    if zone_watermark_ok(mem_map, zone, node, z, order, mark, highest_zoneidx, alloc_flags, now):
        return COMPACT_SUCCESS
    level = WMARK_LOW if order > PAGE_ALLOC_COSTLY_ORDER else WMARK_MIN
    mark = wmark_pages(zone, z, level) + compact_gap(order)
    if not zone_watermark_ok(mem_map, zone, node, z, 0, mark, highest_zoneidx, ALLOC_CMA, free):
        return COMPACT_SKIPPED
    return COMPACT_CONTINUE


@compiled
def compaction_suitable(
    mem_map: Array,
    zone: Array,
    node: Array,
    trace: Array,
    z: int,
    order: int,
    alloc_flags: int,
    highest_zoneidx: int,
) -> int:
    """CONTINUE if zone *z* should be compacted for *order*; SUCCESS or SKIPPED if not."""
    status = COMPACT_CONTINUE
    if order != WHOLE_MEMORY:
        free = free_pages_of(zone, z)
        status = enough_free(mem_map, zone, node, z, order, alloc_flags, highest_zoneidx, free)
        if status == COMPACT_CONTINUE and order > PAGE_ALLOC_COSTLY_ORDER:
            index = fragmentation_index(zone, node, z, order)
            if 0 <= index <= node[0]["extfrag_threshold"]:
                status = COMPACT_NOT_SUITABLE_ZONE
    trace_status(node, trace, SUITABLE, z, order, status)
    return COMPACT_SKIPPED if status == COMPACT_NOT_SUITABLE_ZONE else status


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
def end_of_zone(zone: Array, node: Array, cc: Array) -> int:
    """The scanners have met: later runs start at the zone's ends (CF-1)."""
    z = cc[0]["zone"]
    for sync in range(2):
        zone[z]["cached_migrate_pfn"][sync] = zone[z]["start_pfn"]
    zone[z]["cached_free_pfn"] = last_block(zone, node, z)
    if cc[0]["direct_compaction"]:
        zone[z]["blockskip_flush"] = 1
    return COMPACT_COMPLETE if cc[0]["whole_zone"] else COMPACT_PARTIAL_SKIPPED


@compiled
def page_of_order_free(mem_map: Array, zone: Array, node: Array, cc: Array) -> bool:
    """The request could be served now: of its own type, or by taking a pageblock over (CF-5)."""
    z, migratetype, wanted = cc[0]["zone"], cc[0]["migratetype"], cc[0]["order"]
    for order in range(cc[0]["order"], node[0]["max_order"]):
        if not list_empty(mem_map, free_list(zone, z, order, migratetype)):
            return True
        if migratetype == MOVABLE and not list_empty(mem_map, free_list(zone, z, order, CMA)):
            return True
        steals = can_steal_fallback(node, order, migratetype, wanted)
        if steals and find_suitable_fallback(mem_map, zone, z, order, migratetype) >= 0:
            return True
    return False


@compiled
def why_finished(mem_map: Array, zone: Array, node: Array, cc: Array) -> int:
    """A compact_result; CONTINUE and NO_SUITABLE_PAGE mean to go on (__compact_finished())."""
    z = cc[0]["zone"]
    if scanners_met(node, cc):
        return end_of_zone(zone, node, cc)
    if cc[0]["proactive_compaction"]:
        if zone[z]["zflags"] & ZONE_RECLAIM_ACTIVE:
            return COMPACT_PARTIAL_SKIPPED  # kswapd is at work
        over = fragmentation_score_zone(zone, node, z) > fragmentation_score_wmark(node, True)
        return COMPACT_CONTINUE if over else COMPACT_SUCCESS
    if cc[0]["order"] == WHOLE_MEMORY:
        return COMPACT_CONTINUE
    if cc[0]["migrate_pfn"] & ((1 << node[0]["pageblock_order"]) - 1):
        return COMPACT_CONTINUE
    free = page_of_order_free(mem_map, zone, node, cc)
    return COMPACT_SUCCESS if free else COMPACT_NO_SUITABLE_PAGE


@compiled
def compact_finished(mem_map: Array, zone: Array, node: Array, cc: Array, trace: Array) -> int:
    """CONTINUE, or the result with which the run ends (compact_finished())."""
    status = why_finished(mem_map, zone, node, cc)
    trace_status(node, trace, FINISHED, cc[0]["zone"], cc[0]["order"], status)
    return COMPACT_CONTINUE if status == COMPACT_NO_SUITABLE_PAGE else status
