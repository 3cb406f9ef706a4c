"""Who else uses the pages of CMA regions, and who does not (B-13, W-4, CF-5, FS-5)."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.contiguous import region
from core.mm.ground import Ground, call
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import suitable
from movable.mm.compact_control import CompactControl
from movable.page_flags import PG_dirty, PG_lru


def test_movable_requests_come_to_a_region_when_most_of_what_is_free_is_there() -> None:
    """B-13: half of it is not enough; before that, as a last resort."""
    memory, _ = region(64, 64)
    memory.zone["pcp_batch"] = 0
    taken = [memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 4) for _ in range(8)]

    in_region = [pfn >= 64 for pfn in taken]

    # 64 of 128 free, then 64 of 112, 48 of 96 …: by turns.
    assert in_region == [False, True] * 4
    assert int(memory.zone["free_cma"][0]) == 0
    memory.validate()


def test_the_last_free_pages_are_a_regions() -> None:
    """B-13: a movable request gets them rather than steal from others' blocks."""
    here = Ground(4, 4, 6)
    here.kernel(here.span(0, range(8)))
    here.kernel(here.span(1, range(16)))
    here.type(0, t.UNMOVABLE)
    here.type(2, t.CMA)
    here.kernel(here.span(2, range(14)))
    here.kernel(here.span(3, range(16)))
    here.memory.zone["pcp_batch"] = 1
    memory = here.done()
    memory.zone["free_cma"] = 2

    assert memory.alloc_page().pfn == here.at(2, 14)
    memory.validate()


def test_other_requests_never_come_to_a_region() -> None:
    """What the patch series of 2016 was about: free memory that a driver's pages may not use."""
    memory, _ = region(32, 96)

    for _ in range(32):
        memory.alloc_pages(GFP_KERNEL, 0)
    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_KERNEL, 0)

    assert int(memory.zone["free_cma"][0]) == 96
    assert (memory.owners()[32:] == 1).all()
    memory.validate()


def test_a_regions_free_pages_are_no_reserve_for_others() -> None:
    """W-4: movable requests see them above the watermark, others do not."""
    memory, _ = region(32, 96)
    memory.zone["watermark"][0] = 40

    memory.alloc_page()
    with pytest.raises(OutOfMemory):
        memory.alloc_page(GFP_KERNEL)


def test_filling_memory_fills_its_regions() -> None:
    """Processes and page cache are movable; the kernel is not."""
    memory, _ = region(64, 64)

    memory.fill("file", 128)

    assert int(memory.zone["free_cma"][0]) == 0
    assert memory.fill("unmovable", 1).tolist() == []


def test_a_free_block_of_a_region_serves_a_movable_request() -> None:
    """CF-5: compaction for one of order 4 may stop, for another kind of request not."""
    here = Ground(4, 4, 6)
    here.type(2, t.CMA)
    here.kernel([p for b in (0, 1, 3) for p in here.span(b, range(0, 16, 2))])
    memory = here.done()

    for gfp, found in ((GFP_HIGHUSER_MOVABLE, True), (GFP_KERNEL, False)):
        cc = CompactControl(memory, order=4, gfp_mask=int(gfp))
        arrays = memory.mem_map, memory.zone, memory.node
        assert bool(call(suitable.page_of_order_free, *arrays, cc.record)) is found
        cc.close()


def test_compaction_moves_pages_into_a_region() -> None:
    """FS-5: its blocks are targets as movable ones are; isolated ones are none."""
    here = Ground(4, 4, 6)
    here.file([here.at(0, 3)], flags=PG_dirty)
    here.kernel([here.at(3), here.at(2)])
    here.type(3, t.ISOLATE)
    here.type(2, t.CMA)
    memory = here.done()
    memory.zone["free"] = 16 * 3 - 2
    memory.zone["free_cma"] = 15
    memory.zone["isolate_blocks"] = 1

    memory.compact_memory()

    memory.lru_add_drain_all()
    memory.validate()
    assert [pfn // 16 for pfn in np.flatnonzero(memory.mem_map["flags"][:80] & PG_lru)] == [3]
