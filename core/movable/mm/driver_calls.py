"""What Python does for compiled code that migrates: calls into drivers, points, waits for locks.

A driver may raise, answer nonsense, wait for ever, or unlock what it must not. Each is turned into
the answer that changes least (False, -EBUSY), the page's lock is put right, and the broken promise
is kept as the memory's fault: the run cleans up, and then raises it. The same goes for what an
observer finds wrong at one of the VM's own points, and for what the VM itself asks of whom it must
not, or waits for when it must not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from movable import sched
from movable.errors import ContractViolation
from movable.hookspecs import MigrateMode, MigrateResult
from movable.mm import batch_calls, steps
from movable.mm import mm_types as t
from movable.mm.blame import blame, nonsense, off_lists, raised
from movable.mm.migration_target import alloc_target
from movable.page_flags import PAGE_MAPPING_MOVABLE
from movable.sched import lock_watch
from movable.sched.lock_watch import watchers
from movable.sched.page_lock import PageLock

if TYPE_CHECKING:
    from movable.mm.compact_control import CompactControl
    from movable.mm.memory import Memory
    from movable.page import Page

TARGET = t.word_index(t.COMPACT_CONTROL, "target")
RC = t.word_index(t.COMPACT_CONTROL, "rc")
RELEASED = {"isolate_page": "V04", "migratepage": "V16", "putback_page": "V24"}
"""By hook: the rule that it is not called for a page that its driver has given up."""
SUCCESS = MigrateResult.SUCCESS


def _nobody(memory: Memory, call: str, pfn: int) -> None:
    """The VM is about to call *call*, and the page's mapping word leads to no driver."""
    word = memory.mapping[pfn]
    if word == PAGE_MAPPING_MOVABLE:
        rule, detail = RELEASED[call], "called, though the driver has given the page up"
    else:
        detail = f"called, though the mapping word {word:#x} leads to no driver of movable pages"
        rule = "I02"
    blame(memory, rule, None, call, memory.page(pfn), detail)


# The hooks. What these do is done for each page, so they are written for speed.


