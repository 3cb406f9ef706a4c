"""`PageList`: what a driver keeps its pages in (`struct list_head`, include/linux/list.h, v6.1)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from movable.errors import ContractViolation
from movable.page import Page


class PageList:
    """A driver's list of pages, linked through `page.lru` (`struct list_head`).

    A page is on one list at most (I23), and on none of the driver's while the VM holds it isolated
    (I08): `add` and `remove` hold their caller to that.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._pages: OrderedDict[int, Page] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def __iter__(self) -> Iterator[Page]:
        """The pages, first to last; the list may change meanwhile.

        Most who walk a list stop at its first page, so only walking on copies the rest.
        """
        first = next(iter(self._pages.values()), None)
        if first is not None:
            yield first
            yield from [page for page in self._pages.values() if page != first]

    def __contains__(self, page: Page) -> bool:
        return page.pfn in self._pages

    def __repr__(self) -> str:
        return f"<PageList {self.name} [{len(self)} pages]>"

    def add(self, page: Page) -> None:
        """Put *page* first (list_add())."""
        self.add_tail(page)
        self._pages.move_to_end(page.pfn, last=False)

    def add_tail(self, page: Page) -> None:
        """Put *page* last (list_add_tail())."""
        lists = page._frames.lists
        if page.pfn in lists:
            raise ContractViolation(
                "I23", repr(page), f"{self.name}.add", f"it is on {lists[page.pfn]!r} already"
            )
        self._pages[page.pfn] = page
        lists[page.pfn] = self

    def remove(self, page: Page) -> None:
        """Take *page* out (list_del())."""
        if page.pfn not in self._pages:
            rule = "I08" if page.isolated else "I23"
            raise ContractViolation(
                rule, repr(page), f"{self.name}.remove", "it is not on this list"
            )
        del self._pages[page.pfn]
        del page._frames.lists[page.pfn]
