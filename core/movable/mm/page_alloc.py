"""Getting pages and giving them back: the allocator's doors (mm/page_alloc.c, v6.1).

Zones are tried from the highest down. What reclaim would do is not modelled: a request that fails
at the low watermark is tried once more at the minimum, with the boost taken back, and then fails.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import free_one_page
from movable.mm.compiled import compiled
from movable.mm.fallback import rmqueue
from movable.mm.mm_types import ISOLATE, PGFREE, WMARK_LOW, WMARK_MIN
from movable.mm.pageblock import block_type
from movable.mm.pcp import free_unref_page, pcp_allowed_order, rmqueue_pcplist
from movable.mm.vmstat import count_vm_events, mod_zone_free_pages
from movable.mm.watermark import zone_watermark_ok
from movable.page_flags import ZONE_SHIFT

Array = Any
ZONE_NORMAL = 2


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
def rmqueue_zone(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    no_fragment: bool,
) -> int:
    """Take a block from zone *z*, through the per-CPU lists where they apply; -1 if none."""
    if pcp_allowed_order(node, order):
        return rmqueue_pcplist(mem_map, zone, pageblock, node, z, order, migratetype, no_fragment)
    pfn = rmqueue(mem_map, zone, pageblock, node, z, order, migratetype, no_fragment)
    if pfn >= 0:
        mod_zone_free_pages(zone, node, z, -(1 << order))
    return pfn


@compiled
def get_page_from_freelist(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    order: int,
    migratetype: int,
    mark: int,
    no_fragment: bool,
) -> int:
    """Take a block from the first zone that stays above watermark *mark*; -1 if none does."""
    highest = int(node[0]["nr_zones"]) - 1
    for z in range(highest, -1, -1):
        level = zone[z]["watermark"][mark] + zone[z]["boost"]
        if not zone_watermark_ok(mem_map, zone, node, z, order, level, highest):
            continue
        pfn = rmqueue_zone(mem_map, zone, pageblock, node, z, order, migratetype, no_fragment)
        if pfn >= 0:
            return pfn
    return -1


@compiled
def alloc_pages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, order: int, migratetype: int
) -> int:
    """A block of *order*, its head with one reference; -1 if there is none (__alloc_pages()).

    Three attempts: without mixing pageblocks, if there is a zone Normal; with it; and, where the
    kernel would have woken kswapd, at the lowest watermark without the boost.
    """
    pfn = -1
    for attempt in range(3):
        if attempt == 0 and node[0]["nr_zones"] - 1 < ZONE_NORMAL:
            continue
        if attempt == 2:
            for z in range(node[0]["nr_zones"]):
                zone[z]["boost"] = 0
        mark = WMARK_MIN if attempt == 2 else WMARK_LOW
        pfn = get_page_from_freelist(
            mem_map, zone, pageblock, node, order, migratetype, mark, attempt == 0
        )
        if pfn >= 0:
            break
    if pfn >= 0:
        mem_map[pfn]["private"] = 0
        mem_map[pfn]["refcount"] = 1
    return pfn
