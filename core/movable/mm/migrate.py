"""migrate_pages(): a batch of isolated pages, in up to ten passes (mm/migrate.c, v6.1).

As steps (steps.py). Read migrate_movable.py for what happens to a driver's page, migrate_lru.py for
an ordinary one. Rules P01 to P06, V21 to V23, MP-1 to MP-5.
"""

from __future__ import annotations

from typing import Any

from movable.mm import steps
from movable.mm.batches import batch_pending, batch_step
from movable.mm.compiled import compiled
from movable.mm.isolate_freepages import compaction_alloc, compaction_free
from movable.mm.list import (
    list_add_tail,
    list_cut,
    list_del,
    list_empty,
    list_next,
    list_splice,
    list_splice_tail,
)
from movable.mm.migrate_lru import (
    migrate_lru_page,
    migrate_lru_pages,
    must_ask,
    operations,
    putback_lru_pages,
    settle_lru_page,
)
from movable.mm.migrate_movable import may_wait, movable_tag, page_locked, trylock_page, unlock_page
from movable.mm.migration_target import drop_target, target_ready
from movable.mm.mm_types import (
    EAGAIN,
    ENOMEM,
    HAS_OWN_MIGRATE,
    PGMIGRATE_FAIL,
    PGMIGRATE_SUCCESS,
)
from movable.mm.steps import ask
from movable.mm.swap import folio_add_lru
from movable.mm.tracepoints import (
    REMOVE_MIGRATION_PTE,
    SET_MIGRATION_PTE,
    trace_migrate_pages,
    trace_migrate_pages_start,
    trace_pte,
)
from movable.mm.vmstat import count_vm_events

Array = Any
NR_MAX_MIGRATE_PAGES_RETRY = 10
FORCE_AFTER = 2
"""From the pass after this one on, the VM waits for locks and writeback (P01)."""


@compiled
def begin_batch(mem_map: Array, cc: Array) -> int:
    """Take the next pages of `cc.migratepages` to `cc.folios`, at most a batch of them (P03)."""
    head, folios = cc[0]["migratepages"], cc[0]["folios"]
    if cc[0]["result"] < 0 or list_empty(mem_map, head):
        return steps.END_MIGRATE_PAGES
    if cc[0]["nr_migratepages"] > cc[0]["batch"]:
        list_cut(mem_map, head, cc[0]["batch"], folios)
    else:
        list_splice(mem_map, head, folios)
    cc[0]["nr_failed"] = cc[0]["stopped"] = cc[0]["attempt"] = 0
    cc[0]["retry"] = 1
    return steps.NEXT_PASS


@compiled
def begin_pass(mem_map: Array, cc: Array) -> int:
    """Begin another pass over `cc.folios` if any page is worth it."""
    attempt = cc[0]["attempt"]
    if attempt == NR_MAX_MIGRATE_PAGES_RETRY or not cc[0]["retry"] or cc[0]["stopped"]:
        return steps.END_BATCH
    cc[0]["attempt"] = attempt + 1
    cc[0]["retry"] = 0
    cc[0]["force"] = attempt > FORCE_AFTER
    cc[0]["cursor"] = list_next(mem_map, cc[0]["folios"])
    return steps.NEXT_PAGE


@compiled
def try_next_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """One attempt at the page at `cc.cursor`, or at all ordinary pages from there on."""
    pfn = cc[0]["cursor"]
    if pfn == cc[0]["folios"] or cc[0]["stopped"]:
        return steps.NEXT_PASS
    if node[0]["trace_count"] > node[0]["trace_limit"]:
        return ask(cc, steps.FLUSH_TRACE, steps.NEXT_PAGE)
    cc[0]["page"] = pfn
    if not target_ready(mem_map, zone, pageblock, node, cc, trace, pfn):
        return ask(cc, steps.ALLOC_TARGET, steps.NEXT_PAGE)
    cc[0]["cursor"] = list_next(mem_map, pfn)
    if batch_pending(cc):
        return steps.SETTLE_BATCH
    if movable_tag(mem_map, pfn):
        cc[0]["after_page"] = steps.SETTLE_MOVABLE_PAGE
        return steps.MOVE_MOVABLE_PAGE
    if must_ask(mem_map, cc, pfn):
        return steps.MIGRATE_ORDINARY_PAGE
    cc[0]["cursor"] = migrate_lru_pages(mem_map, zone, pageblock, node, cc, trace, pfn)
    return steps.PAGE_TRIED


