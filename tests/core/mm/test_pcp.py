"""The per-CPU lists (rules P-1 to P-8): what enters them, and when pages leave."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import Ground, call, listed, on_pcp
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm import mm_types as t
from movable.mm import page_alloc, pcp
from movable.mm.memory import Memory


def zone(high: int = 100, batch: int = 8, blocks: int = 4, **options: Any) -> Ground:
    """All frames in kernel pages; order-4 blocks."""
    ground = Ground(blocks, 4, 6, **options)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    memory.zone["pcp_high"], memory.zone["pcp_batch"] = high, batch
    return ground


def free(memory: Memory, pfn: int, order: int = 0) -> None:
    memory.engine.call(page_alloc.free_pages, pfn, order)


@pytest.mark.parametrize(
    ("order", "migratetype", "index"),
    [(0, 0, 0), (0, 1, 1), (1, 0, 3), (3, 2, 11), (9, 0, 12), (9, 2, 12), (9, 1, 13)],
)
def test_each_order_and_type_has_its_list(order: int, migratetype: int, index: int) -> None:
    """P-1: fourteen lists."""
    memory = Ground(1).memory

    assert call(pcp.order_to_pindex, order, migratetype) == index
    assert call(pcp.pindex_to_order, memory.node, index) == order


def test_only_some_orders_pass_through() -> None:
    """P-1: 0 to 3, and the pageblock's."""
    memory = Ground(1).memory

    allowed = [order for order in range(11) if call(pcp.pcp_allowed_order, memory.node, order)]

    assert allowed == [0, 1, 2, 3, 9]


def test_a_freed_page_goes_to_the_front_of_its_blocks_list() -> None:
    """P-4: the block's type now."""
    ground = zone()
    memory = ground.memory
    ground.type(1, t.UNMOVABLE)

    for pfn in (ground.at(0), ground.at(0, 1), ground.at(1)):
        free(memory, pfn)

    assert on_pcp(memory, t.MOVABLE) == [ground.at(0, 1), ground.at(0)]
    assert on_pcp(memory, t.UNMOVABLE) == [ground.at(1)]
    assert memory.zone["pcp_count"][0, 0] == memory.vmstat()["pgfree"] == 3
    assert memory.zone["free"][0] + memory.zone["free_diff"][0, 0] == 0


def test_a_highatomic_page_waits_among_movable_ones_and_remembers() -> None:
    """P-4, B-7: its real type is what it is freed as later."""
    ground = zone(high=1, batch=1)
    memory = ground.memory
    ground.type(0, t.HIGHATOMIC)
    memory.zone["pcp_high"] = 100

    free(memory, ground.at(0))
    waiting = on_pcp(memory, t.MOVABLE)
    ground.type(0, t.MOVABLE)
    memory.engine.call(pcp.free_pcppages_bulk, 0, 1, 0)

    assert waiting == [ground.at(0)]
    assert listed(memory, 0, t.HIGHATOMIC) == [ground.at(0)]


def test_a_page_of_an_isolated_block_is_freed_at_once() -> None:
    """P-4: never through a CPU's list."""
    ground = zone()
    ground.type(0, t.ISOLATE)

    free(ground.memory, ground.at(0))

    assert listed(ground.memory, 0, t.ISOLATE) == [ground.at(0)]
    assert ground.memory.zone["pcp_count"][0, 0] == 0


