"""No answer for a batch can hurt the VM: the promise is named, and the memory stays whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from core.mm.batching import Asked, bytes_of
from core.mm.ground import small
from movable import AddressSpace, IsolateMode, MigrateMode, MigrateResult, Page, Pagevec, hookimpl
from movable.drivers.scripted import Script, Scripted
from movable.errors import ContractViolation
from movable.mm.memory import Memory
from movable.observers.contract import Contract
from movable.rules import RULES

AGAIN, BUSY, NOMEM = MigrateResult.AGAIN, MigrateResult.BUSY, MigrateResult.NOMEM
PAGES = 6


class Rude(Scripted):
    """Does with a batch what it is told; with single pages it does everything right."""

    isolating: Any = None
    moving: Any = None
    taking_back: Any = None

    @hookimpl
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Any:
        return self.isolating(pages) if self.isolating else super().isolate_pages(pages, mode)

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Any:
        if self.moving:
            return self.moving(newpages, pages)
        return super().migratepages(mapping, newpages, pages, mode)

    @hookimpl
    def putback_pages(self, pages: Pagevec) -> Any:
        super().putback_pages(pages)
        return self.taking_back(pages) if self.taking_back else None

    def move(self, newpage: Page, page: Page) -> None:
        """As for a single page."""
        newpage.copy_from(page)
        newpage.get()
        newpage.private, page.private = page.private, 0
        newpage.set_movable(self.mapping)
        page.clear_movable()
        page.put()


def ground(script: Script | None = None, **hooks: Any) -> tuple[Memory, Rude]:
    """Six pages of a driver that does so with its batches."""
    made = small()
    kind = type("Rude", (Rude,), hooks)
    driver = kind(made.memory, script)
    made.driver(driver.mapping, made.span(0, range(PAGES)))
    return made.done(), driver


def broken(
    script: Script | None = None, kept: int = PAGES, **hooks: Any
) -> tuple[ContractViolation, Memory, Rude]:
    """Compact, and be told; afterwards all pages *kept* are the driver's, wherever, and once."""
    memory, driver = ground(script, **hooks)
    with pytest.raises(ContractViolation) as raised:
        memory.compact_memory()
    memory.validate()
    pages = [memory.page(pfn) for pfn in range(memory.nr_frames)]
    ours = [page for page in pages if page.mapping is driver.mapping]
    assert len(ours) == kept
    assert {(page.isolated, page.locked, page.refcount) for page in ours} == {(False, False, 1)}
    assert not any(page.locked for page in pages)
    assert raised.value.rule in RULES
    return raised.value, memory, driver


def test_a_batch_hook_that_raises_is_named() -> None:
    """With the driver's own words."""
    for name, rule in (("isolating", "D06"), ("moving", "D16"), ("taking_back", "D20")):

        def raises(driver: Rude, *pages: Pagevec) -> Any:
            raise KeyError("lost")

        hooks: dict[str, Any] = {name: raises}
        error, _, _ = broken(Script([], [0] * PAGES, [1] * PAGES), **hooks)

        assert (error.rule, error.detail) == (rule, "raised KeyError: 'lost'")


@pytest.mark.parametrize("answers", [7, "yes", [], [True], [True] * 33, {}])
def test_isolate_pages_answers_for_each_page(answers: Any) -> None:
    """Of a batch that is not answered for nothing is taken."""
    error, _, driver = broken(isolating=lambda driver, pages: answers)

    assert (error.rule, error.call) == ("D25", "rude.isolate_pages")
    assert driver.mapping.stats.isolated == 0


@pytest.mark.parametrize("answer", [None, 1, 0, "x"])
def test_isolate_pages_answers_true_or_false(answer: object) -> None:
    """For each page; the page is named whose answer is none."""
    error, _, _ = broken(isolating=lambda driver, pages: [False] * 5 + [answer])

    assert error.rule == "D06"
    assert error.page.startswith("<Page ")


@pytest.mark.parametrize("answers", [7, "yes", [], [BUSY], [BUSY] * 33, {}])
def test_migratepages_answers_for_each_page(answers: Any) -> None:
    """Of a batch that is not answered for nothing has moved, if the pages say so."""
    error, _, driver = broken(moving=lambda driver, newpages, pages: answers)

    assert (error.rule, error.call) == ("D25", "rude.migratepages")
    assert driver.mapping.stats.migrated == 0


@pytest.mark.parametrize("answer", [None, 7, "x", True, False, -4096, 1.0])
def test_migratepages_answers_0_or_an_errno(answer: object) -> None:
    """For each page."""
    error, _, _ = broken(moving=lambda driver, newpages, pages: [BUSY] * 5 + [answer])

    assert error.rule == "D16"


def test_nobody_is_asked_about_the_pages_behind_enomem() -> None:
    """So there is no answer for them."""
    answers = [BUSY, NOMEM, BUSY, BUSY, BUSY, BUSY]

    error, _, _ = broken(moving=lambda driver, newpages, pages: answers)

    assert error.rule == "D25"
    assert error.detail == "answered for 4 pages behind the one that is -ENOMEM"


def test_enomem_ends_the_call_and_the_rest_is_not_tried() -> None:
    """As by single calls: the other pages are put back, and their new pages left."""

    class Short(Scripted):
        """Has no room for the third page."""

        def _answer(self, number: int) -> int:
            return NOMEM if number == 2 else MigrateResult.SUCCESS

    told = []
    for batches in (True, False):
        made = small()
        driver = Short(made.memory, Script([], [0] * PAGES, [0] * PAGES))
        made.driver(driver.mapping, made.span(0, range(PAGES)))
        memory = made.done()
        memory.asks_in_batches = batches
        if batches:
            ShortBatches.attach(driver)
        memory.compact_memory()
        told.append((bytes_of(memory), driver.mapping.stats))

    assert told[0] == told[1]
    assert driver.mapping.stats.failed


