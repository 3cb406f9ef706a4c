"""What zram and its pool say about themselves (ZS-79, ZR-3, ZR-4, ZR-7, ZR-10)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.zram_scenes import SEVEN_IN_FOUR, Scene
from movable import Page
from movable.errors import OutOfMemory
from movable.gfp import Gfp
from movable_zsmalloc.stats import classes

HUGE = 4096


def test_classes_are_those_of_the_kernels_file() -> None:
    """A line for each of the 69, with what is in it."""
    scene = Scene()
    slots = scene.swap_out(*[SEVEN_IN_FOUR] * 8, HUGE)
    scene.free(*slots[:6])  # one is left in each zspage, and 12 chunks are free

    lines = {line.index: line for line in classes(scene.pool)}

    assert len(lines) == 69
    line = lines[144]
    assert (line.size, line.pages_per_zspage) == (2336, 4)
    assert line.zspages == {"EMPTY": 0, "ALMOST_EMPTY": 2, "ALMOST_FULL": 0, "FULL": 0}
    assert (line.obj_allocated, line.obj_used, line.pages_used, line.freeable) == (14, 2, 8, 4)
    assert lines[254].zspages["FULL"] == lines[254].obj_used == 1
    assert not lines[0].obj_allocated
    scene.close()


def test_a_write_first_asks_for_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compressor's stream is held, so nobody may sleep; then it is let go of, the stall is
    counted, and the second request may take its time (ZR-3)."""
    scene = Scene()
    alloc_page, asked = scene.memory.alloc_page, list[bool]()

    def scarce(gfp: int) -> Page:
        asked.append(bool(gfp & Gfp.DIRECT_RECLAIM))
        if not asked[-1]:
            raise OutOfMemory("nothing is free now")
        return alloc_page(gfp)

    monkeypatch.setattr(scene.memory, "alloc_page", scarce)
    scene.swap_out(HUGE)

    assert asked == [False, True]
    assert scene.zram.stats.debug_stat() == {"writestall": 1, "miss_free": 0}
    scene.close()


def noting(masks: list[int], alloc_page: Callable[[int], Page]) -> Callable[[int], Page]:
    """`alloc_page`, with every mask put down."""

    def noted(gfp: int) -> Page:
        masks.append(gfp)
        return alloc_page(gfp)

    return noted


def test_pages_are_asked_for_as_movable_ones_only_if_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both times without what would start a compaction (GFP_NOIO)."""
    for movable in (True, False):
        scene = Scene(movable=movable)
        masks = list[int]()
        monkeypatch.setattr(scene.memory, "alloc_page", noting(masks, scene.memory.alloc_page))
        scene.swap_out(HUGE)

        assert [bool(mask & Gfp.MOVABLE) for mask in masks] == [movable]
        assert not masks[0] & Gfp.IO
        scene.close()


def test_what_failed_and_what_was_given_up_is_counted() -> None:
    """A write beyond the limit is undone, and has used a page for a moment all the same (ZR-4)."""
    scene = Scene(mem_limit=1)
    [kept] = scene.swap_out(HUGE)
    scene.sizes.next_sizes.append(HUGE)

    assert scene.zram.swap_out(1) == 0
    assert scene.zram.bvec_read(kept)
    scene.free(kept)

    stats = scene.zram.stats
    assert (stats.num_writes, stats.num_reads, stats.huge_pages_since) == (2, 1, 1)
    assert stats.io_stat() == {
        "failed_reads": 0,
        "failed_writes": 1,
        "invalid_io": 0,
        "notify_free": 1,
    }
    assert scene.zram.mm_stat()["mem_used_max"] == scene.zram.mm_stat()["mem_limit"] == 4096
    assert scene.zram.mm_stat()["mem_used_total"] == 0
    scene.close()
