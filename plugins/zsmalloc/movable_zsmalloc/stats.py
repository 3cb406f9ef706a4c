"""What zram and zsmalloc say about themselves, as their files in sysfs and debugfs do.

Follows mm_stat_show(), io_stat_show(), debug_stat_show() in drivers/block/zram/zram_drv.c and
zs_stats_size_show() in mm/zsmalloc.c of Linux v6.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from movable_zsmalloc.packing import PAGE_SIZE
from movable_zsmalloc.pool import Pool
from movable_zsmalloc.size_class import SizeClass
from movable_zsmalloc.slot import Slot


@dataclass
class ZramStats:
    """What a device counts up (`struct zram_stats`); what it holds is recounted.

    :ivar huge_pages_since: pages ever stored as they are.
    :ivar max_used_pages: the most pages that the pool ever had.
    :ivar writestall: writes that had to wait for memory.
    :ivar miss_free: slots that could not be freed when they were to be: somebody was reading them.
    """

    num_reads: int = 0
    num_writes: int = 0
    failed_writes: int = 0
    notify_free: int = 0
    huge_pages_since: int = 0
    max_used_pages: int = 0
    writestall: int = 0
    miss_free: int = 0

    def io_stat(self) -> dict[str, int]:
        """`io_stat`: requests that failed, and slots that swap gave up."""
        return {
            "failed_reads": 0,
            "failed_writes": self.failed_writes,
            "invalid_io": 0,
            "notify_free": self.notify_free,
        }

    def debug_stat(self) -> dict[str, int]:
        """`debug_stat`, of version 1."""
        return {"writestall": self.writestall, "miss_free": self.miss_free}


def mm_stat(
    slots: Iterable[Slot], pool: Pool, limit: int | None, counted: ZramStats
) -> dict[str, int]:
    """`mm_stat`: bytes, but pages where the name says so."""
    used = [slot for slot in slots if slot.handle or slot.element]
    return {
        "orig_data_size": len(used) * PAGE_SIZE,
        "compr_data_size": sum(slot.size for slot in used),
        "mem_used_total": pool.pages_allocated * PAGE_SIZE,
        "mem_limit": (limit or 0) * PAGE_SIZE,
        "mem_used_max": counted.max_used_pages * PAGE_SIZE,
        "same_pages": sum(slot.handle is None for slot in used),
        "pages_compacted": pool.pages_compacted,
        "huge_pages": sum(slot.size == PAGE_SIZE for slot in used),
        "huge_pages_since": counted.huge_pages_since,
    }


@dataclass(frozen=True)
class ClassStats:
    """A line of `classes`: one size class, and all its objects and pages."""

    index: int
    size: int
    zspages: dict[str, int]
    """By group, as far as the class's counts go (Zspages.empty_stat_leak)."""
    obj_allocated: int
    obj_used: int
    pages_used: int
    pages_per_zspage: int
    freeable: int


def classes(pool: Pool) -> list[ClassStats]:
    """`classes` in debugfs: a line for each class, the smallest first."""
    return [_line(one) for one in pool.classes]


def _line(one: SizeClass) -> ClassStats:
    return ClassStats(
        one.index,
        one.size,
        {group.name: count for group, count in one.zspages.items()},
        one.obj_allocated,
        one.obj_used,
        one.obj_allocated // one.objs_per_zspage * one.pages_per_zspage,
        one.pages_per_zspage,
        one.can_compact(),
    )
