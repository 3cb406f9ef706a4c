"""Any mixture of what a GPU's user and the VM do; everything adds up after each step."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from drivers.gpu_phones import Hand, Phone
from movable import MigrateMode
from movable.invariant import hold_invariants

FRAMES = 256
NUMBERS = st.integers(0, 3)
COUNTS = st.integers(1, 12)


class GpuMachine(RuleBasedStateMachine):
    """A GPU among ordinary pages; a second compactor that holds pages from step to step."""

    @initialize(
        strategy=st.sampled_from(["block_and_move", "idle_and_rebind"]),
        pool_max_pages=st.sampled_from([0, 4, 16384]),
        frames_in_flight=st.integers(0, 3),
        window_buffers=st.integers(2, 3),
        low=st.sampled_from([24, 64, 128]),
    )
    def set_up(self, low: int, **config: Any) -> None:
        """Memory is fragmented from the start, so there is somewhere to move to."""
        self.phone = Phone(**config)
        self.phone.free_low(low)
        self.memory, self.gpu = self.phone.memory, self.phone.gpu
        self.gpu.allocate(4, 3)
        self.hand: Hand | None = None

    def teardown(self) -> None:
        if hasattr(self, "phone"):
            if self.hand:
                self.hand.put_back()
            self.phone.close()

    # The user.

    @rule(buffers=st.integers(1, 3), pages=COUNTS)
    def allocate(self, buffers: int, pages: int) -> None:
        before = len(self.gpu.buffers)
        assert self.gpu.allocate(buffers, pages) == len(self.gpu.buffers) - before

    @rule(number=NUMBERS)
    def free(self, number: int) -> None:
        """Refused while a job or the display uses it; kept while the kernel does."""
        buffer = self.gpu.buffers.get(number)
        free = buffer and not (buffer.freed or buffer.busy or buffer.pins)
        mapped = bool(buffer and buffer.vmaps)
        assert self.gpu.free(number) == bool(free)
        if free:
            assert (number in self.gpu.buffers) == mapped

    @rule(number=NUMBERS)
    def submit(self, number: int) -> None:
        buffer = self.gpu.buffers.get(number)
        assert self.gpu.submit(number) == bool(buffer and buffer.usable)
        assert not (buffer and buffer.usable) or buffer.bound

    @rule(jobs=st.integers(1, 3))
    def finish(self, jobs: int) -> None:
        assert self.gpu.finish(jobs) <= jobs

    @rule(frames=st.integers(1, 5))
    def render(self, frames: int) -> None:
        """What is in flight is bounded, and the display shows the last finished frame."""
        if self.gpu.render(frames):
            assert len(self.gpu.jobs) <= self.gpu.config.frames_in_flight

    @rule(number=NUMBERS, write=st.booleans(), unmap=st.booleans())
    def map_cpu(self, number: int, write: bool, unmap: bool) -> None:
        """The mapping may stay, and then pins the pages."""
        self.gpu.map_cpu(number)
        if write:
            self.gpu.write_cpu(number)
        if unmap:
            self.gpu.unmap_cpu(number)

    @rule(number=NUMBERS)
    def unmap_cpu(self, number: int) -> None:
        self.gpu.unmap_cpu(number)

    @rule(number=NUMBERS)
    def scanout(self, number: int) -> None:
        if self.gpu.scanout(number):
            assert self.gpu.displayed is self.gpu.buffers[number]

    @rule()
    def blank(self) -> None:
        self.gpu.blank()

    @rule(number=NUMBERS, shrink=st.booleans(), again=st.booleans())
    def dont_need(self, number: int, shrink: bool, again: bool) -> None:
        """Wanted again, either the contents are there, or they are gone for good."""
        self.gpu.dont_need(number)
        if shrink:
            self.gpu.shrink(1)
        if again and self.gpu.will_need(number):
            assert all(slot for slot in self.gpu.buffers[number].slots)

    @rule(pages=COUNTS)
    def shrink(self, pages: int) -> None:
        """It takes the whole pool before the first buffer."""
        pooled = self.phone.pool.cur_size
        assert self.gpu.shrink(pages) >= min(pooled, pages)

    @rule(count=COUNTS)
    def use_memory(self, count: int) -> None:
        """Pages that are not the GPU's, so that its own lie scattered."""
        self.memory.fill("anon", count)

    @rule(random=st.randoms(use_true_random=False), count=COUNTS)
    def drop_memory(self, random: Random, count: int) -> None:
        """Wherever those pages have been moved since."""
        used = np.flatnonzero(self.memory.mem_map["mapcount"][:FRAMES] > 0).tolist()
        self.memory.drop(np.array(random.sample(used, min(count, len(used))), np.int64))

    # The VM.

    @rule()
    def compact(self) -> None:
        """Nobody notices, except that it may be their frame that moved."""
        before = self.gpu.contents()
        self.memory.compact_memory()
        assert self.gpu.contents() == before

    @rule(lock=st.sampled_from(["region_lock", "mmu_lock"]))
    def compact_while_a_lock_is_held(self, lock: str) -> None:
        """No page of a buffer moves; only pooled ones can be given up."""
        migrated = self.gpu.events["migrated"]
        with self.phone.mmu.mmu_lock if lock == "mmu_lock" else self.phone.context.region_lock:
            self.memory.compact_memory()
        assert self.gpu.events["migrated"] == migrated

    @precondition(lambda self: self.hand is None and self.gpu.phy_pages.metadata)
    @rule(
        random=st.randoms(use_true_random=False),
        count=st.integers(1, 8),
        mode=st.sampled_from([MigrateMode.ASYNC, MigrateMode.SYNC, MigrateMode.SYNC_NO_COPY]),
    )
    def isolate(self, random: Random, count: int, mode: MigrateMode) -> None:
        """A second compactor takes some pages, and is then interrupted."""
        self.hand = Hand(self.memory, mode)
        pages = list(self.gpu.phy_pages.metadata.values())
        for metadata in random.sample(pages, min(count, len(pages))):
            self.hand.isolate(metadata.page)

    @precondition(lambda self: self.hand is not None)
    @rule()
    def move_isolated(self) -> None:
        """It goes on: what cannot be moved is put back."""
        assert self.hand
        self.hand.migrate()
        self.put_back()

    @precondition(lambda self: self.hand is not None)
    @rule()
    def put_back(self) -> None:
        assert self.hand
        self.hand.put_back()
        self.hand = None

    @rule()
    def let_the_worker_run(self) -> None:
        self.gpu.phy_pages.flush()
        assert len(self.gpu.phy_pages.free_pages_list) == 0

    # What holds after each step.

    @invariant()
    def the_gpu_adds_up(self) -> None:
        hold_invariants(self.gpu)

    @precondition(lambda self: self.hand is None)
    @invariant()
    def memory_adds_up(self) -> None:
        """Whoever holds pages is not at rest."""
        self.memory.validate()
        self.phone.contract.check_at_rest()
        assert self.gpu.isolated_pages == 0


TestGpu = GpuMachine.TestCase
TestGpu.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
