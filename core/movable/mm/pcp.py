"""Per-CPU lists of free pages (mm/page_alloc.c, v6.1; rules P-1 to P-9).

Orders 0 to 3 and pageblock order pass through them. Such pages are free, but neither a source nor a
target of compaction. A page's migratetype is the one it had when it came (kept in `private`).
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import free_one_page
from movable.mm.compiled import compiled
from movable.mm.fallback import rmqueue
from movable.mm.list import list_add, list_add_tail, list_del, list_empty, list_next
from movable.mm.mm_types import (
    CMA,
    MIGRATE_PCPTYPES,
    MOVABLE,
    NR_LOWORDER_PCP_LISTS,
    NR_PCP_LISTS,
    PAGE_ALLOC_COSTLY_ORDER,
    PCP_BATCH_SCALE_MAX,
    ZONE_RECLAIM_ACTIVE,
)
from movable.mm.pageblock import block_type
from movable.mm.vmstat import mod_zone_free_pages

Array = Any


@compiled
def pcp_allowed_order(node: Array, order: int) -> bool:
    """Blocks of *order* pass through the per-CPU lists."""
    if order == 0 or node[0]["three_pcp_lists"]:
        return order == 0
    return bool(order <= PAGE_ALLOC_COSTLY_ORDER or order == node[0]["pageblock_order"])


@compiled
def order_to_pindex(order: int, migratetype: int) -> int:
    """Which of a CPU's lists holds blocks of *order* and *migratetype*."""
    if order > PAGE_ALLOC_COSTLY_ORDER:
        return NR_LOWORDER_PCP_LISTS + (1 if migratetype == MOVABLE else 0)
    return MIGRATE_PCPTYPES * order + migratetype


@compiled
def pindex_to_order(node: Array, pindex: int) -> int:
    """Order of the blocks on a CPU's list *pindex*."""
    if pindex >= NR_LOWORDER_PCP_LISTS:
        return int(node[0]["pageblock_order"])
    return pindex // MIGRATE_PCPTYPES


@compiled
def free_pcppage(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, pfn: int, order: int
) -> None:
    """Give one block that was on a CPU's list back to the free lists, as what it came."""
    migratetype = int(mem_map[pfn]["private"])
    if zone[z]["isolate_blocks"]:
        migratetype = block_type(pageblock, node, pfn)
    mem_map[pfn]["private"] = 0
    free_one_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)


@compiled
def free_pcppages_by_share(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, count: int
) -> None:
    """The same up to 5.13 (X-6): from three lists in turn, of each as many as lists were passed.

    All are taken first, and freed in the order in which they were taken.
    """
    cpu = node[0]["cpu"]
    first = zone[z]["pcp_list"][cpu]
    taken = first + MIGRATE_PCPTYPES  # a list that nothing else uses on such a kernel
    migratetype = share = 0
    while count > 0:
        share += 1
        migratetype = (migratetype + 1) % MIGRATE_PCPTYPES
        if list_empty(mem_map, first + migratetype):
            continue
        if share == MIGRATE_PCPTYPES:
            share = count
        while True:
            pfn = int(mem_map[first + migratetype]["prev"])
            list_del(mem_map, pfn)
            list_add_tail(mem_map, pfn, taken)
            zone[z]["pcp_count"][cpu] -= 1
            count -= 1
            share -= 1
            if count == 0 or share == 0 or list_empty(mem_map, first + migratetype):
                break
    while not list_empty(mem_map, taken):
        pfn = list_next(mem_map, taken)
        list_del(mem_map, pfn)
        free_pcppage(mem_map, zone, pageblock, node, z, pfn, 0)


@compiled
def free_pcppages_bulk(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, count: int, pindex: int
) -> None:
    """Give *count* pages back to the free lists, oldest first, beginning with list *pindex*."""
    cpu = node[0]["cpu"]
    count = min(zone[z]["pcp_count"][cpu], count)
    if node[0]["three_pcp_lists"]:
        free_pcppages_by_share(mem_map, zone, pageblock, node, z, count)
        return
    while count > 0:
        head = zone[z]["pcp_list"][cpu] + pindex
        order = pindex_to_order(node, pindex)
        while count > 0 and not list_empty(mem_map, head):
            pfn = int(mem_map[head]["prev"])
            list_del(mem_map, pfn)
            count -= 1 << order
            zone[z]["pcp_count"][cpu] -= 1 << order
            free_pcppage(mem_map, zone, pageblock, node, z, pfn, order)
        pindex = (pindex + 1) % NR_PCP_LISTS


