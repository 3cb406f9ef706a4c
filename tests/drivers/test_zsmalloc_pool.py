"""Objects and zspages: allocating, freeing, mapping, and what pages hold (ZS-4 to ZS-51)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.zram_scenes import Scene
from movable import Page
from movable.errors import AuditFailed, BadInput, ContractViolation
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm.mm_types import UNMOVABLE
from movable_zsmalloc import Fullness

# Classes by the sizes that go there.
FIVE_IN_FOUR = 3200  # class 202: 5 objects in 4 pages
SEVEN_IN_FOUR = 2300  # class 144
TWO_IN_ONE = 2000  # class 126
HUGE = 4096
LAST_FREE = 0xFFFFFFFF


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def free_list(scene: Scene, slot: int) -> list[int]:
    """The numbers of the free chunks beside a slot's object, first to last."""
    zspage = scene.zspage(slot)
    chunks = []
    obj_idx = zspage.freeobj
    while obj_idx != LAST_FREE:
        chunks.append(obj_idx)
        obj_idx = zspage.header(obj_idx) >> 1 & LAST_FREE
    return chunks


# Allocating.


def test_a_new_zspage_gives_its_objects_out_in_order(scene: Scene) -> None:
    """0 to N - 1; the free list is written into the chunks (ZS-7, ZS-20, ZS-21)."""
    first, second, third = scene.swap_out(*[FIVE_IN_FOUR] * 3)

    assert scene.zspage(first) is scene.zspage(third)
    numbers = [scene.pool.locate(scene.handle(slot))[1] for slot in (first, second, third)]
    assert numbers == [0, 1, 2]
    assert free_list(scene, first) == [3, 4]
    assert repr(scene.pool) == "<Pool [3 objects in 4 pages]>"


def test_an_object_carries_its_handle(scene: Scene) -> None:
    """Marked by the lowest bit, and so told from the free chunks (ZS-7)."""
    slot, other = scene.swap_out(TWO_IN_ONE, TWO_IN_ONE)
    scene.free(other)
    zspage = scene.zspage(slot)

    assert zspage.header(0) == scene.handle(slot) | 1
    assert zspage.header(1) & 1 == 0


def test_an_object_that_fills_its_page_has_its_handle_beside_it(scene: Scene) -> None:
    """So all 4096 bytes are its own (ZS-8)."""
    [slot] = scene.swap_out(HUGE)
    zspage = scene.zspage(slot)

    assert zspage.index == zspage.header(0) == scene.handle(slot) | 1
    assert scene.pool.contents.word(zspage.pages[0], 0) != zspage.index


def test_a_handle_never_changes(scene: Scene) -> None:
    """The word behind it does (ZS-4)."""
    [slot] = scene.swap_out(TWO_IN_ONE)
    handle, obj = scene.handle(slot), scene.pool.handles[scene.handle(slot)]

    scene.move(scene.frame(slot))

    assert scene.handle(slot) == handle
    assert scene.pool.handles[handle] != obj


@pytest.mark.parametrize("size", [-1, 0, 4097])
def test_an_impossible_size_is_refused(scene: Scene, size: int) -> None:
    """-EINVAL (ZS-36)."""
    with pytest.raises(BadInput, match=f"zs_malloc: {size} bytes"):
        scene.pool.malloc(size)


def test_almost_full_zspages_are_filled_first(scene: Scene) -> None:
    """Then almost empty ones, and only then is a new one made (ZS-30)."""
    slots = scene.swap_out(*[FIVE_IN_FOUR] * 15)
    full, almost_full, almost_empty = slots[:5], slots[5:10], slots[10:]
    scene.free(almost_full[0], *almost_empty[:3])

    fresh = scene.swap_out(*[FIVE_IN_FOUR] * 5)

    homes = [scene.zspage(slot) for slot in fresh]
    assert homes[0] is scene.zspage(almost_full[1])
    assert homes[1:4] == [scene.zspage(almost_empty[3])] * 3
    assert homes[4] not in (*homes[:4], scene.zspage(full[0]))


def test_a_first_object_makes_a_zspage_almost_empty_or_full(scene: Scene) -> None:
    """Full where only one fits (ZS-31)."""
    large, small = scene.swap_out(HUGE, TWO_IN_ONE)

    assert scene.zspage(large).fullness is Fullness.FULL
    assert scene.zspage(small).fullness is Fullness.ALMOST_EMPTY


def test_every_page_is_published_and_knows_its_zspage(scene: Scene) -> None:
    """With one reference, the pool's (ZS-19, ZS-25, ZS-40)."""
    [slot] = scene.swap_out(SEVEN_IN_FOUR)
    zspage = scene.zspage(slot)

    assert len(zspage.pages) == 4
    for page in zspage.pages:
        assert (page.private, page.refcount) == (zspage.number, 1)
        assert page.mapping is scene.zram.mapping


