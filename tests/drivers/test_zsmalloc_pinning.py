"""The locks of Linux 4.8: what is refused, tried again, given up on (ZS-32, ZS-44, ZS-67, ZS-73).

`Contract` watches every call: whoever says no has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene, freed, one_object
from movable import MigrateMode
from movable.invariant import hold_invariants
from movable_zsmalloc import Fullness

TWO_IN_ONE, HUGE = 2000, 4096


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene(locking="4.8")
    yield scene
    scene.close()


@pytest.mark.parametrize("size", [24, SEVEN_IN_FOUR, HUGE])
def test_pages_move_with_what_every_slot_reads(scene: Scene, size: int) -> None:
    """Nobody uses an object, so no pin fails."""
    slots = scene.swap_out(*[size] * 5)
    zspages = {scene.zspage(slot) for slot in slots}
    before = {page for zspage in zspages for page in zspage.pages}

    scene.memory.compact_memory()

    assert not before & {page for zspage in zspages for page in zspage.pages}
    assert scene.zram.mapping.stats.migrated == len(before)
    assert scene.zram.read(5) == 5


# Isolate.


def test_a_zspage_that_waits_to_be_freed_is_refused(scene: Scene) -> None:
    """It is empty, so its pages are worth nothing: False, and nothing has changed (ZS-67)."""
    slot, zspage, pages = one_object(scene)
    pages[2].lock()
    scene.free(slot)
    pages[2].unlock()
    assert zspage.fullness is Fullness.EMPTY

    scene.memory.compact_memory()

    stats = scene.zram.mapping.stats
    assert (stats.refused, stats.isolated) == (4, 0)
    assert zspage.pages == pages
    assert list(zspage.size_class.fullness_list[Fullness.EMPTY]) == [zspage]


def test_nothing_new_is_put_into_an_isolated_zspage(scene: Scene) -> None:
    """It is on no list until its last page is back (ZS-67, ZS-77, ZX-4)."""
    _, zspage, pages = one_object(scene)
    cc = scene.isolate(pages[0], pages[1])
    listed = zspage.size_class.fullness_list[Fullness.ALMOST_EMPTY]
    assert (zspage.isolated, list(listed)) == (2, [])

    [other] = scene.swap_out(SEVEN_IN_FOUR)
    assert scene.zspage(other) is not zspage
    scene.putback(cc)

    # It has no more objects than the first of the list, and so comes first itself.
    assert list(listed) == [zspage, scene.zspage(other)]
    assert scene.zram.read(2) == 2


# Migrate.


def test_a_pinned_object_is_tried_again_and_then_put_back(scene: Scene) -> None:
    """A user has the pin and not yet the zspage: waiting for it would be a deadlock. The page with
    the object is refused ten times, every other page moves (-EAGAIN; ZS-73, ZX-6)."""
    slot, zspage, pages = one_object(scene)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)

    reader.until("handle pinned")
    scene.compactor().finish()

    stats = scene.zram.mapping.stats
    assert (stats.migrated, stats.again, stats.putback) == (3, 10, 1)
    assert zspage.pages[0] == pages[0]
    assert zspage.fullness is Fullness.ALMOST_EMPTY
    assert zspage in zspage.size_class.fullness_list[Fullness.ALMOST_EMPTY]
    assert reader.finish() is True


def test_pins_taken_before_one_fails_are_given_back(scene: Scene) -> None:
    """The third object of a page is pinned; the first two can be used at once (ZS-73)."""
    slots = scene.swap_out(*[24] * 4)
    handles = [scene.handle(slot) for slot in slots]
    reader = scene.race.task("reader", scene.zram.bvec_read, slots[2])

    reader.until("handle pinned")
    scene.migrate(scene.isolate(scene.frame(slots[0]), mode=MigrateMode.ASYNC))

    assert scene.zram.mapping.stats.again == 10
    pins = [scene.pool.trypin(handle) for handle in handles]
    assert pins == [True, True, False, True]
    for handle, taken in zip(handles, pins, strict=True):
        if taken:
            scene.pool.unpin(handle)
    reader.finish()


def test_a_migration_waits_for_a_reader_without_the_class_lock(scene: Scene) -> None:
    """So users of the class go on (the parallelism matrix, ZX-5)."""
    slot, zspage, _ = one_object(scene)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)
    compactor = scene.compactor()
    other = scene.race.task("other", scene.swap_out, SEVEN_IN_FOUR)

    reader.until("object mapped")
    compactor.until("target locked")
    scene.race.advance(compactor)
    assert compactor.waits_for == f"waits for {zspage.lock!r}"
    other.finish()
    assert not reader.done
    scene.race.run()

    stats = scene.zram.mapping.stats
    assert (stats.migrated, stats.again) == (4, 0)
    assert scene.zram.read(2) == 2


def test_another_class_is_not_waited_for(scene: Scene) -> None:
    """Each has a lock of its own; in 6.1 the pool has one."""
    one_object(scene)
    compactor, other = scene.compactor(), scene.race.task("other", scene.swap_out, HUGE)

    compactor.until("page copied")
    assert other.finish()
    assert "objects moved" not in compactor.labels
    scene.race.run()

    assert scene.zram.mapping.stats.migrated >= 4


def test_a_zspage_that_falls_empty_while_isolated_is_busy(scene: Scene) -> None:
    """It is not freed under the VM. The migration says -EBUSY once, and putback leaves the zspage
    to the work item (ZS-44, ZS-73, ZS-77, ZX-1, D21)."""
    slot, zspage, pages = one_object(scene)
    cc = scene.isolate(pages[1])

    scene.free(slot)
    assert scene.pool.zspages == {zspage.number: zspage}
    hold_invariants(scene.zram)
    assert scene.migrate(cc) == 1

    stats = scene.zram.mapping.stats
    assert (stats.failed, stats.again, stats.putback, stats.released) == (1, 0, 1, 0)
    assert list(zspage.size_class.fullness_list[Fullness.EMPTY]) == [zspage]
    assert freed(pages) == [False] * 4
    scene.pool.free_work.flush()
    assert freed(pages) == [True] * 4


def test_a_migration_without_copying_is_refused(scene: Scene) -> None:
    """4.8 had no such mode; asked all the same, the answer is -EINVAL."""
    slot, _, pages = one_object(scene)

    assert scene.migrate(scene.isolate(pages[0], mode=MigrateMode.SYNC_NO_COPY)) == 1

    assert scene.zram.mapping.stats.putback == 1
    assert scene.frame(slot) == pages[0]


def test_a_reset_waits_for_what_is_isolated(scene: Scene) -> None:
    """However long the VM keeps it; before 2019 it would have come back to no pool (ZS-56)."""
    _, _, pages = one_object(scene)
    mover = scene.race.task("mover", scene.migrate, scene.isolate(pages[0]))
    user = scene.race.task("user", scene.zram.reset)

    for _ in range(5):
        user.until("pool not empty")
    assert not user.done
    mover.finish()
    user.finish()

    assert freed(pages) == [True] * 4
    assert scene.zram.mapping.stats.putback == 1


# Objects.


def test_compaction_leaves_objects_in_use_where_they_are(scene: Scene) -> None:
    """And then their zspage, too (ZS-61)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    source = next(iter(scene.zspage(slots[1]).size_class.fullness_list[Fullness.ALMOST_EMPTY]))
    [used] = [slot for slot in (slots[1], slots[3]) if scene.zspage(slot) is source]
    reader = scene.race.task("reader", scene.zram.bvec_read, used)
    packer = scene.race.task("packer", scene.zram.compact)

    reader.until("object mapped")
    assert packer.finish() == 0
    assert scene.zspage(used) is source
    reader.finish()

    assert scene.zram.compact() == 1


def test_compaction_does_not_see_isolated_zspages(scene: Scene) -> None:
    """They are on no list (ZS-63, ZX-7)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    cc = scene.isolate(scene.frame(slots[1]))

    assert scene.zram.compact() == 0

    scene.putback(cc)
    assert scene.zram.compact() == 1


@pytest.mark.parametrize("place", range(1, 60))
def test_no_place_to_interrupt_the_compactor_loses_an_object(place: int) -> None:
    """Wherever users and the pool's own compaction come between, every slot reads the same."""
    scene = Scene(locking="4.8")
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
