"""`Memory`: what drivers, experiments and recordings share of one machine."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.ground import small
from movable import PageList
from movable.drivers.scripted import Scripted
from movable.errors import BadInput, ContractViolation, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm.memory import Memory

SMALL: dict[str, Any] = {"pageblock_order": 3, "max_order": 5}


def test_a_frame_costs_at_most_40_bytes() -> None:
    """All told; a 1 GiB machine in 10 MiB."""
    memory = Memory.blank(1 << 12)
    arrays = memory.mem_map.nbytes + memory.pageblock.nbytes + memory.zone.nbytes

    assert t.PAGE.itemsize == 32
    assert arrays / memory.nr_frames < 40


def test_pages_of_a_memory_are_views() -> None:
    """Two of one frame are equal."""
    memory = Memory.blank(64, **SMALL)
    page = memory.alloc_page()

    page.private = 99

    assert memory.page(page.pfn) == page
    assert memory.private[page.pfn] == 99
    assert memory.mem_map["private"][page.pfn] == 99


def test_a_mapping_word_names_its_address_space() -> None:
    """The first use registers it; the word is then always the same."""
    memory = Memory.blank(64, **SMALL)
    one, two = Scripted(memory).mapping, Scripted(memory).mapping

    assert memory.word_of(one) == memory.word_of(one) != memory.word_of(two)
    assert memory.mapping_of(memory.word_of(two) | 2) is two
    assert memory.mapping_of(0) is None


def test_only_some_memories_carry_bytes() -> None:
    """The others say how to get one that does."""
    memory = Memory.blank(64, **SMALL)

    with pytest.raises(BadInput, match="real_bytes=True"):
        memory.page(3).read(0, 1)


def test_bytes_go_along_with_a_copy() -> None:
    """What an owner reads is what it wrote."""
    memory = Memory.blank(64, real_bytes=True, page_shift=4, **SMALL)
    one, two = memory.alloc_page(), memory.alloc_page()
    one.write(3, b"zram")

    two.copy_from(one)

    assert two.read(0, 16) == b"\0\0\0zram" + bytes(9)
    assert two.content == one.content


@pytest.mark.parametrize(("offset", "size"), [(-1, 2), (0, 17), (16, 1)])
def test_no_byte_outside_the_page_can_be_touched(offset: int, size: int) -> None:
    """Or a driver could write to its neighbour."""
    memory = Memory.blank(64, real_bytes=True, page_shift=4, **SMALL)

    with pytest.raises(BadInput, match="are not in the page"):
        memory.write(3, offset, bytes(size))
    with pytest.raises(BadInput, match="are not in the page"):
        memory.read(3, offset, size)


def test_a_page_freed_while_it_is_listed_is_named() -> None:
    """I23: the list would have a free frame; the frame is free all the same, and off the list."""
    memory = Memory.blank(64, **SMALL)
    page, pages = memory.alloc_page(), PageList("pool")
    pages.add(page)

    with pytest.raises(ContractViolation) as error:
        page.put()

    assert error.value.rule == "I23"
    assert len(pages) == 0
    memory.validate()


def test_a_block_is_taken_and_given_back() -> None:
    """Its tails are in use without a reference of their own."""
    memory = Memory.blank(64, **SMALL)

    pfn = memory.alloc_pages(GFP_KERNEL, 3)
    memory.validate()
    memory.free_pages(pfn, 3)

    memory.validate()
    assert memory.vmstat()["pgfree"] == 8


def test_a_request_that_cannot_be_served_is_an_error() -> None:
    """Its order is named."""
    memory = Memory.blank(15, **SMALL)

    with pytest.raises(OutOfMemory, match="no free block of order 4"):
        memory.alloc_pages(GFP_HIGHUSER_MOVABLE, 4)


def test_zones_are_shown_by_the_kernels_names() -> None:
    """As in /proc/zoneinfo."""
    memory = Memory.blank(64, ("DMA", 16), ("DMA32", 48), **SMALL)

    assert memory.zones[1] == {
        "name": "DMA32",
        "start_pfn": 16,
        "spanned": 48,
        "present": 48,
        "managed": 48,
        "free": 48,
        "boost": 0,
    }


def test_counters_have_the_kernels_names() -> None:
    """The twelve of the recordings' `vm` line, and the two of CMA."""
    assert list(small().memory.vmstat()) == list(t.VM_EVENTS)


def test_a_first_fault_is_raised_once() -> None:
    """raise_fault() takes it."""
    memory = small().memory
    memory.fault = ContractViolation("D06", "<Page 1>", "x.isolate_page", "lied")

    with pytest.raises(ContractViolation, match="lied"):
        memory.raise_fault()
    memory.raise_fault()
