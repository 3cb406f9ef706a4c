"""What a request gets where memory is reclaimed: it waits, and compaction gets what it needs."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.disk import Disk, filled, free_pages, reclaimed, vmscan
from movable.errors import BadInput, OutOfMemory
from movable.gfp import GFP_KERNEL, Gfp
from movable.mm.memory import Memory
from movable.mm.population import touch

ANY_ZONE = 3
HARD = 1
"""A priority at which half of a list is looked at."""


def test_users_wait_for_memory_that_can_be_reclaimed() -> None:
    """They get all they ask for, and the oldest page cache is gone."""
    memory = reclaimed()

    first = memory.fill("file", 1500)
    second = memory.fill("file", 1500)

    assert (len(first), len(second)) == (1500, 1500)
    assert vmscan(memory).events["pgsteal_kswapd"] >= 1000
    memory.validate()


def test_users_get_less_where_nothing_can_be_reclaimed() -> None:
    """And no error of their own."""
    memory = reclaimed()

    assert len(memory.fill("anon", 3000)) < 2048


def test_a_request_that_may_not_wake_kswapd_reclaims_itself() -> None:
    """Direct reclaim: it is counted as a stall."""
    memory = reclaimed()
    filled(memory, "file", 1984)
    memory.zone["watermark"] += 40

    pfn = memory.alloc_pages(int(GFP_KERNEL & ~Gfp.KSWAPD_RECLAIM), 0)

    assert pfn >= 0
    assert vmscan(memory).events["allocstall"] == 1
    assert vmscan(memory).events["pgsteal_direct"] >= 32


def test_a_large_block_is_made_of_reclaimed_memory() -> None:
    """Reclaim and compaction together."""
    memory = reclaimed(pageblock_order=5, max_order=7)
    memory.drop(filled(memory, "file", 1984)[::16])

    block = memory.alloc_pages(int(GFP_KERNEL), 4)

    assert block % 16 == 0
    memory.free_pages(block, 4)
    memory.validate()


def test_reclaim_goes_on_until_compaction_can_begin() -> None:
    """For a costly order: one round would not do. Pages that are spared keep large blocks away."""
    memory = reclaimed()
    touch(memory, filled(memory, "file", 1984)[40::40])
    once = vmscan(memory).scan(0, ANY_ZONE, HARD, 1, "direct")
    more = vmscan(memory).scan(7, ANY_ZONE, HARD, 1, "direct")

    vmscan(memory).shrink(once)
    vmscan(memory).shrink(more)

    assert once.freed == 32
    assert more.freed >= 200
    assert 0 <= free_pages(memory) - (80 + 256) < 32  # the low watermark, and twice the block


def test_swap_needs_reclaim() -> None:
    """Nothing would ever go there."""
    memory = Memory.blank(256)

    with pytest.raises(BadInput, match="nothing reclaims this memory"):
        memory.vmscan.swapon(Disk())


def test_a_memory_without_reclaim_counts_nothing_of_it() -> None:
    """Its /proc/vmstat is as it was recorded."""
    assert Memory.blank(256).vmscan.events == {}
    assert set(reclaimed().vmscan.events) >= {"pgscan_direct", "allocstall", "pswpin"}


def test_a_request_fails_when_nothing_is_left_to_reclaim() -> None:
    """It does not go on for ever."""
    memory = reclaimed()
    memory.fill("unmovable", 2048)

    with pytest.raises(OutOfMemory):
        memory.alloc_pages(int(GFP_KERNEL), 3)

    assert np.all(memory.zone["boost"] >= 0)
