"""Named races with who uses a page: kernel mappings, other moves, jobs (R10 to R21).

The compactor is the real one, and `Contract` watches every call of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.gpu_phones import Phone, only
from movable.invariant import hold_invariants
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


# Kernel mappings.


def test_r10_a_page_is_mapped_between_isolate_and_migrate(phone: Phone) -> None:
    """-EAGAIN in each of ten passes, then putback; who mapped it still reads live data."""
    buffer = phone.buffer()
    metadata = only(buffer)
    old = metadata.page
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    compactor.until("isolate unlocked")
    assert user.finish()
    compactor.finish()

    assert phone.outcome() == {"isolated": 1, "again": 10, "putback": 1}
    assert phone.causes() == {Cause.VMAPPED: 10}
    assert (metadata.page, metadata.vmap_count, metadata.isolated) == (old, 1, False)
    assert phone.gpu.write_cpu(0)
    assert phone.gpu.contents() == {(0, 0): old.content}


def test_r10_a_page_is_mapped_between_the_first_look_and_the_locks(phone: Phone) -> None:
    """It is looked at again, or the mapping would name a frame that is free."""
    buffer = phone.buffer()
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    compactor.until("state read")
    assert user.finish()
    compactor.until("migrate returned")
    assert phone.causes() == {Cause.VMAPPED: 1}
    phone.gpu.unmap_cpu(0)
    compactor.finish()

    assert phone.outcome() == {"isolated": 1, "migrated": 1, "again": 1}
    assert only(buffer).vmap_count == 0


def test_r11_a_page_is_mapped_while_isolated_and_then_freed(phone: Phone) -> None:
    """Freed under a live mapping it would be written to by nobody knows whom: it stays until the
    last mapping goes."""
    buffer = phone.buffer()
    metadata = only(buffer)
    hand = phone.hand()

    assert hand.isolate(metadata.page)
    assert [phone.gpu.map_cpu(0), phone.gpu.map_cpu(0)] == [True, True]
    assert phone.gpu.free(0)
    assert metadata.status.name == "FREE_ISOLATED_IN_PROGRESS"
    hand.migrate()
    assert phone.outcome() == {"isolated": 1, "again": 10}
    hand.put_back()
    assert metadata.status.name == "FREE_AFTER_VUNMAP"
    assert phone.gpu.unmap_cpu(0)
    assert metadata.page.refcount == 1
    hold_invariants(phone.gpu)
    assert phone.gpu.unmap_cpu(0)

    assert metadata.page.refcount == 0
    assert phone.gpu.buffers == {}


def test_r11_the_mapping_goes_before_the_page_is_put_back(phone: Phone) -> None:
    """Then putback hands it to the worker itself."""
    buffer = phone.buffer()
    metadata = only(buffer)
    hand = phone.hand()

    hand.isolate(metadata.page)
    phone.gpu.map_cpu(0)
    phone.gpu.free(0)
    phone.gpu.unmap_cpu(0)
    assert metadata.status is PageStatus.FREE_ISOLATED_IN_PROGRESS
    hand.put_back()
    phone.gpu.phy_pages.flush()

    assert metadata.page.refcount == 0


def test_isolate_meets_a_page_that_is_just_being_mapped(phone: Phone) -> None:
    """Its migrate_lock is held, and isolate_page does not wait for it."""
    buffer = phone.buffer()
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    user.until("vmap counted")
    compactor.finish()
    user.finish()

    assert phone.outcome() == {"refused": 1}
    assert phone.causes() == {Cause.CONTENDED: 1}
    assert only(buffer).vmap_count == 1


def test_migrate_meets_a_page_that_is_just_being_mapped(phone: Phone) -> None:
    """A fully synchronous move spins on migrate_lock until the mapping is counted."""
    buffer = phone.buffer()
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    compactor.until("isolate unlocked")
    user.until("vmap counted")
    compactor.finish()

    assert user.done
    assert phone.outcome() == {"isolated": 1, "again": 10, "putback": 1}
    assert phone.causes() == {Cause.VMAPPED: 10}
    assert only(buffer).vmap_count == 1


# Locks that are held.


def test_a_move_gives_up_while_another_holds_the_buffers(phone: Phone) -> None:
    """Polled ten times and not slept on: its holder may be who allocates (-EBUSY, once)."""
    buffer = phone.buffer()
    metadata = only(buffer)
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    compactor.until("state read")
    user.until("vmap counted")
    compactor.finish()

    assert compactor.labels.count("lock polled") == 10
    assert phone.outcome() == {"isolated": 1, "failed": 1, "putback": 1}
    assert phone.causes() == {Cause.LOCKED: 1}
    assert not metadata.isolated
    user.finish()


def test_a_move_waits_for_a_lock_that_is_soon_free(phone: Phone) -> None:
    """Within its polls the lock's holder gets to run, and the page moves after all."""
    phone.free_low(2)
    phone.gpu.allocate(2, 1)
    compactor, user = phone.compactor(), phone.task("map_cpu", 0)

    compactor.until("state read")  # of the page that was isolated last, buffer 1's
    user.until("vmap counted")
    compactor.until("lock polled")
    user.finish()
    compactor.finish()

    assert phone.outcome() == {"isolated": 2, "migrated": 1, "again": 10, "putback": 1}
    assert phone.causes() == {Cause.VMAPPED: 10}


