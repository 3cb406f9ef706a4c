"""What 5.10 does in its own way outside the contract (X-1 to X-10), each field from both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.mm.ground import Ground, call, on_pcp, rows, small
from movable.drivers.scripted import Script, Scripted
from movable.gfp import GFP_KERNEL, Gfp
from movable.mm import mm_types as t
from movable.mm import page_alloc, pcp, tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.direct_compaction import Capture, Request, compact_zone_order
from movable.mm.fast_isolate_freepages import at_least_one, restart_free_scan
from movable.mm.profile import PROFILES, Profile, of_release
from movable.mm.slowpath import SlowPath
from movable.mm.vmscan import HeldBack

SIX, FIVE = PROFILES["6.1"], PROFILES["5.10"]
SIZE = 16


def with_field(name: str, value: bool) -> Profile:
    """6.1 with one field as given."""
    return replace(SIX, **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("release", "name"),
    [("5.10.0-32-amd64", "5.10"), ("6.1.0-50-amd64", "6.1"), ("4.8.17", "4.8"), ("6.12.95", None)],
)
def test_the_profile_is_read_from_the_release(release: str, name: str | None) -> None:
    """By the first two numbers."""
    found = of_release(release)

    assert (found and found.name) == name


# three_pcp_lists


@pytest.mark.parametrize(("three", "waits"), [(True, False), (False, True)])
def test_larger_blocks_may_have_no_list(three: bool, waits: bool) -> None:
    """X-6: order 2 goes straight to the free lists, or waits on the CPU's."""
    ground = small(with_field("three_pcp_lists", three))
    ground.kernel(ground.span(0, range(4)))
    memory = ground.done()

    memory.engine.call(page_alloc.free_pages, ground.at(0), 2)

    assert int(memory.zone["pcp_count"][0, 0]) == (4 if waits else 0)


@pytest.mark.parametrize(
    ("three", "movable", "unmovable"),
    [(True, [2], [2]), (False, [1, 2], [])],
    ids=["shares", "lists"],
)
def test_an_overflowing_cpu_gives_back_by_shares(
    three: bool, movable: list[int], unmovable: list[int]
) -> None:
    """X-6: one movable page, then, an empty list later, two unmovable ones, then a movable one.

    Later all of the first list before the next is begun.
    """
    ground = small(with_field("three_pcp_lists", three))
    ground.kernel(ground.span(0, range(1, 4)) + ground.span(1, range(3)))
    ground.type(1, t.UNMOVABLE)
    memory = ground.done()
    for offset in range(3):
        memory.engine.call(page_alloc.free_pages, ground.at(0, 1 + offset), 0)
        memory.engine.call(page_alloc.free_pages, ground.at(1, offset), 0)

    memory.engine.call(pcp.free_pcppages_bulk, 0, 4, 0)

    assert on_pcp(memory, t.MOVABLE) == [ground.at(0, 1 + n) for n in reversed(movable)]
    assert on_pcp(memory, t.UNMOVABLE) == [ground.at(1, n) for n in unmovable]


@pytest.mark.parametrize(("three", "left"), [(True, 5), (False, 3)])
def test_an_overflow_frees_one_batch_or_more_and_more(three: bool, left: int) -> None:
    """X-6: the batch is not scaled by how long nobody allocated."""
    ground = small(with_field("three_pcp_lists", three))
    ground.kernel(ground.span(0, range(8)))
    memory = ground.done()
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = 8, 3
    memory.zone["pcp_free_factor"] = 1

    for offset in range(8):
        memory.engine.call(page_alloc.free_pages, ground.at(0, offset), 0)

    assert memory.zone["pcp_count"][0, 0] == left


# free_block_counts_as_one


@pytest.mark.parametrize(("as_one", "scanned"), [(True, 3), (False, 16)])
def test_a_free_block_counts_as_one_frame_or_as_its_pages(as_one: bool, scanned: int) -> None:
    """X-1: the kernel's page, and free blocks of 1, 2, 4 and 8 pages behind it."""
    ground = Ground(3, 4, 6, with_field("free_block_counts_as_one", as_one))
    ground.anon(ground.span(0, range(15)))
    ground.kernel([ground.at(2), *ground.span(1, range(SIZE))])
    memory = ground.done()

    memory.compact_memory()

    (_, _, _, counted, taken) = rows(memory, tracepoints.ISOLATE_FREEPAGES)[0]
    assert (counted, taken) == (5 if as_one else scanned, 15)


# fast_limit_is_one


@pytest.mark.parametrize(("is_one", "limits"), [(True, [0, 1, 1]), (False, [1, 1, 16])])
def test_a_fast_search_looks_at_one_entry_or_at_more(is_one: bool, limits: list[int]) -> None:
    """X-7: `min` where `max` was meant; then even a limit of 0 is possible."""
    memory = small(with_field("fast_limit_is_one", is_one)).done()
    control = CompactControl(memory)

    assert [int(call(at_least_one, control.record, limit)) for limit in (0, 1, 16)] == limits


