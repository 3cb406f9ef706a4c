"""Targets found through the free lists: where, how far, in which lists (rules FF-1 to FF-6)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, listed
from core.mm.searching import BLOCKS, arrange, places, row, search, searching, with_free
from movable.mm import fast_isolate_freepages as fast
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl

# Where, and how far.


@pytest.mark.parametrize("fails", range(8))
def test_each_search_in_vain_halves_the_next(fails: int) -> None:
    """V-5 (FF-1): 16, 8, 4, 2, 1, 1, 1, 1 entries."""
    ground = with_free(*row(2, 0, 40))
    cc = searching(ground, order=1)
    cc["fast_search_fail"] = fails

    search(cc)

    assert cc["total_free_scanned"] == max(1, 16 >> fails)


def test_linux_5_10_looks_at_one_entry_however_few_were_in_vain() -> None:
    """X-7."""
    cc = searching(with_free(*row(2, 0, 40)), order=1)
    cc["fast_limit_is_one"] = 1

    search(cc)

    assert cc["total_free_scanned"] == 1


@pytest.mark.parametrize("order", [0, -1])
def test_runs_for_no_order_do_not_search(order: int) -> None:
    """FF-1."""
    cc = searching(with_free((30, 0, 3)), order=order)

    assert search(cc) == []
    assert cc["fast_search_fail"] == 0


def test_a_block_in_the_upper_quarter_is_taken_at_once() -> None:
    """FF-4: the first from the list's end, and where it was is where the next search begins."""
    ground = with_free((24, 0, 3), (25, 0, 3), (23, 0, 3))
    cc = searching(ground)
    cc["fast_search_fail"] = 2
    assert places(ground, listed(ground.memory, 3)) == [(23, 0), (24, 0), (25, 0)]

    taken = search(cc)

    assert places(ground, taken) == [(25, 0)]
    assert (cc["fast_search_fail"], cc["search_order"]) == (0, 3)
    assert (cc["nr_freepages"], cc["free_pfn"]) == (8, ground.at(32))
    vm = ground.memory.vmstat()
    assert (cc["total_free_scanned"], vm["compact_isolated"]) == (1 + 7, 8)


@pytest.mark.parametrize(("block", "taken"), [(24, True), (23, False)])
def test_the_upper_quarter_begins_at_a_pageblock(block: int, taken: bool) -> None:
    """FF-2: pbs(free_pfn - d / 4). A lower one is taken, too, but is no success."""
    ground = with_free((block, 504, 3))
    cc = searching(ground)
    cc["fast_search_fail"] = 3

    assert places(ground, search(cc)) == [(block, 504)]

    assert (cc["fast_search_fail"] == 0) is taken


@pytest.mark.parametrize(("block", "taken"), [(16, True), (15, False)])
def test_half_the_way_is_the_least(block: int, taken: bool) -> None:
    """FF-2, FF-5: pbs(free_pfn - d / 2)."""
    ground = with_free((block, 0, 3))

    assert bool(search(searching(ground))) is taken


def test_the_highest_candidate_is_taken_if_nothing_better_is_there() -> None:
    """FF-5."""
    ground = with_free((16, 0, 3), (20, 0, 3), (18, 0, 3))

    assert places(ground, search(searching(ground))) == [(20, 0)]


def test_the_search_ends_sooner_once_there_is_a_candidate() -> None:
    """FF-4: each better one halves what is left to look at; 4, then 2, and two have been seen."""
    ground = with_free(*row(20, 3, 1), *row(22, 3, 1), *row(24, 3, 1))
    memory = ground.memory
    arrange(memory, 3, [ground.at(24), ground.at(22), ground.at(20)])
    cc = searching(ground)
    cc["fast_search_fail"] = 2

    assert places(ground, search(cc)) == [(22, 0)]

    assert cc["total_free_scanned"] == 2 + 7
    assert places(ground, listed(memory, 3)) == [(20, 0), (24, 0)]


def test_the_limits_are_pageblocks_starts() -> None:
    """FF-2: free_pfn - d / 4 is 64 frames into block 24 here."""
    ground = with_free((24, 0, 3))
    cc = searching(ground)
    cc["migrate_pfn"] += 256
    cc["fast_search_fail"] = 3

    search(cc)

    assert cc["fast_search_fail"] == 0


def test_a_free_scanner_below_the_migrate_scanner_finds_nothing() -> None:
    """FF-2: the kernel's distance is unsigned, so its limits are beyond all frames.

    It looks all the same: that is counted, and tells later runs where to start.
    """
    ground = with_free((30, 0, 3), (10, 0, 3))
    memory = ground.memory
    memory.zone["cached_free_pfn"] = ground.at(18)
    cc = searching(ground, init_free=0)
    cc["migrate_pfn"], cc["free_pfn"] = ground.at(20), ground.at(18)

    assert search(cc) == []

    assert (cc["free_pfn"], cc["total_free_scanned"]) == (ground.at(18), 2)
    assert (cc["fast_search_fail"], cc["search_order"]) == (1, 2)
    assert memory.zone["cached_free_pfn"][0] == ground.at(29)


