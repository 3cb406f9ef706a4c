"""Hints where a scan is not worth while, and how they are taken back (rules SK-1 to SK-7)."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import Ground, rows, scans, within
from movable import MigrateMode
from movable.mm import mm_types as t
from movable.mm import skip_hints, tracepoints
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import scan_for_freepages
from movable.mm.memory import Memory
from movable.page_flags import NO_ZONE, ZONE_SHIFT, PG_lru

SKIP = t.MOVABLE | t.BLOCK_SKIP


def request(
    memory: Memory, mode: MigrateMode = MigrateMode.SYNC_LIGHT, **fields: Any
) -> CompactControl:
    cc = CompactControl(memory, mode, **fields)
    cc["zone"] = 0
    return cc


# One block's hint.


@pytest.mark.parametrize(
    ("ignore", "skip", "suitable"),
    [(0, False, True), (0, True, False), (1, True, True), (1, False, True)],
)
def test_a_marked_block_is_not_worth_a_scan(ignore: int, skip: bool, suitable: bool) -> None:
    """SK-1: unless the run ignores hints."""
    ground = Ground(2)
    ground.memory.pageblock[1] = SKIP if skip else t.MOVABLE
    cc = request(ground.memory, ignore_skip_hint=ignore)

    assert bool(within(cc, skip_hints.isolation_suitable, ground.at(0))) is suitable


@pytest.mark.parametrize(
    ("fields", "offset", "found", "marked"),
    [
        ({}, 0, False, True),
        ({}, 1, False, False),
        ({"ignore_skip_hint": 1}, 0, False, False),
        ({"no_set_skip_hint": 1}, 0, False, False),
    ],
    ids=["heeds hints", "in the middle", "ignores them", "sets none"],
)
def test_the_first_page_of_a_block_marks_it_while_it_is_scanned(
    fields: dict[str, Any], offset: int, found: bool, marked: bool
) -> None:
    """SK-2: at the block's first frame only."""
    ground = Ground(2)
    memory = ground.memory
    cc = request(memory, **fields)

    assert bool(within(cc, skip_hints.test_and_set_skip, ground.at(0, offset))) is found

    assert bool(memory.pageblock[1] & t.BLOCK_SKIP) is marked


def test_who_comes_second_sees_that_somebody_scans_the_block() -> None:
    """SK-2: and goes elsewhere."""
    ground = Ground(2)
    cc = request(ground.memory)

    answers = [bool(within(cc, skip_hints.test_and_set_skip, ground.at(0))) for _ in range(2)]

    assert answers == [False, True]


@pytest.mark.parametrize(
    ("mode", "no_set", "cached"),
    [
        (MigrateMode.ASYNC, 0, [3, 0]),
        (MigrateMode.SYNC_LIGHT, 0, [3, 3]),
        (MigrateMode.SYNC, 0, [3, 3]),
        (MigrateMode.SYNC, 1, [0, 0]),
    ],
)
def test_later_runs_start_one_block_further_than_they_should(
    mode: MigrateMode, no_set: int, cached: list[int]
) -> None:
    """SK-3: the end of block 1 is given, and they start behind block 2; counted from the hole."""
    ground = Ground(4)
    cc = request(ground.memory, mode, no_set_skip_hint=no_set)

    within(cc, skip_hints.update_cached_migrate, ground.at(1))

    starts = ground.memory.zone["cached_migrate_pfn"][0] // ground.size
    assert starts.tolist() == cached


def test_the_start_of_later_runs_moves_one_way() -> None:
    """SK-3, SK-4: sources up, targets down."""
    ground = Ground(6)
    memory = ground.memory
    memory.zone["cached_migrate_pfn"], memory.zone["cached_free_pfn"] = ground.at(4), ground.at(1)
    cc = request(memory)

    within(cc, skip_hints.update_cached_migrate, ground.at(1))
    within(cc, skip_hints.update_pageblock_skip, ground.at(3))

    assert memory.zone["cached_migrate_pfn"][0].tolist() == [ground.at(4)] * 2
    assert memory.zone["cached_free_pfn"][0] == ground.at(1)


@pytest.mark.parametrize(("no_set", "marked"), [(0, True), (1, False)])
def test_a_block_without_targets_is_marked_and_remembered(no_set: int, marked: bool) -> None:
    """SK-4: unless the run is to leave no hints."""
    ground = Ground(4)
    memory = ground.memory
    memory.zone["cached_free_pfn"] = ground.end

    within(request(memory, no_set_skip_hint=no_set), skip_hints.update_pageblock_skip, ground.at(2))

    assert bool(memory.pageblock[3] & t.BLOCK_SKIP) is marked
    assert memory.zone["cached_free_pfn"][0] == (ground.at(2) if marked else ground.end)


