"""`Memory`: the frames of one machine, and everything that happens to them.

The arrays of mm_types.py, the columns that `Page` looks through, and the allocator's and the
compactor's doors. A driver gets it as the `movable.Memory` protocol; experiments and recordings
use the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from movable import sched
from movable.errors import BadInput, ContractViolation, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, Gfp
from movable.mapping import AddressSpace
from movable.mm import (
    compact_control,
    page_alloc,
    page_reporting,
    pcp,
    population,
    slowpath,
    swap,
    validate,
    views,
)
from movable.mm import mm_types as t
from movable.mm.contiguous import Contiguous
from movable.mm.engine import Engine
from movable.mm.event_buffer import EventBuffer
from movable.mm.for_drivers import ForDrivers
from movable.mm.kcompactd import Kcompactd
from movable.mm.move_pages import MovePages
from movable.mm.page_bytes import PageBytes
from movable.mm.profile import ALLOCATOR_FIELDS, PROFILES, Profile
from movable.mm.vmscan import HeldBack, NothingToReclaim
from movable.page import Page
from movable.page_flags import NO_ZONE, PAGE_MAPPING_MOVABLE, ZONE_SHIFT, PG_isolated, PG_locked
from movable.page_list import PageList
from movable.sched import lock_watch, tasks
from movable.sched.lock_watch import watchers

Array = Any
NR_COMPACTORS = 16
HEADS_PER_COMPACTOR = 5
_MOVABLE, _DIRECT_RECLAIM = int(GFP_HIGHUSER_MOVABLE), int(Gfp.DIRECT_RECLAIM)
FAULT = t.word_index(t.NODE, "fault")
"""Where this stands in the node's words."""


class _Words(dict[object, int]):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __missing__(self, mapping: object) -> int:
        return self._memory.register(mapping)


class _Pages(dict[int, Page]):
    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def __missing__(self, pfn: int) -> Page:
        page = self[pfn] = Page(self._memory, pfn)
        return page


