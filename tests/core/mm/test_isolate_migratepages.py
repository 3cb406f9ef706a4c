"""The migrate scanner, block by block: what it picks up, and what it remembers."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, control, isolate, listed, scans, small
from movable import IsolateMode, MigrateMode, Page, hookimpl
from movable.drivers.scripted import Script, Scripted
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_NOFS
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl
from movable.mm.lists import collect
from movable.page_flags import (
    PG_dirty,
    PG_locked,
    PG_lru,
    PG_private,
    PG_swapcache,
    PG_unevictable,
    PG_writeback,
)


def found(cc: CompactControl) -> list[int]:
    """The sources, first to last."""
    return [int(pfn) for pfn in collect(cc.memory, cc["migratepages"])]


def test_sources_are_listed_the_last_found_first() -> None:
    """MS-20: so they move in descending order."""
    ground = Ground(3)
    ground.anon(ground.span(0, [3, 5, 7]))
    cc = control(ground.done(), [])

    isolate(cc)

    assert found(cc) == ground.span(0, [7, 5, 3])
    assert (cc["nr_migratepages"], cc["migrate_pfn"]) == (3, ground.at(1))


def test_an_isolated_page_is_on_no_lru_list_and_has_one_more_reference() -> None:
    """MS-11, MS-18, MS-19."""
    ground = Ground(3)
    ground.anon([ground.at(0)])
    memory = ground.done()

    isolate(control(memory, []))

    assert not memory.flags[ground.at(0)] & PG_lru
    assert memory.refcount[ground.at(0)] == 2
    assert memory.node["nr_lru"][0].tolist() == [0] * 5
    assert memory.node["nr_isolated"][0].tolist() == [1, 0]


def test_a_round_ends_after_32_pages() -> None:
    """MS-20: right behind the last; a rescan has no such limit."""
    ground = Ground(3)
    ground.anon(ground.span(0, range(0, 200, 2)))
    memory = ground.done()
    cc = control(memory, [])

    isolate(cc)
    first = cc["migrate_pfn"]
    cc["nr_migratepages"], cc["rescan"] = 0, True
    isolate(cc)

    assert first == ground.at(0, 63)
    assert scans(memory, ground.start) == [
        ("migrate", 0, 63, 63, 32),
        ("migrate", 63, 512, 137 + 4, 68),
    ]


def test_free_blocks_cost_one_look() -> None:
    """MS-8: the scan jumps behind them."""
    ground = Ground(3)
    ground.kernel([ground.at(0), ground.at(0, 256)])
    memory = ground.done()
    blocks = sum(len([p for p in listed(memory, order) if p < ground.at(1)]) for order in range(9))

    isolate(control(memory, []))

    assert scans(memory, ground.start) == [("migrate", 0, 512, 2 + blocks, 0)]


def test_drivers_pages_are_asked_for_in_the_same_scan() -> None:
    """MS-10, MS-22: in place, and counted like any other."""
    ground = Ground(3)
    driver = Scripted(ground.memory, Script([0, 1, 0], [0] * 3, [0] * 3))
    ground.driver(driver.mapping, ground.span(0, [1, 3, 5]))
    ground.anon(ground.span(0, [0, 4]))
    ground.kernel(ground.span(0, [2, *range(6, 512)]))
    memory = ground.done()
    cc = control(memory, [])

    isolate(cc)

    assert found(cc) == ground.span(0, [5, 4, 1, 0])
    assert scans(memory, ground.start) == [("migrate", 0, 512, 512, 4)]


def test_the_32nd_page_may_be_a_drivers() -> None:
    """The limit counts all of them; the page behind it is not asked for."""
    ground = Ground(3)
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, ground.span(0, range(40)))
    cc = control(ground.done(), [])

    isolate(cc)

    assert (cc["nr_migratepages"], driver.calls, cc["migrate_pfn"]) == (32, 32, ground.at(0, 32))


class Freeing(Scripted):
    """While it is asked about a page, it gives up the page behind."""

    pages: list[Page]

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        if page.private == 0:
            behind = self.pages[1]
            behind.trylock()
            behind.clear_movable()
            behind.unlock()
            behind.put()
        return super().isolate_page(page, mode)


def test_the_scan_sees_what_a_driver_changed_meanwhile() -> None:
    """The page behind is free when it comes to it."""
    ground = Ground(3)
    driver = Freeing(ground.memory)
    driver.pages = ground.driver(driver.mapping, ground.span(0, [0, 1]))
    ground.kernel(ground.span(0, range(2, 512)))
    memory = ground.done()

    isolate(control(memory, []))

    assert driver.calls == 1
    assert memory.vmstat()["compact_isolated"] == 1


@pytest.mark.parametrize("rescan", [False, True])
def test_a_block_with_lru_pages_is_not_marked(rescan: bool) -> None:
    """MS-26: an isolated LRU page decides on the mark, and a manual run then sets none."""
    ground = Ground(3)
    ground.anon([ground.at(0)])
    memory = ground.done()
    cc = control(memory, [])
    cc["rescan"] = rescan

    isolate(cc)

    assert not memory.pageblock[1] & t.BLOCK_SKIP
    assert memory.zone["cached_migrate_pfn"][0, 0] == (ground.at(2) if rescan else 0)


def test_a_rescanned_block_of_drivers_pages_is_marked() -> None:
    """MS-26: its pages never pass MS-18."""
    ground = Ground(3)
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, [ground.at(0)])
    memory = ground.done()
    cc = control(memory, [])
    cc["rescan"] = True

    isolate(cc)

    assert memory.pageblock[1] & t.BLOCK_SKIP


def test_a_block_that_a_huge_page_fills_is_passed_over() -> None:
    """MB-4: no event, and the hint moves on."""
    ground = Ground(4)
    ground.compound(ground.at(0), 9)
    ground.anon([ground.at(1)])
    memory = ground.done()

    isolate(control(memory, []))

    assert scans(memory, ground.start) == [("migrate", 512, 1024, 10, 1)]
    assert memory.zone["cached_migrate_pfn"][0].tolist() == [ground.at(2)] * 2


def test_a_block_in_the_middle_of_a_huge_page_is_passed_over_too() -> None:
    """MB-4: its first frame is a tail of a compound page of two blocks."""
    ground = Ground(5)
    ground.compound(ground.at(1), 10)
    ground.kernel(ground.span(0, range(512)))
    memory = ground.done()
    cc = control(memory, [])
    cc["migrate_pfn"] = ground.at(2)

    isolate(cc)

    assert [row[1] for row in scans(memory, ground.start)] == [1536]


def test_nothing_is_scanned_beyond_the_free_scanner() -> None:
    """MB-3: a block's end must not pass it."""
    ground = Ground(3)
    ground.anon([ground.at(1)])
    memory = ground.done()
    cc = control(memory, [])
    cc["migrate_pfn"], cc["free_pfn"] = ground.at(1), ground.at(2) - 1

    isolate(cc)

    assert (scans(memory, ground.start), cc["nr_migratepages"]) == ([], 0)


