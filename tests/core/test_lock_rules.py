"""What may be done while a lock is held: rules L01, L05, L07, L10 and D08, before they bite."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from core.frames import Shelf
from movable import (
    AddressSpace,
    IsolateMode,
    MigrateMode,
    MigrateResult,
    Mutex,
    Page,
    SpinLock,
    hookimpl,
    point,
)
from movable.errors import ContractViolation
from movable.gfp import GFP_KERNEL, GFP_NOWAIT
from movable.mm.memory import Memory
from movable.observers.lock_rules import Hook, LockRules
from movable.sched import Race
from movable.sched.lock_watch import watchers

HOOKS = ("isolate_page", "migratepage", "putback_page")


class Device(Shelf):
    """A shelf with a mutex, and something to do in each hook."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(memory)  # type: ignore[arg-type]
        memory.add_mapping(self.mapping)
        self.conf_sem = Mutex("conf_sem")
        self.during: dict[str, Callable[[], object]] = {}

    def grow(self) -> None:
        """Allocate with the device's mutex held."""
        with self.conf_sem:
            self.store(1)

    def use(self) -> None:
        with self.conf_sem:
            pass

    def try_to_use(self) -> None:
        if self.conf_sem.trylock():
            self.conf_sem.unlock()

    def _do(self, hook: str) -> None:
        self.during.get(hook, bool)()

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self._do("isolate_page")
        return super().isolate_page(page, mode)

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self._do("migratepage")
        if "putback_page" in self.during:
            return MigrateResult.BUSY
        return super().migratepage(mapping, newpage, page, mode)

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self._do("putback_page")
        super().putback_page(page)


@pytest.fixture
def memory() -> Memory:
    """The lower half is free, and every other frame of the upper: a block that is free as a whole
    is no target."""
    memory = Memory.blank(64, pageblock_order=3, max_order=5)
    taken = sorted((memory.alloc_page() for _ in range(64)), key=lambda page: page.pfn)
    for page in [*taken[33::2], *reversed(taken[:32])]:
        page.put()
    return memory


@pytest.fixture
def device(memory: Memory) -> Device:
    return Device(memory)


@pytest.fixture
def rules(device: Device) -> Iterator[LockRules]:
    rules = LockRules()
    device.mapping.attach(rules)
    yield rules
    device.mapping.detach(rules)


def move(memory: Memory, device: Device) -> None:
    """Have the driver asked about a page, in every hook that has something to do."""
    device.store(9)
    memory.compact_memory()


# L05.


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("allocation_first", [True, False])
def test_a_lock_is_not_waited_for_in_hooks_and_held_in_allocations(
    memory: Memory, device: Device, rules: LockRules, hook: str, allocation_first: bool
) -> None:
    """L05, whichever of the two is seen first, and though nobody ever waited."""
    device.during[hook] = device.use
    if allocation_first:
        device.grow()
    else:
        move(memory, device)

    with pytest.raises(ContractViolation) as error:
        move(memory, device) if allocation_first else device.grow()

    detail = re.sub(r" after '[\w ]+'", "", error.value.detail)
    assert error.value.rule == "L05"
    assert detail == (
        f"main waits for conf_sem in Device.use ({hook}),"
        " and main allocates with conf_sem held in Shelf.store"
    )
    assert not device.conf_sem.is_locked()
    memory.validate()


