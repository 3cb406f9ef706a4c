"""`Contract`: holds a driver to the D rules and the VM to the V rules, call by call.

It wraps the hooks, those for a batch too (batches.py), and listens to the VM's points. Each page of
the address spaces it is attached to walks through the table of `lifecycle.py` (walk.py); each call
is judged by a glance at its pages' numbers (glance.py), and where that leaves doubt by
`promises.py`. Whatever does not fit is raised at once, where it happened, as a `ContractViolation`
that names rule, page and call.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from movable import sched
from movable.errors import ContractViolation, Deadlock
from movable.hookspecs import (
    HOOKS,
    RAISING,
    SINGLE,
    IsolateMode,
    MigrateMode,
    MigrateResult,
    broken_batch,
    broken_promise,
    hookimpl,
)
from movable.lifecycle import State
from movable.mapping import AddressSpace
from movable.observers import automaton as a
from movable.observers import batches, glance, promises
from movable.observers.glance import Raw
from movable.observers.promises import Call, Facts, Problem
from movable.observers.walk import Walk, counted
from movable.operation import reader
from movable.page import Page
from movable.pagevec import Pagevec
from movable.sched import tasks
from movable.sched.tasks import MAIN, Context

USUAL = dict(zip(HOOKS, (True, MigrateResult.SUCCESS, None), strict=True))
"""By hook: the answer that nobody need look at twice."""

Inside = tuple[Context, str, Page, int]
"""A call under way: who makes it, the hook, the page, and the mode."""
Judge = Callable[[str, AddressSpace, Page, Any], None]


class Contract(Walk):
    """Attach it to an address space, and every broken promise becomes an exception.

    With *reread*, everything the driver holds is read back before and after each call, which finds
    lost data at once and takes as long as reading it takes.
    """

    def __init__(self, reread: bool = False) -> None:
        super().__init__()
        self.reread = reread
        self.inside: list[Inside] = []
        """The calls under way, outermost first."""
        self.judges: list[Judge] = []
        """Who else is told each answer, by hook, address space, page and answer."""
        self._holds_data: dict[AddressSpace, bool] = {}

    def __repr__(self) -> str:
        return f"<Contract [{len(self._states)} pages under way]>"

    def attached(self, mapping: AddressSpace) -> None:
        """Begin to listen; :meth:`AddressSpace.attach` calls it."""
        if not self._mappings:
            sched.subscribe(self._watch)
        self._mappings.append(mapping)
        self._holds_data[mapping] = reader(mapping.driver) is not None
        self._begin(mapping)
        if self._frames:
            self._owners.clear()

    def detached(self, mapping: AddressSpace) -> None:
        """Listen no more; :meth:`AddressSpace.detach` calls it."""
        self._mappings.remove(mapping)
        if self._frames:
            self._owners.clear()
        if not self._mappings:
            sched.unsubscribe(self._watch)

    def reset(self) -> None:
        """Forget every page and call, as right after it was attached: memory and drivers begin
        anew."""
        super().reset()
        self.inside.clear()

    def check_at_rest(self) -> None:
        """Call it when no migration is under way: every isolation must have ended (I06), every
        refused target be returned (I11), and what drivers count must be 0 (I22)."""
        for pfn, state in self._states.items():
            rule = "I11" if state == a.TARGET else "I06"
            detail = f"left behind: {a.STATES[state].text}"
            self._violated(Problem(rule, detail), self._page(pfn), "at rest")
        for pfn in self._looks:
            self._violated(Problem("I06", "still being looked at"), self._page(pfn), "at rest")
        self.check_counts()

    def check_counts(self, call: str = "at rest") -> None:
        """Call it when nobody is inside a driver: what it counts as isolated is so (I22)."""
        for mapping in self._mappings:
            self._count(mapping, None, call)

    # The hooks.

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        before = self._look_at(page)
        mapping = self._owners[before[glance.WORD]]
        if not isinstance(mapping, AddressSpace) or not glance.may_isolate(before):
            self._hold(promises.before_isolate(page), page, "isolate_page")
        assert isinstance(mapping, AddressSpace)
        if self.inside:
            self._check_nesting(page)
        self._happens(a.ASK_ISOLATE, page, "isolate_page")
        steps = sched.steps()
        answer = yield from self._through("isolate_page", mapping, page, mode)
        after = self._glance.at(page.pfn)
        if not (glance.isolated(before, after) if answer else before == after):
            call = self._call(page, before, steps == sched.steps())
            self._hold(promises.after_isolate(call, answer), page, "isolate_page")
        self._happens(a.SAID_TRUE if answer else a.SAID_FALSE, page, "isolate_page")
        if answer:
            self._held[mapping].add(page.pfn)
        self._ends("isolate_page", mapping, page, answer)
        return answer

    @hookimpl(wrapper=True)
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        before = self._look_at(page)
        target = self._glance.at(newpage.pfn)
        self._happens(a.ASK_MIGRATE, page, "migratepage")
        owner = self._owners[before[glance.WORD]]
        if owner is not mapping or not glance.may_migrate(before, target):
            self._hold(promises.before_migrate(mapping, newpage, page), page, "migratepage")
        if newpage.pfn in self._states:
            self._happens(a.ASK_MIGRATE, newpage, "migratepage")
        steps = sched.steps()
        answer = yield from self._through("migratepage", mapping, page, mode)
        if not self._moved_well(mapping, newpage, page, before, target, mode, answer):
            call = self._call(page, before, steps == sched.steps())
            call.newpage, call.target = newpage, Facts.of(page._frames, target)
            call.mode, call.holds_data = int(mode), self._holds_data[mapping]
            self._hold(promises.after_migrate(call, mapping, answer), page, "migratepage")
        self._happens(a.SAID_ERRNO if answer else a.SAID_0, page, "migratepage")
        if answer:
            self._states[newpage.pfn] = a.TARGET
        else:
            self._held[mapping].discard(page.pfn)
        self._ends("migratepage", mapping, page, answer)
        return answer

    @hookimpl(wrapper=True)
    def putback_page(self, page: Page) -> Generator[None, Any, Any]:
        before = self._look_at(page)
        self._happens(a.ASK_PUTBACK, page, "putback_page")
        mapping = self._owners[before[glance.WORD]]
        if not isinstance(mapping, AddressSpace) or not glance.may_put_back(before):
            self._hold(promises.before_putback(page), page, "putback_page")
        assert isinstance(mapping, AddressSpace)
        steps = sched.steps()
        answer = yield from self._through("putback_page", mapping, page, 0)
        if not glance.put_back(before, self._glance.at(page.pfn)):
            call = self._call(page, before, steps == sched.steps())
            self._hold(promises.after_putback(call), page, "putback_page")
        self._happens(a.TOOK_BACK, page, "putback_page")
        self._held[mapping].discard(page.pfn)
        self._ends("putback_page", mapping, page, answer)
        return answer

    @hookimpl(wrapper=True)
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Generator[None, Any, Any]:
        return (yield from batches.isolate_pages(self, pages, mode))

    @hookimpl(wrapper=True)
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Generator[None, Any, Any]:
        return (yield from batches.migratepages(self, mapping, newpages, pages, mode))

    @hookimpl(wrapper=True)
    def putback_pages(self, pages: Pagevec) -> Generator[None, Any, Any]:
        return (yield from batches.putback_pages(self, pages))

    def _look_at(self, page: Page) -> Raw:
        """What is judged after the call."""
        if page._frames is not self._frames:
            self._meets(page)
        return self._glance.at(page.pfn)

    def _moved_well(  # noqa: PLR0913, PLR0917  # all that a migration is about
        self,
        mapping: AddressSpace,
        newpage: Page,
        page: Page,
        before: Raw,
        target: Raw,
        mode: MigrateMode,
        answer: int,
    ) -> bool:
        after, new = self._glance.at(page.pfn), self._glance.at(newpage.pfn)
        if answer:
            return before == after and target == new
        holds_data = self._holds_data[mapping]
        if holds_data and mode is MigrateMode.SYNC_NO_COPY:
            return False
        adopted = glance.adopted(new, target, before, holds_data)
        return adopted and glance.given_up(before, after, target)

    def _through(
        self, hook: str, mapping: AddressSpace, page: Page, mode: int, pages: int = 0
    ) -> Generator[None, Any, Any]:
        """Let the driver answer, and hold it to the kinds of answers there are.

        *page* is the first of *pages* if it is asked about a batch.
        """
        here = tasks.here
        held = here.spinning
        if held and here is not MAIN:  # main may stand for a CPU that is elsewhere
            detail = f"asked while {held[-1]!r} is held, under which nobody may sleep"
            self._violated(Problem("V07", detail), page, hook)
        reread, steps = self.reread, sched.steps() if self.reread else 0
        read = self._read_back(mapping) if reread else None
        self.inside.append(call := (here, SINGLE[hook], page, mode))
        try:
            answer = yield
        except (ContractViolation, Deadlock):
            self._spoilt.add(page.pfn)
            raise
        except Exception as error:  # noqa: BLE001  # a driver may raise anything
            detail = f"raised {type(error).__name__}: {error}"
            self._violated(Problem(RAISING[SINGLE[hook]], detail), page, hook, error)
        finally:
            if call in self.inside:  # unless it was given up, and forgotten by `reset`
                self.inside.remove(call)
        for lock in here.spinning:
            if lock not in held:
                self._violated(Problem("L11", f"returned, and keeps {lock!r}"), page, hook)
        if pages:
            self._check_answers(hook, page, pages, answer)
        elif answer is not USUAL[hook] and (broken := broken_promise(hook, answer)):
            self._violated(Problem(*broken), page, hook)
        if reread and steps == sched.steps() and read != self._read_back(mapping):
            self._violated(Problem("I12", "what the driver's users read changed"), page, hook)
        return answer

    def _check_answers(self, hook: str, page: Page, pages: int, answers: Any) -> None:
        """An answer for each page, or, where that is one, `None`."""
        one = SINGLE[hook]
        if answers is None and one != "putback_page":
            return
        if broken := broken_batch(one, answers, pages):
            self._violated(Problem(*broken[1:]), page, hook)

    def _ends(self, hook: str, mapping: AddressSpace, page: Page, answer: Any) -> None:
        self._check_count(mapping, page, hook)
        for judge in self.judges:
            judge(hook, mapping, page, answer)

    def _check_count(self, mapping: AddressSpace, page: Page, hook: str) -> None:
        count = counted(mapping)
        # To look at every page that is held takes long; where nothing differs, it was not released.
        if count != len(self._held[mapping]) + self._unseen[mapping] and sched.current() is None:
            self._count(mapping, page, hook)

    # What must not happen inside.

    def _check_nesting(self, page: Page) -> None:
        here = tasks.here
        if any(who is here and hook == "isolate_page" for who, hook, _, _ in self.inside):
            self._violated(Problem("D08", "asked from inside isolate_page"), page, "isolate_page")

    def _check_sleep(self) -> None:
        here = tasks.here
        for who, hook, page, mode in self.inside:
            asynchronous = hook == "migratepage" and mode == MigrateMode.ASYNC
            if who is here and (hook == "isolate_page" or asynchronous):
                self._violated(Problem("I18", "waits for a sleeping lock"), page, hook)

    # Both.

    def _page(self, pfn: int) -> Page:
        assert self._frames
        return Page(self._frames, pfn)

    def _call(self, page: Page, before: Raw, alone: bool) -> Call:
        return Call(page, Facts.of(page._frames, before), alone)

    def _read_back(self, mapping: AddressSpace) -> dict[Any, Any] | None:
        read = reader(mapping.driver)
        return dict(read()) if read else None

    def _count(self, mapping: AddressSpace, page: Page | None, call: str) -> None:
        """A driver that counts isolated pages (in `isolated_pages`, the kernel's name) is right.

        One that it has released meanwhile is the VM's alone, and no longer the driver's to count.
        """
        count = counted(mapping)
        if count is None:
            return
        ours = sum(self._page(pfn).mapping is mapping for pfn in self._held[mapping])
        held = ours + self._unseen[mapping]
        if count != held:
            detail = f"isolated_pages is {count}, and {held} pages are isolated"
            self._violated(Problem("I22", detail), page or mapping, call)

    def _hold(self, problems: Iterable[Problem], page: Page, call: str) -> None:
        for problem in problems:
            self._violated(problem, page, call)

    def state(self, page: Page) -> State:
        """Where *page* stands, looks at it aside."""
        return a.STATES[self._states.get(page.pfn, a.MOVABLE)]
