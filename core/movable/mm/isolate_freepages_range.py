"""All free pages of a range of frames, taken out of the free lists (mm/compaction.c and
mm/page_alloc.c, v6.1; the last steps of alloc_contig_range())."""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.isolate_freepages_block import isolate_freepages_block, split_map_pages
from movable.mm.list import list_del, list_empty, list_next
from movable.mm.swap import put_page
from movable.page_flags import PG_buddy

Array = Any


@compiled
def covering_buddy(mem_map: Array, node: Array, start: int) -> int:
    """The head of the free block that *start* lies in, or *start* if it is not free."""
    pfn = start
    for order in range(node[0]["max_order"]):
        pfn = start >> order << order
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_buddy:
            return pfn if pfn + (1 << flags_order(flags)) > start else start
    return start


@compiled
def isolate_freepages_range(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    start: int,
    end: int,
) -> int:
    """Take every page of [*start*, *end*), each with one reference.

    Returned is where the last free block taken ends; or -1 if a page was not free, and then those
    taken are free again.
    """
    size = 1 << node[0]["pageblock_order"]
    pfn = start
    while pfn < end:
        block_end = min((pfn // size + 1) * size, end)
        _, isolated = isolate_freepages_block(
            mem_map, zone, pageblock, node, cc, trace, pfn, block_end, 1, True
        )
        if isolated == 0:
            break
        pfn += isolated
    split_map_pages(mem_map, cc)
    head = cc[0]["freepages"]
    while not list_empty(mem_map, head):
        page = list_next(mem_map, head)
        list_del(mem_map, page)
        if pfn < end:
            put_page(mem_map, zone, pageblock, node, page)
    cc[0]["nr_freepages"] = 0
    return pfn if pfn >= end else -1


@compiled
def put_range(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, start: int, end: int
) -> None:
    """Give [*start*, *end*) back, page by page, the lowest first (free_contig_range())."""
    for pfn in range(start, end):
        put_page(mem_map, zone, pageblock, node, pfn)
