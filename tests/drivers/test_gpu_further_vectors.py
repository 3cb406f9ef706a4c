"""The vectors of the model that test_gpu_vectors.py has no room for, by their numbers.

Those that other files have: 1, 2, 4, 5 and 36 in test_gpu_hooks.py; 6, 8 to 10 in
test_gpu_races.py (r1, r2, r5); 16, 17, 20, 21 in test_gpu_user_races.py (r13, r10, r11); 34 in
test_gpu.py.
"""

from __future__ import annotations

import pytest

from drivers.gpu_phones import Phone, only
from movable import MigrateMode
from movable.errors import AuditFailed
from movable.invariant import hold_invariants
from movable.mm.memory import Memory
from movable_gpu import Gpu
from movable_gpu.causes import Cause
from movable_gpu.hardware import Slot
from movable_gpu.page_metadata import PageMetadata, PageStatus
from movable_gpu.repairs import Repair


@pytest.mark.parametrize(("kept", "pooled"), [(False, 0), (True, 1)])
def test_v05_a_pooled_page_that_is_put_back(kept: bool, pooled: int) -> None:
    """It is freed by the worker as in kbase, or returns to its pool where that is asked for."""
    phone = Phone(putback_to_pool=kept)
    metadata, hand = phone.pooled(), phone.hand()

    assert hand.isolate(metadata.page)
    assert phone.pool.cur_size == 0
    hand.put_back()
    phone.gpu.phy_pages.flush()

    assert (phone.pool.cur_size, metadata.page.refcount) == (pooled, pooled)
    assert phone.pool.isolation_in_progress_cnt == 0
    phone.close()


def test_v07_a_pool_that_is_gone_is_not_needed_to_give_up_its_page() -> None:
    """Its context ended after the page was isolated (R9)."""
    phone = Phone()
    metadata, hand, pool = phone.pooled(), phone.hand(), phone.pool

    assert hand.isolate(metadata.page)
    assert phone.gpu.destroy_context()
    assert pool.gone
    hand.migrate()
    hand.put_back()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert metadata.page.refcount == 0
    phone.close()


def test_v22_a_context_lives_as_long_as_a_move_that_has_read_it() -> None:
    """It is ended between the first look and region_lock: -EAGAIN, and then nobody needs the page
    (R7)."""
    phone = Phone()
    metadata, context = only(phone.buffer()), phone.context
    compactor, killer = phone.compactor(), phone.task("destroy_context")

    compactor.until("state read")
    for _ in range(40):
        phone.race.advance(killer) if killer.runnable else None
    assert repr(killer) == "<Task destroy_context [at 'moves in flight']>"
    assert (context.inflight, context.dead) == (1, False)
    compactor.until("migrate returned")
    assert (context.inflight, phone.causes()) == (0, {Cause.FREED: 1})
    phone.race.run()

    assert context.dead
    assert phone.outcome() == {"isolated": 1, "migrated": 1, "again": 1}
    assert metadata.page.refcount == 0
    phone.close()


class ThirdFails:
    """An address space that does not answer the third LOCK."""

    def __init__(self, phone: Phone) -> None:
        self.hardware, self.lock, self.times = phone.gpu.hardware, phone.gpu.hardware.lock, 0

    def __call__(self, slot: Slot, region: range) -> Cause | None:
        self.times += 1
        return Cause.AS_TIMEOUT if self.times == 3 else self.lock(slot, region)


def four_tables(*without: Repair) -> tuple[Phone, PageMetadata]:
    """A GPU at work, and a page that four of its page tables are in."""
    phone = Phone(page_tables=True, gpu_pages_per_cpu_page=4, without=without)
    phone.free_low(16)
    # Tables of one page translate 128 pages each here: one above, one above that, two below.
    assert phone.gpu.allocate_growable(3, 256)
    phone.gpu.submit(0)
    metadata = phone.mmu.pgds[3, 0].page.metadata
    assert metadata
    assert metadata.pgd_page
    assert [pgd.level for pgd in metadata.pgd_page.used] == [1, 2, 3, 3]
    return phone, metadata


