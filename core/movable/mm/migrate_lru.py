"""Migration of ordinary pages: the LRU branch of mm/migrate.c (v6.1), compiled.

:func:`migrate_lru_pages` works through a list until it ends or comes to a page that Python must
see: a driver's, one whose mapping brings its own migratepage, or one whose lock must be waited for.
Rules MP-3 to MP-15.
"""

from __future__ import annotations

from typing import Any

from movable.mm.compiled import compiled
from movable.mm.isolate_freepages import compaction_alloc, compaction_free
from movable.mm.isolate_migratepages import has_mapping, is_file_lru, lru_class
from movable.mm.list import list_add_tail, list_del, list_empty, list_next
from movable.mm.migrate_movable import movable_tag
from movable.mm.mm_types import (
    AGAIN,
    COMPACTION_ALLOC,
    EAGAIN,
    EBUSY,
    EINVAL,
    ENOMEM,
    FAILED,
    HAS_MIGRATE,
    HAS_NEITHER,
    HAS_OWN_MIGRATE,
    MIGRATE_SYNC,
    MIGRATED,
    OPERATIONS_SHIFT,
    PUTBACK,
)
from movable.mm.swap import folio_add_lru, put_page
from movable.mm.tracepoints import REMOVE_MIGRATION_PTE, SET_MIGRATION_PTE, trace_pte
from movable.page_flags import (
    ALL_FLAGS,
    KERNEL_FLAGS,
    PAGE_MAPPING_FLAGS,
    PG_active,
    PG_dirty,
    PG_locked,
    PG_lru,
    PG_private,
    PG_unevictable,
    PG_writeback,
)

Array = Any
MIGRATED_FLAGS = KERNEL_FLAGS ^ (PG_locked | PG_lru)
"""The flags that go along to the new page."""


@compiled
def operations(mapping: int) -> int:
    """What the page's address space can do (HAS_MIGRATE …); anonymous memory can always move."""
    if mapping & PAGE_MAPPING_FLAGS:
        return HAS_MIGRATE
    return mapping >> OPERATIONS_SHIFT & 3


@compiled
def must_ask(mem_map: Array, cc: Array, pfn: int) -> bool:
    """Whether this ordinary page can move is not for compiled code to say (migrate_ordinary.py)."""
    if operations(int(mem_map[pfn]["mapping"])) == HAS_OWN_MIGRATE:
        return True
    return bool(cc[0]["force"] and int(mem_map[pfn]["flags"]) & PG_locked)


@compiled
def fallback_migrate_folio(mem_map: Array, cc: Array, pfn: int) -> int:
    """What must happen first to a page whose address space cannot migrate it: 0, or an errno.

    A dirty page is written out, in the synchronous modes only; so it moves in a later pass.
    """
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_dirty:
        if cc[0]["mode"] < MIGRATE_SYNC:
            return EBUSY
        if operations(int(mem_map[pfn]["mapping"])) == HAS_NEITHER:
            return EINVAL
        mem_map[pfn]["flags"] = (flags ^ PG_dirty) | PG_writeback
        return EAGAIN
    if flags & PG_private:
        mem_map[pfn]["flags"] = flags ^ PG_private
        mem_map[pfn]["refcount"] -= 1
    return 0


@compiled
def folio_migrate_mapping(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, target: int, source: int
) -> int:
    """Give *target* the identity and contents of *source*, if nobody else holds *source*.

    All its references must be known: the isolation's, its mappings', its address space's, and its
    private data's. One more, and the page is in use: -EAGAIN.
    """
    flags = int(mem_map[source]["flags"])
    mapping = int(mem_map[source]["mapping"])
    expected = 1 + mem_map[source]["mapcount"]
    if has_mapping(flags, mapping):
        expected += 1 + (1 if flags & PG_private else 0)
    if mem_map[source]["refcount"] != expected:
        return EAGAIN
    own_bits = int(mem_map[target]["flags"]) & (ALL_FLAGS ^ MIGRATED_FLAGS)
    mem_map[target]["flags"] = own_bits | (flags & MIGRATED_FLAGS)
    mem_map[target]["refcount"] += expected - 1
    mem_map[target]["mapcount"] = mem_map[source]["mapcount"]
    mem_map[target]["mapping"] = mapping
    mem_map[target]["private"] = mem_map[source]["private"]
    mem_map[target]["content"] = mem_map[source]["content"]
    mem_map[source]["refcount"] = 1
    return 0


@compiled
def move_to_new_folio(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    target: int,
    source: int,
) -> int:
    """The LRU half of move_to_new_page(): by the address space's own means, or the fallback."""
    mapping = int(mem_map[source]["mapping"])
    if mapping and operations(mapping) != HAS_MIGRATE:
        rc = fallback_migrate_folio(mem_map, cc, source)
        if rc:
            return rc
    return folio_migrate_mapping(mem_map, zone, pageblock, node, target, source)


