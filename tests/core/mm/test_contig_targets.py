"""Where alloc_contig_range() moves those to who are in its range."""

from __future__ import annotations

import pytest

from core.mm.contiguous import drop, ground, operations, scripted, taken
from movable.drivers.scripted import ISOLATE, Script, Scripted
from movable.mm import mm_types as t
from movable.mm.contig_range import ContigResult
from movable.mm.memory import Memory
from movable.mm.profile import PROFILES
from movable.mm.vmscan import SWAP_CLUSTER_MAX, HeldBack
from movable.page_flags import PG_dirty, PG_lru
from movable.sched import Race


def test_a_page_may_be_moved_to_any_zone() -> None:
    """Unlike in compaction: the allocator prefers the highest."""
    memory = Memory.blank(256, ("DMA", 128), ("DMA32", 128), pageblock_order=4, max_order=6)
    driver = Scripted(memory)
    memory.add_mapping(driver.mapping)
    page = memory.page(memory.alloc_pages(0x01 | 0x08, 0))
    page.trylock()
    page.set_movable(driver.mapping)
    page.unlock()
    block = page.pfn // 16 * 16
    assert block < 128

    assert memory.alloc_contig_range(block, block + 16)

    assert driver.log[6 + 3] >= 128
    memory.validate()


def test_only_pages_of_zone_movable_may_go_there_again() -> None:
    """__GFP_HIGHMEM is added for those alone."""
    memory = Memory.blank(256, ("DMA32", 128), ("Movable", 128), pageblock_order=4, max_order=6)
    for start, highest in ((0, 128), (128, 256)):
        driver = Scripted(memory)
        memory.add_mapping(driver.mapping)
        page = memory.page(memory.alloc_pages(0 if start == 0 else 0x0A, 0))
        page.trylock()
        page.set_movable(driver.mapping)
        page.unlock()
        block = page.pfn // 16 * 16
        assert start <= block < highest

        assert memory.alloc_contig_range(block, block + 16)

        assert start <= driver.log[6 + 3] < highest


def test_a_target_that_was_not_used_is_freed_at_once() -> None:
    """put_page(): onto the CPU's list, from which the next page takes it again."""
    here, memory, page, driver = scripted(Script([0], [3], [0]))

    assert taken(memory, here.at(1), here.at(2))

    targets = [driver.log[at + 3] for at in range(6, 30, 6)]
    assert targets == [targets[0]] * 4
    assert memory.vmstat()["pgfree"] == 3
    assert page.refcount == 1  # the range's, not the driver's


def test_no_target_is_left_over() -> None:
    """Of a page that nobody could lock, from the fourth pass on, not even tried."""
    here = ground()
    here.file([here.at(1, 5)], flags=PG_dirty)
    memory = here.done()
    page = memory.page(here.at(1, 5))
    page.trylock()

    outcome = memory.alloc_contig_range(here.at(1), here.at(2))
    page.unlock()

    memory.validate()
    assert outcome.in_the_way == (here.at(1, 5), "could not be moved")
    assert memory.lru_stats["page cache"]["again"] == 50
    assert memory.vmstat()["pgfree"] == 50


@pytest.mark.parametrize(("profile", "result"), [("6.1", "SUCCESS"), ("4.8", "NOMEM")])
def test_a_page_freed_meanwhile_needs_no_target(profile: str, result: str) -> None:
    """V19: but 4.8 takes the target before it looks."""
    here = ground(4, PROFILES[profile])
    driver = Scripted(here.memory)
    (page,) = here.driver(driver.mapping, [here.at(1, 5)])
    here.kernel([p for b in (0, 2, 3) for p in here.span(b, range(16))])
    memory = here.done()
    memory.vmscan = HeldBack(memory)
    race = Race()
    camera = race.task("camera", taken, memory, here.at(1), here.at(2))

    camera.until("isolate unlocked")
    race.task("guest", drop, page).finish()

    assert camera.finish().result.name == result
    assert operations(driver) == [ISOLATE]
    assert (memory.vmscan.events_before is None) is (profile == "6.1")


