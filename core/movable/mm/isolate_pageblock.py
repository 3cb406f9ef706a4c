"""One pageblock, kept from the allocator (mm/page_isolation.c, v6.1; rules I-2 to I-5).

A block of type ISOLATE hands nothing out: what is free in it stands on lists of its own and is not
counted as free, and what is freed into it goes there, past the per-CPU lists. Nobody is moved here;
see page_isolation.py for ranges of blocks, contig.py for who empties them.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import (
    del_page_from_free_list,
    flags_order,
    free_one_page,
    isolate_free_page,
    move_to_free_list,
    page_is_buddy,
)
from movable.mm.compiled import compiled
from movable.mm.fallback import move_freepages_block
from movable.mm.mm_types import CMA, ISOLATE, ZONE_MOVABLE
from movable.mm.pageblock import block_type, set_block_type
from movable.mm.vmstat import mod_zone_freepage_state
from movable.page_flags import (
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_buddy,
    PG_head,
    PG_lru,
    PG_reserved,
    PG_tail,
)

Array = Any
NOTHING, ISOLATED_ALREADY = -1, -2
"""What stands in the way, where it is no page."""


@compiled
def compound_head(mem_map: Array, pfn: int) -> int:
    """First frame of the compound page that *pfn* belongs to, or *pfn* itself."""
    return int(mem_map[pfn]["next"]) if int(mem_map[pfn]["flags"]) & PG_tail else pfn


@compiled
def looks_movable(mem_map: Array, pfn: int) -> bool:
    """An LRU page, or a driver's: it can at least be tried."""
    tag = int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS
    return bool(int(mem_map[pfn]["flags"]) & PG_lru or tag == PAGE_MAPPING_MOVABLE)


@compiled
def has_unmovable_pages(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    end: int,
    migratetype: int,
) -> int:
    """The first page of [*pfn*, *end*), within one block, that nobody could move; or NOTHING (I-4).

    A look without locks, so it may be wrong either way: a page in an LRU batch passes for
    unmovable. In CMA regions their owners may take anything for movable, all others nothing; in
    ZONE_MOVABLE only reserved pages stay.
    """
    if block_type(pageblock, node, pfn) == CMA:
        return NOTHING if migratetype == CMA else pfn
    while pfn < end:
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_reserved:
            return pfn
        if zone[z]["zone_idx"] == ZONE_MOVABLE:
            pfn += 1
        elif flags & (PG_head | PG_tail):
            head = compound_head(mem_map, pfn)
            if not looks_movable(mem_map, head):
                return pfn
            pfn = head + (1 << flags_order(int(mem_map[head]["flags"])))
        elif mem_map[pfn]["refcount"] == 0:
            pfn += 1 << flags_order(flags) if flags & PG_buddy else 1
        elif looks_movable(mem_map, pfn):
            pfn += 1
        else:
            return pfn
    return NOTHING


@compiled
def set_migratetype_isolate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int, migratetype: int
) -> int:
    """Isolate the block that begins at *pfn*: NOTHING, or what stands in the way (I-2).

    *migratetype* is what the block is to be afterwards: CMA for the owner of a region.
    """
    before = block_type(pageblock, node, pfn)
    if before == ISOLATE:
        return ISOLATED_ALREADY
    end = pfn + (1 << node[0]["pageblock_order"])
    page = has_unmovable_pages(mem_map, zone, pageblock, node, z, pfn, end, migratetype)
    if page >= 0:
        return page
    set_block_type(pageblock, node, pfn, ISOLATE)
    zone[z]["isolate_blocks"] += 1
    moved, _ = move_freepages_block(mem_map, zone, node, z, pfn, ISOLATE)
    mod_zone_freepage_state(zone, node, z, -moved, before)
    return NOTHING


