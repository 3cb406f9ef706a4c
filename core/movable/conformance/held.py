"""`Held`: a compactor that has isolated pages and is interrupted there.

Between isolation and what follows, anything may happen to a page; so scenes need a compactor whose
next step is theirs to choose: migrate in some mode, find no targets, put everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from movable import sched
from movable.errors import ContractViolation
from movable.hookspecs import MigrateMode
from movable.mm import steps
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import release_freepages
from movable.mm.population import link_list
from movable.page import Page

if TYPE_CHECKING:
    from movable.mapping import AddressSpace
    from movable.mm.memory import Memory


class Scene(Protocol):
    """Where pages are held: a `Bench`, a `Stage`."""

    @property
    def memory(self) -> Memory: ...

    @property
    def mapping(self) -> AddressSpace: ...


class Kept(NamedTuple):
    """What a page that is put back must have kept, in the order in which it is compared."""

    refcount: int
    private: int
    mapcount: int
    content: int
    list: str | None
    """The name of the driver's list that it is on."""

    @classmethod
    def of(cls, bench: Scene, page: Page) -> Kept:
        on = bench.memory.lists.get(page.pfn)
        name = on.name if on else None
        return cls(page.refcount, page.private, page.mapcount, page.content, name)


class Held:
    """Isolates *pages*, as far as the driver lets go of them; leaving puts back what is left."""

    def __init__(
        self, bench: Scene, pages: Iterable[Page], mode: MigrateMode = MigrateMode.SYNC
    ) -> None:
        self.bench, self.memory = bench, bench.memory
        self.cc = CompactControl(self.memory, mode, ignore_skip_hint=1)
        self.cc["free_pfn"] = self.memory.nr_frames - (1 << self.memory.pageblock_order)
        self.pages: list[Page] = []
        self.before: dict[Page, Kept] = {}
        for page in pages:
            self._isolate(page)
        link_list(self.memory, self.cc["migratepages"], np.array([p.pfn for p in self.pages], int))
        self.cc["nr_migratepages"] = len(self.pages)

    def __enter__(self) -> Held:
        for page in self.pages:
            sched.point("on the migrate list", page)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:  # the scene is over, and its memory with it
            return
        self.put_back()
        self.memory.engine.call(release_freepages, self.cc.record)
        self.cc.close()
        self.memory.raise_fault()

    def _isolate(self, page: Page) -> None:
        # As the scanner does, which asks for nothing that was freed or taken meanwhile
        # (isolate_migratepages_block()).
        if not page.movable_tag or page.isolated:
            return
        before = Kept.of(self.bench, page)
        if self.cc.run(steps.ISOLATE_MOVABLE_PAGE, page=page.pfn):
            self.pages.append(page)
            self.before[page] = before

    @property
    def released(self) -> int:
        """How many of the pages their driver has given up meanwhile."""
        return sum(page.movable_tag and page.mapping is None for page in self.pages)

    def migrate(self) -> None:
        """Try to move the pages; what could not be moved stays to be put back."""
        self.cc.run(steps.MIGRATE_PAGES)
        self.pages = [page for page in self.pages if page.isolated]

    def migrate_without_targets(self) -> None:
        """As in a memory that is full: no driver is asked, and every page is to be put back."""
        self.cc["free_pfn"] = 0
        self.migrate()

    def put_back(self) -> None:
        """Give the pages back that are left."""
        self.cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=self.cc["migratepages"])

    def freed_by(self, work: Callable[[], None]) -> int:
        """How many of the pages that were put back are freed by the driver's worker: those that
        their users emptied meanwhile."""
        there = [page for page in self.before if page.mapping is self.bench.mapping]
        work()
        return sum(page.refcount == 0 for page in there)

    def compare(self) -> None:
        """After putback, and with nobody else at work since isolation, each page is as it was."""
        for page, before in self.before.items():
            now = Kept.of(self.bench, page)
            if page.mapping is not self.bench.mapping:
                continue
            for name, was, is_ in zip(Kept._fields, before, now, strict=True):
                if was != is_:
                    detail = f"was put back, but {name} was {was!r} before isolation and is {is_!r}"
                    raise ContractViolation("D20", repr(page), "putback_page", detail)
