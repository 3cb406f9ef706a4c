"""The free lists: where a freed block goes, and what a request gets (rules B-3 to B-23)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, listed
from movable.mm import buddy
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.page_flags import PG_buddy


def zone(blocks: int = 4) -> Ground:
    """All frames in kernel pages; blocks of 16 frames, orders to 5."""
    ground = Ground(blocks, 4, 6)
    ground.kernel(range(ground.start, ground.end))
    ground.done()
    return ground


def free(memory: Memory, pfn: int, order: int = 0, migratetype: int = t.MOVABLE) -> None:
    memory.engine.call(buddy.free_one_page, 0, pfn, order, migratetype)


def take(memory: Memory, order: int, migratetype: int = t.MOVABLE) -> int:
    arrays = memory.mem_map, memory.zone, memory.node
    return int(call(buddy.rmqueue_smallest, *arrays, 0, order, migratetype))


def test_a_freed_page_merges_with_its_free_buddies() -> None:
    """B-4: as far as it goes, and the lower half's frame is the block's."""
    memory = zone().memory

    for pfn in (34, 35, 33, 32):
        free(memory, pfn)

    assert memory.buddyinfo()["DMA32"] == [0, 0, 1, 0, 0, 0]
    assert listed(memory, 2) == [32]
    assert memory.zone["free"][0] + memory.zone["free_diff"][0, 0] == 4


def test_a_buddy_of_another_order_does_not_merge() -> None:
    """B-4: exactly this order."""
    memory = zone().memory

    free(memory, 32, 1)
    free(memory, 34)

    assert (listed(memory, 1), listed(memory, 0)) == ([32], [34])


def test_below_a_pageblock_types_do_not_matter() -> None:
    """B-5, B-6: the merged block goes to the list of the type that was freed last."""
    memory = zone().memory

    free(memory, 32, 0, t.UNMOVABLE)
    free(memory, 33, 0, t.RECLAIMABLE)

    assert listed(memory, 1, t.RECLAIMABLE) == [32]


@pytest.mark.parametrize(
    ("mine", "other", "merges"),
    [
        (t.MOVABLE, t.MOVABLE, True),
        (t.MOVABLE, t.UNMOVABLE, True),
        (t.MOVABLE, t.HIGHATOMIC, False),
        (t.HIGHATOMIC, t.MOVABLE, False),
        (t.HIGHATOMIC, t.HIGHATOMIC, True),
        (t.MOVABLE, t.ISOLATE, False),
    ],
)
def test_whole_pageblocks_merge_by_type(mine: int, other: int, merges: bool) -> None:
    """B-4.3: equal types, or both of the kind that may mix."""
    memory = zone().memory
    memory.pageblock[2], memory.pageblock[3] = mine, other
    free(memory, 48, 4, other)

    free(memory, 32, 4, mine)

    assert listed(memory, 5, mine) == ([32] if merges else [])


def test_the_largest_order_does_not_merge_further() -> None:
    """B-4: while order < MAX_ORDER - 1."""
    memory = zone(7).memory

    free(memory, 32, 5)
    free(memory, 0 + 64, 5)
    free(memory, 96, 5)

    assert sorted(listed(memory, 5)) == [32, 64, 96]


def test_pages_of_isolated_blocks_are_not_counted_as_free() -> None:
    """B-2, B-3."""
    memory = zone().memory

    free(memory, 32, 0, t.ISOLATE)

    assert memory.zone["free"][0] + memory.zone["free_diff"][0, 0] == 0
    assert listed(memory, 0, t.ISOLATE) == [32]


def test_a_page_goes_in_front_unless_the_block_above_will_merge() -> None:
    """V-9 (B-10): then it goes to the end, so that it is used last."""
    memory = zone().memory
    free(memory, 44)
    free(memory, 38, 1)

    free(memory, 37)  # 36 is in use; its parent's buddy is 38, which is free with order 1
    free(memory, 41)

    assert listed(memory, 0) == [41, 44, 37]


@pytest.mark.parametrize(("order", "tail"), [(2, True), (3, True), (4, False)])
def test_the_two_largest_orders_always_go_in_front(order: int, tail: bool) -> None:
    """B-10: with orders to 5 that is 4 and 5, as 9 and 10 with orders to 10."""
    ground = Ground(11, 4, 6)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    size = 1 << order
    base = 64
    free(memory, base + 2 * size, order + 1)
    free(memory, 160, order)

    free(memory, base, order)

    assert listed(memory, order) == ([160, base] if tail else [base, 160])


def test_a_request_gets_the_lowest_frame_and_the_upper_halves_are_listed() -> None:
    """V-10 (B-12): an order-0 request from an order-3 block at 40."""
    memory = zone().memory
    free(memory, 40, 3)

    first = take(memory, 0)
    halves = [listed(memory, order) for order in range(3)]
    more = [take(memory, 0) for _ in range(3)]

    assert (first, halves, more) == (40, [[41], [42], [44]], [41, 42, 43])
    assert listed(memory, 2) == [44]


def test_the_smallest_block_that_fits_is_taken_from_the_front() -> None:
    """B-11."""
    memory = zone().memory
    free(memory, 32, 3)
    free(memory, 48, 1)
    free(memory, 52, 1)

    assert take(memory, 1) == 52
    assert take(memory, 2) == 32
    assert take(memory, 4) == -1


def test_a_split_leaves_the_halves_in_front() -> None:
    """B-8: the remainder of a split is used next."""
    memory = zone().memory
    free(memory, 48, 2)
    free(memory, 32, 3)

    take(memory, 3)
    free(memory, 32, 3)
    pfn = take(memory, 0)

    assert pfn == 48
    assert listed(memory, 1) == [50]


def isolate(memory: Memory, pfn: int, order: int) -> int:
    return int(memory.engine.call(buddy.isolate_free_page, 0, pfn, order))


@pytest.mark.parametrize(("free_pages", "taken"), [(2408, 0), (2409, 8)])
def test_a_block_is_isolated_only_above_the_raw_minimum(free_pages: int, taken: int) -> None:
    """V-12 (B-21, B-23): free - highatomic > min + 2^order, with no boost."""
    memory = zone().memory
    free(memory, 32, 3)
    memory.zone["free"], memory.zone["free_diff"] = free_pages, 0
    memory.zone["watermark"][0, t.WMARK_MIN], memory.zone["boost"] = 2400, 10_000

    assert isolate(memory, 32, 3) == taken

    assert memory.zone["free"][0] + memory.zone["free_diff"][0, 0] == free_pages - taken
    assert listed(memory, 3) == ([] if taken else [32])


def test_the_highatomic_reserve_is_not_counted() -> None:
    """B-23."""
    memory = zone().memory
    free(memory, 32, 3)
    memory.zone["free"], memory.zone["free_diff"] = 2409, 0
    memory.zone["watermark"][0, t.WMARK_MIN], memory.zone["highatomic"] = 2400, 1

    assert isolate(memory, 32, 3) == 0


def test_isolated_blocks_pages_need_no_watermark() -> None:
    """B-21: the block's type, not the list's."""
    memory = zone().memory
    free(memory, 32, 3, t.ISOLATE)
    memory.pageblock[2] = t.ISOLATE
    memory.zone["watermark"][0, t.WMARK_MIN] = 2400

    assert isolate(memory, 32, 3) == 8


@pytest.mark.parametrize(("order", "becomes"), [(2, t.UNMOVABLE), (3, t.MOVABLE)])
def test_taking_half_a_pageblock_makes_it_movable(order: int, becomes: int) -> None:
    """B-22: from pageblock_order - 1 on; highatomic blocks stay what they are."""
    memory = zone().memory
    memory.pageblock[2], memory.pageblock[3] = t.UNMOVABLE, t.HIGHATOMIC
    free(memory, 32, order)
    free(memory, 48, 3, t.HIGHATOMIC)

    isolate(memory, 32, order)
    isolate(memory, 48, 3)

    assert (memory.pageblock[2], memory.pageblock[3]) == (becomes, t.HIGHATOMIC)


def test_a_block_of_two_pageblocks_makes_both_movable() -> None:
    """B-22: every pageblock that it touches."""
    memory = zone().memory
    memory.pageblock[2] = memory.pageblock[3] = t.RECLAIMABLE
    free(memory, 32, 5)

    isolate(memory, 32, 5)

    assert memory.pageblock[2:4].tolist() == [t.MOVABLE, t.MOVABLE]


def test_a_block_moves_to_the_end_of_another_types_list() -> None:
    """B-8: move_to_free_list()."""
    memory = zone().memory
    free(memory, 48, 2, t.UNMOVABLE)
    free(memory, 32, 2)

    arrays = memory.mem_map, memory.zone
    call(buddy.move_to_free_list, *arrays, 0, 32, t.UNMOVABLE)

    assert listed(memory, 2, t.UNMOVABLE) == [48, 32]
    assert memory.buddyinfo()["DMA32"][2] == 2


def test_the_last_frame_of_memory_has_no_buddy_behind_it() -> None:
    """A buddy beyond the memory map is none; the list heads stand there."""
    ground = Ground(1, 4, 6)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    memory.flags[ground.end] = PG_buddy | 4 << 24

    free(memory, ground.start, 4)

    assert listed(memory, 4) == [ground.start]
