"""When reclaim begins and ends, for who waits for it (vmscan.py; rules D-2, W-9)."""

from __future__ import annotations

import pytest

from core.mm.ground import FAR, Ground, rows, small
from movable import sched
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import tracepoints, vmscan
from movable.mm.memory import Memory
from movable.mm.vmscan import HeldBack, NothingToReclaim
from movable.sched import Race


class Shrinker(HeldBack):
    """Gives so many pages at each call, and notes how hard it was asked."""

    def __init__(self, memory: Memory, gives: int = 0) -> None:
        super().__init__(memory)
        self.gives, self.priorities = gives, list[int]()

    def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
        self.priorities.append(priority)
        return self.gives


def short() -> Memory:
    """Two zones without a page to spare."""
    memory = Memory.blank(128, ("DMA", 64), ("DMA32", 64), pageblock_order=3, max_order=5)
    memory.zone["watermark"] = FAR
    return memory


def ready(memory: Memory, order: int, z: int = 0, highest: int = 1) -> bool:
    return bool(memory.engine.call(vmscan.compaction_ready, z, order, highest))


def test_reclaim_tries_harder_each_time_until_nothing_is_left_to_try() -> None:
    """From DEF_PRIORITY, 12, down to 0."""
    shrinker = Shrinker(short())

    assert shrinker.try_to_free_pages(0, 1) == 0

    assert shrinker.priorities == list(range(12, -1, -1))


@pytest.mark.parametrize(("gives", "rounds"), [(32, 1), (31, 2), (8, 4)])
def test_reclaim_ends_once_it_has_freed_32_pages(gives: int, rounds: int) -> None:
    """SWAP_CLUSTER_MAX, summed up."""
    shrinker = Shrinker(short(), gives)

    assert shrinker.try_to_free_pages(0, 1) == gives * rounds

    assert len(shrinker.priorities) == rounds


def spacious() -> Memory:
    """Two zones that have enough free pages for compaction, in pieces."""
    memory = short()
    memory.zone["watermark"], memory.zone["free"] = 0, 100
    memory.zone["nr_free"] = 0
    memory.zone["nr_free"][:, 0] = 100
    return memory


def test_costly_orders_need_no_reclaim_while_memory_can_be_compacted() -> None:
    """D-2: that counts as progress, so that compaction is tried; both zones are asked."""
    memory = spacious()
    shrinker = Shrinker(memory)

    assert shrinker.try_to_free_pages(4, 1) == 1

    assert shrinker.priorities == []
    assert [row[1] for row in rows(memory, tracepoints.SUITABLE)] == [1, 0]


def test_small_orders_reclaim_all_the_same() -> None:
    """D-2: order 3 is not costly, and nobody asks about compaction."""
    memory = spacious()
    shrinker = Shrinker(memory)

    assert shrinker.try_to_free_pages(3, 1) == 0

    assert (len(shrinker.priorities), rows(memory, tracepoints.SUITABLE)) == (13, [])


def test_one_zone_that_is_not_ready_is_reclaimed_from() -> None:
    """But once: the other one is ready, and that will do."""
    memory = spacious()
    memory.zone["free"][0] = 10
    shrinker = Shrinker(memory, 5)

    assert shrinker.try_to_free_pages(4, 1) == 5

    assert shrinker.priorities == [12]


def test_zones_above_the_requests_are_not_asked() -> None:
    """highest_zoneidx."""
    memory = spacious()

    Shrinker(memory).try_to_free_pages(4, 0)

    assert [row[1] for row in rows(memory, tracepoints.SUITABLE)] == [0]


@pytest.mark.parametrize(("free", "is_ready"), [(72, False), (73, True)])
def test_compaction_is_ready_with_a_gap_above_the_high_watermark(free: int, is_ready: bool) -> None:
    """High, 40, and 2 << 4; the low one, 10, and that gap make it worth trying only."""
    memory = spacious()
    memory.zone["watermark"][0], memory.zone["free"] = (5, 10, 40), free

    assert ready(memory, 4) is is_ready


def test_a_block_that_is_there_makes_compaction_ready() -> None:
    """SUCCESS; too little memory for compaction, SKIPPED, does not."""
    ground = Ground(3, 4, 6)
    ground.kernel(ground.span(1, range(32)))
    memory = ground.done()
    memory.zone["watermark"][0] = 0, 0, FAR

    assert ready(memory, 4, highest=2)
    memory.zone["free"] = 10
    assert not ready(memory, 4, highest=2)


def test_reclaim_that_is_held_back_says_when_it_would_have_begun() -> None:
    """From then on a replay is not exact: so many words of events came before."""
    memory = short()
    held = HeldBack(memory)
    memory.engine.call(tracepoints.trace_word, tracepoints.KCOMPACTD_SLEEP)

    assert held.events_before is None
    assert (held.shrink_node(0, 1, 12), held.reclaimable(0)) == (0, 0)
    memory.engine.call(tracepoints.trace_word, tracepoints.KCOMPACTD_SLEEP)
    held.shrink_node(0, 1, 11)

    assert held.events_before == 1


def test_a_request_below_the_low_watermark_has_the_boost_taken_back() -> None:
    """W-9: kswapd does so at once if it finds nothing to reclaim, not if it is held back."""
    boosts = []
    for kind in (NothingToReclaim, HeldBack):
        memory = small().done()
        memory.vmscan = kind(memory)
        memory.zone["watermark"][0, t.WMARK_LOW], memory.zone["boost"] = FAR, 7
        memory.alloc_pages(GFP_KERNEL, 0)
        boosts.append(int(memory.zone["boost"][0]))

    assert boosts == [0, 7]


def test_kswapd_is_not_woken_by_requests_that_forbid_it() -> None:
    """W-9: so the boost stays."""
    memory = small().done()
    memory.zone["watermark"][0, t.WMARK_LOW], memory.zone["boost"] = FAR, 7

    memory.alloc_pages(GFP_HIGHUSER_MOVABLE & ~0x800, 0)

    assert memory.zone["boost"][0] == 7


def test_who_reclaims_is_a_task_not_the_machine() -> None:
    """PF_MEMALLOC: what one task does, another does not."""
    memory = short()
    held, seen = HeldBack(memory), list[bool]()

    def reclaim() -> None:
        with held.no_reclaim():
            sched.point("at it")
            seen.append(held.reclaiming)

    race = Race()
    one = race.task("one", reclaim)
    other = race.task("other", lambda: seen.append(held.reclaiming))
    one.until("at it")
    other.finish()
    one.finish()

    assert seen == [False, True]
    assert not held.reclaiming


def test_reclaiming_ends_also_where_it_fails() -> None:
    """And may be nested."""
    held = HeldBack(short())

    try:
        with held.no_reclaim(), held.no_reclaim():
            assert held.reclaiming
            raise KeyError
    except KeyError:
        pass

    assert not held.reclaiming
