"""Where a run's scanners begin, and what it does to the starts of others (rules CZ-4, CZ-5)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, within
from movable import MigrateMode
from movable.mm.compact_control import CompactControl
from movable.mm.compaction import begin_batch, place_scanners

ASYNC, SYNC_LIGHT = MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT


def placed(mode: MigrateMode, cached: tuple[int, int]) -> CompactControl:
    """A run in a zone of eight blocks of 16 frames; the starts are block numbers."""
    ground = Ground(8, 4, 6)
    memory = ground.done()
    memory.zone["cached_migrate_pfn"] = [ground.at(block) for block in cached]
    memory.zone["cached_free_pfn"] = ground.at(7)
    cc = CompactControl(memory, mode, order=3, search_order=3)
    cc["zone"] = 0
    within(cc, place_scanners)
    return cc


def starts(cc: CompactControl) -> list[int]:
    """The blocks where runs will begin: asynchronous ones, synchronous ones."""
    return [int(pfn) // 16 - 1 for pfn in cc.memory.zone["cached_migrate_pfn"][0]]


def round_ends(cc: CompactControl, isolated: int, start: int) -> None:
    """A scan has moved the asynchronous runs' start, and isolated so many pages."""
    cc.memory.zone["cached_migrate_pfn"][0, 0] = 16 * (1 + start)
    cc["nr_migratepages"] = isolated
    within(cc, begin_batch)


@pytest.mark.parametrize(
    ("mode", "block"), [(ASYNC, 5), (SYNC_LIGHT, 2)], ids=["asynchronous", "synchronous"]
)
def test_synchronous_runs_have_a_start_of_their_own(mode: MigrateMode, block: int) -> None:
    """CZ-4: what asynchronous ones could not isolate they may."""
    cc = placed(mode, (5, 2))

    assert cc["migrate_pfn"] == 16 * (1 + block)


@pytest.mark.parametrize("mode", [ASYNC, SYNC_LIGHT], ids=["asynchronous", "synchronous"])
def test_a_start_outside_the_zone_makes_both_begin_anew(mode: MigrateMode) -> None:
    """CZ-4."""
    cc = placed(mode, (8, 8))

    assert (cc["migrate_pfn"], starts(cc)) == (16, [0, 0])


@pytest.mark.parametrize(
    ("mode", "cached", "left"),
    [(ASYNC, (2, 2), [3, 3]), (ASYNC, (2, 1), [3, 1]), (SYNC_LIGHT, (2, 2), [3, 2])],
    ids=["one start", "two starts", "synchronous"],
)
def test_where_nothing_was_isolated_the_other_start_comes_along(
    mode: MigrateMode, cached: tuple[int, int], left: list[int]
) -> None:
    """CZ-5: if an asynchronous run found both starts at one place."""
    cc = placed(mode, cached)

    round_ends(cc, 0, start=3)

    assert starts(cc) == left


def test_the_other_start_stays_at_the_first_block_with_something_in_it() -> None:
    """CZ-5: synchronous runs are to see that block, too."""
    cc = placed(ASYNC, (2, 2))

    round_ends(cc, 1, start=3)
    round_ends(cc, 0, start=4)

    assert starts(cc) == [4, 2]
