"""No answer of a driver can hurt the VM: the promise is named, and the memory stays whole."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import small
from movable import AddressSpace, IsolateMode, MigrateMode, Mutex, Page, hookimpl, sched
from movable.drivers.scripted import Script, Scripted
from movable.errors import ContractViolation, Deadlock
from movable.mm import driver_calls
from movable.mm.compact_control import CompactControl
from movable.mm.memory import Memory
from movable.mm.mm_types import EBUSY
from movable.mm.population import OrdinaryMapping
from movable.page_flags import PAGE_MAPPING_ANON, PAGE_MAPPING_KSM, PAGE_MAPPING_MOVABLE


class Rude(Scripted):
    """Breaks one promise in one hook, and does the rest as it should."""

    hook = ""
    answer: Any = None
    error: Exception | None = None
    unlocks = ""
    puts = 0
    """References that it drops, of which at most one is its own."""

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        taken = super().isolate_page(page, mode)
        return bool(taken) if self.hook != "isolate_page" else self._misbehave(page, page)

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if self.hook == "migratepage":
            answer: int = self._misbehave(page, newpage)
            return answer
        return super().migratepage(mapping, newpage, page, mode)

    @hookimpl
    def putback_page(self, page: Page) -> None:
        super().putback_page(page)
        if self.hook == "putback_page":
            self._misbehave(page, page)

    def _misbehave(self, page: Page, newpage: Page) -> Any:
        if self.unlocks:
            {"page": page, "newpage": newpage}[self.unlocks].unlock()
        for _ in range(self.puts):
            page.put()
        if self.error:
            raise self.error
        return self.answer


def broken(**mistake: Any) -> tuple[ContractViolation, Memory, Rude, Page]:
    """Compact three pages of a driver with a mistake: what is raised, and what is left."""
    ground = small()
    hook = mistake.get("hook")
    driver = Rude(ground.memory, Script([0] * 3, [0] * 3, [int(hook == "putback_page")] * 3))
    for name, value in mistake.items():
        setattr(driver, name, value)
    pages = ground.driver(driver.mapping, ground.span(0, range(3)))
    memory = ground.done()

    with pytest.raises(ContractViolation) as raised:
        memory.compact_memory()
    return raised.value, memory, driver, pages[0]


def isolated_pages(memory: Memory, driver: Rude) -> int:
    """How many of the driver's pages are still isolated."""
    pages = [memory.page(pfn) for pfn in range(memory.nr_frames)]
    return sum(page.isolated for page in pages if page.mapping is driver.mapping)


HOOKS = {"isolate_page": "D06", "migratepage": "D16", "putback_page": "D20"}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_raises_breaks_a_promise(hook: str) -> None:
    """The error's own words are kept, and the rule of that hook is named."""
    error, memory, driver, _ = broken(hook=hook, error=KeyError("lost"))

    assert error.rule == HOOKS[hook]
    assert error.call == f"rude.{hook}"
    assert error.detail == "raised KeyError: 'lost'"
    assert isolated_pages(memory, driver) == 0
    memory.validate()


@pytest.mark.parametrize("answer", [None, 7, 0, 1, "x"])
def test_isolate_page_must_answer_true_or_false(answer: object) -> None:
    """A page whose driver answers nonsense is not taken."""
    error, memory, driver, page = broken(hook="isolate_page", answer=answer)

    assert error.rule == "D06"
    assert error.detail.startswith(f"answered {answer!r}, ")
    assert (page.isolated, page.locked, page.refcount) == (False, False, 1)
    assert isolated_pages(memory, driver) == 0
    memory.validate()


@pytest.mark.parametrize("answer", [None, 7, "x", True, False, -4096, 1.0])
def test_migratepage_must_answer_0_or_an_errno(answer: object) -> None:
    """Anything else counts as -EBUSY, so the page is put back."""
    error, memory, driver, page = broken(hook="migratepage", answer=answer)

    assert error.rule == "D16"
    assert error.detail.startswith(f"answered {answer!r}, ")
    assert driver.mapping.stats.putback == 3
    assert (page.isolated, page.locked, page.refcount) == (False, False, 1)
    assert isolated_pages(memory, driver) == 0
    memory.validate()


@pytest.mark.parametrize(
    ("hook", "unlocks", "answer"),
    [
        ("isolate_page", "page", True),
        ("isolate_page", "page", False),
        ("migratepage", "page", -16),
        ("migratepage", "newpage", -16),
        ("putback_page", "page", None),
    ],
)
def test_a_hook_must_return_with_the_page_locked(hook: str, unlocks: str, answer: object) -> None:
    """I04; the VM locks it again and goes on as if nothing had happened."""
    error, memory, driver, page = broken(hook=hook, unlocks=unlocks, answer=answer)

    assert (error.rule, error.call) == ("I04", f"rude.{hook}")
    assert "unlocked" in error.detail
    assert (page.locked, isolated_pages(memory, driver)) == (False, 0)
    memory.validate()


@pytest.mark.parametrize("hook", ["isolate_page", "migratepage"])
def test_the_reference_of_the_vm_is_not_dropped(hook: str) -> None:
    """A page that is freed while a compactor has it listed would end up on two lists, along one of
    which compiled code never comes to the end."""
    error, memory, driver, page = broken(hook=hook, puts=2)

    assert (error.rule, error.call) == ("I10", "put")
    assert "not the caller's to drop" in error.detail
    assert isolated_pages(memory, driver) == 0
    memory.validate()
    assert page.refcount == 0  # and freed by the VM


