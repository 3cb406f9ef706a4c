"""Pageblocks kept for urgent requests (rules H-1, H-2, B-14)."""

from __future__ import annotations

import pytest

from core.mm.ground import FAR, Ground, listed
from movable.errors import OutOfMemory
from movable.gfp import GFP_ATOMIC, GFP_KERNEL, GFP_NOWAIT
from movable.mm import fallback, highatomic, page_alloc
from movable.mm import mm_types as t
from movable.mm.alloc_flags import ALLOC_HIGHATOMIC, ALLOC_MIN_RESERVE, ALLOC_NON_BLOCK, ALLOC_OOM
from movable.mm.memory import Memory

URGENT = ALLOC_HIGHATOMIC | ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK


def zone(blocks: int = 4, managed: int = 0) -> Ground:
    """Blocks of 16 frames, each with a kernel page at its start."""
    ground = Ground(blocks, 4, 6)
    ground.kernel([ground.at(block) for block in range(blocks)])
    memory = ground.done()
    memory.zone["managed"] = managed or int(memory.zone["managed"][0])
    memory.zone["pcp_batch"] = 1
    return ground


def keep(memory: Memory, pfn: int) -> None:
    memory.engine.call(highatomic.reserve_highatomic_pageblock, 0, pfn)


def give_up(memory: Memory, migratetype: int = t.MOVABLE, force: bool = False) -> bool:
    door = highatomic.unreserve_highatomic_pageblock
    return bool(memory.engine.call(door, 3, migratetype, force))


def request(memory: Memory, order: int, alloc_flags: int) -> int:
    """What zone 0 gives to an unmovable request without a look at watermarks, or -1."""
    door = page_alloc.rmqueue_buddy
    return int(memory.engine.call(door, 0, order, t.UNMOVABLE, alloc_flags))


def types(memory: Memory) -> list[int]:
    return [int(byte) & t.BLOCK_TYPE for byte in memory.pageblock[1:]]


def below_the_low_mark() -> Ground:
    """Nothing is given at the low watermark, everything at the minimum."""
    ground = zone()
    ground.memory.zone["watermark"][0, t.WMARK_LOW] = FAR
    return ground


def test_a_large_urgent_request_has_its_pageblock_kept() -> None:
    """H-1: its 16 pages count as the reserve, and its free blocks are for such requests alone."""
    ground = below_the_low_mark()
    memory = ground.memory

    pfn = memory.alloc_pages(GFP_ATOMIC, 3)

    block = (pfn - ground.start) // ground.size
    assert types(memory)[block] == t.HIGHATOMIC
    assert memory.zone["highatomic"][0] == 16
    assert [len(listed(memory, order, t.HIGHATOMIC)) for order in range(4)] == [1, 1, 1, 0]
    memory.validate()


@pytest.mark.parametrize(("gfp", "order"), [(GFP_ATOMIC, 0), (GFP_NOWAIT, 3), (GFP_KERNEL, 3)])
def test_others_have_nothing_kept(gfp: int, order: int) -> None:
    """H-1: it takes all three: urgent, without waiting, and more than a page."""
    memory = below_the_low_mark().memory

    memory.alloc_pages(gfp, order)

    assert memory.zone["highatomic"][0] == 0


@pytest.mark.parametrize(("managed", "kept"), [(64, 1), (1599, 2), (1600, 2), (3200, 3)])
def test_about_a_hundredth_of_the_zone_is_kept_and_at_least_one_block(
    managed: int, kept: int
) -> None:
    """H-1: while the reserve is below managed / 100 + a block."""
    ground = zone(managed=managed)

    for block in range(4):
        keep(ground.memory, ground.at(block))

    assert types(ground.memory).count(t.HIGHATOMIC) == kept
    assert ground.memory.zone["highatomic"][0] == 16 * kept


@pytest.mark.parametrize("migratetype", [t.HIGHATOMIC, t.ISOLATE, t.CMA])
def test_only_ordinary_blocks_are_kept(migratetype: int) -> None:
    """H-1: the type must be one of those that may mix."""
    ground = zone()
    ground.type(0, migratetype)

    keep(ground.memory, ground.at(0))

    assert (types(ground.memory)[0], ground.memory.zone["highatomic"][0]) == (migratetype, 0)