# Which lists.


def orders(cc: CompactControl, first: int) -> list[int]:
    """The orders that one search tries."""
    tried = [first]
    while (order := int(call(fast.next_search_order, cc.record, tried[-1]))) >= 0:
        tried.append(order)
    return tried


@pytest.mark.parametrize(
    ("order", "search_order", "tried", "left"),
    [
        (9, 8, [8, 7, 6, 5, 4, 3, 2, 1, 0], 7),
        (9, 7, [7, 6, 5, 4, 3, 2, 1, 0, 8], 6),
        (9, 0, [0, 8, 7, 6, 5, 4, 3, 2, 1], 8),
        (3, 2, [2, 1, 0], 1),
        (1, 0, [0], 0),
    ],
)
def test_all_orders_are_tried_in_a_circle(
    order: int, search_order: int, tried: list[int], left: int
) -> None:
    """V-6 (FF-3): and the next search begins one further on."""
    cc = CompactControl(Ground(1).memory, order=order, search_order=search_order)

    assert orders(cc, search_order) == tried

    assert cc["search_order"] == left


def test_the_order_asked_for_is_not_among_them() -> None:
    """FF-2: a block of that order is what compaction wants to make."""
    ground = with_free((28, 0, 4), (25, 0, 2))

    assert places(ground, search(searching(ground))) == [(25, 0)]


def test_a_search_begins_where_the_last_found_something() -> None:
    """FF-3, FF-4."""
    ground = with_free((28, 0, 3), (25, 0, 1), (26, 0, 1))
    cc = searching(ground, search_order=1)

    assert places(ground, search(cc)) == [(26, 0)]
    assert cc["search_order"] == 1


def test_a_full_look_halves_the_next_orders() -> None:
    """FF-7: 8 entries of order 1, then 4 of order 0."""
    ground = with_free(*row(2, 1, 10), *row(3, 0, 10))
    cc = searching(ground, order=2)
    cc["fast_search_fail"] = 1

    search(cc)

    assert cc["total_free_scanned"] == 8 + 4


def test_a_short_list_leaves_the_next_orders_limit_alone() -> None:
    """FF-7."""
    ground = with_free(*row(2, 1, 3), *row(3, 0, 10))
    cc = searching(ground, order=2)
    cc["fast_search_fail"] = 1

    search(cc)

    assert cc["total_free_scanned"] == 3 + 8


def test_only_movable_lists_are_searched() -> None:
    """FF-4: list[o][MOVABLE]."""
    ground = Ground(BLOCKS)
    ground.type(30, t.UNMOVABLE)
    ground.kernel([p for p in range(ground.start, ground.end) if not 0 <= p - ground.at(30) < 8])
    ground.done()

    assert search(searching(ground)) == []


def test_a_blocks_type_and_mark_do_not_matter() -> None:
    """FF-11: nor that it lies above the free scanner."""
    ground = with_free((32, 256, 3))
    ground.memory.pageblock[1 + 32] = t.UNMOVABLE | t.BLOCK_SKIP

    assert places(ground, search(searching(ground))) == [(32, 256)]


def test_half_a_pageblock_taken_out_makes_it_movable() -> None:
    """B-22: the only way to take so much from a block of another type."""
    ground = with_free((28, 256, 8), (30, 0, 7))
    memory = ground.memory
    memory.pageblock[1 + 28], memory.pageblock[1 + 30] = t.UNMOVABLE, t.UNMOVABLE

    assert places(ground, search(searching(ground, order=9))) == [(28, 256)]

    assert memory.pageblock[1 + 28] == t.MOVABLE
    assert memory.pageblock[1 + 30] == t.UNMOVABLE


# The order of the lists.


@pytest.mark.parametrize(
    ("entries", "fails", "after"),
    [(5, 3, "deabc"), (4, 2, "abcd"), (5, 0, "abcde")],
    ids=["at d", "at a", "at the end"],
)
def test_a_search_in_vain_turns_the_list_at_its_last_entry(
    entries: int, fails: int, after: str
) -> None:
    """V-7 (FF-5): it comes first, and what stood before it last; seen from the end."""
    ground = with_free(*row(2, 3, entries))
    memory = ground.memory
    names = dict(zip(listed(memory, 3), "abcde", strict=False))
    cc = searching(ground)
    cc["fast_search_fail"] = fails

    search(cc)

    assert "".join(names[pfn] for pfn in listed(memory, 3)) == after


def test_a_search_with_success_turns_the_list_at_what_it_took() -> None:
    """V-7: c is taken, and so d e a b are left."""
    ground = with_free(*((block, 0, 3) for block in (2, 3, 24, 25, 26)))
    memory = ground.memory
    entries = [ground.at(block) for block in (26, 25, 24, 3, 2)]
    arrange(memory, 3, entries)
    names = dict(zip(entries, "abcde", strict=True))

    assert search(searching(ground)) == [ground.at(24)]

    assert "".join(names[pfn] for pfn in listed(memory, 3)) == "deab"
