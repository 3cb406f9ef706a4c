"""Migration of drivers' pages: the rules that the VM keeps, and what each return code means."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, control, isolate_movable_page, migrate, small
from core.mm.watching import Watch, calls, one_page
from movable import AddressSpace, IsolateMode, MigrateMode, MigrateResult, Page, hookimpl
from movable.drivers.scripted import ISOLATE, MIGRATE, PUTBACK, Script, Scripted
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.page_flags import PAGE_MAPPING_MOVABLE

MODE = IsolateMode.UNEVICTABLE


class Answers(Scripted):
    """Answers one number to every migratepage."""

    answer = 0

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        if self.answer == MigrateResult.SUCCESS:
            return super().migratepage(mapping, newpage, page, mode)
        self.log.extend((MIGRATE, page.private, page.pfn, newpage.pfn, mode, self.answer))
        return self.answer


def run(count: int = 1, script: Script | None = None) -> tuple[Scripted, Memory]:
    """Compact *count* pages of a scripted driver."""
    ground = small()
    driver = Scripted(ground.memory, script)
    ground.driver(driver.mapping, ground.span(0, range(count)))
    memory = ground.done()
    memory.compact_memory()
    memory.validate()
    return driver, memory


# What each return code means (contract, table 1.4).


def test_success_moves_the_page_and_frees_the_old_one() -> None:
    """0: identity, number and contents are the target's; the source is free."""
    ground = small()
    driver = Scripted(ground.memory)
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    page.content = 77
    memory = ground.done()

    memory.compact_memory()

    new = memory.page(driver.log[9])
    assert new.pfn >= ground.at(3)
    assert (new.content, new.refcount, new.mapping, new.locked) == (77, 1, driver.mapping, False)
    assert (page.refcount, memory.mapping[page.pfn]) == (0, 0)
    assert memory.vmstat()["pgmigrate_success"] == 1
    memory.validate()


def test_again_is_asked_ten_times_and_then_put_back() -> None:
    """-EAGAIN: another pass, with a target each time; after the last it counts as failed."""
    driver, memory = run(script=Script([0], [99], [0]))

    assert calls(driver) == [(ISOLATE, 0), *[(MIGRATE, 0)] * 10, (PUTBACK, 0)]
    assert memory.vmstat()["pgmigrate_fail"] == 1
    assert (driver.mapping.stats.again, driver.mapping.stats.putback) == (10, 1)


def test_a_page_that_is_ready_in_the_tenth_pass_still_moves() -> None:
    """Nine times -EAGAIN is not a failure."""
    driver, memory = run(script=Script([0], [9], [0]))

    assert calls(driver) == [(ISOLATE, 0), *[(MIGRATE, 0)] * 10]
    assert (memory.vmstat()["pgmigrate_success"], memory.vmstat()["pgmigrate_fail"]) == (1, 0)


def test_the_target_of_a_failed_attempt_serves_the_next_page() -> None:
    """V21: it goes back to the front of the free list."""
    driver, _ = run(2, Script([0, 0], [0, 1], [0, 0]))

    migrations = [driver.log[i : i + 6] for i in range(0, len(driver.log), 6)][2:]
    assert [(row[1], row[5]) for row in migrations] == [(1, -11), (0, 0), (1, 0)]
    assert migrations[0][3] == migrations[1][3] != migrations[2][3]


@pytest.mark.parametrize("answer", [-16, -22, -5, -38, -1, -4095])
def test_any_other_error_is_permanent(answer: int) -> None:
    """-EBUSY, -EINVAL, -EIO, and -ENOSYS too: no retry, put back once by the caller."""
    ground = small()
    driver = Answers(ground.memory)
    driver.answer = answer
    ground.driver(driver.mapping, ground.span(0, range(2)))
    memory = ground.done()

    memory.compact_memory()

    order = [(ISOLATE, 0), (ISOLATE, 1), (MIGRATE, 1), (MIGRATE, 0), (PUTBACK, 1), (PUTBACK, 0)]
    assert calls(driver) == order
    assert memory.vmstat()["pgmigrate_fail"] == 2
    assert (driver.mapping.stats.failed, driver.mapping.stats.putback) == (2, 2)
    memory.validate()


def test_no_memory_stops_the_whole_call() -> None:
    """-ENOMEM from a driver: nobody else is tried, and everybody is put back once (V23)."""
    ground = small()
    driver = Answers(ground.memory)
    driver.answer = t.ENOMEM
    ground.driver(driver.mapping, ground.span(0, range(3)))
    memory = ground.done()

    memory.compact_memory()

    assert calls(driver)[3:] == [(MIGRATE, 2), (PUTBACK, 2), (PUTBACK, 1), (PUTBACK, 0)]
    assert memory.vmstat()["pgmigrate_fail"] == 1
    memory.validate()


