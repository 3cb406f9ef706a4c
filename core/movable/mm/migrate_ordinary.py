"""Ordinary pages that the compiled branch of migration leaves to Python (mm/migrate.c, v6.1).

One whose lock must be waited for, and one whose address space has a migratepage of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from movable import sched
from movable.mm import driver_calls, migrate_lru, tracepoints
from movable.mm import mm_types as t
from movable.page import Page

if TYPE_CHECKING:
    from movable.hookspecs import MigrateMode
    from movable.mm.compact_control import CompactControl
    from movable.mm.memory import Memory


def ordinary_page(cc: CompactControl, mode: MigrateMode, pfn: int) -> None:
    """An LRU page whose lock must be waited for, or whose mapping migrates it itself.

    A lock that was held when the memory was recorded never comes free: nobody here has it.
    """
    memory, page = cc.memory, Page(cc.memory, pfn)
    if page.locked:
        if not cc.force or sched.current() is None:
            rc = t.EAGAIN
            memory.engine.call(migrate_lru.settle_lru_page, cc.record, pfn, rc)
            return
        page.lock()
        page.unlock()
    if memory.operations_of(pfn) == t.HAS_OWN_MIGRATE:
        _own_migratepage(cc, mode, page)
    else:
        memory.engine.compact(migrate_lru.migrate_lru_page, cc.record, pfn)


def _own_migratepage(cc: CompactControl, mode: MigrateMode, page: Page) -> None:
    """The page's address space has a migratepage: unmapped, it is asked under both locks."""
    memory, pfn = cc.memory, page.pfn
    target = cc.take_target()
    if target < 0:
        cc.out_of_targets = True
        return
    newpage = Page(memory, target)
    page.lock()
    newpage.lock()
    mapped, mapping = memory.mapcount[pfn], memory.mapping_of(memory.mapping[pfn])
    if mapped:
        memory.event(tracepoints.SET_MIGRATION_PTE, pfn, mapped)
    rc = driver_calls.migratepage(memory, mapping, newpage, page, mode)
    if mapped:
        memory.event(tracepoints.REMOVE_MIGRATION_PTE, pfn if rc else target, mapped)
    newpage.unlock()
    page.unlock()
    if rc:
        cc.return_target(target)
    else:
        memory.folio_add_lru(target)
        newpage.put()
    memory.engine.call(migrate_lru.settle_lru_page, cc.record, pfn, rc)


def migrate_page(memory: Memory, newpage: Page, page: Page) -> int:
    """What a file system's migratepage usually is: move identity and contents, if nobody else
    holds the page (migrate_page() of 2016, filemap_migrate_folio() of 6.1)."""
    rc: Any = memory.engine.call(migrate_lru.folio_migrate_mapping, newpage.pfn, page.pfn)
    return int(rc)
