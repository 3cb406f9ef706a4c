"""The recordings' driver: it does what a script says, page by page.

A page may refuse isolation for ever, answer -EAGAIN a number of times and then move (the count
starts anew after a move, and survives a putback), or fail with -EBUSY for ever. Pages are told
apart by a number in `private` that goes along when they move. The kernel module that made the
recordings plays the same part; here it is a driver like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from movable import (
    AddressSpace,
    IsolateMode,
    Memory,
    MigrateMode,
    MigrateResult,
    Page,
    Pagevec,
    hookimpl,
)

ISOLATE, MIGRATE, PUTBACK = 1, 2, 3
"""`op` of a logged call."""
SUCCESS, AGAIN, BUSY = MigrateResult.SUCCESS, MigrateResult.AGAIN, MigrateResult.BUSY


@dataclass
class Script:
    """What each page does, by its number; a page without a row always moves at once."""

    refuse: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)


class Scripted:
    """Answers by script, and logs each call: op, number, pfn, new pfn, mode, answer, in a row."""

    def __init__(self, memory: Memory, config: Script | None = None) -> None:
        self.memory, self.script = memory, config or Script()
        self.tries = [0] * len(self.script.again)
        self.log: list[int] = []
        self.mapping = AddressSpace(self, memory)

    def __repr__(self) -> str:
        return f"<Scripted [{len(self.tries)} rows, {self.calls} calls]>"

    @property
    def calls(self) -> int:
        """How often the VM has asked."""
        return len(self.log) // 6

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        number = page.private
        refuse = self.script.refuse
        taken = not (number < len(refuse) and refuse[number])
        self.log += (ISOLATE, number, page.pfn, 0, mode, taken)
        return taken

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        number = page.private
        answer = self._answer(number) if number < len(self.tries) else SUCCESS
        if answer is SUCCESS:
            newpage.copy_from(page)
            newpage.get()
            newpage.private = number
            newpage.set_movable(mapping)
            page.private = 0
            page.clear_movable()
            page.put()
        self.log += (MIGRATE, number, page.pfn, newpage.pfn, mode, answer)
        return answer

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.log += (PUTBACK, page.private, page.pfn, 0, 0, 0)

    # The same for many pages at once, with nothing else in the log.

    @hookimpl
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Sequence[bool]:
        refuse, answers = self.script.refuse, []
        for page in pages:
            number = page.private
            taken = not (number < len(refuse) and refuse[number])
            self.log += (ISOLATE, number, page.pfn, 0, mode, taken)
            answers.append(taken)
        return answers

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int]:
        answers: list[int] = []
        moving: list[int] = []
        targets: list[int] = newpages.pfns.tolist()
        for page in pages:
            number = page.private
            answer = self._answer(number) if number < len(self.tries) else SUCCESS
            self.log += (MIGRATE, number, page.pfn, targets[len(moving)], mode, answer)
            if answer is SUCCESS:
                moving.append(len(answers))
            answers.append(answer)
        if len(moving) < len(answers):
            pages = pages.chosen(moving)
        pages.move_to(newpages[: len(moving)], mapping)
        return answers

    @hookimpl
    def putback_pages(self, pages: Pagevec) -> None:
        for page in pages:
            self.log += (PUTBACK, page.private, page.pfn, 0, 0, 0)

    def _answer(self, number: int) -> int:
        if self.script.fail[number]:
            return BUSY
        if self.tries[number] < self.script.again[number]:
            self.tries[number] += 1
            return AGAIN
        self.tries[number] = 0
        return SUCCESS


class Unscripted(Scripted):
    """Answers for recorded pages of real drivers, which keep a page type in `mapcount`."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        newpage.mapcount, page.mapcount = page.mapcount, 0
        return super().migratepage(mapping, newpage, page, mode)