def test_v26_half_a_move_of_a_page_of_tables_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of four fails: all are where they were, and all caches are flushed, once."""
    phone, metadata = four_tables()
    old, entries, hand = metadata.page, phone.mmu.entries, phone.hand()
    monkeypatch.setattr(phone.gpu.hardware, "lock", ThirdFails(phone))

    assert hand.isolate(old)
    hand.migrate()
    hand.put_back()

    assert metadata.page == old
    assert metadata.pgd_page
    assert [phone.mmu.frame_of(pgd) for pgd in metadata.pgd_page.used] == [old] * 4
    assert phone.mmu.entries == entries
    assert phone.gpu.meter.counts["flush_all"] == 1
    assert phone.causes() == {Cause.AS_TIMEOUT: 1}
    phone.close()


def test_v26_kbase_mixes_the_attributes_up_that_it_undoes(monkeypatch: pytest.MonkeyPatch) -> None:
    """H7: level, pbha and flags are given in another order than they are taken in."""
    phone, metadata = four_tables("undo_args")
    hand = phone.hand()
    monkeypatch.setattr(phone.gpu.hardware, "lock", ThirdFails(phone))

    assert hand.isolate(metadata.page)
    hand.migrate()
    hand.put_back()

    with pytest.raises(AuditFailed, match="attributes are mixed up"):
        hold_invariants(phone.gpu)


def test_v27_pages_of_a_large_page_are_never_offered() -> None:
    """Whole or lent out in part: the VM does not even ask."""
    memory = Memory.blank(2048, pageblock_order=9, max_order=10)
    gpu = Gpu(memory, Gpu.Config(large_pages=True, page_tables=False))
    gpu.allocate(1, 512)
    gpu.allocate(1, 3)
    before = gpu.contents()

    memory.compact_memory()

    stats = gpu.mapping.stats
    assert gpu.phy_pages.metadata == {}
    assert (stats.isolated, stats.refused) == (0, 0)
    assert gpu.contents() == before
    hold_invariants(gpu)
    memory.validate()


def test_v29_what_is_displayed_stays_until_it_is_not() -> None:
    """For idle_and_rebind too, though no job is on it."""
    phone = Phone(strategy="idle_and_rebind")
    metadata, hand = only(phone.buffer()), phone.hand()

    assert phone.gpu.scanout(0)
    assert not hand.isolate(metadata.page)
    assert phone.causes() == {Cause.PINNED: 1}
    phone.gpu.blank()
    assert hand.isolate(metadata.page)

    hand.put_back()
    phone.close()


@pytest.mark.parametrize("algorithm", ["wound_wait", "wait_die"])
def test_v31_a_move_does_not_make_a_submitter_back_off(algorithm: str) -> None:
    """-EAGAIN from who may not wait; who submits has locked the buffer and keeps it, or waits until
    it has moved."""
    phone = Phone(strategy="idle_and_rebind", ww_algo=algorithm)
    buffer = phone.buffer()
    hand = phone.hand(MigrateMode.ASYNC)
    assert hand.isolate(only(buffer).page)

    with buffer.resv:
        hand.migrate()

    assert phone.causes() == {Cause.LOCKED: 10}
    hand.put_back()
    assert phone.gpu.allocate(1, 1)
    compactor, user = phone.compactor(), phone.task("submit_many", 0, 2)
    compactor.until("page copied")
    phone.race.run()
    assert user.result
    assert phone.gpu.meter.counts["backed off"] == 0
    phone.gpu.finish(1)
    phone.close()


def test_v32_a_buffer_mapped_twice_stays() -> None:
    """And a third mapping changes nothing."""
    phone = Phone()
    metadata, hand = only(phone.buffer()), phone.hand()
    assert phone.gpu.alias(0)
    assert phone.gpu.alias(0)

    assert metadata.status is PageStatus.NOT_MOVABLE
    assert not hand.isolate(metadata.page)

    assert phone.causes() == {Cause.FIXED: 1}
    assert len(phone.mmu.entries) == 3
    hand.put_back()
    phone.close()


@pytest.mark.parametrize(
    ("profile", "after"),
    [("kbase", PageStatus.NOT_MOVABLE), ("strict", PageStatus.ALLOCATED_MAPPED)],
)
def test_v33_a_buffer_that_is_needed_after_all(profile: str, after: PageStatus) -> None:
    """Its pages can be moved again; in kbase they could be only if they had been evicted."""
    phone = Phone(watched=False, profile=profile)  # kbase breaks D07 here, see test_gpu_hazards
    metadata, hand = only(phone.buffer()), phone.hand()

    assert phone.gpu.dont_need(0)
    assert metadata.status is PageStatus.NOT_MOVABLE
    assert phone.gpu.will_need(0)

    assert metadata.status is after
    assert hand.isolate(metadata.page) is (profile == "strict")
    hand.put_back()


def test_v35_a_page_that_only_the_vm_still_has_is_not_moved() -> None:
    """The driver let go of it after it was isolated: freed under the VM, and nobody is asked."""
    phone = Phone(watched=False)
    metadata, hand = phone.pooled(), phone.hand()
    page, phy_pages = metadata.page, phone.gpu.phy_pages
    assert hand.isolate(page)

    page.lock()
    phy_pages.forget(page)
    page.unlock()
    page.put()
    hand.migrate()
    hand.put_back()

    assert phone.gpu.events == {"isolated": 1, "migrated": 0, "discarded": 0, "putback": 0}
    assert page.refcount == 0
    phone.memory.validate()
