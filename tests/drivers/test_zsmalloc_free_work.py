"""Zspages that fall empty while a page of them is locked: freed by the work item (ZS-50 to ZS-55).

The compactor is the real one, and `Contract` watches every call of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene, freed, one_object
from movable_zsmalloc import Fullness

TWO_IN_ONE = 2000
HUGE = 4096


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_a_zspage_that_falls_empty_while_the_compactor_has_a_page_locked(scene: Scene) -> None:
    """Its free is left to the work item, which waits until the page has moved (ZS-51, ZX-2)."""
    slot, zspage, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)

    compactor.until("page locked")
    user.finish()
    assert list(zspage.size_class.fullness_list[Fullness.EMPTY]) == [zspage]
    assert freed(pages) == [False] * 4
    assert not any(page.locked for page in pages[1:])
    assert scene.pool.pages_allocated == 4
    compactor.finish()
    assert scene.zram.mapping.stats.migrated == 4
    moved = list(zspage.pages)
    scene.race.run()

    assert freed(pages) == freed(moved) == [True] * 4
    assert (scene.pool.zspages, scene.pool.pages_allocated) == ({}, 0)


def test_a_zspage_that_falls_empty_before_its_new_page_is_unlocked(scene: Scene) -> None:
    """The new page is in the chain already, and the VM has it locked (ZS-71, ZX-3)."""
    slot, zspage, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)

    compactor.until("migrate returned")
    newpage = zspage.pages[3]  # isolated last, moved first
    assert newpage != pages[3]
    assert newpage.locked
    user.finish()
    assert zspage.fullness is Fullness.EMPTY
    assert newpage.refcount == 2
    scene.race.run()

    assert freed([newpage, *pages]) == [True] * 5


def test_statistics_never_forget_a_zspage_freed_late(scene: Scene) -> None:
    """The work item clears the list and not the count, until 2024 (ZS-54)."""
    assert count_of_empty(scene) == 1
    other = Scene(empty_stat_leak=False)
    assert count_of_empty(other) == 0
    other.close()


def count_of_empty(scene: Scene) -> int:
    slot, zspage, _ = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)
    compactor.until("page locked")
    user.finish()
    scene.race.run()
    assert not zspage.size_class.fullness_list[Fullness.EMPTY]
    return zspage.size_class.zspages[Fullness.EMPTY]


def test_an_empty_zspage_comes_to_life_again(scene: Scene) -> None:
    """Until the work item has taken it, an allocation may; the work then finds nothing (ZS-55)."""
    slot, zspage, _ = one_object(scene)
    compactor = scene.compactor()
    user = scene.race.task("user", free_and_swap_out, scene, slot)

    compactor.until("page locked")
    user.finish()
    assert zspage.fullness is Fullness.ALMOST_EMPTY
    scene.race.run()

    assert list(scene.pool.zspages.values()) == [zspage]
    assert scene.zram.read(1) == 1


def free_and_swap_out(scene: Scene, slot: int) -> None:
    scene.free(slot)
    scene.swap_out(SEVEN_IN_FOUR)


def test_an_empty_zspage_that_the_work_item_has_taken_stays_dead(scene: Scene) -> None:
    """An allocation makes a new one (ZS-55)."""
    slot, zspage, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)
    other = scene.race.task("other", scene.swap_out, SEVEN_IN_FOUR)

    compactor.until("page locked")
    user.finish()
    worker = scene.race.tasks[-1]
    worker.until("empty zspages taken")
    other.finish()
    scene.race.run()

    [alive] = scene.pool.zspages.values()
    assert alive is not zspage
    assert freed(pages) == [True] * 4


def test_the_work_item_waits_for_a_page_that_moves_away(scene: Scene) -> None:
    """It waits for the old page, holds no spinning lock meanwhile, and then reads the chain anew:
    the page to lock is the new one (ZS-53, ZX-10)."""
    slot, zspage, pages = one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.free, slot)

    compactor.until("source locked")
    user.finish()
    worker = scene.race.tasks[-1]
    worker.until("empty zspages taken")
    scene.race.advance(worker)
    assert "waits for the lock of <Page" in worker.waits_for
    assert pages[3].refcount == 3  # the pool's, the VM's, and of who waits
    assert not zspage.lock.is_locked()
    compactor.until("migrate returned")
    newpage = zspage.pages[3]
    worker.until("zspage locked")
    assert [page.locked for page in zspage.pages] == [True] * 4
    scene.race.run()

    assert freed([newpage, *pages]) == [True] * 5


# The pool holds page locks.


def test_the_compactor_passes_over_pages_that_are_being_freed(scene: Scene) -> None:
    """The work item has them locked, so they are not isolated, and nobody waits (refused)."""
    slot, zspage, pages = one_object(scene)
    first, user = scene.compactor("first"), scene.race.task("user", scene.free, slot)
    second = scene.compactor("second")
    first.until("page locked")
    user.finish()
    worker = scene.race.tasks[-1]
    worker.until("empty zspages taken")
    worker.until("zspage locked")
    before = scene.zram.mapping.stats.isolated

    second.finish()

    assert "page lock busy" in second.labels
    assert scene.zram.mapping.stats.isolated == before
    assert zspage.number in {page.private for page in zspage.pages}
    scene.race.run()
    assert freed(pages) == [True] * 4


def test_a_compactor_waits_for_the_pool_to_put_a_page_back(scene: Scene) -> None:
    """It has isolated a page of a zspage that is being freed: ten times it finds the page locked,
    and then it sleeps to put it back, which is no longer asked for (ZS-53, ZX-13, CO-9)."""
    slot, _, pages = one_object(scene)
    held = scene.isolate(pages[0])
    looker, user = scene.compactor("looker"), scene.race.task("user", scene.free, slot)
    mover = scene.race.task("mover", scene.migrate, held)
    looker.until("page locked")  # of the second page, for the first is isolated already
    user.finish()
    worker = scene.race.tasks[-1]
    worker.until("empty zspages taken")
    scene.race.advance(worker)
    assert [page.locked for page in pages] == [True, True, False, False]  # worker's, looker's

    mover.until("target returned")
    scene.race.advance(mover)
    scene.race.run()

    assert freed(pages) == [True] * 4
    assert scene.zram.mapping.stats.released >= 1


def test_compaction_counts_what_is_freed_late(scene: Scene) -> None:
    """A page of the emptied zspage was locked, and the work item frees it (ZS-60, ZX-8)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    size_class = scene.zspage(slots[1]).size_class
    [source, _] = size_class.fullness_list[Fullness.ALMOST_EMPTY]
    source.pages[0].lock()
    packer = scene.race.task("packer", scene.zram.compact)

    assert packer.finish() == 1
    assert (scene.pool.pages_allocated, scene.pool.pages_compacted) == (2, 1)
    assert list(size_class.fullness_list[Fullness.EMPTY]) == [source]
    source.pages[0].unlock()
    scene.race.run()

    assert scene.pool.pages_allocated == 1


def test_a_reset_waits_for_what_is_freed_late(scene: Scene) -> None:
    """Until the compactor has let go of the page (ZS-56, ZX-13)."""
    one_object(scene)
    compactor, user = scene.compactor(), scene.race.task("user", scene.zram.reset)

    compactor.until("page locked")
    user.finish()

    assert "unlocked" in compactor.labels
    assert scene.pool.pages_allocated == 0
    compactor.finish()