@compiled
def settle_movable_page(mem_map: Array, cc: Array) -> None:
    """Count one attempt at a driver's page, and put one that failed for good on its list."""
    rc, pfn = cc[0]["rc"], cc[0]["page"]
    if rc == 0:
        cc[0]["nr_succeeded"] += 1
    elif rc == EAGAIN:
        cc[0]["retry"] += 1
    elif rc == ENOMEM:
        cc[0]["stopped"] = 1
    else:
        cc[0]["nr_failed"] += 1
        list_del(mem_map, pfn)
        list_add_tail(mem_map, pfn, cc[0]["ret_folios"])


@compiled
def migrate_ordinary_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """An LRU page whose lock must be waited for, or whose address space migrates it itself.

    A lock that was held when the memory was recorded never comes free: nobody here has it.
    """
    pfn = cc[0]["page"]
    if step == steps.MIGRATE_ORDINARY_PAGE:
        cc[0]["rc"] = trylock_page(mem_map, pfn)
        if not cc[0]["rc"] and may_wait(cc):
            return ask(cc, steps.LOCK_PAGE, steps.ORDINARY_LOCK_ANSWERED)
        return steps.ORDINARY_LOCK_ANSWERED
    if step == steps.ORDINARY_LOCK_ANSWERED:
        if not cc[0]["rc"]:
            drop_target(mem_map, zone, pageblock, node, cc, trace)
            settle_lru_page(mem_map, zone, pageblock, node, cc, pfn, EAGAIN)
        elif operations(int(mem_map[pfn]["mapping"])) == HAS_OWN_MIGRATE:
            return begin_own_migrate(mem_map, zone, pageblock, node, cc, trace)
        else:
            unlock_page(mem_map, pfn)
            migrate_lru_page(mem_map, zone, pageblock, node, cc, trace, pfn)
        return steps.PAGE_TRIED
    return end_own_migrate(mem_map, zone, pageblock, node, cc, trace)  # OWN_MIGRATE_ANSWERED


@compiled
def begin_own_migrate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Unmap a locked page, and ask its address space to move it to a locked target."""
    pfn = cc[0]["page"]
    target = compaction_alloc(mem_map, zone, pageblock, node, cc, trace)
    if target < 0:
        unlock_page(mem_map, pfn)
        settle_lru_page(mem_map, zone, pageblock, node, cc, pfn, ENOMEM)
        return steps.PAGE_TRIED
    cc[0]["target"] = target
    trylock_page(mem_map, target)
    if mem_map[pfn]["mapcount"]:
        trace_pte(node, trace, SET_MIGRATION_PTE, pfn, mem_map[pfn]["mapcount"])
    return ask(cc, steps.OWN_MIGRATEPAGE, steps.OWN_MIGRATE_ANSWERED)


@compiled
def end_own_migrate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Map the page again, where it is now, and settle its place."""
    pfn, target, rc = cc[0]["page"], cc[0]["target"], cc[0]["rc"]
    if not (page_locked(mem_map, pfn) and page_locked(mem_map, target)):
        return ask(cc, steps.LOCK_AGAIN, steps.OWN_MIGRATE_ANSWERED)
    place = pfn if rc else target
    mapped = mem_map[place]["mapcount"]
    if mapped:
        trace_pte(node, trace, REMOVE_MIGRATION_PTE, place, mapped)
    unlock_page(mem_map, target)
    unlock_page(mem_map, pfn)
    if rc:
        compaction_free(mem_map, zone, pageblock, node, cc, target)
    else:
        mem_map[target]["refcount"] -= 1
        drain = mapped > 0 and cc[0]["drains_after_mapped_page"]
        folio_add_lru(mem_map, zone, pageblock, node, target, drain)
    settle_lru_page(mem_map, zone, pageblock, node, cc, pfn, rc)
    return steps.PAGE_TRIED


