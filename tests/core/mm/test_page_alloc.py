"""The allocator's doors: zones from the highest down, watermarks, and what is left of an owner."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, listed, small
from movable.errors import BadInput, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Gfp
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.memory import Memory
from movable.page_flags import PG_dirty, PG_slab

SMALL = {"pageblock_order": 3, "max_order": 5}


def test_the_highest_zone_is_asked_first() -> None:
    """Lower zones are for those who need them."""
    memory = Memory.blank(96, ("DMA", 32), ("DMA32", 64), **SMALL)

    assert memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) == 32


def test_a_zone_at_its_watermark_is_passed_over() -> None:
    """W-3: with the boost on top, and strictly."""
    memory = Memory.blank(96, ("DMA", 32), ("DMA32", 64), **SMALL)
    memory.zone["watermark"][1] = 63, 63, 63
    first = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)

    memory.zone["watermark"][1] = 63, 64, 64
    second = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)

    assert (first, second) == (32, 0)


def test_the_reserve_of_a_lower_zone_is_kept() -> None:
    """W-6: a request that could have had the higher zone leaves it alone."""
    memory = Memory.blank(96, ("DMA", 32), ("DMA32", 64), **SMALL)
    memory.zone["lowmem_reserve"][0, 3] = 32
    memory.zone["watermark"][1] = 64, 64, 64

    with pytest.raises(OutOfMemory, match="no free block of order 0"):
        memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)


def test_the_last_try_is_at_the_minimum_and_takes_the_boost_back() -> None:
    """W-8: what reclaim would do otherwise."""
    memory = Memory.blank(64, **SMALL)
    memory.zone["watermark"][0], memory.zone["boost"] = (10, 100, 100), 500

    pfn = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)

    assert (pfn, memory.zone["boost"][0]) == (0, 0)


def test_with_a_normal_zone_fragments_are_avoided_first() -> None:
    """W-7: another zone's whole block before a part of this one's."""
    memory = Memory.blank(128, ("DMA", 32), ("DMA32", 32), ("Normal", 64), **SMALL)
    for z, pfn in ((2, 64), (2, 80), (2, 96), (2, 112)):
        assert memory.engine.call(page_alloc.rmqueue_zone, z, 4, t.MOVABLE, 0) == pfn
    memory.free_pages(64, 2)
    memory.engine.call(page_alloc.free_pages, 72, 0)

    unmovable = memory.alloc_pages(GFP_KERNEL, 2)

    assert unmovable == 32


def test_a_fragment_is_better_than_the_slow_path() -> None:
    """W-7: where only pageblocks of another type have something, they are mixed after all."""
    memory = Memory.blank(32, ("Normal", 32), **SMALL)
    for _ in range(2):
        memory.engine.call(page_alloc.rmqueue_zone, 0, 4, t.MOVABLE, 0)
    memory.free_pages(16, 1)
    memory.drain_all_pages()
    memory.zone["watermark"] = -100

    request = int(GFP_KERNEL), 0, t.UNMOVABLE, t.ZONE_NORMAL, 0

    assert memory.engine.call(page_alloc.alloc_pages_fast, *request) == 16


def test_without_a_normal_zone_fragments_are_not_avoided() -> None:
    """W-7."""
    memory = Memory.blank(64, ("DMA", 32), ("DMA32", 32), **SMALL)
    for _ in range(2):
        memory.engine.call(page_alloc.rmqueue_zone, 1, 4, t.MOVABLE, 0)
    memory.free_pages(32, 4)
    memory.engine.call(page_alloc.rmqueue_zone, 1, 3, t.MOVABLE, 0)

    assert memory.alloc_pages(GFP_KERNEL, 0) == 40


def test_a_freed_block_keeps_nothing_of_its_owner() -> None:
    """Flags, mapping, counts and private are gone, on every page of it."""
    ground = Ground(2, 4, 6)
    ground.kernel(range(ground.start, ground.end), PG_slab | PG_dirty)
    memory = ground.done()
    frames = memory.mem_map[ground.at(0) : ground.at(1)]
    frames["mapping"], frames["private"], frames["mapcount"] = 34, 7, 3

    memory.engine.call(page_alloc.free_pages, ground.at(0), 3)

    for field in ("flags", "mapping", "mapcount", "refcount"):
        assert frames[field][:8].tolist() == [0] * 8
        assert frames[field][8] != 0
    assert frames["private"][1:8].tolist() == [0] * 7


def test_large_blocks_go_straight_to_the_free_lists() -> None:
    """P-1: orders between 3 and the pageblock's have no per-CPU list."""
    ground = Ground(2, 5, 7)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()

    memory.engine.call(page_alloc.free_pages, ground.at(0), 4)

    assert listed(memory, 4) == [ground.at(0)]
    assert memory.vmstat()["pgfree"] == 16
    assert memory.zone["pcp_count"][0, 0] == 0


def test_an_allocated_page_is_blank_and_referenced_once() -> None:
    """Its owner is the caller."""
    memory = Memory.blank(64, **SMALL)

    page = memory.alloc_page()

    assert (page.refcount, page.private, page.locked, page.mapping) == (1, 0, False, None)
    memory.validate()


@pytest.mark.parametrize(
    ("gfp", "migratetype"), [(GFP_HIGHUSER_MOVABLE, t.MOVABLE), (GFP_KERNEL, t.UNMOVABLE)]
)
def test_a_driver_says_whether_its_page_can_move(gfp: Gfp, migratetype: int) -> None:
    """So that what cannot is kept in blocks of its own."""
    memory = Memory.blank(64, **SMALL)

    page = memory.alloc_page(gfp)

    assert memory.pageblock[page.pfn >> 3] & t.BLOCK_TYPE == migratetype


def test_a_failing_allocation_may_be_helped() -> None:
    """`on_alloc_failure` is asked once, and then the request is tried again."""
    ground = small()
    ground.kernel([p for p in range(ground.start, ground.end) if not ground.used[p]])
    memory = ground.done()
    memory.zone["watermark"] = -100
    asked: list[Memory] = []

    def help_out(m: Memory) -> None:
        asked.append(m)
        m.engine.call(page_alloc.free_pages, ground.at(0), 0)

    memory.on_alloc_failure = help_out
    pfn = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)

    assert (pfn, asked) == (ground.at(0), [memory])
    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 1)
    assert len(asked) == 2


@pytest.mark.parametrize("order", [-1, 5])
def test_there_is_no_such_order(order: int) -> None:
    """The largest has one less than there are orders."""
    memory = Memory.blank(64, **SMALL)

    with pytest.raises(BadInput) as error:
        memory.alloc_pages(GFP_KERNEL, order)

    assert str(error.value) == f"order: no block of order {order}; the largest is of order 4"


def test_a_zone_that_is_not_there_cannot_serve() -> None:
    """Nor can any above it."""
    memory = Memory.blank(64, ("DMA32", 64), **SMALL)

    with pytest.raises(BadInput) as error:
        memory.alloc_pages(Gfp.DMA, 0)

    assert str(error.value) == "gfp_mask: no zone up to DMA; this machine has DMA32"
