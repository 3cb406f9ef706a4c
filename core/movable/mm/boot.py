"""A memory as it is right after boot: zones, watermarks, per-CPU limits, everything free.

The numbers are those the kernel computes (mm/page_alloc.c, mm/vmstat.c, v6.1; rules P-2, P-3, W-1,
W-2, W-6), for x86's zones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.mm.buddy import add_to_free_list
from movable.mm.compiled import compiled
from movable.mm.memory import Memory
from movable.page_flags import ZONE_SHIFT

Array = Any

DMA_FRAMES = 4096
SMALLEST_WITH_ZONES = 16 * DMA_FRAMES
SMALLEST_WITH_RESERVES = 4096
WATERMARK_SCALE_FACTOR = 10
LOWMEM_RESERVE_RATIO = {"DMA": 256, "DMA32": 256, "Normal": 32}
MAX_PAGESETS_BATCH = 256


def default_zones(nr_frames: int) -> list[tuple[str, int]]:
    """Zone names and sizes in frames: ZONE_DMA apart, unless the memory is too small for that."""
    if nr_frames < SMALLEST_WITH_ZONES:
        return [("DMA32", nr_frames)]
    return [("DMA", DMA_FRAMES), ("DMA32", nr_frames - DMA_FRAMES)]


def boot(
    nr_frames: int,
    zones: Sequence[tuple[str, int]] | None = None,
    *,
    min_free_kbytes: int | None = None,
    **options: Any,
) -> Memory:
    """A memory of *nr_frames*, all of them free.

    :param zones: names and sizes in frames, lowest first; by default x86's for this size.
    :param min_free_kbytes: the reserve; by default what the kernel would choose, or nothing at all
        in a memory below 16 MiB, which no kernel boots in but tests use.
    :param options: those of `Memory`.
    :raises BadInput: the zones do not add up to the memory.
    """
    zones = default_zones(nr_frames) if zones is None else list(zones)
    if nr_frames <= 0 or any(size <= 0 for _, size in zones):
        raise BadInput("machine", f"a memory of {nr_frames} frames", "every zone needs some")
    if sum(size for _, size in zones) != nr_frames:
        raise BadInput("machine", "its zones do not add up to its memory", "give sizes in frames")
    memory = Memory(nr_frames, [name for name, _ in zones], **options)
    start = 0
    for z, (_, size) in enumerate(zones):
        for field, value in (("start_pfn", start), ("contiguous", 1)):
            memory.zone[field][z] = value
        for field in ("spanned", "present", "managed"):
            memory.zone[field][z] = size
        start += size
    set_watermarks(memory, nr_frames, min_free_kbytes)
    for z in range(len(zones)):
        set_per_cpu(memory, z)
        free = int(memory.engine.call(free_zone, z))
        memory.zone["free"][z] = free
    return memory


def set_watermarks(memory: Memory, nr_frames: int, min_free_kbytes: int | None) -> None:
    """Watermarks and lowmem reserves of all zones."""
    page_kb = max(memory.page_size // 1024, 1)
    if min_free_kbytes is None:
        lowmem_kb = nr_frames * page_kb
        min_free_kbytes = min(max(isqrt(16 * lowmem_kb), 128), 262144)
        if nr_frames < SMALLEST_WITH_RESERVES:
            min_free_kbytes = 0
    zone = memory.zone
    pages_min, total = min_free_kbytes // page_kb, int(zone["managed"].sum())
    for z, name in enumerate(memory.zone_names):
        managed = int(zone["managed"][z])
        low = pages_min * managed // total
        gap = max(low // 4, managed * WATERMARK_SCALE_FACTOR // 10000)
        zone["watermark"][z] = low, low + gap, low + 2 * gap
        for highest in range(int(zone["zone_idx"][z]) + 1, zone["lowmem_reserve"].shape[1]):
            above = (zone["zone_idx"] > zone["zone_idx"][z]) & (zone["zone_idx"] <= highest)
            reserve = int(zone["managed"][above].sum()) // LOWMEM_RESERVE_RATIO.get(name, 256)
            zone["lowmem_reserve"][z, highest] = reserve


def set_per_cpu(memory: Memory, z: int) -> None:
    """Batch and limit of the per-CPU lists, and how far a CPU's counters may drift."""
    zone, cpus = memory.zone, memory.nr_cpus
    managed = int(zone["managed"][z])
    base = max(min(managed // 1024, MAX_PAGESETS_BATCH) // 4, 1)
    batch = max((1 << (base + base // 2).bit_length() - 1) - 1, 1)
    high = max(int(zone["watermark"][z, t.WMARK_LOW]) // cpus, 4 * batch)
    units = managed >> (27 - memory.page_shift)
    threshold = min(125, 2 * cpus.bit_length() * (1 + units.bit_length()))
    zone["pcp_batch"][z, :cpus], zone["pcp_high"][z, :cpus] = batch, high
    zone["stat_threshold"][z, :cpus] = threshold


@compiled
def free_zone(mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int) -> int:
    """Free every frame of zone *z* in the largest blocks, ascending; how many pages."""
    start = int(zone[z]["start_pfn"])
    end = start + int(zone[z]["spanned"])
    for pfn in range(start, end):
        mem_map[pfn]["flags"] = z << ZONE_SHIFT
    pfn = start
    while pfn < end:
        order = int(node[0]["max_order"]) - 1
        while pfn & ((1 << order) - 1) or pfn + (1 << order) > end:
            order -= 1
        add_to_free_list(mem_map, zone, z, pfn, order, t.MOVABLE, True)
        pfn += 1 << order
    return end - start
