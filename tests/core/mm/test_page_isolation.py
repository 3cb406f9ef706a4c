"""A range of pageblocks kept from the allocator: edges, undoing, the last test (I-1, I-3, I-5)."""

from __future__ import annotations

import pytest

from core.mm.contiguous import ground, isolate, state, types, undo
from core.mm.ground import Ground, listed, rows
from movable.mm import mm_types as t
from movable.mm import page_isolation
from movable.mm import tracepoints as tp
from movable.mm.isolate_pageblock import split_at_edge
from movable.mm.memory import Memory
from movable.page_flags import PG_head, PG_lru

# Across the edges.


def test_a_free_page_across_the_first_edge_is_split() -> None:
    """I-3: each half is freed as what its block is, and they do not merge again."""
    here = ground()
    memory = here.done()
    assert here.at(1) in listed(memory, 5)
    before = state(memory)

    assert isolate(memory, here.at(2), here.at(3)) is None

    assert listed(memory, 4, t.ISOLATE) == [here.at(2)]
    assert here.at(1) in listed(memory, 4)
    assert state(memory) == ([t.MOVABLE, t.MOVABLE, t.ISOLATE, t.MOVABLE], before[1] - 16, 1)
    memory.validate()


def test_a_free_page_across_the_last_edge_is_split() -> None:
    """I-3: here the half in the isolated block comes first."""
    here = ground()
    memory = here.done()
    before = state(memory)

    assert isolate(memory, here.at(0), here.at(2)) is None

    assert sorted(listed(memory, 4, t.ISOLATE)) == [here.at(0), here.at(1)]
    assert here.at(2) in listed(memory, 4)
    assert state(memory) == ([t.ISOLATE, t.ISOLATE, t.MOVABLE, t.MOVABLE], before[1] - 32, 2)
    memory.validate()


def test_a_free_page_within_the_range_stays_whole() -> None:
    """Only edges matter."""
    here = ground()
    memory = here.done()

    isolate(memory, here.at(1), here.at(3))

    assert listed(memory, 5, t.ISOLATE) == [here.at(1)]
    memory.validate()


def test_free_pages_much_larger_than_a_pageblock_are_split_into_few_pieces() -> None:
    """I-3: where pageblocks are small, in pieces as large as their places allow."""
    memory = Memory.blank(128, pageblock_order=2, max_order=8)
    assert listed(memory, 7) == [0]

    assert isolate(memory, 20, 24) is None

    assert listed(memory, 2, t.ISOLATE) == [20]
    assert [sorted(listed(memory, order)) for order in range(2, 7)] == [
        [16],
        [24],
        [0],
        [32],
        [64],
    ]
    memory.validate()


@pytest.mark.parametrize(("first", "last"), [(2, 3), (0, 1), (0, 2)])
def test_a_page_in_use_across_an_edge_ends_it(first: int, last: int) -> None:
    """I-3: a compound page larger than a pageblock; none of the blocks stays isolated."""
    here = ground()
    here.compound(here.at(1), 5)
    here.memory.flags[here.at(1)] |= PG_lru
    memory = here.memory
    before = state(memory)

    found = isolate(memory, here.at(first), here.at(last) if last != 1 else here.at(1, 1))

    assert found == (here.at(1), "reaches across the edge of the range's pageblocks")
    assert state(memory) == before


def test_a_compound_page_that_ends_at_the_edge_is_passed_over() -> None:
    """I-3: with all its tails."""
    here = ground()
    here.compound(here.at(1), 4)
    memory = here.memory
    arrays = 0, here.at(2), here.at(2)

    assert memory.engine.call(split_at_edge, *arrays) == -1
    memory.flags[here.at(1)] = PG_head | 5 << 24
    assert memory.engine.call(split_at_edge, *arrays) == here.at(1)


def test_nothing_crosses_an_edge_behind_which_there_is_nothing() -> None:
    """I-3: a hole, or the end of memory."""
    here = ground()
    memory = here.done()

    assert isolate(memory, here.at(0), here.at(4)) is None

    assert types(memory) == [t.ISOLATE] * 4
    memory.validate()


# Undoing.


def test_if_one_block_cannot_be_isolated_none_is() -> None:
    """I-1: the ends come first, so a block in the middle is found last."""
    here = ground()
    here.kernel([here.at(2, 3)])
    memory = here.done()
    before = state(memory)

    assert isolate(memory, here.at(0), here.at(4)) == (
        here.at(2, 3),
        "is of a kind that cannot be moved",
    )

    assert state(memory) == before
    memory.validate()


