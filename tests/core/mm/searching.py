"""A zone whose free blocks are where a test wants them, and a search for targets in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.mm.ground import Ground, listed, within
from movable import MigrateMode
from movable.mm import fast_isolate_freepages as fast
from movable.mm import mm_types as t
from movable.mm.compact_control import CompactControl
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.population import link_list

BLOCKS = 33
"""The free scanner begins in block 32, 32 blocks above the migrate scanner: a quarter of the way
down is block 24 (`low`), half of it block 16 (`least`)."""


def with_free(*places: tuple[int, int, int]) -> Ground:
    """Blocks in use but for free blocks at (block, offset, order), the first the first listed."""
    ground = Ground(BLOCKS)
    free = {
        pfn
        for block, offset, order in places
        for pfn in range(ground.at(block, offset), ground.at(block, offset) + (1 << order))
    }
    ground.kernel([p for p in range(ground.start, ground.end) if p not in free])
    ground.done()
    return ground


def searching(
    ground: Ground, order: int = 4, init_free: int = 1 << 40, sources: int = 8, **request: Any
) -> CompactControl:
    """A compactor for *order* with so many sources, whose free scanner is on its way."""
    mode = request.pop("mode", MigrateMode.SYNC_LIGHT)
    request = {"order": order, "search_order": order, "direct_compaction": 1, **request}
    cc = CompactControl(ground.memory, mode, **request)
    cc["zone"], cc["migrate_pfn"], cc["free_pfn"] = 0, ground.start, ground.at(32)
    cc["nr_migratepages"] = sources
    ground.memory.zone["init_free_pfn"] = init_free
    return cc


def search(cc: CompactControl) -> list[int]:
    """fast_isolate_freepages(): the heads of the blocks it took."""
    within(cc, fast.fast_isolate_freepages)
    return [int(pfn) for pfn in collect(cc.memory, cc["isolated_blocks"])]


def places(ground: Ground, pfns: Sequence[int]) -> list[tuple[int, int]]:
    """(block, offset) of each."""
    return [divmod(pfn - ground.start, ground.size) for pfn in pfns]


def arrange(memory: Memory, order: int, pfns: list[int]) -> None:
    """Put the free blocks of one order into this sequence."""
    assert sorted(listed(memory, order)) == sorted(pfns)
    head = int(memory.zone["free_list"][0]) + order * t.MIGRATE_TYPES + t.MOVABLE
    link_list(memory, head, np.array(pfns))


def row(block: int, order: int, count: int, every: int = 2) -> list[tuple[int, int, int]]:
    """Free blocks in one pageblock, so far apart that none merge."""
    return [(block, i * every << order, order) for i in range(count)]
