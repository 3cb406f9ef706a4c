"""Stealing from other migratetypes: which block, and what it takes along (B-13 to B-20)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, listed
from movable.mm import fallback
from movable.mm import mm_types as t
from movable.mm.alloc_flags import ALLOC_CMA, ALLOC_KSWAPD, ALLOC_NOFRAGMENT
from movable.mm.buddy import add_to_free_list
from movable.mm.memory import Memory
from movable.page_flags import PAGE_MAPPING_MOVABLE, PG_lru

NAMES = {t.UNMOVABLE: "U", t.MOVABLE: "M", t.RECLAIMABLE: "R", t.HIGHATOMIC: "H"}


def zone(blocks: int = 4, pageblock_order: int = 9, max_order: int = 11) -> Ground:
    """All frames in kernel pages."""
    ground = Ground(blocks, pageblock_order, max_order)
    ground.kernel(range(ground.start, ground.end))
    ground.done()
    return ground


def free(memory: Memory, pfn: int, order: int, migratetype: int) -> None:
    """One more free block, without merging."""
    memory.mem_map["refcount"][pfn : pfn + (1 << order)] = 0
    memory.mem_map["flags"][pfn : pfn + (1 << order)] = 0
    call(add_to_free_list, memory.mem_map, memory.zone, 0, pfn, order, migratetype, True)


def request(memory: Memory, order: int, migratetype: int, alloc_flags: int = 0) -> int:
    return int(memory.engine.call(fallback.rmqueue, 0, order, migratetype, alloc_flags))


@pytest.mark.parametrize(
    ("migratetype", "order"),
    [
        (t.UNMOVABLE, [t.RECLAIMABLE, t.MOVABLE]),
        (t.MOVABLE, [t.RECLAIMABLE, t.UNMOVABLE]),
        (t.RECLAIMABLE, [t.UNMOVABLE, t.MOVABLE]),
    ],
    ids=["unmovable", "movable", "reclaimable"],
)
def test_each_type_has_its_order_of_fallbacks(migratetype: int, order: list[int]) -> None:
    """Table 1.3."""
    assert [call(fallback.fallback_type, migratetype, choice) for choice in range(2)] == order


@pytest.mark.parametrize(
    ("order", "migratetype", "steals"),
    [
        (3, t.MOVABLE, False),
        (4, t.MOVABLE, True),
        (0, t.UNMOVABLE, True),
        (0, t.RECLAIMABLE, True),
        (9, t.MOVABLE, True),
    ],
)
def test_only_small_movable_requests_do_not_steal(
    order: int, migratetype: int, steals: bool
) -> None:
    """B-15."""
    memory = zone(1).memory

    assert bool(call(fallback.can_steal_fallback, memory.node, order, migratetype, order)) is steals


def test_the_limit_of_stealing_is_half_a_pageblocks_order() -> None:
    """B-15: on a machine with order-4 blocks it is 2."""
    memory = zone(1, 4, 6).memory

    limits = [
        bool(call(fallback.can_steal_fallback, memory.node, o, t.MOVABLE, o)) for o in range(4)
    ]

    assert limits == [False, False, True, True]


def test_a_steal_takes_the_largest_block_there_is() -> None:
    """B-17: so that the next request finds some, too."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 2, t.MOVABLE)
    free(memory, ground.at(1), 7, t.MOVABLE)
    free(memory, ground.at(2), 5, t.RECLAIMABLE)

    assert request(memory, 0, t.UNMOVABLE) == ground.at(1)


def test_a_movable_request_that_cannot_steal_takes_the_smallest() -> None:
    """B-17: searching upwards, it mixes as little as possible."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 3, t.UNMOVABLE)
    free(memory, ground.at(1), 1, t.UNMOVABLE)
    free(memory, ground.at(2), 1, t.RECLAIMABLE)

    assert request(memory, 0, t.MOVABLE) == ground.at(2)
    assert request(memory, 1, t.MOVABLE) == ground.at(1)
    assert request(memory, 2, t.MOVABLE) == ground.at(0)
    assert listed(memory, 2, t.MOVABLE) == [ground.at(0, 4)]


def test_only_whole_pageblocks_are_taken_where_fragments_are_forbidden() -> None:
    """B-17 with ALLOC_NOFRAGMENT."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 8, t.MOVABLE)

    assert request(memory, 0, t.UNMOVABLE, ALLOC_NOFRAGMENT) == -1
    free(memory, ground.at(1), 9, t.MOVABLE)
    assert request(memory, 0, t.UNMOVABLE, ALLOC_NOFRAGMENT) == ground.at(1)


