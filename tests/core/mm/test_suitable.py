"""Whether compaction should begin, and whether it may stop (rules S-1 to S-6, CF-1 to CF-7)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import Ground, rows, within
from movable import MigrateMode
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import suitable, tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.memory import Memory

MARKS = {"min": t.WMARK_MIN, "low": t.WMARK_LOW, "high": t.WMARK_HIGH}


def pieces(free: int, **marks: int) -> Memory:
    """*free* pages, all of them single ones."""
    memory = Ground(1).memory
    memory.zone["free"] = memory.zone["nr_free"][0, 0] = free
    memory.zone["watermark"] = 0
    for name, value in marks.items():
        memory.zone["watermark"][0, MARKS[name]] = value
    return memory


def verdict(memory: Memory, order: int, alloc_flags: int = 0, highest: int = 0) -> int:
    """compaction_suitable() of zone 0."""
    return int(memory.engine.call(suitable.compaction_suitable, 0, order, alloc_flags, highest))


# Whether to begin.


def test_a_run_for_no_order_is_always_worth_while() -> None:
    """S-1, S-5: and says so in an event."""
    memory = pieces(0, min=1000)

    assert verdict(memory, -1) == t.COMPACT_CONTINUE
    expected = (tracepoints.SUITABLE, 0, -1, t.COMPACT_CONTINUE)
    assert rows(memory, tracepoints.SUITABLE) == [expected]


@pytest.mark.parametrize(
    ("free", "result"), [(4024, t.COMPACT_SKIPPED), (4025, t.COMPACT_CONTINUE)]
)
def test_a_costly_order_needs_the_low_watermark_and_a_gap(free: int, result: int) -> None:
    """V-12 (S-3): 3000 + 2 * 2^9, strictly."""
    assert verdict(pieces(free, low=3000), 9) == result


@pytest.mark.parametrize(
    ("free", "result"), [(2416, t.COMPACT_SKIPPED), (2417, t.COMPACT_CONTINUE)]
)
def test_a_small_order_needs_the_minimum_and_a_gap(free: int, result: int) -> None:
    """S-3: 2400 + 2 * 2^3, whatever the low watermark is."""
    assert verdict(pieces(free, min=2400, low=3000), 3) == result


def test_the_boost_counts() -> None:
    """W-3: in both tests."""
    memory = pieces(4025, low=3000)
    memory.zone["boost"] = 1

    assert verdict(memory, 9) == t.COMPACT_SKIPPED


def test_the_highatomic_reserve_does_not_count() -> None:
    """V-12: free - highatomic."""
    memory = pieces(4025, low=3000)
    memory.zone["highatomic"] = 1

    assert verdict(memory, 9) == t.COMPACT_SKIPPED


def test_a_zone_keeps_its_reserve_from_requests_for_higher_ones() -> None:
    """S-3: as in any test of a watermark."""
    memory = pieces(4025, low=3000)
    memory.zone["lowmem_reserve"][0, 2] = 1

    assert verdict(memory, 9, highest=1) == t.COMPACT_CONTINUE
    assert verdict(memory, 9, highest=2) == t.COMPACT_SKIPPED


@pytest.mark.parametrize(
    ("alloc_flags", "result"), [(t.WMARK_MIN, t.COMPACT_SUCCESS), (t.WMARK_LOW, t.COMPACT_CONTINUE)]
)
def test_nothing_is_to_be_done_if_the_block_is_there(alloc_flags: int, result: int) -> None:
    """S-2: at the watermark that the request is measured at."""
    ground = Ground(2, 4, 6)
    ground.kernel(ground.span(1, range(0, 16, 2)))
    memory = ground.done()
    memory.zone["watermark"][0] = 0, 17, 0

    assert verdict(memory, 3, alloc_flags) == result


def test_little_memory_in_few_pieces_is_no_case_for_compaction() -> None:
    """S-4: an index of 250, of at most 500; the event tells, the result is SKIPPED."""
    memory = pieces(0)
    memory.zone["nr_free"][0, 8] = 4
    memory.zone["free"] = 4 << 8
    memory.zone["watermark"] = -2000
    assert verdict(memory, 9) == t.COMPACT_SKIPPED

    assert rows(memory, tracepoints.SUITABLE)[0][3] == t.COMPACT_NOT_SUITABLE_ZONE


@pytest.mark.parametrize(
    ("threshold", "result"), [(249, t.COMPACT_CONTINUE), (250, t.COMPACT_SKIPPED)]
)
def test_the_threshold_is_a_sysctl(threshold: int, result: int) -> None:
    """S-4: vm.extfrag_threshold, inclusive; 1000 - (1000 + 1000 * 1024 / 512) / 4 = 250."""
    memory = pieces(0)
    memory.zone["nr_free"][0, 8] = 4
    memory.zone["free"] = 4 << 8
    memory.zone["watermark"] = -2000
    memory.node["extfrag_threshold"] = threshold

    assert verdict(memory, 9) == result


def test_an_index_below_zero_does_not_count() -> None:
    """S-4: -1000 says that there is a block, though not one that this request may have."""
    memory = pieces(2000, low=0)
    memory.zone["nr_free"][0, 9] = 1

    assert verdict(memory, 9) == t.COMPACT_CONTINUE


def test_small_orders_are_compacted_for_whatever_the_index() -> None:
    """S-4: order <= 3."""
    memory = pieces(0)
    memory.zone["nr_free"][0, 2] = 2
    memory.zone["free"] = 8
    memory.zone["watermark"] = -100

    assert verdict(memory, 3) == t.COMPACT_CONTINUE
    memory.zone["nr_free"][0, 2:4] = 0, 2
    assert verdict(memory, 4) == t.COMPACT_SKIPPED


def test_a_zone_that_is_not_suitable_is_not_begun_with() -> None:
    """S-6: no event but that one."""
    memory = pieces(0, low=3000)
    cc = CompactControl(memory, MigrateMode.SYNC_LIGHT, order=9, direct_compaction=1)

    assert cc.compact_zone(0) == t.COMPACT_SKIPPED

    assert [number for number, _ in tracepoints.events(memory.events)] == [tracepoints.SUITABLE]


# Whether to stop.


def halfway(ground: Ground, **request: Any) -> CompactControl:
    """A run whose migrate scanner is at the second block, the free scanner at the last."""
    cc = CompactControl(ground.memory, MigrateMode.SYNC_LIGHT, **request)
    cc["zone"], cc["migrate_pfn"], cc["free_pfn"] = 0, ground.at(1), ground.end - ground.size
    return cc


def finished(cc: CompactControl) -> tuple[int, int]:
    """compact_finished(): its result, and what the event says."""
    result = int(within(cc, suitable.compact_finished))
    return result, rows(cc.memory, tracepoints.FINISHED)[-1][3]


def full(blocks: int = 4) -> Ground:
    """Every frame in use."""
    ground = Ground(blocks)
    ground.kernel(range(ground.start, ground.end))
    return ground


GO_ON = t.COMPACT_CONTINUE, t.COMPACT_CONTINUE
NOT_YET = t.COMPACT_CONTINUE, t.COMPACT_NO_SUITABLE_PAGE
HAVE_IT = t.COMPACT_SUCCESS, t.COMPACT_SUCCESS


@pytest.mark.parametrize(
    ("whole_zone", "result"), [(0, t.COMPACT_PARTIAL_SKIPPED), (1, t.COMPACT_COMPLETE)]
)
@pytest.mark.parametrize("direct", [0, 1])
def test_the_run_ends_when_the_scanners_meet(whole_zone: int, result: int, direct: int) -> None:
    """CF-1: later runs begin at the ends, and a direct one also wants hints taken back."""
    ground = full()
    memory = ground.done()
    memory.zone["cached_migrate_pfn"], memory.zone["cached_free_pfn"] = 7, 7
    cc = halfway(ground, order=9, whole_zone=whole_zone, direct_compaction=direct)
    cc["free_pfn"] = ground.at(1, 511)

    assert finished(cc) == (result, result)

    assert memory.zone["cached_migrate_pfn"][0].tolist() == [ground.start] * 2
    assert memory.zone["cached_free_pfn"][0] == ground.at(3)
    assert memory.zone["blockskip_flush"][0] == direct


def test_scanners_in_neighbouring_blocks_have_not_met() -> None:
    """CF-1: it is the block that counts."""
    ground = full()
    ground.done()
    cc = halfway(ground)
    cc["migrate_pfn"], cc["free_pfn"] = ground.at(1, 511), ground.at(2)

    assert finished(cc) == GO_ON


def test_a_run_for_no_order_wants_no_block() -> None:
    """CF-3: it goes on whatever is free."""
    ground = Ground(4)
    ground.done()

    assert finished(halfway(ground)) == GO_ON


def test_a_run_does_not_stop_in_the_middle_of_a_block() -> None:
    """CF-4: and does not look, so no event says "no suitable page"."""
    ground = Ground(4)
    ground.done()
    cc = halfway(ground, order=9)
    cc["migrate_pfn"] += 1

    assert finished(cc) == GO_ON


@pytest.mark.parametrize(
    ("order", "migratetype", "gfp", "outcome"),
    [
        (4, t.MOVABLE, GFP_HIGHUSER_MOVABLE, HAVE_IT),
        (5, t.MOVABLE, GFP_HIGHUSER_MOVABLE, HAVE_IT),
        (3, t.MOVABLE, GFP_HIGHUSER_MOVABLE, NOT_YET),
        (4, t.UNMOVABLE, GFP_HIGHUSER_MOVABLE, HAVE_IT),
        (4, t.HIGHATOMIC, GFP_HIGHUSER_MOVABLE, NOT_YET),
        (4, t.ISOLATE, GFP_HIGHUSER_MOVABLE, NOT_YET),
        (4, t.CMA, GFP_HIGHUSER_MOVABLE, HAVE_IT),
        (4, t.CMA, GFP_KERNEL, NOT_YET),
        (4, t.MOVABLE, GFP_KERNEL, HAVE_IT),
    ],
)
def test_a_run_for_an_order_stops_at_the_first_block_that_will_do(
    order: int, migratetype: int, gfp: int, outcome: tuple[int, int]
) -> None:
    """CF-5: of its type, larger ones too, or one that may be stolen; it asks for order 4."""
    ground = Ground(4)
    ground.type(3, migratetype)
    ground.kernel(
        [p for p in range(ground.start, ground.end) if not 0 <= p - ground.at(3) < 1 << order]
    )
    ground.done()

    assert finished(halfway(ground, order=4, gfp_mask=int(gfp))) == outcome


@pytest.mark.parametrize(
    ("migratetype", "gfp", "outcome"),
    [(t.MOVABLE, GFP_KERNEL, HAVE_IT), (t.UNMOVABLE, GFP_HIGHUSER_MOVABLE, NOT_YET)],
    ids=["unmovable", "movable"],
)
def test_small_blocks_are_stolen_by_unmovable_requests_only(
    migratetype: int, gfp: int, outcome: tuple[int, int]
) -> None:
    """CF-5, B-15: order 3."""
    ground = Ground(4)
    ground.type(3, migratetype)
    ground.kernel([p for p in range(ground.start, ground.end) if not 0 <= p - ground.at(3) < 8])
    ground.done()

    assert finished(halfway(ground, order=3, gfp_mask=int(gfp))) == outcome


# Proactive runs.


@pytest.mark.parametrize(("proactiveness", "outcome"), [(49, HAVE_IT), (50, HAVE_IT), (51, GO_ON)])
def test_a_proactive_run_goes_on_while_the_score_is_above_its_mark(
    proactiveness: int, outcome: tuple[int, int]
) -> None:
    """CF-2: half of what is free is in whole blocks, a score of 50; the mark is 100 - that."""
    ground = Ground(4)
    ground.kernel(
        [
            *ground.span(1, range(512)),
            *ground.span(2, range(0, 512, 2)),
            *ground.span(3, range(0, 512, 2)),
        ]
    )
    memory = ground.done()
    memory.node["compaction_proactiveness"] = proactiveness

    assert finished(halfway(ground, proactive_compaction=1)) == outcome


def test_kswapd_ends_a_proactive_run() -> None:
    """CF-2: memory is short, so this is not the time."""
    ground = full()
    memory = ground.done()
    memory.zone["zflags"] = t.ZONE_RECLAIM_ACTIVE
    ended = t.COMPACT_PARTIAL_SKIPPED

    assert finished(halfway(ground, proactive_compaction=1)) == (ended, ended)
