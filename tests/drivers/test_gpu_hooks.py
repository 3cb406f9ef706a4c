"""The GPU as a driver: what it answers the VM, and what has become of the page then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.gpu_phones import (
    Deed,
    Phone,
    display_it,
    drop_it,
    map_it,
    only,
    state,
    unmap_it,
)
from movable import IsolateMode, MigrateMode, Page
from movable.conformance.check import PASSED, check
from movable.errors import AuditFailed
from movable_gpu import Gpu
from movable_gpu.causes import Cause
from movable_gpu.page_metadata import PageStatus


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    yield phone
    phone.close()


@pytest.fixture
def idle() -> Iterator[Phone]:
    """A phone whose GPU moves only what no job uses."""
    phone = Phone(strategy="idle_and_rebind", fence_wait_sync_ms=3)
    yield phone
    phone.close()


# isolate_page


def test_hook_isolate_page_leaves_a_buffers_page_where_it_is(phone: Phone) -> None:
    """The GPU goes on using it; only nobody else may free it now (vector 1)."""
    buffer = phone.buffer()
    metadata, hand = only(buffer), phone.hand()

    assert hand.isolate(metadata.page)

    assert repr(metadata).endswith("[ALLOCATED_MAPPED isolated]>")
    assert metadata.page.refcount == 2
    assert phone.mmu.entries == {0: metadata.page}
    assert repr(phone.gpu) == "<Gpu [1 buffers, 1 pages, 0 jobs, 1 isolated]>"
    hand.put_back()


def test_hook_isolate_page_takes_a_pooled_page_out_of_the_pool(phone: Phone) -> None:
    """Its list link is the VM's from now on, so the pool is smaller at once (vector 4)."""
    metadata, hand = phone.pooled(), phone.hand()

    assert hand.isolate(metadata.page)

    assert repr(phone.pool) == "<Pool [0 of 16384 pages]>"
    assert (metadata.status, metadata.isolated) == (PageStatus.MEM_POOL, True)
    hand.put_back()


def hold_its_lock(phone: Phone) -> None:
    only(phone.gpu.buffers[0]).migrate_lock.lock()


def free_it_while_mapped(phone: Phone) -> None:
    assert phone.gpu.map_cpu(0)
    assert phone.gpu.free(0)


def let_its_lock_go(phone: Phone) -> None:
    only(phone.gpu.buffers[0]).migrate_lock.unlock()


def nothing(phone: Phone) -> None:
    """There is nothing to be undone."""


REFUSALS: dict[str, tuple[Deed, Cause, Deed]] = {
    "the kernel has mapped it": (map_it, Cause.VMAPPED, unmap_it),
    "the display scans it out": (display_it, Cause.PINNED, nothing),
    "its user does not need it": (drop_it, Cause.UNMOVABLE, nothing),
    "its lock is held": (hold_its_lock, Cause.CONTENDED, let_its_lock_go),
    "it is on its way out": (free_it_while_mapped, Cause.TRANSITORY, unmap_it),
}


@pytest.mark.parametrize("situation", REFUSALS)
def test_a_page_is_not_isolated_when(situation: str, phone: Phone) -> None:
    """`False`, with its cause counted, and nothing has changed: compaction leaves it (D07)."""
    do, cause, undo = REFUSALS[situation]
    phone.buffer()
    do(phone)
    before = state(phone)

    phone.memory.compact_memory()

    assert phone.outcome() == {"refused": 1}
    assert phone.causes() == {cause: 1}
    assert state(phone) == before
    undo(phone)


def test_what_kept_a_page_may_end(phone: Phone) -> None:
    """No refusal is for good: kbase lets movability decay, this driver does not."""
    buffer = phone.buffer()
    display_it(phone)
    phone.memory.compact_memory()
    phone.gpu.blank()
    drop_it(phone)
    phone.memory.compact_memory()
    assert phone.gpu.will_need(0)
    old = only(buffer).page

    phone.memory.compact_memory()

    assert phone.outcome() == {"refused": 2, "isolated": 1, "migrated": 1}
    assert only(buffer).page != old


def test_who_may_not_wait_is_refused_a_busy_page_at_once(idle: Phone) -> None:
    """A refusal costs nothing; -EBUSY would cost a target page first (vector 28)."""
    buffer = idle.buffer()
    idle.gpu.submit(0)
    page = only(buffer).page
    page.get()
    page.lock()

    answers = [
        idle.gpu.isolate_page(page, IsolateMode.UNEVICTABLE | IsolateMode.ASYNC_MIGRATE),
        idle.gpu.finish(1),
        idle.gpu.isolate_page(page, IsolateMode.UNEVICTABLE | IsolateMode.ASYNC_MIGRATE),
    ]

    assert answers == [False, 1, True]
    assert idle.causes() == {Cause.BUSY: 1}
    idle.gpu.putback_page(page)
    page.unlock()
    page.put()


