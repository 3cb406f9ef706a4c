"""Named races over a page's life: allocated, freed, purged, put back (R1 to R9, R23, R24).

The compactor is the real one, and `Contract` watches every call of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.gpu_phones import Phone, only
from movable_gpu.causes import Cause
from movable_gpu.page_metadata import PageStatus


@pytest.fixture
def phone() -> Iterator[Phone]:
    phone = Phone()
    yield phone
    phone.close()


def test_all_pages_move_when_nobody_interferes(phone: Phone) -> None:
    """What the races below are compared with."""
    buffer = phone.buffer(3)
    before = {metadata.page.pfn for metadata in buffer.pages}

    phone.compactor().finish()

    assert phone.outcome() == {"isolated": 3, "migrated": 3}
    assert before.isdisjoint(metadata.page.pfn for metadata in buffer.pages)


# Pooled pages.


def test_r1_a_pooled_page_is_allocated_while_isolate_looks_at_it(phone: Phone) -> None:
    """The VM has seen that it is pooled, but not locked the pool: it looks again, and refuses."""
    metadata = phone.pooled()
    compactor, user = phone.compactor(), phone.task("allocate", 1, 1)

    compactor.until("pooled page seen")
    assert phone.pool.isolation_in_progress_cnt == 1
    assert user.finish() == 1
    compactor.finish()

    assert phone.outcome() == {"refused": 1}
    assert phone.causes() == {Cause.POOL_CONTENDED: 1}
    assert metadata.status is PageStatus.ALLOCATED_MAPPED
    assert only(phone.gpu.buffers[0]) is metadata
    assert phone.pool.isolation_in_progress_cnt == 0


def test_r1_the_pool_is_locked_while_isolate_wants_a_page_of_it(phone: Phone) -> None:
    """isolate_page only tries the lock, so it answers `False`, and the page stays pooled."""
    metadata = phone.pooled()
    compactor, user = phone.compactor(), phone.task("allocate", 1, 1)

    user.until("pool locked")
    compactor.finish()
    assert phone.causes() == {Cause.POOL_CONTENDED: 1}
    assert metadata.status is PageStatus.MEM_POOL
    assert repr(phone.pool) == "<Pool [1 of 16384 pages]>"
    user.finish()

    assert phone.outcome() == {"refused": 1}
    assert only(phone.gpu.buffers[0]) is metadata


def test_r8_the_pool_is_emptied_while_isolate_looks_at_a_page_of_it(phone: Phone) -> None:
    """The page is with the free worker when the pool is locked: refused, and freed once."""
    metadata = phone.pooled()
    compactor, shrinker = phone.compactor(), phone.task("shrink", 1)

    compactor.until("pooled page seen")
    shrinker.until("pool locked")
    phone.race.run()

    assert phone.outcome() == {"refused": 1}
    assert metadata.page.refcount == 0
    assert phone.gpu.phy_pages.metadata == {}


def test_r9_the_pool_is_emptied_after_a_page_of_it_was_isolated(phone: Phone) -> None:
    """The page has left the pool, so it is neither counted nor freed twice."""
    metadata = phone.pooled()
    compactor, shrinker = phone.compactor(), phone.task("shrink", 1)

    compactor.until("isolate unlocked")
    assert shrinker.finish() == 0
    compactor.finish()

    assert phone.gpu.events == {"isolated": 1, "migrated": 0, "discarded": 1, "putback": 0}
    assert metadata.page.refcount == 0


def test_r8_the_gpu_is_removed_while_isolate_looks_at_a_pooled_page(phone: Phone) -> None:
    """The end of its pool waits until isolation looks at it no more."""
    phone.pooled()
    compactor, user = phone.compactor(), phone.task("remove")

    compactor.until("pooled page seen")
    for _ in range(20):
        phone.race.advance(user) if user.runnable else None
    assert repr(user) == "<Task remove [at 'isolation in progress']>"
    phone.race.run()

    assert phone.causes() == {Cause.POOL_CONTENDED: 1}
    assert repr(phone.gpu) == "<Gpu [0 buffers, 0 pages, 0 jobs, 0 isolated]>"


# Pages of buffers.


def test_r2_a_page_freed_after_it_was_isolated(phone: Phone) -> None:
    """It is not the driver's to queue: it waits as FREE_ISOLATED until migration drops it."""
    buffer = phone.buffer()
    metadata = only(buffer)
    compactor, user = phone.compactor(), phone.task("free", 0)

    compactor.until("isolate unlocked")
    assert user.finish()
    assert metadata.status is PageStatus.FREE_ISOLATED_IN_PROGRESS
    assert phone.mmu.entries == {}
    assert metadata.page.refcount == 2
    compactor.finish()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert phone.gpu.events["discarded"] == 1
    assert phone.gpu.phy_pages.metadata == {}
    assert metadata.page.refcount == 0


