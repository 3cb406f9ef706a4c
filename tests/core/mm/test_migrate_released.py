"""Pages that their driver lets go of while the VM has them (V16, V19, V24, S10)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mm.ground import control, isolate_movable_page, migrate, small
from core.mm.watching import Watch, calls
from movable import IsolateMode, Page, hookimpl
from movable.drivers.scripted import ISOLATE, PUTBACK, Scripted
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.page_flags import PG_isolated

MODE = IsolateMode.UNEVICTABLE


class Lender(Scripted):
    """While it is asked about its last page, it lets go of its first, which is isolated."""

    pages: list[Page]

    def __init__(self, memory: Memory, let_go: Callable[[Page], None], take_last: bool) -> None:
        super().__init__(memory)
        self.let_go, self.take_last = let_go, take_last

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        super().isolate_page(page, mode)
        if page.private == 0:
            return True
        self.let_go(self.pages[0])
        return self.take_last


def release(page: Page) -> None:
    """Give the page up, but keep a reference."""
    page.trylock()
    page.clear_movable()
    page.unlock()


def free(page: Page) -> None:
    """Give the page up for good."""
    release(page)
    page.put()


def lend(let_go: Callable[[Page], None], take_last: bool = False) -> tuple[Memory, Lender]:
    ground = small()
    driver = Lender(ground.memory, let_go, take_last)
    driver.pages = ground.driver(driver.mapping, ground.span(0, range(2)))
    return ground.done(), driver


def test_a_page_released_while_isolated_counts_as_migrated() -> None:
    """S10, V16: the tag says that it was movable, the pointer that nobody is to be asked."""
    memory, driver = lend(release)
    page = driver.pages[0]

    with Watch() as labels:
        memory.compact_memory()

    assert calls(driver) == [(ISOLATE, 0), (ISOLATE, 1)]
    assert "released noticed" in labels
    assert memory.vmstat()["pgmigrate_success"] == 1
    assert (page.isolated, page.locked, page.refcount) == (False, False, 1)
    assert not memory.flags[page.pfn] & PG_isolated
    memory.validate()


def test_the_target_of_a_released_page_is_freed_and_not_returned() -> None:
    """V16: the attempt counts as success, so the target goes the way of targets."""
    memory, _ = lend(release)

    with Watch() as labels:
        memory.compact_memory()

    assert "target returned" not in labels
    assert memory.vmstat()["pgfree"] == 1
    memory.validate()


def test_a_page_freed_while_isolated_counts_as_migrated() -> None:
    """V19: the VM's reference is the last; the driver hears nothing more of the page."""
    memory, driver = lend(free)

    memory.compact_memory()

    assert calls(driver) == [(ISOLATE, 0), (ISOLATE, 1)]
    assert memory.vmstat()["pgmigrate_success"] == 1
    assert driver.pages[0].refcount == 0
    memory.validate()


@pytest.mark.parametrize(("let_go", "left"), [(release, 1), (free, 0)])
def test_a_released_page_is_not_put_back(let_go: Callable[[Page], None], left: int) -> None:
    """V24: putback looks under the lock, and calls nobody about a bare tag."""
    memory, driver = lend(let_go, take_last=True)
    isolated = [page.pfn for page in driver.pages]
    assert isolate_movable_page(memory, isolated[0])
    assert isolate_movable_page(memory, isolated[1])
    cc = control(memory, isolated[::-1])
    cc["free_pfn"] = cc["migrate_pfn"]  # no targets

    assert migrate(cc) == t.ENOMEM

    assert calls(driver) == [(ISOLATE, 0), (ISOLATE, 1), (PUTBACK, 1)]
    assert driver.pages[0].refcount == left
    memory.validate()
