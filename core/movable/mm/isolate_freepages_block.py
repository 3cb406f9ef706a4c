"""The free scanner in one range of frames: takes whole free blocks, and splits them (FS-6 to FS-13;
mm/compaction.c, v6.1)."""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order, isolate_free_page
from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_add_tail, list_del, list_empty
from movable.mm.mm_types import COMPACTISOLATED
from movable.mm.tracepoints import ISOLATE_FREEPAGES, trace_scan
from movable.mm.vmstat import count_vm_events
from movable.page_flags import ORDER_SHIFT, ZONE_SHIFT, PG_buddy, PG_head

Array = Any


@compiled
def set_aside(mem_map: Array, cc: Array, z: int, pfn: int, order: int) -> None:
    """Put a block that was taken out of the free lists behind those taken before."""
    mem_map[pfn]["flags"] = z << ZONE_SHIFT | order << ORDER_SHIFT
    list_add_tail(mem_map, pfn, cc[0]["isolated_blocks"])


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
    strict: bool,
) -> tuple[int, int]:
    """Take free blocks of [*start*, *end*) until there are enough; where it stopped, and how many
    pages it took.

    It stops short when the batch is served or the zone has no more to give; if *strict*, at the
    first frame that is not free, and only then. With a *stride* the scan also jumps behind each
    block it takes (FS-6).
    """
    z = cc[0]["zone"]
    pfn = start
    scanned = isolated = 0
    while pfn < end:
        scanned += 1
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_head:
            if strict:
                break
            order = flags_order(flags)
            if order < node[0]["max_order"]:
                pfn += (1 << order) - 1
        elif flags & PG_buddy:
            order = flags_order(flags)
            pages = isolate_free_page(mem_map, zone, pageblock, node, z, pfn, order)
            if pages == 0:
                break
            set_aside(mem_map, cc, z, pfn, order)
            if not cc[0]["free_block_counts_as_one"]:
                scanned += pages - 1
            isolated += pages
            cc[0]["nr_freepages"] += pages
            if not strict and cc[0]["nr_migratepages"] <= cc[0]["nr_freepages"]:
                pfn += pages
                break
            pfn += pages - 1
        elif strict:
            break
        pfn += stride
    pfn = min(pfn, end)
    trace_scan(node, trace, ISOLATE_FREEPAGES, start, pfn, scanned, isolated)
    if strict and pfn < end:
        isolated = 0
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
