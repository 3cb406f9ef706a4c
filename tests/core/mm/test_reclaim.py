"""Reclaim: which pages it takes, in which order, and which it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.disk import Disk, filled, is_free, lru, reclaimed, vmscan
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.mm.population import touch
from movable.page_flags import (
    PG_active,
    PG_dirty,
    PG_head,
    PG_locked,
    PG_private,
    PG_referenced,
    PG_writeback,
)

ANY_ZONE = 3
HARD, EASY = 1, 12
"""Priorities: at the one half of a list is looked at, at the other none of a short one."""


def shrink(memory: Memory, priority: int = HARD, zone: int = ANY_ZONE) -> int:
    """One round of direct reclaim."""
    return vmscan(memory).shrink_node(0, zone, priority)


def test_page_cache_goes_the_oldest_first() -> None:
    """A cluster at a time."""
    memory = reclaimed()
    pfns = filled(memory, "file", 200)

    assert shrink(memory) == 32

    assert is_free(memory, pfns) == [True] * 32 + [False] * 168
    assert lru(memory, "inactive_file") == pfns[:31:-1].tolist()
    memory.validate()


def test_the_lower_the_priority_the_more_pages_are_looked_at() -> None:
    """The list's length, halved so often."""
    memory = reclaimed()
    filled(memory, "file", 200)

    assert [shrink(memory, priority) for priority in (12, 8, 7, 5)] == [0, 0, 1, 6]


def test_pages_in_the_cpus_batch_are_there_to_be_reclaimed() -> None:
    """It is flushed first."""
    memory = reclaimed()
    memory.fill("file", 10)

    assert shrink(memory) == 5


def test_a_touched_page_is_spared_and_becomes_active() -> None:
    """Once: the flag is gone, so that it has to be touched again."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    touch(memory, pfns[:10])

    assert shrink(memory) == 40

    assert lru(memory, "active_file") == pfns[9::-1].tolist()
    assert not memory.mem_map["flags"][pfns[:10]].astype(int)[0] & PG_referenced
    assert is_free(memory, pfns[10:50]) == [True] * 40
    memory.validate()


def test_mapped_page_cache_becomes_active() -> None:
    """Reclaim does not unmap."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["mapcount"][pfns[0]] = 1
    memory.mem_map["refcount"][pfns[0]] = 2

    shrink(memory)

    assert lru(memory, "active_file") == [pfns[0]]


@pytest.mark.parametrize("flag", [PG_locked, PG_writeback, PG_head])
def test_a_page_in_use_goes_round_once_more(flag: int) -> None:
    """Locked, being written, or huge."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["flags"][pfns[0]] |= flag

    shrink(memory)

    assert is_free(memory, pfns[:2]) == [False, True]
    assert lru(memory, "inactive_file")[0] == pfns[0]


def test_a_pinned_page_goes_round_once_more() -> None:
    """Somebody has a reference that the page cache does not know of."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["refcount"][pfns[0]] += 1

    shrink(memory)

    assert not is_free(memory, pfns[:1])[0]


def test_buffers_are_freed_with_their_page() -> None:
    """Their reference is expected."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["flags"][pfns[0]] |= PG_private
    memory.mem_map["refcount"][pfns[0]] += 1

    shrink(memory)

    assert is_free(memory, pfns[:1])[0]


@pytest.mark.parametrize(
    ("operations", "goes"), [(t.HAS_MIGRATE, True), (t.HAS_WRITEPAGE, True), (t.HAS_NEITHER, False)]
)
def test_a_dirty_page_is_written_if_that_is_possible(operations: int, goes: bool) -> None:
    """Then it is clean, and goes as the others do."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["flags"][pfns[0]] |= PG_dirty
    memory.mem_map["mapping"][pfns[0]] = memory.register(object(), operations)

    shrink(memory)

    assert is_free(memory, pfns[:1]) == [goes]


