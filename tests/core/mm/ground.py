"""A zone laid out frame by frame, and short ways to compact it, for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from typing import Any

import numpy as np

from movable import AddressSpace, MigrateMode
from movable.mm import mm_types as t
from movable.mm import steps, tracepoints
from movable.mm.buddy import add_to_free_list
from movable.mm.compact_control import CompactControl
from movable.mm.compiled import bound
from movable.mm.isolate_freepages import compaction_alloc, release_freepages
from movable.mm.list import list_add_tail
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.population import OrdinaryMapping, put_on_lru
from movable.mm.profile import PROFILES, Profile
from movable.page import Page
from movable.page_flags import (
    ORDER_SHIFT,
    PAGE_MAPPING_ANON,
    PG_head,
    PG_lru,
    PG_slab,
    PG_swapbacked,
    PG_tail,
    PG_uptodate,
)

FAR = 1 << 20

_doors: dict[object, Callable[..., Any]] = {}


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call one compiled function from Python, with just the arguments that it has."""
    if function not in _doors:
        _doors[function] = bound(function, *arguments)
    return _doors[function](*arguments)


class Ground:
    """A zone of *blocks* pageblocks behind one block of hole, so that no rule about frame 0 holds.

    Name who uses which frames, then call :meth:`done`: the rest is free, in the largest blocks.
    The watermarks are far away and the per-CPU lists as good as endless.
    """

    def __init__(
        self,
        blocks: int,
        pageblock_order: int = 9,
        max_order: int = 11,
        profile: Profile = PROFILES["6.1"],
        **options: Any,
    ) -> None:
        self.size = 1 << pageblock_order
        self.start, self.end = self.size, self.size * (1 + blocks)
        self.memory = Memory(
            self.end,
            ["DMA32"],
            pageblock_order=pageblock_order,
            max_order=max_order,
            profile=profile,
            **options,
        )
        zone = self.memory.zone
        zone["start_pfn"], zone["contiguous"] = self.start, 1
        zone["spanned"] = zone["present"] = zone["managed"] = self.end - self.start
        zone["pcp_high"], zone["pcp_batch"] = FAR, 63
        zone["watermark"][0, t.WMARK_MIN] = -FAR
        self.memory.mem_map["flags"][self.start : self.end] = 0
        self.used = np.zeros(self.end, bool)
        self.used[: self.start] = True
        self.lru: list[int] = []

    def at(self, block: int, offset: int = 0) -> int:
        """The frame at *offset* in a block."""
        return self.start + block * self.size + offset

    def span(self, block: int, offsets: Iterable[int]) -> list[int]:
        """The frames at several offsets in a block."""
        return [self.at(block, offset) for offset in offsets]

    def kernel(self, pfns: Sequence[int], flags: int = PG_slab) -> None:
        """Pages that nobody can move."""
        self._take(pfns, flags, 0)

    def anon(self, pfns: Sequence[int]) -> None:
        """Anonymous pages, mapped once, on the LRU."""
        mapping = OrdinaryMapping("anon")
        word = self.memory.register(mapping) | PAGE_MAPPING_ANON
        self._take(pfns, PG_lru | PG_swapbacked | PG_uptodate, word)
        self.memory.mem_map["mapcount"][list(pfns)] = 1
        self.lru += pfns

    def file(self, pfns: Sequence[int], operations: int = t.HAS_MIGRATE, flags: int = 0) -> None:
        """Page cache, not mapped, on the LRU."""
        word = self.memory.register(OrdinaryMapping("file"), operations)
        self._take(pfns, PG_lru | PG_uptodate | flags, word)
        self.lru += pfns

    def driver(self, mapping: AddressSpace, pfns: Sequence[int]) -> list[Page]:
        """Pages of a driver, numbered from 0 in `private`."""
        if mapping not in self.memory.mappings:
            self.memory.add_mapping(mapping)
        self._take(pfns, 0, 0)
        pages = [self.memory.page(pfn) for pfn in pfns]
        for number, page in enumerate(pages):
            page.private = number
            page.trylock()
            page.set_movable(mapping)
            page.unlock()
        return pages

    def compound(self, pfn: int, order: int, flags: int = 0) -> None:
        """One compound page."""
        frames = self.memory.mem_map
        self.kernel(range(pfn, pfn + (1 << order)), 0)
        frames["flags"][pfn] = PG_head | order << ORDER_SHIFT | flags
        frames["flags"][pfn + 1 : pfn + (1 << order)] = PG_tail
        frames["next"][pfn + 1 : pfn + (1 << order)] = pfn
        frames["refcount"][pfn + 1 : pfn + (1 << order)] = 0

    def _take(self, pfns: Sequence[int], flags: int, word: int) -> None:
        frames, index = self.memory.mem_map, list(pfns)
        assert not self.used[index].any()
        self.used[index] = True
        frames["flags"][index], frames["mapping"][index] = flags, word
        frames["refcount"][index], frames["content"][index] = 1, index

    def type(self, block: int, migratetype: int) -> None:
        """Give a block another migratetype."""
        self.memory.pageblock[1 + block] = migratetype

    def _is_free(self, pfn: int, order: int) -> bool:
        end = pfn + (1 << order)
        fits = pfn & ((1 << order) - 1) == 0 and end <= self.end
        return fits and not self.used[pfn:end].any()

    def done(self) -> Memory:
        """Free all other frames, and link the LRU lists."""
        memory = self.memory
        put_on_lru(memory, np.array(self.lru, np.int64))
        free, at = np.flatnonzero(~self.used), 0
        while at < len(free):
            pfn, order = int(free[at]), memory.max_order - 1
            while not self._is_free(pfn, order):
                order -= 1
            migratetype = int(memory.pageblock[pfn // self.size]) & t.BLOCK_TYPE
            arrays = memory.mem_map, memory.zone
            call(add_to_free_list, *arrays, 0, pfn, order, migratetype, True)
            at += 1 << order
        memory.zone["free"] = len(free)
        memory.next_content = self.end
        return memory


def small(profile: Profile = PROFILES["6.1"], **options: Any) -> Ground:
    """Four blocks of 16 frames; the last two begin with a kernel page, so they can be targets."""
    ground = Ground(4, 4, 6, profile, **options)
    ground.kernel([ground.at(2), ground.at(3)])
    return ground


def rows(memory: Memory, *kinds: int) -> list[tuple[int, ...]]:
    """The events of some kinds, number first."""
    found = tracepoints.events(memory.events)
    return [(number, *fields) for number, fields in found if number in kinds]


def scans(memory: Memory, start: int) -> list[tuple[str, int, int, int, int]]:
    """Both scanners' events: whose, from, to (from *start*), scanned, taken."""
    name = {tracepoints.ISOLATE_MIGRATEPAGES: "migrate", tracepoints.ISOLATE_FREEPAGES: "free"}
    return [(name[n], a - start, b - start, c, d) for n, a, b, c, d in rows(memory, *name)]


def pairs(memory: Memory) -> list[tuple[int, int]]:
    """(from, to) of each mapped page's migration, failed ones (from, from)."""
    sources = [row[1] for row in rows(memory, tracepoints.SET_MIGRATION_PTE)]
    targets = [row[1] for row in rows(memory, tracepoints.REMOVE_MIGRATION_PTE)]
    return list(zip(sources, targets, strict=True))


def listed(memory: Memory, order: int, migratetype: int = t.MOVABLE, z: int = 0) -> list[int]:
    """One free list, first to last."""
    head = int(memory.zone["free_list"][z]) + order * t.MIGRATE_TYPES + migratetype
    return [int(pfn) for pfn in collect(memory, head)]


def on_pcp(memory: Memory, index: int, cpu: int = 0, z: int = 0) -> list[int]:
    """One of a CPU's lists, first to last."""
    return [int(pfn) for pfn in collect(memory, int(memory.zone["pcp_list"][z, cpu]) + index)]


def control(
    memory: Memory, pfns: Iterable[int], mode: MigrateMode = MigrateMode.SYNC, **request: int
) -> CompactControl:
    """A compactor in zone 0 that has isolated *pfns*, the first in front.

    As in a manual run, as far as the fields in *request* do not say otherwise.
    """
    cc = CompactControl(memory, mode, **{"ignore_skip_hint": 1, "whole_zone": 1, **request})
    zone, size, record = memory.zone, 1 << memory.pageblock_order, cc.record
    start = int(zone["start_pfn"][0])
    record["zone"], record["migrate_pfn"] = 0, start
    record["free_pfn"] = (start + int(zone["spanned"][0]) - 1) // size * size
    for pfn in pfns:
        call(list_add_tail, memory.mem_map, pfn, cc["migratepages"])
        record["nr_migratepages"] += 1
    return cc


def within(cc: CompactControl, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call one of the functions of *cc*'s run, with just the arrays that it has."""
    memory = cc.memory
    arrays = {name: getattr(memory, name) for name in ("mem_map", "zone", "pageblock", "node")}
    arrays |= {"cc": cc.record, "trace": memory.trace}
    names = signature(getattr(function, "py_func", function)).parameters
    return call(function, *(arrays[name] for name in names if name in arrays), *arguments)


def isolate_movable_page(memory: Memory, pfn: int) -> bool:
    """isolate_movable_page() of one page."""
    cc = CompactControl(memory)
    isolated = cc.run(steps.ISOLATE_MOVABLE_PAGE, page=pfn)
    cc.close()
    return bool(isolated)


def isolate(cc: CompactControl) -> None:
    """One round of the migrate scanner."""
    cc.run(steps.ISOLATE_MIGRATEPAGES)


def take_target(cc: CompactControl) -> int:
    """A target page for a source, or -1."""
    return int(cc.memory.engine.compact(compaction_alloc, cc.record))


def migrate(cc: CompactControl) -> int:
    """migrate_pages(), and what its caller does afterwards: put back and free what is left."""
    memory = cc.memory
    rc = cc.run(steps.MIGRATE_PAGES)
    if rc:
        cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=cc["migratepages"])
    memory.engine.call(release_freepages, cc.record)
    cc.close()
    memory.lru_add_drain_all()
    return rc
