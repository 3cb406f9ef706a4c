"""A block that comes free while its task compacts is kept for it (rules CP-1 to CP-4)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.asking import LIGHT, MOVABLE_REQUEST, compact, open_to_all
from core.mm.ground import Ground, listed, on_pcp, rows
from movable.mm import mm_types as t
from movable.mm import page_alloc, tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.direct_compaction import Capture
from movable.mm.memory import Memory
from movable.mm.profile import PROFILES


def frames(ground: Ground, count: int, first: int = 0) -> list[int]:
    """Frames from the zone's start on."""
    return list(range(ground.start + first, ground.start + first + count))


def full(migratetype: int = t.MOVABLE, **options: Any) -> Ground:
    """Six blocks of 16 frames in use, block 1 of the type given."""
    ground = Ground(6, 4, 6, **options)
    ground.type(1, migratetype)
    ground.kernel(range(ground.start, ground.end))
    ground.done()
    return ground


def free(memory: Memory, pfns: list[int]) -> None:
    """Free single pages, and have them leave the per-CPU lists."""
    for pfn in pfns:
        memory.engine.call(page_alloc.free_pages, pfn, 0)
    memory.drain_all_pages()


@pytest.mark.parametrize(
    ("order", "migratetype", "captured"),
    [
        (4, t.MOVABLE, True),
        (4, t.UNMOVABLE, True),
        (3, t.MOVABLE, False),
        (3, t.UNMOVABLE, True),
        (3, t.RECLAIMABLE, True),
        (3, t.HIGHATOMIC, True),
        (3, t.CMA, False),
        (4, t.CMA, False),
        (4, t.ISOLATE, False),
    ],
)
def test_what_is_captured(order: int, migratetype: int, captured: bool) -> None:
    """CP-2: no small block from a movable pageblock, nothing from CMA or an isolated one."""
    ground = full(migratetype)
    memory = ground.memory

    with Capture(memory, 0, order) as capture:
        free(memory, ground.span(1, range(1 << order)))

    assert (capture.pfn == ground.at(1)) is captured
    assert (capture.pfn == -1) is not captured
    assert listed(memory, order, migratetype) == ([] if captured else [ground.at(1)])


def test_a_captured_block_is_as_if_allocated() -> None:
    """CP-2: it does not count as free, and is its taker's."""
    ground = full()
    memory = ground.memory

    with Capture(memory, 0, 4) as capture:
        free(memory, ground.span(1, range(16)))

    assert (memory.refcount[capture.pfn], memory.private[capture.pfn]) == (1, 0)
    assert memory.zone["free"][0] + memory.zone["free_diff"][0, 0] == 0
    memory.frames_without_reference = 15
    memory.validate()


def test_only_the_first_block_is_captured() -> None:
    """CP-1: the next one is everybody's."""
    ground = full()
    memory = ground.memory

    with Capture(memory, 0, 4) as capture:
        free(memory, [*ground.span(3, range(16)), *ground.span(1, range(16))])

    assert (capture.pfn, listed(memory, 4)) == (ground.at(3), [ground.at(1)])


def test_a_block_is_captured_on_its_way_to_a_larger_one() -> None:
    """CP-2: the neighbour stays as it was."""
    ground = full()
    memory = ground.memory
    free(memory, ground.span(3, range(16)))

    with Capture(memory, 0, 4) as capture:
        free(memory, ground.span(2, range(16)))

    assert (capture.pfn, listed(memory, 4)) == (ground.at(2), [ground.at(3)])


def test_another_zones_block_is_not_captured() -> None:
    """CP-1."""
    memory = Memory.blank(128, ("DMA", 64), ("DMA32", 64), pageblock_order=4, max_order=6)
    memory.fill_up()

    with Capture(memory, 1, 4) as capture:
        free(memory, list(range(16)))

    assert (capture.pfn, listed(memory, 4, z=0)) == (-1, [0])


def test_the_largest_order_is_never_captured() -> None:
    """CP-3: the loop that merges ends before it."""
    ground = full()

    with Capture(ground.memory, 0, 5) as capture:
        free(ground.memory, [*ground.span(1, range(16)), *ground.span(2, range(16))])

    assert (capture.pfn, listed(ground.memory, 5)) == (-1, [ground.at(1)])


def test_a_block_that_an_overflow_completes_is_captured() -> None:
    """CP-4: the per-CPU list pushes its oldest pages out, and with them the last of the block."""
    ground = full()
    memory = ground.memory
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 8, 4

    with Capture(memory, 0, 4) as capture:
        for pfn in [*ground.span(1, range(16)), *ground.span(3, range(8))]:
            memory.engine.call(page_alloc.free_pages, pfn, 0)

    assert capture.pfn == ground.at(1)
    assert on_pcp(memory, t.MOVABLE)


def test_nothing_is_captured_once_the_run_is_over() -> None:
    """CP-1."""
    ground = full()
    memory = ground.memory
    with Capture(memory, 0, 4):
        pass

    free(memory, ground.span(1, range(16)))

    assert listed(memory, 4) == [ground.at(1)]


def test_the_run_ends_with_the_round_that_captures() -> None:
    """CZ-7.6: block 2 is not scanned, although it has sources."""
    ground = Ground(6, 3, 5)
    ground.anon([*ground.span(0, [0, 1]), *ground.span(2, [0, 1])])
    ground.kernel([*range(ground.at(1), ground.at(2)), *range(ground.at(3), ground.at(5) + 1)])
    memory = open_to_all(ground)

    compact(memory, LIGHT)

    found = rows(memory, tracepoints.ISOLATE_MIGRATEPAGES)
    assert [row[1] - ground.start for row in found] == [0]


def test_a_block_captured_after_the_last_round_is_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """D-6: targets that are left are freed when the result stands already (CZ-8)."""
    ground = full(t.UNMOVABLE)
    memory = ground.memory

    def in_vain(cc: CompactControl, z: int) -> int:
        free(memory, ground.span(1, range(8)))
        return t.COMPACT_COMPLETE

    monkeypatch.setattr(CompactControl, "compact_zone", in_vain)

    assert compact(memory, LIGHT, MOVABLE_REQUEST) == (t.COMPACT_SUCCESS, ground.at(1))


def test_a_block_captured_after_the_last_round_is_not_lost_where_that_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """5.10: who asked gets it, whatever the result is."""
    ground = full(t.UNMOVABLE)
    memory = ground.memory
    memory.profile = PROFILES["5.10"]

    def in_vain(cc: CompactControl, z: int) -> int:
        free(memory, ground.span(1, range(8)))
        return t.COMPACT_COMPLETE

    monkeypatch.setattr(CompactControl, "compact_zone", in_vain)

    assert compact(memory, LIGHT, MOVABLE_REQUEST) == (t.COMPACT_COMPLETE, ground.at(1))