def test_a_page_that_is_isolated_already_must_not_be_asked_for(phone: Phone) -> None:
    """The VM's mistake, and said so."""
    buffer = phone.buffer()
    hand = phone.hand()
    hand.isolate(only(buffer).page)

    with pytest.raises(AuditFailed, match="is to be isolated once more"):
        phone.gpu.isolate_page(only(buffer).page, IsolateMode.UNEVICTABLE)

    hand.put_back()


def test_a_page_that_is_not_isolated_must_not_be_moved(phone: Phone) -> None:
    """Vector 36; the VM would leave it with a wrong count of references."""
    page, newpage = only(phone.buffer()).page, phone.memory.alloc_page()

    with pytest.raises(AuditFailed, match="is to be moved, and was not isolated"):
        phone.gpu.migratepage(phone.gpu.mapping, newpage, page, MigrateMode.SYNC)

    newpage.put()


# migratepage


def test_hook_migratepage_takes_everything_to_the_new_page(phone: Phone) -> None:
    """Slot, page table, number and contents; the metadata is the same (vector 12)."""
    buffer = phone.buffer()
    metadata = only(buffer)
    old, content = metadata.page, metadata.page.content

    phone.memory.compact_memory()

    new = metadata.page
    assert new != old
    assert phone.mmu.entries == {0: new}
    assert (new.content, new.private, new.refcount) == (content, metadata.number, 1)
    assert old.refcount == 0
    assert phone.outcome() == {"isolated": 1, "migrated": 1}


def test_a_page_is_moved_while_a_job_is_on_its_buffer(phone: Phone) -> None:
    """The GPU stands still for that long: fences do not matter to block_and_move."""
    buffer = phone.buffer()
    phone.gpu.submit(0)

    phone.memory.compact_memory()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert phone.gpu.finish(1) == 1
    assert only(buffer).page.content == buffer.contents[0]


def test_the_gpu_is_blocked_during_the_copy_and_no_longer(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of a page that the GPU may write to would be torn (I11)."""
    phone.buffer()
    phone.gpu.submit(0)
    slot, blocked = phone.gpu.hardware.slots[0], []
    copy_from, update = Page.copy_from, phone.mmu.update

    def copying(newpage: Page, page: Page) -> None:
        blocked.append(("copy", slot.region))
        copy_from(newpage, page)

    def updating(vpfn: int, page: Page) -> None:
        blocked.append(("update", slot.region))
        update(vpfn, page)

    monkeypatch.setattr(Page, "copy_from", copying)
    monkeypatch.setattr(phone.mmu, "update", updating)
    phone.memory.compact_memory()

    assert blocked == [("copy", range(1)), ("update", range(1))]
    assert slot.region is None


def test_an_idle_buffer_leaves_the_page_table_until_its_next_job(idle: Phone) -> None:
    """As a whole, though one page of it moves; who reads it meanwhile goes by its slots."""
    buffer = idle.buffer(2)
    before = idle.gpu.contents()

    idle.memory.compact_memory()

    assert idle.mmu.entries == {}
    assert (idle.gpu.contents(), buffer.bound) == (before, False)
    idle.gpu.submit(0)
    assert idle.mmu.entries == {i: page.page for i, page in enumerate(buffer.pages)}
    assert buffer.bound


def test_a_pooled_page_is_given_up_and_the_target_not_taken(phone: Phone) -> None:
    """Nobody misses what it holds, so both end with the VM, and it counts as moved (vector 4)."""
    metadata = phone.pooled()

    free = phone.memory.mem_map["refcount"].tolist().count(0)
    phone.memory.compact_memory()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert phone.gpu.events["discarded"] == 1
    assert phone.gpu.phy_pages.metadata == {}
    assert metadata.page.refcount == 0
    assert phone.memory.mem_map["refcount"].tolist().count(0) == free + 1


# putback_page


def test_hook_putback_page_leaves_no_trace_on_a_buffers_page(phone: Phone) -> None:
    """As if it had never been isolated (D20)."""
    buffer = phone.buffer()
    before = state(phone)
    hand = phone.hand()

    hand.isolate(only(buffer).page)
    hand.put_back()

    assert state(phone) == before
    assert phone.outcome() == {"isolated": 1, "putback": 1}


def test_a_pooled_page_does_not_return_to_the_pool(phone: Phone) -> None:
    """The pool may be gone by now, so the free worker gets it (vector 5)."""
    metadata = phone.pooled()
    hand = phone.hand()
    hand.isolate(metadata.page)

    hand.put_back()

    assert (metadata.status, phone.pool.cur_size) == (PageStatus.FREE_IN_PROGRESS, 0)
    phone.gpu.phy_pages.flush()
    assert metadata.page.refcount == 0


def test_two_gpus_have_nothing_in_common(phone: Phone) -> None:
    """Two devices, two page tables, two sets of locks."""
    other = Phone()
    phone.buffer()
    other.buffer()

    with other.context.region_lock:
        phone.memory.compact_memory()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    other.close()


# movable check


def test_a_pooled_page_that_was_put_back_is_given_up() -> None:
    """As in kbase: it is on its way to the VM, which is no broken promise (D20)."""
    report = check(Gpu, seed=39, scenes=["put back after -EBUSY"])

    assert report["D20"].status == PASSED
