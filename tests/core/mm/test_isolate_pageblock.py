"""One pageblock kept from the allocator, and what keeps it from that (rules I-2, I-4)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mm.contiguous import ground, isolate, state, types, undo
from core.mm.ground import Ground, listed
from movable.drivers.scripted import Scripted
from movable.errors import OutOfMemory
from movable.gfp import GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.page_flags import PAGE_MAPPING_ANON, PG_lru, PG_reserved, PG_slab

# One block.


def test_what_is_free_in_an_isolated_block_is_kept_apart() -> None:
    """I-2: on lists of its own, behind what is there already, and not counted as free."""
    here = ground()
    here.kernel([here.at(3, 8)])
    here.anon([here.at(0, 0), here.at(0, 8)])
    memory = here.done()
    before = state(memory)

    assert isolate(memory, here.at(0), here.at(1)) is None

    assert listed(memory, 2, t.ISOLATE) == [here.at(0, 4), here.at(0, 12)]
    assert listed(memory, 0, t.ISOLATE) == [here.at(0, 1), here.at(0, 9)]
    assert listed(memory, 2) == [here.at(3, 12)]
    assert state(memory) == ([t.ISOLATE, t.MOVABLE, t.MOVABLE, t.MOVABLE], before[1] - 14, 1)
    memory.validate()


def test_nothing_of_an_isolated_block_is_handed_out() -> None:
    """Not even to the last request."""
    here = ground(1)
    memory = here.done()
    isolate(memory, here.at(0), here.at(1))

    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_KERNEL, 0)


def test_a_page_freed_into_an_isolated_block_passes_by_the_cpus_lists() -> None:
    """P-4: it stands on an isolated list at once, and is not counted."""
    here = ground()
    here.anon([here.at(0)])
    memory = here.done()
    isolate(memory, here.at(0), here.at(1))
    before = state(memory)

    memory.mem_map["mapcount"][here.at(0)] = 0
    memory.page(here.at(0)).put()

    assert listed(memory, 4, t.ISOLATE) == [here.at(0)]
    assert memory.zone["pcp_count"][0, 0] == 0
    assert (state(memory), memory.vmstat()["pgfree"]) == (before, 0)
    memory.validate()


def test_a_range_is_as_large_as_its_pageblocks() -> None:
    """I-1: rounded down and up."""
    here = ground()
    memory = here.done()

    isolate(memory, here.at(1, 15), here.at(2, 1))

    assert types(memory) == [t.MOVABLE, t.ISOLATE, t.ISOLATE, t.MOVABLE]
    memory.validate()


def test_the_free_pages_of_a_cma_block_are_not_counted_as_such_meanwhile() -> None:
    """Both counters go down, and up again."""
    here = ground()
    memory = here.done()
    memory.add_cma("camera", here.at(1), 32)

    isolate(memory, here.at(1), here.at(2), t.CMA)
    assert (memory.zone["free_cma"][0], state(memory)[1]) == (16, 48)
    memory.validate()

    undo(memory, here.at(1), here.at(2), t.CMA)
    assert (memory.zone["free_cma"][0], state(memory)[1]) == (32, 64)
    assert listed(memory, 5, t.CMA) == [here.at(1)]
    memory.validate()


def test_a_block_is_isolated_once() -> None:
    """I-2: whoever comes second goes away again, and changes nothing."""
    here = ground()
    memory = here.done()
    isolate(memory, here.at(2), here.at(3))
    before = state(memory)

    found = isolate(memory, here.at(0), here.at(3))

    assert found == (here.at(2), "is in a pageblock that somebody else isolates")
    assert state(memory) == before
    memory.validate()


# Who could not be moved.


def kernel(here: Ground, pfn: int) -> None:
    here.kernel([pfn])


def anon(here: Ground, pfn: int) -> None:
    here.anon([pfn])


def driver(here: Ground, pfn: int) -> None:
    here.driver(Scripted(here.memory).mapping, [pfn])


def reserved(here: Ground, pfn: int) -> None:
    here.kernel([pfn], PG_reserved)


def reserved_lru(here: Ground, pfn: int) -> None:
    here.anon([pfn])
    here.memory.flags[pfn] |= PG_reserved


def slab(here: Ground, pfn: int) -> None:
    here.compound(pfn, 2, PG_slab)


def huge(here: Ground, pfn: int) -> None:
    here.compound(pfn, 2)
    here.memory.flags[pfn] |= PG_lru


def tails_without_reference(here: Ground, pfn: int) -> None:
    """What an order-2 request without __GFP_COMP got, but for its first page."""
    here.anon([pfn])
    here.kernel([pfn + 1, pfn + 2, pfn + 3], 0)
    here.memory.mem_map["refcount"][pfn + 1 : pfn + 4] = 0


@pytest.mark.parametrize(
    ("user", "moves"),
    [
        (kernel, False),
        (anon, True),
        (driver, True),
        (reserved, False),
        (reserved_lru, False),
        (slab, False),
        (huge, True),
        (tails_without_reference, True),
    ],
)
@pytest.mark.parametrize("offset", [0, 4, 12])
def test_a_block_with_a_page_that_nobody_could_move_is_left_alone(
    user: Callable[[Ground, int], None], moves: bool, offset: int
) -> None:
    """I-4: by its flags and its tag; nobody is asked."""
    here = ground()
    pfn = here.at(1, offset)
    user(here, pfn)
    memory = here.memory if user is huge else here.done()
    before = state(memory)

    found = isolate(memory, here.at(1), here.at(2))

    assert found == (None if moves else (pfn, "is of a kind that cannot be moved"))
    assert (state(memory) == before) is not moves


def test_a_page_that_waits_in_an_lru_batch_passes_for_unmovable() -> None:
    """I-4: it is not on an LRU list yet."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    (pfn,) = memory.fill("anon", 1).tolist()

    found = isolate(memory, pfn // 16 * 16, pfn + 1)
    assert found == (pfn, "waits in a CPU's LRU batch")

    memory.lru_add_drain()
    assert isolate(memory, pfn // 16 * 16, pfn + 1) is None


def test_free_pages_on_a_cpus_list_do_not_matter() -> None:
    """I-4: nobody has a reference to them; drain_all_pages() will bring them."""
    memory = Memory.blank(64, pageblock_order=4, max_order=6)
    page = memory.alloc_page()
    page.put()
    assert memory.zone["pcp_count"][0, 0] > 0
    block = page.pfn // 16 * 16

    assert isolate(memory, block, block + 16) is None
    memory.drain_all_pages()

    memory.validate()
    assert listed(memory, 4, t.ISOLATE) + listed(memory, 5, t.ISOLATE)


def test_in_zone_movable_only_reserved_pages_stay() -> None:
    """I-4: whatever got in there can be moved."""
    here = ground()
    here.kernel([here.at(0), here.at(1)])
    here.memory.flags[here.at(1)] |= PG_reserved
    here.memory.zone["zone_idx"] = t.ZONE_MOVABLE
    memory = here.done()

    assert isolate(memory, here.at(0), here.at(1)) is None
    assert isolate(memory, here.at(1), here.at(2)) is not None


def test_a_cma_block_is_its_owners() -> None:
    """I-4: who says CMA may take anything for movable, all others nothing."""
    here = ground()
    memory = here.done()
    memory.add_cma("camera", here.at(1), 16)

    assert isolate(memory, here.at(1), here.at(2)) == (here.at(1), "is in a CMA region")
    assert isolate(memory, here.at(1), here.at(2), t.CMA) is None


def test_a_slab_page_in_a_cma_block_does_not_keep_its_owner_from_trying() -> None:
    """I-4: it is found later, when it has not moved."""
    here = ground()
    here.kernel([here.at(1)])
    here.type(1, t.CMA)
    memory = here.done()
    memory.zone["free_cma"] = 15

    assert isolate(memory, here.at(1), here.at(2), t.CMA) is None
    memory.validate()


def test_an_anonymous_page_without_mapping_is_movable_by_its_flag() -> None:
    """The tag alone says nothing about an LRU page."""
    here = ground()
    here.anon([here.at(0)])
    assert here.memory.mapping[here.at(0)] & PAGE_MAPPING_ANON
    here.memory.mapping[here.at(0)] = 0

    assert isolate(here.done(), here.at(0), here.at(1)) is None
