"""Questions about a whole memory: who owns each frame, and how fragmented what is free is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.mm import mm_types as t
from movable.mm.lists import collect
from movable.page_flags import (
    NO_ZONE,
    ORDER_MASK,
    ORDER_SHIFT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    ZONE_SHIFT,
    PG_buddy,
    PG_head,
    PG_lru,
    PG_reserved,
    PG_slab,
    PG_swapbacked,
)

if TYPE_CHECKING:
    from movable.mapping import AddressSpace
    from movable.mm.memory import Memory

Array = Any

OWNERS = ("hole", "free", "per-CPU", "anonymous", "page cache", "kernel", "reserved", "huge")
HOLE, FREE, PER_CPU, ANONYMOUS, PAGE_CACHE, KERNEL, RESERVED, HUGE = range(len(OWNERS))


def blocks_of(flags: Array, heads: Array) -> Array:
    """Which frames lie in the blocks whose *heads* (bool by frame) carry an order in *flags*."""
    starts = np.flatnonzero(heads)
    ends = starts + (1 << ((flags[starts] & ORDER_MASK) >> ORDER_SHIFT))
    edge = np.zeros(len(flags) + 1, np.int64)
    np.add.at(edge, starts, 1)
    np.add.at(edge, np.minimum(ends, len(flags)), -1)
    return np.cumsum(edge[:-1]) > 0


def per_cpu_pages(memory: Memory) -> Array:
    """Which frames wait on per-CPU lists (bool by frame), the tails of larger blocks included."""
    waiting = np.zeros(memory.nr_frames, bool)
    for z in range(len(memory.zone_names)):
        for cpu in range(memory.nr_cpus):
            for index in range(t.NR_PCP_LISTS):
                order = index // t.MIGRATE_PCPTYPES
                if index >= t.NR_LOWORDER_PCP_LISTS:
                    order = memory.pageblock_order
                for pfn in collect(memory, int(memory.zone["pcp_list"][z, cpu]) + index).tolist():
                    waiting[pfn : pfn + (1 << order)] = True
    return waiting


def in_lru_batches(memory: Memory) -> Array:
    """Which frames are on their way to an LRU list (bool by frame), and not marked so yet."""
    waiting = np.zeros(memory.nr_frames, bool)
    waiting[memory.node["lru_add"][0, : int(memory.node["lru_add_count"][0])]] = True
    waiting[memory.other_lru_batches] = True
    return waiting


def owners(memory: Memory, start: int = 0, end: int | None = None) -> Array:
    """A code for each frame's owner (uint8), an index into :func:`owner_names`; for all frames, or
    for those of [*start*, *end*)."""
    end = memory.nr_frames if end is None else end
    first = start >> memory.max_order << memory.max_order  # blocks that reach into the range
    frames = memory.mem_map[first:end]
    flags, word = frames["flags"].astype(np.int64), frames["mapping"].astype(np.int64)
    code = np.full(end - first, KERNEL, np.uint8)
    ordinary = (flags & (PG_lru | PG_swapbacked) != 0) & (flags & PG_reserved == 0)
    ordinary |= in_lru_batches(memory)[first:end]
    anonymous = (word & PAGE_MAPPING_ANON != 0) | (word == 0)
    code[ordinary] = np.where(anonymous, ANONYMOUS, PAGE_CACHE)[ordinary]
    heads = (flags & PG_head != 0) & (flags & PG_slab == 0)
    huge = blocks_of(flags, heads & (flags & (PG_lru | PG_swapbacked) != 0))
    code[huge] = HUGE
    code[flags & PG_reserved != 0] = RESERVED
    movable = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
    for number, mapping in enumerate(memory.mappings):
        mine = word & ~PAGE_MAPPING_FLAGS == memory.word_of(mapping)
        code[movable & mine] = len(OWNERS) + number
    code[per_cpu_pages(memory)[first:end]] = PER_CPU
    code[blocks_of(flags, flags & PG_buddy != 0)] = FREE
    code[flags >> ZONE_SHIFT == NO_ZONE] = HOLE
    return code[start - first :]


def owner_names(memory: Memory) -> list[str]:
    """What the codes of :func:`owners` mean: kinds of memory, then the drivers' address spaces."""
    return [*OWNERS, *(mapping.name for mapping in memory.mappings)]


def published(memory: Memory, mapping: AddressSpace) -> list[int]:
    """Frame numbers of the pages that a driver has published under *mapping*."""
    word = memory.word_of(mapping) | PAGE_MAPPING_MOVABLE
    words = memory.mem_map["mapping"][: memory.nr_frames]
    found: list[int] = np.flatnonzero(words == word).tolist()
    return found


def buddyinfo(memory: Memory) -> dict[str, list[int]]:
    """Free blocks by zone and order (/proc/buddyinfo)."""
    return {
        name: memory.zone["nr_free"][z, : memory.max_order].tolist()
        for z, name in enumerate(memory.zone_names)
    }


def pageblocks(memory: Memory) -> dict[str, int]:
    """How many pageblocks there are of each migratetype (/proc/pagetypeinfo)."""
    types = np.bincount(memory.pageblock & t.BLOCK_TYPE, minlength=t.MIGRATE_TYPES)
    return dict(zip(t.MIGRATETYPE_NAMES, types.tolist(), strict=True))


def fallbacks(memory: Memory) -> dict[tuple[str, str], int]:
    """By type wanted and type found: how often a part of a pageblock was taken from another type's
    list so far."""
    names, counts = t.MIGRATETYPE_NAMES, memory.node["fallbacks"][0]
    types = range(t.MIGRATE_PCPTYPES)
    return {(names[w], names[f]): int(counts[w, f]) for w in types for f in types if w != f}


def unusable_index(counts: list[int], order: int) -> int:
    """Thousandths of the free memory that cannot serve a request of *order* (debugfs extfrag).

    *counts* are a zone's free blocks by order. 0: all of it can; 1000: none, or nothing is free.
    """
    free = sum(count << o for o, count in enumerate(counts))
    usable = sum(count << o for o, count in enumerate(counts) if o >= order)
    return (free - usable) * 1000 // free if free else 1000
