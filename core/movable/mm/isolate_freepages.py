"""The free scanner: finds targets from the zone's end (mm/compaction.c, v6.1).

Called when a page wants a target and none is left; takes whole free blocks until there are as many
pages as the batch has sources, and splits them. Rules FS-2 to FS-13, CA-1, CA-2, SK-4.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order, isolate_free_page
from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_add_tail, list_del, list_empty
from movable.mm.mm_types import COMPACT_CLUSTER_MAX, COMPACTISOLATED, MOVABLE
from movable.mm.page_alloc import free_pages
from movable.mm.pageblock import block_type, pageblock_pfn_to_page, set_block_skip
from movable.mm.tracepoints import ISOLATE_FREEPAGES, trace_scan
from movable.mm.vmstat import count_vm_events
from movable.page_flags import ORDER_SHIFT, ZONE_SHIFT, PG_buddy, PG_head

Array = Any


@compiled
def suitable_migration_target(mem_map: Array, pageblock: Array, node: Array, pfn: int) -> bool:
    """A block of movable type that is not one large free block, judged by its first frame *pfn*."""
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_buddy and flags_order(flags) >= node[0]["pageblock_order"]:
        return False
    return block_type(pageblock, node, pfn) == MOVABLE


@compiled
def isolate_freepages_block(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    start: int,
    end: int,
    stride: int,
) -> tuple[int, int]:
    """Take free blocks of [*start*, *end*) until there are enough; where it stopped, and how many
    pages it took.

    It stops short when the batch is served or the zone has no more to give. With a *stride* the
    scan also jumps behind each block it takes (FS-6).
    """
    z = cc[0]["zone"]
    pfn = start
    scanned = isolated = 0
    while pfn < end:
        scanned += 1
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_head:
            order = flags_order(flags)
            if order < node[0]["max_order"]:
                pfn += (1 << order) - 1
        elif flags & PG_buddy:
            order = flags_order(flags)
            pages = isolate_free_page(mem_map, zone, pageblock, node, z, pfn, order)
            if pages == 0:
                break
            mem_map[pfn]["flags"] = z << ZONE_SHIFT | order << ORDER_SHIFT
            list_add_tail(mem_map, pfn, cc[0]["isolated_blocks"])
            scanned += pages - 1
            isolated += pages
            cc[0]["nr_freepages"] += pages
            if cc[0]["nr_migratepages"] <= cc[0]["nr_freepages"]:
                pfn += pages
                break
            pfn += pages - 1
        pfn += stride
    pfn = min(pfn, end)
    trace_scan(node, trace, ISOLATE_FREEPAGES, start, pfn, scanned, isolated)
    cc[0]["total_free_scanned"] += scanned
    count_vm_events(node, COMPACTISOLATED, isolated)
    return pfn, isolated


@compiled
def split_map_pages(mem_map: Array, cc: Array) -> None:
    """Turn the blocks taken into single pages with one reference, the last page first (FS-12)."""
    blocks = cc[0]["isolated_blocks"]
    while not list_empty(mem_map, blocks):
        first = int(mem_map[blocks]["next"])
        list_del(mem_map, first)
        flags = int(mem_map[first]["flags"])
        zone_bits = flags >> ZONE_SHIFT << ZONE_SHIFT
        for pfn in range(first, first + (1 << flags_order(flags))):
            mem_map[pfn]["flags"] = zone_bits
            mem_map[pfn]["private"] = 0
            mem_map[pfn]["content"] = 0
            mem_map[pfn]["refcount"] = 1
            list_add(mem_map, pfn, cc[0]["freepages"])


@compiled
def isolate_freepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> None:
    """Fill `cc.freepages` from the pageblocks above the migrate scanner, going down."""
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    pfn = cc[0]["free_pfn"]
    start = pfn // size * size
    end = min(start + size, zone[z]["start_pfn"] + zone[z]["spanned"])
    low = (cc[0]["migrate_pfn"] // size + 1) * size
    stride = 1
    while start >= low:
        if pageblock_pfn_to_page(mem_map, zone, node, z, start, end) and suitable_migration_target(
            mem_map, pageblock, node, start
        ):
            pfn, isolated = isolate_freepages_block(
                mem_map, zone, pageblock, node, cc, trace, pfn, end, stride
            )
            if pfn == end:
                set_block_skip(pageblock, node, start)
                zone[z]["cached_free_pfn"] = min(zone[z]["cached_free_pfn"], start)
            if cc[0]["nr_freepages"] >= cc[0]["nr_migratepages"]:
                if pfn >= end:
                    pfn = start - size
                break
            if pfn < end:
                break
            stride = 1 if isolated else min(COMPACT_CLUSTER_MAX, 2 * stride)
        end = start
        start -= size
        pfn = start
    cc[0]["free_pfn"] = pfn
    split_map_pages(mem_map, cc)


@compiled
def compaction_alloc(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """A target page with one reference, or -1 if the scanners have met."""
    head = cc[0]["freepages"]
    if list_empty(mem_map, head):
        isolate_freepages(mem_map, zone, pageblock, node, cc, trace)
        if list_empty(mem_map, head):
            return -1
    pfn = int(mem_map[head]["next"])
    list_del(mem_map, pfn)
    cc[0]["nr_freepages"] -= 1
    return pfn


@compiled
def compaction_free(mem_map: Array, cc: Array, pfn: int) -> None:
    """Take back a target that was not used; the next page gets it."""
    list_add(mem_map, pfn, cc[0]["freepages"])
    cc[0]["nr_freepages"] += 1


@compiled
def release_freepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array
) -> None:
    """Free the targets that are left, and let later runs look for targets from there (CZ-8)."""
    head = cc[0]["freepages"]
    if list_empty(mem_map, head):
        return
    highest = 0
    while not list_empty(mem_map, head):
        pfn = int(mem_map[head]["next"])
        list_del(mem_map, pfn)
        highest = max(highest, pfn)
        free_pages(mem_map, zone, pageblock, node, pfn, 0)
    cc[0]["nr_freepages"] = 0
    size = 1 << node[0]["pageblock_order"]
    z = cc[0]["zone"]
    zone[z]["cached_free_pfn"] = max(zone[z]["cached_free_pfn"], highest // size * size)