def test_nothing_is_written_for_a_boost() -> None:
    """The watermarks' boost is no reason for IO."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    memory.mem_map["flags"][pfns[0]] |= PG_dirty
    sc = vmscan(memory).scan(0, ANY_ZONE, HARD, 32, "kswapd")
    sc.may_writepage = False

    vmscan(memory).shrink(sc)

    assert is_free(memory, pfns[:2]) == [False, True]


def test_pages_of_a_zone_that_does_not_help_are_spared() -> None:
    """A request for low memory gains nothing from others."""
    memory = reclaimed(2048, ("DMA32", 1024), ("Normal", 1024))
    pfns = filled(memory, "file", 1500)
    high = pfns[pfns >= 1024]
    assert 0 < len(high) < len(pfns)

    shrink(memory, zone=1)

    assert not any(is_free(memory, high))
    assert vmscan(memory).events["pgsteal_direct"] == 32
    memory.validate()


def test_active_pages_become_inactive_when_few_are() -> None:
    """And then, if nobody touches them again, they go: the oldest first."""
    memory = reclaimed()
    pfns = filled(memory, "file", 100)
    touch(memory, pfns)
    assert shrink(memory) == 0
    assert lru(memory, "active_file") == pfns[49::-1].tolist()

    for _ in range(3):
        shrink(memory)

    assert is_free(memory, pfns[:1]) == [True]
    assert not any(is_free(memory, pfns[-1:]))
    kept = lru(memory, "inactive_file")
    assert not np.any(memory.mem_map["flags"][kept] & PG_active)
    memory.validate()


# Anonymous pages.


def test_anonymous_pages_stay_where_nothing_can_be_swapped() -> None:
    """However hard it is tried."""
    memory = reclaimed()
    pfns = filled(memory, "anon", 200)

    assert shrink(memory) == 0
    assert vmscan(memory).reclaimable(0) == 0

    assert not any(is_free(memory, pfns))


def test_anonymous_pages_are_swapped_the_oldest_first() -> None:
    """The device gets their contents, and nobody else has them."""
    memory, disk = reclaimed(), Disk()
    pfns = filled(memory, "anon", 200)
    contents = memory.mem_map["content"][pfns].tolist()
    vmscan(memory).swapon(disk)

    assert shrink(memory) == 30  # three tenths of half of the list

    assert is_free(memory, pfns) == [True] * 30 + [False] * 170
    assert list(disk.pages.values()) == contents[:30]
    assert vmscan(memory).events["pswpout"] == 30
    assert vmscan(memory).reclaimable(0) == 170
    memory.validate()


def test_page_cache_goes_before_anonymous_pages() -> None:
    """While there is enough of it."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    filled(memory, "anon", 200)
    file = filled(memory, "file", 200)

    shrink(memory)

    assert not disk.pages
    assert sum(is_free(memory, file)) == 32


def test_both_go_when_page_cache_is_short() -> None:
    """By swappiness: three tenths of the pressure is on anonymous pages."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    anon, file = filled(memory, "anon", 200), filled(memory, "file", 200)
    touch(memory, file)
    vmscan(memory).shrink(vmscan(memory).scan(0, ANY_ZONE, 0, 200, "kswapd"))

    vmscan(memory).shrink(vmscan(memory).scan(0, ANY_ZONE, HARD, 200, "kswapd"))

    assert 0 < sum(is_free(memory, anon)) < sum(is_free(memory, file))


def test_next_to_no_page_cache_is_left_alone() -> None:
    """When it could not make up for what is missing, anonymous pages must."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    filled(memory, "anon", 1970)
    file = filled(memory, "file", 8)

    assert shrink(memory) == 32

    assert not any(is_free(memory, file))
    assert len(disk.pages) == 32


@pytest.mark.parametrize("field", ["mapcount", "refcount"])
def test_a_page_of_several_is_not_swapped(field: str) -> None:
    """Shared by processes, or pinned."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    pfns = filled(memory, "anon", 100)
    memory.mem_map[field][pfns[0]] += 1

    shrink(memory)

    assert is_free(memory, pfns[:2]) == [False, True]
    assert lru(memory, "inactive_anon")[0] == pfns[0]


def test_a_touched_anonymous_page_is_spared() -> None:
    """As page cache is."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    pfns = filled(memory, "anon", 100)
    touch(memory, pfns[:3])

    shrink(memory)

    assert lru(memory, "active_anon") == pfns[2::-1].tolist()


def test_a_full_device_gets_no_more() -> None:
    """What it did not take is active again, unlocked, and asked for another time."""
    memory, disk = reclaimed(), Disk(room=5)
    vmscan(memory).swapon(disk)
    pfns = filled(memory, "anon", 100)

    assert shrink(memory) == 5

    assert len(disk.pages) == 5
    assert len(lru(memory, "active_anon")) == 10  # of 15 that were looked at
    assert repr(memory.vmscan.swap) == "<Swap [5 pages out, full]>"
    assert is_free(memory, pfns[:6]) == [True] * 5 + [False]
    memory.validate()


def test_a_full_device_is_asked_again_by_the_next_who_reclaims() -> None:
    """There may be room by then."""
    memory, disk = reclaimed(), Disk(room=5)
    vmscan(memory).swapon(disk)
    filled(memory, "anon", 100)
    shrink(memory)
    disk.room = 50

    memory.vmscan.try_to_free_pages(0, ANY_ZONE)

    assert len(disk.pages) > 5


def test_a_device_that_needs_memory_gets_it_from_the_reserves() -> None:
    """Who frees memory must not wait for memory, and does not begin to reclaim anew."""
    memory = reclaimed()
    disk = Disk(memory=memory)
    vmscan(memory).swapon(disk)
    filled(memory, "unmovable", 1000)
    filled(memory, "anon", 970)

    memory.fill("anon", 50)

    assert len(disk.frames) == len(disk.pages) > 0
    assert vmscan(memory).kswapd.failures == 0
    memory.validate()
