"""The audit: recount everything, from the frames and lists themselves.

Tests call it after every step and each experiment ends with it. What it finds names the owner of
the page concerned. It holds when nobody is at work: nothing isolated, nothing locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import AuditFailed
from movable.mm import mm_types as t
from movable.mm import views
from movable.mm.lists import collect
from movable.page_flags import (
    NO_ZONE,
    ORDER_MASK,
    ORDER_SHIFT,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    ZONE_SHIFT,
    PG_buddy,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_reserved,
    PG_tail,
)

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Array = Any


class Audit:
    """One recount of one memory."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.frames = memory.mem_map[: memory.nr_frames]
        self.flags = self.frames["flags"].astype(np.int64)
        self.places = np.zeros(memory.nr_frames, np.int64)
        """In how many lists each frame stands, as a block's head or within the block."""

    def run(self) -> None:
        """All recounts.

        :raises AuditFailed: the first that does not come out.
        """
        self.free_lists()
        self.isolated_blocks()
        self.per_cpu_lists()
        self.lru_lists()
        self.every_frame_in_one_place()
        self.nothing_left_over()
        self.contents()

    def refuse(self, wrong: Array, problem: str) -> None:
        """Fail on the first frame for which *wrong* (bool by frame) holds, naming its owner."""
        if wrong.any():
            pfn = int(np.argmax(wrong))
            memory = self.memory
            owner = views.owner_names(memory)[int(views.owners(memory)[pfn])]
            raise AuditFailed(owner, f"frame {pfn}: {problem}")

    def expect(self, owner: str, what: str, counted: int, kept: int) -> None:
        """Fail unless a recount agrees with a counter."""
        if counted != kept:
            raise AuditFailed(owner, f"{what} is {kept}, but {counted} were counted")

    def free_lists(self) -> None:
        """Each list holds blocks of its order and zone; counters agree."""
        memory = self.memory
        marked = np.zeros(memory.nr_frames, bool)
        for z, name in enumerate(memory.zone_names):
            free = np.zeros(t.MIGRATE_TYPES, np.int64)
            for order in range(memory.max_order):
                listed = [self._blocks(z, order, mt, marked) for mt in range(t.MIGRATE_TYPES)]
                kept = int(memory.zone["nr_free"][z, order])
                self.expect(name, f"nr_free of order {order}", sum(listed), kept)
                free += np.array(listed) << order
            kept = int(memory.zone["free"][z] + memory.zone["free_diff"][z].sum())
            self.expect(name, "NR_FREE_PAGES", int(free.sum() - free[t.ISOLATE]), kept)
            self.expect(name, "free_cma", int(free[t.CMA]), int(memory.zone["free_cma"][z]))
        self.refuse(marked != (self.flags & PG_buddy != 0), "PG_buddy and the free lists disagree")

    def _blocks(self, z: int, order: int, migratetype: int, marked: Array) -> int:
        head = int(self.memory.zone["free_list"][z]) + order * t.MIGRATE_TYPES + migratetype
        pfns = collect(self.memory, head)
        wanted = PG_buddy | order << ORDER_SHIFT | z << ZONE_SHIFT
        bad = np.zeros(len(self.flags), bool)
        bad[pfns] = self.flags[pfns] & (PG_buddy | ORDER_MASK | 15 << ZONE_SHIFT) != wanted
        self.refuse(bad, f"on the free list of order {order}, but does not look so")
        marked[pfns] = True
        block = self.memory.pageblock[pfns >> self.memory.pageblock_order] & t.BLOCK_TYPE
        bad[pfns] = (block == t.ISOLATE) != (migratetype == t.ISOLATE)
        self.refuse(bad, f"on a free list of type {migratetype}, but its block disagrees")
        self._stand(pfns, order)
        return len(pfns)

    def isolated_blocks(self) -> None:
        """Each zone knows how many of its pageblocks are isolated."""
        memory, order = self.memory, self.memory.pageblock_order
        isolated = memory.pageblock & t.BLOCK_TYPE == t.ISOLATE
        for z, name in enumerate(memory.zone_names):
            start, spanned = (int(memory.zone[field][z]) for field in ("start_pfn", "spanned"))
            counted = int(isolated[start >> order : (start + spanned - 1 >> order) + 1].sum())
            self.expect(name, "isolate_blocks", counted, int(memory.zone["isolate_blocks"][z]))

    def _stand(self, pfns: Array, order: int) -> None:
        edge = np.zeros(len(self.places) + 1, np.int64)
        np.add.at(edge, pfns, 1)
        np.add.at(edge, np.minimum(pfns + (1 << order), len(self.places)), -1)
        self.places += np.cumsum(edge[:-1])

    def per_cpu_lists(self) -> None:
        """Each CPU's count is the sum of its lists."""
        memory = self.memory
        for z, name in enumerate(memory.zone_names):
            for cpu in range(memory.nr_cpus):
                pages = 0
                for index in range(t.NR_PCP_LISTS):
                    order = index // t.MIGRATE_PCPTYPES
                    if index >= t.NR_LOWORDER_PCP_LISTS:
                        order = memory.pageblock_order
                    pfns = collect(memory, int(memory.zone["pcp_list"][z, cpu]) + index)
                    self._stand(pfns, order)
                    pages += len(pfns) << order
                kept = int(memory.zone["pcp_count"][z, cpu])
                self.expect(name, f"the per-CPU count of CPU {cpu}", pages, kept)

    def lru_lists(self) -> None:
        """The LRU lists hold exactly the pages marked so."""
        memory = self.memory
        listed = np.zeros(memory.nr_frames, bool)
        for number, name in enumerate(t.LRU_LISTS):
            pfns = collect(memory, int(memory.node["lru_list"][0]) + number)
            listed[pfns] = True
            self.expect(name, "its length", len(pfns), int(memory.node["nr_lru"][0, number]))
        self._waiting()
        self.refuse(listed != (self.flags & PG_lru != 0), "PG_lru and the LRU lists disagree")

    def _waiting(self) -> None:
        """What waits for an LRU list is somebody's."""
        node = self.memory.node
        alone = np.zeros(len(self.flags), bool)
        alone[node["lru_add"][0, : int(node["lru_add_count"][0])]] = True
        alone &= (self.frames["refcount"] == 1) & (self.frames["mapping"] == 0)
        self.refuse(alone, "nobody owns it, and it waits for an LRU list")

    def every_frame_in_one_place(self) -> None:
        """A frame is on one free list, or somebody holds a reference to it."""
        refcount = self.frames["refcount"].astype(np.int64)
        exists = self.flags >> ZONE_SHIFT != NO_ZONE
        self.refuse(self.places > 1, "it is free twice")
        self.refuse((self.places == 1) & (refcount != 0), "it is free, but referenced")
        self.refuse(refcount < 0, "its reference count is negative")
        unowned = exists & (self.places == 0) & (refcount == 0)
        unowned &= self.flags & (PG_tail | PG_reserved) == 0
        counted, kept = int(np.count_nonzero(unowned)), self.memory.frames_without_reference
        if counted > kept:
            problem = f"nobody owns it, and it is not free ({counted - kept} such frames)"
            self.refuse(unowned, problem)
        self.expect("allocator", "the number of frames inside larger blocks", counted, kept)

    def nothing_left_over(self) -> None:
        """Nobody is at work, so nothing is isolated or locked, and no compactor holds lists."""
        word = self.frames["mapping"].astype(np.int64)
        movable = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
        self.refuse(movable & (self.flags & PG_isolated != 0), "it was left isolated")
        self.refuse(
            (self.flags & PG_locked != 0) & ~self.memory.locked_from_the_start,
            "it was left locked",
        )
        self.refuse((self.places > 0) & (word != 0), "it is free, but its mapping is not cleared")
        node = self.memory.node
        self.expect("VM", "nr_isolated_anon", 0, int(node["nr_isolated"][0, t.ANON]))
        self.expect("VM", "nr_isolated_file", 0, int(node["nr_isolated"][0, t.FILE]))

    def contents(self) -> None:
        """No two ordinary pages hold the same contents: each has what was written to it once."""
        pfns = np.flatnonzero(self.flags & PG_lru)
        content = self.frames["content"][pfns]
        values, first, count = np.unique(content, return_index=True, return_counts=True)
        bad = np.zeros(len(self.flags), bool)
        bad[pfns[first[(count > 1) & (values != 0)]]] = True
        self.refuse(bad, "its contents are another page's")


def validate(memory: Memory) -> None:
    """Recount everything in *memory*.

    :raises AuditFailed: something is not as it should be; the message names owner and frame.
    """
    Audit(memory).run()
