"""Named races between a zram's users, its pool and the compactor (ZX-1 to ZX-14).

The compactor is the real one, and `Contract` watches every call of it. A zspage of four pages lies
at the start of memory, where compaction begins.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene, freed, one_object
from movable import Page
from movable.gfp import GFP_HIGHUSER_MOVABLE

TWO_IN_ONE = 2000
HUGE = 4096


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_all_pages_move_when_nobody_interferes(scene: Scene) -> None:
    """What the races below are compared with."""
    _, zspage, pages = one_object(scene)

    scene.compactor().finish()

    assert not set(zspage.pages) & set(pages)
    assert scene.zram.mapping.stats.migrated == 4
    assert scene.zram.read(1) == 1


# Freed under the compactor.


def test_a_zspage_freed_while_the_compactor_looks_at_a_page(scene: Scene) -> None:
    """The compactor's reference is then the last one, and dropping it frees the page."""
    slot, _, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)

    compactor.until("reference taken")
    user.finish()
    assert freed(pages) == [False, True, True, True]
    compactor.finish()

    assert freed(pages) == [True] * 4
    assert scene.zram.mapping.stats.isolated == 0


def test_a_zspage_freed_between_isolation_and_migration(scene: Scene) -> None:
    """Nobody has a page of it locked: all are given up at once, and no driver is asked (ZX-1)."""
    slot, _, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)

    compactor.until("isolate unlocked")
    user.finish()
    assert scene.pool.zspages == {}
    assert freed(pages) == [False, True, True, True]
    compactor.finish()

    stats = scene.zram.mapping.stats
    assert (stats.isolated, stats.released, stats.migrated) == (1, 1, 0)
    assert freed(pages) == [True] * 4


# Readers.


def test_a_migration_waits_for_a_reader_with_the_pool_locked(scene: Scene) -> None:
    """And so does everybody who wants something of the pool (ZS-69, ZX-5, ZX-6, ZM-2)."""
    slot, zspage, _ = one_object(scene)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)
    compactor = scene.compactor()
    other = scene.race.task("other", scene.swap_out, HUGE)

    reader.until("object mapped")
    compactor.until("target locked")
    scene.race.advance(compactor)
    assert compactor.waits_for == f"waits for {zspage.lock!r}"
    assert repr(zspage.lock) == "<RwLock zspage 1 [read by reader]>"
    assert repr(scene.pool.lock) == "<SpinLock pool lock [held by compactor]>"
    scene.race.advance(other)
    assert other.waits_for == f"waits for {scene.pool.lock!r}"
    reader.finish()
    compactor.finish()
    other.finish()

    stats = scene.zram.mapping.stats
    assert (stats.migrated, stats.again, stats.failed) == (4, 0, 0)
    assert reader.result is True


def test_a_reader_waits_for_a_migration(scene: Scene) -> None:
    """It gets the pool's lock only when the page has moved, and then reads in the new (ZX-5)."""
    slot, zspage, pages = one_object(scene)
    compactor = scene.compactor()
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)

    compactor.until("page copied")
    scene.race.advance(reader)
    assert reader.waits_for == f"waits for {scene.pool.lock!r}"
    assert scene.zram.read_back() == scene.zram.swapped
    compactor.until("objects moved")
    assert zspage.pages[3] != pages[3]
    assert reader.finish() is True
    compactor.finish()


def test_a_migration_waits_for_a_writer(scene: Scene) -> None:
    """What it writes is in the copy (ZS-69, ZI-9)."""
    writer = scene.race.task("writer", scene.swap_out, TWO_IN_ONE)
    compactor = scene.compactor()

    writer.until("object mapped")
    compactor.until("target locked")
    scene.race.advance(compactor)
    assert "waits for <RwLock zspage 1" in compactor.waits_for
    scene.race.run()

    assert scene.zram.mapping.stats.migrated == 1
    assert scene.zram.read_back() == scene.zram.swapped


def test_a_reader_of_another_zspage_is_not_waited_for(scene: Scene) -> None:
    """Zspages have locks of their own."""
    slot, _, _ = one_object(scene)
    [other] = scene.swap_out(TWO_IN_ONE)
    old = scene.frame(other)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)
    compactor = scene.compactor()

    reader.until("object mapped")
    compactor.until("objects moved")  # isolated last, moved first
    assert scene.frame(other) != old
    assert not reader.done
    scene.race.run()

    assert scene.zram.mapping.stats.migrated == 5


def test_a_slot_that_is_being_read_cannot_be_freed(scene: Scene) -> None:
    """Swap does not wait, and the object outlives its slot until that is written (ZR-7, ZX-14)."""
    slot, _, _ = one_object(scene)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)
    user = scene.race.task("user", scene.free, slot)

    reader.until("object mapped")
    user.finish()
    reader.finish()
    assert scene.zram.stats.miss_free == 1
    assert repr(scene.zram) == "<Zram [0 pages swapped out, <Pool [1 objects in 4 pages]>]>"
    assert scene.swap_out(HUGE) == [slot]

    assert repr(scene.pool) == "<Pool [1 objects in 1 pages]>"


# Reset.


