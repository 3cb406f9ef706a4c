"""Compaction by who wants the memory: which zones, what comes of it, how hard (D-1 to D-6)."""

from __future__ import annotations

import pytest

from core.mm.asking import ASYNC, FULL, LIGHT, MOVABLE_REQUEST, compact, open_to_all
from core.mm.ground import FAR, Ground, control, listed, rows
from movable import IsolateMode, MigrateMode
from movable.drivers.scripted import ISOLATE, MIGRATE, Scripted
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOIO
from movable.mm import direct_compaction as direct
from movable.mm import mm_types as t
from movable.mm import page_alloc, tracepoints
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Request
from movable.mm.memory import Memory


def ragged(movable: bool = True) -> Ground:
    """Six blocks of 8 frames: two pages in block 0, room in block 5, the others full."""
    ground = Ground(6, 3, 5)
    if movable:
        ground.anon(ground.span(0, [0, 1]))
    else:
        ground.kernel(ground.span(0, [0, 1]))
    ground.kernel(range(ground.at(1), ground.at(5) + 1))
    return ground


def vm(memory: Memory) -> tuple[int, int, int]:
    """Stalls, successes, failures."""
    counts = memory.vmstat()
    return counts["compact_stall"], counts["compact_success"], counts["compact_fail"]


# Which zones, and what comes of them.


def test_what_is_asked_for_is_traced() -> None:
    """D-5: before any zone is looked at."""
    memory = open_to_all(ragged())

    compact(memory, LIGHT)

    first = next(iter(tracepoints.events(memory.events)))
    gfp = int(GFP_HIGHUSER_MOVABLE)
    assert first == (tracepoints.TRY_TO_COMPACT_PAGES, [3, gfp, LIGHT])


def test_who_must_not_start_io_does_not_compact() -> None:
    """D-1: nothing is done, nothing is counted."""
    memory = open_to_all(ragged())
    request = Request.of(GFP_NOIO, 3, ALLOC_CPUSET)

    assert direct.direct_compact(memory, request, LIGHT) == (t.COMPACT_SKIPPED, -1)
    assert (len(memory.events), vm(memory)) == (0, (0, 0, 0))


def test_single_pages_need_no_compaction() -> None:
    """D-1."""
    memory = open_to_all(ragged())
    request = Request.of(GFP_KERNEL, 0, ALLOC_CPUSET)

    assert direct.direct_compact(memory, request, LIGHT) == (t.COMPACT_SKIPPED, -1)
    assert len(memory.events) == 0


def three_zones() -> Memory:
    """DMA, DMA32 and Normal, everything in use."""
    sizes = ("DMA", 64), ("DMA32", 64), ("Normal", 64)
    memory = Memory.blank(192, *sizes, pageblock_order=3, max_order=5)
    memory.fill_up()
    memory.zone["watermark"] = -FAR
    return memory


@pytest.mark.parametrize(
    ("gfp", "zones"),
    [(GFP_KERNEL, [2, 1, 0]), (GFP_KERNEL | 0x04, [1, 0]), (GFP_KERNEL | 0x01, [0])],
)
def test_zones_are_compacted_from_the_requests_down(gfp: int, zones: list[int]) -> None:
    """D-5, MM-1: the opposite of a manual run."""
    memory = three_zones()

    compact(memory, LIGHT, Request.of(gfp, 3, ALLOC_CPUSET))

    assert [row[1] for row in rows(memory, tracepoints.SUITABLE)] == zones


def test_the_greatest_of_the_zones_results_counts() -> None:
    """D-5: SKIPPED < DEFERRED < PARTIAL_SKIPPED, whichever comes last."""
    memory = three_zones()
    memory.zone["watermark"][0] = FAR
    memory.zone["defer_shift"][1] = 3
    low_and_deferred = compact(memory, LIGHT, Request.of(GFP_KERNEL | 0x04, 3, ALLOC_CPUSET))
    memory.zone["watermark"][2] = -FAR
    all_three = compact(memory, LIGHT, Request.of(GFP_KERNEL, 3, ALLOC_CPUSET))

    assert low_and_deferred == (t.COMPACT_DEFERRED, -1)
    assert all_three == (t.COMPACT_PARTIAL_SKIPPED, -1)