def test_a_lock_that_the_hooks_own_task_holds_is_never_free(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """The collision itself: this compaction is part of the allocation."""
    device.store(9)
    device.during["isolate_page"] = device.use

    with device.conf_sem, pytest.raises(ContractViolation) as error:
        memory.compact_memory()

    assert error.value.rule == "L05"
    assert "a lock that its own task has taken in test_a_lock" in error.value.detail


def test_a_lock_that_hooks_try_may_be_held_in_allocations(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """The legal way: refuse, or answer -EAGAIN."""
    device.during = dict.fromkeys(HOOKS, device.try_to_use)

    device.grow()
    move(memory, device)

    assert rules.waits == {}
    assert len(rules.allocations) == 1


def test_a_lock_that_is_waited_for_elsewhere_may_be_held_in_allocations(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """Only hooks are called from inside the allocation."""
    move(memory, device)
    device.grow()
    device.use()

    assert rules.waits == {}


def test_another_tasks_hook_is_not_ones_own(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """A user waits for the lock while a compactor is in a hook: that is no rule's business."""
    race = Race()
    device.store(9)
    user = race.task("user", device.use)
    device.during["isolate_page"] = lambda: point("asked")
    compactor = race.task("compactor", memory.compact_memory)
    compactor.until("asked")
    user.finish()
    race.run()

    device.grow()

    assert rules.waits == {}


# L07.


def test_nothing_is_allocated_with_a_published_page_locked(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """Putting back would wait for that lock, and the allocation for putting back."""
    page = device.store(1)
    page.lock()

    with pytest.raises(ContractViolation) as error:
        memory.alloc_page()

    assert error.value.rule == "L07"
    assert "the lock of a page that can be isolated, taken in test_nothing" in error.value.detail
    page.unlock()
    memory.alloc_page()


def test_a_page_that_nobody_can_isolate_may_be_locked_meanwhile(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """Before it is published, and after it was given up."""
    page = memory.alloc_page()
    page.lock()
    memory.alloc_page()
    page.set_movable(device.mapping)
    page.clear_movable()
    memory.alloc_page()
    page.unlock()

    assert rules.allocations == {}


@pytest.mark.parametrize(("hook", "rule"), [*zip(HOOKS, ("D08", "L07", "L07"), strict=True)])
def test_no_hook_allocates(
    memory: Memory, device: Device, rules: LockRules, hook: str, rule: str
) -> None:
    """The VM holds the page's lock for it."""
    device.during[hook] = memory.alloc_page

    with pytest.raises(ContractViolation) as error:
        move(memory, device)

    assert error.value.rule == rule
    memory.validate()


# L10.


def test_nothing_that_may_sleep_is_allocated_while_spinning(
    memory: Memory, rules: LockRules
) -> None:
    """An allocation that must not reclaim does not sleep (GFP_NOWAIT)."""
    with SpinLock("pool lock"):
        memory.alloc_pages(GFP_NOWAIT, 0)
        for allocate in (lambda: memory.alloc_pages(GFP_KERNEL, 0), memory.alloc_page):
            with pytest.raises(ContractViolation) as error:
                allocate()

            assert error.value.rule == "L10"
            assert "pool lock" in error.value.page


def test_a_range_is_an_allocation_too(memory: Memory, rules: LockRules) -> None:
    """alloc_contig_range() migrates, and migration sleeps."""
    with SpinLock("pool lock"), pytest.raises(ContractViolation) as error:
        memory.alloc_contig_range(0, 8)

    assert error.value.rule == "L10"


# L01.


@pytest.mark.parametrize("hook", HOOKS)
def test_what_a_hook_waits_for_comes_behind_page_locks(
    memory: Memory, device: Device, rules: LockRules, hook: str
) -> None:
    """The VM holds the page lock when it asks; who takes them the other way round may meet it."""
    device.during[hook] = device.use
    move(memory, device)
    [page] = device.pages

    with device.conf_sem, pytest.raises(ContractViolation) as error:
        page.lock()

    assert error.value.rule == "L01"
    assert f"took the lock of page 0 to call {hook}, then waits for conf_sem" in error.value.detail


def test_after_a_hook_its_page_lock_is_held_no_more(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """Whatever became of the page."""
    device.during = {"isolate_page": bool, "migratepage": bool}
    move(memory, device)
    device.during["putback_page"] = bool
    move(memory, device)

    assert rules.held() == []


def test_the_vms_own_waits_for_page_locks_are_seen(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """In a race it sleeps for them; whoever calls it with a lock held that page locks come before
    has the order wrong."""
    page = device.store(1)
    page.lock()
    device.use()
    page.unlock()
    race = Race()

    def hold_page() -> None:
        page.lock()
        point("page held")
        page.unlock()

    def compact() -> None:
        with device.conf_sem:
            memory.compact_memory()

    compactor = race.task("compactor", compact)
    holder = race.task("holder", hold_page)
    compactor.until("isolate unlocked")
    holder.until("page held")

    with pytest.raises(ContractViolation) as error:
        compactor.finish()

    assert error.value.rule == "L01"


def test_what_the_vm_waited_for_is_not_thought_to_be_held_for_ever(
    memory: Memory, device: Device, rules: LockRules
) -> None:
    """Compiled code unlocks the page again, which nobody hears."""
    page, race, held = device.store(1), Race(), list[object]()

    def hold_page() -> None:
        page.lock()
        point("page held")
        page.unlock()

    def compact() -> None:
        memory.compact_memory()
        held.extend(rules.held())

    compactor = race.task("compactor", compact)
    holder = race.task("holder", hold_page)
    compactor.until("isolate unlocked")
    holder.until("page held")
    compactor.finish()

    assert holder.done
    assert device.mapping.stats.migrated == 1
    assert held == []


# Watching.


def test_one_watches_many_drivers(memory: Memory) -> None:
    """From the first that it is attached to until the last has gone."""
    one, other, rules = Device(memory), Device(memory), LockRules()
    one.mapping.attach(rules)
    other.mapping.attach(rules)
    other.during["isolate_page"] = other.use
    one.grow()

    with pytest.raises(ContractViolation, match="L05"):
        move(memory, other)

    one.mapping.detach(rules)
    assert watchers == [rules]
    other.mapping.detach(rules)
    assert watchers == []


def test_a_new_schedule_is_in_no_hook(memory: Memory, device: Device, rules: LockRules) -> None:
    """A task that was given up inside one never comes out."""
    rules._hooks[Race().task("t", bool)] = [Hook("isolate_page", [])]

    rules.begin()

    assert not rules._hooks
