"""Free page reporting: which blocks a device is told of, when, and what keeps the mark."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from movable.errors import AuditFailed, BadInput
from movable.gfp import GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.mm.page_reporting import PAGE_REPORTING_CAPACITY, PageReporting
from movable.page_flags import PG_reported
from movable.sched.work import pass_time

SECOND = 1_000_000_000
ORDER = 4


class Device:
    """Writes down what it is told, and looks at the memory meanwhile."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.told: list[list[tuple[int, int]]] = []
        self.answer: object = 0

    def report(self, blocks: Sequence[tuple[int, int]]) -> int:
        self.told.append(list(blocks))
        for pfn, _ in blocks:
            assert not self.memory.refcount[pfn]
            assert not self.memory.flags[pfn] & PG_reported
        return self.answer  # type: ignore[return-value]  # it may be anything


def machine(pages: int = 1 << 11) -> tuple[Memory, Device, PageReporting]:
    """A memory of pageblocks of 16 pages, in blocks of 32, and a device."""
    memory = Memory.blank(pages, pageblock_order=ORDER, max_order=ORDER + 2)
    device = Device(memory)
    return memory, device, memory.register_page_reporting(device.report)


def free_list(memory: Memory, order: int = ORDER + 1) -> list[int]:
    head = int(memory.zone["free_list"][0]) + order * t.MIGRATE_TYPES + t.MOVABLE
    return [int(pfn) for pfn in collect(memory, head)]


def heads(device: Device) -> list[list[int]]:
    return [[pfn for pfn, _ in blocks] for blocks in device.told]


def test_a_list_is_told_of_from_its_front() -> None:
    """32 blocks at a time, the last taken first; the rest when there is no more."""
    memory, device, reporting = machine(48 * 32)
    listed = free_list(memory)
    assert len(listed) == 48

    pass_time(memory.clock, 2 * SECOND)

    first, rest = heads(device)
    assert first == listed[31::-1]
    assert sorted(rest) == sorted(listed[32:])
    assert {order for blocks in device.told for _, order in blocks} == {ORDER + 1}
    assert sorted(free_list(memory)) == sorted(listed)
    assert repr(reporting) == "<PageReporting [order 4, idle]>"
    memory.validate()


def test_a_list_has_a_budget_of_messages() -> None:
    """A sixteenth of it, and one more; two seconds later it goes on where it stopped."""
    memory, device, reporting = machine(200 * 32)

    pass_time(memory.clock, 2 * SECOND)
    assert [len(blocks) for blocks in device.told] == [32, 32]
    assert repr(reporting) == "<PageReporting [order 4, requested]>"
    pass_time(memory.clock, 2 * SECOND)
    assert [len(blocks) for blocks in device.told] == [32] * 4
    pass_time(memory.clock, 20 * SECOND)

    assert [len(blocks) for blocks in device.told] == [32] * 6 + [8]
    told = [pfn for pfns in heads(device) for pfn in pfns]
    assert len(told) == len(set(told)) == 200


def test_what_is_split_or_merged_is_told_anew() -> None:
    """A mark is lost with the block; small blocks are nobody's business."""
    memory, device, _ = machine()
    pass_time(memory.clock, 2 * SECOND)
    device.told.clear()

    page = memory.alloc_page()
    memory.drain_all_pages()
    pass_time(memory.clock, 10 * SECOND)
    assert device.told == []
    split = page.pfn & ~31
    page.put()
    memory.drain_all_pages()
    pass_time(memory.clock, 2 * SECOND)

    assert device.told == [[(split, ORDER + 1)]]


def test_a_block_that_stays_free_is_told_of_once() -> None:
    """However often something else happens."""
    memory, device, _ = machine()
    pass_time(memory.clock, 2 * SECOND)
    before = len(device.told)

    block = memory.alloc_pages(GFP_KERNEL, ORDER)
    memory.free_pages(block, ORDER)
    memory.drain_all_pages()
    pass_time(memory.clock, 60 * SECOND)

    assert [len(blocks) for blocks in device.told[before:]] == [1]