# Pages that a request had better leave alone.

SYNC, LIGHT, ASYNC = MigrateMode.SYNC, MigrateMode.SYNC_LIGHT, MigrateMode.ASYNC


def taken(
    ground: Ground, mode: MigrateMode, gfp: int = GFP_HIGHUSER_MOVABLE, allowed: int = 1
) -> bool:
    """Whether a run in that mode isolates the first page of block 0."""
    memory = ground.done()
    memory.node["compact_unevictable_allowed"] = allowed
    cc = control(memory, [], mode, gfp_mask=int(gfp))
    isolate(cc)
    return found(cc) == [ground.at(0)]


def file_page(flags: int = 0, operations: int = t.HAS_MIGRATE) -> Ground:
    """One page of the page cache."""
    ground = small()
    ground.file([ground.at(0)], operations, flags)
    return ground


def anon_page(flags: int = 0) -> Ground:
    """One anonymous page, in swap cache if its flags say so."""
    ground = small()
    ground.anon([ground.at(0)])
    ground.memory.flags[ground.at(0)] |= flags
    ground.memory.refcount[ground.at(0)] += 1 if flags & PG_swapcache else 0
    return ground


@pytest.mark.parametrize("mode", [SYNC, LIGHT, ASYNC])
def test_who_must_not_enter_file_systems_leaves_page_cache_alone(mode: MigrateMode) -> None:
    """MS-13: and swap cache; anonymous memory has no address space to enter."""
    assert not taken(file_page(), mode, GFP_NOFS)
    assert not taken(anon_page(PG_swapcache), mode, GFP_NOFS)
    assert taken(anon_page(), mode, GFP_NOFS)
    assert taken(file_page(), mode)


@pytest.mark.parametrize("mode", [SYNC, LIGHT, ASYNC])
@pytest.mark.parametrize("allowed", [0, 1])
def test_unevictable_pages_are_for_the_sysctl_to_allow(mode: MigrateMode, allowed: int) -> None:
    """MS-15: vm.compact_unevictable_allowed."""
    assert taken(anon_page(PG_unevictable), mode, allowed=allowed) is bool(allowed)


