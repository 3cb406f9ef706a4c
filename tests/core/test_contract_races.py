"""What `Contract` sees from outside single calls: pages left behind, and races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.bench import ALL, Bench, lock_source, peek
from core.frames import Shelf
from movable import (
    AddressSpace,
    IsolateMode,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    hookimpl,
    sched,
)
from movable.errors import ContractViolation
from movable.sched import Race, point


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


# At rest.


def test_a_page_left_isolated_is_found_at_rest(bench: Bench) -> None:
    """I06: a caller that ignores what migrate_pages() left."""
    bench.vm.isolate(bench.page)

    with pytest.raises(ContractViolation) as error:
        bench.contract.check_at_rest()

    assert (error.value.rule, error.value.detail) == ("I06", "left behind: isolated")


class Busy(Shelf):
    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return MigrateResult.BUSY


def test_a_target_that_is_not_returned_is_found() -> None:
    """I11, at rest; V21 when it is offered again."""
    bench = Bench(Busy)
    bench.vm.isolate(bench.page)
    newpage = bench.target()
    lock_source(bench)
    bench.ask_migrate(newpage)
    bench.page.unlock()
    point("unlocked", bench.page)
    lock_source(bench)

    with pytest.raises(ContractViolation) as offered:
        bench.ask_migrate(newpage)
    with pytest.raises(ContractViolation) as rest:
        bench.contract.check_at_rest()
    bench.close()

    assert offered.value.rule == "V21"
    assert rest.value.rule == "I06"


def test_a_lost_target_is_found_at_rest() -> None:
    """I11: memory that nobody has."""
    bench = Bench(Busy)
    bench.vm.isolate(bench.page)
    newpage = bench.target()
    lock_source(bench)
    bench.ask_migrate(newpage)
    bench.page.unlock()
    point("unlocked", bench.page)
    bench.vm.putback(bench.page)

    with pytest.raises(ContractViolation) as error:
        bench.contract.check_at_rest()
    bench.close()

    assert error.value.rule == "I11"
    assert error.value.page.startswith(f"<Page {newpage.pfn} ")


def test_a_look_that_does_not_end_is_found_at_rest(bench: Bench) -> None:
    """Its reference keeps the page from ever being freed."""
    peek(bench, *ALL)

    with pytest.raises(ContractViolation, match="still being looked at"):
        bench.contract.check_at_rest()


def test_a_wrong_count_is_found_at_rest(bench: Bench) -> None:
    """I22: teardown would wait for ever."""
    bench.shelf.isolated_pages = 1

    with pytest.raises(ContractViolation) as error:
        bench.contract.check_at_rest()

    assert (error.value.rule, error.value.call) == ("I22", "at rest")
    assert error.value.page == repr(bench.shelf.mapping)


# After a violation.


def test_after_a_violation_the_vm_can_clean_up(bench: Bench) -> None:
    """What it does with that page is not judged again, or the first mistake would be hidden."""
    peek(bench, "reference taken")
    with pytest.raises(ContractViolation):
        point("page locked", bench.page)

    point("isolate unlocked", bench.page)
    bench.page.put()
    point("isolate gave up", bench.page)

    bench.contract.check_at_rest()
    assert bench.vm.isolate(bench.page)
    bench.vm.putback(bench.page)
    bench.contract.check_at_rest()


def test_after_a_violation_a_new_look_at_the_page_is_judged_again(bench: Bench) -> None:
    """One mistake does not buy silence for ever."""
    for _ in range(2):
        peek(bench, "reference taken")
        with pytest.raises(ContractViolation) as error:
            point("page locked", bench.page)

    assert error.value.rule == "V01"
    assert error.value.detail == "'page locked', of a page held by a reference"


# Attached late, and to several.


def test_a_page_isolated_before_the_contract_came_is_known(bench: Bench) -> None:
    """It is put back as any other."""
    bench.shelf.mapping.detach(bench.contract)
    bench.vm.isolate(bench.page)
    bench.shelf.mapping.attach(bench.contract)

    assert not bench.vm.isolate(bench.page)
    bench.vm.putback(bench.page)

    bench.contract.check_at_rest()


def test_one_contract_serves_two_address_spaces(bench: Bench) -> None:
    """And looks at the pages of no third."""
    second, third = Shelf(bench.memory), Shelf(bench.memory)
    second.mapping.attach(bench.contract)
    page, unwatched = second.store(20), third.store(30)

    point("page locked", unwatched)
    assert bench.vm.isolate(bench.page)
    assert bench.vm.isolate(page)
    assert bench.vm.migrate(bench.page) == 0
    bench.vm.putback(page)
    second.mapping.detach(bench.contract)

    bench.contract.check_at_rest()
    assert sched.active


# Races.


def test_two_compactors_look_at_one_page_and_one_gets_it(bench: Bench) -> None:
    """The second finds PG_isolated under the lock, and its look leaves no trace."""
    race = Race()
    one, two = (race.task(name, bench.vm.isolate, bench.page) for name in ("one", "two"))

    one.until("movable tested")
    two.until("movable tested")
    one.finish()
    two.finish()

    assert (one.result, two.result, bench.page.refcount) == (True, False, 2)
    bench.vm.putback(bench.page)
    bench.contract.check_at_rest()


def test_a_page_locked_by_one_compactor_is_busy_for_the_other(bench: Bench) -> None:
    """V03: it goes on instead of waiting."""
    race = Race()
    one, two = (race.task(name, bench.vm.isolate, bench.page) for name in ("one", "two"))

    one.until("page locked")
    two.finish()
    one.finish()

    assert (one.result, two.result) == (True, False)


def test_a_page_freed_while_a_compactor_looks_at_it(bench: Bench) -> None:
    """R01: the compactor's reference is then the last."""
    race = Race()
    compactor = race.task("compactor", bench.vm.isolate, bench.page)
    guest = race.task("guest", bench.shelf.drop, bench.page)

    compactor.until("reference taken")
    guest.finish()
    assert bench.page.refcount == 1
    compactor.finish()

    assert (compactor.result, bench.page.refcount) == (False, 0)
    bench.contract.check_at_rest()


