"""Migratetype and skip hint of each pageblock (include/linux/pageblock-flags.h, v6.1).

Rules MM-5, MM-7, SK-1 to SK-4 of `movable explain`'s sources: mm/compaction.c, mm/page_alloc.c.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.mm_types import BLOCK_SKIP, BLOCK_TYPE
from movable.page_flags import NO_ZONE, ZONE_SHIFT

Array = Any


@compiled
def block_start(node: Array, pfn: int) -> int:
    """First frame of *pfn*'s pageblock (pageblock_start_pfn())."""
    return pfn >> int(node[0]["pageblock_order"]) << int(node[0]["pageblock_order"])


@compiled
def block_type(pageblock: Array, node: Array, pfn: int) -> int:
    """Migratetype of the block that *pfn* is in (get_pageblock_migratetype())."""
    return int(pageblock[pfn >> node[0]["pageblock_order"]]) & BLOCK_TYPE


@compiled
def set_block_type(pageblock: Array, node: Array, pfn: int, migratetype: int) -> None:
    """Give *pfn*'s block a new migratetype; the skip hint stays (set_pageblock_migratetype())."""
    block = pfn >> node[0]["pageblock_order"]
    pageblock[block] = (int(pageblock[block]) & BLOCK_SKIP) | migratetype


@compiled
def block_skip(pageblock: Array, node: Array, pfn: int) -> bool:
    """*pfn*'s block is marked as not worth a scan (get_pageblock_skip())."""
    return bool(int(pageblock[pfn >> node[0]["pageblock_order"]]) & BLOCK_SKIP)


@compiled
def clear_block_skip(pageblock: Array, node: Array, pfn: int) -> None:
    """Take the mark away (clear_pageblock_skip())."""
    block = pfn >> node[0]["pageblock_order"]
    pageblock[block] = int(pageblock[block]) & BLOCK_TYPE


@compiled
def set_block_skip(pageblock: Array, node: Array, pfn: int) -> None:
    """Say that scanning *pfn*'s block again is not worth it (set_pageblock_skip())."""
    block = pfn >> node[0]["pageblock_order"]
    pageblock[block] = int(pageblock[block]) | BLOCK_SKIP


@compiled
def pageblock_pfn_to_page(
    mem_map: Array, zone: Array, node: Array, z: int, start: int, end: int
) -> bool:
    """The scanners may look at [*start*, *end*): its first and last frame are in zone *z*.

    Only these two are looked at, and none if the zone has no holes.
    """
    if zone[z]["contiguous"]:
        return True
    if end > node[0]["nr_frames"]:
        return False
    first = int(mem_map[start]["flags"]) >> ZONE_SHIFT
    last = int(mem_map[end - 1]["flags"]) >> ZONE_SHIFT
    return first == z and last == z and first != NO_ZONE