def test_unevictable_pages_stand_in_nobodys_way_in_a_contiguous_range() -> None:
    """MS-15, MB-1: alloc_contig_range() takes them whatever the sysctl says."""
    ground = anon_page(PG_unevictable)
    memory = ground.done()
    memory.node["compact_unevictable_allowed"] = 0
    cc = control(memory, [], SYNC, alloc_contig=1)
    cc["migrate_pfn"], cc["end_pfn"] = ground.at(0), ground.at(1)

    isolate(cc)

    assert (found(cc), cc.isolate_mode) == ([ground.at(0)], IsolateMode.UNEVICTABLE)


@pytest.mark.parametrize(("mode", "moves"), [(SYNC, True), (LIGHT, False), (ASYNC, False)])
def test_only_who_may_wait_takes_pages_under_writeback(mode: MigrateMode, moves: bool) -> None:
    """MS-16 (Q-16): SYNC_LIGHT may not."""
    assert taken(file_page(PG_writeback), mode) is moves
    assert taken(anon_page(PG_writeback), mode) is moves


@pytest.mark.parametrize(
    ("operations", "moves"),
    [
        (t.HAS_MIGRATE, True),
        (t.HAS_OWN_MIGRATE, True),
        (t.HAS_WRITEPAGE, False),
        (t.HAS_NEITHER, False),
    ],
)
@pytest.mark.parametrize("mode", [LIGHT, ASYNC])
def test_a_dirty_page_must_be_able_to_move_as_it_is(
    mode: MigrateMode, operations: int, moves: bool
) -> None:
    """MS-17: who may not wait cannot have it written first; clean, it may go."""
    assert taken(file_page(PG_dirty, operations), mode) is moves
    assert taken(file_page(0, operations), mode)
    assert taken(file_page(PG_dirty, operations), SYNC)


@pytest.mark.parametrize("mode", [LIGHT, ASYNC])
def test_a_dirty_page_that_is_locked_is_left_alone(mode: MigrateMode) -> None:
    """MS-17: its address space could not be looked at; a clean one is none of that."""
    assert not taken(file_page(PG_dirty | PG_locked), mode)
    assert not taken(anon_page(PG_dirty | PG_locked), mode)
    assert taken(anon_page(PG_dirty), mode)
    assert taken(file_page(PG_locked), mode)
    assert taken(file_page(PG_dirty | PG_locked), SYNC)


def test_dirty_memory_without_an_address_space_may_move() -> None:
    """MS-17: anonymous, or truncated meanwhile."""
    ground = file_page(PG_dirty | PG_private)
    ground.memory.mapping[ground.at(0)] = 0
    ground.memory.mapcount[ground.at(0)] = 1

    assert taken(ground, ASYNC)


# Hints.


def aligned(mode: MigrateMode = LIGHT, **request: int) -> tuple[Ground, CompactControl]:
    """A block that begins with a page of a user, and a run that heeds hints."""
    ground = Ground(4)
    ground.anon(ground.span(0, [0, 1]))
    ground.anon(ground.span(1, [0, 1]))
    memory = ground.done()
    return ground, control(memory, [], mode, ignore_skip_hint=0, order=3, **request)


def test_a_scanned_block_is_marked_from_its_first_page_on() -> None:
    """MS-18, SK-2: so that nobody else begins with it; a page not at its start marks nothing."""
    _, cc = aligned()
    isolate(cc)
    later, at_1 = aligned()
    at_1["migrate_pfn"] = later.at(0, 1)
    isolate(at_1)

    assert cc.memory.pageblock[1] & t.BLOCK_SKIP
    assert not at_1.memory.pageblock[1] & t.BLOCK_SKIP
    assert (len(found(cc)), len(found(at_1))) == (2, 1)


def test_marked_blocks_are_passed_over_without_an_event() -> None:
    """MB-3: and later runs do not start behind them for that."""
    ground, cc = aligned()
    memory = cc.memory
    memory.pageblock[1] |= t.BLOCK_SKIP

    isolate(cc)

    assert scans(memory, ground.start)[0][:3] == ("migrate", 512, 1024)
    assert memory.zone["cached_migrate_pfn"][0].tolist() == [0, 0]


def test_a_block_that_was_begun_is_finished_though_it_is_marked() -> None:
    """MB-3: no look at the hint from the middle of it."""
    ground, cc = aligned()
    cc.memory.pageblock[1] |= t.BLOCK_SKIP
    cc["migrate_pfn"] = ground.at(0, 1)

    isolate(cc)

    assert found(cc) == [ground.at(0, 1)]
