"""The free lists: merging, splitting, taking a block out (mm/page_alloc.c, v6.1; B-1 to B-23).

A zone has one list for each order and migratetype, and one count for each order. A free block is
marked on its head frame alone: PG_buddy and its order.
"""

from __future__ import annotations

from typing import Any

from movable.mm.alloc_flags import ALLOC_CMA
from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_add_tail, list_del, list_empty
from movable.mm.mm_types import CMA, ISOLATE, MIGRATE_PCPTYPES, MIGRATE_TYPES, MOVABLE, WMARK_MIN
from movable.mm.pageblock import block_type, set_block_type
from movable.mm.vmstat import mod_zone_freepage_state
from movable.mm.watermark import free_pages_of, zone_watermark_ok
from movable.page_flags import ORDER_MASK, ORDER_SHIFT, ZONE_MASK, ZONE_SHIFT, PG_buddy

Array = Any


@compiled
def flags_order(flags: int) -> int:
    """Order of the free block or compound page whose head has these *flags*."""
    return (flags & ORDER_MASK) >> ORDER_SHIFT


@compiled
def free_list(zone: Array, z: int, order: int, migratetype: int) -> int:
    """Head of one of zone *z*'s free lists."""
    return int(zone[z]["free_list"]) + order * MIGRATE_TYPES + migratetype


@compiled
def add_to_free_list(
    mem_map: Array, zone: Array, z: int, pfn: int, order: int, migratetype: int, tail: bool
) -> None:
    """Mark *pfn* as a free block of *order* and link it at one end of its list."""
    mem_map[pfn]["flags"] = PG_buddy | order << ORDER_SHIFT | z << ZONE_SHIFT
    head = free_list(zone, z, order, migratetype)
    if tail:
        list_add_tail(mem_map, pfn, head)
    else:
        list_add(mem_map, pfn, head)
    zone[z]["nr_free"][order] += 1


@compiled
def del_page_from_free_list(mem_map: Array, zone: Array, z: int, pfn: int, order: int) -> None:
    """Take a free block off its list; it is then nobody's."""
    list_del(mem_map, pfn)
    mem_map[pfn]["flags"] = z << ZONE_SHIFT
    zone[z]["nr_free"][order] -= 1


@compiled
def move_to_free_list(mem_map: Array, zone: Array, z: int, pfn: int, migratetype: int) -> None:
    """Put a free block at the end of the list of another migratetype."""
    order = flags_order(int(mem_map[pfn]["flags"]))
    list_del(mem_map, pfn)
    list_add_tail(mem_map, pfn, free_list(zone, z, order, migratetype))


@compiled
def page_is_buddy(mem_map: Array, node: Array, z: int, pfn: int, order: int) -> bool:
    """*pfn* is the head of a free block of exactly *order* in zone *z*."""
    if pfn >= node[0]["nr_frames"]:
        return False
    mask = PG_buddy | ORDER_MASK | ZONE_MASK
    wanted = PG_buddy | order << ORDER_SHIFT | z << ZONE_SHIFT
    return int(mem_map[pfn]["flags"]) & mask == wanted


@compiled
def buddy_merge_likely(mem_map: Array, node: Array, z: int, pfn: int, order: int) -> bool:
    """The block above will probably merge soon, so this one should be used last (B-10)."""
    if order >= node[0]["max_order"] - 2:
        return False
    parent = pfn & (pfn ^ (1 << order))
    return page_is_buddy(mem_map, node, z, parent ^ (1 << (order + 1)), order + 1)


@compiled
def captured_order(node: Array, z: int, migratetype: int) -> int:
    """The order of a block to keep for the compactor that frees it; -1: none (CP-1, CP-2).

    A small block in a movable pageblock is left to movable requests.
    """
    if node[0]["capture_zone"] != z or node[0]["captured"] >= 0:
        return -1
    order = int(node[0]["capture_order"])
    if migratetype in (ISOLATE, CMA):
        return -1
    return -1 if order < node[0]["pageblock_order"] and migratetype == MOVABLE else order


@compiled
def free_one_page(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    order: int,
    migratetype: int,
) -> None:
    """Give a block to the free lists, merged with its free buddies (__free_one_page()).

    It goes on the list of *migratetype*, the type it is freed as, whatever its block's type is,
    unless the running task waits for just such a block.
    """
    if migratetype != ISOLATE:
        mod_zone_freepage_state(zone, node, z, 1 << order, migratetype)
    wanted = captured_order(node, z, migratetype)
    while order < node[0]["max_order"] - 1:
        if order == wanted:
            node[0]["captured"] = pfn
            mod_zone_freepage_state(zone, node, z, -(1 << order), migratetype)
            return
        buddy = pfn ^ (1 << order)
        if not page_is_buddy(mem_map, node, z, buddy, order):
            break
        if order >= node[0]["pageblock_order"]:
            other = block_type(pageblock, node, buddy)
            mergeable = migratetype < MIGRATE_PCPTYPES and other < MIGRATE_PCPTYPES
            if other != migratetype and not mergeable:
                break
        del_page_from_free_list(mem_map, zone, z, buddy, order)
        pfn &= buddy
        order += 1
    tail = buddy_merge_likely(mem_map, node, z, pfn, order)
    add_to_free_list(mem_map, zone, z, pfn, order, migratetype, tail)
    if order >= node[0]["page_reporting_order"]:
        node[0]["page_reporting_requested"] = 1


@compiled
def rmqueue_smallest(
    mem_map: Array, zone: Array, node: Array, z: int, order: int, migratetype: int
) -> int:
    """Take the first block of the smallest fitting order, splitting it; -1 if there is none.

    The lower half is kept and the upper halves go to the front of their lists, so that later
    requests get ascending frames (__rmqueue_smallest(), expand()).
    """
    for o in range(order, node[0]["max_order"]):
        head = free_list(zone, z, o, migratetype)
        if list_empty(mem_map, head):
            continue
        pfn = int(mem_map[head]["next"])
        del_page_from_free_list(mem_map, zone, z, pfn, o)
        for half in range(o - 1, order - 1, -1):
            add_to_free_list(mem_map, zone, z, pfn + (1 << half), half, migratetype, False)
        return pfn
    return -1


@compiled
def isolate_free_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int, order: int
) -> int:
    """Take a whole free block out for compaction (__isolate_free_page()): its pages, or 0.

    0 means that the zone would fall below its raw low limit; nothing has changed then.
    """
    if block_type(pageblock, node, pfn) != ISOLATE:
        mark = zone[z]["watermark"][WMARK_MIN] + (1 << order)
        free = free_pages_of(zone, z)
        if not zone_watermark_ok(mem_map, zone, node, z, 0, mark, 0, ALLOC_CMA, free):
            return 0
        mod_zone_freepage_state(zone, node, z, -(1 << order), block_type(pageblock, node, pfn))
    del_page_from_free_list(mem_map, zone, z, pfn, order)
    if order >= node[0]["pageblock_order"] - 1:
        for page in range(pfn, pfn + (1 << order) - 1, 1 << node[0]["pageblock_order"]):
            if block_type(pageblock, node, page) < MIGRATE_PCPTYPES:
                set_block_type(pageblock, node, page, MOVABLE)
    return 1 << order
