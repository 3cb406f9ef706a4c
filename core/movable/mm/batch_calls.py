"""A driver is asked about many pages at once (batches.py): what Python does for that.

As in driver_calls.py, whatever a driver raises or answers becomes what changes least. What it has
done to pages and targets is then read off these, so that each is where the VM thinks it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from movable import sched
from movable.errors import ContractViolation
from movable.hookspecs import BATCH_HOOKS, RAISING, MigrateResult, broken_batch
from movable.mm import mm_types as t
from movable.mm import steps
from movable.mm.batches import gather_to_isolate, gather_to_migrate, gather_to_put_back
from movable.mm.blame import blame, off_lists, raised
from movable.page_flags import PAGE_MAPPING_MOVABLE, PG_locked
from movable.pagevec import Pagevec

if TYPE_CHECKING:
    from movable.mapping import AddressSpace
    from movable.mm.compact_control import CompactControl
    from movable.page import Page

RC, THEN, PAGES, ANSWERS, NEXT, TARGETS, NEEDED, DECLINED, ANSWER = (
    t.word_index(t.COMPACT_CONTROL, name)
    for name in (
        *("rc", "then", "batch_pages", "batch_answers", "batch_next", "batch_targets"),
        *("batch_needed", "batch_declined", "batch_rc"),
    )
)
ANSWER_TYPES = frozenset({int, MigrateResult})
BOOL = {bool}
YES, NO = (t.words(np.full(t.COMPACT_CLUSTER_MAX, answer)) for answer in (1, 0))


def _gathered(cc: CompactControl, gather: Callable[..., Any], *labels: str) -> int:
    """How many pages may be asked about at once; the VM has passed the points of all of them."""
    memory = cc.memory
    if not memory.asks_in_batches or (sched.active and sched.current() is not None):
        return 1
    pages: int = memory.engine.compact(gather, cc.record)
    if sched.active:
        for number in range(1, pages):
            for label in labels:
                of_target = label.startswith("target")
                pfns = cc.batch_target if of_target else cc.batch_page
                _reach(cc, label, int(pfns[number]))
    return pages


def _reach(cc: CompactControl, label: str, pfn: int) -> None:
    try:
        sched.point(label, cc.memory.pages[pfn])
    except ContractViolation as broken:
        cc.memory.keep_fault(broken)


def isolate_pages(cc: CompactControl, mapping: AddressSpace, page: Page) -> bool:
    """Ask about *page* and those that the scan will ask about next; `False` if it must be asked
    about by itself."""
    looks = ("reference taken", "movable tested", "page locked")
    count = _gathered(cc, gather_to_isolate, *looks)
    if count == 1:
        return False
    memory, words, stats = cc.memory, cc.words, mapping.stats
    pages = Pagevec(memory, cc.batch_page[:count])
    answers: Any = (False,) * count
    assert mapping.batch_ops.isolate_pages
    try:
        answers = mapping.batch_ops.isolate_pages(pages, cc.isolate_mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D06", mapping, "isolate_pages", page, error)
    if answers is None:
        _let_go(cc, list(pages)[1:])
        return False
    if (
        not isinstance(answers, (list, tuple))
        or {*map(type, answers)} != BOOL
        or len(answers) != count
    ):
        answers = _judged(cc, mapping, "isolate_page", pages, answers, (False,) * count)
    taken = answers.count(True)
    words[ANSWER : ANSWER + count] = YES[:count]
    if taken < count:
        for number, answer in enumerate(answers, ANSWER):
            words[number] = answer
        words[RC] = answers[0]
    stats.isolated += taken
    stats.refused += count - taken
    return True


def _let_go(cc: CompactControl, pages: Iterable[Page]) -> None:
    """The driver wants to be asked about each of *pages* by itself, as if they were not locked."""
    words = cc.words
    words[DECLINED] = words[PAGES] - 1
    words[NEXT] = words[PAGES]
    for page in pages:
        page.unlock()
        page.put()
        if sched.active:
            _reach(cc, "isolate gave up", page.pfn)


def migratepages(cc: CompactControl, mapping: AddressSpace, page: Page) -> bool:
    """Ask to move *page* and those that will be tried next; `False` if it must be tried by
    itself."""
    count = _gathered(cc, gather_to_migrate, "target allocated", "source locked", "target locked")
    if count == 1:
        return False
    memory, words = cc.memory, cc.words
    pages, newpages = (
        Pagevec(memory, cc.batch_page[:count]),
        Pagevec(memory, cc.batch_target[:count]),
    )
    assert mapping.batch_ops.migratepages
    words[THEN] = steps.BATCH_ANSWERED
    try:
        answers: Any = mapping.batch_ops.migratepages(mapping, newpages, pages, cc.mode)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(memory, "D16", mapping, "migratepages", page, error)
        answers = _seen(pages)
    if answers is None:
        words[DECLINED] = count
        words[ANSWERS] = words[NEEDED] = 1
        words[THEN] = steps.RETURN_SPARE_TARGETS
        return True
    words[ANSWER : ANSWER + count] = NO[:count]
    words[ANSWERS] = count
    if _all_moved(answers, count):
        mapping.stats.migrated += count
    else:
        answers = _judged(cc, mapping, "migratepage", pages, answers, None)
        _count(mapping, answers)
        for number, answer in enumerate(answers, ANSWER):
            words[number] = answer
        words[ANSWERS] = len(answers)
    if memory.lists and not memory.lists.keys().isdisjoint(pages.pfns.tolist()):
        for old, answer in zip(pages.pfns.tolist(), answers, strict=False):
            if not answer:
                off_lists(memory, old)
    return True


def _all_moved(answers: Any, count: int) -> bool:
    """The answers that nobody need look at twice."""
    if not isinstance(answers, (list, tuple)) or len(answers) != count:
        return False
    return not any(answers) and ANSWER_TYPES.issuperset(map(type, answers))


def _count(mapping: AddressSpace, answers: Iterable[int]) -> None:
    stats = mapping.stats
    for answer in answers:
        stats.migrated += not answer
        stats.again += answer == t.EAGAIN
        stats.failed += answer not in (0, t.EAGAIN)


def putback_pages(cc: CompactControl, mapping: AddressSpace, page: Page) -> bool:
    """Give *page* back, and those that are to be put back next; `False` if it must be by itself."""
    count = _gathered(cc, gather_to_put_back, "off the migrate list", "putback locked")
    if count == 1:
        return False
    pages = Pagevec(cc.memory, cc.batch_page[:count])
    assert mapping.batch_ops.putback_pages
    try:
        answer: Any = mapping.batch_ops.putback_pages(pages)
    except Exception as error:  # noqa: BLE001  whatever a driver raises is its own fault
        raised(cc.memory, "D20", mapping, "putback_pages", page, error)
    else:
        if answer is not None:
            _judged(cc, mapping, "putback_page", pages, answer, ())
    mapping.stats.putback += count
    return True


def _judged(
    cc: CompactControl, mapping: AddressSpace, hook: str, pages: Pagevec, answers: Any, instead: Any
) -> Any:
    """*answers* as they may be; else who gave them is to blame, and it is *instead*, or what the
    pages look like."""
    try:
        broken = broken_batch(hook, answers, len(pages))
    except Exception as error:  # noqa: BLE001  an answer may be anything
        broken = 0, RAISING[hook], f"gave answers that raise {error!r}"
    if broken is None:
        return [int(answer) for answer in answers] if hook == "migratepage" else answers
    number, rule, detail = broken
    blame(cc.memory, rule, mapping, BATCH_HOOKS[hook], pages[number], detail)
    return _seen(pages) if instead is None else instead


def _seen(pages: Pagevec) -> list[int]:
    """What a driver should have answered: 0 for the pages that it has given up."""
    return [
        t.EBUSY if page._frames.mapping[page.pfn] != PAGE_MAPPING_MOVABLE else 0 for page in pages
    ]


def judge(cc: CompactControl, pfn: int) -> None:
    """Pages or targets are not as the answers say: who is to blame, and what is there instead."""
    memory, words = cc.memory, cc.words
    mapping = memory.drivers[cc["batch_word"]]
    for number in range(words[PAGES]):
        _judge_page(cc, mapping, number)
    moved = [number for number in range(words[ANSWERS]) if not words[ANSWER + number]]
    targets = [int(target) for target in cc.batch_target[: words[TARGETS]]]
    used = [target for target in targets if memory.mapping[target] or memory.refcount[target] != 1]
    if set(used) - set(targets[: len(moved)]):
        page = memory.page(next(target for target in used if target not in targets[: len(moved)]))
        detail = f"{len(moved)} pages moved, and new page {targets.index(page.pfn) + 1} is taken"
        blame(memory, "D26", mapping, "migratepages", page, detail)
    unused = [target for target in targets if target not in used]
    lost = used[len(moved) :]
    order = [*used[: len(moved)], *unused]
    for number, target in enumerate(order):
        cc.record["batch_target"][0][number] = target
    for target in [*targets, *map(int, cc.batch_page[: words[PAGES]])]:
        if not memory.flags[target] & PG_locked:
            page = memory.page(target)
            blame(memory, "I04", mapping, "migratepages", page, f"returned with {page!r} unlocked")
            page.lock()
    for target in lost:  # the driver's now, though nothing has moved there
        memory.page(target).unlock()
        memory.page(target).put()
    words[TARGETS], words[NEEDED] = len(order), len(moved)


def _judge_page(cc: CompactControl, mapping: AddressSpace, number: int) -> None:
    memory, words = cc.memory, cc.words
    page = memory.page(int(cc.batch_page[number]))
    given_up = memory.mapping[page.pfn] == PAGE_MAPPING_MOVABLE
    asked = number < words[ANSWERS]
    if asked and not words[ANSWER + number]:
        if not given_up:
            detail = "it answered 0 without clear_movable() on the old page"
            blame(memory, "I15", mapping, "migratepages", page, detail)
    elif given_up:
        said = f"it answered {words[ANSWER + number]}" if asked else "it gave no answer"
        detail = f"{said}, and has given the page up"
        blame(memory, "I16", mapping, "migratepages", page, detail)
        if asked:
            words[ANSWER + number] = 0
