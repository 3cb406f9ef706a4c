"""How fragmented free memory is, in the kernel's three numbers (section 2.9, PR-1, PR-2)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground
from movable.mm import fragmentation as f
from movable.mm.memory import Memory

PIECES = [100, 50, 20, 10, 4, 2, 1]
"""V-8: 552 pages in 187 blocks, the largest of order 6."""
FEW = [3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]
"""V-8: 2307 pages, 2048 of them in two blocks of order 10."""


def zone(counts: list[int]) -> Memory:
    """A zone that says that so many blocks are free, by order."""
    memory = Ground(1).memory
    memory.zone["nr_free"][0, : len(counts)] = counts
    return memory


def index(memory: Memory, order: int) -> int:
    return int(memory.engine.call(f.fragmentation_index, 0, order))


def extfrag(memory: Memory, order: int) -> int:
    return int(memory.engine.call(f.extfrag_for_order, 0, order))


@pytest.mark.parametrize(("order", "thousandths"), [(9, 989), (7, 972), (3, -1000), (6, -1000)])
def test_the_index_says_why_a_request_fails(order: int, thousandths: int) -> None:
    """V-8: near 1000 for its pieces; -1000 if it does not fail."""
    assert index(zone(PIECES), order) == thousandths


@pytest.mark.parametrize(
    ("counts", "order", "thousandths"),
    [([], 3, 0), ([1], 9, -1), ([2], 1, 0), ([0, 1], 2, -500)],
    ids=["nothing", "a page", "two pages", "a pair"],
)
def test_with_little_memory_the_index_is_low(
    counts: list[int], order: int, thousandths: int
) -> None:
    """It wants memory, not order: 1000 - (1000 + 1000 * pages / 2^order) / blocks, in integers."""
    assert index(zone(counts), order) == thousandths


@pytest.mark.parametrize(
    ("counts", "order", "hundredths"),
    [(PIECES, 9, 100), (PIECES, 3, 50), (FEW, 9, 11), ([], 9, 0)],
)
def test_what_a_request_cannot_use_in_hundredths(
    counts: list[int], order: int, hundredths: int
) -> None:
    """V-8; nothing free is nothing wasted. Order 3: 552 - (10 + 8 + 8 + 8) * 8 of 552."""
    assert extfrag(zone(counts), order) == hundredths


@pytest.mark.parametrize(
    ("counts", "order", "thousandths"), [(PIECES, 3, 507), (PIECES, 9, 1000), (FEW, 9, 112)]
)
def test_what_a_request_cannot_use_in_thousandths(
    counts: list[int], order: int, thousandths: int
) -> None:
    """V-8: the same as experiments and debugfs see it."""
    assert zone(counts).unusable_index(order) == {"DMA32": thousandths}


def test_each_zones_score_is_weighted_with_its_share_of_the_memory() -> None:
    """PR-1: and rounded down, zone by zone; one page too many is divided by."""
    memory = Memory.blank(4096, ("DMA", 1024), ("DMA32", 3072))
    memory.zone["nr_free"] = 0
    memory.zone["nr_free"][0, 0], memory.zone["nr_free"][1, 8:10] = 5, (2, 1)

    assert memory.engine.call(f.fragmentation_score_zone, 0) == 100
    assert memory.engine.call(f.fragmentation_score_zone, 1) == 50
    assert memory.engine.call(f.fragmentation_score_node) == 102400 // 4097 + 153600 // 4097


@pytest.mark.parametrize(
    ("proactiveness", "low", "high"),
    [
        (20, 80, 90),
        (100, 5, 15),
        (97, 5, 15),
        (95, 5, 15),
        (90, 10, 20),
        (5, 95, 100),
        (0, 100, 100),
    ],
)
def test_the_marks_of_proactive_compaction(proactiveness: int, low: int, high: int) -> None:
    """PR-2: it begins ten points above where it stops; 5 is the least."""
    memory = Ground(1).memory
    memory.node["compaction_proactiveness"] = proactiveness

    marks = [memory.engine.call(f.fragmentation_score_wmark, stop) for stop in (True, False)]

    assert marks == [low, high]
