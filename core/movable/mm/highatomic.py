"""Pageblocks kept for urgent requests of high order (mm/page_alloc.c, v6.1; rules H-1, H-2)."""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import free_list
from movable.mm.compiled import compiled
from movable.mm.fallback import move_freepages_block
from movable.mm.list import list_empty, list_next
from movable.mm.mm_types import HIGHATOMIC, MIGRATE_PCPTYPES
from movable.mm.pageblock import block_type, set_block_type

Array = Any


@compiled
def reserve_highatomic_pageblock(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int
) -> None:
    """Keep the pageblock of *pfn*, unless a hundredth of the zone is kept already."""
    size = 1 << node[0]["pageblock_order"]
    if zone[z]["highatomic"] >= zone[z]["managed"] // 100 + size:
        return
    if block_type(pageblock, node, pfn) < MIGRATE_PCPTYPES:
        zone[z]["highatomic"] += size
        set_block_type(pageblock, node, pfn, HIGHATOMIC)
        move_freepages_block(mem_map, zone, node, z, pfn, HIGHATOMIC)


@compiled
def unreserve_highatomic_pageblock(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    highest_zoneidx: int,
    migratetype: int,
    force: bool,
) -> bool:
    """Give one kept pageblock to *migratetype*; not a zone's last one unless by *force*."""
    size = 1 << node[0]["pageblock_order"]
    for z in range(node[0]["nr_zones"] - 1, -1, -1):
        if zone[z]["zone_idx"] > highest_zoneidx:
            continue
        if not force and zone[z]["highatomic"] <= size:
            continue
        for order in range(node[0]["max_order"]):
            head = free_list(zone, z, order, HIGHATOMIC)
            if list_empty(mem_map, head):
                continue
            pfn = list_next(mem_map, head)
            if block_type(pageblock, node, pfn) == HIGHATOMIC:
                zone[z]["highatomic"] -= min(size, zone[z]["highatomic"])
            set_block_type(pageblock, node, pfn, migratetype)
            moved, _ = move_freepages_block(mem_map, zone, node, z, pfn, migratetype)
            if moved:
                return True
    return False
