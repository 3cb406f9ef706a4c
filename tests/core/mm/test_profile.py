"""Each difference between kernels is a field, and each field has both its sides here."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from core.mm.ground import Ground, control, isolate_movable_page, migrate, rows, small
from movable import AddressSpace, IsolateMode, MigrateMode, MigrateResult, Page, hookimpl, sched
from movable.drivers.scripted import MIGRATE, PUTBACK, Script, Scripted
from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.mm import tracepoints
from movable.mm.memory import Memory
from movable.mm.profile import PATCHES, PROFILES, Profile, profile
from movable.page_flags import PG_lru

SIX = PROFILES["6.1"]
FOUR = PROFILES["4.8"]


def with_field(name: str, value: object) -> Profile:
    """6.1 with one field as given."""
    return replace(SIX, **{name: value})  # type: ignore[arg-type]


def test_every_field_is_a_difference() -> None:
    """A field in which all kernels agree would not be one; a patch that none has taken may be."""
    older = [profile for profile in PROFILES.values() if profile is not SIX]
    for field in fields(Profile):
        if field.name in PATCHES:
            continue
        assert {getattr(profile, field.name) for profile in older} != {getattr(SIX, field.name)}
    assert SIX.batch == 512


def test_the_default_is_the_kernel_of_the_recordings() -> None:
    """6.1, and the seed's kernel by name."""
    assert Memory(64, ["DMA32"], pageblock_order=3, max_order=5).profile is SIX
    assert profile("4.8") is FOUR


def test_an_unknown_kernel_is_answered_with_those_there_are() -> None:
    """The remedy lists them."""
    with pytest.raises(BadInput) as error:
        profile("2.6")

    assert str(error.value) == "profile: no kernel '2.6'; choose one of 3.4, 4.8, 4.20, 5.10, 6.1"


# target_before_freed_test


class Freeing(Scripted):
    """Asked about its second page, it frees its first, which is isolated, and refuses."""

    first: Page

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        if page.private == 1:
            self.first.trylock()
            self.first.clear_movable()
            self.first.unlock()
            self.first.put()
            return False
        self.first = page
        return True


@pytest.mark.parametrize(("early", "scanned"), [(False, 0), (True, 2)])
def test_a_page_freed_while_isolated_may_cost_a_target(early: bool, scanned: int) -> None:
    """V19: 4.8 looks for a target first and gives it back; later none is taken."""
    ground = small(with_field("target_before_freed_test", early))
    driver = Freeing(ground.memory)
    ground.driver(driver.mapping, ground.span(0, range(2)))
    memory = ground.done()
    labels: list[str] = []
    watch = lambda label, page: labels.append(label)  # noqa: E731

    sched.subscribe(watch)
    memory.compact_memory()
    sched.unsubscribe(watch)

    assert memory.vmstat()["compact_free_scanned"] == scanned
    assert ("target returned" in labels) is early
    assert memory.vmstat()["pgmigrate_success"] == 1
    memory.validate()


# target_disposed_by_own_tag


class Hiding(Scripted):
    """Keeps the new page without publishing it as movable."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        newpage.get()
        self.kept = newpage
        page.clear_movable()
        page.put()
        return MigrateResult.SUCCESS


@pytest.mark.parametrize("by_tag", [False, True])
def test_a_target_that_was_not_published_may_land_on_the_lru(by_tag: bool) -> None:
    """V20: 4.8 takes what is not tagged movable for an LRU page; later the source decides."""
    ground = small(with_field("target_disposed_by_own_tag", by_tag))
    driver = Hiding(ground.memory)
    ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert bool(memory.flags[driver.kept.pfn] & PG_lru) is by_tag
    assert driver.kept.refcount == 1
    memory.validate()


# putback_at_once


@pytest.mark.parametrize("at_once", [False, True])
def test_a_page_that_failed_for_good_is_put_back_at_once_or_at_the_end(at_once: bool) -> None:
    """V22: inside the attempt, or by the caller after all attempts."""
    ground = small(with_field("putback_at_once", at_once))
    driver = Scripted(ground.memory, Script([0] * 2, [0] * 2, [1] * 2))
    ground.driver(driver.mapping, ground.span(0, range(2)))
    memory = ground.done()

    memory.compact_memory()

    order = [MIGRATE, PUTBACK, MIGRATE, PUTBACK] if at_once else [MIGRATE] * 2 + [PUTBACK] * 2
    assert driver.log[12::6] == order
    memory.validate()


@pytest.mark.parametrize(("at_once", "result"), [(False, 1), (True, 1)])
def test_failed_pages_are_counted_either_way(at_once: bool, result: int) -> None:
    """migrate_pages() says how many pages were not migrated, also if it put them back itself."""
    ground = small(with_field("putback_at_once", at_once))
    driver = Scripted(ground.memory, Script([0], [0], [1]))
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()
    isolate_movable_page(memory, page.pfn)

    assert migrate(control(memory, [page.pfn])) == result

    assert driver.mapping.stats.putback == 1
    memory.validate()


@pytest.mark.parametrize("at_once", [False, True])
def test_lru_pages_that_failed_for_good_are_put_back_in_either_way(at_once: bool) -> None:
    """The compiled branch asks the same field."""
    ground = small(with_field("putback_at_once", at_once))
    ground.file([ground.at(0)], t.HAS_NEITHER, flags=8)  # PG_dirty
    memory = ground.done()

    memory.compact_memory()
    memory.lru_add_drain_all()

    assert memory.lru_stats["page cache"]["putback"] == 1
    assert memory.vmstat()["pgmigrate_fail"] == 1
    memory.validate()


# retries_fail_with_enomem


class Short(Scripted):
    """The page that is tried first answers -EAGAIN, the next -ENOMEM."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        return t.EAGAIN if page.private else t.ENOMEM


