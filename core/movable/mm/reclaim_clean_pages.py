"""Page cache that need not be moved, since it can be read again: it is dropped (mm/vmscan.c, v6.1).

Whether somebody used a page lately is not asked, here as in the kernel. Huge pages are left out.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.isolate_migratepages import has_mapping, is_file_lru
from movable.mm.list import list_add, list_add_tail, list_del, list_empty, list_next
from movable.mm.migrate_movable import movable_tag
from movable.mm.mm_types import FILE
from movable.mm.swap import put_page
from movable.page_flags import (
    ALL_FLAGS,
    PAGE_MAPPING_FLAGS,
    PG_active,
    PG_dirty,
    PG_locked,
    PG_private,
    PG_unevictable,
    PG_writeback,
)

Array = Any
NOT_ACTIVE = ALL_FLAGS ^ PG_active
NOT_PRIVATE = ALL_FLAGS ^ PG_private


@compiled
def clean_file_page(mem_map: Array, pfn: int) -> bool:
    """An isolated page of a file LRU list that has nothing to write, and may be evicted."""
    flags = int(mem_map[pfn]["flags"])
    if movable_tag(mem_map, pfn) or not is_file_lru(flags):
        return False
    return not flags & (PG_dirty | PG_unevictable)


@compiled
def shrink_folio(mem_map: Array, pfn: int) -> bool:
    """Take a clean page from its users: processes, buffers, its file. True if nobody is left.

    Only the isolation's reference remains then. Whoever holds one more keeps the page, but not its
    mappings: processes will fault it in again.
    """
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_locked:
        return False
    if flags & PG_writeback:
        mem_map[pfn]["flags"] = flags | PG_active
        return False
    mem_map[pfn]["refcount"] -= mem_map[pfn]["mapcount"]
    mem_map[pfn]["mapcount"] = 0
    mapping = int(mem_map[pfn]["mapping"])
    if flags & PG_private:
        mem_map[pfn]["flags"] = flags & NOT_PRIVATE
        mem_map[pfn]["refcount"] -= 1
        if mapping == 0:
            return bool(mem_map[pfn]["refcount"] == 1)
    if mapping == 0:
        return False
    by_file = 1 if has_mapping(flags, mapping) else 0
    if mem_map[pfn]["refcount"] != 1 + by_file:
        return False
    mem_map[pfn]["refcount"] = 1
    if mapping & PAGE_MAPPING_FLAGS == 0:
        mem_map[pfn]["mapping"] = 0
    return True


@compiled
def reclaim_clean_pages_from_list(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Drop what can be dropped of `cc.migratepages`; how many pages.

    Clean pages that stay come to the front of the list, the last one first; those dropped are freed
    the last one first, too.
    """
    head, kept, dropped = cc[0]["migratepages"], cc[0]["folios"], cc[0]["ret_folios"]
    pfn = list_next(mem_map, head)
    count = 0
    while pfn != head:
        following = list_next(mem_map, pfn)
        if clean_file_page(mem_map, pfn):
            mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) & NOT_ACTIVE
            list_del(mem_map, pfn)
            if shrink_folio(mem_map, pfn):
                list_add(mem_map, pfn, dropped)
                count += 1
            else:
                list_add_tail(mem_map, pfn, kept)
        pfn = following
    while not list_empty(mem_map, dropped):
        pfn = list_next(mem_map, dropped)
        list_del(mem_map, pfn)
        put_page(mem_map, zone, pageblock, node, pfn)
    while not list_empty(mem_map, kept):
        pfn = list_next(mem_map, kept)
        list_del(mem_map, pfn)
        list_add(mem_map, pfn, head)
    node[0]["nr_isolated"][FILE] -= count
    return count
