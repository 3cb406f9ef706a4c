"""Whole runs of manual compaction against sequences derived by hand from the kernel's rules."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.ground import Ground, control, isolate, listed, on_pcp, pairs, rows, scans, small
from movable.errors import MovableError
from movable.mm import mm_types as t
from movable.mm import steps, tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.memory import Memory
from movable.page_flags import PG_lru, PG_swapbacked


def six_blocks() -> Ground:
    """V-1: a sparse block, a full one, slab, a free one, a half full and a nearly full one."""
    ground = Ground(6)
    ground.anon(ground.span(0, range(0, 512, 8)))
    ground.anon(ground.span(1, range(512)))
    ground.kernel(ground.span(2, range(512)))
    ground.type(2, t.UNMOVABLE)
    ground.anon(ground.span(4, range(0, 512, 2)))
    ground.anon(ground.span(5, range(384)))
    ground.done()
    return ground


def moved(ground: Ground) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """(block, offset) pairs of what moved."""
    return [
        (divmod(a - ground.start, ground.size), divmod(b - ground.start, ground.size))
        for a, b in pairs(ground.memory)
    ]


def test_a_whole_zone_is_scanned_in_the_kernels_steps() -> None:
    """V-1: batches of 32, the rescan that takes the rest, refills, and the meeting."""
    ground = six_blocks()

    ground.memory.compact_memory()

    assert scans(ground.memory, ground.start) == [
        ("migrate", 0, 249, 125, 32),
        ("free", 2560, 3072, 512, 128),
        ("migrate", 249, 512, 131, 32),
        ("migrate", 512, 544, 32, 32),
        ("migrate", 544, 1024, 480, 480),
        ("free", 2048, 2560, 512, 256),
    ]


def test_pages_of_a_whole_zone_move_in_the_kernels_pairs() -> None:
    """V-1: the last page found moves first, to the last page of the highest free block."""
    ground = six_blocks()

    ground.memory.compact_memory()

    assert moved(ground) == [
        *(((0, 248 - 8 * i), (5, 511 - i)) for i in range(32)),
        *(((0, 504 - 8 * i), (5, 479 - i)) for i in range(32)),
        *(((1, 31 - i), (5, 447 - i)) for i in range(32)),
        *(((1, 511 - i), (5, 415 - i)) for i in range(32)),
        *(((1, 479 - i), (4, 511 - 2 * i)) for i in range(256)),
    ]


def test_a_whole_zone_ends_with_the_kernels_counters() -> None:
    """V-1: the page that finds no target counts as failed, those never tried do not."""
    ground = six_blocks()
    memory = ground.memory

    memory.compact_memory()

    vm = memory.vmstat()
    assert (vm["compact_migrate_scanned"], vm["compact_free_scanned"]) == (768, 1024)
    assert vm["compact_isolated"] == 960
    assert (vm["pgmigrate_success"], vm["pgmigrate_fail"]) == (384, 1)
    assert rows(memory, tracepoints.END) == [
        (tracepoints.END, ground.start, ground.at(2), ground.at(2), ground.end, 1, 5)
    ]
    memory.validate()


def test_a_whole_zone_keeps_the_freed_pages_on_the_per_cpu_list() -> None:
    """V-1: the free lists do not show what compaction achieved until the CPU's list overflows."""
    ground = six_blocks()
    memory = ground.memory

    memory.compact_memory()
    memory.lru_add_drain()

    assert len(on_pcp(memory, t.MOVABLE)) == 384
    assert memory.buddyinfo()["DMA32"][:10] == [64, 64, 64, 0, 0, 0, 0, 0, 0, 1]
    left = memory.mem_map["flags"][ground.at(1) : ground.at(2)] & PG_lru != 0
    assert np.flatnonzero(left).tolist() == list(range(32, 224))
    assert len(listed(memory, 9)) == 1


def test_per_cpu_lists_that_overflow_merge_the_freed_block() -> None:
    """V-1b: 63 leave at the 252nd, twice as many at the 315th, and block 0 becomes one."""
    ground = six_blocks()
    memory = ground.memory
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 252, 63

    memory.compact_memory()

    assert memory.zone["pcp_count"][0, 0] == 195
    assert memory.zone["pcp_free_factor"][0, 0] == 2
    assert ground.at(0) in listed(memory, 9)
    memory.validate()


def five_blocks() -> Ground:
    """V-2: one movable block at the start, free pages in the two last."""
    ground = Ground(5)
    ground.anon(ground.span(0, range(100)))
    ground.kernel(ground.span(0, range(100, 512)))
    for block in (1, 2):
        ground.kernel(ground.span(block, range(512)))
        ground.type(block, t.UNMOVABLE)
    ground.kernel(ground.span(3, (i for i in range(512) if not (i < 40 and i % 2))))
    ground.kernel(ground.span(4, (i for i in range(512) if i not in (8, 9, 10, 11, 500))))
    ground.done()
    return ground


