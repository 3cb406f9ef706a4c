"""A balloon small enough for two checkers: the same lines run under ours and under frontrun.

The VM isolates page after page, and puts each back; its user deflates. With the mistake, deflation
walks the list without the lock, and then takes what it saw there, wherever that is by now. Points
and locks come from whoever checks; comments mark for frontrun where our points are.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

PAGES = 2


class TinyBalloon:
    """Pages that are listed, isolated or freed.

    :param mistake: deflation trusts in what it saw before it had the lock.
    """

    def __init__(
        self, lock: AbstractContextManager[Any], point: Callable[[str], object], mistake: bool
    ) -> None:
        self.lock, self.point, self.mistake = lock, point, mistake
        self.pages = list(range(PAGES))
        self.isolated: list[int] = []
        self.freed: list[int] = []

    def compact(self) -> None:
        """The VM isolates each page that is there, and puts it back."""
        for page in range(PAGES):
            with self.lock:
                if page in self.pages:
                    self.pages.remove(page)
                    self.isolated.append(page)
            self.point("isolated")  # frontrun: isolated
            with self.lock:
                if page in self.isolated:
                    self.isolated.remove(page)
                    self.pages.append(page)
            self.point("put_back")  # frontrun: put_back

    def deflate(self) -> None:
        """The user frees each page that is listed."""
        for page in range(PAGES):
            listed = page in self.pages
            self.point("walks")  # frontrun: walks
            with self.lock:
                if listed if self.mistake else page in self.pages:
                    self.freed.append(page)
                    if page in self.pages:
                        self.pages.remove(page)
            self.point("freed")  # frontrun: freed

    def whole(self) -> bool:
        """Every page is in one place."""
        return sorted(self.pages + self.isolated + self.freed) == list(range(PAGES))


VM, USER = ("isolated", "put_back") * PAGES, ("walks", "freed") * PAGES
"""The points that each passes, in order."""
