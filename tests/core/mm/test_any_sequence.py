"""Whatever is asked of a memory, in whichever order: nothing is lost, nothing is owned twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from movable.drivers.scripted import Script, Scripted
from movable.errors import OutOfMemory
from movable.gfp import GFP_ATOMIC, GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_TRANSHUGE, Gfp
from movable.mm import slowpath
from movable.mm.memory import Memory
from movable.mm.vmscan import HeldBack
from movable.page_flags import PG_lru

FRAMES, DMA = 256, 64
REQUESTS = (
    GFP_KERNEL,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL | Gfp.RECLAIMABLE,
    GFP_ATOMIC,
    GFP_TRANSHUGE | Gfp.NORETRY,
    GFP_KERNEL | Gfp.DMA | Gfp.NORETRY,
)
Step = tuple[str, int, int]
STEPS = st.tuples(
    st.sampled_from(
        ("alloc", "free", "fill", "drop", "publish", "compact", "kcompactd", "proactive", "drain")
    ),
    st.integers(0, 5),
    st.integers(0, 99),
)


class Reclaim(HeldBack):
    """Drops ordinary pages when it must."""

    drop: Callable[[int, int], None]

    def shrink_node(self, order: int, highest_zoneidx: int, priority: int) -> int:
        before = slowpath.free_pages_snapshot(self.memory, 0)
        self.drop(0, priority)
        return max(slowpath.free_pages_snapshot(self.memory, 0) - before, 0)


class Machine:
    """One memory and everybody who holds some of it."""

    def __init__(self) -> None:
        zones = ("DMA", DMA), ("DMA32", FRAMES - DMA)
        self.memory = Memory.blank(FRAMES, *zones, pageblock_order=4, max_order=6)
        self.memory.zone["watermark"][:] = 3, 5, 7
        script = Script([0, 1, 0, 0] * 20, [0, 0, 2, 0] * 20, [0, 0, 0, 1] * 20)
        self.driver = Scripted(self.memory, script)
        self.memory.add_mapping(self.driver.mapping)
        self.memory.vmscan = reclaim = Reclaim(self.memory)
        reclaim.drop = self.drop
        self.blocks: list[tuple[int, int]] = []
        self.published = 0

    def do(self, step: Step) -> None:
        name, *arguments = step
        getattr(self, name)(*arguments)

    def alloc(self, order: int, which: int) -> None:
        """A block for somebody who never moves."""
        try:
            pfn = self.memory.alloc_pages(REQUESTS[which % len(REQUESTS)], order)
        except OutOfMemory:
            return
        self.blocks.append((pfn, order))

    def free(self, _: int, which: int) -> None:
        """One of those blocks."""
        if self.blocks:
            self.memory.free_pages(*self.blocks.pop(which % len(self.blocks)))

    def fill(self, kind: int, count: int) -> None:
        """Pages of users, which compaction moves."""
        self.memory.fill(("anon", "file")[kind % 2], count)

    def drop(self, _: int, count: int) -> None:
        """Some of those on the LRU, wherever they are now."""
        flags = self.memory.mem_map["flags"][:FRAMES]
        pfns = np.flatnonzero(flags & PG_lru)
        self.memory.drop(pfns[:: max(1, count % 7)][:count])

    def publish(self, _: int, __: int) -> None:
        """A driver's page."""
        try:
            page = self.memory.alloc_page()
        except OutOfMemory:
            return
        page.private = self.published
        page.trylock()
        page.set_movable(self.driver.mapping)
        page.unlock()
        self.published += 1

    def compact(self, _: int, __: int) -> None:
        self.memory.compact_memory()

    def kcompactd(self, order: int, zone: int) -> None:
        self.memory.kcompactd.wakeup(order, zone % 3)
        self.memory.kcompactd.run()

    def proactive(self, _: int, proactiveness: int) -> None:
        self.memory.node["compaction_proactiveness"] = proactiveness
        self.memory.kcompactd.check_fragmentation()

    def drain(self, _: int, __: int) -> None:
        self.memory.lru_add_drain_all()
        self.memory.drain_all_pages()

    def held(self) -> int:
        """Frames in use: blocks, and single pages with a reference."""
        blocks = sum(1 << order for _, order in self.blocks)
        heads = {pfn for pfn, _ in self.blocks}
        referenced = np.flatnonzero(self.memory.mem_map["refcount"][:FRAMES] > 0).tolist()
        return blocks + len(set(referenced) - heads)

    def free_frames(self) -> int:
        zone = self.memory.zone
        return int(zone["free"].sum() + zone["free_diff"].sum() + zone["pcp_count"].sum())


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_no_sequence_of_requests_loses_a_page(steps: list[Step]) -> None:
    """Each frame is free or in use after every step, and the audit finds nothing to object to."""
    machine = Machine()

    for step in steps:
        machine.do(step)

        assert machine.free_frames() + machine.held() == FRAMES, step
        machine.memory.validate()


@settings(max_examples=1000, deadline=None)
@given(st.integers(1, 3), st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES))
def test_a_small_request_is_served_while_enough_is_free(order: int, kept: list[bool]) -> None:
    """Memory is full of users' pages, some of them gone; what is left is moved out of the way."""
    machine = Machine()
    memory = machine.memory
    pfns = memory.fill("anon", FRAMES)
    memory.lru_add_drain_all()
    memory.drop(pfns[[i for i in range(len(pfns)) if not kept[i]]])
    memory.drain_all_pages()
    enough = memory.zone["free"][1] > 5 + (2 << order)

    machine.alloc(order, 1)

    assert machine.blocks or not enough
    memory.validate()
