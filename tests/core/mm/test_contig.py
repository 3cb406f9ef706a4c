"""alloc_contig_range(): a range of frames for one user (rules AC-1, AC-2)."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.contiguous import ground, operations, taken
from core.mm.ground import listed, on_pcp, rows
from movable import IsolateMode, MigrateMode
from movable.drivers.scripted import ISOLATE, MIGRATE, PUTBACK, Script, Scripted
from movable.errors import BadInput
from movable.gfp import GFP_NOFS
from movable.mm import mm_types as t
from movable.mm import tracepoints as tp
from movable.mm.compact_control import CompactControl
from movable.mm.contig_range import ContigPages, ContigRange, ContigResult
from movable.mm.isolate_freepages_range import isolate_freepages_range
from movable.mm.memory import Memory
from movable.mm.page_isolation import InTheWay
from movable.mm.profile import PROFILES
from movable.page_flags import PG_dirty, PG_lru, PG_reserved

BUSY = ContigResult.BUSY


# It is had.


def test_a_free_range_is_taken_at_once() -> None:
    """Every page is the caller's, as if allocated one by one."""
    here = ground()
    memory = here.done()

    outcome = taken(memory, here.at(1), here.at(3))

    assert outcome
    assert repr(outcome) == f"<ContigRange {here.at(1)}..{here.at(3)} [had]>"
    assert memory.mem_map["refcount"][here.at(1) : here.at(3)].tolist() == [1] * 32
    assert listed(memory, 5) == []
    assert memory.zone["free"][0] + memory.zone["free_diff"][0].sum() == 32
    assert memory.pageblock[1:].tolist() == [t.MOVABLE | t.BLOCK_SKIP * n for n in (0, 1, 1, 0)]


def test_what_happens_is_traced_as_in_the_kernel() -> None:
    """Both scanners, an empty migration, the last test; not the compactor's own events."""
    here = ground()
    memory = here.done()

    taken(memory, here.at(1), here.at(2, 8))

    reason = t.MR_CONTIG_RANGE
    assert rows(memory, *range(len(tp.FIELDS))) == [
        (tp.ISOLATE_MIGRATEPAGES, here.at(1), here.at(2), 1, 0),
        (tp.ISOLATE_MIGRATEPAGES, here.at(2), here.at(2, 8), 8, 0),
        (tp.MIGRATE_PAGES_START, MigrateMode.SYNC, reason),
        (tp.MIGRATE_PAGES, 0, 0, MigrateMode.SYNC, reason),
        (tp.TEST_PAGES_ISOLATED, here.at(1), here.at(2, 8), here.at(3)),
        (tp.ISOLATE_FREEPAGES, here.at(1), here.at(2), 32, 32),
    ]
    stat = memory.vmstat()
    assert (stat["compact_isolated"], stat["compact_migrate_scanned"], stat["pgfree"]) == (32, 0, 0)


def test_everybody_is_moved_out() -> None:
    """Processes' pages and a driver's, with what they hold; the driver may take its time."""
    here = ground()
    driver = Scripted(here.memory)
    here.driver(driver.mapping, [here.at(1, 5)])
    here.anon([here.at(1, 7)])
    memory = here.done()

    assert taken(memory, here.at(1), here.at(2))

    (isolated, moved) = (driver.log[:6], driver.log[6:])
    assert isolated == [ISOLATE, 0, here.at(1, 5), 0, IsolateMode.UNEVICTABLE, 1]
    assert (moved[0], moved[4]) == (MIGRATE, MigrateMode.SYNC)
    assert memory.content[moved[3]] == here.at(1, 5)
    lru = np.flatnonzero(memory.mem_map["flags"][: memory.nr_frames] & PG_lru)
    assert memory.mem_map["content"][lru].tolist() == [here.at(1, 7)]
    assert memory.vmstat()["pgmigrate_success"] == 2


def test_what_else_was_free_in_the_blocks_is_given_back() -> None:
    """The free blocks reach beyond the range at both ends; the surplus goes back page by page."""
    here = ground()
    memory = here.done()

    assert taken(memory, here.at(1, 6), here.at(2, 3))

    assert memory.mem_map["refcount"][here.at(1) : here.at(3)].tolist() == (
        [0] * 6 + [1] * 13 + [0] * 13
    )
    assert [here.at(1), here.at(2, 8)] == [listed(memory, 2)[0], listed(memory, 3)[-1]]


def test_pages_beside_the_range_stay_where_they_are() -> None:
    """Though their block is isolated with it."""
    here = ground()
    driver = Scripted(here.memory)
    here.driver(driver.mapping, [here.at(1, 1)])
    memory = here.done()

    assert taken(memory, here.at(1, 4), here.at(1, 8))

    assert driver.calls == 0


