"""Any mixture of what guest and VM do to a balloon; everything adds up after each step."""

from __future__ import annotations

from random import Random

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

from core.mm.ground import call
from drivers.guests import Guest
from movable import MigrateMode, point
from movable.invariant import hold_invariants
from movable.mm import steps
from movable.mm.compact_control import CompactControl
from movable.mm.isolate_freepages import release_freepages
from movable.mm.list import list_add_tail
from movable.observers.contract import Contract

FRAMES, BLOCK = 256, 16
COUNTS = st.integers(0, 40)


class BalloonMachine(RuleBasedStateMachine):
    """A balloon among ordinary pages; a second compactor that holds pages from step to step."""

    @initialize(allocate_under_lock=st.booleans(), pages_per_message=st.sampled_from([3, 256]))
    def set_up(self, allocate_under_lock: bool, pages_per_message: int) -> None:
        self.guest = Guest(
            FRAMES, allocate_under_lock=allocate_under_lock, pages_per_message=pages_per_message
        )
        self.memory, self.balloon = self.guest.memory, self.guest.balloon
        self.contract = Contract()
        self.balloon.mapping.attach(self.contract)
        self.isolated: CompactControl | None = None

    def teardown(self) -> None:
        if hasattr(self, "contract"):
            self.balloon.mapping.detach(self.contract)

    # The guest.

    @rule(count=COUNTS)
    def inflate(self, count: int) -> None:
        before = self.balloon.num_pages
        lent = self.balloon.inflate(count)
        assert self.balloon.num_pages == before + lent <= before + count

    @rule(count=COUNTS)
    def deflate(self, count: int) -> None:
        """It gets what it asks for, unless the VM has it."""
        there = len(self.balloon.pages)
        assert self.balloon.deflate(count) == min(count, there)

    @rule(count=COUNTS)
    def use_memory(self, count: int) -> None:
        """Pages that are not the balloon's, so that its own lie scattered."""
        self.memory.fill("anon", count)

    @rule(random=st.randoms(use_true_random=False), count=COUNTS)
    def drop_memory(self, random: Random, count: int) -> None:
        """Wherever those pages have been moved since."""
        used = np.flatnonzero(self.memory.mem_map["mapcount"][:FRAMES] > 0).tolist()
        self.memory.drop(np.array(random.sample(used, min(count, len(used))), np.int64))

    # The VM.

    @rule()
    def compact(self) -> None:
        self.memory.compact_memory()

    @rule()
    def compact_while_the_balloon_is_busy(self) -> None:
        """All its pages answer -EAGAIN, and are put back where they were."""
        migrated, pfns = self.balloon.mapping.stats.migrated, set(self.guest.host.pfns)
        with self.balloon.balloon_lock:
            self.memory.compact_memory()
        assert self.balloon.mapping.stats.migrated == migrated
        assert self.guest.host.pfns == pfns

    @precondition(lambda self: self.isolated is None and len(self.balloon.pages) > 0)
    @rule(
        count=st.integers(1, 8),
        mode=st.sampled_from([MigrateMode.ASYNC, MigrateMode.SYNC, MigrateMode.SYNC_NO_COPY]),
    )
    def isolate(self, count: int, mode: MigrateMode) -> None:
        """A second compactor takes some pages, and is then interrupted."""
        self.isolated = cc = CompactControl(self.memory, mode, ignore_skip_hint=1)
        cc["free_pfn"] = FRAMES - BLOCK
        for page in list(self.balloon.pages)[-count:]:
            assert cc.run(steps.ISOLATE_MOVABLE_PAGE, page=page.pfn)
            call(list_add_tail, self.memory.mem_map, page.pfn, cc["migratepages"])
            point("on the migrate list", page)
            cc.record["nr_migratepages"][0] += 1

    @precondition(lambda self: self.isolated is not None)
    @rule()
    def move_isolated(self) -> None:
        """It goes on: what cannot be moved is put back."""
        assert self.isolated
        self.isolated.run(steps.MIGRATE_PAGES)
        self.put_back()

    @precondition(lambda self: self.isolated is not None)
    @rule()
    def put_back(self) -> None:
        assert self.isolated
        cc = self.isolated
        cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=cc["migratepages"])
        self.memory.engine.call(release_freepages, cc.record)
        cc.close()
        self.isolated = None

    # What holds after each step.

    @invariant()
    def balloon_and_host_agree(self) -> None:
        hold_invariants(self.balloon)

    @precondition(lambda self: self.isolated is None)
    @invariant()
    def memory_adds_up(self) -> None:
        """Whoever holds pages is not at rest."""
        self.memory.validate()
        self.contract.check_at_rest()
        assert self.balloon.isolated_pages == 0


TestBalloon = BalloonMachine.TestCase
TestBalloon.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
