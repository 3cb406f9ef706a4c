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
from movable.mm.list import list_add_tail, list_del
from movable.mm.mm_types import (
    AGAIN,
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
    PAGE_MAPPING_MOVABLE,
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
def needs_python(mem_map: Array, cc: Array, pfn: int) -> bool:
    """Compiled code cannot migrate this page."""
    mapping = int(mem_map["mapping"][pfn])
    if mapping & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE:
        return True
    if operations(mapping) == HAS_OWN_MIGRATE:
        return True
    return bool(cc["force"][0] and int(mem_map["flags"][pfn]) & PG_locked)


@compiled
def fallback_migrate_folio(mem_map: Array, cc: Array, pfn: int) -> int:
    """What must happen first to a page whose address space cannot migrate it: 0, or an errno.

    A dirty page is written out, in the synchronous modes only; so it moves in a later pass.
    """
    flags = int(mem_map["flags"][pfn])
    if flags & PG_dirty:
        if cc["mode"][0] < MIGRATE_SYNC:
            return EBUSY
        if operations(int(mem_map["mapping"][pfn])) == HAS_NEITHER:
            return EINVAL
        mem_map["flags"][pfn] = (flags ^ PG_dirty) | PG_writeback
        return EAGAIN
    if flags & PG_private:
        mem_map["flags"][pfn] = flags ^ PG_private
        mem_map["refcount"][pfn] -= 1
    return 0


@compiled
def folio_migrate_mapping(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, target: int, source: int
) -> int:
    """Give *target* the identity and contents of *source*, if nobody else holds *source*.

    All its references must be known: the isolation's, its mappings', its address space's, and its
    private data's. One more, and the page is in use: -EAGAIN.
    """
    flags = int(mem_map["flags"][source])
    mapping = int(mem_map["mapping"][source])
    expected = 1 + mem_map["mapcount"][source]
    if has_mapping(flags, mapping):
        expected += 1 + (1 if flags & PG_private else 0)
    if mem_map["refcount"][source] != expected:
        return EAGAIN
    own_bits = int(mem_map["flags"][target]) & (ALL_FLAGS ^ MIGRATED_FLAGS)
    mem_map["flags"][target] = own_bits | (flags & MIGRATED_FLAGS)
    mem_map["refcount"][target] += expected - 1
    mem_map["mapcount"][target] = mem_map["mapcount"][source]
    mem_map["mapping"][target] = mapping
    mem_map["private"][target] = mem_map["private"][source]
    mem_map["content"][target] = mem_map["content"][source]
    mem_map["refcount"][source] = 1
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
    mapping = int(mem_map["mapping"][source])
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
    if mem_map["refcount"][source] == 1:
        mem_map["flags"][source] &= ALL_FLAGS ^ (PG_active | PG_unevictable)
        return 0
    target = compaction_alloc(mem_map, zone, pageblock, node, cc, trace)
    if target < 0:
        return ENOMEM
    flags = int(mem_map["flags"][source])
    mapped = mem_map["mapcount"][source]
    rc = 0
    if flags & PG_locked:
        rc = EAGAIN
    elif flags & PG_writeback and cc["mode"][0] < MIGRATE_SYNC:
        rc = EBUSY
    elif flags & PG_writeback and not cc["force"][0]:
        rc = EAGAIN
    elif mem_map["mapping"][source] == 0 and flags & PG_private:
        # Truncated page cache: only its buffers are left, and they go first.
        mem_map["flags"][source] = flags ^ PG_private
        mem_map["refcount"][source] -= 1
        rc = EAGAIN
    if rc == 0:
        mem_map["flags"][source] = flags & (ALL_FLAGS ^ PG_writeback)
        if mapped:
            trace_pte(node, trace, SET_MIGRATION_PTE, source, mapped)
        rc = move_to_new_folio(mem_map, zone, pageblock, node, cc, target, source)
        if rc == 0:
            # The batch is emptied before a page becomes visible to processes again.
            mem_map["refcount"][target] -= 1
            folio_add_lru(mem_map, zone, pageblock, node, target, mapped > 0)
        if mapped:
            place = source if rc else target
            trace_pte(node, trace, REMOVE_MIGRATION_PTE, place, mapped)
    if rc:
        compaction_free(mem_map, cc, target)
    return rc


@compiled
def putback_lru_page(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int) -> None:
    """Give an isolated page back to its LRU list, by way of the batch."""
    flags = int(mem_map["flags"][pfn])
    list_del(mem_map, pfn)
    node["nr_isolated"][0, is_file_lru(flags)] -= 1
    node["lru_stats"][0, lru_class(int(mem_map["mapping"][pfn])), PUTBACK] += 1
    mem_map["refcount"][pfn] -= 1  # the isolation's; the batch takes its own
    folio_add_lru(mem_map, zone, pageblock, node, pfn, False)


@compiled
def settle_lru_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, pfn: int, rc: int
) -> None:
    """Count one attempt's outcome and put the page where it belongs.

    Migrated: freed. -EAGAIN and -ENOMEM: it stays on the list. Any other failure: the failed list.
    """
    flags = int(mem_map["flags"][pfn])
    stats = lru_class(int(mem_map["mapping"][pfn]))
    if rc == 0:
        list_del(mem_map, pfn)
        node["nr_isolated"][0, is_file_lru(flags)] -= 1
        node["lru_stats"][0, stats, MIGRATED] += 1
        cc["nr_succeeded"][0] += 1
        put_page(mem_map, zone, pageblock, node, pfn)
    elif rc == EAGAIN:
        cc["retry"][0] += 1
        node["lru_stats"][0, stats, AGAIN] += 1
    elif rc == ENOMEM:
        cc["out_of_targets"][0] = 1
    else:
        cc["nr_failed"][0] += 1
        node["lru_stats"][0, stats, FAILED] += 1
        list_del(mem_map, pfn)
        list_add_tail(mem_map, pfn, cc["ret_folios"][0])


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
    """Go through `cc.folios` from *pfn* on; returned is its head, or the first page for Python.

    Also left to Python is what follows a page that failed for good, if that is put back at once.
    """
    head = cc["folios"][0]
    while pfn != head and not needs_python(mem_map, cc, pfn):
        following = int(mem_map["next"][pfn])
        failed = cc["nr_failed"][0]
        migrate_lru_page(mem_map, zone, pageblock, node, cc, trace, pfn)
        if cc["out_of_targets"][0]:
            return int(head)
        pfn = following
        if cc["putback_at_once"][0] and cc["nr_failed"][0] > failed:
            break
    return pfn


@compiled
def putback_lru_pages(mem_map: Array, zone: Array, pageblock: Array, node: Array, head: int) -> int:
    """Give the isolated pages on a list back; returned is its head, or the first driver's page."""
    while mem_map["next"][head] != head:
        pfn = int(mem_map["next"][head])
        if int(mem_map["mapping"][pfn]) & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE:
            return pfn
        putback_lru_page(mem_map, zone, pageblock, node, pfn)
    return head
