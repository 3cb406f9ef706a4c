"""A driver's page: isolated, migrated, put back (mm/migrate.c, v6.1).

Three ways of `cc.page`, as steps (steps.py), each with a point wherever another CPU may come
between; the points are the events of the page's life cycle (movable/lifecycle.py). A way ends with
the outcome in `cc.rc` and goes on at `cc.after_page`.
"""

from __future__ import annotations

from typing import Any

from movable.mm import steps
from movable.mm.compiled import compiled
from movable.mm.isolate_freepages import compaction_alloc, compaction_free
from movable.mm.list import list_del
from movable.mm.mm_types import EAGAIN, ENOMEM, FILE, HANDLE_SHIFT, MIGRATE_ASYNC
from movable.mm.steps import ask, point
from movable.mm.swap import folio_add_lru, release_page
from movable.page_flags import (
    ALL_FLAGS,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_isolated,
    PG_locked,
)

Array = Any
NOT_ISOLATED = ALL_FLAGS ^ PG_isolated
NOT_LOCKED = ALL_FLAGS ^ PG_locked


@compiled
def movable_tag(mem_map: Array, pfn: int) -> bool:
    """The mapping word is tagged movable: a hint that needs no lock (__PageMovable())."""
    return bool(int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE)


@compiled
def page_movable(mem_map: Array, pfn: int) -> bool:
    """A driver answers for this page, whose lock is held: tag and pointer (PageMovable())."""
    return bool(movable_tag(mem_map, pfn) and int(mem_map[pfn]["mapping"]) >> HANDLE_SHIFT)


@compiled
def page_locked(mem_map: Array, pfn: int) -> bool:
    """Somebody holds the page lock."""
    return bool(int(mem_map[pfn]["flags"]) & PG_locked)


@compiled
def trylock_page(mem_map: Array, pfn: int) -> bool:
    """Take the page lock if it is free."""
    flags = int(mem_map[pfn]["flags"])
    mem_map[pfn]["flags"] = flags | PG_locked
    return not flags & PG_locked


@compiled
def unlock_page(mem_map: Array, pfn: int) -> None:
    """Let go of the page lock."""
    mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) & NOT_LOCKED


@compiled
def may_wait(cc: Array) -> bool:
    """This pass may wait for a page lock; a direct compactor, PF_MEMALLOC, never does (MP-5)."""
    return bool(
        cc[0]["force"] and cc[0]["mode"] != MIGRATE_ASYNC and not cc[0]["direct_compaction"]
    )


@compiled
def count_isolated(node: Array, cc: Array, by: int) -> None:
    """Count a driver's page as isolated, or as no longer, in a profile that does so (V25)."""
    if cc[0]["counts_isolated_driver_pages"]:
        node[0]["nr_isolated"][FILE] += by


@compiled
def clear_isolated(mem_map: Array, node: Array, cc: Array, then: int) -> int:
    """End an isolation."""
    pfn = cc[0]["page"]
    mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) & NOT_ISOLATED
    count_isolated(node, cc, -1)
    return point(cc, steps.ISOLATED_CLEARED, then)


@compiled
def put_page(mem_map: Array, cc: Array, pfn: int, then: int) -> int:
    """Drop one of the VM's references; if it was the last, nothing more is said of the page, which
    somebody else may have as soon as it is free."""
    mem_map[pfn]["refcount"] -= 1
    if mem_map[pfn]["refcount"]:
        return then
    cc[0]["freeing"] = pfn
    cc[0]["after_free"] = cc[0]["after_page"] if then == steps.SAY_SOURCE_PUT else then
    return point(cc, steps.FREED, steps.FREE_PAGE)