def test_a_reset_waits_for_who_uses_the_device(scene: Scene) -> None:
    """What is being stored has its slot until it is there (reset_store())."""
    user = scene.race.task("user", scene.swap_out, HUGE)
    reset = scene.race.task("reset", scene.zram.reset)

    user.until("object mapped")
    scene.race.advance(reset)
    assert not reset.runnable
    user.finish()
    reset.finish()

    assert repr(scene.zram) == "<Zram [0 pages swapped out, <Pool [0 objects in 0 pages]>]>"


def test_a_user_waits_for_a_reset(scene: Scene) -> None:
    """And finds the device empty."""
    slots = scene.swap_out(HUGE, HUGE)
    reset = scene.race.task("reset", scene.zram.reset)
    reader = scene.race.task("reader", scene.zram.read, len(slots))
    second = scene.race.task("second", scene.zram.reset)

    scene.race.advance(reset)
    for waiting in (reader, second):
        scene.race.advance(waiting)
        assert not waiting.runnable
    scene.race.run()

    assert reader.result == 0
    assert repr(scene.zram.openers) == "<Openers [0]>"


# Building a zspage.


def test_pages_of_a_zspage_that_is_being_built_are_left_alone(scene: Scene) -> None:
    """They lie among movable ones, and are not published yet: nobody even tries their locks, so
    the pool's own cannot fail (ZS-40, ZS-41)."""
    user, compactor = scene.race.task("user", scene.swap_out, SEVEN_IN_FOUR), scene.compactor()

    user.until("zspage built")
    compactor.finish()
    assert scene.zram.mapping.stats.isolated == 0
    assert not {"page locked", "page lock busy"} & set(compactor.labels)
    [slot] = user.finish()

    scene.compactor("later").finish()
    assert scene.zram.mapping.stats.migrated == 4
    assert scene.zram.bvec_read(slot)


def test_two_who_find_no_room_build_a_zspage_each(scene: Scene) -> None:
    """What the other has built meanwhile is not looked at (ZS-40, ZX-12)."""
    one = scene.race.task("one", scene.zram.swap_out, 1)
    two = scene.race.task("two", scene.zram.swap_out, 1)
    scene.sizes.next_sizes.extend([TWO_IN_ONE, TWO_IN_ONE])

    one.until("no zspage has room")
    two.finish()
    one.finish()

    assert [zspage.inuse for zspage in scene.pool.zspages.values()] == [1, 1]


def test_an_allocation_of_its_own_may_move_its_pages(scene: Scene) -> None:
    """No lock is held then (ZS-39)."""
    slot, _, pages = one_object(scene)
    alloc_page = scene.memory.alloc_page

    def compacting(gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        scene.memory.compact_memory()
        return alloc_page(gfp)

    setattr(scene.memory, "alloc_page", compacting)  # noqa: B010  # mypy refuses the assignment
    scene.swap_out(HUGE)

    assert not set(scene.zspage(slot).pages) & set(pages)
    assert scene.zram.read(2) == 2


# Several at once.


def test_two_compactors_move_two_pages_of_one_zspage(scene: Scene) -> None:
    """One after the other; each finds the chain as the other left it (ZX-9)."""
    _, zspage, pages = one_object(scene)
    first = scene.race.task("first", scene.migrate, scene.isolate(pages[0]))
    second = scene.race.task("second", scene.migrate, scene.isolate(pages[2]))

    first.until("page copied")
    second.until("target locked")
    scene.race.advance(second)
    assert second.waits_for == f"waits for {scene.pool.lock!r}"
    scene.race.run()

    assert [page in pages for page in zspage.pages] == [False, True, False, True]
    assert scene.zram.read(1) == 1


def test_objects_and_pages_move_at_once(scene: Scene) -> None:
    """Compaction inside the pool waits for the page, and finds the objects where it went (ZX-7)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    compactor = scene.compactor()
    packer = scene.race.task("packer", scene.zram.compact)

    compactor.until("page copied")
    scene.race.advance(packer)
    assert packer.waits_for == f"waits for {scene.pool.lock!r}"
    scene.race.run()

    assert packer.result == 1
    assert len(scene.pool.zspages) == 1
    assert scene.zram.read(2) == 2


@pytest.mark.parametrize("place", range(1, 60))
def test_no_place_to_interrupt_the_compactor_loses_an_object(place: int) -> None:
    """Wherever users and the pool's own compaction come between, every slot reads the same."""
    scene = Scene()
    slots = scene.swap_out(SEVEN_IN_FOUR, *[TWO_IN_ONE] * 4, HUGE, HUGE)
    scene.free(slots[1], slots[3])
    compactor = scene.compactor()
    scene.race.task("free", scene.free, slots[0], slots[5])
    scene.race.task("swap out", scene.swap_out, SEVEN_IN_FOUR, HUGE)
    scene.race.task("read", scene.zram.read, 3)
    scene.race.task("pack", scene.zram.compact)

    while len(compactor.labels) < place and not compactor.done:
        scene.race.advance(compactor)
    scene.race.run()

    assert len(scene.zram.swapped) == 5
    scene.close()
