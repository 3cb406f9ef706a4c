"""Balloons with one mistake each that takes a second task to show."""

from __future__ import annotations

from typing import ClassVar

from movable import AddressSpace, Memory, MigrateMode, Mutex, Page, hookimpl, point
from movable.conformance.declared import Declared
from movable.conformance.hunt import Search
from movable_balloon import Balloon
from movable_balloon.config import BalloonConfig


class Prompt(Balloon):
    """A balloon whose host is not slow, so that fewer plans lead to a mistake."""

    inflate_slowly: ClassVar = None  # type: ignore[assignment]


class Walks(Prompt):
    """Its dequeue walks the list without the lock that the list is under."""

    def _dequeue(self) -> Page | None:
        for page in list(self.pages):
            point("walks")
            if page.trylock():
                with self.pages_lock:
                    self._delete(page)
                page.unlock()
                self.vmstat["balloon_deflate"] += 1
                return page
        return None


class Waits(Prompt):
    """It waits in migratepage for a mutex that it holds while it allocates."""

    def __init__(self, memory: Memory, config: BalloonConfig | None = None) -> None:
        super().__init__(memory, config)
        self.conf_mutex = Mutex("conf_mutex")

    def _fill_balloon(self, count: int) -> int:
        with self.conf_mutex:
            return super()._fill_balloon(count)

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        with self.conf_mutex:
            return super().migratepage(mapping, newpage, page, mode)


class Unplugged(Balloon):
    """A balloon that is never removed."""

    class Conformance(Balloon.Conformance):
        teardown: ClassVar = "host_answers"


def search(
    kind: type[Balloon], strategy: str = "mix", seed: int = 2, depth: int | None = None
) -> Search:
    """A search in *kind*."""
    name = kind.__name__.lower()
    return Search(name, kind, Declared.of(kind), strategy, depth, seed)
