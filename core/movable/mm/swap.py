"""LRU lists and the batch in front of them (mm/swap.c, v6.1).

A page on its way to an LRU list waits in the CPU's batch, which holds a reference on it; in there
it is not PG_lru yet, so compaction passes it by. The fifteenth page flushes the batch.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_del
from movable.mm.mm_types import PAGEVEC_SIZE
from movable.mm.page_alloc import free_pages
from movable.page_flags import PG_active, PG_lru, PG_swapbacked, PG_unevictable

Array = Any
UNEVICTABLE_LIST = 4


@compiled
def folio_lru_list(flags: int) -> int:
    """Which LRU list a page with these *flags* belongs on (an index into LRU_LISTS)."""
    if flags & PG_unevictable:
        return UNEVICTABLE_LIST
    return (0 if flags & PG_swapbacked else 2) + (1 if flags & PG_active else 0)


@compiled
def lru_add(mem_map: Array, node: Array, pfn: int) -> None:
    """Put a page at the front of its LRU list."""
    flags = int(mem_map[pfn]["flags"]) | PG_lru
    mem_map[pfn]["flags"] = flags
    index = folio_lru_list(flags)
    list_add(mem_map, pfn, node[0]["lru_list"] + index)
    node[0]["nr_lru"][index] += 1


@compiled
def lru_del(mem_map: Array, node: Array, pfn: int) -> None:
    """Take a page off its LRU list."""
    flags = int(mem_map[pfn]["flags"])
    mem_map[pfn]["flags"] = flags ^ PG_lru
    list_del(mem_map, pfn)
    node[0]["nr_lru"][folio_lru_list(flags)] -= 1


@compiled
def release_page(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int) -> None:
    """Free an order-0 page whose last reference is gone, off its LRU list first (__folio_put())."""
    if int(mem_map[pfn]["flags"]) & PG_lru:
        lru_del(mem_map, node, pfn)
    free_pages(mem_map, zone, pageblock, node, pfn, 0)


@compiled
def put_page(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int) -> None:
    """Drop a reference of an order-0 page (put_page())."""
    count = mem_map[pfn]["refcount"] - 1
    mem_map[pfn]["refcount"] = count
    if count == 0:
        release_page(mem_map, zone, pageblock, node, pfn)


@compiled
def lru_add_batched(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int) -> None:
    """Move one page from a batch to its LRU list, and drop the batch's reference."""
    lru_add(mem_map, node, pfn)
    put_page(mem_map, zone, pageblock, node, pfn)


@compiled
def lru_add_drain(mem_map: Array, zone: Array, pageblock: Array, node: Array) -> None:
    """Flush the running CPU's batch to the LRU lists, in the order in which the pages came."""
    for i in range(node[0]["lru_add_count"]):
        lru_add_batched(mem_map, zone, pageblock, node, int(node[0]["lru_add"][i]))
    node[0]["lru_add_count"] = 0


@compiled
def folio_add_lru(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int, drain: bool
) -> None:
    """Queue a page for its LRU list; the batch takes a reference of its own.

    The batch is flushed when it is full, or at once if *drain* or lru_cache_disable() says so.
    """
    mem_map[pfn]["refcount"] += 1
    count = node[0]["lru_add_count"]
    node[0]["lru_add"][count] = pfn
    node[0]["lru_add_count"] = count + 1
    if node[0]["lru_disable_count"]:
        drain = True
    if drain or count + 1 == PAGEVEC_SIZE:
        lru_add_drain(mem_map, zone, pageblock, node)