def test_the_oldest_leave_when_the_list_is_full() -> None:
    """P-5 to P-7: at `high` pages, a batch from the end."""
    ground = zone(high=10, batch=2)
    memory = ground.memory

    for offset in range(0, 20, 2):
        free(memory, ground.at(offset // 16, offset % 16))

    assert memory.zone["pcp_count"][0, 0] == 8
    assert sorted(listed(memory, 0)) == [ground.at(0, 0), ground.at(0, 2)]


def test_the_lists_are_short_while_kswapd_is_at_work() -> None:
    """P-5: four batches at most."""
    ground = zone(high=100, batch=2)
    memory = ground.memory
    memory.zone["zflags"] = t.ZONE_RECLAIM_ACTIVE

    for offset in range(8):
        free(memory, ground.at(0, offset))

    assert memory.zone["pcp_count"][0, 0] == 8 - 2


def test_more_leave_each_time_nobody_allocated_in_between() -> None:
    """V-18 (P-6): doubled while it stays below high - batch, and never more than that."""
    memory = zone(high=1000, batch=63).memory
    counts, factors = [], []

    for _ in range(6):
        counts.append(int(call(pcp.nr_pcp_free, memory.zone, 0, 0, False)))
        factors.append(int(memory.zone["pcp_free_factor"][0, 0]))

    assert counts == [63, 126, 252, 504, 937, 937]
    assert factors == [1, 2, 3, 4, 4, 4]


def test_the_doubling_has_an_end() -> None:
    """P-6: five times."""
    memory = zone(high=1 << 20, batch=1).memory

    counts = [int(call(pcp.nr_pcp_free, memory.zone, 0, 0, False)) for _ in range(8)]

    assert counts == [1, 2, 4, 8, 16, 32, 32, 32]


def test_disabled_lists_give_each_page_on() -> None:
    """P-6: high 0, batch 1."""
    ground = zone(high=0, batch=1)
    memory = ground.memory

    free(memory, ground.at(0))

    assert memory.zone["pcp_count"][0, 0] == 0
    assert listed(memory, 0) == [ground.at(0)]


def test_an_allocation_halves_what_leaves_next() -> None:
    """P-8: free_factor >>= 1."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0))
    memory.zone["free"] = 1000
    memory.zone["pcp_free_factor"] = 3

    memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)

    assert memory.zone["pcp_free_factor"][0, 0] == 1


@pytest.mark.parametrize(("factor", "left"), [(0, 12), (1, 0)])
def test_a_larger_block_empties_the_lists_while_frees_go_on(factor: int, left: int) -> None:
    """P-5: free_high, for orders 1 to 3; however small the batch is."""
    ground = zone(batch=2)
    memory = ground.memory
    for offset in range(4):
        free(memory, ground.at(0, offset))
    memory.zone["pcp_free_factor"] = factor

    free(memory, ground.at(1), 3)

    assert memory.zone["pcp_count"][0, 0] == left


def test_the_freed_pages_own_list_is_emptied_first() -> None:
    """P-7: then the next ones, in a circle."""
    ground = zone(high=6, batch=4)
    memory = ground.memory
    ground.type(1, t.UNMOVABLE)
    for offset in range(3):
        free(memory, ground.at(1, 4 * offset))
    for offset in range(3):
        free(memory, ground.at(0, 4 * offset))

    assert memory.zone["pcp_count"][0, 0] == 4
    assert on_pcp(memory, t.MOVABLE) == [ground.at(0, 8)]
    assert on_pcp(memory, t.UNMOVABLE) == ground.span(1, [8, 4, 0])


def test_blocks_of_a_larger_order_count_all_their_pages() -> None:
    """P-7: pages, not blocks, are counted down."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0), 2)
    free(memory, ground.at(0, 8), 2)

    memory.engine.call(pcp.free_pcppages_bulk, 0, 5, 7)

    assert memory.zone["pcp_count"][0, 0] == 0


def test_where_a_block_is_isolated_types_are_read_anew() -> None:
    """B-7: the remembered type may be stale."""
    ground = zone()
    memory = ground.memory
    free(memory, ground.at(0))
    ground.type(0, t.ISOLATE)
    memory.zone["isolate_blocks"] = 1

    memory.engine.call(pcp.free_pcppages_bulk, 0, 1, 0)

    assert listed(memory, 0, t.ISOLATE) == [ground.at(0)]


@pytest.mark.parametrize(
    ("batch", "order", "blocks"),
    [(63, 0, 63), (63, 1, 31), (63, 2, 15), (63, 3, 7), (63, 9, 2), (1, 0, 1), (1, 3, 1)],
)
def test_an_empty_list_is_refilled_with_a_batch(batch: int, order: int, blocks: int) -> None:
    """V-17 (P-8): at least two blocks, unless the batch is one."""
    ground = Ground(6)
    memory = ground.done()
    memory.zone["pcp_batch"] = batch

    pfn = memory.alloc_pages(GFP_HIGHUSER_MOVABLE, order)

    left = on_pcp(memory, call(pcp.order_to_pindex, order, t.MOVABLE))
    assert len(left) == blocks - 1
    assert left == sorted(left)
    assert pfn < min(left, default=pfn + 1)
    assert memory.zone["pcp_count"][0, 0] == (blocks - 1) << order
    free_pages = memory.zone["free"][0] + memory.zone["free_diff"][0, 0]
    assert free_pages == 6 * 512 - (blocks << order)
    memory.frames_without_reference = (1 << order) - 1
    memory.validate()


def test_a_refill_ends_where_the_zone_does() -> None:
    """P-8: as many as there are."""
    ground = Ground(1, 4, 6)
    ground.kernel(ground.span(0, range(3, 16)))
    memory = ground.done()
    memory.zone["watermark"] = -100

    taken = [memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0) for _ in range(3)]

    assert sorted(taken) == ground.span(0, range(3))
    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 0)


def test_each_cpu_has_lists_of_its_own() -> None:
    """The running CPU's are used."""
    ground = zone(nr_cpus=2)
    memory = ground.memory
    free(memory, ground.at(0))
    memory.node["cpu"] = 1

    free(memory, ground.at(0, 1))

    assert on_pcp(memory, t.MOVABLE, 0) == [ground.at(0)]
    assert on_pcp(memory, t.MOVABLE, 1) == [ground.at(0, 1)]
    memory.validate()


def test_draining_gives_every_cpus_pages_back_to_the_free_lists() -> None:
    """drain_all_pages(): each CPU's own, and the running CPU stays the same."""
    memory = Memory.blank(4096, nr_cpus=2)
    pfns = memory.fill("anon", 600)
    memory.lru_add_drain_all()
    for cpu, part in enumerate((pfns[:300:2], pfns[300::2])):
        memory.node["cpu"] = cpu
        memory.drop(part)
    waiting = memory.zone["pcp_count"][0, :2].tolist()
    free = sum(n << order for order, n in enumerate(memory.buddyinfo()["DMA32"]))

    memory.drain_all_pages()

    assert min(waiting) > 0
    assert memory.zone["pcp_count"][0, :2].tolist() == [0, 0]
    assert int(memory.node["cpu"][0]) == 1
    now = sum(n << order for order, n in enumerate(memory.buddyinfo()["DMA32"]))
    assert now == free + sum(waiting)
    memory.validate()
