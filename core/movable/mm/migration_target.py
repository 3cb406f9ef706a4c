"""Targets from the page allocator (alloc_migration_target(), mm/migrate.c, v6.1).

Compaction moves pages within a zone and takes its targets from the free scanner. Who empties a
range of frames for himself moves its pages anywhere: each gets, when its turn comes, a page as any
request would. Compiled code takes it from the free lists; when these have none, Python is asked,
which wakes kswapd and reclaims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movable.gfp import GFP_USER, Gfp
from movable.mm.alloc_flags import ALLOC_CMA, ALLOC_KSWAPD
from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_del, list_empty, list_next
from movable.mm.mm_types import COMPACTION_ALLOC, MOVABLE, ZONE_MOVABLE, ZONE_NORMAL
from movable.mm.page_alloc import alloc_pages_fast
from movable.mm.swap import put_page
from movable.page_flags import PAGE_MAPPING_FLAGS, PAGE_MAPPING_MOVABLE

if TYPE_CHECKING:
    from movable.mm.compact_control import CompactControl

Array = Any
GFP_TARGET = int(GFP_USER | Gfp.MOVABLE | Gfp.RETRY_MAYFAIL)
HIGHMEM = int(Gfp.HIGHMEM)


@compiled
def target_gfp(zone: Array, z: int) -> int:
    """What is asked for a page of zone *z*; only those of ZONE_MOVABLE may go there again."""
    return GFP_TARGET | HIGHMEM if zone[z]["zone_idx"] == ZONE_MOVABLE else GFP_TARGET


@compiled
def offer_target(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, pfn: int
) -> None:
    """Put a page just allocated where compaction_alloc() finds it; it has no contents yet."""
    mem_map[pfn]["content"] = 0
    list_add(mem_map, pfn, cc[0]["freepages"])


@compiled
def target_ready(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, pfn: int
) -> bool:
    """*pfn*'s turn can begin: its target is there, or known to be missing, or it needs none.

    A page that was freed meanwhile needs none, except a driver's in profiles that take the target
    before they look (V19).
    """
    if cc[0]["get_new_page"] == COMPACTION_ALLOC:
        return True
    if mem_map[pfn]["refcount"] == 1:
        tag = int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS
        if tag != PAGE_MAPPING_MOVABLE or not cc[0]["target_before_freed_test"]:
            return True
    if cc[0]["no_target"] or not list_empty(mem_map, cc[0]["freepages"]):
        return True
    gfp = target_gfp(zone, cc[0]["zone"])
    highest = ZONE_MOVABLE if gfp & HIGHMEM else ZONE_NORMAL
    alloc_flags = ALLOC_CMA | ALLOC_KSWAPD
    target = alloc_pages_fast(mem_map, zone, pageblock, node, gfp, 0, MOVABLE, highest, alloc_flags)
    if target < 0:
        return False
    offer_target(mem_map, zone, pageblock, node, cc, trace, target)
    return True


@compiled
def drop_target(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> None:
    """Give back the target of a page whose turn has ended before it was taken up."""
    head = cc[0]["freepages"]
    if cc[0]["get_new_page"] != COMPACTION_ALLOC and not list_empty(mem_map, head):
        target = list_next(mem_map, head)
        list_del(mem_map, target)
        put_page(mem_map, zone, pageblock, node, target)


def alloc_target(cc: CompactControl, pfn: int) -> None:
    """Find *pfn* a target where the free lists had none; without one, the run ends with -ENOMEM."""
    from movable.mm.slowpath import SlowPath

    memory = cc.memory
    gfp = memory.engine.call(target_gfp, cc["zone"])
    target = SlowPath(memory, int(gfp), 0).run()
    cc["no_target"] = target < 0
    if target >= 0:
        memory.engine.compact(offer_target, cc.record, target)