def test_r2_a_page_freed_after_it_was_isolated_is_put_back(phone: Phone) -> None:
    """Putback has the free worker drop it, exactly once."""
    buffer = phone.buffer()
    metadata = only(buffer)
    hand = phone.hand()

    assert hand.isolate(metadata.page)
    assert phone.gpu.free(0)
    hand.put_back()
    assert metadata.status is PageStatus.FREE_IN_PROGRESS
    assert phone.gpu.phy_pages.free_pages_list.name == "free_pages_list"
    assert metadata.page in phone.gpu.phy_pages.free_pages_list
    phone.gpu.phy_pages.flush()

    assert phone.outcome() == {"isolated": 1, "putback": 1}
    assert metadata.page.refcount == 0


def test_r3_a_page_freed_between_the_first_look_and_the_locks(phone: Phone) -> None:
    """Looked at again under the locks: -EAGAIN, and the next pass sees that it was freed."""
    buffer = phone.buffer()
    metadata = only(buffer)
    compactor, user = phone.compactor(), phone.task("free", 0)

    compactor.until("state read")
    assert user.finish()
    compactor.finish()

    assert phone.outcome() == {"isolated": 1, "migrated": 1, "again": 1}
    assert phone.causes() == {Cause.FREED: 1}
    assert phone.gpu.events["discarded"] == 1
    assert metadata.page.refcount == 0


@pytest.mark.parametrize("place", ["region locked", "page copied", "entry rewritten"])
def test_r4_a_page_freed_during_its_move(phone: Phone, place: str) -> None:
    """Who frees waits for region_lock, and then finds the new frame in the slot."""
    buffer = phone.buffer()
    metadata = only(buffer)
    old = metadata.page
    compactor, user = phone.compactor(), phone.task("free", 0)

    compactor.until(place)
    phone.race.advance(user)
    assert not user.runnable
    assert "<Mutex region_lock [held by compactor]>" in repr(user)
    phone.race.run()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert metadata.page != old
    assert metadata.status is PageStatus.MEM_POOL
    assert (old.refcount, metadata.page.refcount) == (0, 1)


def test_r5_a_buffer_becomes_evictable_while_a_page_of_it_is_isolated(phone: Phone) -> None:
    """It cannot be moved any more, which lasts: -EBUSY, once, and it is put back."""
    buffer = phone.buffer()
    compactor, user = phone.compactor(), phone.task("dont_need", 0)

    compactor.until("isolate unlocked")
    assert user.finish()
    compactor.finish()

    assert phone.outcome() == {"isolated": 1, "failed": 1, "putback": 1}
    assert phone.causes() == {Cause.UNMOVABLE: 1}
    assert only(buffer).status is PageStatus.NOT_MOVABLE
    assert not only(buffer).isolated


def test_r5_an_evictable_page_is_purged_while_it_is_isolated(phone: Phone) -> None:
    """The list link is the VM's, so the shrinker must not queue the page for the worker."""
    buffer = phone.buffer(2)
    isolated, other = buffer.pages
    hand = phone.hand()

    assert hand.isolate(isolated.page)
    assert phone.gpu.dont_need(0)
    assert phone.gpu.shrink(2) == 2
    assert isolated.status is PageStatus.FREE_ISOLATED_IN_PROGRESS
    assert (isolated.page.refcount, other.page.refcount) == (2, 0)
    hand.migrate()
    hand.put_back()

    assert phone.outcome() == {"isolated": 1, "migrated": 1}
    assert isolated.page.refcount == 0
    assert phone.gpu.contents() == {(0, 0): None, (0, 1): None}


