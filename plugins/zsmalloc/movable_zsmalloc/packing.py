"""How many pages a zspage has: the trade between its length and what its last page wastes.

Follows get_pages_per_zspage() and calculate_zspage_chain_size() in mm/zsmalloc.c of Linux v6.1 and
v7.2, for pages of 4 KiB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from movable_zsmalloc.fullness import QUARTERS, TENTHS, Grouping

PAGE_SIZE = 4096


@dataclass(frozen=True)
class Packing:
    """How one kernel packs objects.

    :ivar most_pages: of a zspage (ZS_MAX_PAGES_PER_ZSPAGE, CONFIG_ZSMALLOC_CHAIN_SIZE).
    :ivar pages_per_zspage: how many pages, of so many at most, for chunks of so many bytes.
    """

    most_pages: int
    pages_per_zspage: Callable[[int, int], int]
    grouping: Grouping


def most_used_percent(size: int, most_pages: int) -> int:
    """The fewest pages that use the highest whole percentage of themselves for chunks of *size*."""

    def used_percent(pages: int) -> int:
        total = pages * PAGE_SIZE
        return (total - total % size) * 100 // total

    return max(range(1, most_pages + 1), key=used_percent)


def least_waste(size: int, most_pages: int) -> int:
    """The fewest pages of which the fewest bytes are wasted; one if *size* is a power of two."""
    if size & (size - 1) == 0:
        return 1
    return min(range(1, most_pages + 1), key=lambda pages: pages * PAGE_SIZE % size)


UP_TO_6_2 = Packing(4, most_used_percent, QUARTERS)
SINCE_6_4 = Packing(8, least_waste, TENTHS)
"""With the length that is the default of its configuration."""
