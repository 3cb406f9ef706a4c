"""The reserve: blocks are cut and merged as the buddy allocator does it."""

from __future__ import annotations

import pytest

from movable.errors import BadInput
from movable.mm.memory import Memory
from movable.mm.reserve import Reserve


@pytest.fixture
def reserve() -> Reserve:
    """Two blocks of 32 pages."""
    return Reserve(Memory.blank(1024, pageblock_order=4, max_order=6), 40)


def test_it_is_of_largest_blocks(reserve: Reserve) -> None:
    """As many as it takes."""
    assert repr(reserve) == "<Reserve [64 of 64 pages free]>"


def test_the_lowest_and_smallest_block_that_will_do_is_cut(reserve: Reserve) -> None:
    """So that large ones stay."""
    start = min(reserve.free[5])

    assert [reserve.alloc(order) - start for order in (3, 3, 4)] == [0, 8, 16]
    assert reserve.free[5] != set()
    assert reserve.alloc(5) >= 0
    assert reserve.alloc(0) == -1


def test_free_buddies_are_merged(reserve: Reserve) -> None:
    """In whatever order they come back."""
    whole = {order: set(blocks) for order, blocks in reserve.free.items()}
    taken = [(reserve.alloc(order), order) for order in (0, 2, 2, 1, 3)]

    for pfn, order in (taken[3], taken[0], taken[4], taken[1], taken[2]):
        reserve.give_back(pfn, order)

    assert reserve.free == whole


def test_more_than_there_is_cannot_be_set_aside() -> None:
    """A machine would not have booted."""
    with pytest.raises(BadInput, match="no 4096 pages are free; reserve less"):
        Reserve(Memory.blank(1024), 4096)
