"""One look at a frame's numbers that says whether all is well with a call of a hook.

`Contract` looks at a page before and after each call. Nearly always all is well, and to see that
takes a few comparisons; what is wrong is put into words by promises.py, which is asked only when a
glance does not settle it. A glance may doubt what promises.py allows, and never the other way.
"""

from __future__ import annotations

from movable.page import Frames
from movable.page_flags import (
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_head,
    PG_isolated,
    PG_locked,
    PG_tail,
)

Raw = tuple[int, int, int, int, int, int, bool]
"""flags, refcount, mapping word, private, mapcount, content, and whether it is on a list."""
FLAGS, REFCOUNT, WORD, PRIVATE, MAPCOUNT, CONTENT, LISTED = range(7)
BARE = PAGE_MAPPING_MOVABLE
"""The mapping word of a page that its driver has given up."""
HELD = PG_locked | PG_isolated


class Glance:
    """The columns of one memory, at hand."""

    __slots__ = ("columns", "lists")

    def __init__(self, frames: Frames) -> None:
        self.columns = (
            *(frames.flags, frames.refcount, frames.mapping),
            *(frames.private, frames.mapcount, frames.content),
        )
        self.lists = frames.lists

    def at(self, pfn: int) -> Raw:
        """All that a call is judged by."""
        flags, refcount, mapping, private, mapcount, content = self.columns
        return (
            flags[pfn],
            refcount[pfn],
            mapping[pfn],
            private[pfn],
            mapcount[pfn],
            content[pfn],
            pfn in self.lists,
        )


def may_isolate(page: Raw) -> bool:
    """The VM may call isolate_page; that the page is a driver's is known."""
    return page[FLAGS] & (HELD | PG_head | PG_tail) == PG_locked and page[REFCOUNT] >= 2


def isolated(before: Raw, after: Raw) -> bool:
    """isolate_page may answer True: the page is off the driver's lists, and else as it was."""
    return before[:PRIVATE] == after[:PRIVATE] and not after[LISTED]


def may_migrate(page: Raw, newpage: Raw) -> bool:
    """The VM may call migratepage; that the page is this driver's is known."""
    return (
        page[FLAGS] & HELD == HELD
        and bool(newpage[FLAGS] & PG_locked)
        and newpage[REFCOUNT] >= 1
        and newpage[WORD] & PAGE_MAPPING_FLAGS != PAGE_MAPPING_MOVABLE
        and not newpage[PRIVATE]
        and not newpage[LISTED]
    )


def given_up(before: Raw, after: Raw, target: Raw) -> bool:
    """migratepage may answer 0, as far as the old page goes."""
    return (
        after[FLAGS] == before[FLAGS]
        and after[REFCOUNT] == before[REFCOUNT] - 1
        and after[WORD] == BARE
        and not after[PRIVATE]
        and after[MAPCOUNT] == target[MAPCOUNT]
        and not after[LISTED]
    )


def adopted(newpage: Raw, target: Raw, before: Raw, holds_data: bool) -> bool:
    """And as far as the new page goes, which the driver wanted; whose it is now is known."""
    return (
        bool(newpage[FLAGS] & PG_locked)
        and newpage[WORD] == before[WORD]
        and newpage[REFCOUNT] == target[REFCOUNT] + 1
        and (newpage[CONTENT] == before[CONTENT] or not holds_data)
    )


def may_put_back(page: Raw) -> bool:
    """The VM may call putback_page; that the page is a driver's is known."""
    return page[FLAGS] & HELD == HELD


def put_back(before: Raw, after: Raw) -> bool:
    """putback_page may return."""
    return before[:PRIVATE] == after[:PRIVATE] and before[CONTENT] == after[CONTENT]
