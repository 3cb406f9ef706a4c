"""The pool's shrinker: when memory is short, the VM has it compacted (ZS-65)."""

from __future__ import annotations

import pytest

from core.mm.disk import reclaimed, vmscan
from drivers.zram_scenes import Scene
from movable import SHRINK_STOP, ShrinkControl
from movable.invariant import hold_invariants
from movable_zsmalloc import Zram
from movable_zsmalloc.compaction import zs_shrinker_count, zs_shrinker_scan

TWO_IN_ONE = 2000


@pytest.mark.parametrize("locking", ["6.1", "4.8", "7.2"])
def test_it_counts_pages_and_compacts_all_of_them(locking: str) -> None:
    """However few are asked for; then there is nothing to count, and it stops."""
    scene = Scene(locking=locking)
    slots = scene.swap_out(*[TWO_IN_ONE] * 40)
    scene.free(*slots[::2])
    [shrinker] = scene.memory.shrinkers
    assert shrinker.name == "mm-zspool:zram"
    assert shrinker._count(ShrinkControl()) == zs_shrinker_count(scene.pool) == 10

    assert shrinker._scan(ShrinkControl(1, 1)) == 10

    assert zs_shrinker_count(scene.pool) == 0
    assert zs_shrinker_scan(scene.pool) == SHRINK_STOP
    assert scene.pool.pages_compacted == 10
    scene.close()


def test_while_somebody_compacts_it_stops() -> None:
    """A second compaction frees nothing (ZS-58)."""
    scene = Scene()
    scene.free(*scene.swap_out(*[TWO_IN_ONE] * 8)[::2])
    scene.pool.compacting = True

    assert zs_shrinker_scan(scene.pool) == SHRINK_STOP

    scene.pool.compacting = False
    assert zs_shrinker_scan(scene.pool) == 2
    scene.close()


def test_reclaim_finds_pages_in_a_fragmented_pool() -> None:
    """Nothing else is there to be reclaimed; the pages are free, and no progress."""
    memory = reclaimed()
    zram = Zram(memory, Zram.Config(same_filled=0))
    zram.swap_out(3000)
    zram.free(2000)
    pages, free = zram.pool.pages_allocated, int(memory.zone["free"].sum())

    assert vmscan(memory).shrink_node(0, 3, 0) == 0

    freed = pages - zram.pool.pages_allocated
    assert freed == zram.pool.pages_compacted > 100
    assert zram.read(1000) == 1000
    memory.drain_all_pages()
    assert int(memory.zone["free"].sum()) >= free + freed
    hold_invariants(zram)
    memory.validate()


def test_little_is_put_off() -> None:
    """Fewer than 128 pages are worth no call, until memory is so short that all are wanted."""
    memory = reclaimed()
    zram = Zram(memory, Zram.Config(same_filled=0))
    zram.swap_out(600)
    zram.free(300)
    assert 20 < zs_shrinker_count(zram.pool) < 128

    vmscan(memory).shrink_node(0, 3, 5)
    assert zram.pool.pages_compacted == 0
    vmscan(memory).shrink_node(0, 3, 0)

    assert zram.pool.pages_compacted > 20
    hold_invariants(zram)