def test_free_pages_on_the_cpus_lists_are_fetched() -> None:
    """drain_all_pages() of the zone, and of no other."""
    memory = Memory.blank(128, ("DMA", 64), ("DMA32", 64), pageblock_order=4, max_order=6)
    for pfn in (memory.alloc_pages(0x01, 0), memory.alloc_page().pfn):
        memory.page(pfn).put()
    counts = memory.zone["pcp_count"][:, 0].tolist()

    assert memory.alloc_contig_range(64, 128)

    assert memory.zone["pcp_count"][:, 0].tolist() == [counts[0], 0]
    assert counts[0]
    memory.validate()


def test_thirty_two_pages_make_a_batch() -> None:
    """5.3: the scan stops in the middle of a block, and goes on there with the next batch."""
    here = ground(8)
    here.anon([pfn for block in (1, 2, 3) for pfn in here.span(block, range(15))])
    memory = here.done()

    assert taken(memory, here.at(1), here.at(5))

    scans = rows(memory, tp.ISOLATE_MIGRATEPAGES)
    assert [(a, b, taken) for _, a, b, _, taken in scans] == [
        (here.at(1), here.at(2), 15),
        (here.at(2), here.at(3), 15),
        (here.at(3), here.at(3, 2), 2),
        (here.at(3, 2), here.at(4), 13),
        (here.at(4), here.at(5), 0),
    ]
    assert [row[1] for row in rows(memory, tp.MIGRATE_PAGES)] == [32, 13]


def test_a_run_sets_skip_hints_but_moves_no_start() -> None:
    """no_set_skip_hint: a block that gave nothing is marked all the same, as by manual runs; a
    mark keeps nobody from looking."""
    here = ground()
    here.anon([here.at(2)])
    memory = here.done()
    memory.pageblock[3] |= t.BLOCK_SKIP

    assert taken(memory, here.at(1), here.at(3))

    assert memory.lru_stats["anonymous"]["migrated"] == 1
    assert (memory.pageblock[1:] & t.BLOCK_SKIP != 0).tolist() == [False, True, True, False]
    assert memory.zone["cached_migrate_pfn"][0].tolist() == [0, 0]
    assert memory.zone["cached_free_pfn"][0] == 0


def test_two_profiles_agree_on_what_a_driver_sees() -> None:
    """4.8 takes the target before it looks whether the page was freed, and puts back at once."""
    for profile in PROFILES.values():
        here = ground(4, profile)
        driver = Scripted(here.memory, Script([0, 0], [0, 0], [0, 1]))
        here.driver(driver.mapping, here.span(1, [5, 6]))
        memory = here.done()

        outcome = taken(memory, here.at(1), here.at(2))

        assert (outcome.result, outcome.owner) == (BUSY, "scripted")
        assert driver.mapping.stats.migrated == 1
        assert operations(driver).count(PUTBACK) == 1


# The free scanner, strict.


def control(memory: Memory) -> CompactControl:
    return CompactControl(memory, zone=0, alloc_contig=1)


def test_a_hole_in_the_range_gives_all_back() -> None:
    """FS-7: a frame that is not free, after the last test said that all were."""
    here = ground()
    here.kernel([here.at(2, 4)])
    memory = here.done()
    cc = control(memory)

    last = memory.engine.compact(isolate_freepages_range, cc.record, here.at(1), here.at(3))
    cc.close()

    assert last == -1
    assert [row[1:] for row in rows(memory, tp.ISOLATE_FREEPAGES)] == [
        (here.at(1), here.at(2), 16, 16),
        (here.at(2), here.at(2, 4), 5, 4),
    ]
    assert memory.vmstat()["compact_isolated"] == 16
    assert memory.refcount[here.at(1)] == memory.refcount[here.at(2)] == 0
    memory.drain_all_pages()
    memory.validate()


# Impossible requests.


@pytest.mark.parametrize(
    ("start", "end", "problem"),
    [
        (32, 32, "frames from 32 up to 32, of 0 to 79"),
        (-16, 32, "frames from -16 up to 32, of 0 to 79"),
        (64, 96, "frames from 64 up to 96, of 0 to 79"),
        (8, 40, "its pageblocks, 0 to 48, are not all inside one zone"),
    ],
)
def test_what_is_no_range_is_refused(start: int, end: int, problem: str) -> None:
    """In one line, before anything is done."""
    memory = ground().done()

    with pytest.raises(BadInput) as caught:
        memory.alloc_contig_range(start, end)

    assert str(caught.value).startswith(f"contiguous range {start}..{end}: {problem}; ")


