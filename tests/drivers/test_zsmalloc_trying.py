"""zsmalloc with the locks of Linux 7.2, which waits for nobody (ZS-64, ZS-68, ZS-75, ZS-76, E)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene, one_object
from movable import IsolateMode, MigrateMode, MigrateResult
from movable_zsmalloc import InuseRatio

TWO_IN_ONE = 2000


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene(locking="7.2")
    yield scene
    scene.close()


def test_a_page_in_use_is_refused_at_once(scene: Scene) -> None:
    """Its readers may take long: -EBUSY, once, and everything is as it was (ZS-75, ZX-6)."""
    slot, zspage, pages = one_object(scene)
    reader = scene.race.task("reader", scene.zram.bvec_read, slot)

    reader.until("object mapped")
    scene.migrate(scene.isolate(*pages))

    stats = scene.zram.mapping.stats
    assert (stats.migrated, stats.again, stats.failed, stats.putback) == (0, 0, 4, 4)
    assert zspage.pages == pages
    assert not scene.pool.locks()[0].is_locked()
    assert reader.finish() is True
    scene.move(pages[1])


def test_objects_come_while_pages_of_their_zspage_are_isolated(scene: Scene) -> None:
    """Isolation is not even counted (ZS-68, ZS-76, ZX-4)."""
    _, zspage, pages = one_object(scene)
    cc = scene.isolate(*pages)

    [other] = scene.swap_out(SEVEN_IN_FOUR)

    assert scene.zspage(other) is zspage
    assert zspage.isolated == 0
    assert scene.migrate(cc) == 0
    assert scene.zram.read(2) == 2


def test_a_page_without_a_zspage_is_let_go(scene: Scene) -> None:
    """It was destroyed while nobody had the page locked: isolate refuses, migrate has nothing to do
    (ZS-68, ZS-75, ZX-1)."""
    page, newpage = scene.memory.alloc_page(), scene.memory.alloc_page()

    assert not scene.zram.isolate_page(page, IsolateMode.UNEVICTABLE)
    assert scene.zram.pages.migrate(newpage, page, MigrateMode.SYNC) == MigrateResult.SUCCESS

    assert (page.refcount, newpage.refcount) == (1, 1)
    page.put()
    newpage.put()


def test_users_of_other_classes_go_on_while_an_object_is_freed(scene: Scene) -> None:
    """Only who moves something has the pool to himself (the parallelism matrix)."""
    [small, large] = scene.swap_out(24, TWO_IN_ONE)
    freeing = scene.race.task("freeing", scene.free, small)

    freeing.until("object found")
    assert scene.race.task("reader", scene.zram.bvec_read, large).finish()
    [again] = scene.race.task("writer", scene.swap_out, TWO_IN_ONE).finish()

    assert not freeing.done
    freeing.finish()
    scene.free(large, again)


def test_a_move_waits_for_who_looks_an_object_up(scene: Scene) -> None:
    """And not for who has found it (generation E)."""
    slot, _, pages = one_object(scene)
    other = scene.swap_out(24)
    pool_lock, *_ = scene.pool.locks()
    cc = scene.isolate(pages[0])
    freeing = scene.race.task("freeing", scene.free, *other)

    freeing.until("object found")
    assert scene.migrate(cc) == 0

    assert not pool_lock.is_locked()
    freeing.finish()
    assert scene.zram.bvec_read(slot)


# Compaction in the pool.


def test_the_fullest_is_filled_from_the_emptiest(scene: Scene) -> None:
    """6, 4 and 1 objects of 7: the one goes, and then there is nothing to gain (ZS-64)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 21)
    scene.free(slots[0], *slots[7:10], *slots[14:20])
    homes = [scene.zspage(slots[at]) for at in (1, 10, 20)]

    assert scene.zram.compact() == 4

    assert [zspage.inuse for zspage in homes] == [7, 4, 0]
    assert homes[2].number not in scene.pool.zspages
    assert scene.zram.read(11) == 11


def test_one_full_zspage_after_the_other_is_made(scene: Scene) -> None:
    """From as many sources as that takes; a source that is not empty yet goes back (ZS-64)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 28)
    for first in range(0, 28, 7):
        scene.free(*slots[first : first + 4])  # 3 are left of each 7

    assert scene.zram.compact() == 8

    assert sorted(zspage.inuse for zspage in scene.pool.zspages.values()) == [5, 7]
    assert scene.zram.read(12) == 12


def test_a_source_in_use_ends_the_class(scene: Scene) -> None:
    """Nobody waits for its reader, and both zspages are on their lists again (ZS-64)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    size_class = scene.zspage(slots[1]).size_class
    listed = list(size_class.fullness_list[InuseRatio.ZS_INUSE_RATIO_60])
    source = listed[1]  # the first is the destination
    in_use = next(slot for slot in (slots[1], slots[3]) if scene.zspage(slot) is source)
    reader = scene.race.task("reader", scene.zram.bvec_read, in_use)

    reader.until("object mapped")
    assert scene.zram.compact() == 0

    assert set(size_class.fullness_list[InuseRatio.ZS_INUSE_RATIO_60]) == set(listed)
    reader.finish()
    assert scene.zram.compact() == 1


def test_the_lock_is_let_go_of_where_somebody_wants_it(scene: Scene) -> None:
    """And then the class goes on, unlike up to 6.3 (ZS-64)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 28)
    for first in range(0, 28, 7):
        scene.free(*slots[first : first + 4])
    pool_lock, *_ = scene.pool.locks()
    packer = scene.race.task("packer", scene.zram.compact)
    reader = scene.race.task("reader", scene.zram.bvec_read, slots[4])

    packer.until("zspage filled")
    assert not pool_lock.is_locked()
    assert reader.finish()

    assert packer.finish() == 8
