"""kswapd: when it works, until when, and whom it wakes afterwards (W-9, SK-7, K-2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.mm.disk import Disk, filled, free_pages, reclaimed, vmscan
from core.mm.ground import rows
from movable.gfp import GFP_ATOMIC, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm.kswapd import Kswapd
from movable.mm.memory import Memory
from movable.mm.pageblock import set_block_skip
from movable.mm.tracepoints import WAKEUP_KCOMPACTD

ANY_ZONE = 3
HIGH = 96


def kswapd(memory: Memory) -> Kswapd:
    return vmscan(memory).kswapd


def wake(memory: Memory, order: int = 0, gfp: int = int(GFP_KERNEL)) -> None:
    memory.vmscan.wake_kswapd(gfp, order, ANY_ZONE)


def short(kind: str = "file", **options: Any) -> Memory:
    """A memory of which less than the low watermark is free."""
    memory = reclaimed(**options)
    filled(memory, kind, memory.nr_frames - 70)
    assert free_pages(memory) == 70
    return memory


def riddled() -> Memory:
    """A memory in which every other page is free."""
    memory = reclaimed(pageblock_order=5, max_order=7)
    memory.fill_up()
    memory.drop(np.arange(0, memory.nr_frames, 2))
    memory.drain_all_pages()
    assert memory.buddyinfo()["DMA32"] == [1024, 0, 0, 0, 0, 0, 0]
    return memory


def woken(memory: Memory) -> list[tuple[int, ...]]:
    """(order, zone) of each time that kcompactd was woken."""
    return [row[1:] for row in rows(memory, WAKEUP_KCOMPACTD)]


def test_it_reclaims_until_the_high_watermark_is_met() -> None:
    """And not much further."""
    memory = short()

    wake(memory)

    assert HIGH < free_pages(memory) <= HIGH + 96
    assert vmscan(memory).events["pgsteal_direct"] == 0
    memory.validate()


def test_it_leaves_a_balanced_memory_alone() -> None:
    """Nothing is missing."""
    memory = reclaimed()
    filled(memory, "file", 500)

    wake(memory)

    assert vmscan(memory).events["pgscan_kswapd"] == 0


def test_while_it_works_the_cpus_lists_are_kept_short() -> None:
    """ZONE_RECLAIM_ACTIVE: what it frees must get back to the free lists."""
    memory, seen = short("anon"), list[int]()

    class Looking(Disk):
        def store(self, content: int) -> int:
            seen.append(int(memory.zone["zflags"][0]) & t.ZONE_RECLAIM_ACTIVE)
            return super().store(content)

    vmscan(memory).swapon(Looking())
    wake(memory)

    assert set(seen) == {t.ZONE_RECLAIM_ACTIVE}
    assert not memory.zone["zflags"][0] & t.ZONE_RECLAIM_ACTIVE


def test_it_gives_up_after_sixteen_runs_without_progress() -> None:
    """The node is hopeless, and nobody wakes it any more."""
    memory = short("anon")

    wake(memory)

    assert kswapd(memory).failures == 16
    assert repr(kswapd(memory)) == "<Kswapd [hopeless]>"
    assert repr(memory.vmscan) == "<Reclaim [<Kswapd [hopeless]>, no swap]>"


def test_progress_of_somebody_else_gives_it_hope() -> None:
    """Direct reclaim has found something."""
    memory = short("anon")
    wake(memory)
    vmscan(memory).swapon(Disk())

    assert vmscan(memory).shrink_node(0, ANY_ZONE, 1) > 0

    assert kswapd(memory).failures == 0


def test_the_boost_is_taken_back() -> None:
    """After its reclaim has been done, and kcompactd is to make whole blocks (K-2)."""
    memory = riddled()
    memory.zone["boost"][0] = 40

    wake(memory)

    assert memory.zone["boost"][0] == 0
    assert memory.kcompactd.awake
    assert woken(memory) == [(memory.pageblock_order, ANY_ZONE)]


def test_nothing_is_swapped_for_a_boost() -> None:
    """It would be IO for comfort's sake."""
    memory, disk = reclaimed(), Disk()
    vmscan(memory).swapon(disk)
    filled(memory, "anon", 1000)
    memory.zone["boost"][0] = 40

    wake(memory)

    assert not disk.pages
    assert memory.zone["boost"][0] == 0


def test_page_cache_is_reclaimed_for_a_boost() -> None:
    """As much as the boost was."""
    memory = reclaimed(8192)  # at the first priority one page of 4096 is looked at
    filled(memory, "file", 7000)
    memory.zone["boost"][0] = 40

    wake(memory)

    assert 40 <= vmscan(memory).events["pgsteal_kswapd"] < 200


def test_memory_in_pieces_is_left_to_kcompactd() -> None:
    """If the request does not compact itself (wakeup_kswapd())."""
    memory = riddled()
    kswapd(memory).failures = 16

    wake(memory, 3)
    assert woken(memory) == []
    wake(memory, 3, int(GFP_ATOMIC))

    assert woken(memory) == [(3, ANY_ZONE)]
    assert memory.kcompactd.awake


def test_after_reclaim_in_vain_kcompactd_is_to_make_the_block() -> None:
    """It was woken for one, and reclaimed twice as much without getting it."""
    memory = riddled()
    vmscan(memory).swapon(Disk())
    memory.mem_map["refcount"][3 : memory.nr_frames : 4] += 1

    wake(memory, 4)

    assert vmscan(memory).events["pgsteal_kswapd"] >= 32

    assert woken(memory) == [(4, ANY_ZONE)]
    assert memory.kcompactd.awake


def test_a_block_that_reclaim_makes_is_enough() -> None:
    """Then kcompactd has nothing to do."""
    memory = short()

    wake(memory, 2)

    assert not memory.kcompactd.awake


def test_when_it_sleeps_the_skip_hints_are_reset() -> None:
    """Where direct compaction has asked for it (SK-7)."""
    memory = short(pageblock_order=5, max_order=7)
    memory.engine.call(set_block_skip, 640)
    memory.zone["blockskip_flush"][0] = 1

    wake(memory)

    assert not memory.pageblock[20] & t.BLOCK_SKIP
    assert memory.zone["blockskip_flush"][0] == 0


def test_it_is_not_woken_by_its_own_allocations() -> None:
    """Nor by whoever reclaims: that would have no end."""
    memory = short()

    with memory.vmscan.no_reclaim():
        wake(memory)

    assert vmscan(memory).events["pgscan_kswapd"] == 0
    assert not kswapd(memory).running


def test_an_error_does_not_leave_it_running() -> None:
    """The next who runs short wakes it as ever."""
    memory = short("anon")

    class Broken(Disk):
        def store(self, content: int) -> int:
            raise KeyError(content)

    vmscan(memory).swapon(Broken())
    with pytest.raises(KeyError):
        wake(memory)

    assert not kswapd(memory).running
    assert not memory.vmscan.reclaiming
    assert not memory.zone["zflags"][0] & t.ZONE_RECLAIM_ACTIVE
