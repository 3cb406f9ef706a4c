"""Named races for contiguous memory, on the real memory."""

from __future__ import annotations

from core.mm.contiguous import drop, ground, scripted
from movable.drivers.scripted import Scripted
from movable.mm import mm_types as t
from movable.mm.cma import Cma
from movable.mm.memory import Memory
from movable.sched import Race


def test_of_two_who_want_the_same_range_one_gets_it() -> None:
    """I-2: the second finds its pageblock isolated, and leaves everything as it is."""
    here, memory, _, driver = scripted()
    race = Race()
    one = race.task("one", memory.alloc_contig_range, here.at(1), here.at(2))
    two = race.task("two", memory.alloc_contig_range, here.at(0), here.at(3))

    one.until("isolate unlocked")
    refused = two.finish()
    had = one.finish()

    assert had
    assert refused.reason == (
        f"-EBUSY: frame {here.at(1)} (free) is in a pageblock that somebody else isolates"
    )
    assert driver.mapping.stats.migrated == 1
    memory.validate()


def test_a_page_freed_while_it_is_isolated_makes_room() -> None:
    """It goes to the isolated lists, not to the CPU's, and the range is had."""
    here, memory, page, driver = scripted()
    race = Race()
    camera = race.task("camera", memory.alloc_contig_range, here.at(1), here.at(2))

    camera.until("isolate unlocked")
    race.task("guest", drop, page).finish()

    assert camera.finish()
    assert driver.mapping.stats.migrated == 0
    memory.validate()


def test_two_owners_of_regions_take_turns() -> None:
    """cma_mutex: one place is fetched at a time, whosever it is."""
    memory = Memory.blank(128, pageblock_order=4, max_order=6)
    driver = Scripted(memory)
    memory.add_mapping(driver.mapping)
    for region, base in (("camera", 64), ("display", 96)):
        memory.add_cma(region, base, 32)
    page = next(page for page in (memory.alloc_page() for _ in range(64)) if page.pfn >= 64)
    page.trylock()
    page.set_movable(driver.mapping)
    page.unlock()
    names = ["camera", "display"] if page.pfn < 96 else ["display", "camera"]
    race = Race()
    one, two = (race.task(name, memory.cma[name].alloc, 32) for name in names)

    one.until("isolate unlocked")
    race.advance(two)
    waits = not two.done and two.waits_for
    outcomes = one.finish(), two.finish()

    assert "cma_mutex" in str(waits)
    assert all(outcomes)


def test_a_place_that_is_being_fetched_is_taken() -> None:
    """CM-1: the bits are set first, so the second request begins behind it."""
    here = ground(8)
    here.driver(Scripted(here.memory).mapping, [here.at(1, 5)])
    memory = here.done()
    camera = memory.cma["camera"] = Cma(memory, "camera", here.at(0), 64, 0)
    memory.pageblock[1:5] = t.CMA
    race = Race()
    one, two = (race.task(name, camera.alloc, 32) for name in ("one", "two"))

    one.until("isolate unlocked")
    race.advance(two)
    assert camera.used == 64
    outcomes = one.finish(), two.finish()

    assert [(found.pfn, len(found.attempts)) for found in outcomes] == [
        (here.at(0), 1),
        (here.at(2), 1),
    ]