def test_r6_the_shrinker_waits_for_a_move(phone: Phone) -> None:
    """It takes no region_lock, but the page table's."""
    phone.free_low(2)
    phone.gpu.allocate(2, 1)
    moved, purged = phone.gpu.buffers.values()
    phone.gpu.dont_need(1)
    compactor, shrinker = phone.compactor(), phone.task("shrink", 1)

    compactor.until("region locked")
    phone.race.advance(shrinker)
    assert "<Mutex mmu_lock [held by compactor]>" in repr(shrinker)
    phone.race.run()

    assert shrinker.result == 1
    assert list(purged.pages) == []
    assert phone.gpu.events["migrated"] == 1
    assert only(moved).page.refcount == 1


@pytest.mark.parametrize("place", ["isolate unlocked", "state read", "region locked"])
def test_r7_the_gpu_is_removed_while_the_compactor_has_a_page(phone: Phone, place: str) -> None:
    """Nothing that the move needs may be gone before the move has ended."""
    phone.buffer()
    compactor, user = phone.compactor(), phone.task("remove")

    compactor.until(place)
    for _ in range(20):
        phone.race.advance(user) if user.runnable else None
    assert not user.done
    phone.race.run()

    assert phone.gpu.phy_pages.metadata == {}
    assert phone.mmu.entries == {}


# The free worker.


def test_r23_the_compactor_looks_at_a_page_that_the_worker_frees(phone: Phone) -> None:
    """No reference can be had of a free page."""
    metadata = phone.pooled()
    phone.race.task("shrinker", phone.gpu.shrink, 1).finish()

    phone.compactor().finish()

    assert phone.outcome() == {}
    assert metadata.page.refcount == 0


def test_r24_the_worker_wants_a_page_that_the_compactor_looks_at(phone: Phone) -> None:
    """It sleeps on the page lock; the compactor is refused, and its reference is the last."""
    metadata = phone.pooled()
    compactor, shrinker = phone.compactor(), phone.task("shrink", 1)

    compactor.until("page locked")
    phone.race.advance(shrinker)
    while not any(task.name == "free worker" for task in phone.race.tasks):
        phone.race.advance(shrinker)
    worker = next(task for task in phone.race.tasks if task.name == "free worker")
    worker.until("taken by the free worker")
    phone.race.advance(worker)
    assert not worker.runnable
    phone.race.run()

    assert phone.outcome() == {"refused": 1}
    assert phone.causes() == {Cause.TRANSITORY: 1}
    assert metadata.page.refcount == 0


@pytest.mark.parametrize("place", ["putback locked", "unlocked", "source put"])
def test_r24_the_worker_frees_a_page_that_is_being_put_back(phone: Phone, place: str) -> None:
    """Whoever drops the last reference frees it, the worker or the VM."""
    buffer = phone.buffer()
    metadata = only(buffer)
    hand = phone.hand()
    hand.isolate(metadata.page)
    phone.gpu.free(0)
    putter = phone.race.task("VM", hand.put_back)

    putter.until(place)
    phone.race.run()
    phone.gpu.phy_pages.flush()

    assert phone.outcome() == {"isolated": 1, "putback": 1}
    assert metadata.page.refcount == 0


OPERATIONS = {
    "allocate": (2, 2),
    "free": (0,),
    "submit": (0,),
    "finish": (2,),
    "map_cpu": (0,),
    "dont_need": (1,),
    "shrink": (3,),
    "render": (2,),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("strategy", ["block_and_move", "idle_and_rebind"])
def test_no_place_to_interrupt_the_compactor_loses_a_page(strategy: str, name: str) -> None:
    """Wherever an operation comes between, everything adds up in the end."""
    for place in range(1, 60, 3):
        phone = Phone(strategy=strategy, fence_wait_sync_ms=3)
        phone.free_low(5)
        phone.gpu.allocate(2, 2)
        phone.gpu.allocate(1, 1)
        phone.gpu.free(2)
        phone.gpu.submit(1) if name == "finish" else None
        compactor = phone.compactor()
        phone.task(name, *OPERATIONS[name])
        while len(compactor.labels) < place and not compactor.done:
            phone.race.advance(compactor)
        phone.race.run()
        phone.close()
