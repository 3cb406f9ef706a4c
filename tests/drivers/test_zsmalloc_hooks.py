"""zsmalloc as a driver: isolate, migrate, put back, one page at a time (ZS-66 to ZS-78).

The VM's part is the engine's own, and `Contract` watches each call.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import Scene
from movable import MigrateMode
from movable.invariant import hold_invariants
from movable_zsmalloc import Fullness

SEVEN_IN_FOUR = 2300  # class 144: chunks of 2336 bytes, of which three straddle
TWO_IN_ONE = 2000
FIVE_IN_FOUR = 3200
HUGE = 4096
MODES = [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC]


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def state(scene: Scene) -> tuple[object, ...]:
    """All that a call which changes nothing must leave alone."""
    return (
        dict(scene.pool.handles),
        [(list(z.pages), z.inuse, z.freeobj, z.fullness) for z in scene.pool.zspages.values()],
        [page.content for z in scene.pool.zspages.values() for page in z.pages],
        scene.pool.pages_allocated,
        scene.zram.read_back(),
    )


# Isolate.


@pytest.mark.parametrize("mode", MODES)
def test_hook_isolate_page_only_counts(scene: Scene, mode: MigrateMode) -> None:
    """The zspage stays where it is, and every mode is welcome (ZS-66)."""
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    zspage, before = scene.zspage(slot), state(scene)

    cc = scene.isolate(*zspage.pages[:2], mode=mode)

    assert zspage.isolated == 2
    assert state(scene) == before
    hold_invariants(scene.zram)
    scene.putback(cc)


def test_objects_come_and_go_while_a_page_is_isolated(scene: Scene) -> None:
    """Whatever is in the page when it moves, moves along (ZS-66, ZX-4)."""
    first, second = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    page = scene.frame(first)
    cc = scene.isolate(page)

    scene.free(first)
    [third] = scene.swap_out(SEVEN_IN_FOUR)
    assert scene.frame(third) == page
    assert scene.migrate(cc) == 0

    assert scene.frame(third) == scene.frame(second) != page
    assert scene.zram.read(2) == 2


# Migrate.


@pytest.mark.parametrize("real_bytes", [False, True])
@pytest.mark.parametrize("size", [24, 200, SEVEN_IN_FOUR, FIVE_IN_FOUR, HUGE])
def test_hook_migratepage_moves_what_every_slot_reads(size: int, real_bytes: bool) -> None:
    """Each page of a chain by itself, and then all of them again."""
    scene = Scene(real_bytes=real_bytes)
    slots = scene.swap_out(*[size] * 5)
    before = dict(scene.zram.read_back())
    frames = {page for slot in slots for page in scene.zspage(slot).pages}

    for page in sorted(frames, key=lambda page: page.pfn):
        scene.move(page)
        assert scene.zram.read_back() == before
        scene.check()

    assert not frames & {page for slot in slots for page in scene.zspage(slot).pages}
    scene.close()


def test_only_objects_that_start_in_the_page_get_another_word(scene: Scene) -> None:
    """Number 1 lies in pages 0 and 1; its word names page 0, whichever moves (ZS-70)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 7)
    zspage = scene.zspage(slots[0])
    words = [scene.pool.handles[scene.handle(slot)] for slot in slots]

    newpage = scene.move(zspage.pages[1])

    now = [scene.pool.handles[scene.handle(slot)] for slot in slots]
    assert [number for number in range(7) if now[number] != words[number]] == [2, 3]
    assert zspage.pages[1] == newpage
    assert scene.zram.read_back() == scene.zram.swapped