def test_one_list_of_ones_own_is_enough() -> None:
    """B-13: nothing is stolen while the own lists have a block."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 9, t.MOVABLE)
    free(memory, ground.at(1), 4, t.UNMOVABLE)

    assert request(memory, 0, t.UNMOVABLE) == ground.at(1)
    assert request(memory, 9, t.UNMOVABLE) == ground.at(0)


@pytest.mark.parametrize("order", [9, 10])
def test_a_whole_pageblock_changes_its_type(order: int) -> None:
    """B-18.2: all blocks that it covers."""
    ground = zone(5)
    memory = ground.memory
    free(memory, ground.at(1), order, t.MOVABLE)

    request(memory, 0, t.UNMOVABLE)

    blocks = 1 << (order - 9)
    assert memory.pageblock[2 : 2 + blocks].tolist() == [t.UNMOVABLE] * blocks
    assert memory.pageblock[1] == memory.pageblock[2 + blocks] == t.MOVABLE
    assert memory.zone["boost"][0] == 0


def mixed(old: int) -> Ground:
    """V-11: a block with 100 free pages (order 5 first) and 200 movable ones among the others."""
    ground = zone(2)
    memory = ground.memory
    ground.type(0, old)
    offset = 0
    for order in (5, 5, 5, 2):
        free(memory, ground.at(0, offset), order, old)
        offset += 1 << order
    memory.mem_map["flags"][ground.at(0, 200) : ground.at(0, 350)] = PG_lru
    memory.mem_map["mapping"][ground.at(0, 350) : ground.at(0, 400)] = PAGE_MAPPING_MOVABLE
    return ground


def test_a_mostly_unmovable_block_is_claimed() -> None:
    """V-11: 100 free and 212 alike are more than half."""
    ground = mixed(t.MOVABLE)

    request(ground.memory, 0, t.UNMOVABLE)

    assert ground.memory.pageblock[1] == t.UNMOVABLE
    assert listed(ground.memory, 5, t.MOVABLE) == []


def test_a_block_of_a_third_type_is_not_claimed_but_emptied() -> None:
    """V-11: nothing in a reclaimable block is alike, yet all its free pages change lists."""
    ground = mixed(t.RECLAIMABLE)
    memory = ground.memory

    request(memory, 0, t.UNMOVABLE)

    assert memory.pageblock[1] == t.RECLAIMABLE
    assert listed(memory, 5, t.RECLAIMABLE) == listed(memory, 2, t.RECLAIMABLE) == []
    assert listed(memory, 5, t.UNMOVABLE) == ground.span(0, [0, 32, 64])


def test_for_movable_requests_movable_pages_are_alike() -> None:
    """B-18.5: 100 free and 200 movable claim the block, 100 and 150 do not."""
    claimed, left = mixed(t.UNMOVABLE), mixed(t.UNMOVABLE)
    left.memory.mem_map["flags"][left.at(0, 200) : left.at(0, 250)] = 0

    request(claimed.memory, 0, t.MOVABLE)
    request(left.memory, 0, t.MOVABLE)

    assert claimed.memory.pageblock[1] == t.MOVABLE
    assert left.memory.pageblock[1] == t.UNMOVABLE


@pytest.mark.parametrize(("movable", "becomes"), [(155, "U"), (156, "M")])
def test_half_a_block_is_enough(movable: int, becomes: str) -> None:
    """B-18.7: 256 of 512, free and alike together."""
    ground = mixed(t.UNMOVABLE)
    memory = ground.memory
    memory.mem_map["flags"][ground.at(0, 200) : ground.at(0, 350)] = 0
    memory.mem_map["mapping"][ground.at(0, 350) : ground.at(0, 400)] = 0
    memory.mem_map["flags"][ground.at(0, 200) : ground.at(0, 200 + movable)] = PG_lru

    request(memory, 0, t.MOVABLE)

    assert NAMES[int(memory.pageblock[1])] == becomes


def test_a_highatomic_block_gives_one_block_only() -> None:
    """B-18.1: neither its type nor its other free pages change."""
    ground = zone(2)
    memory = ground.memory
    ground.type(0, t.HIGHATOMIC)
    free(memory, ground.at(0), 5, t.MOVABLE)
    free(memory, ground.at(0, 64), 3, t.MOVABLE)

    assert request(memory, 5, t.UNMOVABLE) == ground.at(0)

    assert memory.pageblock[1] == t.HIGHATOMIC
    assert listed(memory, 3, t.MOVABLE) == [ground.at(0, 64)]


def test_a_highatomic_block_that_is_free_as_a_whole_stays_one() -> None:
    """B-18.1: it waited on a CPU's list when it was reserved, and came back as what it had been."""
    ground = zone(2)
    memory = ground.memory
    ground.type(0, t.HIGHATOMIC)
    free(memory, ground.at(0), 9, t.MOVABLE)

    assert request(memory, 0, t.UNMOVABLE) == ground.at(0)

    assert memory.pageblock[1] == t.HIGHATOMIC


