"""How much of a zone must stay free (rules W-4, W-9)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, small
from movable.mm import mm_types as t
from movable.mm.alloc_flags import (
    ALLOC_CMA,
    ALLOC_HIGHATOMIC,
    ALLOC_MIN_RESERVE,
    ALLOC_NON_BLOCK,
    ALLOC_OOM,
)
from movable.mm.memory import Memory
from movable.mm.watermark import (
    boost_watermark,
    free_pages_of,
    wmark_pages,
    zone_watermark_ok,
)


def ok(memory: Memory, order: int, mark: int, highest: int = 0, alloc_flags: int = 0) -> bool:
    arrays = memory.mem_map, memory.zone, memory.node
    free = call(free_pages_of, memory.zone, 0)
    return bool(call(zone_watermark_ok, *arrays, 0, order, mark, highest, alloc_flags, free))


def with_free(pages: int) -> Memory:
    """A zone that says that so many pages are free."""
    memory = small().done()
    memory.zone["free"] = pages
    return memory


@pytest.mark.parametrize(("free", "fine"), [(100, False), (101, True)])
def test_free_pages_must_exceed_the_mark(free: int, fine: bool) -> None:
    """W-4: strictly."""
    assert ok(with_free(free), 0, 100) is fine


def test_a_larger_request_counts_all_but_one_of_its_pages() -> None:
    """W-4: free -= 2^order - 1."""
    memory = with_free(104)

    assert ok(memory, 2, 100)
    assert not ok(memory, 2, 101)


def test_the_highatomic_reserve_is_not_for_everybody() -> None:
    """W-4."""
    memory = with_free(110)
    memory.zone["highatomic"] = 10

    assert not ok(memory, 0, 100)
    assert ok(memory, 0, 99)


@pytest.mark.parametrize("right", [ALLOC_NON_BLOCK, ALLOC_MIN_RESERVE, ALLOC_OOM, ALLOC_HIGHATOMIC])
def test_the_highatomic_reserve_counts_for_who_may_go_below_the_mark(right: int) -> None:
    """W-4: any of the four rights."""
    memory = with_free(110)
    memory.zone["highatomic"] = 109

    assert ok(memory, 0, 99, alloc_flags=right)


@pytest.mark.parametrize(
    ("rights", "needed"),
    [
        (0, 101),
        (ALLOC_NON_BLOCK, 101),
        (ALLOC_MIN_RESERVE, 51),
        (ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK, 39),
        (ALLOC_OOM, 51),
        (ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK | ALLOC_OOM, 20),
    ],
    ids=["none", "no wait", "high", "atomic", "dying", "all"],
)
def test_rights_lower_the_mark(rights: int, needed: int) -> None:
    """W-4: by half, then by a quarter of that, then by half; each time rounded up: 50, 38, 19."""
    assert not ok(with_free(needed - 1), 0, 100, alloc_flags=rights)
    assert ok(with_free(needed), 0, 100, alloc_flags=rights)


def test_cmas_free_pages_are_for_who_may_use_cma() -> None:
    """W-4."""
    memory = with_free(110)
    memory.zone["free_cma"] = 10

    assert not ok(memory, 0, 100)
    assert ok(memory, 0, 100, alloc_flags=ALLOC_CMA)


@pytest.mark.parametrize("number", [t.WMARK_MIN, t.WMARK_LOW, t.WMARK_HIGH])
def test_the_flags_low_bits_name_the_watermark(number: int) -> None:
    """W-3, W-5: with the boost."""
    memory = small().done()
    memory.zone["watermark"][0], memory.zone["boost"] = (10, 20, 30), 5

    assert call(wmark_pages, memory.zone, 0, number | ALLOC_CMA) == 10 * (number + 1) + 5


def test_a_zone_keeps_a_reserve_from_requests_for_higher_zones() -> None:
    """W-4, W-6: none for its own."""
    memory = with_free(110)
    memory.zone["lowmem_reserve"][0] = 0, 10, 20, 30

    assert [ok(memory, 0, 95, highest) for highest in range(3)] == [True, True, False]


def test_what_a_cpu_keeps_for_itself_is_not_seen() -> None:
    """B-2: watermarks are checked against the zone's part."""
    memory = with_free(100)
    memory.zone["free_diff"][0, 0] = 50

    assert not ok(memory, 0, 100)


def test_a_number_below_zero_counts_as_nothing() -> None:
    """zone_page_state() clamps what drift makes negative."""
    memory = with_free(-20)

    assert ok(memory, 0, -1)
    assert not ok(memory, 0, 0)


def test_a_large_request_needs_a_block_of_its_size() -> None:
    """W-4: enough pages in small pieces are not enough."""
    ground = Ground(2, 4, 6)
    ground.kernel(ground.span(0, range(0, 16, 4)) + ground.span(1, range(0, 16, 4)))
    memory = ground.done()

    assert ok(memory, 1, 0)
    assert not ok(memory, 2, 0)


@pytest.mark.parametrize(
    ("migratetype", "rights", "fine"),
    [
        (t.UNMOVABLE, 0, True),
        (t.RECLAIMABLE, 0, True),
        (t.HIGHATOMIC, 0, False),
        (t.HIGHATOMIC, ALLOC_MIN_RESERVE | ALLOC_NON_BLOCK, False),
        (t.HIGHATOMIC, ALLOC_HIGHATOMIC, True),
        (t.HIGHATOMIC, ALLOC_OOM, True),
        (t.CMA, 0, False),
        (t.CMA, ALLOC_CMA, True),
        (t.ISOLATE, ALLOC_CMA | ALLOC_OOM | ALLOC_HIGHATOMIC, False),
    ],
)
def test_only_blocks_that_the_request_may_have_count(
    migratetype: int, rights: int, fine: bool
) -> None:
    """W-4: the reserve's for few, CMA's for movable pages, and isolated ones never."""
    ground = Ground(1, 4, 6)
    ground.type(0, migratetype)
    memory = ground.done()

    assert ok(memory, 4, 0, alloc_flags=rights) is fine


@pytest.mark.parametrize(
    ("managed", "high", "boost", "after"),
    [
        (63, 100, 0, 0),
        (64, 0, 0, 0),
        (64, 100, 0, 16),
        (64, 100, 140, 150),
        (64, 4, 0, 16),
        (64, 4, 16, 16),
    ],
    ids=["small zone", "no marks", "a block", "the limit", "at least a block", "not two"],
)
def test_a_mixed_block_raises_the_watermarks(
    managed: int, high: int, boost: int, after: int
) -> None:
    """W-9: by a block, up to one and a half times the high mark, in zones of four blocks."""
    memory = small().done()
    memory.zone["managed"], memory.zone["watermark"][0, t.WMARK_HIGH] = managed, high
    memory.zone["boost"] = boost

    call(boost_watermark, memory.zone, memory.node, 0)

    assert memory.zone["boost"][0] == after
