"""An object that is mapped: in its page, or in the CPU's buffer (ZS-46 to ZS-48)."""

from __future__ import annotations

import pytest

from drivers.zram_scenes import Scene
from movable_zsmalloc.mapped import MapMode
from movable_zsmalloc.zspage import UNTAGGED

TWO_IN_ONE, SEVEN_IN_FOUR, HUGE = 2000, 2300, 4096


def spanning(**config: object) -> tuple[Scene, int]:
    """A scene, and the handle of an object in two pages."""
    scene = Scene(real_bytes=True, **config)
    _, slot = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    return scene, scene.handle(slot)


def stands(scene: Scene, handle: int) -> bytes:
    """What of it the pages hold now."""
    return scene.pool.peek(handle, SEVEN_IN_FOUR)


@pytest.mark.parametrize("locking", ["6.1", "4.8"])
def test_what_is_written_to_a_buffer_comes_into_the_pages_in_the_end(locking: str) -> None:
    """When the object is let go of; its first word, the handle, is left alone (ZS-47, ZS-48)."""
    scene, handle = spanning(locking=locking)
    before, new = stands(scene, handle), b"x" * SEVEN_IN_FOUR

    with scene.pool.mapped(handle, MapMode.WO) as obj:
        obj.write(new)
        assert stands(scene, handle) == before
        assert obj.read(SEVEN_IN_FOUR) == new

    assert stands(scene, handle) == new
    zspage, obj_idx = scene.pool.locate(handle)
    assert zspage.obj_allocated(obj_idx) == handle


def test_who_only_writes_reads_nothing_and_who_only_reads_writes_nothing() -> None:
    """As the mode says (ZS-47)."""
    scene, handle = spanning()
    before = stands(scene, handle)

    with scene.pool.mapped(handle, MapMode.WO) as obj:
        assert obj.read(SEVEN_IN_FOUR) == b""
        obj.write(before)
    with scene.pool.mapped(handle, MapMode.RO) as obj:
        assert obj.read(SEVEN_IN_FOUR) == before
        obj.write(b"y" * SEVEN_IN_FOUR)
    assert stands(scene, handle) == before
    with scene.pool.mapped(handle) as obj:
        assert obj.read(100) == before[:100]
        obj.write(b"z" * SEVEN_IN_FOUR)

    assert stands(scene, handle) == b"z" * SEVEN_IN_FOUR


def test_in_one_page_it_is_where_it_is() -> None:
    """No buffer: what is written stands there at once. A page of its own is one page (ZS-47)."""
    scene = Scene(real_bytes=True)
    for size, slot in zip((TWO_IN_ONE, HUGE), scene.swap_out(TWO_IN_ONE, HUGE), strict=True):
        handle = scene.handle(slot)
        with scene.pool.mapped(handle, MapMode.RO) as obj:
            obj.write(b"a" * size)
            assert scene.pool.peek(handle, size) == b"a" * size


def test_the_chunk_decides_and_not_the_object() -> None:
    """A short object whose chunk ends in the next page is buffered all the same (ZS-47)."""
    scene = Scene(real_bytes=True)
    _, slot = scene.swap_out(2041, 2041)
    zspage, obj_idx = scene.pool.locate(scene.handle(slot))
    chunk, offset = zspage.size_class.size, zspage.chunk(obj_idx)[1]
    assert (chunk, obj_idx, offset) == (2336, 1, 2336)

    with scene.pool.mapped(scene.handle(slot), MapMode.RO) as obj:
        assert obj.buffered
    scene.swap_out(16)
    with scene.pool.mapped(scene.handle(scene.swap_out(16)[0]), MapMode.RO) as obj:
        assert not obj.buffered


def test_the_newest_words_have_no_tag() -> None:
    """And name frame and number, whatever moves (ZS-5)."""
    scene = Scene(locking="7.2")
    slot, other = scene.swap_out(SEVEN_IN_FOUR, SEVEN_IN_FOUR)
    scene.move(scene.zspage(slot).pages[0])

    word = scene.pool.handles[scene.handle(other)]

    assert UNTAGGED.of_obj(word) == (scene.zspage(other).pages[0].pfn, 1)
    assert word & 1 == 1
    scene.close()


# Reset.


def test_a_device_in_use_is_not_reset() -> None:
    """-EBUSY, and everything is as it was; who can wait may (reset_store())."""
    scene = Scene()
    [slot] = scene.swap_out(TWO_IN_ONE)
    reader = scene.race.task("reader", scene.zram.read, 1)
    reader.until("object mapped")

    assert scene.zram.reset_store() == -16
    assert scene.zram.swapped.keys() == {slot}
    waiting = scene.race.task("reset", scene.zram.reset)
    scene.race.advance(waiting)
    assert not waiting.runnable
    reader.finish()
    waiting.finish()
    assert scene.zram.swapped == {}

    scene.swap_out(TWO_IN_ONE)
    assert scene.zram.reset_store() == 0
    assert scene.pool.pages_allocated == 0
    scene.close()


def test_a_device_that_the_vm_swaps_to_is_not_reset() -> None:
    """It is open from swapon on."""
    scene = Scene()
    scene.sizes.next_sizes.append(TWO_IN_ONE)
    slot = scene.zram.store(7)

    assert scene.zram.reset_store() == -16
    assert scene.zram.load(slot) == 7

    assert scene.zram.reset_store() == 0
    scene.close()
