"""How much memory there is, and how much could be had (si_meminfo() and si_mem_available() in
mm/page_alloc.c, v6.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable.mm import mm_types as t

if TYPE_CHECKING:
    from movable.mm.memory import Memory

FILE_LRU = tuple(t.LRU_LISTS.index(f"{activity}_file") for activity in ("inactive", "active"))


def meminfo(memory: Memory) -> dict[str, int]:
    """Pages by name: `totalram`, `freeram`, `available` without swapping, and `file`.

    `file` are the pages of page cache on their LRU lists. There is no reclaimable slab here, and
    pages of the swap cache are anonymous.
    """
    zone = memory.zone
    free = max(int(zone["free"].sum()), 0)
    file = sum(int(memory.node["nr_lru"][0, number]) for number in FILE_LRU)
    low = int((zone["watermark"][:, t.WMARK_LOW] + zone["boost"]).sum())
    available = free - totalreserve_pages(memory) + file - min(file // 2, low)
    return {
        "totalram": int(zone["managed"].sum()),
        "freeram": free,
        "available": max(available, 0),
        "file": file,
    }


def totalreserve_pages(memory: Memory) -> int:
    """Pages that are kept back from users (calculate_totalreserve_pages())."""
    reserves = 0
    for zone in memory.zone:
        most = int(zone["lowmem_reserve"][int(zone["zone_idx"]) :].max(initial=0))
        most += int(zone["watermark"][t.WMARK_HIGH])
        reserves += min(most, int(zone["managed"]))
    return reserves