def test_without_targets_no_driver_is_asked_to_migrate() -> None:
    """-ENOMEM from the VM itself: what was isolated is put back, each page once (V23)."""
    ground = Ground(3, 4, 6)
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, ground.span(0, range(3)))
    ground.kernel([*ground.span(1, range(16)), *ground.span(2, range(16))])
    memory = ground.done()

    memory.compact_memory()

    assert calls(driver)[3:] == [(PUTBACK, 2), (PUTBACK, 1), (PUTBACK, 0)]
    memory.validate()


def test_a_refused_page_is_skipped_without_a_trace() -> None:
    """V05: False leaves no flag, no reference and no state."""
    driver, memory = run(1, Script([1], [0], [0]))

    assert calls(driver) == [(ISOLATE, 0)]
    assert driver.mapping.stats.refused == 1
    assert memory.vmstat()["compact_isolated"] == 0
    assert memory.refcount[driver.log[2]] == 1


def test_the_hooks_are_told_the_modes_of_a_manual_run() -> None:
    """P05: /proc/sys/vm/compact_memory is synchronous, and takes unevictable pages too."""
    driver, _ = run()

    assert (driver.log[4], driver.log[10]) == (IsolateMode.UNEVICTABLE, MigrateMode.SYNC)


# References and the mapping word.


def test_further_references_do_not_stop_a_migration() -> None:
    """V15: unlike for LRU pages, no number is expected."""
    memory, page, _ = one_page()
    page.get()

    memory.compact_memory()

    assert memory.vmstat()["pgmigrate_success"] == 1
    assert (page.refcount, page.isolated) == (1, False)


def test_the_mapping_word_of_a_moved_page_stays_if_it_is_tagged() -> None:
    """S12, V17: the free path resets it."""
    memory, page, _ = one_page()
    page.get()

    memory.compact_memory()

    assert memory.mapping[page.pfn] == PAGE_MAPPING_MOVABLE
    page.put()
    assert memory.mapping[page.pfn] == 0


class Untagging(Scripted):
    """Leaves an untagged pointer behind."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        answer = super().migratepage(mapping, newpage, page, mode)
        memory = self.memory
        assert isinstance(memory, Memory)
        memory.mapping[page.pfn] = memory.word_of(mapping)
        return answer


def test_an_untagged_mapping_word_is_reset() -> None:
    """S12, V17: with no tag nobody else would do it."""
    ground = small()
    driver = Untagging(ground.memory)
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    page.get()
    memory = ground.done()

    memory.compact_memory()

    assert memory.mapping[page.pfn] == 0


class Looking(Scripted):
    """Notes what holds while it is asked to migrate."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.seen = (page.locked, newpage.locked, page.isolated, newpage.refcount)
        self.blank = (newpage.private, newpage.mapping, newpage.isolated, newpage.listed)
        self.mode = mode
        return super().migratepage(mapping, newpage, page, mode)


def test_a_driver_is_asked_with_both_pages_locked() -> None:
    """V12 to V16: the source isolated, the target blank and referenced once."""
    ground = small()
    driver = Looking(ground.memory)
    ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()

    memory.compact_memory()

    assert driver.seen == (True, True, True, 1)
    assert driver.blank == (0, None, False, False)


def test_no_copy_reaches_the_driver() -> None:
    """P06: the contents are copied by somebody else, a device; only the driver can know."""
    ground = small()
    driver = Looking(ground.memory)
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()
    isolate_movable_page(memory, page.pfn)

    assert migrate(control(memory, [page.pfn], MigrateMode.SYNC_NO_COPY)) == 0

    assert driver.mode is MigrateMode.SYNC_NO_COPY
    memory.validate()


def test_a_moved_page_leaves_the_vms_list_before_it_is_freed() -> None:
    """V11: unlock, list_del, put."""
    memory, _, _ = one_page()

    with Watch() as labels:
        memory.compact_memory()

    assert labels[labels.index("migrate returned") :] == [
        "migrate returned",
        "isolated cleared",
        "unlocked",
        "off the migrate list",
        "freed",
    ]


def test_a_page_is_put_back_before_its_flag_is_cleared() -> None:
    """V11, V24: off the list first, then the driver, then the flag, under one lock."""
    memory, _, _ = one_page(Script([0], [0], [1]))

    with Watch() as labels:
        memory.compact_memory()

    assert labels[labels.index("target returned") + 1 :] == [
        "off the migrate list",
        "putback locked",
        "isolated cleared",
        "unlocked",
        "source put",
    ]
