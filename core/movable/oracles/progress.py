"""`Progress`: every call into a driver leads somewhere, and some page moves in the end (I17)."""

from __future__ import annotations

from typing import Any

from movable.errors import ContractViolation
from movable.hookspecs import MigrateResult
from movable.mapping import AddressSpace
from movable.page import Page

PASSES = 10
"""How often migrate_pages() asks about one page (P01)."""
MOST_CALLS = 5 * PASSES
"""How often a page is asked about in one isolation: alloc_contig_range() calls migrate_pages() five
times."""


class Progress:
    """Counts what a driver is asked, over many schedules, and what became of it."""

    def __init__(self, mapping: AddressSpace) -> None:
        self.mapping = mapping
        self.asked = self.moved = 0
        """Questions with nobody else inside the driver, and successes; over all schedules."""
        self._tries: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Progress of {self.mapping.name} [{self.moved} of {self.asked} moved]>"

    def reset(self) -> None:
        """A schedule begins; the counts go on."""
        self._tries.clear()

    def judge(self, hook: str, page: Page, answer: Any, undisturbed: bool) -> None:
        """A hook has answered.

        :raises ContractViolation: the answer stops everybody, or the VM asks without end.
        """
        if hook != "migratepage" or not answer:
            self._tries.pop(page.pfn, None)
            self.moved += hook == "migratepage"
            self.asked += hook == "migratepage"
            return
        self.asked += undisturbed
        if answer == MigrateResult.NOMEM:
            detail = (
                "answered -ENOMEM, which ends the VM's whole call: a shortage of its own is -EBUSY"
            )
            raise ContractViolation("I17", repr(page), hook, detail)
        tries = self._tries[page.pfn] = self._tries.get(page.pfn, 0) + 1
        if tries > MOST_CALLS:
            detail = f"asked about {tries} times in one isolation, and the VM must end"
            raise ContractViolation("I17", repr(page), hook, detail)

    def verdict(self) -> None:
        """After all schedules: a driver that is asked with nobody inside it moves pages.

        :raises ContractViolation: it never did, so what its answers say of now is so for ever.
        """
        if self.asked >= PASSES and not self.moved:
            detail = (
                f"was asked {self.asked} times with nobody inside, and no page has ever moved:"
                " what will never be otherwise is -EBUSY, or isolate_page refuses"
            )
            raise ContractViolation("I17", repr(self.mapping), "migratepage", detail)
