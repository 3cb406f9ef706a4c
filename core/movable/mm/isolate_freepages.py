"""The free scanner: finds targets from the zone's end (mm/compaction.c, v6.1).

Called when a page wants a target and none is left; takes whole free blocks until there are as many
pages as the batch has sources, and splits them. Rules FS-1 to FS-5, CA-1, CA-2, CZ-8.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.fallback import move_freepages_block
from movable.mm.fast_isolate_freepages import fast_isolate_freepages
from movable.mm.isolate_freepages_block import isolate_freepages_block, split_map_pages
from movable.mm.list import list_add, list_del, list_empty
from movable.mm.mm_types import (
    CMA,
    COMPACT_CLUSTER_MAX,
    COMPACTION_ALLOC,
    MIGRATE_ASYNC,
    MOVABLE,
    UNMOVABLE,
)
from movable.mm.page_alloc import free_pages
from movable.mm.pageblock import block_type, pageblock_pfn_to_page, set_block_type
from movable.mm.skip_hints import isolation_suitable, update_pageblock_skip
from movable.mm.swap import put_page
from movable.page_flags import PG_buddy, PG_lru

Array = Any


@compiled
def suitable_migration_target(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, pfn: int
) -> bool:
    """A block of movable type that is not one large free block, judged by its first frame *pfn*.

    The hardest runs take blocks of any type (FS-5).
    """
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_buddy and flags_order(flags) >= node[0]["pageblock_order"]:
        return False
    if cc[0]["ignore_block_suitable"]:
        return True
    migratetype = block_type(pageblock, node, pfn)
    if migratetype == UNMOVABLE and cc[0]["rescues_pageblocks"]:
        return rescue_pageblock(mem_map, zone, pageblock, node, cc[0]["zone"], pfn)
    return migratetype == MOVABLE or migratetype == CMA


@compiled
def rescue_pageblock(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int
) -> bool:
    """Make the block that begins at *pfn* movable if only free and LRU pages are in it.

    As in 3.5-rc (commit 5ceb9ce6fe94), where asynchronous runs for movable pages did not.
    """
    for page in range(pfn, pfn + (1 << int(node[0]["pageblock_order"]))):
        if mem_map[page]["refcount"] and not int(mem_map[page]["flags"]) & PG_lru:
            return False
    set_block_type(pageblock, node, pfn, MOVABLE)
    move_freepages_block(mem_map, zone, node, z, pfn, MOVABLE)
    return True


@compiled
def isolate_freepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> None:
    """Fill `cc.freepages`, from the free lists if they have something in a good place (FF), else
    from the pageblocks above the migrate scanner, going down."""
    fast_isolate_freepages(mem_map, zone, pageblock, node, cc, trace)
    if cc[0]["nr_freepages"] == 0:
        scan_for_freepages(mem_map, zone, pageblock, node, cc, trace)
    split_map_pages(mem_map, cc)


@compiled
def scan_for_freepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> None:
    """Scan pageblock after pageblock, in large strides while an asynchronous run finds nothing.

    In pageblocks smaller than any kernel's, the strides are smaller, too.
    """
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    pfn = cc[0]["free_pfn"]
    start = pfn // size * size
    end = min(start + size, zone[z]["start_pfn"] + zone[z]["spanned"])
    low = (cc[0]["migrate_pfn"] // size + 1) * size
    longest = min(COMPACT_CLUSTER_MAX, max(size // 16, 1))
    stride = longest if cc[0]["mode"] == MIGRATE_ASYNC else 1
    while start >= low:
        if (
            pageblock_pfn_to_page(mem_map, zone, node, z, start, end)
            and suitable_migration_target(mem_map, zone, pageblock, node, cc, start)
            and isolation_suitable(pageblock, node, cc, start)
        ):
            pfn, isolated = isolate_freepages_block(
                mem_map, zone, pageblock, node, cc, trace, pfn, end, stride, False
            )
            if pfn == end:
                update_pageblock_skip(zone, pageblock, node, cc, start)
            if cc[0]["nr_freepages"] >= cc[0]["nr_migratepages"]:
                if pfn >= end:
                    pfn = start - size
                break
            if pfn < end:
                break
            stride = 1 if isolated else min(longest, 2 * stride)
        end = start
        start -= size
        pfn = start
    cc[0]["free_pfn"] = pfn


@compiled
def compaction_alloc(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """A target page with one reference, or -1 if the scanners have met.

    Where targets are the page allocator's, migration_target.py has put one on the list, or none.
    """
    head = cc[0]["freepages"]
    if list_empty(mem_map, head):
        if cc[0]["get_new_page"] == COMPACTION_ALLOC:
            isolate_freepages(mem_map, zone, pageblock, node, cc, trace)
        if list_empty(mem_map, head):
            return -1
    pfn = int(mem_map[head]["next"])
    list_del(mem_map, pfn)
    cc[0]["nr_freepages"] -= 1
    return pfn


@compiled
def compaction_free(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, pfn: int
) -> None:
    """Take back a target that was not used; the next page gets it, unless it is the allocator's."""
    if cc[0]["get_new_page"] != COMPACTION_ALLOC:
        put_page(mem_map, zone, pageblock, node, pfn)
        return
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