@compiled
def putback_isolated_page(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    order: int,
    migratetype: int,
) -> None:
    """Free a block that was free all the time: merged, and last on its list."""
    free_one_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)
    for o in range(order, node[0]["max_order"]):
        head = pfn >> o << o
        if page_is_buddy(mem_map, node, z, head, o):
            move_to_free_list(mem_map, zone, z, head, migratetype)
            return


@compiled
def unset_migratetype_isolate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int, migratetype: int
) -> None:
    """End the isolation of the block that begins at *pfn*; it is of *migratetype* now (I-5).

    A block that is free as a whole may have a free buddy outside, from which its type kept it
    apart: such a block is freed anew, so that they merge.
    """
    if block_type(pageblock, node, pfn) != ISOLATE:
        return
    flags = int(mem_map[pfn]["flags"])
    order = flags_order(flags)
    merges = False
    if flags & PG_buddy and node[0]["pageblock_order"] <= order < node[0]["max_order"] - 1:
        buddy = pfn ^ (1 << order)
        if page_is_buddy(mem_map, node, z, buddy, order):
            merges = block_type(pageblock, node, buddy) != ISOLATE
    if merges:
        isolate_free_page(mem_map, zone, pageblock, node, z, pfn, order)
    else:
        moved, _ = move_freepages_block(mem_map, zone, node, z, pfn, migratetype)
        mod_zone_freepage_state(zone, node, z, moved, migratetype)
    set_block_type(pageblock, node, pfn, migratetype)
    if merges:
        putback_isolated_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)
    zone[z]["isolate_blocks"] -= 1


@compiled
def split_free_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int, edge: int
) -> None:
    """Split a free block at *edge*; each piece is freed as what its pageblock is."""
    order = flags_order(int(mem_map[pfn]["flags"]))
    end = pfn + (1 << order)
    migratetype = block_type(pageblock, node, pfn)
    if migratetype != ISOLATE:
        mod_zone_freepage_state(zone, node, z, -(1 << order), migratetype)
    del_page_from_free_list(mem_map, zone, z, pfn, order)
    while pfn < end:
        limit = edge if pfn < edge else end
        piece = order
        while pfn & ((1 << piece) - 1) or pfn + (1 << piece) > limit:
            piece -= 1
        migratetype = block_type(pageblock, node, pfn)
        free_one_page(mem_map, zone, pageblock, node, z, pfn, piece, migratetype)
        pfn += 1 << piece


@compiled
def split_at_edge(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, block: int, edge: int
) -> int:
    """Let nothing reach from the isolated *block* across its outward *edge*: NOTHING, or who does.

    A free block is split. A page in use could only be a compound larger than a pageblock, and those
    are not migrated here (I-3).
    """
    largest = int(node[0]["max_order"]) - 1
    pfn = block >> largest << largest
    while pfn < edge:
        flags = int(mem_map[pfn]["flags"])
        if flags & (PG_head | PG_tail):
            head = compound_head(mem_map, pfn)
            following = head + (1 << flags_order(int(mem_map[head]["flags"])))
            if following > edge:
                return head
        elif flags & PG_buddy:
            following = pfn + (1 << flags_order(flags))
            if following > edge:
                split_free_page(mem_map, zone, pageblock, node, z, pfn, edge)
        else:
            following = pfn + 1
        pfn = following
    return NOTHING


@compiled
def first_not_isolated(mem_map: Array, pageblock: Array, node: Array, pfn: int, end: int) -> int:
    """The first frame of [*pfn*, *end*) that is not free, or whose block is not isolated; or *end*.

    It may lie behind *end*: where the last free block ends. Types are looked at once each
    pageblock's length from *pfn* on.
    """
    for page in range(pfn, end, 1 << node[0]["pageblock_order"]):
        if block_type(pageblock, node, page) != ISOLATE:
            return int(page)
    while pfn < end:
        flags = int(mem_map[pfn]["flags"])
        if not flags & PG_buddy:
            return pfn
        pfn += 1 << flags_order(flags)
    return pfn