# Taking hints back.


def eight_blocks() -> Ground:
    """V-13: each block has a page of a user at its start and a free block at offset 8."""
    ground = Ground(8)
    for block in range(8):
        ground.anon([ground.at(block)])
        ground.kernel(ground.span(block, [*range(1, 8), *range(16, 512)]))
    return ground


def reset(memory: Memory, flush: int = 1) -> None:
    memory.zone["blockskip_flush"] = flush
    memory.engine.call(skip_hints.reset_isolation_suitable, 0)


def marked(ground: Ground) -> list[int]:
    """The blocks with a skip hint."""
    return [
        block
        for block in range(len(ground.memory.pageblock) - 1)
        if ground.memory.pageblock[1 + block] & t.BLOCK_SKIP
    ]


def positions(memory: Memory) -> dict[str, Any]:
    """Where runs start, and where that was set at the last reset."""
    names = "cached_migrate_pfn", "init_migrate_pfn", "cached_free_pfn", "init_free_pfn"
    return {name: memory.zone[name][0].tolist() for name in names}


def test_hints_are_taken_back_from_both_ends() -> None:
    """V-13 (SK-5): sources start at the first frame of the zone, targets at the very last."""
    ground = eight_blocks()
    memory = ground.done()
    memory.pageblock[1:] = SKIP

    reset(memory)

    assert marked(ground) == []
    last = ground.end - 1
    assert positions(memory) == {
        "cached_migrate_pfn": [ground.start] * 2,
        "init_migrate_pfn": ground.start,
        "cached_free_pfn": last,
        "init_free_pfn": last,
    }
    assert memory.zone["blockskip_flush"][0] == 0


def test_the_next_scan_for_targets_looks_at_one_frame_of_the_last_block() -> None:
    """V-13 (Q-5): and marks that block again."""
    ground = eight_blocks()
    memory = ground.done()
    memory.pageblock[1:] = SKIP
    reset(memory)
    cc = request(memory, order=9, free_pfn=ground.end - 1, migrate_pfn=ground.start)
    cc["nr_migratepages"] = 100

    within(cc, scan_for_freepages)

    assert scans(memory, ground.start)[0] == ("free", 4095, 4096, 1, 0)
    assert marked(ground) == [*range(1, 8)]


def test_hints_stay_while_nobody_wants_them_taken_back() -> None:
    """SK-5: a direct run whose scanners met asks for it."""
    ground = eight_blocks()
    memory = ground.done()
    memory.pageblock[1:] = SKIP

    reset(memory, flush=0)

    assert marked(ground) == list(range(8))
    assert memory.zone["init_free_pfn"][0] == 0


def test_a_block_without_sources_or_targets_keeps_its_hint() -> None:
    """SK-6: blocks 0, 1, and 7 have nothing, so runs start at 2 and at the end of 6."""
    ground = Ground(8)
    for block in (0, 1, 7):
        ground.kernel(ground.span(block, range(512)))
    for block in range(2, 7):
        ground.anon([ground.at(block)])
        ground.kernel(ground.span(block, [*range(1, 8), *range(16, 512)]))
    memory = ground.done()
    memory.pageblock[1:] = SKIP

    reset(memory)

    assert marked(ground) == [0, 1, 7]
    assert positions(memory) == {
        "cached_migrate_pfn": [ground.at(2)] * 2,
        "init_migrate_pfn": ground.at(2),
        "cached_free_pfn": ground.at(7) - 1,
        "init_free_pfn": ground.at(7) - 1,
    }


def test_where_nothing_looks_promising_the_scanners_start_in_the_middle() -> None:
    """SK-5: so the next run ends at once; what counts as set by a reset stays."""
    ground = Ground(8)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    memory.pageblock[1:] = SKIP

    reset(memory)

    assert marked(ground) == list(range(8))
    assert positions(memory) == {
        "cached_migrate_pfn": [ground.at(4)] * 2,
        "init_migrate_pfn": 0,
        "cached_free_pfn": ground.at(4) - 1,
        "init_free_pfn": 0,
    }


def test_only_every_eighth_frame_is_looked_at() -> None:
    """SK-6: from the block's first on; the last of them is 504."""
    ground = Ground(4)
    ground.kernel(
        [
            p
            for b in range(4)
            for p in ground.span(b, range(512))
            if p not in (ground.at(0, 504), ground.at(1, 9))
        ]
    )
    ground.anon([ground.at(0, 504), ground.at(1, 9)])
    memory = ground.done()
    memory.pageblock[1:] = SKIP

    reset(memory)

    assert marked(ground) == [1, 2, 3]
    assert memory.zone["init_migrate_pfn"][0] == ground.start


