"""Migration: the conversation between the VM and the drivers (mm/migrate.c, v6.1).

Read `isolate_movable_page` first, then `migrate_pages`, then `putback_movable_pages`. A driver's
page goes its whole way here, in Python, with a `point` wherever another CPU may come between; the
labels are the events of the page's life cycle. Ordinary pages take the compiled branch
(migrate_lru.py), except where their mapping brings a migratepage of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable import sched
from movable.errors import BadInput
from movable.hookspecs import IsolateMode, MigrateMode
from movable.mm import driver_calls, migrate_lru, tracepoints
from movable.mm import mm_types as t
from movable.mm.driver_calls import reach
from movable.mm.migrate_ordinary import ordinary_page
from movable.page import Page
from movable.page_flags import (
    ALL_FLAGS,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_isolated,
)

if TYPE_CHECKING:
    from movable.mm.compact_control import CompactControl
    from movable.mm.memory import Memory

NR_MAX_MIGRATE_PAGES_RETRY = 10
FORCE_AFTER = 2
"""From the pass after this one on, the VM waits for locks and writeback (P01)."""
NOT_ISOLATED = ALL_FLAGS ^ PG_isolated


# Isolation.


def isolate_movable_page(memory: Memory, pfn: int, mode: IsolateMode) -> bool:
    """Ask a page's driver to let go of it; True if the VM now holds it (isolate_movable_page()).

    The order of the tests is the contract's (V01 to V06): a reference that fails on a free page,
    the tag, and only then the lock, because the owner of a page that is not movable yet may be
    using its lock bit as it likes.
    """
    if memory.refcount[pfn] <= 0:
        return False
    memory.refcount[pfn] += 1
    page = Page(memory, pfn)
    if sched.active:
        reach(memory, "reference taken", page)
    if memory.mapping[pfn] & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE:
        if sched.active:
            reach(memory, "movable tested", page)
        if page.trylock():
            if sched.active:
                reach(memory, "page locked", page)
            isolated = _isolate_locked(memory, page, mode)
            page.unlock()
            if isolated:
                if sched.active:
                    reach(memory, "isolate unlocked", page)
                return True
        elif sched.active:
            reach(memory, "page lock busy", page)
    page.put()
    if sched.active:
        reach(memory, "isolate gave up", page)
    return False


def _isolate_locked(memory: Memory, page: Page, mode: IsolateMode) -> bool:
    pfn = page.pfn
    mapping = memory.movable_mapping(pfn)
    if mapping is None or memory.flags[pfn] & PG_isolated:
        return False
    if not driver_calls.isolate_page(memory, mapping, page, mode):
        mapping.stats.refused += 1
        if sched.active:
            reach(memory, "isolate refused", page)
        return False
    memory.flags[pfn] |= PG_isolated
    memory.isolated_from[pfn] = mapping
    mapping.stats.isolated += 1
    if memory.profile.counts_isolated_driver_pages:
        memory.node["nr_isolated"][0, t.FILE] += 1
    if sched.active:
        reach(memory, "isolated", page)
    return True


def putback_movable_pages(memory: Memory, head: int) -> None:
    """Give every isolated page on a list back to its owner (putback_movable_pages())."""
    while True:
        pfn = memory.engine.call(migrate_lru.putback_lru_pages, head)
        if pfn == head:
            return
        putback_movable_page(memory, pfn)


def putback_movable_page(memory: Memory, pfn: int) -> None:
    """Give one isolated page back to its driver; none is called if it released the page (V24)."""
    page = Page(memory, pfn)
    memory.list_del(pfn)
    if sched.active:
        reach(memory, "off the migrate list", page)
    if page.locked and sched.current() is None:
        owner = memory.isolated_from[pfn]
        detail = "the page is locked by somebody who is not at work, so it cannot be put back"
        driver_calls.blame(memory, "L07", owner, "putback_page", page, detail)
    else:
        page.lock()
    if sched.active:
        reach(memory, "putback locked", page)
    mapping = memory.movable_mapping(pfn)
    if mapping is not None:
        driver_calls.putback_page(memory, mapping, page)
        mapping.stats.putback += 1
    elif sched.active:
        reach(memory, "putback skipped", page)
    _clear_isolated(memory, page)
    page.unlock()
    if sched.active:
        reach(memory, "unlocked", page)
    page.put()
    if sched.active:
        reach(memory, "source put", page)


def _clear_isolated(memory: Memory, page: Page, *, released: bool = False) -> None:
    memory.flags[page.pfn] &= NOT_ISOLATED
    mapping = memory.isolated_from.pop(page.pfn)
    if released:
        mapping.stats.released += 1
    if memory.profile.counts_isolated_driver_pages:
        memory.node["nr_isolated"][0, t.FILE] -= 1
    if sched.active:
        reach(memory, "isolated cleared", page)


# Migration.


class Migration:
    """One call of migrate_pages(): the pages on `cc.migratepages`, in up to ten passes."""

    def __init__(self, cc: CompactControl, mode: MigrateMode) -> None:
        self.cc, self.memory, self.mode = cc, cc.memory, mode
        self.stopped = False
        """No target is left, or a driver says so: nothing more is tried."""
        self.profile = cc.memory.profile
        if mode is MigrateMode.SYNC_NO_COPY and not self.profile.sync_no_copy:
            raise BadInput("migrate_pages", f"kernel {self.profile.name} has no mode SYNC_NO_COPY")

    def run(self) -> int:
        """Migrate what can be; how many pages stay behind on `cc.migratepages`, or -ENOMEM."""
        memory, cc = self.memory, self.cc
        memory.event(tracepoints.MIGRATE_PAGES_START, self.mode)
        cc.mode, cc.putback_at_once = self.mode, self.profile.putback_at_once
        cc.nr_succeeded = self.failed_pages = 0
        result = 0
        while memory.next[cc.migratepages] != cc.migratepages and result >= 0:
            self._cut_batch()
            failed = self._batch()
            memory.list_splice_tail(cc.folios, cc.ret_folios)
            result = failed if failed < 0 else result + failed
        memory.list_splice(cc.ret_folios, cc.migratepages)
        if memory.next[cc.migratepages] == cc.migratepages and not self.profile.putback_at_once:
            result = 0
        memory.count(t.PGMIGRATE_SUCCESS, cc.nr_succeeded)
        memory.count(t.PGMIGRATE_FAIL, self.failed_pages)
        memory.event(tracepoints.MIGRATE_PAGES, cc.nr_succeeded, self.failed_pages, self.mode)
        return result

    def _cut_batch(self) -> None:
        """Move at most a batch of pages from `migratepages` to `folios` (P03)."""
        memory, cc, left = self.memory, self.cc, self.profile.batch
        if left is None or cc.nr_migratepages <= left:
            memory.list_splice(cc.migratepages, cc.folios)
            return
        while left and (pfn := memory.next[cc.migratepages]) != cc.migratepages:
            memory.list_del(pfn)
            memory.list_add_tail(pfn, cc.folios)
            left -= 1

    def _batch(self) -> int:
        """All passes over `folios`: how many pages failed, or -ENOMEM (migrate_pages_batch())."""
        cc = self.cc
        cc.nr_failed, cc.out_of_targets, cc.retry, self.stopped = 0, False, 1, False
        for attempt in range(NR_MAX_MIGRATE_PAGES_RETRY):
            if not cc.retry:
                break
            cc.retry, cc.force = 0, attempt > FORCE_AFTER
            self._one_pass()
            if self.stopped:
                retried = cc.retry if self.profile.retries_fail_with_enomem else 0
                self.failed_pages += cc.nr_failed + 1 + retried
                return t.ENOMEM
        self.failed_pages += cc.nr_failed + cc.retry
        return cc.nr_failed + cc.retry

    def _one_pass(self) -> None:
        memory, cc, head = self.memory, self.cc, self.cc.folios
        pfn, migrated = memory.next[head], 0
        while pfn != head and not self.stopped:
            following = memory.next[pfn]
            if memory.mapping[pfn] & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE:
                rc = self._unmap_and_move(pfn)
                if rc == 0:
                    migrated += 1
                else:
                    self._settle(pfn, rc)
            else:
                following = self._ordinary_pages(pfn)
            pfn = following
        cc.nr_succeeded += migrated

    def _ordinary_pages(self, pfn: int) -> int:
        """Migrate LRU pages up to the next driver's page, which is returned, or the list's head."""
        memory, cc = self.memory, self.cc
        cc.reserve_trace()
        stopped = int(memory.engine.compact(migrate_lru.migrate_lru_pages, cc.record, pfn))
        if stopped != cc.folios and not memory.is_movable_tagged(stopped):
            pfn, stopped = stopped, memory.next[stopped]
            ordinary_page(cc, self.mode, pfn)
        if self.profile.putback_at_once:
            putback_movable_pages(memory, cc.ret_folios)
        self.stopped = bool(cc.out_of_targets)
        return stopped

    def _settle(self, pfn: int, rc: int) -> None:
        """Count one failed attempt, and put a page that failed for good where it belongs."""
        memory, cc = self.memory, self.cc
        if rc == t.EAGAIN:
            cc.retry += 1
        elif rc == t.ENOMEM:
            self.stopped = True
        else:
            cc.nr_failed += 1
            if self.profile.putback_at_once:
                putback_movable_page(memory, pfn)
            else:
                memory.list_del(pfn)
                memory.list_add_tail(pfn, cc.ret_folios)

    # One driver's page.

    def _unmap_and_move(self, pfn: int) -> int:
        """One attempt at a driver's page: 0 or an errno; the caller settles its place on a list."""
        memory = self.memory
        page = Page(memory, pfn)
        if memory.refcount[pfn] == 1 and not self.profile.target_before_freed_test:
            self._freed_meanwhile(page)
            return 0
        target = self.cc.take_target()
        if target < 0:
            return t.ENOMEM
        newpage = Page(memory, target)
        if sched.active:
            reach(memory, "target allocated", newpage)
        if memory.refcount[pfn] == 1 and self.profile.target_before_freed_test:
            self._return_target(newpage)
            self._freed_meanwhile(page)
            return 0
        rc = self._lock_and_move(newpage, page)
        if rc == 0:
            self._let_go(page)
        else:
            self._return_target(newpage)
        return rc

    def _lock_and_move(self, newpage: Page, page: Page) -> int:
        """Lock both pages, the source first, and ask the driver; both are unlocked again (V14)."""
        memory = self.memory
        if not page.trylock():
            waits = self.cc.force and self.mode is not MigrateMode.ASYNC
            if not waits or sched.current() is None:  # outside a race nobody would unlock it
                return t.EAGAIN
            page.lock()
        if sched.active:
            reach(memory, "source locked", page)
        rc = t.EAGAIN
        if newpage.trylock():
            if sched.active:
                reach(memory, "target locked", newpage)
            rc = self.move_to_new_page(newpage, page)
            newpage.unlock()
            if rc == 0:
                self._dispose_of_target(newpage)
        page.unlock()
        if sched.active:
            reach(memory, "unlocked", page)
        return rc

    def move_to_new_page(self, newpage: Page, page: Page) -> int:
        """The driver's half of move_to_new_page(): 0, or an errno and nothing has changed.

        A page that is tagged movable without a pointer was released by its driver after isolation:
        that is a success, and nobody is asked (S10, V16).
        """
        memory = self.memory
        mapping = memory.movable_mapping(page.pfn)
        if mapping is None:
            if sched.active:
                reach(memory, "released noticed", page)
            _clear_isolated(memory, page, released=True)
            return 0
        rc = driver_calls.migratepage(memory, mapping, newpage, page, self.mode)
        if sched.active:
            reach(memory, "migrate returned", page)
        stats = mapping.stats
        if rc == 0:
            stats.migrated += 1
            _clear_isolated(memory, page)
            if not memory.mapping[page.pfn] & PAGE_MAPPING_FLAGS:
                memory.mapping[page.pfn] = 0
        elif rc == t.EAGAIN:
            stats.again += 1
        else:
            stats.failed += 1
        return rc

    def _dispose_of_target(self, newpage: Page) -> None:
        """Drop the VM's reference; the driver's own keeps the target alive (V18).

        In 4.8 the target's own tag, read after it was unlocked, decides whether it is an LRU page.
        """
        memory = self.memory
        if self.profile.target_disposed_by_own_tag and not newpage.movable_tag:
            memory.folio_add_lru(newpage.pfn)
        newpage.put()

    def _let_go(self, page: Page) -> None:
        """After success: off the list; dropping the isolation's reference frees the page."""
        memory = self.memory
        memory.list_del(page.pfn)
        if sched.active:
            reach(memory, "off the migrate list", page)
        page.put()
        if sched.active:
            reach(memory, "source put", page)

    def _freed_meanwhile(self, page: Page) -> None:
        """The driver freed the page after isolation; the VM's reference is the last (V19)."""
        _clear_isolated(self.memory, page, released=True)
        self._let_go(page)

    def _return_target(self, newpage: Page) -> None:
        self.cc.return_target(newpage.pfn)
        if sched.active:
            reach(self.memory, "target returned", newpage)


def migrate_pages(cc: CompactControl, mode: MigrateMode) -> int:
    """Migrate the pages on `cc.migratepages` to targets from `cc` (migrate_pages()).

    :returns: 0 if none is left; else how many failed, or -ENOMEM if targets ran out. Then the
        caller puts back what is left on the list (V23).
    """
    return Migration(cc, mode).run()