@compiled
def drain_pages_zone(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int, cpu: int
) -> None:
    """Empty one CPU's lists of one zone, as that CPU would."""
    here = node[0]["cpu"]
    node[0]["cpu"] = cpu
    free_pcppages_bulk(mem_map, zone, pageblock, node, z, zone[z]["pcp_count"][cpu], 0)
    node[0]["cpu"] = here


@compiled
def pcp_limit(zone: Array, z: int, cpu: int) -> int:
    """Pages at which a CPU's lists are too long; fewer while the zone is reclaimed (P-5)."""
    high = int(zone[z]["pcp_high"][cpu])
    if zone[z]["zflags"] & ZONE_RECLAIM_ACTIVE:
        return min(int(zone[z]["pcp_batch"][cpu]) << 2, high)
    return high


@compiled
def nr_pcp_free(zone: Array, z: int, cpu: int, free_high: bool) -> int:
    """How many pages to give back now; twice as many each time nobody allocated in between."""
    high = pcp_limit(zone, z, cpu)
    batch = zone[z]["pcp_batch"][cpu]
    if free_high:
        return int(zone[z]["pcp_count"][cpu])
    if high < batch:
        return 1
    count = batch << zone[z]["pcp_free_factor"][cpu]
    if count < high - batch and zone[z]["pcp_free_factor"][cpu] < PCP_BATCH_SCALE_MAX:
        zone[z]["pcp_free_factor"][cpu] += 1
    return int(min(max(count, batch), high - batch))


@compiled
def free_unref_page(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    order: int,
    migratetype: int,
) -> None:
    """Put a free block on the running CPU's list, and give some back if that has grown too long.

    What is of HIGHATOMIC or CMA type waits among movable pages, and goes back as what it is.
    """
    cpu = node[0]["cpu"]
    mem_map[pfn]["private"] = migratetype
    pindex = order_to_pindex(order, MOVABLE if migratetype >= MIGRATE_PCPTYPES else migratetype)
    list_add(mem_map, pfn, zone[z]["pcp_list"][cpu] + pindex)
    zone[z]["pcp_count"][cpu] += 1 << order
    free_high = bool(
        zone[z]["pcp_free_factor"][cpu] and order > 0 and order <= PAGE_ALLOC_COSTLY_ORDER
    )
    if free_high or zone[z]["pcp_count"][cpu] >= pcp_limit(zone, z, cpu):
        count = int(zone[z]["pcp_batch"][cpu])
        if not node[0]["three_pcp_lists"]:
            count = nr_pcp_free(zone, z, cpu, free_high)
        free_pcppages_bulk(mem_map, zone, pageblock, node, z, count, pindex)


@compiled
def rmqueue_pcplist(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    order: int,
    migratetype: int,
    alloc_flags: int,
) -> int:
    """Take a block from the running CPU's list, refilled first if empty; -1 if none is left."""
    cpu = node[0]["cpu"]
    zone[z]["pcp_free_factor"][cpu] >>= 1
    head = zone[z]["pcp_list"][cpu] + order_to_pindex(order, migratetype)
    if list_empty(mem_map, head):
        batch = zone[z]["pcp_batch"][cpu]
        wanted = max(batch >> order, 2) if batch > 1 else batch
        taken = 0
        while taken < wanted:
            pfn = rmqueue(mem_map, zone, pageblock, node, z, order, migratetype, alloc_flags)
            if pfn < 0:
                break
            mem_map[pfn]["private"] = migratetype
            if block_type(pageblock, node, pfn) == CMA:
                mem_map[pfn]["private"] = CMA
                zone[z]["free_cma"] -= 1 << order
            list_add_tail(mem_map, pfn, head)
            taken += 1
        mod_zone_free_pages(zone, node, z, -(taken << order))
        zone[z]["pcp_count"][cpu] += taken << order
        if taken == 0:
            return -1
    pfn = int(mem_map[head]["next"])
    list_del(mem_map, pfn)
    zone[z]["pcp_count"][cpu] -= 1 << order
    return pfn
