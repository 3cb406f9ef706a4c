"""`Contract` holds a driver to the D rules: one driver for every promise broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core import broken
from core.broken import Broken, ForgetsToCopy
from core.frames import VM, Frames, Shelf
from movable import (
    MigrateMode,
    MigrateResult,
    Page,
    sched,
)
from movable.errors import ContractViolation
from movable.observers.contract import Contract
from movable.observers.refusals import Refusals


@contextmanager
def watched(shelf: Shelf, reread: bool = False) -> Iterator[Contract]:
    """A contract that is attached, and detached whatever happens."""
    contract = Contract(reread)
    shelf.mapping.attach(contract)
    try:
        yield contract
    finally:
        shelf.mapping.detach(contract)
        assert not sched.active


# A driver that keeps all promises hears nothing.


@pytest.mark.parametrize("reread", [False, True])
def test_a_driver_that_keeps_its_promises_hears_nothing(reread: bool) -> None:
    """Isolated, put back, refused, moved, released: all that may happen."""
    memory = Frames()
    shelf, vm = Shelf(memory), VM(memory)
    pages = [shelf.store(10 + number) for number in range(4)]

    with watched(shelf, reread) as contract:
        for page in pages:
            assert vm.isolate(page)
            assert not vm.isolate(page)
        vm.putback(pages[0])
        assert vm.migrate(pages[1], MigrateMode.SYNC_NO_COPY) == MigrateResult.INVAL
        vm.putback(pages[1])
        assert vm.migrate(pages[2]) == 0
        shelf.drop(pages[3])
        assert vm.migrate(pages[3]) == 0
        shelf.drop(pages[0])
        contract.check_at_rest()
        assert repr(contract) == "<Contract [0 pages under way]>"

    assert shelf.contents() == {11: 11, 12: 12}


def test_a_page_released_before_putback_is_no_violation() -> None:
    """D18: the VM notices, and the driver is not called."""
    memory = Frames()
    shelf, vm = Shelf(memory), VM(memory)
    page = shelf.store(1)

    with watched(shelf) as contract:
        vm.isolate(page)
        shelf.drop(page)
        vm.putback(page)
        contract.check_at_rest()

    assert page.refcount == 0


def test_refusals_are_judged_like_answers() -> None:
    """And are no violations."""
    memory = Frames()
    shelf, vm = Shelf(memory), VM(memory)
    page = shelf.store(1)

    with watched(shelf) as contract:
        shelf.mapping.attach(Refusals(1, seed=0, isolate=False))
        vm.isolate(page)
        assert vm.migrate(page) == MigrateResult.AGAIN
        vm.putback(page)
        contract.check_at_rest()


# isolate_page.


@pytest.mark.parametrize(
    ("driver", "rule", "detail"),
    [
        (broken.SaysNone, "D06", "answered None, which is neither True nor False"),
        (broken.SaysOne, "D06", "answered 1,"),
        (broken.IsolateRaises, "D06", "raised KeyError: 0"),
        (broken.KeepsOnList, "I23", "still has the page on a list"),
        (broken.RefusesTooLate, "D07", "listed was True and is False"),
        (broken.CountsRefusals, "I22", "isolated_pages is 1, and 0 pages are isolated"),
        (broken.UnlocksWhenAsked, "I04", "unlocked the page"),
        (broken.SetsIsolated, "I05", "changed PG_isolated"),
        (broken.TakesReference, "D06", "refcount was 2 and is 3"),
        (broken.GivesUpWhenAsked, "D07", "mapping was <AddressSpace"),
        (broken.AsksItself, "D08", "asked from inside isolate_page"),
        (broken.Sleeps, "I18", "waits for a sleeping lock"),
    ],
)
def test_hook_isolate_page_is_held_to(driver: type[Shelf], rule: str, detail: str) -> None:
    """Rule, page and call are named."""
    memory = Frames()
    shelf, vm = driver(memory), VM(memory)
    page = shelf.store(1)
    shelf.store(2)

    with watched(shelf), pytest.raises(ContractViolation) as error:
        vm.isolate(page)

    assert (error.value.rule, error.value.call) == (rule, "isolate_page")
    assert detail in error.value.detail
    assert error.value.page.startswith("<Page ")
    assert str(error.value).endswith(f"[{rule}; see: movable explain {rule}]")


# migratepage.


@pytest.mark.parametrize(
    ("driver", "rule", "detail"),
    [
        (broken.MigrateSays, "D16", "answered None, which is neither 0 nor a negative errno"),
        (broken.SaysTrue, "D16", "answered True"),
        (broken.SaysSeven, "D16", "answered 7"),
        (broken.MigrateRaises, "D16", "raised ZeroDivisionError: division by zero"),
        (broken.ForgetsReference, "I10", "of the new page, 1 references remain where 2 should"),
        (broken.TakesTwoReferences, "I10", "of the new page, 3 references remain where 2 should"),
        (broken.ForgetsOldReference, "I10", "of the old page, 2 references remain where 1 should"),
        (broken.PutsTwice, "I09", "'freed'"),
        (broken.ForgetsToPublish, "I14", "did not publish it"),
        (broken.PublishesForAnother, "I14", "was published for <AddressSpace shelf>"),
        (broken.ForgetsToGiveUp, "I15", "without clear_movable()"),
        (broken.KeepsPrivate, "I15", "keeps private 7"),
        (broken.KeepsMapcount, "I15", "keeps mapcount 3"),
        (broken.KeepsOldListed, "I15", "is on a list of the driver's"),
        (broken.DropsTag, "I01", "lost its tag"),
        (broken.ForgetsToCopy, "I12", "contents were 10 and are"),
        (broken.SwapsArguments, "I12", "contents were 10 and are"),
        (broken.IgnoresMode, "D19", "nobody else copies"),
        (broken.UnlocksNew, "I04", "unlocked the new page"),
        (broken.UnlocksOld, "I04", "unlocked the page"),
        (broken.ClearsIsolated, "I05", "changed PG_isolated"),
        (broken.GivesUpAndFails, "I16", "it failed, but mapping was"),
        (broken.LeavesPrivate, "I16", "of the new page private was 0 and is 5"),
        (broken.LeavesListed, "I16", "of the new page listed was False and is True"),
        (broken.UncountsAndFails, "I22", "isolated_pages is 0, and 1 pages are isolated"),
        (broken.ForgetsToUncount, "I22", "isolated_pages is 1, and 0 pages are isolated"),
        (broken.SleepsInAsync, "I18", "waits for a sleeping lock"),
    ],
)
def test_hook_migratepage_is_held_to(driver: type[Broken], rule: str, detail: str) -> None:
    """Every one of these is a bug that a driver in Linux has had, or could have."""
    memory = Frames()
    shelf, vm = driver(memory), VM(memory)
    page = shelf.store(10)

    with watched(shelf):
        vm.isolate(page)
        with pytest.raises(ContractViolation) as error:
            vm.migrate(page, getattr(driver, "mode", MigrateMode.SYNC))

    assert error.value.rule == rule
    assert detail in error.value.detail


def test_a_new_page_that_the_driver_does_not_want_is_a_success() -> None:
    """D15: the old page is gone, and the VM frees the new one."""

    class Shrinks(Broken):
        def move(self, newpage: Page, page: Page) -> int:
            self.isolated_pages -= 1
            self.give_up(page)
            return 0

    memory = Frames()
    shelf, vm = Shrinks(memory), VM(memory)
    page = shelf.store(10)

    with watched(shelf) as contract:
        vm.isolate(page)
        assert vm.migrate(page) == 0
        contract.check_at_rest()

    assert [memory.refcount[pfn] for pfn in range(3)] == [0, 0, 0]


def test_a_driver_without_contents_copies_nothing() -> None:
    """A balloon's pages are read by nobody."""

    class Hollow(ForgetsToCopy):
        contents = None  # type: ignore[assignment]

    memory = Frames()
    shelf, vm = Hollow(memory), VM(memory)
    page = shelf.store(10)

    with watched(shelf) as contract:
        vm.isolate(page)
        assert vm.migrate(page) == 0
        contract.check_at_rest()


