"""Looking for a block of sources in the free lists first (mm/compaction.c, v6.1; FM-1 to FM-7).

A run for a large order looks for pageblocks that have a large free part already. What was looked at
goes to the end of its list, so that the next search sees something else.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import free_list
from movable.mm.compiled import compiled
from movable.mm.list import list_rotate_to_front
from movable.mm.mm_types import COMPACT_CLUSTER_MAX, MOVABLE, PAGE_ALLOC_COSTLY_ORDER
from movable.mm.pageblock import block_skip, block_start, set_block_skip

Array = Any
SPENT = -1
"""`fast_start_pfn` once it has been used: not recorded any more in this run."""


@compiled
def freelist_scan_limit(cc: Array) -> int:
    """How many entries to look at; half as many after each search in vain (FM-1)."""
    return int(COMPACT_CLUSTER_MAX >> min(cc[0]["fast_search_fail"], 63)) + 1


@compiled
def may_search_sources(zone: Array, node: Array, cc: Array) -> bool:
    """Only at the start of a block, for large orders, and not for small unmovable requests."""
    pfn = cc[0]["migrate_pfn"]
    if cc[0]["ignore_skip_hint"] or not cc[0]["fast_search"]:
        return False
    if pfn != zone[cc[0]["zone"]]["start_pfn"] and pfn != block_start(node, pfn):
        return False
    if cc[0]["order"] <= PAGE_ALLOC_COSTLY_ORDER:
        return False
    return bool(not cc[0]["direct_compaction"] or cc[0]["migratetype"] == MOVABLE)


@compiled
def fast_find_migrateblock(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array
) -> int:
    """Where to scan for sources: a block that has a large free part already, or on from here.

    The block found is marked to be skipped, and for that very mark the scan then passes it by
    (FM-6). What remains is the lowest free block seen: once a search fails, scanning starts there.
    """
    if not may_search_sources(zone, node, cc):
        return int(cc[0]["migrate_pfn"])
    z, migrate = cc[0]["zone"], cc[0]["migrate_pfn"]
    limit = freelist_scan_limit(cc)
    distance = (cc[0]["free_pfn"] - migrate) >> 1
    if migrate != zone[z]["start_pfn"]:
        distance >>= 2
    high = block_start(node, migrate + distance)
    scanned, found = 0, -1
    order = cc[0]["order"] - 1
    while order >= PAGE_ALLOC_COSTLY_ORDER and found < 0 and scanned < limit:
        head = free_list(zone, z, order, MOVABLE)
        entry = int(mem_map[head]["next"])
        while entry != head and zone[z]["nr_free"][order]:
            scanned += 1
            if scanned > limit:
                move_freelist_tail(mem_map, head, entry)
                break
            if entry < high and not block_skip(pageblock, node, entry):
                move_freelist_tail(mem_map, head, entry)
                found = entry
                break
            entry = int(mem_map[entry]["next"])
        order -= 1
    cc[0]["total_migrate_scanned"] += scanned
    if found < 0:
        cc[0]["fast_search_fail"] += 1
        return reinit_migrate_pfn(cc)
    update_fast_start_pfn(cc, found)
    cc[0]["fast_search_fail"] = 0
    if cc[0]["fast_search_marks_block"]:
        set_block_skip(pageblock, node, found)
    return max(block_start(node, found), int(zone[z]["start_pfn"]))


@compiled
def move_freelist_tail(mem_map: Array, head: int, entry: int) -> None:
    """Put the list's beginning, up to and with *entry*, at its end (FM-7)."""
    following = int(mem_map[entry]["next"])
    if following != head:
        list_rotate_to_front(mem_map, head, following)


@compiled
def update_fast_start_pfn(cc: Array, pfn: int) -> None:
    """Remember the lowest free block found, until it is used."""
    start = cc[0]["fast_start_pfn"]
    if start != SPENT:
        cc[0]["fast_start_pfn"] = min(start, pfn) if start else pfn


@compiled
def reinit_migrate_pfn(cc: Array) -> int:
    """Go back to the lowest free block found, once."""
    if cc[0]["fast_start_pfn"] > 0:
        cc[0]["migrate_pfn"] = cc[0]["fast_start_pfn"]
        cc[0]["fast_start_pfn"] = SPENT
    return int(cc[0]["migrate_pfn"])
