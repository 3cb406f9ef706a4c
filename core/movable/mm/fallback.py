"""Stealing from other migratetypes when one's own lists are empty (mm/page_alloc.c, v6.1; B-13 to
B-20)."""

from __future__ import annotations

from typing import Any

from movable.mm.alloc_flags import ALLOC_CMA, ALLOC_KSWAPD, ALLOC_NOFRAGMENT
from movable.mm.buddy import flags_order, free_list, move_to_free_list, rmqueue_smallest
from movable.mm.compiled import compiled
from movable.mm.list import list_empty
from movable.mm.mm_types import (
    CMA,
    HIGHATOMIC,
    MOVABLE,
    RECLAIMABLE,
    UNMOVABLE,
    ZONE_BOOSTED_WATERMARK,
)
from movable.mm.pageblock import block_type, set_block_type
from movable.mm.watermark import boost_watermark
from movable.page_flags import PAGE_MAPPING_FLAGS, PAGE_MAPPING_MOVABLE, PG_buddy, PG_lru

Array = Any


@compiled
def fallback_type(migratetype: int, choice: int) -> int:
    """The *choice*-th (0, 1) type to take from when *migratetype* has nothing (`fallbacks[]`)."""
    if migratetype == UNMOVABLE:
        return RECLAIMABLE if choice == 0 else MOVABLE
    if migratetype == MOVABLE:
        return RECLAIMABLE if choice == 0 else UNMOVABLE
    return UNMOVABLE if choice == 0 else MOVABLE


@compiled
def can_steal_fallback(node: Array, order: int, migratetype: int, wanted: int) -> bool:
    """A block of *order*, for a request of order *wanted*, justifies taking its whole pageblock
    over."""
    small = wanted < node[0]["steals_for_unmovable_from"]
    if migratetype == UNMOVABLE and small and order < node[0]["pageblock_order"]:
        return False
    if order >= node[0]["pageblock_order"] // 2 or migratetype == RECLAIMABLE:
        return True
    return bool(migratetype == UNMOVABLE and node[0]["unmovable_steals_whole"])


@compiled
def find_suitable_fallback(
    mem_map: Array, zone: Array, z: int, order: int, migratetype: int
) -> int:
    """The type to take a block of *order* from, or -1."""
    if zone[z]["nr_free"][order] == 0:
        return -1
    for choice in range(2):
        candidate = fallback_type(migratetype, choice)
        if not list_empty(mem_map, free_list(zone, z, order, candidate)):
            return candidate
    return -1


@compiled
def move_freepages_block(
    mem_map: Array, zone: Array, node: Array, z: int, pfn: int, migratetype: int
) -> tuple[int, int]:
    """Move every free page of *pfn*'s pageblock to *migratetype*'s lists.

    Returns how many pages moved, and how many of the others are movable; (0, 0) at a zone's ragged
    end.
    """
    size = 1 << node[0]["pageblock_order"]
    start = pfn // size * size
    end = start + size
    zone_start = zone[z]["start_pfn"]
    if start < zone_start:
        start = pfn
    if end > zone_start + zone[z]["spanned"]:
        return 0, 0
    moved = movable = 0
    while start < end:
        flags = int(mem_map[start]["flags"])
        if flags & PG_buddy:
            move_to_free_list(mem_map, zone, z, start, migratetype)
            moved += 1 << flags_order(flags)
            start += 1 << flags_order(flags)
            continue
        tag = int(mem_map[start]["mapping"]) & PAGE_MAPPING_FLAGS
        if flags & PG_lru or tag == PAGE_MAPPING_MOVABLE:
            movable += 1
        start += 1
    return moved, movable


@compiled
def steal_suitable_fallback(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    alloc_flags: int,
    migratetype: int,
    whole_block: bool,
) -> None:
    """Take a free block for *migratetype*, and its pageblock if enough of it goes along (B-18)."""
    order = flags_order(int(mem_map[pfn]["flags"]))
    size = 1 << node[0]["pageblock_order"]
    old = block_type(pageblock, node, pfn)
    if old != HIGHATOMIC and order >= node[0]["pageblock_order"]:
        for page in range(pfn, pfn + (1 << order), size):
            set_block_type(pageblock, node, page, migratetype)
    elif old != HIGHATOMIC:
        if boost_watermark(zone, node, z) and alloc_flags & ALLOC_KSWAPD:
            zone[z]["zflags"] |= ZONE_BOOSTED_WATERMARK
        if whole_block:
            free, movable = move_freepages_block(mem_map, zone, node, z, pfn, migratetype)
            alike = movable
            if migratetype != MOVABLE:
                alike = size - free - movable if old == MOVABLE else 0
            if not node[0]["counts_movable_pages"]:
                alike = 0
            if free:
                if free + alike >= size // 2:
                    set_block_type(pageblock, node, pfn, migratetype)
                return
    move_to_free_list(mem_map, zone, z, pfn, migratetype)


@compiled
def rmqueue_fallback(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> bool:
    """Steal a block for *migratetype*: the largest there is, or, if only parts of pageblocks can
    be had for movable pages, the smallest that fits (__rmqueue_fallback())."""
    lowest = order
    if alloc_flags & ALLOC_NOFRAGMENT and order < node[0]["pageblock_order"]:
        lowest = int(node[0]["pageblock_order"])
    chosen = source = -1
    for o in range(node[0]["max_order"] - 1, lowest - 1, -1):
        source = find_suitable_fallback(mem_map, zone, z, o, migratetype)
        if source >= 0:
            chosen = o
            break
    if chosen < 0:
        return False
    whole = can_steal_fallback(node, chosen, migratetype, order)
    smallest = migratetype == MOVABLE and node[0]["small_steals_for_movable"]
    if smallest and not whole and chosen > order:
        for o in range(order, node[0]["max_order"]):
            source = find_suitable_fallback(mem_map, zone, z, o, migratetype)
            if source >= 0:
                chosen = o
                break
    pfn = int(mem_map[free_list(zone, z, chosen, source)]["next"])
    if chosen < node[0]["pageblock_order"]:
        node[0]["fallbacks"][migratetype, source] += 1
    steal_suitable_fallback(mem_map, zone, pageblock, node, z, pfn, alloc_flags, migratetype, whole)
    return True


@compiled
def rmqueue(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> int:
    """Take a block of *order* from zone *z*'s free lists, stealing if need be; -1 if none.

    Movable requests use CMA regions before they steal, and first of all while most of what is free
    lies there (B-13).
    """
    if alloc_flags & ALLOC_CMA and zone[z]["free_cma"] > zone[z]["free"] // 2:
        pfn = rmqueue_smallest(mem_map, zone, node, z, order, CMA)
        if pfn >= 0:
            return pfn
    while True:
        pfn = rmqueue_smallest(mem_map, zone, node, z, order, migratetype)
        if pfn < 0 and alloc_flags & ALLOC_CMA:
            pfn = rmqueue_smallest(mem_map, zone, node, z, order, CMA)
        if pfn >= 0:
            return pfn
        if not rmqueue_fallback(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags):
            return -1