def looked_at(ground: Ground, pfn: int, source: bool, target: bool) -> bool:
    """__reset_isolation_pfn()."""
    return bool(ground.memory.engine.call(skip_hints.reset_isolation_pfn, 0, pfn, source, target))


def two_blocks(**kinds: Any) -> Ground:
    """An anonymous page at the start of block 0, a free one at the start of block 1."""
    ground = Ground(2)
    ground.anon([ground.at(0)])
    ground.kernel([*ground.span(0, range(1, 512)), *ground.span(1, range(1, 512))])
    ground.done()
    ground.memory.pageblock[1:] = SKIP
    return ground


@pytest.mark.parametrize(
    ("block", "source", "target", "promising"),
    [
        (0, True, False, True),
        (0, False, True, False),
        (1, True, False, False),
        (1, False, True, True),
        (0, True, True, True),
        (1, True, True, True),
    ],
)
def test_sources_are_lru_pages_and_targets_free_ones(
    block: int, source: bool, target: bool, promising: bool
) -> None:
    """SK-6: a hint is taken back exactly where something is found."""
    ground = two_blocks()

    assert looked_at(ground, ground.at(block), source, target) is promising

    assert (block not in marked(ground)) is promising


def test_once_both_starts_are_known_a_clear_block_needs_no_look() -> None:
    """SK-6: it counts as promising, whatever is in it."""
    ground = Ground(2)
    ground.kernel(range(ground.start, ground.end))
    ground.done()

    assert looked_at(ground, ground.at(0), True, True)
    assert not looked_at(ground, ground.at(0), True, False)


@pytest.mark.parametrize("migratetype", [t.UNMOVABLE, t.RECLAIMABLE, t.CMA])
def test_targets_do_not_start_in_a_block_that_is_not_movable(migratetype: int) -> None:
    """SK-6: not CMA either; later blocks may be of any type."""
    ground = two_blocks()
    ground.memory.pageblock[2] = migratetype | t.BLOCK_SKIP

    assert not looked_at(ground, ground.at(1), False, True)
    assert looked_at(ground, ground.at(1), True, True)


@pytest.mark.parametrize("pfn", [0, 300], ids=["head", "tail"])
def test_the_hint_of_a_huge_pages_block_stays(pfn: int) -> None:
    """SK-6: it will be as full next time, though the page is on an LRU list."""
    ground = Ground(2)
    ground.compound(ground.at(0), 9, PG_lru)
    ground.done()
    ground.memory.pageblock[1:] = SKIP

    assert not looked_at(ground, ground.at(0, pfn), True, True)


def test_a_block_that_ends_in_a_hole_is_left_alone() -> None:
    """SK-6: its last frame must exist, and the frame looked at be the zone's."""
    ground = two_blocks()
    flags = ground.memory.mem_map["flags"]
    flags[ground.at(1, 511)] = NO_ZONE << ZONE_SHIFT
    assert not looked_at(ground, ground.at(1), False, True)

    flags[ground.at(0)] |= 1 << ZONE_SHIFT
    assert not looked_at(ground, ground.at(0), True, False)


# Who asks for it.


def failing(considered: int, flush: int = 1) -> tuple[Ground, CompactControl]:
    """A zone full of marks whose last runs for order 9 failed, and a direct compactor."""
    ground = Ground(4)
    for block in range(4):
        ground.anon([ground.at(block)])
        ground.kernel(ground.span(block, [*range(1, 8), *range(16, 512)]))
    memory = ground.done()
    memory.pageblock[1:] = SKIP
    memory.zone["considered"], memory.zone["defer_shift"] = considered, 6
    memory.zone["blockskip_flush"], memory.zone["watermark"] = flush, -5000
    cc = CompactControl(
        memory, MigrateMode.SYNC_LIGHT, order=9, search_order=9, direct_compaction=1
    )
    return ground, cc


@pytest.mark.parametrize(("considered", "started"), [(63, 0), (64, 1)])
def test_a_run_after_the_longest_wait_takes_hints_back(considered: int, started: int) -> None:
    """CZ-2: DF-4 and SK-5."""
    ground, cc = failing(considered)

    cc.compact_zone(0)

    assert (ground.memory.zone["init_migrate_pfn"][0] == ground.start) == bool(started)


def test_a_run_from_where_hints_were_taken_back_is_a_whole_one() -> None:
    """CZ-4: it has seen everything that is worth it, so it ends COMPLETE, not PARTIAL_SKIPPED."""
    partial, whole = failing(0), failing(64)

    results = [cc.compact_zone(0) for _, cc in (partial, whole)]

    assert results == [t.COMPACT_PARTIAL_SKIPPED, t.COMPACT_COMPLETE]
    assert rows(whole[0].memory, tracepoints.END)[-1][6] == t.COMPACT_COMPLETE