def test_rereading_finds_what_a_look_at_the_page_does_not() -> None:
    """The page was copied, and a handle points elsewhere."""

    class LosesHandle(Broken):
        def switch_handles(self, newpage: Page, page: Page) -> None:
            self.handles.clear()

    memory = Frames()
    shelf, vm = LosesHandle(memory), VM(memory)
    page = shelf.store(10)
    vm.isolate(page)

    with watched(shelf, reread=True), pytest.raises(ContractViolation) as error:
        vm.migrate(page)

    assert (error.value.rule, error.value.detail) == (
        "I12",
        "what the driver's users read changed",
    )


# putback_page.


@pytest.mark.parametrize(
    ("driver", "rule", "detail"),
    [
        (broken.PutbackSays, "D20", "answered 0, where there is nothing to answer"),
        (broken.PutbackRaises, "D20", "raised ValueError: no room"),
        (broken.FreesInPutback, "I09", "1 references remain where 2 should"),
        (broken.UnlocksInPutback, "I04", "unlocked the page"),
        (broken.ClearsInPutback, "I05", "changed PG_isolated"),
        (broken.GivesUpInPutback, "D20", "gave the page up instead of taking it back"),
        (broken.WritesInPutback, "I12", "contents changed"),
        (broken.DoesNothing, "I22", "isolated_pages is 1, and 0 pages are isolated"),
        (broken.TakesBackTwice, "I23", "it is on <PageList shelf"),
    ],
)
def test_hook_putback_page_is_held_to(driver: type[Shelf], rule: str, detail: str) -> None:
    """It cannot fail, so it must not."""
    memory = Frames()
    shelf, vm = driver(memory), VM(memory)
    page = shelf.store(10)

    with watched(shelf):
        vm.isolate(page)
        with pytest.raises(ContractViolation) as error:
            vm.putback(page)

    assert error.value.rule == rule
    assert detail in error.value.detail


# What a driver does between the calls.


def test_a_page_is_given_up_before_it_is_freed() -> None:
    """D04: a scanner that holds a reference would still ask about it."""
    shelf = Shelf(Frames())
    page = shelf.store(1)
    shelf.pages.remove(page)

    with watched(shelf), pytest.raises(ContractViolation) as error:
        page.put()

    assert (error.value.rule, error.value.call) == ("D04", "point 'freed'")


def test_an_isolated_page_is_not_freed_under_the_vm() -> None:
    """I09: its second reference is not the driver's to drop."""
    memory = Frames()
    shelf, vm = Shelf(memory), VM(memory)
    page = shelf.store(1)

    with watched(shelf):
        vm.isolate(page)
        shelf.drop(page)
        with pytest.raises(ContractViolation) as error:
            page.put()

    assert error.value.rule == "I09"


def test_a_page_is_not_released_while_the_vm_has_it_locked() -> None:
    """I03: the lock that the driver needs for it is not its own."""
    memory = Frames()
    shelf, vm = Shelf(memory), VM(memory)
    page = shelf.store(1)

    with watched(shelf):
        vm.isolate(page)
        page.lock()
        sched.point("source locked", page)
        page.clear_movable()
        with pytest.raises(ContractViolation) as error:
            sched.point("unlocked", page)

    assert (error.value.rule, error.value.detail) == ("I03", "released while the VM held its lock")
