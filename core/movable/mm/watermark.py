"""How much of a zone must stay free (mm/page_alloc.c, v6.1; rules W-1 to W-9)."""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.list import list_empty
from movable.mm.mm_types import MIGRATE_PCPTYPES, MIGRATE_TYPES, WMARK_HIGH

Array = Any

WATERMARK_BOOST_FACTOR = 15000


@compiled
def zone_watermark_ok(
    mem_map: Array, zone: Array, node: Array, z: int, order: int, mark: int, highest_zoneidx: int
) -> bool:
    """Zone *z* would stay above *mark* pages after giving up a block of *order*, and has one.

    *mark* excludes the reserve that the zone keeps back from requests for *highest_zoneidx*.
    """
    free = max(zone[z]["free"], 0) - ((1 << order) - 1) - zone[z]["highatomic"]
    if free <= mark + zone[z]["lowmem_reserve"][highest_zoneidx]:
        return False
    if order == 0:
        return True
    for o in range(order, node[0]["max_order"]):
        for migratetype in range(MIGRATE_PCPTYPES):
            if not list_empty(mem_map, zone[z]["free_list"] + o * MIGRATE_TYPES + migratetype):
                return True
    return False


@compiled
def boost_watermark(zone: Array, node: Array, z: int) -> None:
    """Raise the watermarks for a while because a pageblock got mixed (boost_watermark())."""
    block = 1 << node[0]["pageblock_order"]
    limit = zone[z]["watermark"][WMARK_HIGH] * WATERMARK_BOOST_FACTOR // 10000
    if 4 * block > zone[z]["managed"] or limit == 0:
        return
    zone[z]["boost"] = min(zone[z]["boost"] + block, max(block, limit))