def test_free_chunks_move_along(scene: Scene) -> None:
    """The free list is made of numbers, so it needs no repair (ZS-23)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 2)
    scene.free(slots[0])

    newpage = scene.move(scene.frame(slots[1]))
    [again] = scene.swap_out(TWO_IN_ONE)

    assert scene.frame(again) == newpage
    assert scene.pool.locate(scene.handle(again))[1] == 0


def test_the_new_page_takes_the_old_ones_place_in_every_respect(scene: Scene) -> None:
    """Chain, number, mapping, reference; the old page is free (ZS-69, ZI-12)."""
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    zspage = scene.zspage(slot)
    old = list(zspage.pages)

    newpage = scene.move(old[2])

    assert zspage.pages == [old[0], old[1], newpage, old[3]]
    assert (newpage.private, newpage.refcount) == (zspage.number, 1)
    assert newpage.mapping is scene.zram.mapping
    assert old[2].refcount == 0
    assert (zspage.isolated, scene.pool.pages_allocated) == (0, 4)
    assert zspage.fullness is Fullness.ALMOST_EMPTY


@pytest.mark.parametrize("mode", MODES)
def test_all_modes_are_one(scene: Scene, mode: MigrateMode) -> None:
    """No lock is contended, and nothing depends on how long one may wait (ZM-1)."""
    slots = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    pages = scene.zspage(slots[0]).pages

    assert scene.migrate(scene.isolate(*pages, mode=mode)) == 0

    assert scene.zram.mapping.stats.migrated == 4
    assert scene.zram.mapping.stats.again == 0


def test_a_migration_without_copying_is_refused(scene: Scene) -> None:
    """-EINVAL: the copy has to be made under the locks, so nobody else can make it (ZS-69).

    The VM puts the pages back at once, and the pool is as it was.
    """
    slots = scene.swap_out(SEVEN_IN_FOUR, HUGE)
    before = state(scene)
    pages = [page for slot in slots for page in scene.zspage(slot).pages]
    cc = scene.isolate(*pages, mode=MigrateMode.SYNC_NO_COPY)

    assert scene.migrate(cc) == 5

    stats = scene.zram.mapping.stats
    assert (stats.isolated, stats.migrated, stats.failed, stats.putback) == (5, 0, 5, 5)
    assert state(scene) == before


# Put back.


def test_hook_putback_page_counts_back(scene: Scene) -> None:
    """As if it had never been isolated (ZS-76)."""
    slots = scene.swap_out(SEVEN_IN_FOUR, HUGE)
    before = state(scene)
    zspage = scene.zspage(slots[0])
    cc = scene.isolate(zspage.pages[1])

    scene.putback(cc)

    assert zspage.isolated == 0
    assert state(scene) == before


# Given up while isolated.


def test_the_last_object_freed_while_its_page_is_isolated(scene: Scene) -> None:
    """Nobody has the page locked, so the zspage is freed under the VM, which finds its own
    reference to be the last: a success, without a target and without the driver (ZX-1, CO-5)."""
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    pages = list(scene.zspage(slot).pages)
    cc = scene.isolate(pages[1])

    scene.free(slot)
    assert [page.refcount for page in pages] == [0, 1, 0, 0]
    assert scene.pool.zspages == {}
    assert scene.migrate(cc) == 0

    assert pages[1].refcount == 0
    stats = scene.zram.mapping.stats
    assert (stats.isolated, stats.migrated, stats.putback, stats.released) == (1, 0, 0, 1)


def test_the_last_object_freed_before_its_page_is_put_back(scene: Scene) -> None:
    """Putback is not asked for a page that was given up (ZS-78, CO-9)."""
    [slot] = scene.swap_out(HUGE)
    page = scene.frame(slot)
    cc = scene.isolate(page)

    scene.free(slot)
    scene.putback(cc)

    assert page.refcount == 0
    assert scene.zram.mapping.stats.released == 1


def test_object_compaction_gives_an_isolated_page_up(scene: Scene) -> None:
    """It asks no page lock, and does not look at what is isolated (ZS-63, ZX-7)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    source = next(iter(scene.zspage(slots[1]).size_class.fullness_list[Fullness.ALMOST_EMPTY]))
    cc = scene.isolate(source.pages[0])

    assert scene.zram.compact() == 1
    assert scene.migrate(cc) == 0

    assert scene.zspage(slots[1]) is scene.zspage(slots[3])
    assert scene.zram.mapping.stats.released == 1
