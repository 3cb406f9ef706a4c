"""Getting pages and giving them back: the allocator's quick half (mm/page_alloc.c, v6.1).

Zones are tried from the highest down. What happens when no zone has a block to spare, from waking
kswapd to compaction and reclaim, is slowpath.py's.
"""

from __future__ import annotations

from typing import Any

from movable.gfp import Gfp
from movable.mm.alloc_flags import (
    ALLOC_HIGHATOMIC,
    ALLOC_NO_WATERMARKS,
    ALLOC_NOFRAGMENT,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    ALLOC_WMARK_MASK,
)
from movable.mm.buddy import free_one_page, rmqueue_smallest
from movable.mm.compiled import compiled
from movable.mm.fallback import rmqueue
from movable.mm.highatomic import reserve_highatomic_pageblock
from movable.mm.mm_types import HIGHATOMIC, ISOLATE, PGFREE, WMARK_LOW, WMARK_MIN, ZONE_NORMAL
from movable.mm.pageblock import block_type
from movable.mm.pcp import free_unref_page, pcp_allowed_order, rmqueue_pcplist
from movable.mm.vmstat import count_vm_events, mod_zone_freepage_state
from movable.mm.watermark import free_pages_of, wmark_pages, zone_watermark_ok
from movable.page_flags import ZONE_SHIFT

Array = Any
ATOMIC = int(Gfp.ATOMIC)


@compiled
def free_pages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int, order: int
) -> None:
    """Free a block whose last reference is gone: nothing of its owner stays (__free_pages())."""
    z = int(mem_map[pfn]["flags"]) >> ZONE_SHIFT
    for page in range(pfn, pfn + (1 << order)):
        mem_map[page]["flags"] = z << ZONE_SHIFT
        mem_map[page]["mapping"] = 0
        mem_map[page]["private"] = 0
        mem_map[page]["mapcount"] = 0
        mem_map[page]["refcount"] = 0
    migratetype = block_type(pageblock, node, pfn)
    per_cpu = pcp_allowed_order(node, order)
    if not (per_cpu and migratetype == ISOLATE):
        count_vm_events(node, PGFREE, 1 << order)
    if per_cpu and migratetype != ISOLATE:
        free_unref_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)
    else:
        free_one_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)


@compiled
def rmqueue_buddy(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> int:
    """Take a block from zone *z*'s free lists, the HIGHATOMIC ones with a right to them; or -1."""
    pfn = -1
    if alloc_flags & ALLOC_HIGHATOMIC:
        pfn = rmqueue_smallest(mem_map, zone, node, z, order, HIGHATOMIC)
    if pfn < 0:
        pfn = rmqueue(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags)
    if pfn < 0 and alloc_flags & (ALLOC_OOM | ALLOC_NON_BLOCK):
        pfn = rmqueue_smallest(mem_map, zone, node, z, order, HIGHATOMIC)
    if pfn >= 0:
        mod_zone_freepage_state(zone, node, z, -(1 << order), block_type(pageblock, node, pfn))
    return pfn


@compiled
def rmqueue_zone(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> int:
    """Take a block from zone *z*, through the per-CPU lists where they apply; -1 if none."""
    if pcp_allowed_order(node, order):
        pfn = rmqueue_pcplist(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags)
        if pfn >= 0:
            return pfn
    return rmqueue_buddy(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags)


@compiled
def zone_watermark_fast(
    mem_map: Array,
    zone: Array,
    node: Array,
    z: int,
    gfp: int,
    order: int,
    highest_zoneidx: int,
    alloc_flags: int,
) -> bool:
    """Zone *z* can spare a block; urgent single pages may do without the boost (W-4)."""
    mark = wmark_pages(zone, z, alloc_flags)
    free = free_pages_of(zone, z)
    if zone_watermark_ok(mem_map, zone, node, z, order, mark, highest_zoneidx, alloc_flags, free):
        return True
    if order or not gfp & ATOMIC or alloc_flags & ALLOC_WMARK_MASK != WMARK_MIN:
        return False
    mark = zone[z]["watermark"][WMARK_MIN]
    return zone_watermark_ok(
        mem_map, zone, node, z, order, mark, highest_zoneidx, alloc_flags, free
    )


@compiled
def get_page_from_freelist(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    gfp: int,
    order: int,
    migratetype: int,
    highest_zoneidx: int,
    alloc_flags: int,
) -> int:
    """Take a block from the first zone that can spare one, its head with one reference; or -1.

    If pageblocks were not to be mixed, and that was in vain, they may be.
    """
    while True:
        for z in range(node[0]["nr_zones"] - 1, -1, -1):
            if zone[z]["zone_idx"] > highest_zoneidx or zone[z]["managed"] == 0:
                continue
            if not alloc_flags & ALLOC_NO_WATERMARKS and not zone_watermark_fast(
                mem_map, zone, node, z, gfp, order, highest_zoneidx, alloc_flags
            ):
                continue
            pfn = rmqueue_zone(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags)
            if pfn >= 0:
                mem_map[pfn]["private"] = 0
                mem_map[pfn]["refcount"] = 1
                if alloc_flags & ALLOC_HIGHATOMIC:
                    reserve_highatomic_pageblock(mem_map, zone, pageblock, node, z, pfn)
                return pfn
        if not alloc_flags & ALLOC_NOFRAGMENT:
            return -1
        alloc_flags ^= ALLOC_NOFRAGMENT


@compiled
def alloc_pages_fast(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    gfp: int,
    order: int,
    migratetype: int,
    highest_zoneidx: int,
    alloc_flags: int,
) -> int:
    """The first attempt: at the low watermark, without mixing pageblocks in zone Normal (W-7).

    *alloc_flags* are what the request alone tells: ALLOC_CMA and ALLOC_KSWAPD.
    """
    preferred = int(node[0]["nr_zones"]) - 1
    while preferred > 0 and zone[preferred]["zone_idx"] > highest_zoneidx:
        preferred -= 1
    alloc_flags |= WMARK_LOW
    if zone[preferred]["zone_idx"] == ZONE_NORMAL and node[0]["avoids_mixing"]:
        alloc_flags |= ALLOC_NOFRAGMENT
    return get_page_from_freelist(
        mem_map, zone, pageblock, node, gfp, order, migratetype, highest_zoneidx, alloc_flags
    )


@compiled
def alloc_pages(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    gfp: int,
    order: int,
    migratetype: int,
    highest_zoneidx: int,
    alloc_flags: int,
) -> int:
    """What a request gets that waits for nobody: twice the quick half; -1 if that is nothing.

    Where thousands of pages are taken at once. The second attempt is at the minimum watermark, with
    the boost taken back as by kswapd.
    """
    pfn = alloc_pages_fast(
        mem_map, zone, pageblock, node, gfp, order, migratetype, highest_zoneidx, alloc_flags
    )
    if pfn >= 0:
        return pfn
    withdraw_boost(zone, node)
    return get_page_from_freelist(
        mem_map, zone, pageblock, node, gfp, order, migratetype, highest_zoneidx, alloc_flags
    )


@compiled
def withdraw_boost(zone: Array, node: Array) -> None:
    """Take the boost of every zone's watermarks back: kswapd has done its part."""
    for z in range(node[0]["nr_zones"]):
        zone[z]["boost"] = 0
