"""What `Contract` asks of a batch: of each page what it asks of a single call, and rules D25, D26.

Each page walks through lifecycle.py by itself, as if it had been asked about alone; only that all
are asked before the first has answered. A page that does not move takes no new page, so each page
that does is judged together with the next new page that is left.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from movable import sched
from movable.hookspecs import IsolateMode, MigrateMode
from movable.mapping import AddressSpace
from movable.observers import automaton as a
from movable.observers import glance, promises
from movable.observers.glance import Raw
from movable.observers.promises import Facts, Problem
from movable.page import Page
from movable.pagevec import Pagevec
from movable.sched import tasks

if TYPE_CHECKING:
    from movable.observers.contract import Contract

CLUSTER = 32
"""COMPACT_CLUSTER_MAX."""
Answers = Generator[None, Any, Any]


def isolate_pages(contract: Contract, pages: Pagevec, mode: IsolateMode) -> Answers:
    """All of them locked, movable and not isolated; an answer for each, or None."""
    befores = [contract._look_at(page) for page in pages]
    mapping = _owner(contract, pages, befores, "isolate_pages")
    for page, before in zip(pages, befores, strict=True):
        if not glance.may_isolate(before):
            contract._hold(promises.before_isolate(page), page, "isolate_pages")
        if contract.inside:
            contract._check_nesting(page)
        contract._happens(a.ASK_ISOLATE, page, "isolate_pages")
    steps = sched.steps()
    answers = yield from contract._through("isolate_pages", mapping, pages[0], mode, len(pages))
    alone = steps == sched.steps()
    if answers is None:
        for page, before in zip(pages, befores, strict=True):
            call = contract._call(page, before, alone)
            contract._hold(promises.after_isolate(call, taken=False), page, "isolate_pages")
            contract._looks[page.pfn][tasks.here] = a.LOOK_LOCKED
        return None
    for page, before, answer in zip(pages, befores, answers, strict=True):
        after = contract._glance.at(page.pfn)
        if not (glance.isolated(before, after) if answer else before == after):
            call = contract._call(page, before, alone)
            contract._hold(promises.after_isolate(call, answer), page, "isolate_pages")
        contract._happens(a.SAID_TRUE if answer else a.SAID_FALSE, page, "isolate_pages")
        if answer:
            contract._held[mapping].add(page.pfn)
    _end(contract, "isolate_page", mapping, pages, answers)
    return answers


def migratepages(
    contract: Contract, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
) -> Answers:
    """All locked, old pages isolated, new ones fresh; an answer for each up to -ENOMEM, or None."""
    befores = [contract._look_at(page) for page in pages]
    _owner(contract, pages, befores, "migratepages")
    targets = [contract._glance.at(newpage.pfn) for newpage in newpages]
    for page, newpage, before, target in zip(pages, newpages, befores, targets, strict=True):
        owner = contract._owners[before[glance.WORD]]
        if owner is not mapping or not glance.may_migrate(before, target):
            contract._hold(promises.before_migrate(mapping, newpage, page), page, "migratepages")
        if newpage.pfn in contract._states:
            contract._happens(a.ASK_MIGRATE, newpage, "migratepages")
        contract._happens(a.ASK_MIGRATE, page, "migratepages")
    steps = sched.steps()
    answers = yield from contract._through("migratepages", mapping, pages[0], mode, len(pages))
    alone = steps == sched.steps()
    said = [-1] * len(pages) if answers is None else [*answers]
    said += [-1] * (len(pages) - len(said))  # not asked about, behind -ENOMEM
    moved = said.count(0)
    left = iter(zip(newpages, targets, strict=True))
    for number, (page, before, answer) in enumerate(zip(pages, befores, said, strict=True)):
        newpage, target = (newpages[-1], targets[-1]) if answer else next(left)
        if not contract._moved_well(mapping, newpage, page, before, target, mode, answer):
            call = contract._call(page, before, alone)
            call.newpage, call.target = newpage, Facts.of(page._frames, target)
            call.mode, call.holds_data = int(mode), contract._holds_data[mapping]
            contract._hold(promises.after_migrate(call, mapping, answer), page, "migratepages")
        if answers is None or number >= len(answers):
            contract._states[page.pfn] = a.SOURCE_LOCKED  # as if it had not been asked about
            continue
        contract._happens(a.SAID_ERRNO if answer else a.SAID_0, page, "migratepages")
        if not answer:
            contract._held[mapping].discard(page.pfn)
    _in_order(contract, newpages, targets, moved)
    # Who declines is asked about the first page by itself, which keeps its new page.
    for newpage in newpages[moved or int(answers is None) :]:
        contract._states[newpage.pfn] = a.TARGET
    if answers is not None:
        _end(contract, "migratepage", mapping, pages, answers)
    return answers


def putback_pages(contract: Contract, pages: Pagevec) -> Answers:
    """All of them locked, isolated, and off the VM's list."""
    befores = [contract._look_at(page) for page in pages]
    mapping = _owner(contract, pages, befores, "putback_pages")
    for page, before in zip(pages, befores, strict=True):
        contract._happens(a.ASK_PUTBACK, page, "putback_pages")
        if not glance.may_put_back(before):
            contract._hold(promises.before_putback(page), page, "putback_pages")
    steps = sched.steps()
    answer = yield from contract._through("putback_pages", mapping, pages[0], 0, len(pages))
    alone = steps == sched.steps()
    for page, before in zip(pages, befores, strict=True):
        if not glance.put_back(before, contract._glance.at(page.pfn)):
            call = contract._call(page, before, alone)
            contract._hold(promises.after_putback(call), page, "putback_pages")
        contract._happens(a.TOOK_BACK, page, "putback_pages")
        contract._held[mapping].discard(page.pfn)
    _end(contract, "putback_page", mapping, pages, [answer] * len(pages))
    return answer


def _owner(contract: Contract, pages: Pagevec, befores: list[Raw], call: str) -> AddressSpace:
    """Whose the pages are, all of them (V30)."""
    mapping = contract._owners[befores[0][glance.WORD]]
    assert isinstance(mapping, AddressSpace)
    if not 1 < len(pages) <= CLUSTER:
        detail = f"asked about {len(pages)} pages at once"
        contract._violated(Problem("V30", detail), pages[0], call)
    for page, before in zip(pages, befores, strict=True):
        if contract._owners[before[glance.WORD]] is not mapping:
            detail = f"is in a batch of {mapping.name}'s, and is not its page"
            contract._violated(Problem("V30", detail), page, call)
    return mapping


def _in_order(contract: Contract, newpages: Pagevec, targets: list[Raw], moved: int) -> None:
    """The new pages that are left over are as they were (D26)."""
    for number, (newpage, target) in enumerate(zip(newpages, targets, strict=True)):
        if number >= moved and contract._glance.at(newpage.pfn) != target:
            detail = f"{moved} pages moved, and new page {number + 1} is taken"
            contract._violated(Problem("D26", detail), newpage, "migratepages")


def _end(
    contract: Contract, hook: str, mapping: AddressSpace, pages: Pagevec, answers: Any
) -> None:
    """What the driver counts is looked at once; other judges are told page by page."""
    contract._check_count(mapping, pages[0], hook)
    page: Page
    for page, answer in zip(pages, answers, strict=False):
        for judge in contract.judges:
            judge(hook, mapping, page, answer)
