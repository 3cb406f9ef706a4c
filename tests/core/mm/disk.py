"""A swap device that is nothing but a table, and memories that are reclaimed."""

from __future__ import annotations

from typing import Any

import numpy as np

from movable.gfp import GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.population import fill
from movable.mm.reclaim import Reclaim

Array = Any


class Disk:
    """Keeps as many pages as it has room for, and takes memory for each if it is told to."""

    def __init__(self, room: int = 1 << 30, memory: Memory | None = None) -> None:
        self.room, self.memory = room, memory
        self.pages: dict[int, int] = {}
        self.frames: list[int] = []
        self.written = 0

    def store(self, content: int) -> int:
        if len(self.pages) == self.room:
            return -1
        if self.memory:
            self.frames.append(self.memory.alloc_page(GFP_KERNEL).pfn)
        self.written += 1
        self.pages[self.written] = content
        return self.written

    def load(self, slot: int) -> int:
        return self.pages.pop(slot)

    def free(self, slot: int) -> None:
        del self.pages[slot]


def reclaimed(nr_frames: int = 2048, *zones: tuple[str, int], **options: Any) -> Memory:
    """A memory with watermarks 64, 80 and 96, if it is one zone, that is reclaimed."""
    zones = zones or (("DMA32", nr_frames),)
    memory = Memory.blank(nr_frames, *zones, min_free_kbytes=256, **options)
    memory.vmscan = Reclaim(memory)
    return memory


def vmscan(memory: Memory) -> Reclaim:
    """What reclaims *memory*."""
    assert isinstance(memory.vmscan, Reclaim)
    return memory.vmscan


def filled(memory: Memory, kind: str, count: int) -> Array:
    """Pages of *kind*, taken without reclaim; none waits in a CPU's batch or per-CPU list."""
    pfns = fill(memory, kind, count, waits=False)
    memory.lru_add_drain_all()
    memory.drain_all_pages()
    return pfns


def free_pages(memory: Memory) -> int:
    """NR_FREE_PAGES, with what the CPU has not yet added."""
    return int((memory.zone["free"] + memory.zone["free_diff"].sum(1)).sum())


def lru(memory: Memory, name: str) -> list[int]:
    """One LRU list, the newest page first."""
    head = int(memory.node["lru_list"][0]) + t.LRU_LISTS.index(name)
    pfns: list[int] = collect(memory, head).tolist()
    return pfns


def is_free(memory: Memory, pfns: Array) -> list[bool]:
    """Whether nobody has each page any more."""
    free: list[bool] = (memory.mem_map["refcount"][np.asarray(pfns)] == 0).tolist()
    return free