def test_a_range_lies_in_one_zone() -> None:
    """And a zone's last block, if it is ragged, in none."""
    memory = Memory.blank(120, ("DMA", 40), ("DMA32", 80), pageblock_order=4, max_order=6)

    for start, end in ((16, 80), (32, 40), (112, 120)):
        with pytest.raises(BadInput, match="not all inside one zone"):
            memory.alloc_contig_range(start, end)
    assert memory.alloc_contig_range(16, 32)


def test_the_blocks_can_become_two_types_only() -> None:
    """CMA only if they are: that is what the owner of a region says."""
    memory = ground().done()

    with pytest.raises(BadInput, match="its blocks cannot become type 0"):
        memory.alloc_contig_range(32, 48, t.UNMOVABLE)
    with pytest.raises(BadInput, match="not all of it is in a CMA region"):
        memory.alloc_contig_range(32, 48, t.CMA)


# Anywhere.


def test_the_first_place_that_can_be_had_is_taken() -> None:
    """AC-2: multiples of the size; the answer names who was in the way before."""
    here = ground()
    here.kernel([here.at(1)])
    here.driver(Scripted(here.memory, Script([1], [0], [0])).mapping, [here.at(2)])
    memory = here.done()

    found = memory.alloc_contig_pages(16)

    assert found.pfn == here.at(0)
    again = memory.alloc_contig_pages(16)
    assert (again.pfn, again.blame) == (
        here.at(3),
        {"kernel": 2, "scripted": 1},
    )
    assert repr(again) == f"<ContigPages 16 at {here.at(3)} [4 tried]>"
    memory.validate()


def test_places_with_reserved_pages_are_not_even_tried() -> None:
    """AC-2: they would be in vain."""
    here = ground(2)
    here.kernel([here.at(0, 3)], PG_reserved)
    memory = here.done()

    found = memory.alloc_contig_pages(16)

    assert (found.pfn, len(found.attempts)) == (here.at(1), 1)


@pytest.mark.parametrize(("count", "place"), [(8, 48), (32, 64), (16, 48), (64, None)])
def test_places_are_multiples_of_the_size_inside_one_zone(count: int, place: int | None) -> None:
    """AC-2: with all of their pageblocks; the zones meet in the middle of one."""
    memory = Memory.blank(120, ("DMA", 40), ("DMA32", 80), pageblock_order=4, max_order=6)

    found = memory.alloc_contig_pages(count)

    assert (found.pfn, len(found.attempts)) == (place, 1 if place else 0)


def test_the_search_does_what_its_caller_may() -> None:
    """The flags are those of each attempt."""
    here = ground(2)
    here.file([here.at(0)], flags=PG_dirty)

    found = here.done().alloc_contig_pages(16, GFP_NOFS)

    assert (found.pfn, found.blame) == (here.at(1), {"page cache": 1})
    assert repr(ContigPages(64)) == "<ContigPages 64 nowhere [0 tried]>"


def test_no_pages_are_no_request() -> None:
    """Or it would be served everywhere."""
    with pytest.raises(BadInput, match="ask for one at least"):
        ground().done().alloc_contig_pages(0)


# Given back.


def test_a_range_is_given_back_page_by_page() -> None:
    """Onto the CPU's list, lowest first."""
    here = ground()
    memory = here.done()
    taken(memory, here.at(1), here.at(2))

    memory.free_contig_range(here.at(1), 16)

    assert on_pcp(memory, t.MOVABLE) == list(range(here.at(2) - 1, here.at(1) - 1, -1))
    memory.drain_all_pages()
    assert listed(memory, 5) == [here.at(1)]
    memory.validate()


def test_a_range_is_given_back_once() -> None:
    """And by its only user."""
    here = ground()
    memory = here.done()
    taken(memory, here.at(1), here.at(2))
    memory.page(here.at(1, 3)).get()

    with pytest.raises(BadInput, match=f"frame {here.at(1, 3)} has 2 users; give back what was"):
        memory.free_contig_range(here.at(1), 16)
    with pytest.raises(BadInput, match="frame 48 has 0 users"):
        memory.free_contig_range(here.at(2), 16)
    for start, count in ((here.at(3), 17), (-1, 1), (here.at(1), 0), (here.at(1), -1)):
        with pytest.raises(BadInput, match=f"frames from {start} up to {start + count}, of 0 to 7"):
            memory.free_contig_range(start, count)
    assert memory.refcount[here.at(1)] == 1


def test_answers_read_as_what_they_mean() -> None:
    """True if it was had."""
    had = ContigRange(16, 32, ContigResult.SUCCESS)
    lost = ContigRange(0, 16, BUSY, InTheWay(3, "could not be moved"), "gpu")

    assert ContigPages(16, (lost, had)).pfn == 16
    assert ContigPages(16, (lost,)).pfn is None
    assert ContigPages(16, (lost, lost)).blame == {"gpu": 2}
    assert lost.reason == "-EBUSY: frame 3 (gpu) could not be moved"
