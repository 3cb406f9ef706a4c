"""How much of a zone must stay free (mm/page_alloc.c, v6.1; rules W-1 to W-9)."""

from __future__ import annotations

from typing import Any

from movable.mm.alloc_flags import (
    ALLOC_CMA,
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
    ALLOC_RESERVES,
    ALLOC_WMARK_MASK,
)
from movable.mm.compiled import compiled
from movable.mm.list import list_empty
from movable.mm.mm_types import (
    CMA,
    HIGHATOMIC,
    MIGRATE_PCPTYPES,
    MIGRATE_TYPES,
    WMARK_HIGH,
)

Array = Any

WATERMARK_BOOST_FACTOR = 15000


@compiled
def wmark_pages(zone: Array, z: int, alloc_flags: int) -> int:
    """The watermark that *alloc_flags* name, with the boost (wmark_pages())."""
    return int(zone[z]["watermark"][alloc_flags & ALLOC_WMARK_MASK] + zone[z]["boost"])


@compiled
def lowered(mark: int, alloc_flags: int) -> int:
    """*mark* for a request that may go below it."""
    if alloc_flags & ALLOC_MIN_RESERVE:
        mark -= mark // 2
        if alloc_flags & ALLOC_NON_BLOCK:
            mark -= mark // 4
    if alloc_flags & ALLOC_OOM:
        mark -= mark // 2
    return mark


@compiled
def zone_watermark_ok(
    mem_map: Array,
    zone: Array,
    node: Array,
    z: int,
    order: int,
    mark: int,
    highest_zoneidx: int,
    alloc_flags: int,
    free: int,
) -> bool:
    """With *free* pages, zone *z* would stay above *mark* after giving up a block, and has one.

    *mark* excludes the reserve that the zone keeps back from requests for *highest_zoneidx*
    (__zone_watermark_ok()).
    """
    free -= (1 << order) - 1
    if not alloc_flags & ALLOC_RESERVES:
        free -= zone[z]["highatomic"]
    if not alloc_flags & ALLOC_CMA:
        free -= zone[z]["free_cma"]
    mark = lowered(mark, alloc_flags)
    if free <= mark + zone[z]["lowmem_reserve"][highest_zoneidx]:
        return False
    if order == 0:
        return True
    for o in range(order, node[0]["max_order"]):
        if zone[z]["nr_free"][o] == 0:
            continue
        first = zone[z]["free_list"] + o * MIGRATE_TYPES
        for migratetype in range(MIGRATE_PCPTYPES):
            if not list_empty(mem_map, first + migratetype):
                return True
        if alloc_flags & ALLOC_CMA and not list_empty(mem_map, first + CMA):
            return True
        reserve = alloc_flags & (ALLOC_HIGHATOMIC | ALLOC_OOM)
        if reserve and not list_empty(mem_map, first + HIGHATOMIC):
            return True
    return False


@compiled
def free_pages_of(zone: Array, z: int) -> int:
    """NR_FREE_PAGES as watermarks see it: without the CPUs' shares, never negative."""
    return max(int(zone[z]["free"]), 0)


@compiled
def boost_watermark(zone: Array, node: Array, z: int) -> bool:
    """Raise the watermarks for a while because a pageblock got mixed (boost_watermark())."""
    block = 1 << node[0]["pageblock_order"]
    limit = zone[z]["watermark"][WMARK_HIGH] * WATERMARK_BOOST_FACTOR // 10000
    if not node[0]["boosts_watermarks"]:
        return False
    if 4 * block > zone[z]["managed"] or limit == 0:
        return False
    zone[z]["boost"] = min(zone[z]["boost"] + block, max(block, limit))
    return True
