"""Any mixture of what users and the VM do to a zram; everything adds up after each step."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drivers.zram_scenes import Scene
from movable import MigrateMode
from movable.invariant import hold_invariants
from movable.mm.compact_control import CompactControl
from movable_zsmalloc import Fullness
from movable_zsmalloc.compressed import Drawn

COUNTS = st.integers(0, 40)
WHICH = st.sampled_from(["oldest", "newest", "random"])


class ZramMachine(RuleBasedStateMachine):
    """A zram among ordinary pages; a second compactor that holds pages from step to step.

    A page of a zspage may also be locked, as if a third were just looking at it, so that zspages
    fall empty and cannot be freed at once.
    """

    @initialize(
        real_bytes=st.booleans(),
        leak=st.booleans(),
        locking=st.sampled_from(["6.1", "4.8", "7.2"]),
        sizes=st.sampled_from(["kbuild-lzo-rle", "desktop-zstd", "mixed-files"]),
        seed=st.integers(0, 1000),
    )
    def set_up(self, real_bytes: bool, leak: bool, locking: str, sizes: str, seed: int) -> None:
        self.scene = Scene(
            real_bytes=real_bytes,
            empty_stat_leak=leak,
            locking=locking,
            same_filled=0.1,
            mem_limit=100,
        )
        self.zram, self.pool, self.memory = self.scene.zram, self.scene.pool, self.scene.memory
        self.zram.data = Drawn(sizes, 0.1, Random(seed), whole=real_bytes)  # type: ignore[arg-type]
        self.isolated: CompactControl | None = None

    def teardown(self) -> None:
        if hasattr(self, "scene"):
            if self.isolated:
                self.put_back()
            self.scene.close()

    # The user.

    @rule(count=COUNTS)
    def swap_out(self, count: int) -> None:
        before = len(self.zram.swapped)
        assert len(self.zram.swapped) <= before + self.zram.swap_out(count) <= before + count

    @rule(count=COUNTS, which=WHICH)
    def swap_in(self, count: int, which: str) -> None:
        there = len(self.zram.swapped)
        assert self.zram.swap_in(count, which) == min(count, there)  # type: ignore[arg-type]

    @rule(count=COUNTS, which=WHICH)
    def free(self, count: int, which: str) -> None:
        there = len(self.zram.swapped)
        assert self.zram.free(count, which) == min(count, there)  # type: ignore[arg-type]

    @rule(count=COUNTS)
    def rewrite(self, count: int) -> None:
        assert self.zram.rewrite(count) <= count

    @rule()
    def compact_objects(self) -> None:
        """The pool's pages become fewer by as many as it says, now or when work is done."""
        self.pool.free_work.flush()
        before = self.pool.pages_allocated
        freed = self.zram.compact()
        self.pool.free_work.flush()
        assert self.pool.pages_allocated == before - freed

    @precondition(lambda self: self.pool.zspages)
    @rule(data=st.data(), count=st.integers(1, 40))
    def free_while_a_page_is_locked(self, data: st.DataObject, count: int) -> None:
        """As if somebody were looking at it; its zspage may fall empty meanwhile."""
        zspage = data.draw(st.sampled_from(list(self.pool.zspages.values())))
        page = data.draw(st.sampled_from(zspage.pages))
        page.lock()
        self.zram.free(count, "oldest")
        page.unlock()
        assert zspage.number in self.pool.zspages

    @rule()
    def work(self) -> None:
        self.pool.free_work.flush()
        assert not any(c.fullness_list[Fullness.EMPTY] for c in self.pool.classes)

    @rule(count=COUNTS)
    def use_memory(self, count: int) -> None:
        """Pages that are not the pool's, so that its own lie scattered."""
        self.memory.fill("anon", count)

    @rule(random=st.randoms(use_true_random=False), count=COUNTS)
    def drop_memory(self, random: Random, count: int) -> None:
        """Wherever those pages have been moved since."""
        used = np.flatnonzero(self.memory.mem_map["mapcount"][: self.memory.nr_frames] > 0)
        chosen = random.sample(used.tolist(), min(count, len(used)))
        self.memory.drop(np.array(chosen, np.int64))

    # The VM.

    @rule()
    def compact(self) -> None:
        self.memory.compact_memory()

    @precondition(lambda self: self.isolated is None and self.pool.zspages)
    @rule(
        data=st.data(),
        mode=st.sampled_from([MigrateMode.ASYNC, MigrateMode.SYNC, MigrateMode.SYNC_NO_COPY]),
    )
    def isolate(self, data: st.DataObject, mode: MigrateMode) -> None:
        """A second compactor takes some pages, and is then interrupted."""
        pages = [page for zspage in self.pool.zspages.values() for page in zspage.pages]
        chosen = data.draw(st.lists(st.sampled_from(pages), min_size=1, max_size=8, unique=True))
        self.isolated = self.scene.isolate(*chosen, mode=mode)

    @precondition(lambda self: self.isolated is not None)
    @rule()
    def move_isolated(self) -> None:
        """It goes on: what cannot be moved is put back, what was freed meanwhile is let go."""
        assert self.isolated
        cc, self.isolated = self.isolated, None
        self.scene.migrate(cc)

    @precondition(lambda self: self.isolated is not None)
    @rule()
    def put_back(self) -> None:
        assert self.isolated
        cc, self.isolated = self.isolated, None
        self.scene.putback(cc)

    # What holds after each step.

    @invariant()
    def every_slot_reads_what_was_written(self) -> None:
        """The pool is recounted too."""
        hold_invariants(self.zram)

    @precondition(lambda self: self.isolated is None)
    @invariant()
    def memory_adds_up(self) -> None:
        """Whoever holds pages is not at rest."""
        self.scene.check()
        assert not any(zspage.isolated for zspage in self.pool.zspages.values())


TestZram = ZramMachine.TestCase
TestZram.settings = settings(max_examples=50, stateful_step_count=25, deadline=None)
