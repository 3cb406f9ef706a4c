"""What a search for targets does beside finding one (rules FF-1, FF-6 to FF-11)."""

from __future__ import annotations

import pytest

from core.mm.ground import listed, on_pcp, scans, within
from core.mm.searching import places, row, search, searching, with_free
from movable import MigrateMode
from movable.mm import mm_types as t
from movable.mm.isolate_freepages import isolate_freepages, release_freepages
from movable.mm.lists import collect
from movable.page_flags import NO_ZONE, ZONE_SHIFT

# Failures.


@pytest.mark.parametrize("blocks", [(30, 31), (20, 18)], ids=["well above", "candidates"])
def test_the_watermark_ends_the_search(blocks: tuple[int, int]) -> None:
    """FF-6: no further order is tried, and it counts as one in vain."""
    ground = with_free((blocks[0], 0, 3), (blocks[1], 0, 2))
    memory = ground.memory
    memory.zone["watermark"][0, t.WMARK_MIN] = 1 << 20
    cc = searching(ground)

    assert search(cc) == []

    assert (cc["total_free_scanned"], cc["nr_freepages"]) == (1, 0)
    assert (cc["fast_search_fail"], cc["search_order"]) == (1, 2)
    assert listed(memory, 3) == [ground.at(blocks[0])]


def test_a_scan_that_begins_looks_deeper() -> None:
    """FF-1: 256 entries, however often the search was in vain."""
    ground = with_free(*row(2, 0, 200))
    cc = searching(ground, order=1, init_free=0, direct_compaction=0)
    cc["fast_search_fail"] = 7

    search(cc)

    assert cc["total_free_scanned"] == 200


@pytest.mark.parametrize(
    ("direct", "init_free", "block"),
    [(1, 0, 16), (0, 0, 32), (1, 1 << 40, 32)],
    ids=["direct", "daemon", "on its way"],
)
def test_a_direct_scan_that_begins_in_vain_starts_half_way(
    direct: int, init_free: int, block: int
) -> None:
    """FF-8: it is pessimistic about the upper half; that block is scanned, and marked as poor."""
    ground = with_free((2, 0, 3))
    cc = searching(ground, init_free=init_free, direct_compaction=direct)

    assert search(cc) == []

    assert (cc["free_pfn"], cc["fast_search_fail"]) == (ground.at(block), 1)
    scanned = [("free", 8192, 8704, 512, 0)] if block == 16 else []
    assert scans(ground.memory, ground.start) == scanned
    assert bool(ground.memory.pageblock[1 + 16] & t.BLOCK_SKIP) is (block == 16)


def test_half_way_may_be_a_hole() -> None:
    """FF-8: then the scan begins where it is."""
    ground = with_free((2, 0, 3))
    memory = ground.memory
    memory.zone["contiguous"] = 0
    memory.mem_map["flags"][ground.at(16) : ground.at(17)] = NO_ZONE << ZONE_SHIFT
    cc = searching(ground, init_free=0)

    search(cc)

    assert cc["free_pfn"] == ground.at(32)


def test_a_scan_that_begins_at_the_watermark_starts_at_the_highest_block_seen() -> None:
    """FF-8: highest >= least, though nothing could be taken."""
    ground = with_free((30, 64, 3), (2, 0, 2))
    ground.memory.zone["watermark"][0, t.WMARK_MIN] = 1 << 20
    cc = searching(ground, init_free=0)

    search(cc)

    assert cc["free_pfn"] == ground.at(30)


@pytest.mark.parametrize(
    ("cached", "after"), [(30, 29), (29, 29), (31, 31)], ids=["at it", "below", "above"]
)
def test_later_runs_look_for_targets_below_the_highest_block_seen(cached: int, after: int) -> None:
    """FF-9: one pageblock below it, if they would begin there or below."""
    ground = with_free((30, 64, 3))
    memory = ground.memory
    memory.zone["cached_free_pfn"] = ground.at(cached)

    search(searching(ground))

    assert memory.zone["cached_free_pfn"][0] == ground.at(after)


# Around what was found.


def test_what_surrounds_a_find_is_scanned_if_it_is_too_little() -> None:
    """FF-10: 8 pages of 32, so the whole pageblock from its start on, until there are enough."""
    ground = with_free((25, 0, 3), (25, 64, 5))
    cc = searching(ground, sources=32)

    assert places(ground, search(cc)) == [(25, 0), (25, 64)]

    assert scans(ground.memory, ground.start) == [("free", 12800, 12896, 96, 32)]
    assert (cc["nr_freepages"], cc["free_pfn"]) == (40, ground.at(32))
    assert not ground.memory.pageblock[1 + 25] & t.BLOCK_SKIP


@pytest.mark.parametrize(
    ("direct", "mode", "scanned"),
    [
        (1, MigrateMode.ASYNC, False),
        (0, MigrateMode.ASYNC, True),
        (1, MigrateMode.SYNC_LIGHT, True),
    ],
)
def test_asynchronous_requests_leave_the_surroundings_alone(
    direct: int, mode: MigrateMode, scanned: bool
) -> None:
    """FF-10: and do not mark them."""
    ground = with_free((25, 0, 3), (25, 64, 3))
    cc = searching(ground, sources=32, mode=mode, direct_compaction=direct)

    search(cc)

    assert bool(scans(ground.memory, ground.start)) is scanned
    assert bool(ground.memory.pageblock[1 + 25] & t.BLOCK_SKIP) is scanned


def test_enough_is_enough() -> None:
    """FF-10: nothing around is looked at."""
    ground = with_free((25, 0, 3), (25, 64, 5))

    assert places(ground, search(searching(ground))) == [(25, 0)]

    assert scans(ground.memory, ground.start) == []


def test_with_a_find_nothing_is_scanned() -> None:
    """FS-1: its pages are handed out, and the position stays."""
    ground = with_free((25, 0, 3), (20, 0, 6))
    cc = searching(ground)

    within(cc, isolate_freepages)

    assert [int(p) for p in collect(cc.memory, cc["freepages"])] == ground.span(
        25, range(7, -1, -1)
    )
    assert cc["free_pfn"] == ground.at(32)


def test_what_is_left_of_a_find_is_freed_and_remembered() -> None:
    """CZ-8: the highest page's block, if it is above where later runs would begin."""
    ground = with_free((25, 0, 3))
    memory = ground.memory
    cc = searching(ground)
    within(cc, isolate_freepages)
    memory.zone["cached_free_pfn"] = ground.at(20)

    within(cc, release_freepages)
    cc.close()

    assert on_pcp(memory, t.MOVABLE) == ground.span(25, range(8))
    assert memory.zone["cached_free_pfn"][0] == ground.at(25)
    memory.validate()
