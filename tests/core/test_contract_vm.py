"""`Contract` holds the VM to the V rules, so that the checker is itself checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from core.bench import ALL, Bench, lock_source, peek
from core.frames import Shelf
from movable import MigrateMode
from movable.errors import ContractViolation
from movable.page_flags import PG_head
from movable.sched import point


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def ask_without_reference(bench: Bench) -> None:
    peek(bench, *ALL)
    bench.memory.refcount[bench.page.pfn] = 1
    bench.ask_isolate()


def ask_without_lock(bench: Bench) -> None:
    peek(bench, *ALL[:2])
    bench.ask_isolate()


def ask_twice(bench: Bench) -> None:
    bench.vm.isolate(bench.page)
    peek(bench, *ALL)
    bench.ask_isolate()


def ask_after_release(bench: Bench) -> None:
    """The table was read before the driver gave the page up."""
    peek(bench, *ALL)
    bench.page.clear_movable()
    bench.ask_isolate()


def ask_about_compound(bench: Bench) -> None:
    bench.memory.flags[bench.page.pfn] |= PG_head
    peek(bench, *ALL)
    bench.ask_isolate()


def lock_before_test(bench: Bench) -> None:
    peek(bench, "reference taken", "page locked")


def no_reference_point(bench: Bench) -> None:
    peek(bench, "movable tested")


def not_locked_after_all(bench: Bench) -> None:
    peek(bench, *ALL[:2])
    point("page locked", bench.page)


def ask_without_looking(bench: Bench) -> None:
    bench.page.get()
    bench.page.lock()
    bench.ask_isolate()


def forgets_flag(bench: Bench) -> None:
    peek(bench, *ALL)
    bench.ask_isolate()
    point("isolated", bench.page)


def flag_after_unlock(bench: Bench) -> None:
    peek(bench, *ALL)
    bench.ask_isolate()
    bench.page.unlock()
    point("isolate unlocked", bench.page)


def lists_refused(bench: Bench) -> None:
    point("on the migrate list", bench.page)


def gives_up_after_true(bench: Bench) -> None:
    peek(bench, *ALL)
    bench.ask_isolate()
    point("isolate gave up", bench.page)


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        (ask_without_reference, "V02"),
        (ask_without_lock, "I03"),
        (ask_twice, "I07"),
        (ask_after_release, "I07"),
        (ask_about_compound, "V08"),
        (lock_before_test, "V01"),
        (no_reference_point, "V01"),
        (not_locked_after_all, "V03"),
        (ask_without_looking, "V05"),
        (forgets_flag, "V06"),
        (flag_after_unlock, "V06"),
        (lists_refused, "V06"),
        (gives_up_after_true, "I06"),
    ],
)
def test_isolation_goes_by_the_rules(
    bench: Bench, mistake: Callable[[Bench], None], rule: str
) -> None:
    """V01 to V08"""
    with pytest.raises(ContractViolation) as error:
        mistake(bench)

    assert error.value.rule == rule


def move_unlocked(bench: Bench) -> None:
    bench.page.lock()
    point("source locked", bench.page)
    bench.ask_migrate(bench.memory.alloc_page())


def move_without_locking_source(bench: Bench) -> None:
    bench.page.lock()
    bench.ask_migrate(bench.target())


def says_locked(bench: Bench) -> None:
    point("source locked", bench.page)


def move_released(bench: Bench) -> None:
    bench.shelf.drop(bench.page)
    lock_source(bench)
    bench.ask_migrate(bench.target())


def move_to_used(bench: Bench) -> None:
    lock_source(bench)
    other = bench.shelf.store(11)
    other.lock()
    bench.ask_migrate(other)


def move_to_marked(bench: Bench) -> None:
    lock_source(bench)
    newpage = bench.target()
    newpage.private = 5
    bench.ask_migrate(newpage)


def move_for_another(bench: Bench) -> None:
    lock_source(bench)
    other = Shelf(bench.memory).mapping
    newpage = bench.target()
    bench.shelf.mapping.a_ops.migratepage(other, newpage, bench.page, MigrateMode.SYNC)


def flag_lost(bench: Bench) -> None:
    lock_source(bench)
    bench.vm.set_isolated(bench.page, False)
    bench.ask_migrate(bench.target())


def flag_kept(bench: Bench) -> None:
    lock_source(bench)
    bench.ask_migrate(bench.target())
    point("isolated cleared", bench.page)


def unlocks_before_clearing(bench: Bench) -> None:
    lock_source(bench)
    bench.ask_migrate(bench.target())
    bench.page.unlock()
    point("unlocked", bench.page)


def puts_while_listed(bench: Bench) -> None:
    lock_source(bench)
    bench.ask_migrate(bench.target())
    bench.vm.set_isolated(bench.page, False)
    point("isolated cleared", bench.page)
    bench.page.unlock()
    point("unlocked", bench.page)
    point("source put", bench.page)


def moves_and_puts_back(bench: Bench) -> None:
    lock_source(bench)
    bench.ask_migrate(bench.target())
    bench.ask_putback()


def putback_on_list(bench: Bench) -> None:
    bench.page.lock()
    point("putback locked", bench.page)


def putback_unlocked(bench: Bench) -> None:
    point("off the migrate list", bench.page)
    point("putback locked", bench.page)


def putback_without_steps(bench: Bench) -> None:
    bench.page.lock()
    bench.ask_putback()


def putback_cleared_first(bench: Bench) -> None:
    point("off the migrate list", bench.page)
    bench.page.lock()
    point("putback locked", bench.page)
    bench.vm.set_isolated(bench.page, False)
    bench.ask_putback()


def putback_not_asked(bench: Bench) -> None:
    point("off the migrate list", bench.page)
    bench.page.lock()
    point("putback locked", bench.page)
    bench.vm.set_isolated(bench.page, False)
    point("isolated cleared", bench.page)


def putback_of_released(bench: Bench) -> None:
    point("off the migrate list", bench.page)
    bench.shelf.drop(bench.page)
    bench.page.lock()
    point("putback locked", bench.page)
    bench.ask_putback()


def putback_twice(bench: Bench) -> None:
    bench.vm.putback(bench.page)
    bench.page.lock()
    bench.ask_putback()


def skips_living(bench: Bench) -> None:
    point("off the migrate list", bench.page)
    bench.page.lock()
    point("putback locked", bench.page)
    point("putback skipped", bench.page)


@pytest.mark.parametrize(
    ("mistake", "rule"),
    [
        (move_unlocked, "V14"),
        (move_without_locking_source, "V14"),
        (says_locked, "V14"),
        (move_released, "V16"),
        (move_to_used, "V12"),
        (move_to_marked, "V13"),
        (move_for_another, "I02"),
        (flag_lost, "V16"),
        (flag_kept, "V17"),
        (unlocks_before_clearing, "V17"),
        (puts_while_listed, "V11"),
        (moves_and_puts_back, "I06"),
        (putback_on_list, "V11"),
        (putback_unlocked, "V24"),
        (putback_without_steps, "V11"),
        (putback_cleared_first, "V24"),
        (putback_not_asked, "I06"),
        (putback_of_released, "V24"),
        (putback_twice, "I06"),
        (skips_living, "V24"),
    ],
)
def test_migration_and_putback_go_by_the_rules(
    bench: Bench, mistake: Callable[[Bench], None], rule: str
) -> None:
    """V11 to V24, of a page that is isolated"""
    bench.vm.isolate(bench.page)

    with pytest.raises(ContractViolation) as error:
        mistake(bench)

    assert error.value.rule == rule
