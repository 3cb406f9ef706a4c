"""Figures of a whole memory, for two outcomes that cannot be equal frame by frame.

Where reclaim or other tasks worked along, nobody can say which frames they took; how much of the
memory is left for huge pages can still be compared.
"""

from __future__ import annotations

from typing import Any

from movable.mm.views import unusable_index
from movable.recording.compare import free_per_block, lists_by_name, sum_by

Array = Any
HUGE = 9
SMALL_DIFFERENCE = 16
"""Pages by which the free part of two blocks may differ and still be called alike."""


def figures(theirs: dict[str, Array], ours: dict[str, Array]) -> dict[str, Any]:
    """What two *after* halves have of free memory, [ours, theirs] each.

    `blocks_alike` is [equal or nearly so, total] instead: pageblocks whose free pages are about as
    many.
    """
    counts = [_orders(data) for data in (ours, theirs)]
    free = [free_per_block(data).astype(int) for data in (ours, theirs)]
    alike = abs(free[0] - free[1]) <= SMALL_DIFFERENCE
    zones = sorted({zone for zone, _ in counts[0]} | {zone for zone, _ in counts[1]})
    return {
        "free_pages": [int(blocks.sum()) for blocks in free],
        "free_huge_pages": [_huge(count) for count in counts],
        "unusable_index": {
            str(zone): [unusable_index(_of_zone(count, zone), HUGE) for count in counts]
            for zone in zones
        },
        "blocks_alike": [int(alike.sum()), len(alike)],
    }


def _orders(data: dict[str, Array]) -> dict[tuple[int, int], int]:
    """Free blocks by zone and order."""
    return sum_by({name: len(v) for name, v in lists_by_name(data["free1"]).items() if not name[3]})


def _of_zone(counts: dict[tuple[int, int], int], zone: int) -> list[int]:
    orders = 1 + max((order for _, order in counts), default=0)
    return [counts.get((zone, order), 0) for order in range(orders)]


def _huge(counts: dict[tuple[int, int], int]) -> int:
    """How many free blocks of pageblock order there are, larger ones counted as several."""
    return sum(count << (order - HUGE) for (_, order), count in counts.items() if order >= HUGE)