class Memory(Contiguous, ForDrivers, MovePages, PageBytes):
    """All frames of one machine, numbered from 0.

    :param nr_frames: number of page frames, holes included.
    :param zone_names: names of the zones, lowest first.
    :param max_order: number of orders; the largest free block has 2**(max_order - 1) pages.
    :param pageblock_order: order of the blocks that have a migratetype.
    :param page_shift: log2 of a page's size in bytes.
    :param real_bytes: pages carry bytes besides their content tag (small memories).
    """

    def __init__(
        self,
        nr_frames: int,
        zone_names: Sequence[str],
        *,
        max_order: int = 11,
        pageblock_order: int = 9,
        page_shift: int = 12,
        nr_cpus: int = 1,
        profile: Profile = PROFILES["6.1"],
        real_bytes: bool = False,
    ) -> None:
        if not 0 < pageblock_order < max_order <= t.MAX_NR_ORDERS:
            raise BadInput(
                "machine",
                f"pageblock order {pageblock_order} with {max_order} orders",
                f"choose 0 < pageblock_order < max_order <= {t.MAX_NR_ORDERS}",
            )
        self.nr_frames, self.zone_names, self.profile = nr_frames, list(zone_names), profile
        self.max_order, self.pageblock_order = max_order, pageblock_order
        self.page_shift, self.page_size, self.nr_cpus = page_shift, 1 << page_shift, nr_cpus
        self.mappings: list[AddressSpace] = []
        self.lists: dict[int, PageList] = {}
        self.lock_owner: dict[int, object] = {}
        self.fault: ContractViolation | None = None
        self.on_alloc_failure: Callable[[Memory], None] | None = None
        self.next_content = 1
        self.other_lru_batches: list[int] = []
        self.ordinary: dict[str, object] = {}
        self.frames_without_reference = 0
        """Frames that no reference counts though they are in use: inside larger blocks."""
        self.asks_in_batches = True
        """Drivers that can answer for many pages at once are asked so."""
        self.locked_from_the_start = np.zeros(nr_frames, bool)
        self.vmscan: HeldBack = NothingToReclaim(self)
        """Who frees memory when it runs short."""
        self.objects: list[Any] = [None]
        self.drivers: dict[int, AddressSpace] = {}
        """By mapping word of a page that a driver has published: who answers for it."""
        self._words = _Words(self)
        self.word_of = self._words.__getitem__
        """The mapping word, without a tag, that points to a mapping."""
        self.pages = _Pages(self)
        """Views of the frames that somebody asked for, by frame number."""
        if real_bytes:
            self.carry_bytes()
        self._make_arrays(nr_frames)
        self.engine = Engine(self)
        self.kcompactd = Kcompactd(self)

    # The arrays.

    def _make_arrays(self, nr_frames: int) -> None:
        nr_zones = len(self.zone_names)
        lists = self.max_order * t.MIGRATE_TYPES + self.nr_cpus * t.NR_PCP_LISTS
        heads = nr_zones * lists + t.NR_LRU_LISTS + NR_COMPACTORS * HEADS_PER_COMPACTOR
        self.mem_map = np.zeros(nr_frames + heads, t.PAGE)
        self.zone = np.zeros(nr_zones, t.ZONE)
        self.node = np.zeros(1, t.NODE)
        self.node_words = t.words(self.node.view(np.int64))
        self.pageblock = np.full(-(-nr_frames >> self.pageblock_order), t.MOVABLE, np.uint8)
        self.event_buffer = EventBuffer(self.node, len(self.pageblock))
        self.trace = self.event_buffer.trace
        frames = self.mem_map[:nr_frames]
        frames["flags"] = NO_ZONE << ZONE_SHIFT
        head = np.arange(nr_frames, nr_frames + heads)
        self.mem_map["next"][nr_frames:] = self.mem_map["prev"][nr_frames:] = head
        for field in ("flags", "refcount", "mapcount", "next", "mapping", "private"):
            setattr(self, field, t.words(self.mem_map[field]))
        self.content = t.words(self.mem_map["content"])
        self._number_heads(nr_frames)
        node = self.node
        node["nr_frames"], node["nr_zones"] = nr_frames, nr_zones
        node["max_order"], node["pageblock_order"] = self.max_order, self.pageblock_order
        node["capture_zone"] = node["captured"] = -1
        node["page_reporting_order"] = page_reporting.NOBODY_IS_TOLD
        node["compaction_proactiveness"], node["extfrag_threshold"] = 20, 500
        node["compact_unevictable_allowed"] = 1
        for name in ALLOCATOR_FIELDS:
            node[name] = getattr(self.profile, name)
        for z, name in enumerate(self.zone_names):
            self.zone["zone_idx"][z] = t.ZONE_TYPES.index(name) if name in t.ZONE_TYPES else z
        node["kcompactd_highest_zoneidx"] = self.zone["zone_idx"].max()

    next: memoryview[int]
    flags: memoryview[int]
    refcount: memoryview[int]
    mapcount: memoryview[int]
    mapping: memoryview[int]
    private: memoryview[int]

    def _number_heads(self, head: int) -> None:
        for z in range(len(self.zone_names)):
            self.zone["free_list"][z] = head
            head += self.max_order * t.MIGRATE_TYPES
            for cpu in range(self.nr_cpus):
                self.zone["pcp_list"][z, cpu] = head
                head += t.NR_PCP_LISTS
        self.node["lru_list"] = head
        head += t.NR_LRU_LISTS
        self.free_heads = list(range(head, len(self.mem_map), HEADS_PER_COMPACTOR))

    @property
    def events(self) -> Array:
        """The trace so far, as a stream of words (tracepoints.py says how to read it)."""
        return self.event_buffer.all()

    # What `Page` needs.

    def page(self, pfn: int) -> Page:
        """The page with frame number *pfn*."""
        return self.pages[pfn]

    def register(self, mapping: object, operations: int = t.HAS_MIGRATE) -> int:
        """Give *mapping* a mapping word; *operations* says what it can do with LRU pages."""
        word = len(self.objects) << t.HANDLE_SHIFT | operations << t.OPERATIONS_SHIFT
        self._words[mapping] = word
        self.objects.append(mapping)
        if isinstance(mapping, AddressSpace):
            self.drivers[word | PAGE_MAPPING_MOVABLE] = mapping
        return word

    def mapping_of(self, word: int) -> Any:
        """What a mapping word points to; None if to nothing."""
        return self.objects[word >> t.HANDLE_SHIFT]

    def add_mapping(self, mapping: AddressSpace) -> None:
        """Make a driver's address space known; its place in the list is its owner code's."""
        self.word_of(mapping)
        self.mappings.append(mapping)

    def release(self, pfn: int) -> None:
        """Free a page whose last reference was just dropped.

        :raises ContractViolation: it was not the caller's to drop; the page is not freed.
        """
        flags = self.flags[pfn]
        if flags & (PG_isolated | PG_locked):
            # A compactor may have it listed; freed, it would stand on two lists.
            self.refcount[pfn] = 1
            held = "the VM has it isolated" if flags & PG_isolated else "it is locked"
            detail = f"{held}: the last reference is not the caller's to drop"
            raise ContractViolation("I10", repr(self.page(pfn)), "put", detail)
        if sched.active:
            try:
                sched.point("freed", self.page(pfn))
            except ContractViolation as broken:
                self.keep_fault(broken)
        on = self.lists.get(pfn) if self.lists else None
        if on is not None:
            on.remove(self.page(pfn))
        self.engine.call(swap.release_page, pfn)
        if on is not None:
            raise ContractViolation("I23", f"<Page {pfn}>", "put", f"freed while it is on {on!r}")

    # Allocation.

    def alloc_page(self, gfp: int = _MOVABLE) -> Page:
        """Take one page for the caller (alloc_page())."""
        return self.pages[self.alloc_pages(int(gfp), 0)]

    def alloc_pages(self, gfp_mask: int, order: int) -> int:
        """Take a block of 2**order pages; the frame number of its head.

        :param gfp_mask: what is asked for and what may be done for it, of :class:`gfp.Gfp`.
        :raises OutOfMemory: there is none, also after `on_alloc_failure` did what it could.
        :raises ContractViolation: memory was compacted for it, and a driver broke a promise.
        """
        if watchers and gfp_mask & _DIRECT_RECLAIM:
            lock_watch.allocates()
        pfn = slowpath.alloc_pages(self, gfp_mask, order)
        if pfn < 0 and self.on_alloc_failure:
            self.on_alloc_failure(self)
            pfn = slowpath.alloc_pages(self, gfp_mask, order)
        if pfn < 0:
            raise OutOfMemory(f"no free block of order {order}")
        self.content[pfn] = self.next_content
        self.next_content += 1
        self.frames_without_reference += (1 << order) - 1
        return pfn

    def free_pages(self, pfn: int, order: int) -> None:
        """Give a block back that :meth:`alloc_pages` gave."""
        self.frames_without_reference -= (1 << order) - 1
        self.engine.call(page_alloc.free_pages, pfn, order)

    def drain_all_pages(self) -> None:
        """Give every CPU's free pages back to the free lists (drain_all_pages())."""
        for z in range(len(self.zone_names)):
            self.drain_zone_pages(z)

    def drain_zone_pages(self, z: int) -> None:
        """The same for one zone."""
        for cpu in range(self.nr_cpus):
            self.engine.call(pcp.drain_pages_zone, z, cpu)

    # LRU.

    def lru_add_drain(self) -> None:
        """Flush the running CPU's LRU batch (lru_add_drain())."""
        self.engine.call(swap.lru_add_drain)

    def lru_add_drain_all(self) -> None:
        """Flush every CPU's LRU batch (lru_add_drain_all())."""
        for pfn in self.other_lru_batches:
            self.engine.call(swap.lru_add_batched, pfn)
        self.other_lru_batches.clear()
        self.lru_add_drain()

    def folio_add_lru(self, pfn: int) -> None:
        """Queue a page for its LRU list (folio_add_lru())."""
        self.engine.call(swap.folio_add_lru, pfn, False)

    # Compaction.

    def compact_memory(self) -> None:
        """Compact all zones, as a write to /proc/sys/vm/compact_memory does.

        :raises ContractViolation: a driver broke a promise; nothing is left isolated.
        """
        compact_control.compact_memory(self)

    def keep_fault(self, broken: ContractViolation) -> None:
        """Keep the first broken promise, and let the run under way come to its end."""
        self.fault = self.fault or broken
        self.node_words[FAULT] = 1
        tasks.here.hears_of(broken)

    def raise_fault(self) -> None:
        """Raise the promise that a driver broke in the run that has just ended, if any."""
        fault, self.fault = self.fault, None
        self.node_words[FAULT] = 0
        if fault is not None:
            raise fault

    # Views.

    @classmethod
    def blank(cls, nr_frames: int, *zones: tuple[str, int], **options: Any) -> Memory:
        """A memory as after boot, all free; see :func:`movable.mm.boot.boot`."""
        from movable.mm.boot import boot

        return boot(nr_frames, zones or None, **options)

    def fill(self, kind: str, count: int) -> Array:
        """Take up to *count* pages for ordinary users; see :func:`movable.mm.population.fill`."""
        return population.fill(self, kind, count)

    def fill_up(self) -> None:
        """Take all that is left, reserves too; see :func:`movable.mm.population.fill_up`."""
        population.fill_up(self)

    def drop(self, pfns: Array) -> None:
        """Let go of pages that :meth:`fill` gave."""
        population.release(self, pfns)

    def owners(self) -> Array:
        """Each frame's owner (uint8): an index into :attr:`owner_names`."""
        return views.owners(self)

    @property
    def owner_names(self) -> list[str]:
        """Kinds of memory, then the drivers' address spaces."""
        return views.owner_names(self)

    def published(self, mapping: AddressSpace) -> list[Page]:
        """The pages that a driver has published under *mapping*, lowest first."""
        return [self.page(pfn) for pfn in views.published(self, mapping)]

    def buddyinfo(self) -> dict[str, list[int]]:
        """Free blocks by zone and order (/proc/buddyinfo)."""
        return views.buddyinfo(self)

    def unusable_index(self, order: int) -> dict[str, int]:
        """By zone: thousandths of what is free that cannot serve a request of *order*."""
        return {name: views.unusable_index(c, order) for name, c in self.buddyinfo().items()}

    def vmstat(self) -> dict[str, int]:
        """The event counters, under their names in /proc/vmstat, without those of reclaim."""
        counted = dict(zip(t.VM_EVENTS, self.node["vm"][0].tolist(), strict=True))
        return counted | self.driver_events

    def all_vm_events(self) -> dict[str, int]:
        """All of them (all_vm_events())."""
        return self.vmstat() | self.vmscan.events

    @property
    def lru_stats(self) -> dict[str, dict[str, int]]:
        """What became of ordinary pages in migration, by owner; keys as in `AddressSpace.stats`."""
        rows = self.node["lru_stats"][0].tolist()
        names = (views.OWNERS[views.ANONYMOUS], views.OWNERS[views.PAGE_CACHE])
        return {
            n: dict(zip(t.LRU_STATS, row, strict=True)) for n, row in zip(names, rows, strict=True)
        }

    @property
    def zones(self) -> list[dict[str, Any]]:
        """Each zone's fields by name, lowest zone first; `struct zone` in mm_types.py says what."""
        fields = ("start_pfn", "spanned", "present", "managed", "free", "boost")
        return [
            {"name": name, **{field: int(self.zone[field][z]) for field in fields}}
            for z, name in enumerate(self.zone_names)
        ]

    def validate(self) -> None:
        """Recount everything.

        :raises AuditFailed: something is not as it should be.
        """
        validate.validate(self)
