"""Lists through the frames' own links."""

from __future__ import annotations

import pytest

from core.mm.ground import call, small
from movable.errors import AuditFailed
from movable.mm import list as kernel_list
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.population import link_list


def two_heads() -> tuple[Memory, int, int]:
    memory = small().memory
    head = memory.free_heads[0]
    return memory, head, head + 1


def names(memory: Memory, head: int) -> list[int]:
    return [int(pfn) for pfn in collect(memory, head)]


def test_pages_are_added_in_front_and_at_the_end() -> None:
    """list_add() and list_add_tail()."""
    memory, head, _ = two_heads()

    call(kernel_list.list_add, memory.mem_map, 20, head)
    call(kernel_list.list_add, memory.mem_map, 21, head)
    call(kernel_list.list_add_tail, memory.mem_map, 22, head)

    assert names(memory, head) == [21, 20, 22]
    assert not call(kernel_list.list_empty, memory.mem_map, head)


@pytest.mark.parametrize("pfn", [20, 21, 22])
def test_a_page_leaves_from_any_place(pfn: int) -> None:
    """Its neighbours are then each other's."""
    memory, head, _ = two_heads()
    link_list(memory, head, [20, 21, 22])

    call(kernel_list.list_del, memory.mem_map, pfn)

    assert names(memory, head) == [p for p in (20, 21, 22) if p != pfn]


def test_an_emptied_list_is_empty() -> None:
    """The head is its own neighbour again."""
    memory, head, _ = two_heads()
    call(kernel_list.list_add, memory.mem_map, 20, head)

    call(kernel_list.list_del, memory.mem_map, 20)

    assert call(kernel_list.list_empty, memory.mem_map, head)
    assert memory.mem_map[["next", "prev"]][head].tolist() == (head, head)


def test_the_first_entries_are_cut_off_a_list_in_order() -> None:
    """They go to the end of the other list; all of them if there are no more."""
    memory, one, two = two_heads()
    link_list(memory, one, [20, 21, 22])
    link_list(memory, two, [23])

    call(kernel_list.list_cut, memory.mem_map, one, 2, two)
    first = names(memory, one), names(memory, two)
    call(kernel_list.list_cut, memory.mem_map, one, 2, two)

    assert first == ([22], [23, 20, 21])
    assert (names(memory, one), names(memory, two)) == ([], [23, 20, 21, 22])


def test_a_list_is_spliced_in_front_or_at_the_end() -> None:
    """list_splice_init() and list_splice_tail_init(): the source is empty then."""
    memory, one, two = two_heads()
    link_list(memory, one, [20, 21])
    link_list(memory, two, [22, 23])

    call(kernel_list.list_splice, memory.mem_map, two, one)
    first = names(memory, one)
    link_list(memory, two, [24])
    call(kernel_list.list_splice_tail, memory.mem_map, two, one)

    assert first == [22, 23, 20, 21]
    assert names(memory, one) == [22, 23, 20, 21, 24]
    assert names(memory, two) == []


def test_splicing_an_empty_list_changes_nothing() -> None:
    """Nor does it make the head a member."""
    memory, one, two = two_heads()
    link_list(memory, one, [20])

    call(kernel_list.list_splice, memory.mem_map, two, one)
    call(kernel_list.list_splice_tail, memory.mem_map, two, one)

    assert names(memory, one) == [20]


def test_a_list_that_never_ends_is_found() -> None:
    """Reading a broken list must not go on for ever."""
    memory, head, _ = two_heads()
    link_list(memory, head, [20, 21])
    memory.next[21] = 20

    with pytest.raises(AuditFailed, match="is broken"):
        collect(memory, head)