def test_a_steal_raises_the_watermarks() -> None:
    """B-18.3."""
    ground = zone(4)
    memory = ground.memory
    memory.zone["watermark"][0, t.WMARK_HIGH] = 1000
    free(memory, ground.at(0), 5, t.MOVABLE)

    request(memory, 0, t.UNMOVABLE)

    assert memory.zone["boost"][0] == 512


def test_a_pageblocks_free_pages_move_to_the_ends_of_the_lists() -> None:
    """B-20: ascending."""
    ground = zone(2)
    memory = ground.memory
    for offset in (96, 0, 32):
        free(memory, ground.at(0, offset), 2, t.MOVABLE)
    free(memory, ground.at(1), 2, t.UNMOVABLE)

    moved = call(
        fallback.move_freepages_block,
        memory.mem_map,
        memory.zone,
        memory.node,
        0,
        ground.at(0, 40),
        t.UNMOVABLE,
    )

    assert tuple(moved) == (12, 0)
    assert listed(memory, 2, t.UNMOVABLE) == [ground.at(1), *ground.span(0, [0, 32, 96])]


def test_a_ragged_block_at_a_zones_end_gives_nothing() -> None:
    """B-20: its end is outside; at the start of the zone the scan begins at the page itself."""
    ground = zone(2)
    memory = ground.memory
    free(memory, ground.at(1), 2, t.MOVABLE)
    memory.zone["spanned"] = 1000

    arrays = memory.mem_map, memory.zone, memory.node
    moved = call(fallback.move_freepages_block, *arrays, 0, ground.at(1), t.UNMOVABLE)
    assert tuple(moved) == (0, 0)

    memory.zone["start_pfn"] = ground.at(1)
    free(memory, ground.at(1, 8), 2, t.MOVABLE)
    memory.zone["start_pfn"] = ground.at(1) + 1
    assert tuple(call(fallback.move_freepages_block, *arrays, 0, ground.at(1, 8), t.UNMOVABLE)) == (
        4,
        0,
    )
    assert listed(memory, 2, t.MOVABLE) == [ground.at(1)]


def test_nothing_is_found_where_nothing_is_free() -> None:
    """The request fails, and no block changes its type."""
    memory = zone().memory

    assert request(memory, 0, t.UNMOVABLE) == -1
    assert memory.pageblock.tolist() == [t.MOVABLE] * 5


@pytest.mark.parametrize(
    ("alloc_flags", "in_cma", "block"),
    [(ALLOC_CMA, 51, 1), (ALLOC_CMA, 50, 0), (0, 51, 0)],
    ids=["most of it", "half of it", "not for this request"],
)
def test_cma_comes_first_while_most_of_what_is_free_lies_there(
    alloc_flags: int, in_cma: int, block: int
) -> None:
    """B-13: so that it does not fill up last, when it is wanted back."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 3, t.MOVABLE)
    free(memory, ground.at(1), 3, t.CMA)
    memory.zone["free"], memory.zone["free_cma"] = 100, in_cma

    assert request(memory, 0, t.MOVABLE, alloc_flags) == ground.at(block)


@pytest.mark.parametrize(("alloc_flags", "block"), [(ALLOC_CMA, 1), (0, 0)])
def test_cma_comes_before_stealing(alloc_flags: int, block: int) -> None:
    """B-13: for who may use it; nobody steals from it (table 1.3)."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 3, t.UNMOVABLE)
    free(memory, ground.at(1), 3, t.CMA)

    assert request(memory, 0, t.MOVABLE, alloc_flags) == ground.at(block)


def test_a_zone_may_be_all_cma() -> None:
    """B-13: what is left of the largest block there serves; then there is nothing to steal."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(1), 3, t.CMA)
    memory.zone["free"], memory.zone["free_cma"] = 100, 100

    assert [request(memory, 3, t.MOVABLE, ALLOC_CMA) for _ in range(2)] == [ground.at(1), -1]
    assert request(memory, 0, t.UNMOVABLE) == -1


def test_a_steal_by_who_wakes_kswapd_leaves_a_mark() -> None:
    """B-18.3: the zone is flagged as boosted, for kswapd to be woken."""
    flags = []
    for alloc_flags in (0, ALLOC_KSWAPD):
        ground = zone(4)
        memory = ground.memory
        memory.zone["watermark"][0, t.WMARK_HIGH] = 1000
        free(memory, ground.at(0), 5, t.MOVABLE)
        request(memory, 0, t.UNMOVABLE, alloc_flags)
        flags.append(int(memory.zone["zflags"][0]))

    assert flags == [0, t.ZONE_BOOSTED_WATERMARK]