@compiled
def isolate_movable_page(mem_map: Array, node: Array, cc: Array, step: int) -> int:
    """Ask a page's driver to let go of it; in the end `cc.rc` is 1 if the VM now holds it.

    The order of the tests is the contract's (V01 to V06): a reference that fails on a free page,
    the tag, and only then the lock, because the owner of a page that is not movable yet may be
    using its lock bit as it likes.
    """
    pfn = cc[0]["page"]
    if step == steps.ISOLATE_MOVABLE_PAGE:
        cc[0]["rc"] = 0
        if mem_map[pfn]["refcount"] <= 0:
            return int(cc[0]["after_page"])
        mem_map[pfn]["refcount"] += 1
        return point(cc, steps.REFERENCE_TAKEN, steps.TEST_MOVABLE)
    if step == steps.TEST_MOVABLE:
        if not movable_tag(mem_map, pfn):
            return steps.GIVE_UP
        return point(cc, steps.MOVABLE_TESTED, steps.LOCK_TO_ISOLATE)
    if step == steps.LOCK_TO_ISOLATE:
        if trylock_page(mem_map, pfn):
            return point(cc, steps.PAGE_LOCKED, steps.ASK_ISOLATE)
        return point(cc, steps.PAGE_LOCK_BUSY, steps.GIVE_UP)
    if step == steps.ASK_ISOLATE:
        if page_movable(mem_map, pfn) and not int(mem_map[pfn]["flags"]) & PG_isolated:
            cc[0]["rc"] = 1
            return ask(cc, steps.ISOLATE_PAGE, steps.ISOLATE_ANSWERED)
        return steps.UNLOCK_REFUSED
    if step == steps.ISOLATE_ANSWERED:
        if not page_locked(mem_map, pfn):
            return ask(cc, steps.LOCK_AGAIN, steps.ISOLATE_ANSWERED)
        if not cc[0]["rc"]:
            return point(cc, steps.ISOLATE_REFUSED, steps.UNLOCK_REFUSED)
        mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | PG_isolated
        count_isolated(node, cc, 1)
        return point(cc, steps.ISOLATED, steps.UNLOCK_ISOLATED)
    if step == steps.UNLOCK_ISOLATED:
        unlock_page(mem_map, pfn)
        return point(cc, steps.ISOLATE_UNLOCKED, cc[0]["after_page"])
    if step == steps.UNLOCK_REFUSED:
        unlock_page(mem_map, pfn)
        return steps.GIVE_UP
    if step == steps.GIVE_UP:
        return put_page(mem_map, cc, pfn, steps.SAY_GAVE_UP)
    return point(cc, steps.ISOLATE_GAVE_UP, cc[0]["after_page"])  # SAY_GAVE_UP


