"""Named races of compactors with each other and with a page's owner, on the real memory."""

from __future__ import annotations

import pytest

from core.mm.ground import small
from movable import Page
from movable.drivers.scripted import ISOLATE, MIGRATE, PUTBACK, Script, Scripted
from movable.errors import Deadlock
from movable.mm.memory import Memory
from movable.sched import Race


def one_page(script: Script | None = None) -> tuple[Memory, Scripted, Page]:
    ground = small()
    driver = Scripted(ground.memory, script)
    (page,) = ground.driver(driver.mapping, [ground.at(0)])
    return ground.done(), driver, page


def drop(page: Page) -> None:
    """What an owner does that frees one of its pages."""
    page.lock()
    page.clear_movable()
    page.unlock()
    page.put()


def asked(driver: Scripted) -> list[int]:
    """Which hooks were called, in order."""
    return driver.log[::6]


def test_the_second_of_two_compactors_skips_a_page_that_the_first_looks_at() -> None:
    """V03: isolation tries the lock and never waits for it."""
    memory, driver, _ = one_page()
    race = Race()
    one, two = (race.task(name, memory.compact_memory) for name in ("one", "two"))

    one.until("page locked")
    two.finish()
    assert asked(driver) == []
    one.finish()

    assert asked(driver) == [ISOLATE, MIGRATE]
    assert memory.vmstat()["pgmigrate_success"] == 1
    memory.validate()


def test_the_second_of_two_compactors_skips_a_page_that_the_first_has_isolated() -> None:
    """V04: PG_isolated, looked at under the lock, says that somebody has it."""
    memory, driver, _ = one_page()
    race = Race()
    one, two = (race.task(name, memory.compact_memory) for name in ("one", "two"))

    one.until("isolate unlocked")
    two.finish()
    assert asked(driver) == [ISOLATE]
    one.finish()

    assert asked(driver) == [ISOLATE, MIGRATE]
    assert driver.mapping.stats.isolated == 1
    memory.validate()


def test_a_page_freed_while_the_compactor_looks_at_it() -> None:
    """The compactor's reference is then the last one, and dropping it frees the page.

    isolate_movable_page(): "In case we 'win' a race for a movable page being freed under us [...]
    the put_page() at the end of this block will take care of release this page" (v6.1).
    """
    memory, driver, page = one_page()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    guest = race.task("guest", drop, page)

    compactor.until("reference taken")
    guest.finish()
    assert page.refcount == 1
    compactor.finish()

    assert (asked(driver), page.refcount) == ([], 0)
    memory.validate()


@pytest.mark.parametrize("label", ["isolate unlocked", "target allocated"])
def test_a_page_freed_while_isolated_is_not_migrated(label: str) -> None:
    """V16, V19: whether the VM sees it before it takes a target or after, nobody is asked."""
    memory, driver, page = one_page()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    guest = race.task("guest", drop, page)

    compactor.until(label)
    guest.finish()
    assert page.refcount == 1
    compactor.finish()

    assert (asked(driver), page.refcount) == ([ISOLATE], 0)
    assert memory.vmstat()["pgmigrate_success"] == 1
    memory.validate()


def test_a_page_freed_before_it_is_put_back() -> None:
    """V24: the driver is not handed a page that it gave up."""
    memory, driver, page = one_page(Script([0], [0], [1]))
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    guest = race.task("guest", drop, page)

    compactor.until("off the migrate list")
    guest.finish()
    compactor.finish()

    assert asked(driver) == [ISOLATE, MIGRATE]
    assert page.refcount == 0
    memory.validate()


def test_an_owner_waits_for_the_lock_while_its_page_is_migrated() -> None:
    """Its page is another one then; the old frame is not movable any more."""
    memory, driver, page = one_page()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    owner = race.task("owner", page.lock)

    compactor.until("source locked")
    race.run()

    assert owner.done
    assert asked(driver) == [ISOLATE, MIGRATE]


def test_who_waits_for_a_page_lock_is_told_who_holds_it() -> None:
    """The compactor took it in compiled code, which knows nothing of tasks."""
    memory, _, page = one_page()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    owner = race.task("owner", page.lock)

    compactor.until("source locked")
    owner.race.advance(owner)

    assert owner.waits_for == f"waits for the lock of {page!r}, held by compactor"


def test_a_page_released_while_isolated_is_counted_as_such() -> None:
    """Isolated pages end as migrated, put back or released."""
    memory, driver, page = one_page()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)

    compactor.until("isolate unlocked")
    race.task("guest", drop, page).finish()
    compactor.finish()

    assert driver.mapping.stats.released == 1


def test_a_source_that_is_locked_is_tried_three_times_and_then_waited_for() -> None:
    """P01, P04: from the fourth pass on lock_page() sleeps until the owner lets go."""
    memory, driver, page = one_page()
    race = Race()
    labels: list[str] = []
    compactor = race.task("compactor", memory.compact_memory)

    compactor.until("isolate unlocked")
    page.trylock()
    with pytest.raises(Deadlock, match="the lock of <Page"):
        compactor.finish()
    labels += compactor.labels

    assert labels.count("target returned") == 3
    assert asked(driver) == [ISOLATE]


def test_a_locked_ordinary_page_moves_once_its_user_lets_go() -> None:
    """The LRU half waits in the same pass."""
    ground = small()
    ground.file([ground.at(0)])
    memory = ground.done()
    page = memory.page(ground.at(0))
    page.trylock()
    race = Race()
    compactor = race.task("compactor", memory.compact_memory)
    race.task("reader", page.unlock)

    compactor.finish()
    memory.lru_add_drain_all()

    assert memory.lru_stats["page cache"]["migrated"] == 1
    memory.validate()


def test_two_compactors_share_the_pages_of_a_zone() -> None:
    """Each page is migrated once, by one of them, whoever runs when."""
    ground = small()
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, ground.span(0, range(6)))
    memory = ground.done()
    race = Race()
    for name in ("one", "two"):
        race.task(name, memory.compact_memory)

    race.run()

    stats = driver.mapping.stats
    assert (stats.migrated, stats.putback, stats.isolated) == (6, 0, 6)
    assert PUTBACK not in asked(driver)
    memory.validate()