def test_without_a_target_the_range_is_given_up() -> None:
    """-ENOMEM: everything goes back, and it is said for whom there was no place."""
    here = ground()
    here.anon([here.at(1, 5), here.at(1, 6)])
    here.kernel([p for b in (0, 2, 3) for p in here.span(b, range(16))])
    memory = here.done()
    memory.vmscan = HeldBack(memory)

    outcome = memory.alloc_contig_range(here.at(1), here.at(2))

    assert (outcome.result, outcome.owner) == (ContigResult.NOMEM, "anonymous")
    assert outcome.in_the_way == (here.at(1, 6), "has nowhere to go: no page is free")
    assert outcome.left == {"anonymous": 2}
    memory.lru_add_drain_all()
    memory.validate()
    assert memory.lru_stats["anonymous"]["putback"] == 2
    assert memory.vmscan.events_before is not None  # reclaim was tried


def test_a_target_that_came_too_late_is_given_back() -> None:
    """Reclaim found one, but its page was freed meanwhile."""
    here = ground()
    driver = Scripted(here.memory)
    (page,) = here.driver(driver.mapping, [here.at(1, 5)])
    here.kernel([p for b in (0, 2, 3) for p in here.span(b, range(16))])
    memory = here.done()

    class Frees(HeldBack):
        def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
            if page.refcount == 1:
                return 0
            drop(page)
            memory.page(here.at(3)).put()
            memory.drain_all_pages()
            return 1

    memory.vmscan = Frees(memory)

    assert taken(memory, here.at(1), here.at(2))

    assert operations(driver) == [ISOLATE]
    assert (memory.refcount[here.at(3)], memory.content[here.at(3)]) == (0, 0)


def test_the_page_without_a_target_is_named_though_others_failed_before() -> None:
    """The driver's is tried first and stays, one more moves, and then nothing is free."""
    here = ground()
    driver = Scripted(here.memory, Script([0], [0], [1]))
    here.driver(driver.mapping, [here.at(1, 7)])
    here.anon([here.at(1, 5), here.at(1, 6)])
    here.kernel([p for b in (0, 2, 3) for p in here.span(b, range(16)) if p != here.at(2, 1)])
    memory = here.done()

    outcome = memory.alloc_contig_range(here.at(1), here.at(2))

    memory.lru_add_drain_all()
    memory.validate()
    assert outcome.in_the_way == (here.at(1, 5), "has nowhere to go: no page is free")
    assert outcome.left == {"anonymous": 1, "scripted": 1}


def test_a_target_may_have_to_be_stolen() -> None:
    """B-18.3: in the quick search already, and who searches there may wake kswapd."""
    here = ground()
    here.anon([here.at(1, 5)])
    here.kernel([p for b in (0, 2, 3) for p in here.span(b, range(16)) if p != here.at(2, 1)])
    here.type(2, t.UNMOVABLE)
    memory = here.done()
    memory.zone["watermark"][0, t.WMARK_HIGH] = 1000

    assert taken(memory, here.at(1), here.at(2))

    assert memory.flags[here.at(2, 1)] & PG_lru
    assert memory.zone["zflags"][0] == t.ZONE_BOOSTED_WATERMARK


def test_reclaim_may_find_a_target() -> None:
    """The slow path is any request's: what kswapd or direct reclaim free is used."""
    here = ground()
    here.anon([here.at(1, 5), here.at(1, 6)])
    full = [p for b in (0, 2, 3) for p in here.span(b, range(16))]
    here.kernel(full)
    memory = here.done()
    kept = [memory.page(pfn) for pfn in full[:2]]

    class Frees(HeldBack):
        def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
            if kept:
                kept.pop().put()
                memory.drain_all_pages()
                return 1
            return 0

    memory.vmscan = Frees(memory)

    assert taken(memory, here.at(1), here.at(2))
    assert (memory.flags[full[0]] & PG_lru, memory.flags[full[1]] & PG_lru) == (PG_lru, PG_lru)


def test_reclaim_is_tried_again_while_it_promises_something() -> None:
    """__GFP_RETRY_MAYFAIL: not given up after the first round that brought nothing."""
    here = ground()
    here.anon([here.at(1, 5)])
    full = [p for b in (0, 2, 3) for p in here.span(b, range(16))]
    here.kernel(full)
    memory = here.done()

    class Slow(HeldBack):
        rounds = 0

        def reclaimable(self, z: int) -> int:
            return 64

        def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
            self.rounds += 1
            if self.rounds == 3:
                memory.page(full[0]).put()
                memory.drain_all_pages()
            return SWAP_CLUSTER_MAX

    memory.vmscan = Slow(memory)

    assert taken(memory, here.at(1), here.at(2))
    assert memory.flags[full[0]] & PG_lru