def test_a_refill_collects_targets_across_blocks() -> None:
    """V-2: blocks from the end on, in each the last page first, and -ENOMEM when they run out."""
    ground = five_blocks()

    ground.memory.compact_memory()

    assert moved(ground) == [
        *(((0, 31 - i), (3, 39 - 2 * i)) for i in range(20)),
        ((0, 11), (4, 500)),
        *(((0, 10 - i), (4, 11 - i)) for i in range(4)),
    ]
    assert scans(ground.memory, ground.start) == [
        ("migrate", 0, 32, 32, 32),
        ("free", 2048, 2560, 512, 5),
        ("free", 1536, 2048, 512, 20),
    ]


def test_pages_that_were_never_tried_are_put_back() -> None:
    """V-2: the source that fails counts, the six behind it do not, and the zone is complete."""
    ground = five_blocks()
    memory = ground.memory

    memory.compact_memory()

    vm = memory.vmstat()
    assert (vm["pgmigrate_success"], vm["pgmigrate_fail"], vm["compact_isolated"]) == (25, 1, 57)
    assert rows(memory, tracepoints.END)[0][6] == t.COMPACT_COMPLETE
    assert rows(memory, tracepoints.MIGRATEPAGES) == [(tracepoints.MIGRATEPAGES, 25, 7)]
    assert memory.lru_stats["anonymous"]["putback"] == 7
    memory.validate()


def test_a_source_that_keeps_failing_takes_a_target_each_time() -> None:
    """V-3: it returns the target it had to the front, and the next page gets that one."""
    ground = Ground(3, 6, 8)
    ground.anon(ground.span(0, range(32)))
    ground.kernel([ground.at(2), *ground.span(0, range(32, 64))])
    ground.memory.mem_map["flags"][ground.at(0, 20)] |= PG_swapbacked
    ground.memory.mem_map["mapping"][ground.at(0, 20)] = ground.memory.register("busy")
    ground.memory.mem_map["refcount"][ground.at(0, 20)] = 5
    ground.done()

    ground.memory.compact_memory()

    s20 = (0, 20)
    assert moved(ground) == [
        *(((0, 31 - i), (2, 63 - i)) for i in range(11)),
        (s20, s20),
        *(((0, 19 - i), (2, 52 - i)) for i in range(20)),
        *[(s20, s20)] * 9,
    ]
    migratepages = rows(ground.memory, tracepoints.MIGRATEPAGES)
    assert migratepages[0] == (tracepoints.MIGRATEPAGES, 31, 1)
    ground.memory.validate()


def test_a_block_that_gave_nothing_is_marked_and_the_hint_is_one_block_too_far() -> None:
    """V-15 (SK-3): callers pass the end of the block, and the hint goes to the end after that."""
    ground = Ground(8)
    ground.kernel(ground.span(0, range(512)))
    ground.anon([ground.at(1)])
    ground.kernel([ground.at(7)])
    memory = ground.done()
    cc = control(memory, [])

    isolate(cc)
    cc.close()

    assert scans(memory, ground.start) == [("migrate", 0, 512, 512, 0)]
    assert memory.pageblock[1:4].tolist() == [t.MOVABLE | t.BLOCK_SKIP, t.MOVABLE, t.MOVABLE]
    assert memory.zone["cached_migrate_pfn"][0].tolist() == [ground.start + 1024] * 2


def test_a_zone_that_starts_in_block_0_is_rescanned_at_once() -> None:
    """V-16 (CZ-11): "no block yet" and block 0 are the same number, so no limit of 32 holds."""
    memory = Memory.blank(2048, ("DMA", 1024), ("DMA32", 1024))
    pfns = memory.fill("anon", 2048)
    low = np.sort(pfns[pfns < 1024])
    memory.drop(np.setdiff1d(low, low[1:101]))
    memory.lru_add_drain_all()

    memory.compact_memory()

    first = rows(memory, tracepoints.ISOLATE_MIGRATEPAGES)[0]
    assert (first[1], first[4]) == (0, 100)


@pytest.mark.parametrize(
    ("order", "offset", "scanned"),
    [(9, 0, 0), (4, 16, 512 - 15)],
    ids=["a whole block costs nothing", "one in the middle costs one"],
)
def test_what_compound_pages_cost_the_migrate_scanner(
    order: int, offset: int, scanned: int
) -> None:
    """V-19: a block that a huge page fills is not even scanned (MB-4)."""
    ground = Ground(3)
    ground.compound(ground.at(0, offset), order)
    ground.kernel([p for p in ground.span(0, range(512)) if not ground.used[p]])
    ground.kernel(ground.span(1, range(512)))
    memory = ground.done()

    memory.compact_memory()

    assert memory.vmstat()["compact_migrate_scanned"] == scanned + 512