def test_a_page_freed_while_it_is_isolated(bench: Bench) -> None:
    """R05: the VM notices, and calls nobody."""
    bench.vm.isolate(bench.page)
    race = Race()
    mover = race.task("mover", bench.vm.migrate, bench.page)
    guest = race.task("guest", bench.shelf.drop, bench.page)

    mover.until("target allocated")
    guest.finish()
    mover.finish()

    assert (mover.result, bench.page.refcount, bench.shelf.contents()) == (0, 0, {})
    bench.contract.check_at_rest()


class Pausing(Shelf):
    """Another CPU may run while it is asked."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        point("asked", page)
        return super().isolate_page(page, mode)


def test_one_cpu_may_sleep_while_another_is_asked() -> None:
    """I18 binds whoever is inside the hook."""
    bench = Bench(Pausing)
    mutex = Mutex("user")
    race = Race()
    compactor = race.task("compactor", bench.vm.isolate, bench.page)
    holder = race.task("holder", bench.hold, mutex)
    sleeper = race.task("sleeper", bench.hold, mutex)

    holder.until("held")
    compactor.until("asked")
    sleeper.finish()

    assert (holder.done, compactor.finish()) == (True, True)
    bench.close()


class Slow(Shelf):
    """Another CPU may run while it moves a page."""

    def adopt(self, page: Page) -> None:
        super().adopt(page)
        point("new page published", page)


def test_references_of_onlookers_are_not_the_drivers() -> None:
    """C03: a walker may hold one more at any time, so counts are exact only if nobody else ran."""
    slow = Bench(Slow)
    page = slow.page
    slow.vm.isolate(page)
    race = Race()
    mover = race.task("mover", slow.vm.migrate, page)
    walker = race.task("walker", page.get_unless_zero)

    mover.until("new page published")
    walker.finish()
    mover.finish()

    assert (mover.result, page.refcount) == (0, 1)
    page.put()
    slow.contract.check_at_rest()
    slow.close()


def test_a_page_put_back_may_be_isolated_before_the_last_reference_is_dropped(
    bench: Bench,
) -> None:
    """From the unlock on it is its driver's, though the CPU that put it back still refers to it."""
    bench.vm.isolate(bench.page)
    race = Race()
    putter = race.task("putter", bench.vm.putback, bench.page)
    other = race.task("other", bench.vm.isolate, bench.page)

    putter.until("unlocked")
    other.finish()
    putter.finish()

    assert (other.result, bench.page.refcount) == (True, 2)
    bench.vm.putback(bench.page)
    bench.contract.check_at_rest()


def test_a_page_put_back_and_freed_leaves_no_look_behind(bench: Bench) -> None:
    """Its driver frees it before the VM's reference is gone, which then is the last."""
    bench.vm.isolate(bench.page)
    race = Race()
    putter = race.task("putter", bench.vm.putback, bench.page)
    guest = race.task("guest", bench.shelf.drop, bench.page)

    putter.until("unlocked")
    guest.finish()
    putter.finish()

    assert bench.page.refcount == 0
    bench.contract.check_at_rest()
