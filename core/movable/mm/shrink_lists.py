"""Taking pages off the old ends of the LRU lists, in compiled code (mm/vmscan.c, v6.1).

What is looked at and decided here, page by page; reclaim.py says how many and from which list.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.list import list_add, list_del
from movable.mm.mm_types import (
    ANON,
    HAS_MIGRATE,
    HAS_WRITEPAGE,
    LRU_LISTS,
    OPERATIONS_SHIFT,
)
from movable.mm.page_alloc import free_pages
from movable.mm.swap import lru_add, lru_del
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    ZONE_SHIFT,
    PG_active,
    PG_dirty,
    PG_head,
    PG_locked,
    PG_lru,
    PG_owner_priv_1,
    PG_private,
    PG_referenced,
    PG_swapbacked,
    PG_unevictable,
    PG_writeback,
)

Array = Any
INACTIVE_ANON, ACTIVE_ANON, INACTIVE_FILE, ACTIVE_FILE = range(4)
assert LRU_LISTS[:4] == ("inactive_anon", "active_anon", "inactive_file", "active_file")
IN_USE = PG_locked | PG_writeback | PG_head | PG_unevictable
"""Flags of pages that reclaim passes by; PG_head since huge pages are not split here."""


@compiled
def oldest(mem_map: Array, node: Array, index: int) -> int:
    """The page at the old end of an LRU list, which must not be empty."""
    return int(mem_map[node[0]["lru_list"] + index]["prev"])


@compiled
def rotate(mem_map: Array, node: Array, index: int, pfn: int) -> None:
    """Give a page another round on its list."""
    list_del(mem_map, pfn)
    list_add(mem_map, pfn, node[0]["lru_list"] + index)


@compiled
def activate(mem_map: Array, node: Array, pfn: int) -> None:
    """Its user has need of the page: to the new end of the active list."""
    lru_del(mem_map, node, pfn)
    flags = int(mem_map[pfn]["flags"]) | PG_active
    mem_map[pfn]["flags"] = flags & ~PG_referenced
    lru_add(mem_map, node, pfn)


@compiled
def eligible(mem_map: Array, zone: Array, pfn: int, highest_zoneidx: int) -> bool:
    """The page lies in a zone that the request may use."""
    z = int(mem_map[pfn]["flags"]) >> ZONE_SHIFT
    return bool(zone[z]["zone_idx"] <= highest_zoneidx)


@compiled
def may_drop(mem_map: Array, pfn: int, may_writepage: bool) -> bool:
    """Nobody but the page cache has the page, and it is clean, or can be written at once."""
    flags = int(mem_map[pfn]["flags"])
    buffers = 1 if flags & PG_private else 0
    if flags & IN_USE or mem_map[pfn]["refcount"] != 1 + buffers:
        return False
    if not flags & PG_dirty:
        return True
    operations = int(mem_map[pfn]["mapping"]) >> OPERATIONS_SHIFT & 3
    return may_writepage and (operations == HAS_MIGRATE or operations == HAS_WRITEPAGE)


@compiled
def shrink_file(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    nr_to_scan: int,
    highest_zoneidx: int,
    may_writepage: bool,
) -> tuple[int, int]:
    """Drop page cache from the old end of its inactive list: pages looked at, pages freed.

    A page that was touched, or that is mapped, becomes active instead.
    """
    scanned = freed = 0
    for _ in range(node[0]["nr_lru"][INACTIVE_FILE]):
        if scanned == nr_to_scan:
            break
        pfn = oldest(mem_map, node, INACTIVE_FILE)
        if not eligible(mem_map, zone, pfn, highest_zoneidx):
            rotate(mem_map, node, INACTIVE_FILE, pfn)
            continue
        scanned += 1
        if int(mem_map[pfn]["flags"]) & PG_referenced or mem_map[pfn]["mapcount"] > 0:
            activate(mem_map, node, pfn)
        elif may_drop(mem_map, pfn, may_writepage):
            lru_del(mem_map, node, pfn)
            free_pages(mem_map, zone, pageblock, node, pfn, 0)
            freed += 1
        else:
            rotate(mem_map, node, INACTIVE_FILE, pfn)
    return scanned, freed


@compiled
def may_swap(mem_map: Array, pfn: int) -> bool:
    """One process has the page, and nobody else."""
    flags, word = int(mem_map[pfn]["flags"]), int(mem_map[pfn]["mapping"])
    if flags & (IN_USE | PG_owner_priv_1) or word & PAGE_MAPPING_FLAGS != PAGE_MAPPING_ANON:
        return False
    return bool(mem_map[pfn]["mapcount"] == 1 and mem_map[pfn]["refcount"] == 1)


@compiled
def isolate_anon(
    mem_map: Array, zone: Array, node: Array, out: Array, nr_to_scan: int, highest_zoneidx: int
) -> tuple[int, int]:
    """Take pages to be swapped off the old end of their inactive list, locked, into *out*: pages
    looked at, pages taken."""
    scanned = taken = 0
    for _ in range(node[0]["nr_lru"][INACTIVE_ANON]):
        if scanned == nr_to_scan or taken == len(out):
            break
        pfn = oldest(mem_map, node, INACTIVE_ANON)
        if not eligible(mem_map, zone, pfn, highest_zoneidx):
            rotate(mem_map, node, INACTIVE_ANON, pfn)
            continue
        scanned += 1
        if int(mem_map[pfn]["flags"]) & PG_referenced:
            activate(mem_map, node, pfn)
        elif may_swap(mem_map, pfn):
            lru_del(mem_map, node, pfn)
            mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | PG_locked
            node[0]["nr_isolated"][ANON] += 1
            out[taken] = pfn
            taken += 1
        else:
            rotate(mem_map, node, INACTIVE_ANON, pfn)
    return scanned, taken


@compiled
def finish_anon(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, pfns: Array, stored: int
) -> None:
    """Free the first *stored* of what :func:`isolate_anon` took; the others become active again."""
    node[0]["nr_isolated"][ANON] -= len(pfns)
    for number in range(len(pfns)):
        pfn = int(pfns[number])
        if number < stored:
            free_pages(mem_map, zone, pageblock, node, pfn, 0)
        else:
            flags = int(mem_map[pfn]["flags"]) & ~PG_locked
            mem_map[pfn]["flags"] = flags | PG_active
            lru_add(mem_map, node, pfn)


@compiled
def shrink_active(mem_map: Array, node: Array, index: int, nr_to_scan: int) -> int:
    """Move pages from the old end of an active list to the inactive one: how many."""
    count = min(nr_to_scan, int(node[0]["nr_lru"][index]))
    for _ in range(count):
        pfn = oldest(mem_map, node, index)
        lru_del(mem_map, node, pfn)
        mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) & ~PG_active
        lru_add(mem_map, node, pfn)
    return count


@compiled
def zone_reclaimable_pages(mem_map: Array, zone: Array, z: int, anon: bool) -> int:
    """Evictable LRU pages of zone *z*, anonymous ones only if they can be swapped."""
    count = 0
    start = int(zone[z]["start_pfn"])
    for pfn in range(start, start + int(zone[z]["spanned"])):
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_lru and not flags & PG_unevictable and flags >> ZONE_SHIFT == z:
            count += 1 if anon or not flags & PG_swapbacked else 0
    return count


@compiled
def touch_pages(mem_map: Array, pfns: Array) -> None:
    """Their users have read or written these pages since reclaim last looked."""
    for pfn in pfns:
        if int(mem_map[pfn]["flags"]) & PG_lru:
            mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | PG_referenced