def test_the_ends_of_a_range_come_before_its_middle() -> None:
    """I-1: so it is the last block that is said to be in the way."""
    here = ground()
    here.kernel([here.at(1, 3), here.at(3, 3)])
    memory = here.done()

    found = isolate(memory, here.at(0), here.at(4))

    assert found == (here.at(3, 3), "is of a kind that cannot be moved")
    memory.validate()


def test_in_the_middle_of_a_range_the_lowest_block_comes_first() -> None:
    """I-1: and what was isolated by then goes back in that order, the last block's at the end."""
    here = ground(5)
    here.anon([here.at(block) for block in (0, 1, 4)])
    here.kernel([here.at(2, 3), here.at(3, 3)])
    memory = here.done()

    found = isolate(memory, here.at(0), here.at(5))

    assert found == (here.at(2, 3), "is of a kind that cannot be moved")
    assert listed(memory, 3)[-3:] == [here.at(block, 8) for block in (0, 1, 4)]
    memory.validate()


def test_a_block_becomes_what_was_said_at_the_beginning() -> None:
    """Also if isolation failed, whatever it was before."""
    here = ground()
    here.type(0, t.UNMOVABLE)
    here.kernel([here.at(2, 3)])
    memory = here.done()

    isolate(memory, here.at(0), here.at(3))

    assert types(memory)[0] == t.MOVABLE
    memory.validate()


def test_halves_merge_again() -> None:
    """I-5: their types kept them apart; the whole goes to the end of its list."""
    here = Ground(8, 4, 6)
    memory = here.done()
    assert listed(memory, 5) == [here.at(1), here.at(3), here.at(5)]
    isolate(memory, here.at(2), here.at(3))

    undo(memory, here.at(2), here.at(3))

    assert listed(memory, 5) == [here.at(3), here.at(5), here.at(1)]
    assert state(memory) == ([t.MOVABLE] * 8, 128, 0)
    memory.validate()


def test_a_half_whose_other_half_is_isolated_still_does_not_merge() -> None:
    """I-5: not yet."""
    here = ground()
    memory = here.done()
    isolate(memory, here.at(2), here.at(3))
    isolate(memory, here.at(1), here.at(2))

    undo(memory, here.at(2), here.at(3))

    assert listed(memory, 4, t.ISOLATE) == [here.at(1)]
    assert here.at(2) in listed(memory, 4)
    memory.validate()


def test_undoing_moves_free_pages_to_the_ends_of_the_lists() -> None:
    """I-5: what was kept apart is used last."""
    here = ground()
    here.kernel([here.at(3, 8)])
    here.anon([here.at(0, 0), here.at(0, 8)])
    memory = here.done()
    isolate(memory, here.at(0), here.at(1))

    undo(memory, here.at(0), here.at(1))

    assert listed(memory, 2) == [here.at(3, 12), here.at(0, 4), here.at(0, 12)]
    memory.validate()


def test_a_block_that_is_not_isolated_is_not_touched() -> None:
    """Undoing a range in which others gave up."""
    here = ground()
    here.type(0, t.UNMOVABLE)
    memory = here.done()
    before = state(memory)

    undo(memory, here.at(0), here.at(4))

    assert state(memory) == before


# The last test of a range.


def checked(memory: Memory, start: int, end: int) -> int | None:
    return page_isolation.test_pages_isolated(memory, start, end)


def test_a_range_is_isolated_if_all_of_it_is_free() -> None:
    """The event names where the last free page ends, which may be behind the range."""
    here = ground()
    here.anon([here.at(0, 4)])
    memory = here.done()
    isolate(memory, here.at(0), here.at(3))

    assert checked(memory, here.at(1), here.at(2, 1)) is None
    assert checked(memory, here.at(0), here.at(1)) == here.at(0, 4)
    assert checked(memory, here.at(3), here.at(4)) == here.at(3)

    assert rows(memory, tp.TEST_PAGES_ISOLATED) == [
        (tp.TEST_PAGES_ISOLATED, here.at(1), here.at(2, 1), here.at(3)),
        (tp.TEST_PAGES_ISOLATED, here.at(0), here.at(1), here.at(0, 4)),
        (tp.TEST_PAGES_ISOLATED, here.at(3), here.at(4), here.at(3)),
    ]


def test_types_are_looked_at_a_pageblocks_length_apart() -> None:
    """So the block of a last, short piece may be overlooked."""
    here = ground()
    here.anon([here.at(0)])
    memory = here.done()
    isolate(memory, here.at(0), here.at(1))

    assert checked(memory, here.at(0, 8), here.at(1, 8)) is None
    assert checked(memory, here.at(0, 8), here.at(1, 9)) == here.at(1, 8)