def isolate_page(cc: CompactControl, pfn: int) -> None:
    """Ask the driver for the page: exactly True means that it let go; `rc` is 1 already."""
    memory = cc.memory
    page = memory.pages[pfn]
    mapping = memory.drivers.get(memory.mapping[pfn])
    if mapping is None:
        _nobody(memory, "isolate_page", pfn)
        cc.words[RC] = 0
        return
    if mapping.batch_ops.isolate_pages and batch_calls.isolate_pages(cc, mapping, page):
        return
    answer: object = False
    try:
        answer = mapping.a_ops.isolate_page(page, cc.isolate_mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D06", mapping, "isolate_page", page, error)
    if answer is True:
        mapping.stats.isolated += 1
        return
    if answer is not False:
        nonsense(memory, mapping, "isolate_page", page, answer)
    mapping.stats.refused += 1
    cc.words[RC] = 0


def migratepage(cc: CompactControl, pfn: int) -> None:
    """Ask the driver to move the page to the target: 0, as `rc` is already, or a negative errno."""
    memory = cc.memory
    page, newpage = memory.pages[pfn], memory.pages[cc.words[TARGET]]
    mapping = memory.drivers.get(memory.mapping[pfn])
    if mapping is None:
        _nobody(memory, "migratepage", pfn)
        cc.words[RC] = t.EBUSY
        return
    if mapping.batch_ops.migratepages and batch_calls.migratepages(cc, mapping, page):
        return
    answer: Any = t.EBUSY
    try:
        answer = mapping.a_ops.migratepage(mapping, newpage, page, cc.mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D16", mapping, "migratepage", page, error)
    if answer is not SUCCESS and (answer != 0 or answer is False):
        cc.words[RC] = answer = _errno(memory, mapping, page, answer)
        if answer == t.EAGAIN:
            mapping.stats.again += 1
            return
        if answer:
            mapping.stats.failed += 1
            return
    mapping.stats.migrated += 1
    if memory.lists:
        off_lists(memory, pfn)
        if newpage.refcount == 1:
            off_lists(memory, newpage.pfn)


def _errno(memory: Memory, mapping: Any, page: Page, answer: Any) -> int:
    """The errno in a driver's answer; -EBUSY if there is none."""
    return t.EBUSY if nonsense(memory, mapping, "migratepage", page, answer) else int(answer)


def own_migratepage(cc: CompactControl, pfn: int) -> None:
    """Ask an LRU page's address space, which has a migratepage of its own."""
    memory, page = cc.memory, cc.memory.page(pfn)
    newpage = memory.page(cc["target"])
    mapping = memory.mapping_of(memory.mapping[pfn])
    answer: Any = t.EBUSY
    try:
        answer = mapping.a_ops.migratepage(mapping, newpage, page, cc.mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D16", mapping, "migratepage", page, error)
    cc.words[RC] = _errno(memory, mapping, page, answer)


def putback_page(cc: CompactControl, pfn: int) -> None:
    """Give the page back to the driver, which must not fail."""
    memory, page = cc.memory, cc.memory.page(pfn)
    mapping = memory.drivers.get(memory.mapping[pfn])
    if mapping is None:
        _nobody(memory, "putback_page", pfn)
        return
    if mapping.batch_ops.putback_pages and batch_calls.putback_pages(cc, mapping, page):
        return
    try:
        answer = mapping.a_ops.putback_page(page)
        nonsense(memory, mapping, "putback_page", page, answer)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D20", mapping, "putback_page", page, error)
    mapping.stats.putback += 1


def released(cc: CompactControl, pfn: int) -> None:
    """The VM found that the driver gave the page up while it was isolated, and will free it."""
    off_lists(cc.memory, pfn)


# Locks, points, and the trace.


def lock_page(cc: CompactControl, pfn: int) -> None:
    """Wait for a page's lock, and take it; outside a race nobody would ever let go of it."""
    page = cc.memory.page(pfn)
    if cc.mode is MigrateMode.ASYNC or cc["direct_compaction"]:
        who = "mode ASYNC" if cc.mode is MigrateMode.ASYNC else "direct compaction"
        detail = f"would wait for the page lock, and {who} must not"
        cc.memory.keep_fault(ContractViolation("I18", repr(page), "migrate_pages", detail))
    elif sched.current() is not None:
        _lock(page)
        cc.words[RC] = 1


def _lock(page: Page) -> None:
    """Wait for a page's lock; those who watch locks do not hear when compiled code unlocks it."""
    page.lock()
    if watchers:
        lock_watch.let_go(PageLock(page))


CALLS = {
    steps.ISOLATE_ANSWERED: "isolate_page",
    steps.MIGRATE_ANSWERED: "migratepage",
    steps.OWN_MIGRATE_ANSWERED: "migratepage",
    steps.CLEAR_PUT_BACK: "putback_page",
}
"""By what comes next: which hook was asked last."""


def lock_again(cc: CompactControl, pfn: int) -> None:
    """A driver let go of a page lock that it had to keep (I04): take it again."""
    memory, call = cc.memory, CALLS[cc["then"]]
    target = cc["target"]
    mapping = memory.mapping_of(memory.mapping[pfn]) or memory.mapping_of(memory.mapping[target])
    pages = [pfn, target] if call == "migratepage" else [pfn]
    for page in map(memory.page, pages):
        if not page.locked:
            blame(memory, "I04", mapping, call, page, f"returned with {page!r} unlocked")
            _lock(page)


def lock_to_put_back(cc: CompactControl, pfn: int) -> None:
    """Putback cannot fail, so it takes over a lock that nobody at work holds."""
    memory, page = cc.memory, cc.memory.page(pfn)
    if sched.current() is not None:
        _lock(page)
        return
    owner = memory.mapping_of(memory.mapping[pfn])
    detail = "the page is locked by somebody who is not at work, so it cannot be put back"
    blame(memory, "L07", owner, "putback_page", page, detail)


def flush_trace(cc: CompactControl, pfn: int) -> None:
    """Make room for further events."""
    cc.memory.event_buffer.flush()


def _point(label: str) -> Callable[[CompactControl, int], None]:
    # These come by the thousand in each second of a search, so what is the same for a label is not
    # asked at each of its points.
    def reach(cc: CompactControl, pfn: int) -> None:
        memory = cc.memory
        try:
            sched.point(label, memory.pages[pfn])
        except ContractViolation as broken:
            memory.keep_fault(broken)

    def reach_locked(cc: CompactControl, pfn: int) -> None:
        cc.memory.lock_owner[pfn] = sched.current()
        reach(cc, pfn)

    def reach_freed(cc: CompactControl, pfn: int) -> None:
        off_lists(cc.memory, pfn)
        reach(cc, pfn)

    if label == "freed":
        return reach_freed
    return reach_locked if label.endswith(" locked") else reach


_ANSWERS = {
    steps.ISOLATE_PAGE: isolate_page,
    steps.MIGRATEPAGE: migratepage,
    steps.PUTBACK_PAGE: putback_page,
    steps.RELEASED: released,
    steps.LOCK_PAGE: lock_page,
    steps.LOCK_TO_PUT_BACK: lock_to_put_back,
    steps.LOCK_AGAIN: lock_again,
    steps.OWN_MIGRATEPAGE: own_migratepage,
    steps.FLUSH_TRACE: flush_trace,
    steps.ALLOC_TARGET: alloc_target,
    steps.JUDGE_BATCH: batch_calls.judge,
}
HANDLERS = [*map(_point, steps.POINTS), *(_ANSWERS[n] for n in sorted(_ANSWERS))]
"""By number of the request (steps.py): who answers it, given the compactor and the page."""
