"""How much of a zone must stay free (rules W-4, W-9)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, small
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.mm.watermark import boost_watermark, free_pages_of, zone_watermark_ok


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
    ("migratetype", "fine"),
    [(t.UNMOVABLE, True), (t.RECLAIMABLE, True), (t.HIGHATOMIC, False), (t.ISOLATE, False)],
)
def test_only_blocks_of_ordinary_types_count(migratetype: int, fine: bool) -> None:
    """W-4: not the reserve's, and never isolated ones."""
    ground = Ground(1, 4, 6)
    ground.type(0, migratetype)
    memory = ground.done()

    assert ok(memory, 4, 0) is fine


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