def two_kept() -> Ground:
    ground = zone(managed=1600)
    for block in (2, 1):
        keep(ground.memory, ground.at(block))
    return ground


def test_one_kept_block_is_given_up_at_a_time() -> None:
    """H-2: the first on the list of the smallest order; its free pages go along."""
    ground = two_kept()
    memory = ground.memory

    assert give_up(memory, t.RECLAIMABLE)

    assert types(memory) == [t.MOVABLE, t.HIGHATOMIC, t.RECLAIMABLE, t.MOVABLE]
    assert memory.zone["highatomic"][0] == 16
    assert listed(memory, 3, t.RECLAIMABLE) == [ground.at(2, 8)]
    assert listed(memory, 3, t.HIGHATOMIC) == [ground.at(1, 8)]


def test_the_last_kept_block_of_a_zone_is_given_up_by_force_only() -> None:
    """H-2: before memory is said to be out."""
    memory = two_kept().memory
    give_up(memory)

    assert not give_up(memory)
    assert give_up(memory, force=True)
    assert not give_up(memory, force=True)

    assert memory.zone["highatomic"][0] == 0
    assert t.HIGHATOMIC not in types(memory)


def test_zones_above_the_requests_keep_their_reserve() -> None:
    """H-2: and the highest that it may have gives first."""
    memory = Memory.blank(128, ("DMA", 64), ("DMA32", 64), pageblock_order=4, max_order=5)
    for z, pfn in ((0, 16), (1, 80)):
        memory.engine.call(highatomic.reserve_highatomic_pageblock, z, pfn)

    memory.engine.call(highatomic.unreserve_highatomic_pageblock, 0, t.MOVABLE, True)
    assert memory.zone["highatomic"].tolist() == [0, 16]
    memory.engine.call(highatomic.reserve_highatomic_pageblock, 0, 16)
    memory.engine.call(highatomic.unreserve_highatomic_pageblock, 3, t.MOVABLE, True)

    assert memory.zone["highatomic"].tolist() == [16, 0]


def test_a_reserve_that_is_smaller_than_a_block_does_not_go_below_zero() -> None:
    """H-2: min(a block, what is counted); a page may have been freed as what its block was."""
    memory = two_kept().memory
    memory.zone["highatomic"] = 5

    give_up(memory, force=True)

    assert memory.zone["highatomic"][0] == 0


@pytest.mark.parametrize(
    ("alloc_flags", "block"),
    [(URGENT, 1), (ALLOC_NON_BLOCK, 0), (ALLOC_OOM, 0), (0, 0)],
    ids=["urgent", "no wait", "dying", "plain"],
)
def test_the_reserve_is_tried_first_by_who_may_have_it(alloc_flags: int, block: int) -> None:
    """B-14."""
    ground = zone(2)
    memory = ground.memory
    ground.type(0, t.UNMOVABLE)
    memory.engine.call(fallback.move_freepages_block, 0, ground.at(0), t.UNMOVABLE)
    keep(memory, ground.at(1))

    assert request(memory, 2, alloc_flags) == ground.at(block, 4)


@pytest.mark.parametrize(
    ("alloc_flags", "served"),
    [
        (URGENT, True),
        (ALLOC_NON_BLOCK, True),
        (ALLOC_OOM, True),
        (ALLOC_MIN_RESERVE, False),
        (0, False),
    ],
    ids=["urgent", "no wait", "dying", "high", "plain"],
)
def test_the_reserve_is_tried_last_by_who_has_nothing_else(alloc_flags: int, served: bool) -> None:
    """B-14."""
    ground = zone(1)
    memory = ground.memory
    keep(memory, ground.at(0))

    assert (request(memory, 2, alloc_flags) >= 0) is served


def test_an_ordinary_request_fails_while_only_the_reserve_is_left() -> None:
    """B-14, W-4: the block is there, but not for it."""
    ground = zone(1)
    memory = ground.memory
    keep(memory, ground.at(0))
    memory.zone["watermark"] = -100

    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_KERNEL & ~0x400, 2)
    assert memory.alloc_pages(GFP_ATOMIC, 2) == ground.at(0, 4)
