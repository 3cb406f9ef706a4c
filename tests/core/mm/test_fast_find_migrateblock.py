"""Blocks of sources found through the free lists (rules FM-1 to FM-7)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import Ground, call, isolate, listed, scans, within
from movable import MigrateMode
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import fast_find_migrateblock as fast
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl
from movable.mm.memory import Memory

BLOCKS = 64


def with_free(*places: tuple[int, int, int]) -> Ground:
    """64 blocks in use but for free blocks at (block, offset, order)."""
    ground = Ground(BLOCKS)
    free = {
        pfn
        for block, offset, order in places
        for pfn in range(ground.at(block, offset), ground.at(block, offset) + (1 << order))
    }
    ground.kernel([p for p in range(ground.start, ground.end) if p not in free])
    ground.done()
    return ground


def daemon(ground: Ground, migrate: int = 0, **request: Any) -> CompactControl:
    """kcompactd at work for order 9, its scanners at *migrate* and the last block."""
    request = {"order": 9, "search_order": 9, **request}
    cc = CompactControl(ground.memory, request.pop("mode", MigrateMode.SYNC_LIGHT), **request)
    cc["zone"], cc["migrate_pfn"], cc["free_pfn"] = 0, ground.at(migrate), ground.at(BLOCKS - 1)
    return cc


def find(cc: CompactControl) -> int:
    """fast_find_migrateblock()."""
    return int(within(cc, fast.fast_find_migrateblock))


def cached(memory: Memory) -> list[int]:
    return [int(pfn) for pfn in memory.zone["cached_migrate_pfn"][0]]


@pytest.mark.parametrize(
    ("fails", "entries"),
    [(0, 33), (1, 17), (2, 9), (3, 5), (4, 3), (5, 2), (6, 1), (7, 1), (200, 1)],
)
def test_each_search_in_vain_halves_the_next(fails: int, entries: int) -> None:
    """V-5 (FM-1)."""
    cc = CompactControl(Ground(1).memory, fast_search_fail=fails)

    assert call(fast.freelist_scan_limit, cc.record) == entries


def test_a_block_found_is_passed_by_at_once() -> None:
    """V-14 (FM-6): it was marked when it was found, and the scan heeds the mark."""
    ground = with_free((5, 256, 8))
    memory = ground.memory
    cc = daemon(ground)

    isolate(cc)

    assert scans(memory, ground.start) == [("migrate", 2560, 3072, 1, 0)]
    assert cc["migrate_pfn"] == ground.at(6)
    assert cached(memory) == [ground.at(7)] * 2
    assert memory.pageblock[6] == t.MOVABLE | t.BLOCK_SKIP
    assert (cc["fast_start_pfn"], cc["fast_search_fail"]) == (ground.at(5, 256), 0)


def test_the_search_after_it_in_vain_leads_back_to_what_was_found() -> None:
    """V-14 (FM-4): from the middle of that block, where no mark is looked at."""
    ground = with_free((5, 256, 8))
    cc = daemon(ground)

    isolate(cc)
    isolate(cc)

    assert cc["fast_search_fail"] == 1
    assert scans(ground.memory, ground.start)[1:] == [("migrate", 2816, 3072, 1, 0)]
    assert cc["fast_start_pfn"] == fast.SPENT


def test_the_way_back_is_taken_once() -> None:
    """FM-4: what is found later is not remembered any more."""
    ground = with_free((5, 256, 8))
    cc = daemon(ground)
    cc["fast_start_pfn"] = fast.SPENT

    assert find(cc) == ground.at(5)

    assert cc["fast_start_pfn"] == fast.SPENT
    assert find(cc) == ground.at(0)


def test_the_lowest_block_found_is_the_way_back() -> None:
    """FM-5: of raw frames."""
    ground = with_free((9, 256, 8), (5, 256, 8), (7, 256, 8))
    cc = daemon(ground)

    found = [find(cc) for _ in range(3)]

    assert found == [ground.at(block) for block in (5, 7, 9)]
    assert cc["fast_start_pfn"] == ground.at(5, 256)


@pytest.mark.parametrize(
    ("migrate", "limit"), [(0, 31), (3, 10)], ids=["at the start", "on the way"]
)
def test_how_far_up_a_source_may_lie(migrate: int, limit: int) -> None:
    """FM-2: half the way from the zone's start, an eighth from further on, in whole blocks.

    63 blocks are between the scanners, or 60: block 31 is too far, or block 3 + 7.
    """
    near, far = with_free((limit - 1, 0, 8)), with_free((limit, 0, 8))

    assert find(daemon(near, migrate)) == near.at(limit - 1)
    assert find(daemon(far, migrate)) == far.at(migrate)


@pytest.mark.parametrize(
    ("request_", "searches"),
    [
        ({}, True),
        ({"ignore_skip_hint": 1}, False),
        ({"order": 3}, False),
        ({"order": 4}, True),
        ({"direct_compaction": 1}, False),
        ({"direct_compaction": 1, "gfp_mask": int(GFP_HIGHUSER_MOVABLE)}, True),
    ],
    ids=["daemon", "heeds no hints", "small", "costly", "unmovable", "movable"],
)
def test_who_searches(request_: dict[str, int], searches: bool) -> None:
    """FM-1: for large orders; a direct request only if it is movable."""
    ground = with_free((5, 0, 3))
    ground.memory.zone["nr_free"][0, 3] = 1

    cc = daemon(ground, **request_)

    assert find(cc) == ground.at(5 if searches else 0)
    assert cc["fast_search_fail"] == 0  # what was not tried was not in vain


@pytest.mark.parametrize(("offset", "searches"), [(0, True), (1, False)])
def test_a_search_begins_at_blocks_only(offset: int, searches: bool) -> None:
    """FM-1: the rest of a block is scanned first."""
    ground = with_free((5, 256, 8))
    cc = daemon(ground, 3)
    cc["migrate_pfn"] += offset

    assert (find(cc) == ground.at(5)) is searches


def test_a_zone_may_begin_in_the_middle_of_a_block() -> None:
    """FM-1: there it searches all the same, and no block begins below the zone (FM-3)."""
    ground = with_free((0, 256, 8))
    memory = ground.memory
    memory.zone["start_pfn"] = ground.at(0, 100)
    cc = daemon(ground)
    cc["migrate_pfn"] = ground.at(0, 100)

    assert find(cc) == ground.at(0, 100)
    assert cc["fast_search_fail"] == 0


def test_large_orders_come_first_and_below_3_there_are_none() -> None:
    """FM-3: order - 1 down to 3; then the search is in vain, and leads back to the lowest found."""
    ground = with_free((2, 0, 2), (3, 0, 3), (4, 0, 7), (6, 0, 9))
    cc = daemon(ground)

    found = [find(cc) for _ in range(3)]

    assert found == [ground.at(4), ground.at(3), ground.at(3)]
    assert cc["fast_search_fail"] == 1


def test_marked_blocks_and_far_ones_are_passed_over() -> None:
    """FM-3: each costs one look."""
    ground = with_free((40, 0, 8), (5, 0, 8), (9, 0, 8))
    ground.memory.pageblock[1 + 5] |= t.BLOCK_SKIP
    cc = daemon(ground)

    assert find(cc) == ground.at(9)
    assert cc["total_migrate_scanned"] == 2


def test_only_movable_lists_are_searched() -> None:
    """FM-3: list[o][MOVABLE]."""
    ground = Ground(BLOCKS)
    ground.type(5, t.UNMOVABLE)
    ground.kernel([p for p in range(ground.start, ground.end) if not 0 <= p - ground.at(5) < 256])
    ground.done()

    assert find(daemon(ground)) == ground.at(0)


def far_ones(count: int) -> Ground:
    """So many free blocks of order 3, all of them too far up."""
    return with_free(*((40, 16 * i, 3) for i in range(count)))


@pytest.mark.parametrize(
    ("fails", "entries", "scanned"), [(0, 40, 34), (0, 33, 33), (2, 32, 10), (6, 2, 2), (6, 1, 1)]
)
def test_a_search_gives_up_and_counts_the_entry_at_which_it_does(
    fails: int, entries: int, scanned: int
) -> None:
    """FM-3, FM-4."""
    ground = far_ones(entries)
    cc = daemon(ground)
    cc["fast_search_fail"] = fails

    assert find(cc) == ground.at(0)

    assert (cc["total_migrate_scanned"], cc["fast_search_fail"]) == (scanned, fails + 1)


def test_the_limit_is_one_for_all_orders() -> None:
    """FM-3: what one list has cost, the next cannot."""
    ground = with_free(*((40, 64 * i, 5) for i in range(8)), *((41, 16 * i, 3) for i in range(8)))
    cc = daemon(ground)
    cc["fast_search_fail"] = 2

    find(cc)

    assert cc["total_migrate_scanned"] == 10


def test_a_search_in_vain_turns_the_list_at_its_last_entry() -> None:
    """FM-7: so that the next begins with what this one has not seen."""
    ground = far_ones(5)
    before = listed(ground.memory, 3)
    cc = daemon(ground)
    cc["fast_search_fail"] = 5

    find(cc)

    assert listed(ground.memory, 3) == before[3:] + before[:3]


def test_a_search_with_success_turns_the_list_behind_what_it_found() -> None:
    """FM-7."""
    ground = with_free((40, 0, 8), (5, 0, 8), (9, 0, 8), (11, 0, 8))
    names = {ground.at(block): block for block in (5, 9, 11, 40)}
    call_order = [names[pfn] for pfn in listed(ground.memory, 8)]
    assert call_order == [5, 9, 11, 40]
    ground.memory.pageblock[1 + 5] |= t.BLOCK_SKIP

    find(daemon(ground))

    assert [names[pfn] for pfn in listed(ground.memory, 8)] == [11, 40, 5, 9]


@pytest.mark.parametrize(("at", "after"), [(2, "deabc"), (0, "bcdea"), (4, "abcde")])
def test_turning_a_list_puts_its_beginning_at_the_end(at: int, after: str) -> None:
    """V-7 (FM-7): up to and with the entry; nothing changes at the last."""
    ground = with_free(*((40, 16 * i, 3) for i in range(5)))
    memory = ground.memory
    entries = listed(memory, 3)
    names = dict(zip(entries, "abcde", strict=True))
    head = int(memory.zone["free_list"][0]) + 3 * t.MIGRATE_TYPES + t.MOVABLE

    call(fast.move_freelist_tail, memory.mem_map, head, entries[at])

    assert "".join(names[pfn] for pfn in listed(memory, 3)) == after
