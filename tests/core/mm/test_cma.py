"""Contiguous memory regions and their owners (rules CM-1, CM-2)."""

from __future__ import annotations

import numpy as np
import pytest

from core.mm.contiguous import Liar, region
from core.mm.ground import Ground, listed, on_pcp, rows
from movable.drivers.scripted import Script, Scripted
from movable.errors import BadInput, ContractViolation
from movable.mm import mm_types as t
from movable.mm import tracepoints as tp
from movable.mm.cma import Cma
from movable.mm.contig_range import ContigResult
from movable.mm.memory import Memory
from movable.mm.vmscan import HeldBack
from movable.page_flags import PG_swapbacked


def occupied(
    script: Script | None = None, kind: type[Scripted] = Scripted
) -> tuple[Ground, Memory, Cma, Scripted]:
    """A region of four blocks, with a driver's page in its first and its third, and room beside."""
    here = Ground(8, 4, 6)
    driver = kind(here.memory, script)
    here.driver(driver.mapping, [here.at(3, 5), here.at(5, 5)])
    for block in range(3, 7):
        here.type(block, t.CMA)
    here.memory.zone["pcp_batch"] = 1
    memory = here.done()
    memory.zone["free_cma"] = 62
    memory.cma["camera"] = Cma(memory, "camera", here.at(3), 64, 0)
    memory.validate()
    return here, memory, memory.cma["camera"], driver


# A region.


def test_a_region_is_free_memory_for_movable_pages() -> None:
    """Its blocks are of type CMA; the highest is used first, as after boot."""
    memory, camera = region(48, 64)

    assert memory.pageblock.tolist() == [t.MOVABLE] * 3 + [t.CMA] * 4 + [t.MOVABLE]
    assert listed(memory, 4, t.CMA) == [96, 48]
    assert listed(memory, 5, t.CMA) == [64]
    assert (memory.zone["free_cma"][0], memory.zone["free"][0]) == (64, 128)
    assert repr(camera) == "<Cma camera [0 of 64 pages]>"
    memory.validate()


@pytest.mark.parametrize(
    ("name", "base", "count", "order_per_bit", "problem"),
    [
        ("camera", 0, 16, 0, "this name is taken"),
        ("display", 8, 16, 0, "frames 8 to 23 are not whole pageblocks of 16 frames"),
        ("display", 0, 24, 0, "frames 0 to 23 are not whole pageblocks of 16 frames"),
        ("display", 0, 0, 0, "frames 0 to -1 are not whole pageblocks of 16 frames"),
        ("display", 0, 16, 5, "pieces of order 5"),
        ("display", 0, 32, 0, "frame 16 is not free, but kernel"),
        ("display", 48, 32, 0, "frame 64 is in a CMA region"),
    ],
)
def test_what_makes_no_region_is_refused(
    name: str, base: int, count: int, order_per_bit: int, problem: str
) -> None:
    """In one line; nothing has changed."""
    memory, _ = region()
    memory.alloc_contig_range(16, 17)
    before = memory.pageblock.tolist()

    with pytest.raises(BadInput) as caught:
        memory.add_cma(name, base, count, order_per_bit)

    assert str(caught.value).startswith(f"CMA region {name}: {problem}")
    assert (memory.pageblock.tolist(), list(memory.cma)) == (before, ["camera"])
    memory.validate()


def test_a_region_lies_in_memory() -> None:
    """Not behind it, nor before."""
    memory, _ = region()

    for base, count in ((128, 16), (96, 64), (-16, 16)):
        problem = f"CMA region display: frames from {base} up to {base + count}, of 0 to 127; "
        with pytest.raises(BadInput, match=problem):
            memory.add_cma("display", base, count)


# Its owner.


def test_pages_come_from_the_first_place_that_is_not_in_use() -> None:
    """CM-1: from bit 0 on."""
    memory, camera = region()

    places = [camera.alloc(count).pfn for count in (16, 8, 24)]
    camera.release(80, 8)
    places += [camera.alloc(count).pfn for count in (9, 8)]

    assert places == [64, 80, 88, 112, 80]
    assert camera.used == 16 + 8 + 24 + 9
    memory.validate()


