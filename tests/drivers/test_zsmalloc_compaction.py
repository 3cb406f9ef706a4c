"""Compaction inside the pool: objects move from zspage to zspage (ZS-57 to ZS-63)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import Scene
from movable_zsmalloc import Fullness

TWO_IN_ONE, FIVE_IN_FOUR, SEVEN_IN_FOUR, HUGE = 2000, 3200, 2300, 4096


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_two_halves_become_one(scene: Scene) -> None:
    """And a page is freed."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[3])

    assert scene.zram.compact() == 1

    assert scene.zspage(slots[1]) is scene.zspage(slots[2])
    assert scene.zspage(slots[1]).fullness is Fullness.FULL
    assert scene.zram.read(2) == 2
    assert repr(scene.pool) == "<Pool [2 objects in 1 pages]>"


@pytest.mark.parametrize("real_bytes", [False, True])
@pytest.mark.parametrize("size", [200, TWO_IN_ONE, SEVEN_IN_FOUR, FIVE_IN_FOUR])
def test_every_slot_reads_the_same_afterwards(size: int, real_bytes: bool) -> None:
    """Objects move inside pages and across them, into chunks that lie otherwise."""
    scene = Scene(real_bytes=real_bytes)
    slots = scene.swap_out(*[size] * 60)
    scene.free(*slots[::3], *slots[1::6])
    before, pages = scene.zram.read_back(), scene.pool.pages_allocated

    freed = scene.zram.compact()

    assert freed > 0
    assert scene.pool.pages_allocated == pages - freed
    assert {slot: scene.zram.read_back()[slot] for slot in before} == before
    scene.close()


def test_nothing_moves_where_no_page_would_come_of_it(scene: Scene) -> None:
    """Less than a zspage's worth of chunks is free (ZS-57)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 14)
    scene.free(*slots[:3], *slots[7:10])
    handles = dict(scene.pool.handles)

    assert scene.zram.compact() == 0

    assert scene.pool.handles == handles


def test_objects_that_fill_their_pages_stay(scene: Scene) -> None:
    """Their zspages are never partly full."""
    slots = scene.swap_out(*[HUGE] * 4)
    scene.free(*slots[:2])

    assert scene.zram.compact() == 0


def test_a_full_destination_makes_room_for_the_next(scene: Scene) -> None:
    """One source is spread over several zspages (ZS-59)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 21)
    source, others = slots[:7], [slots[7:14], slots[14:]]
    scene.free(*source[:5], others[0][0], others[1][0])

    assert scene.zram.compact() == 4

    assert {scene.zspage(slot) for slot in source[5:]} == {
        scene.zspage(other[1]) for other in others
    }


def test_it_goes_on_while_pages_come_of_it(scene: Scene) -> None:
    """Four zspages of three objects each become two."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 28)
    scene.free(*(slot for number, slot in enumerate(slots) if number % 7 < 4))

    assert scene.zram.compact() == 8

    assert sorted(zspage.inuse for zspage in scene.pool.zspages.values()) == [5, 7]


def test_an_unfinished_source_goes_back_to_its_list(scene: Scene) -> None:
    """Chunks of a zspage that waits to be freed count as free, and nobody can have them: so the
    room ends before the objects do, and what was moved stays moved (ZS-60)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 21)
    dead, source, other = slots[:7], slots[7:14], slots[14:]
    page = scene.frame(dead[0])
    page.lock()
    scene.free(*dead, *source[:2], other[0])
    page.unlock()

    assert scene.zram.compact() == 0

    homes = scene.zspage(source[6]), scene.zspage(other[6])
    assert [zspage.inuse for zspage in homes] == [4, 7]
    assert homes[0].fullness is Fullness.ALMOST_EMPTY
    assert scene.zram.read(11) == 11


def test_the_first_of_the_almost_empty_is_emptied_first(scene: Scene) -> None:
    """Which tends to be the fullest of them; the kernel takes it all the same (ZS-62)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 21)
    scene.free(*slots[:6], *slots[7:12], *slots[14:17])
    listed = scene.zspage(slots[6]).size_class.fullness_list[Fullness.ALMOST_EMPTY]
    first = next(iter(listed))
    assert first.inuse == max(zspage.inuse for zspage in listed)

    scene.zram.compact()

    assert first.number not in scene.pool.zspages


def test_only_one_compacts_at_a_time(scene: Scene) -> None:
    """Who comes second has nothing to do (ZS-58)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 8)
    scene.free(*slots[::2])
    first = scene.race.task("first", scene.zram.compact)
    second = scene.race.task("second", scene.zram.compact)

    first.until("zspage emptied")

    assert second.finish() == 0
    assert first.finish() == 2


def test_compaction_waits_for_a_reader(scene: Scene) -> None:
    """With the pool's lock held, as migration does (ZS-59)."""
    slots = scene.swap_out(*[TWO_IN_ONE] * 4)
    scene.free(slots[0], slots[2])
    reader = scene.race.task("reader", scene.zram.bvec_read, slots[3])
    packer = scene.race.task("packer", scene.zram.compact)

    reader.until("object mapped")
    scene.race.advance(packer)
    assert "read by reader" in packer.waits_for
    scene.race.run()

    assert packer.result == 1


@pytest.mark.parametrize(("others", "freed"), [(0, 4), (1, 0)])
def test_a_class_is_left_when_somebody_wants_the_lock(
    scene: Scene, others: int, freed: int
) -> None:
    """As soon as one zspage is full, even in the middle of another; and not before the next call
    does anybody go on with that class (ZS-59, ZS-60)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 21)
    scene.free(slots[0], *slots[7:10], *slots[14:18])  # 6, 4 and 3 are left
    size_class = scene.zspage(slots[1]).size_class
    source = next(iter(size_class.fullness_list[Fullness.ALMOST_EMPTY]))
    in_use = next(slot for slot in scene.zram.swapped if scene.zspage(slot) is source)
    reader = scene.race.task("reader", scene.zram.bvec_read, in_use)
    packer = scene.race.task("packer", scene.zram.compact)
    waiting = [scene.race.task("other", scene.swap_out, 24) for _ in range(others)]

    reader.until("object mapped")
    scene.race.advance(packer)
    for other in waiting:
        scene.race.advance(other)
    reader.finish()

    assert packer.finish() == freed
    for other in waiting:
        other.finish()
    assert scene.zram.read(14) == 13 + others
