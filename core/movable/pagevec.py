"""`Pagevec`: the pages of one batch, in order (`struct pagevec`, include/linux/pagevec.h, v6.1).

Views cost most of a batch's time, so a driver that does its work on numbers takes `pfns` and makes
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, overload

from movable.errors import ContractViolation
from movable.page import Page

if TYPE_CHECKING:
    from movable.mapping import AddressSpace

LOCK, TAG = 1, 2
"""What may be wrong with a page that is to be moved."""


class Memory(Protocol):
    """What pages of a batch need of the memory they are in."""

    def page(self, pfn: int) -> Page: ...
    def move_pages(
        self, pfns: Any, targets: Any, mapping: AddressSpace
    ) -> tuple[int, int] | None: ...


class Pagevec(Sequence[Page]):
    """Pages of one memory, at most COMPACT_CLUSTER_MAX; it is the driver's until the hook returns.

    :param pfns: their frame numbers, an array of 64-bit integers that nobody may write to.
    """

    __slots__ = ("memory", "pfns")

    def __init__(self, memory: Memory, pfns: Any) -> None:
        self.memory, self.pfns = memory, pfns

    def __len__(self) -> int:
        return len(self.pfns)

    def __iter__(self) -> Iterator[Page]:
        return map(self.memory.page, self.pfns.tolist())

    @overload
    def __getitem__(self, number: int) -> Page: ...
    @overload
    def __getitem__(self, number: slice) -> Pagevec: ...
    def __getitem__(self, number: int | slice) -> Page | Pagevec:
        pfns = self.pfns[number]
        return Pagevec(self.memory, pfns) if isinstance(number, slice) else self._page(int(pfns))

    def _page(self, pfn: int) -> Page:
        return self.memory.page(pfn)

    def chosen(self, numbers: Sequence[int]) -> Pagevec:
        """Those at *numbers*, in that order."""
        return Pagevec(self.memory, self.pfns[list(numbers)])

    def __repr__(self) -> str:
        return f"<Pagevec [{', '.join(map(str, self.pfns.tolist()))}]>"

    def move_to(self, newpages: Pagevec, mapping: AddressSpace) -> None:
        """What every success of `migratepage` does to the two pages, for all of these at once.

        The contents and private go to *newpages*, each of which gets a reference and is published
        for *mapping*; these pages are given up, with private 0, and lose the driver's reference.
        Lists, handles and tables are the driver's, before or after.

        :raises ContractViolation: a page is not locked, or not a movable one; none has changed.
        """
        wrong = self.memory.move_pages(self.pfns, newpages.pfns, mapping)
        if wrong is not None:
            pfn, what = wrong
            rule, detail = ("I03", "is not locked") if what == LOCK else ("I02", "is not movable")
            raise ContractViolation(rule, repr(self._page(pfn)), "move_to", f"the page {detail}")