@pytest.mark.parametrize(("retries_fail", "failed"), [(False, 1), (True, 2)])
def test_pages_waiting_for_another_pass_may_count_when_memory_runs_out(
    retries_fail: bool, failed: int
) -> None:
    """6.1 adds them to pgmigrate_fail."""
    ground = small(with_field("retries_fail_with_enomem", retries_fail))
    driver = Short(ground.memory)
    ground.driver(driver.mapping, ground.span(0, range(2)))
    memory = ground.done()

    memory.compact_memory()

    assert memory.vmstat()["pgmigrate_fail"] == failed
    assert driver.mapping.stats.putback == 2


# batch


@pytest.mark.parametrize(
    ("batch", "order"),
    [(None, [2, 1, 0, 2, 1, 0]), (2, [2, 1, 2, 1, 0, 0])],
    ids=["all at once", "two at a time"],
)
def test_a_batch_is_done_with_before_the_next_is_begun(batch: int | None, order: list[int]) -> None:
    """P03: all passes over one batch, then the next; 4.8 knows no batches."""
    ground = small(with_field("batch", batch))
    driver = Scripted(ground.memory, Script([0] * 3, [1] * 3, [0] * 3))
    ground.driver(driver.mapping, ground.span(0, range(3)))
    memory = ground.done()

    memory.compact_memory()

    log = driver.log
    assert [log[i + 1] for i in range(0, len(log), 6) if log[i] == MIGRATE] == order
    assert driver.mapping.stats.migrated == 3


@pytest.mark.large
def test_a_batch_of_6_1_has_512_pages() -> None:
    """With order-10 pageblocks a rescan isolates more than that."""
    ground = Ground(3, 10, 11)
    driver = Scripted(ground.memory, Script([0] * 640, [1] * 640, [0] * 640))
    ground.driver(driver.mapping, ground.span(0, range(640)))
    ground.kernel([ground.at(2)])
    memory = ground.done()

    memory.compact_memory()

    log = driver.log
    tried = [log[i + 1] for i in range(0, len(log), 6) if log[i] == MIGRATE][64:]
    assert tried[:512] == tried[512:1024] == list(range(639, 127, -1))
    assert len(tried) == 2 * 608
    assert rows(memory, tracepoints.MIGRATE_PAGES)[1][1:3] == (608, 0)


# counts_isolated_driver_pages


class Counting(Scripted):
    """Notes the LRU statistics while it is asked to migrate."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        assert isinstance(self.memory, Memory)
        self.seen = self.memory.node["nr_isolated"][0].tolist()
        return super().migratepage(mapping, newpage, page, mode)


@pytest.mark.parametrize(("counts", "seen"), [(False, [0, 0]), (True, [0, 3])])
@pytest.mark.parametrize("fail", [0, 1])
def test_isolated_driver_pages_may_be_in_the_lru_statistics(
    counts: bool, seen: list[int], fail: int
) -> None:
    """V25: 4.8 counted them as file pages; in the end they are all taken off again."""
    ground = small(with_field("counts_isolated_driver_pages", counts))
    driver = Counting(ground.memory, Script([0] * 3, [0] * 3, [0, 0, fail]))
    ground.driver(driver.mapping, ground.span(0, range(3)))
    memory = ground.done()

    memory.compact_memory()

    assert driver.seen == ([0, 1 + fail] if counts else seen)
    assert memory.node["nr_isolated"][0].tolist() == [0, 0]
    memory.validate()


# sync_no_copy


@pytest.mark.parametrize("known", [False, True])
def test_a_kernel_may_not_know_the_mode_without_copies(known: bool) -> None:
    """P06: MIGRATE_SYNC_NO_COPY is from 4.14."""
    ground = small(with_field("sync_no_copy", known))
    memory = ground.done()

    if known:
        assert migrate(control(memory, [], MigrateMode.SYNC_NO_COPY)) == 0
    else:
        with pytest.raises(BadInput, match="has no mode SYNC_NO_COPY"):
            control(memory, [], MigrateMode.SYNC_NO_COPY)


@pytest.mark.parametrize("kernel", [FOUR, SIX], ids=["4.8", "6.1"])
def test_a_memory_is_whole_after_a_run_of_either_kernel(kernel: Profile) -> None:
    """All fields of one kernel at once, with pages that move, wait, fail and refuse."""
    ground = small(kernel)
    driver = Scripted(ground.memory, Script([0, 1, 0, 0], [0, 0, 3, 99], [0, 0, 0, 0]))
    ground.driver(driver.mapping, ground.span(0, range(4)))
    ground.anon(ground.span(0, range(4, 8)))
    memory = ground.done()

    memory.compact_memory()

    stats = driver.mapping.stats
    assert (stats.migrated, stats.refused, stats.putback) == (2, 1, 1)
    assert memory.lru_stats["anonymous"]["migrated"] == 4
    memory.validate()
