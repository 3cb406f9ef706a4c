"""Looking for targets in the free lists first (mm/compaction.c, v6.1; FF-1 to FF-11).

A run for an order tries the lists of movable free blocks, from their ends, before it scans frame by
frame. What was looked at goes to the front, so that the next search sees something else.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import free_list, isolate_free_page
from movable.mm.compiled import compiled
from movable.mm.fast_find_migrateblock import freelist_scan_limit
from movable.mm.isolate_freepages_block import isolate_freepages_block, set_aside
from movable.mm.list import list_rotate_to_front
from movable.mm.mm_types import COMPACTISOLATED, MIGRATE_ASYNC, MOVABLE
from movable.mm.pageblock import block_start, pageblock_pfn_to_page, set_block_skip
from movable.mm.vmstat import count_vm_events
from movable.page_flags import NO_ZONE, ZONE_SHIFT

Array = Any
NOWHERE = 1 << 62
"""Above every frame: where the kernel's unsigned subtraction ends up if the free scanner is below
the migrate scanner already (FF-2)."""


@compiled
def at_least_one(cc: Array, limit: int) -> int:
    """How many entries of a list to look at: one at least, or at most (X-7)."""
    return min(limit, 1) if cc[0]["fast_limit_is_one"] else max(limit, 1)


@compiled
def next_search_order(cc: Array, order: int) -> int:
    """The order to try after *order*, all of them in a circle; -1 when it closes (FF-3)."""
    order -= 1
    if order < 0:
        order = int(cc[0]["order"]) - 1
    if order != cc[0]["search_order"]:
        return order
    cc[0]["search_order"] -= 1
    if cc[0]["search_order"] < 0:
        cc[0]["search_order"] = cc[0]["order"] - 1
    return -1


@compiled
def search_list(
    mem_map: Array, zone: Array, cc: Array, order: int, low: int, least: int, limit: int
) -> tuple[int, int, int, int, int]:
    """Look through one list from its end for a block at or above *low*, or else above *least*.

    Returned: the block, or -1; the entry at which the search ended, or the list's head; how many it
    looked at; the highest; the limit, halved for each candidate above *least*.
    """
    head = free_list(zone, cc[0]["zone"], order, MOVABLE)
    entry = int(mem_map[head]["prev"])
    looked, highest, candidate = 0, -1, 0
    while entry != head:
        looked += 1
        highest = max(highest, entry)
        if entry >= low:
            cc[0]["fast_search_fail"] = 0
            cc[0]["search_order"] = order
            return entry, entry, looked, highest, limit
        if entry >= least and entry > candidate:
            candidate = entry
            limit >>= 1
        if looked >= limit:
            break
        entry = int(mem_map[entry]["prev"])
    if candidate:
        return candidate, candidate, looked, highest, limit
    return -1, entry, looked, highest, limit


@compiled
def fast_isolate_freepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> None:
    """Take a free block from the upper part of what is still to be scanned, and its surroundings.

    If there is none, a scan that has just begun starts at the highest block seen.
    """
    if cc[0]["order"] <= 0 or not cc[0]["fast_search"]:
        return
    z = cc[0]["zone"]
    limit = at_least_one(cc, freelist_scan_limit(cc) >> 1)
    scan_start = cc[0]["free_pfn"] >= zone[z]["init_free_pfn"]
    if scan_start:
        limit = 1 << node[0]["pageblock_order"] >> 1
    distance = cc[0]["free_pfn"] - cc[0]["migrate_pfn"]
    low = least = NOWHERE
    if distance >= 0:
        low = block_start(node, cc[0]["free_pfn"] - (distance >> 2))
        least = block_start(node, cc[0]["free_pfn"] - (distance >> 1))
    cc[0]["search_order"] = min(cc[0]["search_order"], cc[0]["order"] - 1)
    order = int(cc[0]["search_order"])
    found, scanned, highest = -1, 0, -1
    while found < 0 and order >= 0:
        if zone[z]["nr_free"][order]:
            found, last, looked, top, limit = search_list(
                mem_map, zone, cc, order, low, least, limit
            )
            scanned += looked
            highest = max(highest, top)
            head = free_list(zone, z, order, MOVABLE)
            if last != head and mem_map[head]["next"] != last:
                list_rotate_to_front(mem_map, head, last)
            if found >= 0:
                pages = isolate_free_page(mem_map, zone, pageblock, node, z, found, order)
                if pages:
                    set_aside(mem_map, cc, z, found, order)
                    if not cc[0]["free_block_counts_as_one"]:
                        scanned += pages - 1
                    cc[0]["nr_freepages"] += pages
                    count_vm_events(node, COMPACTISOLATED, pages)
                else:
                    found = -1
                    order = int(cc[0]["search_order"]) + 1
            if looked >= limit:
                limit = at_least_one(cc, limit >> 1)
        order = next_search_order(cc, order)
    highest = max(block_start(node, highest), int(zone[z]["start_pfn"])) if highest >= 0 else 0
    around = found
    if found < 0:
        cc[0]["fast_search_fail"] += 1
        if scan_start:
            around = restart_free_scan(mem_map, zone, node, cc, highest, least)
    if highest > 0 and highest >= zone[z]["cached_free_pfn"]:
        zone[z]["cached_free_pfn"] = highest - (1 << node[0]["pageblock_order"])
    cc[0]["total_free_scanned"] += scanned
    if around >= 0:
        fast_isolate_around(mem_map, zone, pageblock, node, cc, trace, around)


@compiled
def restart_free_scan(
    mem_map: Array, zone: Array, node: Array, cc: Array, highest: int, least: int
) -> int:
    """Move the free scanner to the highest block seen, or to *least*; its frame, or -1 (FF-8)."""
    if highest >= least or (highest and cc[0]["highest_may_be_low"]):
        cc[0]["free_pfn"] = highest
        return highest
    if not cc[0]["direct_compaction"] or least >= node[0]["nr_frames"]:
        return -1
    if int(mem_map[least]["flags"]) >> ZONE_SHIFT == NO_ZONE:
        return -1
    z = cc[0]["zone"]
    end = min(
        least + (1 << int(node[0]["pageblock_order"])), zone[z]["start_pfn"] + zone[z]["spanned"]
    )
    cc[0]["free_pfn"] = least
    return least if pageblock_pfn_to_page(mem_map, zone, node, z, least, end) else -1


@compiled
def fast_isolate_around(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    pfn: int,
) -> None:
    """Scan the whole pageblock of *pfn* if targets are still too few (FF-10)."""
    if cc[0]["nr_freepages"] >= cc[0]["nr_migratepages"]:
        return
    if cc[0]["direct_compaction"] and cc[0]["mode"] == MIGRATE_ASYNC:
        return
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    start = max(block_start(node, pfn), int(zone[z]["start_pfn"]))
    end = min(block_start(node, pfn) + size, zone[z]["start_pfn"] + zone[z]["spanned"])
    if not pageblock_pfn_to_page(mem_map, zone, node, z, start, end):
        return
    isolate_freepages_block(mem_map, zone, pageblock, node, cc, trace, start, end, 1, False)
    if cc[0]["nr_freepages"] < cc[0]["nr_migratepages"]:
        set_block_skip(pageblock, node, start)