def test_places_are_aligned_as_frames() -> None:
    """CM-1: the region itself may begin anywhere."""
    memory, camera = region(48, 64)

    places = [camera.alloc(4, align).pfn for align in (0, 5, 3, 2)]

    assert places == [48, 64, 56, 52]
    memory.validate()


def test_a_region_can_be_given_out_in_pieces() -> None:
    """One bit stands for 2**order_per_bit pages; only those asked for are taken."""
    memory, camera = region(order_per_bit=2)

    assert [camera.alloc(5).pfn, camera.alloc(1).pfn, camera.alloc(3, 1).pfn] == [64, 72, 76]

    assert camera.used == 16
    assert memory.mem_map["refcount"][64:80].tolist() == [1] * 5 + [0] * 3 + [1] + [0] * 3 + [
        *([1] * 3),
        0,
    ]
    camera.release(64, 5)
    assert (camera.used, camera.alloc(8).pfn) == (8, 64)


def test_whoever_is_there_moves_out() -> None:
    """Whatever the owner wants it for; the rest of the block is free again."""
    here, memory, camera, driver = occupied()

    found = camera.alloc(16)

    assert (found.pfn, len(found.attempts)) == (here.at(3), 1)
    assert driver.mapping.stats.migrated == 1
    assert memory.vmstat()["cma_alloc_success"] == 1
    assert repr(camera) == "<Cma camera [16 of 64 pages]>"
    memory.validate()


def test_pages_in_lru_batches_do_not_matter_here() -> None:
    """I-4: unlike in other ranges, nobody looks before they are drained."""
    here, memory, camera, _ = occupied(Script([0, 1], [0, 0], [0, 0]))
    pfn = here.at(4, 5)
    memory.alloc_contig_range(pfn, pfn + 1, t.CMA)
    memory.flags[pfn] |= PG_swapbacked
    memory.mapcount[pfn] = 1
    memory.folio_add_lru(pfn)

    found = camera.alloc(32)

    assert found.pfn == here.at(3)
    assert memory.lru_stats["anonymous"]["migrated"] == 1
    memory.validate()


def test_behind_a_place_with_a_page_that_stays_the_search_goes_on() -> None:
    """CM-1: -EBUSY; the places that were in vain can be tried again."""
    here, memory, camera, _ = occupied(Script([1, 0], [0, 0], [0, 0]))

    found = camera.alloc(16, 4)

    assert found.pfn == here.at(4)
    assert found.blame == {"scripted": 1}
    assert [attempt.start for attempt in found.attempts] == [here.at(3), here.at(4)]
    assert np.flatnonzero(camera.bitmap).tolist() == list(range(16, 32))
    memory.validate()


def test_the_next_place_is_one_alignment_further() -> None:
    """CM-1: a page further, if nothing was said."""
    here, memory, camera, _ = occupied(Script([1, 1], [0, 0], [0, 0]))

    found = camera.alloc(8)

    assert [attempt.start for attempt in found.attempts] == here.span(3, range(7))
    assert found.pfn == here.at(3, 6)
    memory.validate()


def test_a_region_with_somebody_everywhere_has_nothing() -> None:
    """The answer says who."""
    here, memory, camera, _ = occupied(Script([1, 1], [0, 0], [0, 0]))

    found = camera.alloc(48, 4)

    assert not found
    assert found.blame == {"scripted": 2}
    assert memory.vmstat()["cma_alloc_fail"] == 1
    assert (camera.used, int(memory.zone["free_cma"][0])) == (0, 62)
    memory.validate()
    assert [attempt.in_the_way and attempt.in_the_way.pfn for attempt in found.attempts] == [
        here.at(3, 5),
        here.at(5, 5),
    ]


def test_without_a_target_the_search_ends() -> None:
    """CM-1: any other error would be the same everywhere."""
    here = Ground(4, 4, 6)
    here.anon([here.at(1), here.at(2)])
    here.kernel([p for b in (0, 3) for p in here.span(b, range(16))])
    for block in (1, 2):
        here.type(block, t.CMA)
    memory = here.done()
    memory.zone["free_cma"] = 30
    memory.zone["watermark"][0] = 100
    camera = memory.cma["camera"] = Cma(memory, "camera", here.at(1), 32, 0)

    found = camera.alloc(16)

    assert [attempt.result for attempt in found.attempts] == [ContigResult.NOMEM]
    memory.lru_add_drain_all()
    memory.validate()


