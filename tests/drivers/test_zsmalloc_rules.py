"""What holds of the pool at each step (ZS-6, ZS-24, ZS-38, ZS-43, ZS-72, ZI-8 to ZI-11)."""

from __future__ import annotations

from contextlib import suppress

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene, one_object
from movable import MigrateMode, MigrateResult
from movable.errors import OutOfMemory
from movable.sched import Race, subscribe, unsubscribe
from movable.sched.exploration import Exploration
from movable.sched.strategies import RandomWalk
from movable_zsmalloc.size_class import ZS_MIN_ALLOC_SIZE
from movable_zsmalloc.zspage import OBJ_TAG_BITS, TAGGED

HUGE = 4096


def test_an_object_is_numbered_in_its_zspage_and_named_by_the_page_it_starts_in() -> None:
    """Number 1 of seven starts in page 0 at byte 2336, number 3 in page 1 at 2912 (ZS-6)."""
    scene = Scene()
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 7)
    pages = scene.zspage(slots[0]).pages

    words = [TAGGED.of_obj(scene.pool.handles[scene.handle(slot)]) for slot in slots]

    starts = [0, 0, 1, 1, 2, 2, 3]
    assert words == [(pages[at].pfn, number) for number, at in enumerate(starts)]
    scene.close()


def test_no_chunk_is_smaller_than_32_bytes() -> None:
    """Where an object's number has 23 bits (ZS-1)."""
    assert max(32, 4 * 4096 >> TAGGED.index_bits) == ZS_MIN_ALLOC_SIZE


@pytest.mark.parametrize(("locking", "pages"), [("6.1", 4), ("4.8", 4), ("7.2", 8)])
def test_the_longest_zspage(locking: str, pages: int) -> None:
    """Four pages, and eight since it can be chosen (ZS-3)."""
    scene = Scene(locking=locking)

    assert max(one.pages_per_zspage for one in scene.pool.classes) == pages


def test_the_free_list_of_a_whole_page_means_nothing_while_it_is_in_use() -> None:
    """Its link would stand where the object does; freed, it is the first again (ZS-24)."""
    scene = Scene(real_bytes=True)
    [slot] = scene.swap_out(HUGE)
    zspage = scene.zspage(slot)
    assert zspage.freeobj >> OBJ_TAG_BITS != 0

    page = zspage.pages[0]
    page.lock()
    scene.free(slot)
    assert (zspage.inuse, zspage.freeobj) == (0, 0)
    [other] = scene.swap_out(HUGE)

    assert scene.zspage(other) is zspage
    page.unlock()
    scene.close()


def test_a_pool_that_gets_no_page_is_as_it_was() -> None:
    """Neither handle nor count is left of the attempt (ZS-37, ZS-39)."""
    scene = Scene()
    handles: list[int] = []
    with suppress(OutOfMemory):
        while True:
            handles.append(scene.pool.malloc(SEVEN_IN_FOUR))

    assert list(scene.pool.handles) == handles
    assert scene.pool.pages_allocated == 4 * len(scene.pool.zspages)
    for handle in handles:
        scene.pool.free(handle)
    scene.close()


@pytest.mark.parametrize("seed", range(8))
def test_whoever_sees_a_marked_chunk_finds_its_object(seed: int) -> None:
    """Handle and word change under the lock together (ZS-38, ZI-3, ZI-11)."""
    scene = Scene()
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 10)
    scene.sizes.next_sizes.extend([SEVEN_IN_FOUR] * 6)
    looked = []

    def look(label: str, page: object) -> None:
        pool = scene.pool
        for zspage in pool.zspages.values():
            assert 0 <= zspage.inuse <= zspage.size_class.objs_per_zspage
            assert 0 <= zspage.isolated <= len(zspage.pages)
        if not pool.lock.is_locked():
            looked.append(label)
            for handle in pool.handles:
                zspage, obj_idx = pool.locate(handle)
                assert zspage.obj_allocated(obj_idx) == handle

    work = [
        ("out", lambda: scene.zram.swap_out(6)),
        ("free", lambda: scene.free(*slots[:4])),
        ("compactor", scene.memory.compact_memory),
        ("compact", scene.zram.compact),
    ]
    subscribe(look)
    try:
        Exploration(200_000).run(work, RandomWalk(seed))
    finally:
        unsubscribe(look)

    assert len(looked) > 20
    scene.close()


def test_an_object_is_freed_whether_its_page_is_isolated_or_in_use() -> None:
    """Who frees takes the pool's lock alone, and looks at nothing else (ZS-43)."""
    scene = Scene()
    first, second = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    zspage = scene.zspage(first)
    cc = scene.isolate(zspage.pages[0])
    reader = scene.race.task("reader", scene.zram.bvec_read, second)
    reader.until("object mapped")

    scene.race.task("freeing", scene.free, first).finish()

    assert zspage.inuse == 1
    reader.finish()
    assert scene.migrate(cc) == 0
    scene.close()


@pytest.mark.parametrize("mode", [MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC])
def test_a_move_that_has_begun_succeeds(mode: MigrateMode) -> None:
    """After the mode has been looked at nothing can fail, in any mode (ZS-72, C2)."""
    scene = Scene()
    _, zspage, pages = one_object(scene)
    scene.isolate(pages[0], mode=mode)
    newpage = scene.memory.alloc_page()
    for page in (pages[0], newpage):
        page.lock()

    answer = scene.zram.pages.migrate(newpage, pages[0], mode)

    assert answer == MigrateResult.SUCCESS
    assert zspage.pages[0] == newpage
    for page in (pages[0], newpage):
        page.unlock()


def test_a_reader_of_the_newest_kernel_may_take_its_time() -> None:
    """Its zspage's lock keeps movers out, and they do not wait (ZS-45, ZS-49, ZX-6)."""
    scene = Scene(locking="7.2")
    slot, other = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    race = Race()
    reader = race.task("reader", scene.zram.bvec_read, slot)
    reader.until("object mapped")

    race.task("freeing", scene.free, other).finish()

    assert not scene.pool.locks()[0].is_locked()
    assert not reader.done
    reader.finish()
    scene.close()
