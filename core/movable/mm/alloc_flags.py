"""What the allocator makes of a request's GFP flags (mm/internal.h, mm/page_alloc.c, Linux v6.1).

ALLOC flags are rights, and the number of the watermark in the low bits. Rules W-5, W-7, W-8, MM-10.
"""

from __future__ import annotations

from movable.gfp import Gfp
from movable.mm.mm_types import ZONE_NORMAL, ZONE_TYPES

ALLOC_WMARK_MASK = 0x03
ALLOC_NO_WATERMARKS = 0x04
ALLOC_OOM = 0x08
ALLOC_NON_BLOCK = 0x10
ALLOC_MIN_RESERVE = 0x20
ALLOC_CPUSET = 0x40
ALLOC_CMA = 0x80
ALLOC_NOFRAGMENT = 0x100
ALLOC_HIGHATOMIC = 0x200
ALLOC_KSWAPD = 0x800
ALLOC_RESERVES = ALLOC_NON_BLOCK | ALLOC_MIN_RESERVE | ALLOC_HIGHATOMIC | ALLOC_OOM
"""Any of these reaches below the minimum watermark, and into the HIGHATOMIC reserve."""

GFP_MOVABLE_SHIFT = 3
_MOBILITY = int(Gfp.MOVABLE | Gfp.RECLAIMABLE)
_DMA, _DMA32, _HIGHMEM_MOVABLE = int(Gfp.DMA), int(Gfp.DMA32), int(Gfp.HIGHMEM | Gfp.MOVABLE)
_MOVABLE = int(Gfp.MOVABLE)
_DMA_ZONE, _DMA32_ZONE, _MOVABLE_ZONE = map(ZONE_TYPES.index, ("DMA", "DMA32", "Movable"))
# Plain numbers: every page's allocation asks for these, and IntFlag takes its time.


def gfp_migratetype(gfp: int) -> int:
    """The migratetype of what is asked for (gfp_migratetype())."""
    return (gfp & _MOBILITY) >> GFP_MOVABLE_SHIFT


def gfp_zone(gfp: int) -> int:
    """The highest zone that will do, a number of ZONE_TYPES (gfp_zone())."""
    if gfp & _DMA:
        return _DMA_ZONE
    if gfp & _DMA32:
        return _DMA32_ZONE
    return _MOVABLE_ZONE if gfp & _HIGHMEM_MOVABLE == _HIGHMEM_MOVABLE else ZONE_NORMAL


def gfp_to_alloc_flags(gfp: int, order: int) -> int:
    """Rights on the slow path, from the minimum watermark on (gfp_to_alloc_flags())."""
    flags = ALLOC_CPUSET | (gfp & (ALLOC_MIN_RESERVE | ALLOC_KSWAPD)) | cma_flag(gfp)
    if gfp & Gfp.DIRECT_RECLAIM:
        return flags
    if not gfp & Gfp.NOMEMALLOC:
        flags |= ALLOC_NON_BLOCK
        if order and flags & ALLOC_MIN_RESERVE:
            flags |= ALLOC_HIGHATOMIC
    if flags & ALLOC_MIN_RESERVE:
        flags &= ~ALLOC_CPUSET
    return flags


def cma_flag(gfp: int) -> int:
    """Movable requests may use CMA regions (gfp_to_alloc_flags_cma())."""
    return ALLOC_CMA if gfp & _MOVABLE else 0


def gfp_compaction_allowed(gfp: int) -> bool:
    """A request that must not start IO must not have memory compacted either (D-1)."""
    return bool(gfp & Gfp.IO)