def test_pages_may_move_within_their_region() -> None:
    """CM-3: targets are movable requests, too."""
    here = Ground(4, 4, 6)
    here.anon([here.at(1)])
    here.kernel([p for b in (0, 3) for p in here.span(b, range(16))])
    for block in (1, 2):
        here.type(block, t.CMA)
    here.memory.zone["pcp_batch"] = 1
    memory = here.done()
    memory.zone["free_cma"] = 31
    camera = memory.cma["camera"] = Cma(memory, "camera", here.at(1), 32, 0)

    class Awake(HeldBack):
        def wake_kswapd(self, gfp: int, order: int, highest_zoneidx: int) -> None:
            raise AssertionError("there was no need")

    memory.vmscan = Awake(memory)

    assert camera.alloc(16).pfn == here.at(1)

    memory.lru_add_drain_all()
    assert int(memory.zone["free_cma"][0]) == 15
    memory.validate()


def test_a_broken_promise_leaves_the_place_unused() -> None:
    """It is raised, and can be looked into."""
    _, memory, camera, _ = occupied(kind=Liar)

    with pytest.raises(ContractViolation, match=r"liar\.migratepage"):
        camera.alloc(16)

    assert (camera.used, memory.cma_mutex.is_locked()) == (0, False)
    memory.validate()


def test_what_happens_is_traced_as_in_the_kernel() -> None:
    """cma.h: a start, a line for each place that was busy, and an end."""
    here, memory, camera, _ = occupied(Script([1, 0], [0, 0], [0, 0]))
    second = memory.cma["display"] = Cma(memory, "display", here.at(6), 16, 0)

    camera.alloc(16, 4)
    second.alloc(16)
    second.release(here.at(6), 16)
    second.bitmap[:] = True
    second.alloc(16)

    assert rows(memory, *tp.CMA_NAMES) == [
        (tp.CMA_ALLOC_START, 0, 16, 4),
        (tp.CMA_ALLOC_BUSY_RETRY, 0, here.at(3), 16, 1, 4),
        (tp.CMA_ALLOC_FINISH, 0, here.at(4), 16, 1, 4),
        (tp.CMA_ALLOC_START, 1, 16, 0),
        (tp.CMA_ALLOC_FINISH, 1, here.at(6), 16, 1, 0),
        (tp.CMA_RELEASE, 1, here.at(6), 16),
        (tp.CMA_ALLOC_START, 1, 16, 0),
        (tp.CMA_ALLOC_FINISH, 1, -1, 16, 0, 0),
    ]


def test_pages_are_given_back_one_by_one() -> None:
    """CM-2: among movable pages on the CPU's list, but as what they are."""
    memory, camera = region()
    camera.alloc(3)

    camera.release(64, 3)

    assert on_pcp(memory, t.MOVABLE) == [66, 65, 64]
    assert [memory.private[pfn] for pfn in (64, 65, 66)] == [t.CMA] * 3
    memory.drain_all_pages()
    assert int(memory.zone["free_cma"][0]) == 64
    memory.validate()


@pytest.mark.parametrize(("count", "align"), [(0, 0), (65, 0), (-1, 0), (33, 5), (1, 8)])
def test_what_an_empty_region_does_not_have_is_refused(count: int, align: int) -> None:
    """One line, and no counter says that an allocation failed."""
    memory, camera = region(80, 48) if align else region()

    with pytest.raises(BadInput, match=r"CMA region camera: .*if it is empty"):
        camera.alloc(count, align)
    with pytest.raises(BadInput, match="-1 is no order to align to"):
        camera.alloc(1, -1)

    assert memory.vmstat()["cma_alloc_fail"] == 0


@pytest.mark.parametrize(("pfn", "count"), [(64, 4), (63, 1), (126, 4), (66, 0), (64, 1)])
def test_only_what_was_had_is_given_back(pfn: int, count: int) -> None:
    """And only once."""
    memory, camera = region()
    camera.alloc(3)
    camera.release(64, 1)

    with pytest.raises(BadInput, match="are not all in use from this region; give back what alloc"):
        camera.release(pfn, count)

    assert camera.used == 2
    memory.drain_all_pages()
    memory.validate()
