"""Isolation of a driver's page: the order in which the VM looks (V01 to V06, S8, S9)."""

from __future__ import annotations

from core.mm.ground import isolate_movable_page, small
from core.mm.watching import Watch, one_page
from movable import IsolateMode
from movable.drivers.scripted import Scripted
from movable.page_flags import PAGE_MAPPING_MOVABLE, PG_tail

MODE = IsolateMode.UNEVICTABLE


def test_isolation_looks_in_the_contracts_order() -> None:
    """V01 to V06: reference, tag, lock, driver, flag, unlock."""
    memory, page, _ = one_page()

    with Watch() as labels:
        assert isolate_movable_page(memory, page.pfn)

    assert labels == [
        "reference taken",
        "movable tested",
        "page locked",
        "isolated",
        "isolate unlocked",
    ]
    assert (page.isolated, page.locked, page.refcount) == (True, False, 2)


def test_a_free_page_is_not_touched() -> None:
    """V02: the reference fails, with no side effect."""
    memory = small().done()

    with Watch() as labels:
        assert not isolate_movable_page(memory, 20)

    assert (labels, memory.refcount[20]) == ([], 0)


def test_the_lock_of_a_page_that_is_not_movable_is_left_alone() -> None:
    """V01: its owner may use the lock bit as it likes."""
    ground = small()
    memory = ground.done()

    with Watch() as labels:
        assert not isolate_movable_page(memory, ground.at(2))

    assert labels == ["reference taken", "isolate gave up"]
    assert memory.refcount[ground.at(2)] == 1


def test_a_locked_page_is_not_waited_for() -> None:
    """V03: trylock, never lock_page()."""
    memory, page, driver = one_page()
    page.lock()

    with Watch() as labels:
        assert not isolate_movable_page(memory, page.pfn)

    assert labels[-2:] == ["page lock busy", "isolate gave up"]
    assert (page.refcount, page.locked, driver.calls) == (1, True, 0)


def test_a_released_page_is_not_isolated() -> None:
    """V04: the tag alone is a hint; under the lock there must be a driver."""
    memory, page, driver = one_page()
    page.trylock()
    page.clear_movable()
    page.unlock()

    assert not isolate_movable_page(memory, page.pfn)

    assert (page.refcount, page.locked, driver.calls) == (1, False, 0)


def test_an_isolated_page_is_not_isolated_again() -> None:
    """V04: the flag is looked at under the lock, after PageMovable."""
    memory, page, driver = one_page()
    isolate_movable_page(memory, page.pfn)

    assert not isolate_movable_page(memory, page.pfn)

    assert (page.refcount, driver.calls) == (2, 1)


def test_pages_that_only_look_movable_are_left_alone() -> None:
    """E05, S9: a KSM page has both tags; a tail page's word may be anything."""
    ground = small()
    driver = Scripted(ground.memory)
    ksm, tail = ground.driver(driver.mapping, ground.span(0, range(2)))
    memory = ground.done()
    memory.mapping[ksm.pfn] |= 1
    memory.flags[tail.pfn] |= PG_tail

    memory.compact_memory()

    assert driver.calls == 0


def test_a_compound_movable_page_is_skipped_before_the_movable_test() -> None:
    """S8: neither its head nor its tails are asked for, though the head is tagged."""
    ground = small()
    driver = Scripted(ground.memory)
    ground.memory.add_mapping(driver.mapping)
    ground.compound(ground.at(0), 2)
    for pfn in ground.span(0, range(4)):
        word = ground.memory.word_of(driver.mapping) | PAGE_MAPPING_MOVABLE
        ground.memory.mapping[pfn] = word
    memory = ground.done()

    memory.compact_memory()

    assert driver.calls == 0