def test_while_it_waits_more_may_come_free() -> None:
    """The delay runs from the first; what comes while the device is told begins another."""
    memory, device, _ = machine()
    pass_time(memory.clock, 10 * SECOND)
    device.told.clear()
    first = memory.alloc_pages(GFP_KERNEL, ORDER + 1)
    second = memory.alloc_pages(GFP_KERNEL, ORDER + 1)
    third = memory.alloc_pages(GFP_KERNEL, ORDER + 1)

    memory.free_pages(first, ORDER + 1)
    pass_time(memory.clock, SECOND)
    memory.free_pages(second, ORDER + 1)
    pass_time(memory.clock, SECOND - 1)
    assert device.told == []
    pass_time(memory.clock, 1)
    assert sorted(heads(device)[0]) == sorted([first, second])
    memory.free_pages(third, ORDER + 1)
    pass_time(memory.clock, 2 * SECOND)

    assert heads(device)[1:] == [[third]]


def test_what_comes_free_while_the_device_is_told_is_not_forgotten() -> None:
    """It begins two more seconds."""
    memory, device, reporting = machine()
    pass_time(memory.clock, 10 * SECOND)
    device.told.clear()
    blocks = [memory.alloc_pages(GFP_KERNEL, ORDER + 1) for _ in range(2)]
    report = device.report

    def frees_another(told: Sequence[tuple[int, int]]) -> int:
        if len(blocks) == 1:
            memory.free_pages(blocks.pop(), ORDER + 1)
        return report(told)

    reporting.report = frees_another
    memory.free_pages(blocks.pop(0), ORDER + 1)

    pass_time(memory.clock, 2 * SECOND)
    assert len(device.told) == 1
    pass_time(memory.clock, 2 * SECOND)

    assert len(device.told) == 2


def test_a_zone_that_is_short_of_memory_is_left_alone() -> None:
    """It must have the low watermark and as much as is taken at once."""
    memory, device, _ = machine(PAGE_REPORTING_CAPACITY << ORDER)

    pass_time(memory.clock, 10 * SECOND)

    assert device.told == []


def test_a_device_that_was_not_told_keeps_no_mark() -> None:
    """Its error ends the round, and everything is as it was."""
    memory, device, reporting = machine()
    listed = sorted(free_list(memory))
    device.answer = -5

    pass_time(memory.clock, 2 * SECOND)

    assert len(device.told) == 1
    assert sorted(free_list(memory)) == listed
    assert not any(memory.flags[pfn] & PG_reported for pfn in listed)
    assert repr(reporting) == "<PageReporting [order 4, idle]>"
    memory.validate()


@pytest.mark.parametrize("answer", [None, 1, True, "told"])
def test_an_answer_that_is_no_errno_is_named(answer: object) -> None:
    """And what was taken is back."""
    memory, device, _ = machine()
    device.answer = answer

    with pytest.raises(AuditFailed, match=r"Device\.report: answered"):
        pass_time(memory.clock, 2 * SECOND)
    memory.validate()


def test_a_device_that_raises_leaves_memory_whole() -> None:
    """Its error comes out."""
    memory, _, reporting = machine()

    def fails(told: Sequence[tuple[int, int]]) -> int:
        raise KeyError(told)

    reporting.report = fails

    with pytest.raises(KeyError):
        pass_time(memory.clock, 2 * SECOND)
    memory.validate()


def test_who_unregisters_hears_no_more() -> None:
    """And somebody else may register, with blocks of his own."""
    memory, device, reporting = machine()
    other = Device(memory)
    with pytest.raises(BadInput, match="page reporting: two devices would be told"):
        memory.register_page_reporting(other.report)

    reporting.unregister()
    pass_time(memory.clock, 5 * SECOND)
    assert device.told == []
    memory.register_page_reporting(other.report, ORDER + 1)
    pass_time(memory.clock, 2 * SECOND)

    assert other.told
    assert device.told == []
