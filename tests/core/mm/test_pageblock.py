"""Migratetype and skip hint share a byte, and the scanners' test of a block looks at two frames."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, call, small
from movable.mm import mm_types as t
from movable.mm.pageblock import (
    block_type,
    pageblock_pfn_to_page,
    set_block_skip,
    set_block_type,
)
from movable.page_flags import NO_ZONE, ZONE_SHIFT


def test_a_new_type_keeps_the_hint() -> None:
    """MM-7: four bits, changed apart."""
    memory = small().done()

    call(set_block_skip, memory.pageblock, memory.node, 20)
    call(set_block_type, memory.pageblock, memory.node, 31, t.RECLAIMABLE)

    assert memory.pageblock[1] == t.RECLAIMABLE | t.BLOCK_SKIP
    assert call(block_type, memory.pageblock, memory.node, 16) == t.RECLAIMABLE
    assert call(block_type, memory.pageblock, memory.node, 32) == t.MOVABLE


def accepted(ground: Ground, start: int, end: int) -> bool:
    memory = ground.memory
    arrays = memory.mem_map, memory.zone, memory.node
    return bool(call(pageblock_pfn_to_page, *arrays, 0, start, end))


def test_a_zone_without_holes_needs_no_look() -> None:
    """MM-4."""
    ground = small()
    ground.memory.flags[ground.at(0)] = NO_ZONE << ZONE_SHIFT

    assert accepted(ground, ground.at(0), ground.at(1))


@pytest.mark.parametrize(
    ("hole", "taken"), [(0, False), (15, False), (7, True)], ids=["first", "last", "middle"]
)
def test_only_the_ends_of_a_block_are_looked_at(hole: int, taken: bool) -> None:
    """MM-5."""
    ground = small()
    ground.memory.zone["contiguous"] = 0
    ground.memory.flags[ground.at(0, hole)] = NO_ZONE << ZONE_SHIFT

    assert accepted(ground, ground.at(0), ground.at(1)) is taken


def test_a_block_of_another_zone_is_not_looked_at() -> None:
    """MM-5: first and last frame are in this zone."""
    ground = small()
    ground.memory.zone["contiguous"] = 0
    ground.memory.flags[ground.at(0)] = 1 << ZONE_SHIFT

    assert not accepted(ground, ground.at(0), ground.at(1))
    assert not accepted(ground, ground.at(3), ground.end + 1)


def test_a_hole_is_passed_over_by_both_scanners() -> None:
    """MM-6: it costs nothing."""
    ground = Ground(6, 4, 6)
    ground.anon(ground.span(0, range(2)))
    ground.kernel([ground.at(5)])
    for block in (2, 3):
        ground.used[ground.at(block) : ground.at(block + 1)] = True
        ground.memory.mem_map["flags"][ground.at(block) : ground.at(block + 1)] = (
            NO_ZONE << ZONE_SHIFT
        )
    memory = ground.done()
    memory.zone["contiguous"], memory.zone["present"] = 0, 64

    memory.compact_memory()

    assert memory.vmstat()["pgmigrate_success"] == 2
    assert memory.vmstat()["compact_migrate_scanned"] < 3 * 16
    memory.validate()
