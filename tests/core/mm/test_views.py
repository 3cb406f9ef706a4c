"""Who owns each frame, and how fragmented what is free is."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.ground import Ground, small
from movable.drivers.scripted import Scripted
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import page_alloc, views
from movable.mm.memory import Memory
from movable.page_flags import NO_ZONE, ZONE_SHIFT, PG_lru, PG_reserved, PG_swapbacked


def test_every_frame_has_an_owner() -> None:
    """Holes, free and per-CPU pages, users of both kinds, the kernel, and each driver by name."""
    ground = Ground(4, 4, 6)
    memory = ground.memory
    one, two = Scripted(memory), Scripted(memory)
    one.mapping.name, two.mapping.name = "zram0", "zram1"
    ground.driver(one.mapping, [ground.at(0)])
    ground.driver(two.mapping, [ground.at(0, 1)])
    ground.anon([ground.at(0, 2)])
    ground.file([ground.at(0, 3)])
    ground.kernel([ground.at(0, 4), ground.at(0, 5)])
    ground.kernel([ground.at(0, 6)], PG_reserved)
    ground.compound(ground.at(1), 2, PG_lru | PG_swapbacked)
    ground.lru.append(ground.at(1))
    ground.done()
    memory.engine.call(page_alloc.free_pages, ground.at(0, 5), 0)

    names = [memory.owner_names[code] for code in memory.owners()[ground.start :][:20]]

    assert names == [
        "zram0",
        "zram1",
        "anonymous",
        "page cache",
        "kernel",
        "per-CPU",
        "reserved",
        *["free"] * 9,
        *["huge"] * 4,
    ]
    assert memory.owner_names[memory.owners()[0]] == "hole"
    assert memory.owner_names[-2:] == ["zram0", "zram1"]


def test_a_page_between_two_lists_belongs_to_its_user_still() -> None:
    """Isolated anonymous memory is not the kernel's."""
    ground = small()
    ground.anon([ground.at(0)])
    memory = ground.memory
    memory.flags[ground.at(0)] ^= PG_lru

    assert memory.owner_names[memory.owners()[ground.at(0)]] == "anonymous"


def test_a_page_that_waits_in_an_lru_batch_is_its_users_already() -> None:
    """Page cache that was just read, on this CPU or another."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    first, second = memory.fill("file", 2).tolist()
    memory.node["lru_add"][0, 0], memory.other_lru_batches[:] = second, [first]
    memory.node["lru_add_count"] = 1

    assert [memory.owner_names[memory.owners()[pfn]] for pfn in (first, second)] == (
        ["page cache"] * 2
    )


@pytest.mark.parametrize(("start", "end"), [(0, 64), (3, 20), (17, 18), (40, 64)])
def test_the_owners_of_a_range_are_those_of_all(start: int, end: int) -> None:
    """Also of frames in the middle of a block that begins before the range."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    memory.fill("anon", 5)
    memory.fill("unmovable", 3)

    assert views.owners(memory, start, end).tolist() == memory.owners()[start:end].tolist()


def test_tails_of_blocks_on_per_cpu_lists_are_per_cpu() -> None:
    """A whole block waits there."""
    ground = small()
    memory = ground.done()
    memory.zone["pcp_batch"] = 1
    pfn = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 2)
    memory.free_pages(pfn, 2)

    assert set(memory.owners()[pfn : pfn + 4]) == {views.PER_CPU}


def test_a_hole_is_a_hole_whatever_else_its_record_says() -> None:
    """Frames that do not exist have no owner."""
    memory = small().done()
    memory.flags[20] = NO_ZONE << ZONE_SHIFT | PG_reserved

    assert memory.owners()[20] == views.HOLE


def test_owner_codes_fit_a_byte() -> None:
    """A map of a large memory is made of them."""
    assert small().done().owners().dtype == np.uint8


@pytest.mark.parametrize(
    ("counts", "order", "index"),
    [
        ([100, 50, 20, 10, 4, 2, 1, 0, 0, 0, 0], 3, 507),
        ([100, 50, 20, 10, 4, 2, 1, 0, 0, 0, 0], 9, 1000),
        ([3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2], 9, 112),
        ([0, 0, 0, 0], 1, 1000),
        ([0, 0, 0, 5], 3, 0),
    ],
)
def test_the_unusable_index_is_debugfs(counts: list[int], order: int, index: int) -> None:
    """V-8: thousandths of what is free that cannot serve the order."""
    assert views.unusable_index(counts, order) == index


def test_indices_are_by_zone() -> None:
    """As /sys/kernel/debug/extfrag/unusable_index has one line a zone."""
    memory = small().done()

    assert memory.buddyinfo() == {"DMA32": [2, 2, 2, 2, 2, 0]}
    assert memory.unusable_index(4) == {"DMA32": 483}