def test_r19_two_compactors_want_one_page(phone: Phone) -> None:
    """The second finds the page locked, or isolated, and leaves it."""
    buffer = phone.buffer()
    first, second = phone.compactor("first"), phone.compactor("second")

    first.until("page locked")
    second.until("isolate gave up")
    first.until("isolate unlocked")
    second.finish()
    first.finish()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert only(buffer).page.refcount == 1


def test_r19_two_compactors_move_pages_of_one_buffer(phone: Phone) -> None:
    """One move at a time: the other polls region_lock, gives up, and puts its page back."""
    phone.buffer(2)
    first, second = phone.compactor("first"), phone.compactor("second")

    first.until("isolate unlocked")
    second.until("isolate unlocked")
    first.until("region locked")
    second.finish()
    first.finish()

    assert phone.outcome() == {"isolated": 2, "migrated": 1, "failed": 1, "putback": 1}
    assert phone.causes() == {Cause.LOCKED: 1}


# The GPU at work.


@pytest.mark.parametrize("place", ["region locked", "page copied"])
def test_r13_the_gpu_stands_still_while_its_page_moves(phone: Phone, place: str) -> None:
    """It would write to the old frame after that was copied: its access waits, and finds the new
    frame."""
    buffer = phone.buffer()
    phone.gpu.submit(0)
    compactor, gpu = phone.compactor(), phone.task("finish", 1)

    compactor.until(place)
    phone.race.advance(gpu)
    assert not gpu.runnable
    phone.race.run()

    assert phone.gpu.events["migrated"] == 1
    assert only(buffer).page.content == buffer.contents[0]


@pytest.mark.parametrize(("pages", "waits"), [(1, False), (8, True)])
def test_r13_what_lies_in_the_same_region_waits_too(pages: int, waits: bool) -> None:
    """32 KiB were blocked at least before architecture 12, 4 KiB since."""
    phone = Phone(lock_region_pages=pages)
    phone.free_low(2)
    phone.gpu.allocate(2, 1)
    phone.gpu.submit(0)
    compactor, gpu = phone.compactor(), phone.task("finish", 1)

    compactor.until("region locked")  # of the page that was isolated last, buffer 1's
    phone.race.advance(gpu)
    assert gpu.runnable is not waits
    phone.race.run()

    phone.close()


def test_r20_a_job_is_submitted_while_its_buffer_moves(idle: Phone) -> None:
    """It waits for the buffer's resv, and then maps the new frame for the GPU."""
    buffer = idle.buffer()
    compactor, user = idle.compactor(), idle.task("submit", 0)

    compactor.until("page copied")
    idle.race.advance(user)
    assert "<Resv resv of buffer 0 [held by compactor]>" in repr(user)
    idle.race.run()

    assert user.result
    assert idle.mmu.entries == {0: only(buffer).page}
    assert idle.gpu.finish(1) == 1


def test_r20_a_buffer_becomes_evictable_before_a_job_gets_its_resv(idle: Phone) -> None:
    """The job looks at the buffer once more when it has the lock, and is not submitted."""
    buffer = idle.buffer()
    compactor = idle.compactor()
    submitter, dropper = idle.task("submit", 0), idle.task("dont_need", 0)

    compactor.until("page copied")
    idle.race.advance(submitter)
    compactor.finish()
    assert dropper.finish()
    assert not submitter.finish()

    assert not buffer.bound
    assert repr(buffer) == "<Buffer 0 [1 pages evictable]>"


def test_r20_a_job_is_being_submitted_when_its_buffer_is_to_move(idle: Phone) -> None:
    """The job was there first: the fence is seen under resv, and the move gives up."""
    idle.buffer()
    compactor, user = idle.compactor(), idle.task("submit", 0)

    compactor.until("state read")
    user.finish()
    compactor.finish()

    assert idle.outcome() == {"isolated": 1, "failed": 1, "putback": 1}
    assert idle.causes() == {Cause.BUSY: 1}


def test_r21_a_fence_signals_while_a_move_waits_for_it(idle: Phone) -> None:
    """Within the polls of a synchronous move: it goes on as if the buffer had been idle."""
    buffer = idle.buffer()
    idle.gpu.submit(0)
    compactor, gpu = idle.compactor(), idle.task("finish", 1)

    compactor.until("fence polled")
    gpu.finish()
    compactor.finish()

    assert idle.outcome() == {"isolated": 1, "migrated": 1}
    assert not buffer.bound
    assert only(buffer).page.content == buffer.contents[0]


def test_r21_a_fence_never_signals(idle: Phone) -> None:
    """The wait is bounded: -EBUSY, the page is put back, and the job still has its mapping."""
    buffer = idle.buffer()
    idle.gpu.submit(0)
    before = dict(idle.mmu.entries)
    compactor = idle.compactor()

    compactor.finish()

    assert compactor.labels.count("fence polled") == 3
    assert idle.outcome() == {"isolated": 1, "failed": 1, "putback": 1}
    assert idle.causes() == {Cause.BUSY: 1}
    assert idle.mmu.entries == before
    assert repr(buffer) == "<Buffer 0 [1 pages busy]>"


def test_the_gpu_signals_a_fence_without_a_lock_of_the_buffer(idle: Phone) -> None:
    """Whoever waits for the fence may hold any of them (the rules of dma-fence)."""
    idle.buffer()
    idle.gpu.submit(0)
    gpu = idle.task("finish", 1)
    locks = [idle.context.region_lock, idle.mmu.mmu_lock, idle.gpu.buffers[0].resv]

    for lock in locks:
        lock.lock()
    assert gpu.finish() == 1
    for lock in locks:
        lock.unlock()
