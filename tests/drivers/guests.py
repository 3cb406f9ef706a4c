"""A small guest with a balloon, and the VM's part by hand, for the tests of the balloon."""

from __future__ import annotations

from contextlib import suppress

from movable import IsolateMode, MigrateMode, MigrateResult, Page
from movable.errors import OutOfMemory
from movable.mm.memory import Memory
from movable.page_flags import PG_isolated
from movable_balloon import Balloon, Host
from movable_balloon.host import Latency


class Witness(Host):
    """A host that writes down what it is told, and looks at the pages while it is told."""

    def __init__(self, memory: Memory, latency: Latency | None = None) -> None:
        super().__init__(memory.clock, latency)
        self.memory = memory
        self.told: list[tuple[str, list[int]]] = []
        self.most = 0

    def inflate(self, pfns: list[int]) -> None:
        super().inflate(pfns)
        self.told.append(("inflate", pfns))
        self.most = max(self.most, len(self.pfns))

    def deflate(self, pfns: list[int]) -> None:
        assert all(self.memory.page(pfn).refcount for pfn in pfns), "freed before the host knew"
        super().deflate(pfns)
        self.told.append(("deflate", pfns))


class Guest:
    """A memory of 256 pages, a balloon in it, and the VM's part by hand."""

    def __init__(self, pages: int = 256, /, **config: object) -> None:
        self.memory = Memory.blank(pages, pageblock_order=4, max_order=6)
        self.balloon = Balloon(self.memory, Balloon.Config.model_validate(config))
        self.host = self.balloon.host = Witness(self.memory, self.balloon.host.latency)

    @property
    def listed(self) -> list[int]:
        return [page.pfn for page in self.balloon.pages]

    def inflate_low(self, count: int) -> list[int]:
        """Inflate by the *count* lowest frames, with every other frame behind them in use: them.

        A block that is free as a whole would be no target for compaction.
        """
        taken = []
        with suppress(OutOfMemory):
            while True:
                taken.append(self.memory.alloc_page())
        taken.sort(key=lambda page: page.pfn)
        # What was freed last is allocated first.
        for page in reversed(taken[:count] + taken[count::2]):
            page.put()
        self.balloon.inflate(count)
        return sorted(self.host.pfns)

    def isolate(self, page: Page) -> bool:
        """isolate_movable_page()"""
        page.get()
        page.lock()
        isolated = self.balloon.mapping.a_ops.isolate_page(page, IsolateMode.UNEVICTABLE)
        self.memory.flags[page.pfn] |= PG_isolated
        page.unlock()
        return isolated

    def migrate(self, page: Page, mode: MigrateMode = MigrateMode.SYNC) -> tuple[int, Page]:
        """move_to_new_page() and the cleaning up after it: the driver's answer, and the target."""
        newpage = self.memory.alloc_page()
        page.lock()
        newpage.lock()
        mapping = self.balloon.mapping
        answer = mapping.a_ops.migratepage(mapping, newpage, page, mode)
        newpage.unlock()
        if answer == MigrateResult.SUCCESS:
            self.release(page)
        else:
            page.unlock()
        newpage.put()
        return answer, newpage

    def putback(self, page: Page) -> None:
        """putback_movable_page()"""
        page.lock()
        self.balloon.mapping.a_ops.putback_page(page)
        self.release(page)

    def release(self, page: Page) -> None:
        self.memory.flags[page.pfn] &= ~PG_isolated
        page.unlock()
        page.put()
