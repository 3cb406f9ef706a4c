"""An asynchronous request gives up where it cannot succeed (MS-2, MS-3, MS-21, MB-4, CZ-7)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.asking import ASYNC, LIGHT, compact, open_to_all
from core.mm.ground import Ground, control, isolate, on_pcp, rows, scans
from movable import MigrateMode
from movable.drivers.scripted import ISOLATE, PUTBACK, Script, Scripted
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import tracepoints
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Request
from movable.mm.lists import collect
from movable.mm.memory import Memory


def sources(memory: Memory, cc: Any) -> list[int]:
    return [int(pfn) for pfn in collect(memory, cc["migratepages"])]


def asking(memory: Memory, order: int = 3, **request: Any) -> Any:
    """A direct compactor for a movable block, in no hurry to wait."""
    fields = {"direct_compaction": 1, "ignore_skip_hint": 0, "gfp_mask": int(GFP_HIGHUSER_MOVABLE)}
    mode = request.pop("mode", MigrateMode.ASYNC)
    return control(memory, [], mode, order=order, search_order=order, **{**fields, **request})


def test_after_a_failure_the_rest_of_the_order_block_is_passed_over() -> None:
    """V-20 (MS-21): what had been isolated of it is put back, and was never counted."""
    ground = Ground(3)
    ground.anon(ground.span(0, [0, 1, *range(3, 16)]))
    ground.kernel([ground.at(0, 2), *ground.span(0, range(16, 512))])
    memory = ground.done()
    cc = asking(memory)

    isolate(cc)

    assert sources(memory, cc) == ground.span(0, range(15, 7, -1))
    assert scans(memory, ground.start) == [("migrate", 0, 16, 3 + 8, 8)]
    stats = memory.lru_stats["anonymous"]
    assert (stats["isolated"], stats["putback"]) == (10, 2)
    assert memory.vmstat()["compact_isolated"] == 8
    cc.close()


@pytest.mark.parametrize(
    ("mode", "direct_"),
    [(MigrateMode.SYNC_LIGHT, 1), (MigrateMode.ASYNC, 0)],
    ids=["sync", "daemon"],
)
def test_others_keep_what_they_have(mode: MigrateMode, direct_: int) -> None:
    """MS-2: only who is direct and asynchronous is so picky."""
    ground = Ground(3)
    ground.anon(ground.span(0, [0, 1, *range(3, 16)]))
    ground.kernel([ground.at(0, 2), *ground.span(0, range(16, 512))])
    memory = ground.done()
    cc = asking(memory, mode=mode, direct_compaction=direct_)

    isolate(cc)

    assert scans(memory, ground.start) == [("migrate", 0, 512, 512, 15)]


def test_an_order_block_that_was_emptied_ends_the_round() -> None:
    """MS-3: now it is migrated, and with luck that is all."""
    ground = Ground(3)
    ground.anon(ground.span(0, [2, 5, 9, 10]))
    memory = ground.done()
    cc = asking(memory)

    isolate(cc)

    assert (sources(memory, cc), cc["migrate_pfn"]) == (ground.span(0, [5, 2]), ground.at(0, 8))
    cc.close()


def test_order_blocks_are_counted_from_where_the_scan_is() -> None:
    """MS-3: a free block of 16 frames in between is two of them."""
    ground = Ground(3)
    ground.kernel([ground.at(0), *ground.span(0, range(40, 512))])
    ground.anon(ground.span(0, [*range(1, 16), *range(32, 40)]))
    memory = ground.done()
    cc = asking(memory)

    isolate(cc)
    cc["nr_migratepages"] = 0
    isolate(cc)

    assert scans(memory, ground.start) == [
        ("migrate", 0, 16, 1 + 8, 8),
        ("migrate", 16, 40, 1 + 8, 8),
    ]


def test_a_drivers_pages_are_put_back_in_the_middle_of_a_scan() -> None:
    """MS-21: one that its driver refuses is a failure like any other."""
    ground = Ground(3)
    driver = Scripted(ground.memory, Script([0, 0, 1, 0, 0], [0] * 5, [0] * 5))
    ground.driver(driver.mapping, ground.span(0, [0, 1, 2, 3, 8]))
    memory = ground.done()
    cc = asking(memory)

    isolate(cc)

    calls = list(zip(driver.log[::6], driver.log[1::6], strict=True))
    asked = [(ISOLATE, number) for number in range(3)]
    assert calls == [*asked, (PUTBACK, 1), (PUTBACK, 0), (ISOLATE, 4)]
    assert sources(memory, cc) == [ground.at(0, 8)]
    assert memory.vmstat()["compact_isolated"] == 1


@pytest.mark.parametrize(
    ("gfp", "type_", "mode", "direct_", "scanned"),
    [
        (GFP_HIGHUSER_MOVABLE, t.MOVABLE, MigrateMode.ASYNC, 1, True),
        (GFP_HIGHUSER_MOVABLE, t.CMA, MigrateMode.ASYNC, 1, True),
        (GFP_HIGHUSER_MOVABLE, t.UNMOVABLE, MigrateMode.ASYNC, 1, False),
        (GFP_KERNEL, t.UNMOVABLE, MigrateMode.ASYNC, 1, True),
        (GFP_KERNEL, t.MOVABLE, MigrateMode.ASYNC, 1, False),
        (GFP_KERNEL, t.RECLAIMABLE, MigrateMode.ASYNC, 1, False),
        (GFP_KERNEL, t.MOVABLE, MigrateMode.SYNC_LIGHT, 1, True),
        (GFP_KERNEL, t.MOVABLE, MigrateMode.ASYNC, 0, True),
    ],
)
def test_an_asynchronous_request_scans_blocks_of_its_own_type(
    gfp: int, type_: int, mode: MigrateMode, direct_: int, scanned: bool
) -> None:
    """MB-4: others all; a block that is passed over moves the start of later runs (MB-3)."""
    ground = Ground(3)
    ground.type(0, type_)
    ground.type(1, t.HIGHATOMIC)
    memory = ground.done()
    cc = asking(memory, mode=mode, gfp_mask=int(gfp), direct_compaction=direct_)

    isolate(cc)

    assert (
        ground.start in [row[1] for row in rows(memory, tracepoints.ISOLATE_MIGRATEPAGES)]
    ) is scanned
    assert memory.zone["cached_migrate_pfn"][0, 0] > ground.at(1)


@pytest.mark.parametrize(
    ("priority", "begun", "waiting"), [(ASYNC, [0, 64], 31), (LIGHT, [0, 32], 0)]
)
def test_a_page_that_failed_ends_the_work_on_its_order_block(
    priority: int, begun: list[int], waiting: int
) -> None:
    """CZ-7.4: of 40 pages 32 were taken, one failed; asynchronously the other eight are not tried.

    Nor is what came free drained: no block of 64 can come of it.
    """
    ground = Ground(6, 7, 9)
    ground.type(0, t.UNMOVABLE)
    driver = Scripted(ground.memory, Script([0] * 40, [0] * 40, [int(i == 31) for i in range(40)]))
    ground.driver(driver.mapping, ground.span(0, range(40)))
    ground.kernel([*range(ground.at(0, 40), ground.at(5)), *ground.span(5, range(0, 128, 32))])
    memory = open_to_all(ground)

    compact(memory, priority, Request.of(GFP_KERNEL, 6, ALLOC_CPUSET))

    found = rows(memory, tracepoints.ISOLATE_MIGRATEPAGES)
    assert [row[1] - ground.start for row in found][:2] == begun
    assert len(on_pcp(memory, t.UNMOVABLE)) == waiting