def test_a_free_block_of_two_pageblocks_costs_its_second_half_page_by_page() -> None:
    """V-19 (MM-11): the second pageblock of an order-10 block has no head to jump from."""
    ground = Ground(5)
    ground.kernel(ground.span(0, range(512)))
    ground.kernel(ground.span(3, range(512)))
    ground.kernel(ground.span(4, range(512)))
    memory = ground.done()
    assert len(listed(memory, 10)) == 1

    memory.compact_memory()

    assert [s[3] for s in scans(memory, ground.start)[:3]] == [512, 1, 512]


def test_the_scanners_positions_are_forgotten_once_they_met() -> None:
    """CF-1: the next run starts at the zone's ends."""
    ground = small()
    memory = ground.done()
    memory.zone["cached_migrate_pfn"], memory.zone["cached_free_pfn"] = 99, 99

    memory.compact_memory()

    assert memory.zone["cached_migrate_pfn"][0].tolist() == [ground.start, ground.start]
    assert memory.zone["cached_free_pfn"][0] == ground.at(3)


def test_a_run_ends_where_targets_run_out_early() -> None:
    """CZ-7.2: the zone is at its minimum, so nothing can be taken, though there is more to scan."""
    ground = small()
    ground.anon(ground.span(0, [0, 1]))
    memory = ground.done()
    memory.zone["watermark"][0, t.WMARK_MIN] = 1 << 20

    memory.compact_memory()

    assert [row[1] - ground.start for row in rows(memory, tracepoints.ISOLATE_MIGRATEPAGES)] == [0]
    assert rows(memory, tracepoints.END)[0][6] == t.COMPACT_CONTENDED


def test_a_run_is_framed_by_the_same_events_as_the_kernels() -> None:
    """The trace is what a replay is judged by: suitable, begin, finished, end."""
    memory = small().done()

    memory.compact_memory()

    kinds = [number for number, _ in tracepoints.events(memory.events)]
    assert kinds[:3] == [tracepoints.SUITABLE, tracepoints.BEGIN, tracepoints.FINISHED]
    assert kinds[-2:] == [tracepoints.FINISHED, tracepoints.END]


def test_zones_are_compacted_from_the_lowest_to_the_highest() -> None:
    """compact_nodes(); a zone without frames is left out."""
    memory = Memory.blank(96, ("DMA", 32), ("DMA32", 32), ("Normal", 32), **SMALL)
    memory.zone["present"][1] = 0

    memory.compact_memory()

    assert [row[1] for row in rows(memory, tracepoints.SUITABLE)] == [0, 2]


SMALL = {"pageblock_order": 3, "max_order": 5}


@pytest.mark.parametrize("page_shift", [12, 14, 16])
def test_pages_of_any_size_are_compacted(page_shift: int) -> None:
    """PAGE_SHIFT is a parameter of the machine: arm64 has 16 and 64 KiB pages."""
    memory = Memory.blank(128, page_shift=page_shift, **SMALL)
    pfns = memory.fill("anon", 128)
    memory.drop(pfns[1::2])
    memory.lru_add_drain_all()

    memory.compact_memory()

    assert memory.page_size == 1 << page_shift
    assert memory.vmstat()["pgmigrate_success"] > 0
    memory.validate()


@pytest.mark.large
def test_a_machine_whose_pageblocks_are_the_largest_free_blocks() -> None:
    """Order-10 blocks: batches, hints and the test of targets go by the block, not by 512."""
    ground = Ground(4, 10, 11)
    ground.anon(ground.span(0, range(0, 1024, 2)))
    ground.kernel([ground.at(3)])
    memory = ground.done()

    memory.compact_memory()

    assert scans(memory, ground.start)[:3] == [
        ("migrate", 0, 63, 63, 32),
        ("free", 3072, 3136, 64, 63),
        ("migrate", 63, 1024, 961, 480),
    ]
    memory.validate()


def test_there_are_lists_for_so_many_compactors_only() -> None:
    """Each compactor needs list heads of its own; the answer is an error, not a shared list."""
    memory = small().done()
    many = [CompactControl(memory) for _ in range(16)]

    with pytest.raises(MovableError, match="too many compactors"):
        CompactControl(memory)

    for cc in many:
        cc.close()
    CompactControl(memory).close()


def test_a_zone_begins_with_what_waits_in_the_lru_batch() -> None:
    """CZ-6: pages on their way to an LRU list are sources, too."""
    memory = Memory.blank(4096)
    memory.fill("anon", 4)
    cc = CompactControl(memory, whole_zone=1)

    cc.run(steps.COMPACT_ZONE, zone=0)
    cc.close()

    assert memory.lru_stats["anonymous"]["isolated"] == 4
