"""A small phone with a GPU, and the VM's part step by step, for the tests of the GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from core.mm.ground import call
from movable import MigrateMode, Page, point
from movable.errors import OutOfMemory
from movable.invariant import hold_invariants
from movable.mm import steps
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import release_freepages
from movable.mm.list import list_add_tail
from movable.mm.memory import Memory
from movable.observers.contract import Contract
from movable.sched import Race, Task
from movable_gpu import Gpu
from movable_gpu.buffer import Buffer
from movable_gpu.causes import Cause
from movable_gpu.context import Context
from movable_gpu.mmu import Mmu
from movable_gpu.page_metadata import PageMetadata
from movable_gpu.pool import Pool

BLOCK = 16


class Hand:
    """A compactor that does one thing at a time: isolates pages, tries to move them, lets go."""

    def __init__(self, memory: Memory, mode: MigrateMode = MigrateMode.SYNC) -> None:
        self.cc = CompactControl(memory, mode, ignore_skip_hint=1)
        self.cc["free_pfn"] = memory.nr_frames - BLOCK

    def isolate(self, page: Page) -> bool:
        """isolate_movable_page(), and onto the list of pages to migrate."""
        cc, memory = self.cc, self.cc.memory
        isolated = bool(cc.run(steps.ISOLATE_MOVABLE_PAGE, page=page.pfn))
        if isolated:
            call(list_add_tail, memory.mem_map, page.pfn, cc["migratepages"])
            point("on the migrate list", page)
            cc.record["nr_migratepages"][0] += 1
        memory.raise_fault()
        return isolated

    def migrate(self) -> None:
        """migrate_pages(): up to ten passes; what cannot be moved stays isolated."""
        self.cc.run(steps.MIGRATE_PAGES)
        self.cc.memory.raise_fault()

    def put_back(self) -> None:
        """putback_movable_pages() of whatever is left, and the unused targets."""
        cc, memory = self.cc, self.cc.memory
        cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=cc["migratepages"])
        memory.engine.call(release_freepages, cc.record)
        cc.close()
        memory.raise_fault()


class Phone:
    """A memory of 256 pages or more, a GPU in it, and the contract checker at its side.

    Not *watched* is for damage done by hand, which the checker would rightly find first.
    """

    def __init__(self, watched: bool = True, frames: int = 256, **config: object) -> None:
        self.memory = Memory.blank(frames, pageblock_order=4, max_order=6)
        self.gpu = Gpu(
            self.memory,
            Gpu.Config.model_validate({"window_pages": 4, "page_tables": False, **config}),
        )
        self.contract = Contract(reread=True)
        if watched:
            self.gpu.mapping.attach(self.contract)
        self.race = Race()

    @property
    def context(self) -> Context:
        """The application that the tests are about: the newest."""
        return self.gpu.context

    @property
    def pool(self) -> Pool:
        """Its pool."""
        return self.context.pool

    @property
    def mmu(self) -> Mmu:
        """Its page table."""
        return self.context.mmu

    def free_low(self, count: int) -> list[int]:
        """Leave the *count* lowest frames free, and every other one behind them.

        So the next pages lie low, and every block behind them can take some, but is no free block.
        """
        taken = []
        with suppress(OutOfMemory):
            while True:
                taken.append(self.memory.alloc_page())
        taken.sort(key=lambda page: page.pfn)
        # What was freed last is allocated first.
        for page in reversed(taken[:count] + taken[count::2]):
            page.put()
        return [page.pfn for page in taken[:count]]

    def buffer(self, pages: int = 1) -> Buffer:
        """A buffer in the lowest frames."""
        self.free_low(pages)
        assert self.gpu.allocate(1, pages) == 1
        return self.gpu.buffers[max(self.gpu.buffers)]

    def pooled(self) -> PageMetadata:
        """A page in the pool, at the lowest frame."""
        buffer = self.buffer()
        [metadata] = buffer.pages
        assert self.gpu.free(buffer.number)
        return metadata

    def hand(self, mode: MigrateMode = MigrateMode.SYNC) -> Hand:
        return Hand(self.memory, mode)

    def compactor(self, name: str = "compactor") -> Task:
        return self.race.task(name, self.memory.compact_memory)

    def task(self, name: str, *arguments: Any) -> Task:
        """An operation of the GPU's, as another CPU's work."""
        return self.race.task(name, getattr(self.gpu, name), *arguments)

    def outcome(self) -> dict[str, int]:
        """What the VM counted of the GPU's pages, without what it never did."""
        stats = self.gpu.mapping.stats
        names = ("isolated", "refused", "migrated", "again", "failed", "putback")
        return {name: getattr(stats, name) for name in names if getattr(stats, name)}

    def causes(self) -> dict[Cause, int]:
        """Why the driver refused or failed, and how often."""
        return {Cause(text): times for text, times in self.gpu.mapping.causes.items()}

    def close(self) -> None:
        """Nobody is at work any more: GPU, memory and contract must agree, and let go."""
        try:
            self.gpu.phy_pages.flush()
            hold_invariants(self.gpu)
            self.memory.validate()
            self.contract.check_at_rest()
        finally:
            for observer in self.gpu.mapping.observers:
                self.gpu.mapping.detach(observer)


def only(buffer: Buffer) -> PageMetadata:
    """A buffer's only page."""
    [metadata] = buffer.pages
    return metadata


def state(phone: Phone) -> tuple[object, ...]:
    """All that a call which changes nothing must leave alone."""
    gpu = phone.gpu
    pages = [
        (repr(metadata), metadata.number, metadata.vmap_count)  # of its page too
        for metadata in gpu.phy_pages.metadata.values()
    ]
    return (
        pages,
        list(phone.pool.page_list),
        dict(phone.mmu.entries),
        [(repr(buffer), buffer.bound) for buffer in gpu.buffers.values()],
        gpu.contents(),
    )


# What may happen to buffer 0, so that its page cannot be moved.

Deed = Callable[[Phone], None]


def map_it(phone: Phone) -> None:
    assert phone.gpu.map_cpu(0)


def display_it(phone: Phone) -> None:
    assert phone.gpu.scanout(0)


def drop_it(phone: Phone) -> None:
    assert phone.gpu.dont_need(0)


def unmap_it(phone: Phone) -> None:
    assert phone.gpu.unmap_cpu(0)