class ShortBatches:
    """An answer to a whole batch that ends at the first -ENOMEM."""

    @staticmethod
    def attach(driver: Scripted) -> None:
        def migratepages(
            mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
        ) -> Sequence[int]:
            answers: list[int] = []
            for page in pages:
                answers.append(driver.migratepage(mapping, newpages[answers.count(0)], page, mode))
                if answers[-1] == NOMEM:
                    break
            return answers

        ops = driver.mapping.batch_ops
        driver.mapping.batch_ops = ops._replace(migratepages=migratepages)


def test_a_driver_that_raises_in_the_middle_keeps_what_it_has_moved() -> None:
    """Two pages have moved, and the VM sees that."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        for number in (0, 1):
            driver.move(newpages[number], pages[number])
        raise KeyError("lost")

    error, _, driver = broken(moving=moving)

    assert (error.rule, error.detail) == ("D16", "raised KeyError: 'lost'")
    assert (driver.mapping.stats.migrated, driver.mapping.stats.failed) == (2, 4)


@pytest.mark.parametrize("answer", [AGAIN, BUSY])
def test_a_page_that_moved_is_not_to_be_called_refused(answer: int) -> None:
    """It has been given up, whatever is said of it."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        driver.move(newpages[0], pages[0])
        return [answer] + [BUSY] * (len(pages) - 1)

    error, _, _ = broken(moving=moving)

    assert error.rule == "I16"
    assert error.detail == f"it answered {int(answer)}, and has given the page up"


def test_a_page_given_up_is_not_to_be_called_refused() -> None:
    """Not even where no new page was wanted for it, so that all of these are left."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        pages[0].private = 0
        pages[0].clear_movable()
        pages[0].put()
        return [BUSY] * len(pages)

    error, _, _ = broken(kept=PAGES - 1, moving=moving)

    assert error.rule == "I16"


def test_new_pages_are_taken_in_order() -> None:
    """A page that moves does not leave one out."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        driver.move(newpages[3], pages[3])
        return [BUSY, BUSY, BUSY, 0, BUSY, BUSY]

    error, _, _ = broken(moving=moving)

    assert error.rule == "D26"
    assert error.detail == "1 pages moved, and new page 4 is taken"


def test_a_page_behind_enomem_is_not_moved() -> None:
    """There is no answer that would say so."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        driver.move(newpages[0], pages[1])
        return [NOMEM]

    error, _, _ = broken(moving=moving)

    assert (error.rule, error.detail) == ("I16", "it gave no answer, and has given the page up")


@pytest.mark.parametrize("which", ["pages", "newpages"])
def test_pages_of_a_batch_stay_locked(which: str) -> None:
    """I04; the VM locks them again."""

    def moving(driver: Rude, newpages: Pagevec, pages: Pagevec) -> Any:
        {"pages": pages, "newpages": newpages}[which][2].unlock()
        return [BUSY] * len(pages)

    error, _, _ = broken(moving=moving)

    assert (error.rule, error.call) == ("I04", "rude.migratepages")


def test_putback_pages_answers_nothing() -> None:
    """There is nothing to answer."""
    error, _, _ = broken(
        Script([], [0] * PAGES, [1] * PAGES), taking_back=lambda driver, pages: [None] * len(pages)
    )

    assert (error.rule, error.call) == ("D20", "rude.putback_pages")


def test_a_driver_may_decline_a_batch() -> None:
    """And is asked about its pages one by one, as if there were no batches."""
    told = []
    for batches in (True, False):
        memory, driver = ground(
            isolating=lambda driver, pages: None, moving=lambda driver, newpages, pages: None
        )
        memory.asks_in_batches = batches
        contract = Contract()
        driver.mapping.attach(contract)
        asked = Asked(driver.mapping)
        memory.compact_memory()
        contract.check_at_rest()
        driver.mapping.detach(contract)
        told.append((bytes_of(memory), driver.log))
        assert asked.calls["isolate_page"] == asked.calls["migratepage"] == PAGES
        assert bool(asked.sizes) is batches

    assert told[0] == told[1]
    assert driver.mapping.stats.migrated == PAGES


JUDGED = {
    "D25": lambda driver, newpages, pages: [BUSY],
    "D16": lambda driver, newpages, pages: [7] * len(pages),
    "I15": lambda driver, newpages, pages: [0] * len(pages),
    "I04": lambda driver, newpages, pages: pages[1].unlock() or [BUSY] * len(pages),
    "I16": lambda driver, newpages, pages: (
        driver.move(newpages[0], pages[0]) or [BUSY] * len(pages)
    ),
    "D26": lambda driver, newpages, pages: (
        driver.move(newpages[1], pages[0]) or [0] + [BUSY] * (len(pages) - 1)
    ),
}


@pytest.mark.parametrize("rule", JUDGED)
def test_the_contract_says_the_same(rule: str) -> None:
    """At once, and by itself: it names the rule that the VM would name in the end."""
    memory, driver = ground(moving=JUDGED[rule])
    contract = Contract()
    driver.mapping.attach(contract)

    with pytest.raises(ContractViolation) as raised:
        memory.compact_memory()

    driver.mapping.detach(contract)
    assert raised.value.rule == rule
