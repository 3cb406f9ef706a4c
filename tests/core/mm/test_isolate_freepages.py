"""The free scanner: which blocks give targets, and in which order pages are handed out."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, control, scans, take_target
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import compaction_free, release_freepages
from movable.mm.list import list_add_tail
from movable.mm.lists import collect


def searching(ground: Ground, sources: int = 1) -> CompactControl:
    """A compactor with so many sources, which has scanned nothing yet."""
    cc = control(ground.done(), [])
    cc["nr_migratepages"] = sources
    return cc


def targets(cc: CompactControl) -> list[int]:
    """The targets it holds, first to last."""
    return [int(pfn) for pfn in collect(cc.memory, cc["freepages"])]


def test_whole_blocks_are_taken_and_split_the_last_page_first() -> None:
    """FS-8, FS-12."""
    ground = Ground(3)
    ground.kernel([p for p in ground.span(2, range(512)) if p & 511 not in range(8, 12)])
    cc = searching(ground)

    first = take_target(cc)

    assert first == ground.at(2, 11)
    assert targets(cc) == ground.span(2, [10, 9, 8])
    assert (cc["nr_freepages"], cc.memory.refcount[first]) == (3, 1)
    assert cc.memory.page(first).content == cc.memory.page(first).private == 0


def test_the_search_ends_with_enough_pages() -> None:
    """FS-6.8: the position stays behind the last block taken."""
    ground = Ground(3)
    ground.kernel(ground.span(2, range(0, 512, 2)))
    cc = searching(ground, 3)

    take_target(cc)

    assert scans(cc.memory, ground.start) == [("free", 1024, 1030, 6, 3)]
    assert cc["free_pfn"] == ground.at(2, 6)
    assert not cc.memory.pageblock[3] & t.BLOCK_SKIP


@pytest.mark.parametrize("migratetype", [t.UNMOVABLE, t.RECLAIMABLE, t.HIGHATOMIC, t.ISOLATE])
def test_only_movable_blocks_give_targets(migratetype: int) -> None:
    """FS-5."""
    ground = Ground(3)
    ground.kernel([ground.at(2)])
    ground.type(2, migratetype)
    cc = searching(ground)

    assert take_target(cc) == -1

    assert scans(cc.memory, ground.start) == []


def test_a_free_pageblock_is_left_alone() -> None:
    """FS-5: it is what compaction wants to make."""
    ground = Ground(4)
    ground.kernel(ground.span(1, [0]))
    cc = searching(ground)

    pfn = take_target(cc)

    assert ground.at(1) < pfn < ground.at(2)


def test_a_searched_block_is_marked_and_remembered() -> None:
    """SK-4: also in a manual run."""
    ground = Ground(4)
    ground.kernel(ground.span(3, range(512)))
    ground.kernel([ground.at(2)])
    ground.memory.zone["cached_free_pfn"] = ground.end
    cc = searching(ground)

    take_target(cc)

    assert cc.memory.pageblock[4] & t.BLOCK_SKIP
    assert not cc.memory.pageblock[3] & t.BLOCK_SKIP
    assert cc.memory.zone["cached_free_pfn"][0] == ground.at(3)


def test_the_search_stops_above_the_migrate_scanners_block() -> None:
    """FS-2: pbe(migrate_pfn), so that a block is never source and target."""
    ground = Ground(3)
    ground.kernel([ground.at(1)])
    ground.kernel(ground.span(2, range(512)))
    cc = searching(ground)
    cc["migrate_pfn"] = ground.at(1, 5)

    assert take_target(cc) == -1

    assert cc["free_pfn"] == ground.at(1)


def test_a_compound_page_costs_the_free_scanner_one_look() -> None:
    """V-19: an order-9 huge page."""
    ground = Ground(3)
    ground.compound(ground.at(2), 9)
    ground.kernel(ground.span(1, range(512)))
    cc = searching(ground)

    take_target(cc)

    assert scans(cc.memory, ground.start)[0] == ("free", 1024, 1536, 1, 0)


def test_a_zone_at_its_minimum_gives_nothing_more() -> None:
    """FS-6.6: the search stops where a block cannot be taken, and the position stays there."""
    ground = Ground(3)
    ground.kernel([ground.at(2)])
    cc = searching(ground)
    cc.memory.zone["watermark"][0, t.WMARK_MIN] = 1 << 20

    assert take_target(cc) == -1

    assert cc["free_pfn"] == ground.at(2, 1)
    assert scans(cc.memory, ground.start) == [("free", 1024, 1025, 2, 0)]


def test_a_target_that_was_not_used_is_the_next_one() -> None:
    """compaction_free(): to the front."""
    ground = Ground(3)
    ground.kernel([p for p in ground.span(2, range(512)) if p & 511 not in range(8, 12)])
    cc = searching(ground)

    first, second = take_target(cc), take_target(cc)
    memory = cc.memory
    arrays = memory.mem_map, memory.zone, memory.pageblock, memory.node
    call(compaction_free, *arrays, cc.record, first)

    assert (take_target(cc), second) == (first, ground.at(2, 10))


def test_targets_that_are_left_are_freed_and_remembered() -> None:
    """CZ-8: later runs look for targets from the highest one's block on."""
    ground = Ground(3)
    ground.kernel([p for p in ground.span(2, range(512)) if p & 511 not in range(8, 12)])
    cc = searching(ground)
    memory = cc.memory
    first = take_target(cc)
    memory.page(first).put()

    memory.engine.call(release_freepages, cc.record)
    cc.close()

    assert (cc["nr_freepages"], memory.vmstat()["pgfree"]) == (0, 4)
    assert memory.zone["cached_free_pfn"][0] == ground.at(2)
    memory.validate()


def test_the_highest_target_that_is_left_is_remembered() -> None:
    """CZ-8: wherever it is among the others."""
    ground = Ground(3)
    left = [ground.at(1, 3), ground.at(2, 5), ground.at(1, 4)]
    ground.kernel(left)
    memory = ground.done()
    cc = control(memory, [])
    for pfn in left:
        call(list_add_tail, memory.mem_map, pfn, cc["freepages"])

    memory.engine.call(release_freepages, cc.record)

    assert memory.zone["cached_free_pfn"][0] == ground.at(2)
    cc.close()