@compiled
def unmap_and_move(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    source: int,
) -> int:
    """One attempt to migrate one page: 0, or an errno. Its place on the list is the caller's.

    0 and the page is freed; -ENOMEM: there was no target; else the target went back.
    """
    if mem_map[source]["refcount"] == 1:
        mem_map[source]["flags"] &= ALL_FLAGS ^ (PG_active | PG_unevictable)
        return 0
    target = compaction_alloc(mem_map, zone, pageblock, node, cc, trace)
    if target < 0:
        return ENOMEM
    flags = int(mem_map[source]["flags"])
    mapped = mem_map[source]["mapcount"]
    rc = 0
    if flags & PG_locked:
        rc = EAGAIN
    elif flags & PG_writeback and cc[0]["mode"] < MIGRATE_SYNC:
        rc = EBUSY
    elif flags & PG_writeback and not cc[0]["force"]:
        rc = EAGAIN
    elif mem_map[source]["mapping"] == 0 and flags & PG_private:
        # Truncated page cache: only its buffers are left, and they go first.
        mem_map[source]["flags"] = flags ^ PG_private
        mem_map[source]["refcount"] -= 1
        rc = EAGAIN
    if rc == 0:
        mem_map[source]["flags"] = flags & (ALL_FLAGS ^ PG_writeback)
        if mapped:
            trace_pte(node, trace, SET_MIGRATION_PTE, source, mapped)
        rc = move_to_new_folio(mem_map, zone, pageblock, node, cc, target, source)
        if rc == 0:
            # The batch is emptied before a page becomes visible to processes again.
            mem_map[target]["refcount"] -= 1
            drain = mapped > 0 and cc[0]["drains_after_mapped_page"]
            folio_add_lru(mem_map, zone, pageblock, node, target, drain)
        if mapped:
            place = source if rc else target
            trace_pte(node, trace, REMOVE_MIGRATION_PTE, place, mapped)
    if rc:
        compaction_free(mem_map, zone, pageblock, node, cc, target)
    return rc


@compiled
def putback_lru_page(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int) -> None:
    """Give an isolated page back to its LRU list, by way of the batch."""
    flags = int(mem_map[pfn]["flags"])
    list_del(mem_map, pfn)
    node[0]["nr_isolated"][is_file_lru(flags)] -= 1
    node[0]["lru_stats"][lru_class(int(mem_map[pfn]["mapping"])), PUTBACK] += 1
    mem_map[pfn]["refcount"] -= 1  # the isolation's; the batch takes its own
    folio_add_lru(mem_map, zone, pageblock, node, pfn, False)


@compiled
def settle_lru_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, pfn: int, rc: int
) -> None:
    """Count one attempt's outcome and put the page where it belongs.

    Migrated: freed. -EAGAIN and -ENOMEM: it stays on the list. Any other failure: the failed list.
    """
    flags = int(mem_map[pfn]["flags"])
    stats = lru_class(int(mem_map[pfn]["mapping"]))
    if rc == 0:
        list_del(mem_map, pfn)
        node[0]["nr_isolated"][is_file_lru(flags)] -= 1
        node[0]["lru_stats"][stats, MIGRATED] += 1
        cc[0]["nr_succeeded"] += 1
        put_page(mem_map, zone, pageblock, node, pfn)
    elif rc == EAGAIN:
        cc[0]["retry"] += 1
        node[0]["lru_stats"][stats, AGAIN] += 1
    elif rc == ENOMEM:
        cc[0]["stopped"] = 1
    else:
        cc[0]["nr_failed"] += 1
        node[0]["lru_stats"][stats, FAILED] += 1
        list_del(mem_map, pfn)
        list_add_tail(mem_map, pfn, cc[0]["ret_folios"])


@compiled
def migrate_lru_page(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    pfn: int,
) -> None:
    """Try to migrate one page of the batch."""
    rc = unmap_and_move(mem_map, zone, pageblock, node, cc, trace, pfn)
    settle_lru_page(mem_map, zone, pageblock, node, cc, pfn, rc)


@compiled
def migrate_lru_pages(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    cc: Array,
    trace: Array,
    pfn: int,
) -> int:
    """Go through `cc.folios` from *pfn* on; returned is its head, or the first page not tried.

    That is one that somebody must be asked about, or any if the trace is nearly full, if a page
    failed for good that is to be put back at once, or if targets are the page allocator's.
    """
    head = cc[0]["folios"]
    while pfn != head:
        following = list_next(mem_map, pfn)
        failed = cc[0]["nr_failed"]
        migrate_lru_page(mem_map, zone, pageblock, node, cc, trace, pfn)
        if cc[0]["stopped"]:
            return int(head)
        pfn = following
        if cc[0]["putback_at_once"] and cc[0]["nr_failed"] > failed:
            break
        if cc[0]["get_new_page"] != COMPACTION_ALLOC:
            break
        if node[0]["trace_count"] > node[0]["trace_limit"]:
            break
        if must_ask(mem_map, cc, pfn) or movable_tag(mem_map, pfn):
            break
    return pfn


@compiled
def putback_lru_pages(mem_map: Array, zone: Array, pageblock: Array, node: Array, head: int) -> int:
    """Give the isolated pages on a list back; returned is its head, or the first driver's page."""
    while not list_empty(mem_map, head):
        pfn = list_next(mem_map, head)
        if movable_tag(mem_map, pfn):
            return pfn
        putback_lru_page(mem_map, zone, pageblock, node, pfn)
    return head