def test_the_first_of_several_mistakes_is_named() -> None:
    """What follows is often only its consequence."""
    error, *_ = broken(hook="migratepage", unlocks="page", answer="x")

    assert error.rule == "D16"


def test_a_violation_that_a_hook_raises_itself_is_passed_on() -> None:
    """An observer's verdict is not wrapped in another."""
    verdict = ContractViolation("I08", "<Page 1>", "test", "seen")

    error, memory, *_ = broken(hook="migratepage", error=verdict)

    assert error is verdict
    memory.validate()


def test_after_a_mistake_the_memory_can_be_compacted_again() -> None:
    """The fault is told once, and does not stick."""
    _, memory, driver, _ = broken(hook="migratepage", answer=None)
    driver.hook = ""

    memory.compact_memory()

    assert driver.mapping.stats.migrated == 3
    memory.validate()


def test_the_run_ends_at_the_first_mistake() -> None:
    """Later zones and blocks are not touched by a VM whose driver lies."""
    ground = small()
    driver = Rude(ground.memory)
    driver.hook, driver.answer = "isolate_page", None
    ground.driver(driver.mapping, [*ground.span(0, [0]), *ground.span(1, [0])])
    memory = ground.done()

    with pytest.raises(ContractViolation):
        memory.compact_memory()

    assert driver.calls == 1


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_that_waits_for_ever_breaks_a_promise(hook: str) -> None:
    """Outside a race nobody could let go of the mutex, so the VM does not hang with its driver."""
    mutex = Mutex("device")
    mutex.lock()
    with pytest.raises(Deadlock) as waits:
        mutex.lock()

    error, memory, driver, page = broken(hook=hook, error=waits.value)

    assert error.rule == "I18"
    assert error.detail.startswith("would wait for ever: ")
    assert (page.isolated, page.locked, page.refcount) == (False, False, 1)
    assert isolated_pages(memory, driver) == 0
    memory.validate()


def test_a_page_that_was_locked_and_left_is_put_back_all_the_same() -> None:
    """L07: outside a race its lock would never come free; the VM says so and cleans up."""
    ground = small()
    driver = Scripted(ground.memory)
    [page] = ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()

    def forget(label: str, seen: Page | None) -> None:
        if label == "isolate unlocked" and seen == page:
            page.trylock()

    sched.subscribe(forget)
    try:
        with pytest.raises(ContractViolation) as raised:
            memory.compact_memory()
    finally:
        sched.unsubscribe(forget)

    assert raised.value.rule == "L07"
    assert driver.mapping.stats.putback == 1
    assert (page.isolated, page.locked, page.refcount) == (False, False, 1)
    memory.validate()


# What the VM must not do.

BARE = PAGE_MAPPING_MOVABLE
RELEASED = {"isolate_page": "V04", "migratepage": "V16", "putback_page": "V24"}


def asked_about(hook: str, tag: int, pointer: object) -> tuple[ContractViolation, CompactControl]:
    """Have *hook* called about a page whose mapping word is *tag* and leads to *pointer*."""
    ground = small()
    page = ground.driver(Rude(ground.memory).mapping, ground.span(0, range(1)))[0]
    memory = ground.done()
    memory.mapping[page.pfn] = (memory.word_of(pointer) if pointer else 0) | tag
    cc = CompactControl(memory, MigrateMode.SYNC)
    getattr(driver_calls, hook)(cc, page.pfn)
    with pytest.raises(ContractViolation) as raised:
        memory.raise_fault()
    return raised.value, cc


@pytest.mark.parametrize("tag", [PAGE_MAPPING_ANON, PAGE_MAPPING_KSM, PAGE_MAPPING_MOVABLE])
@pytest.mark.parametrize("hook", HOOKS)
def test_a_word_that_leads_to_no_driver_is_not_followed(hook: str, tag: int) -> None:
    """I02: whatever stands there, it has no hooks, and the page stays where it is."""
    error, cc = asked_about(hook, tag, OrdinaryMapping("anon_vma"))

    assert (error.rule, error.call) == ("I02", f"its driver.{hook}")
    assert "leads to no driver" in error.detail
    assert hook != "migratepage" or cc["rc"] == EBUSY


@pytest.mark.parametrize("hook", HOOKS)
def test_a_driver_is_not_asked_about_a_page_that_it_gave_up(hook: str) -> None:
    """V04, V16, V24: the tag is there, and nobody behind it."""
    error, _ = asked_about(hook, BARE, None)

    assert error.rule == RELEASED[hook]
    assert "has given the page up" in error.detail


@pytest.mark.parametrize(("mode", "direct"), [(MigrateMode.ASYNC, 0), (MigrateMode.SYNC_LIGHT, 1)])
def test_who_must_not_block_waits_for_no_page_lock(mode: MigrateMode, direct: int) -> None:
    """I18, P04: not even outside a race, where nobody would ever let go of it."""
    ground = small()
    page = ground.driver(Rude(ground.memory).mapping, ground.span(0, range(1)))[0]
    memory = ground.done()
    cc = CompactControl(memory, mode, direct_compaction=direct)

    driver_calls.lock_page(cc, page.pfn)

    with pytest.raises(ContractViolation, match=r"must not \[I18") as raised:
        memory.raise_fault()
    assert raised.value.call == "migrate_pages"
    assert not cc["rc"]