@compiled
def end_batch(mem_map: Array, cc: Array) -> int:
    """Add up what failed; -ENOMEM ends the whole call."""
    stays = cc[0]["nr_failed"] + cc[0]["retry"]
    if cc[0]["stopped"]:
        retried = cc[0]["retry"] if cc[0]["retries_fail_with_enomem"] else 0
        cc[0]["nr_failed_pages"] += cc[0]["nr_failed"] + 1 + retried
        cc[0]["result"] = ENOMEM
    else:
        cc[0]["nr_failed_pages"] += stays
        cc[0]["result"] += stays
    list_splice_tail(mem_map, cc[0]["folios"], cc[0]["ret_folios"])
    return steps.CUT_BATCH


@compiled
def end_migrate_pages(mem_map: Array, node: Array, cc: Array, trace: Array) -> int:
    """`cc.rc` is 0 if no page is left on `cc.migratepages`; else how many failed, or -ENOMEM."""
    head = cc[0]["migratepages"]
    list_splice(mem_map, cc[0]["ret_folios"], head)
    if list_empty(mem_map, head) and not cc[0]["putback_at_once"]:
        cc[0]["result"] = 0
    succeeded, failed = cc[0]["nr_succeeded"], cc[0]["nr_failed_pages"]
    count_vm_events(node, PGMIGRATE_SUCCESS, succeeded)
    count_vm_events(node, PGMIGRATE_FAIL, failed)
    trace_migrate_pages(node, trace, succeeded, failed, cc[0]["mode"], cc[0]["reason"])
    cc[0]["rc"] = cc[0]["result"]
    return int(cc[0]["after_migrate"])


@compiled
def putback_movable_pages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array
) -> int:
    """Give every isolated page on the list at `cc.putback_head` back to its owner."""
    head = cc[0]["putback_head"]
    if batch_pending(cc):
        cc[0]["page"] = cc[0]["batch_page"][cc[0]["batch_next"]]
        cc[0]["batch_next"] += 1
        return steps.CLEAR_PUT_BACK
    pfn = putback_lru_pages(mem_map, zone, pageblock, node, head)
    if pfn == head:
        return int(cc[0]["after_putback"])
    cc[0]["page"] = pfn
    cc[0]["after_page"] = steps.PUTBACK_MOVABLE_PAGES
    return steps.PUTBACK_MOVABLE_PAGE


@compiled
def migrate_step(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """Take one step with a batch; which comes next.

    migrate_pages() is the way from MIGRATE_PAGES to `cc.after_migrate`, with the outcome in
    `cc.rc`; what is left on `cc.migratepages` then, the caller puts back (V23).
    """
    if step == steps.NEXT_PAGE:
        return try_next_page(mem_map, zone, pageblock, node, cc, trace)
    if step == steps.PAGE_TRIED:
        if not cc[0]["putback_at_once"]:
            return steps.NEXT_PAGE
        cc[0]["putback_head"] = cc[0]["ret_folios"]
        cc[0]["after_putback"] = steps.NEXT_PAGE
        return steps.PUTBACK_MOVABLE_PAGES
    if step == steps.SETTLE_MOVABLE_PAGE:
        settle_movable_page(mem_map, cc)
        return steps.PAGE_TRIED
    if step == steps.MIGRATE_PAGES:
        trace_migrate_pages_start(node, trace, cc[0]["mode"], cc[0]["reason"])
        cc[0]["nr_succeeded"] = cc[0]["nr_failed_pages"] = cc[0]["result"] = 0
        return steps.CUT_BATCH
    if step == steps.CUT_BATCH:
        return begin_batch(mem_map, cc)
    if step == steps.NEXT_PASS:
        return begin_pass(mem_map, cc)
    if step == steps.END_BATCH:
        return end_batch(mem_map, cc)
    if step == steps.END_MIGRATE_PAGES:
        return end_migrate_pages(mem_map, node, cc, trace)
    if step == steps.PUTBACK_MOVABLE_PAGES:
        return putback_movable_pages(mem_map, zone, pageblock, node, cc)
    if step >= steps.BATCH_ANSWERED:
        return batch_step(mem_map, zone, pageblock, node, cc, step)
    return migrate_ordinary_page(mem_map, zone, pageblock, node, cc, trace, step)
