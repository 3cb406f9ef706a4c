"""Drivers' pages while memory is compacted for an allocation, and drivers that break a promise."""

from __future__ import annotations

from typing import Any, cast

import pytest

from core.mm.asking import ASYNC, LIGHT, open_to_all
from core.mm.ground import Ground, listed, rows
from movable import AddressSpace, IsolateMode, MigrateMode, Page, hookimpl
from movable.drivers.scripted import ISOLATE, MIGRATE, PUTBACK, Script, Scripted
from movable.errors import ContractViolation
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import tracepoints
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Request, try_to_compact_pages
from movable.mm.memory import Memory

TOLD = int(IsolateMode.UNEVICTABLE | IsolateMode.ASYNC_MIGRATE)


class Liar(Scripted):
    """Answers nonsense in one hook, for one page."""

    hook, number = "", 0

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        taken = super().isolate_page(page, mode)
        return cast("bool", "yes") if self._lies("isolate_page", page) else taken

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if self._lies("migratepage", page):
            return cast("int", "moved")
        return super().migratepage(mapping, newpage, page, mode)

    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        if self._lies("putback_page", page):
            raise KeyError(page.private)

    def _lies(self, hook: str, page: Page) -> bool:
        return hook == self.hook and page.private == self.number


def room(*frames: int, kind: type[Scripted] = Scripted, script: Script | None = None) -> Any:
    """Six unmovable blocks of 16 frames; a driver's pages in block 0, targets in block 5.

    Frame 12 of block 0 is used, unless the driver has pages in that half. Returned: the ground, the
    driver, and the memory.
    """
    ground = Ground(6, 4, 6)
    ground.type(0, t.UNMOVABLE)
    driver = kind(ground.memory, script)
    ground.driver(driver.mapping, ground.span(0, frames))
    ground.kernel([*range(ground.at(1), ground.at(5)), *ground.span(5, [0, 8])])
    if max(frames) < 8:
        ground.kernel([ground.at(0, 12)])
    return ground, driver, open_to_all(ground)


def isolated(memory: Memory) -> int:
    """Pages that are still isolated."""
    return sum(memory.page(pfn).isolated for pfn in range(memory.nr_frames))


def asked(driver: Scripted) -> list[tuple[int, int, int]]:
    """(hook, page's number, mode) of each call."""
    log = driver.log
    return list(zip(log[::6], log[1::6], log[4::6], strict=True))


def test_an_allocation_moves_drivers_pages() -> None:
    """The first attempt of an unmovable request is asynchronous, and makes the block it wants."""
    ground, driver, memory = room(0, 5)

    pfn = memory.alloc_pages(GFP_KERNEL, 3)

    assert pfn == ground.at(0)
    assert asked(driver) == [
        (ISOLATE, 0, TOLD),
        (ISOLATE, 1, TOLD),
        (MIGRATE, 1, MigrateMode.ASYNC),
        (MIGRATE, 0, MigrateMode.ASYNC),
    ]
    memory.validate()


def test_a_small_movable_request_reclaims_first_and_then_waits_a_little() -> None:
    """D-2: so drivers see SYNC_LIGHT at once; blocks of every type are sources (MB-4)."""
    ground, driver, memory = room(0, 5)

    assert memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 3) == ground.at(0)

    modes = {hook: mode for hook, _, mode in asked(driver)}
    assert modes == {ISOLATE: TOLD, MIGRATE: MigrateMode.SYNC_LIGHT}


@pytest.mark.parametrize("hook", ["isolate_page", "migratepage", "putback_page"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_promise_broken_in_an_allocation_is_raised_by_it(hook: str, number: int) -> None:
    """Nothing stays isolated, nobody is said to reclaim, and once mended the driver is asked."""
    script = Script([0, 0], [0, 0], [int(hook == "putback_page")] * 2)
    _, driver, memory = room(0, 5, kind=Liar, script=script)
    driver.hook, driver.number = hook, number

    with pytest.raises(ContractViolation) as raised:
        memory.alloc_pages(GFP_KERNEL, 3)

    assert raised.value.call == f"liar.{hook}"
    assert (isolated(memory), memory.vmscan.reclaiming) == (0, False)
    assert memory.node["capture_zone"][0] == -1
    memory.lru_add_drain()
    memory.validate()
    driver.hook, driver.script.fail = "", [0, 0]
    memory.compact_memory()
    assert driver.mapping.stats.migrated >= 2
    memory.validate()


def test_a_promise_broken_while_a_scan_puts_pages_back() -> None:
    """MS-21: the second page is refused, so the first goes back, and that driver fails at it."""
    _, driver, memory = room(0, 1, kind=Liar, script=Script([0, 1], [0, 0], [0, 0]))
    driver.hook = "putback_page"

    with pytest.raises(ContractViolation):
        memory.alloc_pages(GFP_KERNEL, 3)

    assert [(hook, number) for hook, number, _ in asked(driver)][:3] == [
        (ISOLATE, 0),
        (ISOLATE, 1),
        (PUTBACK, 0),
    ]
    assert isolated(memory) == 0
    memory.validate()


def test_a_block_that_was_captured_already_is_given_back() -> None:
    """Pages 1 and 2 had left frames 8 to 15, which were captured; then page 0 broke its promise."""
    ground, driver, memory = room(0, 8, 9, kind=Liar)
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 0, 1
    driver.hook = "migratepage"

    with pytest.raises(ContractViolation):
        try_to_compact_pages(memory, Request.of(GFP_KERNEL, 3, ALLOC_CPUSET), LIGHT)

    assert rows(memory, tracepoints.END)[-1][6] == t.COMPACT_SUCCESS
    assert listed(memory, 3, t.UNMOVABLE) == [ground.at(0, 8)]
    assert memory.refcount[ground.at(0, 8)] == 0
    memory.validate()


def test_what_a_driver_frees_in_a_hook_may_be_captured() -> None:
    """CP-1: it is the same task that frees; frames 8 to 15 come free with its last page."""

    class Generous(Scripted):
        pages: list[Page]

        @hookimpl
        def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
            for other in self.pages[1:]:
                other.trylock()
                other.clear_movable()
                other.unlock()
                other.put()
            self.pages = []
            return False

    ground, driver, memory = room(0, 8, 9, kind=Generous)
    driver.pages = [memory.page(pfn) for pfn in ground.span(0, [0, 8, 9])]
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 0, 1

    result, pfn = try_to_compact_pages(memory, Request.of(GFP_KERNEL, 3, ALLOC_CPUSET), ASYNC)

    assert (result, pfn) == (t.COMPACT_SUCCESS, ground.at(0, 8))