def test_after_a_success_lower_zones_are_left_alone() -> None:
    """D-5: and the success lets this order, but not its wait, be tried again."""
    memory = three_zones()
    memory.zone["defer_shift"], memory.zone["considered"] = 1, 2
    memory.engine.call(page_alloc.free_pages, 128, 3)
    memory.drain_all_pages()

    result, captured = compact(memory, LIGHT, Request.of(GFP_KERNEL, 3, ALLOC_CPUSET))

    assert (result, captured) == (t.COMPACT_SUCCESS, -1)
    assert [row[1] for row in rows(memory, tracepoints.SUITABLE)] == [2]
    assert memory.zone["order_failed"].tolist() == [0, 0, 4]
    assert memory.zone["defer_shift"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(("priority", "compacted"), [(FULL, True), (LIGHT, False), (ASYNC, False)])
def test_only_the_hardest_runs_do_not_wait(priority: int, compacted: bool) -> None:
    """D-5, DF-5: a zone whose runs failed is left out, and says so."""
    memory = open_to_all(ragged(movable=False))
    memory.zone["defer_shift"] = 3

    result, _ = compact(memory, priority)

    assert bool(rows(memory, tracepoints.BEGIN)) is compacted
    assert bool(rows(memory, tracepoints.DEFERRED)) is not compacted
    assert (result == t.COMPACT_DEFERRED) is not compacted


@pytest.mark.parametrize(
    ("priority", "result", "shift"),
    [
        (FULL, t.COMPACT_COMPLETE, 1),
        (LIGHT, t.COMPACT_PARTIAL_SKIPPED, 1),
        (ASYNC, t.COMPACT_PARTIAL_SKIPPED, 0),
    ],
)
def test_a_run_in_vain_has_later_ones_wait(priority: int, result: int, shift: int) -> None:
    """D-5: complete or not, but not an asynchronous one, which had not tried everything."""
    memory = open_to_all(ragged(movable=False))

    assert compact(memory, priority) == (result, -1)

    assert memory.zone["defer_shift"][0] == shift


def test_a_contended_run_has_nobody_wait() -> None:
    """D-5, CZ-7.4, B-23: six of twelve targets could be had, then the watermark was in the way."""
    ground = Ground(6, 3, 5)
    ground.anon(ground.span(0, range(8)))
    ground.kernel([p for p in range(ground.at(1), ground.end) if p < ground.at(3) or p % 2])
    memory = ground.done()
    memory.zone["watermark"][0, t.WMARK_MIN] = 5

    result, _ = compact(memory, LIGHT, Request.of(GFP_HIGHUSER_MOVABLE, 1, ALLOC_CPUSET))

    assert (result, memory.zone["defer_shift"][0]) == (t.COMPACT_CONTENDED, 0)
    counts = memory.vmstat()
    assert (counts["pgmigrate_success"], counts["pgmigrate_fail"]) == (6, 1)
    assert rows(memory, tracepoints.END)[0][6] == t.COMPACT_CONTENDED
    memory.lru_add_drain()
    memory.validate()


# What it costs, and what it gives.


def test_the_block_made_is_the_requests() -> None:
    """D-6, CP-1: it never was on a free list."""
    ground = ragged()
    memory = open_to_all(ground)

    result, pfn = direct.direct_compact(memory, MOVABLE_REQUEST, ASYNC)

    assert (result, pfn) == (t.COMPACT_SUCCESS, ground.at(0))
    assert (memory.refcount[pfn], listed(memory, 3), vm(memory)) == (1, [], (1, 1, 0))
    assert rows(memory, tracepoints.END)[0][6] == t.COMPACT_SUCCESS


def test_a_success_clears_what_failures_left() -> None:
    """D-6: no wait any more, larger orders are known to fail, hints may stay."""
    memory = open_to_all(ragged())
    zone = memory.zone
    zone["considered"], zone["defer_shift"], zone["blockskip_flush"] = 4, 2, 1

    direct.direct_compact(memory, MOVABLE_REQUEST, LIGHT)

    fields = ("considered", "defer_shift", "order_failed", "blockskip_flush")
    assert [int(zone[name][0]) for name in fields] == [0, 0, 4, 0]


@pytest.mark.parametrize(
    ("change", "result", "counted"),
    [
        ({"watermark": FAR}, t.COMPACT_SKIPPED, (0, 0, 0)),
        ({"defer_shift": 3}, t.COMPACT_DEFERRED, (1, 0, 1)),
        ({}, t.COMPACT_PARTIAL_SKIPPED, (1, 0, 1)),
    ],
    ids=["skipped", "deferred", "in vain"],
)
def test_what_counts_as_a_stall(
    change: dict[str, int], result: int, counted: tuple[int, int, int]
) -> None:
    """D-6 (Q-12): to be put off is one, too; not to begin is none."""
    memory = open_to_all(ragged(movable=False))
    for name, value in change.items():
        memory.zone[name] = value

    assert direct.direct_compact(memory, MOVABLE_REQUEST, LIGHT) == (result, -1)

    assert vm(memory) == counted


def test_a_block_that_came_free_otherwise_will_do() -> None:
    """D-6: one look at the free lists, whatever compaction says."""
    ground = ragged(movable=False)
    memory = open_to_all(ground)
    memory.zone["defer_shift"] = 3
    memory.engine.call(page_alloc.free_pages, ground.at(2), 3)
    memory.drain_all_pages()

    result, pfn = direct.direct_compact(memory, MOVABLE_REQUEST, LIGHT)

    assert (result, pfn) == (t.COMPACT_DEFERRED, ground.at(2))
    assert vm(memory) == (1, 1, 0)


# How hard.


def test_the_hardest_run_takes_targets_from_every_block_and_heeds_no_hint() -> None:
    """D-3, FS-5: all of block 5 is marked, and of a type that would do for no other run."""
    results = []
    for priority in (LIGHT, FULL):
        ground = ragged()
        ground.type(5, t.UNMOVABLE)
        memory = open_to_all(ground)
        memory.pageblock[1] |= t.BLOCK_SKIP
        memory.pageblock[6] |= t.BLOCK_SKIP
        memory.zone["init_free_pfn"] = FAR
        results.append(compact(memory, priority))

    assert results == [(t.COMPACT_PARTIAL_SKIPPED, -1), (t.COMPACT_SUCCESS, ground.at(0))]


def test_the_hardest_run_begins_at_the_zones_ends() -> None:
    """D-3, CZ-3: others where the last one stopped."""
    starts = []
    for priority in (ASYNC, LIGHT, FULL):
        ground = ragged()
        memory = open_to_all(ground)
        memory.zone["cached_migrate_pfn"] = ground.at(2), ground.at(3)
        memory.zone["cached_free_pfn"] = ground.at(4)
        compact(memory, priority)
        _, zone_start, migrate, free, _, sync = rows(memory, tracepoints.BEGIN)[0]
        starts.append((migrate - zone_start, free - zone_start, sync))

    assert starts == [(16, 32, 0), (24, 32, 1), (0, 40, 1)]


@pytest.mark.parametrize(
    ("priority", "isolated", "migrated"),
    [
        (ASYNC, 0xC, MigrateMode.ASYNC),
        (LIGHT, 0xC, MigrateMode.SYNC_LIGHT),
        (FULL, 0xC, MigrateMode.SYNC_LIGHT),
    ],
)
def test_drivers_are_told_how_hard_it_is(
    priority: int, isolated: int, migrated: MigrateMode
) -> None:
    """MB-1 (Q-16): no direct compaction is synchronous for whoever isolates."""
    ground = Ground(6, 3, 5)
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, ground.span(0, [0, 1]))
    ground.kernel(range(ground.at(1), ground.at(5) + 1))
    memory = open_to_all(ground)

    compact(memory, priority)

    modes = dict(zip(driver.log[::6], driver.log[4::6], strict=True))
    assert modes == {ISOLATE: isolated, MIGRATE: migrated}


def test_the_sysctl_against_unevictable_pages_is_passed_on() -> None:
    """MB-1: vm.compact_unevictable_allowed."""
    memory = open_to_all(ragged())
    memory.node["compact_unevictable_allowed"] = 0

    modes = [
        control(memory, [], mode).isolate_mode for mode in (MigrateMode.SYNC, MigrateMode.ASYNC)
    ]

    assert modes == [IsolateMode(0), IsolateMode.ASYNC_MIGRATE]