# highest_may_be_low


@pytest.mark.parametrize(("low", "restart"), [(True, True), (False, False)])
def test_a_search_in_vain_may_restart_low(low: bool, restart: bool) -> None:
    """X-7: at the highest block seen, be it in the lower half."""
    ground = small(with_field("highest_may_be_low", low))
    memory = ground.done()
    control = CompactControl(memory, order=3)
    control["free_pfn"] = ground.at(3)
    arrays = memory.mem_map, memory.zone, memory.node, control.record

    found = int(call(restart_free_scan, *arrays, ground.at(1), ground.at(2)))

    assert (found == ground.at(1)) is restart
    assert control["free_pfn"] == (ground.at(1) if restart else ground.at(3))


# migration_events


@pytest.mark.parametrize("exist", [True, False])
def test_some_events_came_later(exist: bool) -> None:
    """X-2."""
    ground = small(with_field("migration_events", exist))
    ground.anon([ground.at(0)])
    memory = ground.done()

    memory.compact_memory()

    later = (*tracepoints.PTE_EVENTS, tracepoints.MIGRATE_PAGES_START)
    assert bool(rows(memory, *later)) is exist
    assert rows(memory, tracepoints.MIGRATE_PAGES)


# remaining_pages_failed


@pytest.mark.parametrize(("remaining", "left"), [(True, 1), (False, 2)])
def test_a_page_that_was_put_back_at_once_is_not_left(remaining: bool, left: int) -> None:
    """X-2: when targets run out, 5.10 counts the list, on which the failed page is no more."""
    profile = replace(FIVE, remaining_pages_failed=remaining)
    ground = Ground(3, 4, 6, profile)
    driver = Scripted(ground.memory, Script([0] * 3, [0] * 3, [0, 0, 1]))
    ground.driver(driver.mapping, ground.span(0, range(3)))
    ground.kernel(ground.span(1, range(SIZE)) + ground.span(2, [0, *range(2, SIZE)]))
    memory = ground.done()

    memory.compact_memory()

    assert rows(memory, tracepoints.MIGRATEPAGES)[0][2] == left


# drains_after_mapped_page


@pytest.mark.parametrize(("drains", "waiting"), [(True, 0), (False, 1)])
def test_a_mapped_page_may_wait_in_the_batch(drains: bool, waiting: int) -> None:
    """X-5."""
    ground = small(with_field("drains_after_mapped_page", drains))
    ground.anon([ground.at(0)])
    memory = ground.done()

    memory.compact_memory()

    assert memory.node["lru_add_count"][0] == waiting


# capture_is_success


@pytest.mark.parametrize(
    ("success", "status"), [(True, t.COMPACT_SUCCESS), (False, t.COMPACT_SKIPPED)]
)
def test_a_captured_block_may_make_a_success(
    success: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-10: a block that came free although compaction was skipped."""
    ground = small(with_field("capture_is_success", success))
    ground.type(0, t.UNMOVABLE)
    ground.kernel(ground.span(0, range(2)))
    memory = ground.done()
    memory.zone["watermark"] = 1 << 20

    def frees(cc: object, z: int) -> int:
        memory.engine.call(page_alloc.free_pages, ground.at(0), 1)
        memory.drain_all_pages()
        return t.COMPACT_SKIPPED

    monkeypatch.setattr("movable.mm.compact_control.CompactControl.compact_zone", frees)
    request = Request.of(GFP_KERNEL, 1, 0)

    result, captured = compact_zone_order(memory, 0, request, t.COMPACT_PRIO_ASYNC)

    assert (result, captured) == (status, ground.at(0))
    assert memory.refcount[captured] == 1


def test_nothing_is_captured_outside() -> None:
    """It names a block only if one came free meanwhile."""
    ground = small()
    ground.kernel(ground.span(0, range(2)))
    memory = ground.done()

    with Capture(memory, 0, 1) as capture:
        pass
    memory.engine.call(page_alloc.free_pages, ground.at(0), 1)
    memory.drain_all_pages()

    assert capture.pfn == -1


# gives_up_on_this_node


@pytest.mark.parametrize(("gives_up", "reclaims"), [(True, False), (False, True)])
def test_a_request_for_this_node_may_go_on_to_reclaim(gives_up: bool, reclaims: bool) -> None:
    """X-10: a huge page that does not insist, after one quick compaction."""
    memory = small(with_field("gives_up_on_this_node", gives_up)).done()
    memory.vmscan = HeldBack(memory)
    gfp = GFP_KERNEL | Gfp.NORETRY | Gfp.THISNODE | Gfp.MOVABLE
    path = SlowPath(memory, int(gfp), 4)
    path.result = t.COMPACT_COMPLETE

    assert path._gives_up_early() is not reclaims