@compiled
def begin_move(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """Find a target, unless the driver freed the page after isolation, and lock the page.

    A page that was freed is held by the VM's reference alone (V19).
    """
    pfn, target = cc[0]["page"], cc[0]["target"]
    if step == steps.MOVE_MOVABLE_PAGE:
        cc[0]["target"] = -1
        if mem_map[pfn]["refcount"] == 1 and not cc[0]["target_before_freed_test"]:
            return ask(cc, steps.RELEASED, steps.FREED_MEANWHILE)
        target = compaction_alloc(mem_map, zone, pageblock, node, cc, trace)
        cc[0]["target"] = target
        if target < 0:
            cc[0]["rc"] = ENOMEM
            return int(cc[0]["after_page"])
        return point(cc, steps.TARGET_ALLOCATED, steps.TEST_FREED)
    if step == steps.TEST_FREED:
        if mem_map[pfn]["refcount"] == 1 and cc[0]["target_before_freed_test"]:
            return ask(cc, steps.RELEASED, steps.FREED_MEANWHILE)
        return steps.LOCK_SOURCE
    if step == steps.FREED_MEANWHILE:
        cc[0]["rc"] = 0
        return clear_isolated(mem_map, node, cc, steps.RETURN_UNUSED_TARGET)
    if step == steps.RETURN_UNUSED_TARGET:
        if target < 0:
            return steps.LET_GO
        compaction_free(mem_map, zone, pageblock, node, cc, target)
        return point(cc, steps.TARGET_RETURNED, steps.LET_GO)
    if step == steps.LOCK_SOURCE:
        if trylock_page(mem_map, pfn):
            return point(cc, steps.SOURCE_LOCKED, steps.LOCK_TARGET)
        cc[0]["rc"] = 0
        if may_wait(cc):
            return ask(cc, steps.LOCK_PAGE, steps.SOURCE_LOCK_ANSWERED)
        return steps.SOURCE_LOCK_ANSWERED
    # SOURCE_LOCK_ANSWERED
    if cc[0]["rc"]:
        return point(cc, steps.SOURCE_LOCKED, steps.LOCK_TARGET)
    cc[0]["rc"] = EAGAIN
    return steps.RETURN_TARGET


@compiled
def move_to_new_page(mem_map: Array, node: Array, cc: Array, step: int) -> int:
    """The driver's half of move_to_new_page(), under both locks: asked, it moves the page or not.

    A page that is tagged movable without a pointer was released by its driver after isolation:
    that is a success, and nobody is asked (S10, V16).
    """
    pfn, target = cc[0]["page"], cc[0]["target"]
    if step == steps.LOCK_TARGET:
        if trylock_page(mem_map, target):
            return point(cc, steps.TARGET_LOCKED, steps.MOVE_TO_NEW_PAGE)
        cc[0]["rc"] = EAGAIN
        return steps.UNLOCK_SOURCE
    if step == steps.MOVE_TO_NEW_PAGE:
        cc[0]["rc"] = 0
        if page_movable(mem_map, pfn):
            return ask(cc, steps.MIGRATEPAGE, steps.MIGRATE_ANSWERED)
        return point(cc, steps.RELEASED_NOTICED, steps.NOTICE_RELEASED)
    if step == steps.NOTICE_RELEASED:
        return ask(cc, steps.RELEASED, steps.END_MOVE)
    if step == steps.MIGRATE_ANSWERED:
        if not (page_locked(mem_map, pfn) and page_locked(mem_map, target)):
            return ask(cc, steps.LOCK_AGAIN, steps.MIGRATE_ANSWERED)
        return point(cc, steps.MIGRATE_RETURNED, steps.END_MOVE)
    # END_MOVE
    if cc[0]["rc"]:
        return steps.UNLOCK_TARGET
    return clear_isolated(mem_map, node, cc, steps.UNLOCK_TARGET)


@compiled
def end_move(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, step: int
) -> int:
    """Unlock both pages; then drop the source after success, and give the target back otherwise.

    The driver's own reference keeps a target alive that is in use (V18). In 4.8 the target's own
    tag, read after it was unlocked, decides whether it is an LRU page (V20).
    """
    pfn, target = cc[0]["page"], cc[0]["target"]
    if step == steps.UNLOCK_TARGET:
        unlock_page(mem_map, target)
        if cc[0]["rc"]:
            return steps.UNLOCK_SOURCE
        if int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS == 0:
            mem_map[pfn]["mapping"] = 0
        if cc[0]["target_disposed_by_own_tag"] and not movable_tag(mem_map, target):
            folio_add_lru(mem_map, zone, pageblock, node, target, False)
        return put_page(mem_map, cc, target, steps.UNLOCK_SOURCE)
    if step == steps.UNLOCK_SOURCE:
        unlock_page(mem_map, pfn)
        return point(cc, steps.UNLOCKED, steps.RETURN_TARGET if cc[0]["rc"] else steps.LET_GO)
    if step == steps.RETURN_TARGET:
        compaction_free(mem_map, zone, pageblock, node, cc, target)
        return point(cc, steps.TARGET_RETURNED, cc[0]["after_page"])
    if step == steps.LET_GO:
        list_del(mem_map, pfn)
        return point(cc, steps.OFF_THE_MIGRATE_LIST, steps.PUT_SOURCE)
    if step == steps.PUT_SOURCE:
        return put_page(mem_map, cc, pfn, steps.SAY_SOURCE_PUT)
    return point(cc, steps.SOURCE_PUT, cc[0]["after_page"])  # SAY_SOURCE_PUT


@compiled
def putback_movable_page(mem_map: Array, node: Array, cc: Array, step: int) -> int:
    """Give an isolated page back to its driver; none is called if it released the page (V24)."""
    pfn = cc[0]["page"]
    if step == steps.PUTBACK_MOVABLE_PAGE:
        list_del(mem_map, pfn)
        return point(cc, steps.OFF_THE_MIGRATE_LIST, steps.LOCK_FOR_PUTBACK)
    if step == steps.LOCK_FOR_PUTBACK:
        if trylock_page(mem_map, pfn):
            return steps.SAY_PUTBACK_LOCKED
        return ask(cc, steps.LOCK_TO_PUT_BACK, steps.SAY_PUTBACK_LOCKED)
    if step == steps.SAY_PUTBACK_LOCKED:
        return point(cc, steps.PUTBACK_LOCKED, steps.ASK_PUTBACK)
    if step == steps.ASK_PUTBACK:
        if page_movable(mem_map, pfn):
            return ask(cc, steps.PUTBACK_PAGE, steps.CLEAR_PUT_BACK)
        return ask(cc, steps.RELEASED, steps.SKIP_PUTBACK)
    if step == steps.SKIP_PUTBACK:
        return point(cc, steps.PUTBACK_SKIPPED, steps.CLEAR_PUT_BACK)
    if step == steps.CLEAR_PUT_BACK:
        if not page_locked(mem_map, pfn):
            return ask(cc, steps.LOCK_AGAIN, steps.CLEAR_PUT_BACK)
        return clear_isolated(mem_map, node, cc, steps.UNLOCK_PUT_BACK)
    unlock_page(mem_map, pfn)  # UNLOCK_PUT_BACK
    return point(cc, steps.UNLOCKED, steps.PUT_SOURCE)


@compiled
def movable_page_step(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, step: int
) -> int:
    """Take one step with a driver's page; which comes next."""
    if step < steps.MOVE_MOVABLE_PAGE:
        return isolate_movable_page(mem_map, node, cc, step)
    if step < steps.LOCK_TARGET:
        return begin_move(mem_map, zone, pageblock, node, cc, trace, step)
    if step < steps.UNLOCK_TARGET:
        return move_to_new_page(mem_map, node, cc, step)
    if step < steps.PUTBACK_MOVABLE_PAGE:
        return end_move(mem_map, zone, pageblock, node, cc, step)
    if step < steps.FREE_PAGE:
        return putback_movable_page(mem_map, node, cc, step)
    release_page(mem_map, zone, pageblock, node, cc[0]["freeing"])
    return int(cc[0]["after_free"])