def test_a_shortage_undoes_a_half_built_zspage() -> None:
    """Its pages are free again, and the user hears of it (ZS-39)."""
    scene = Scene()
    scene.memory.fill("unmovable", 126)
    in_use = sum(scene.memory.refcount)
    scene.sizes.next_sizes.append(FIVE_IN_FOUR)

    assert scene.zram.swap_out(1) == 0

    assert sum(scene.memory.refcount) == in_use
    assert repr(scene.zram) == "<Zram [0 pages swapped out, <Pool [0 objects in 0 pages]>]>"
    scene.close()


def test_a_fresh_page_that_is_locked_already_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else may know it; the kernel warns (ZS-40)."""
    scene = Scene()
    alloc_page = scene.memory.alloc_page

    def locked(gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        page = alloc_page(gfp)
        page.lock()
        return page

    monkeypatch.setattr(scene.memory, "alloc_page", locked)

    with pytest.raises(AuditFailed, match="is new, and somebody has locked it"):
        scene.swap_out(TWO_IN_ONE)
    scene.zram.mapping.detach(scene.contract)


# Freeing.


def test_the_chunk_freed_last_is_taken_first(scene: Scene) -> None:
    """The free list is a stack (ZS-22)."""
    slots = scene.swap_out(*[FIVE_IN_FOUR] * 4)

    scene.free(slots[1], slots[0])

    assert free_list(scene, slots[2]) == [0, 1, 4]


def test_the_last_object_takes_its_zspage_along(scene: Scene) -> None:
    """Its pages are free at once, since nobody has locked them (ZS-42, ZS-51)."""
    first, second = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    pages = list(scene.zspage(first).pages)
    scene.free(first)
    assert scene.pool.pages_allocated == 4

    scene.free(second)

    assert [page.refcount for page in pages] == [0] * 4
    assert (scene.pool.zspages, scene.pool.pages_allocated) == ({}, 0)
    assert repr(scene.pool.contents) == "<Tags [0 pages]>"


def test_a_zspage_is_listed_anew_only_in_another_group(scene: Scene) -> None:
    """Within its group it keeps its place, however many objects it has (ZS-29)."""
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 14)
    size_class = scene.zspage(slots[0]).size_class
    one, other = slots[:7], slots[7:]
    scene.free(*one[:2], *other[:3])
    listed = size_class.fullness_list[Fullness.ALMOST_EMPTY]
    before = list(listed)

    scene.free(*one[2:5])

    assert list(listed) == before == [scene.zspage(other[6]), scene.zspage(one[6])]


# Using.


@pytest.mark.parametrize("size", [24, 2000, 3200, 4096])
@pytest.mark.parametrize("real_bytes", [False, True])
def test_what_is_written_is_read(size: int, real_bytes: bool) -> None:
    """By tags and in bytes, inside one page and across two."""
    scene = Scene(real_bytes=real_bytes)

    scene.swap_out(*[size] * 7)

    assert scene.zram.read(7) == 7
    assert scene.zram.read_back() == scene.zram.swapped
    scene.close()


def test_a_straddling_object_needs_both_its_pages(scene: Scene) -> None:
    """If either is not what it was, the object is not found in it (ZS-17)."""
    _, slot = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    pages = scene.zspage(slot).pages

    for page in pages[:2]:
        tag, page.content = page.content, 1
        assert scene.zram.read_back()[slot] != scene.zram.swapped[slot]
        page.content = tag

    assert scene.zram.read_back() == scene.zram.swapped


def test_who_has_an_object_mapped_must_not_sleep(scene: Scene) -> None:
    """Its zspage's lock spins (ZS-46, ZI-8)."""
    [slot] = scene.swap_out(TWO_IN_ONE)
    reader = scene.race.task("reader", sleep_with_an_object, scene, slot)

    with pytest.raises(ContractViolation, match="reader sleeps") as caught:
        reader.finish()

    assert caught.value.rule == "L10"
    assert not scene.zspage(slot).lock.is_locked()


def sleep_with_an_object(scene: Scene, slot: int) -> None:
    page = scene.memory.alloc_page()
    page.lock()
    try:
        with scene.pool.mapped(scene.handle(slot)):
            page.lock()
    finally:
        page.unlock()
        page.put()


# Pinned.


def test_a_pinned_pool_publishes_no_page() -> None:
    """Before Linux 4.8 nobody could move zsmalloc's pages, and they lay among unmovable ones."""
    scene = Scene(movable=False)

    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 8)

    pages = [page for slot in slots for page in scene.zspage(slot).pages]
    assert not any(page.movable_tag for page in pages)
    blocks = {page.pfn >> scene.memory.pageblock_order for page in pages}
    assert {int(scene.memory.pageblock[block]) for block in blocks} == {UNMOVABLE}
    scene.check()
    assert scene.zram.swap_in(8) == 8
    scene.close()
