"""`PageLock`: the lock of a page, as reports and whoever watches locks see it.

The lock itself is a bit of the page (:meth:`movable.Page.lock`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from movable.sched.tasks import MAIN, Context

if TYPE_CHECKING:
    from movable.page import Page

PAGE_LOCKS = "page lock"
"""The class of all page locks: they obey one order with driver locks (rule L01)."""


class PageLock(NamedTuple):
    """The lock of *page*; two of one page are equal."""

    page: Page

    def __str__(self) -> str:
        held = "".join(f", held by {holder.name}" for holder in self.holders)
        return f"the lock of {self.page!r}{held}"

    @property
    def called(self) -> str:
        """What it is in a sentence."""
        return f"the lock of page {self.page.pfn}"

    @property
    def kind(self) -> str:
        """Points at it do not tell pages apart."""
        return PAGE_LOCKS

    @property
    def lock_class(self) -> str:
        """All page locks are of one class."""
        return PAGE_LOCKS

    @property
    def holders(self) -> list[Context]:
        """The task that has the page locked, if a task of a race does."""
        owner = self.page.lock_owner
        return [owner] if isinstance(owner, Context) and owner is not MAIN else []
