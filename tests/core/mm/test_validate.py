"""Each recount finds what it looks for: the corruption is planted, and its owner named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mm.ground import Ground, call, listed, small
from movable.drivers.scripted import Scripted
from movable.errors import AuditFailed
from movable.gfp import GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import page_isolation
from movable.mm.list import list_add
from movable.mm.memory import Memory
from movable.page_flags import (
    ORDER_SHIFT,
    PG_buddy,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_reserved,
    PG_tail,
)


def ground() -> Ground:
    """A driver's page (16), anonymous memory (17), page cache (18), a kernel page (48)."""
    ground = small()
    driver = Scripted(ground.memory)
    driver.mapping.name = "zram0"
    ground.driver(driver.mapping, [ground.at(0)])
    ground.anon([ground.at(0, 1), ground.at(0, 3)])
    ground.file([ground.at(0, 2)])
    ground.done()
    return ground


def refused(memory: Memory) -> tuple[str, str]:
    """Whose fault the audit says it is, and what."""
    with pytest.raises(AuditFailed) as error:
        memory.validate()
    return error.value.owner, error.value.problem


def test_a_sound_memory_passes() -> None:
    """Or no other test here would mean anything."""
    ground().memory.validate()


def add(field: str, *index: int) -> Callable[[Memory], None]:
    """Count one too many in a field of the zone."""

    def plant(memory: Memory) -> None:
        memory.zone[field][(0, *index)] += 1

    return plant


def on_node(field: str, index: int) -> Callable[[Memory], None]:
    def plant(memory: Memory) -> None:
        memory.node[field][0, index] += 1

    return plant


COUNTERS: dict[str, tuple[Callable[[Memory], None], str, str]] = {
    "free blocks": (add("nr_free", 2), "DMA32", "nr_free of order 2 is "),
    "free pages": (add("free"), "DMA32", "NR_FREE_PAGES is "),
    "free pages of CMA": (add("free_cma"), "DMA32", "free_cma is 1, but 0 were counted"),
    "isolated blocks": (add("isolate_blocks"), "DMA32", "isolate_blocks is 1, but 0 were"),
    "a CPU's share": (add("free_diff", 0), "DMA32", "NR_FREE_PAGES is "),
    "per-CPU pages": (add("pcp_count", 0), "DMA32", "the per-CPU count of CPU 0 is 1, but 0"),
    "LRU pages": (on_node("nr_lru", 2), "inactive_file", "its length is 2, but 1 were counted"),
    "isolated anonymous": (on_node("nr_isolated", 0), "VM", "nr_isolated_anon is 1, but 0"),
    "isolated file": (on_node("nr_isolated", 1), "VM", "nr_isolated_file is 1, but 0"),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_a_counter_that_is_off_by_one_is_found(name: str) -> None:
    """Every counter is recounted from the lists."""
    plant, owner, problem = COUNTERS[name]
    memory = ground().memory
    plant(memory)

    found, text = refused(memory)

    assert found == owner
    assert text.startswith(problem)


def flag(bit: int) -> Callable[[Memory, int], None]:
    def plant(memory: Memory, pfn: int) -> None:
        memory.flags[pfn] ^= bit

    return plant


def count(value: int) -> Callable[[Memory, int], None]:
    def plant(memory: Memory, pfn: int) -> None:
        memory.refcount[pfn] = value

    return plant


FRAMES: list[tuple[str, int, Callable[[Memory, int], None], str, str]] = [
    ("marked free, not listed", 18, flag(PG_buddy), "free", "PG_buddy and the free lists"),
    ("LRU page, not marked", 17, flag(PG_lru), "anonymous", "PG_lru and the LRU lists"),
    ("marked LRU, not listed", 16, flag(PG_lru), "zram0", "PG_lru and the LRU lists"),
    ("a negative count", 16, count(-1), "zram0", "its reference count is negative"),
    ("nobody's", 48, count(0), "kernel", "nobody owns it, and it is not free (1 such frames)"),
    ("a driver's, unreferenced", 16, count(0), "zram0", "nobody owns it"),
    ("left isolated", 16, flag(PG_isolated), "zram0", "it was left isolated"),
    ("a driver's, left locked", 16, flag(PG_locked), "zram0", "it was left locked"),
    ("page cache, left locked", 18, flag(PG_locked), "page cache", "it was left locked"),
]


@pytest.mark.parametrize(
    ("pfn", "plant", "owner", "problem"), [row[1:] for row in FRAMES], ids=[f[0] for f in FRAMES]
)
def test_a_frame_in_a_wrong_state_is_found_with_its_owner(
    pfn: int, plant: Callable[[Memory, int], None], owner: str, problem: str
) -> None:
    """Frame and owner are named."""
    memory = ground().memory
    plant(memory, pfn)

    found, text = refused(memory)

    assert found == owner
    assert text.startswith(f"frame {pfn}: {problem}")


def test_a_free_block_of_another_order_than_its_lists_is_found() -> None:
    """The list says 4, the frame 3."""
    memory = ground().memory
    pfn = listed(memory, 4)[0]
    memory.flags[pfn] ^= 4 << ORDER_SHIFT | 3 << ORDER_SHIFT

    assert refused(memory)[1] == (f"frame {pfn}: on the free list of order 4, but does not look so")


@pytest.mark.parametrize(("block_type", "listed_as"), [(t.ISOLATE, "1"), (t.MOVABLE, "4")])
def test_what_is_free_in_an_isolated_block_and_nothing_else_is_kept_apart(
    block_type: int, listed_as: str
) -> None:
    """Or it could be handed out, or never would be."""
    memory = ground().memory
    block = listed(memory, 4)[0] // 16
    if block_type == t.MOVABLE:
        page_isolation.start_isolate_page_range(memory, block * 16, block * 16 + 1, t.MOVABLE)
    memory.pageblock[block] = block_type

    problem = f"on a free list of type {listed_as}, but its block disagrees"
    assert refused(memory) == ("free", f"frame {block * 16}: {problem}")


def test_a_free_page_that_somebody_holds_is_found() -> None:
    """Within a block, too."""
    memory = ground().memory
    pfn = listed(memory, 4)[0]
    memory.refcount[pfn + 5] = 1

    assert refused(memory) == ("free", f"frame {pfn + 5}: it is free, but referenced")


def test_a_page_that_is_free_twice_is_found() -> None:
    """A block on a list inside a larger one on another."""
    memory = ground().memory
    pfn = listed(memory, 4)[0]
    memory.flags[pfn + 2] |= PG_buddy | 1 << ORDER_SHIFT
    head = int(memory.zone["free_list"][0]) + t.MIGRATE_TYPES + t.MOVABLE
    call(list_add, memory.mem_map, pfn + 2, head)
    memory.zone["nr_free"][0, 1] += 1
    memory.zone["free"] += 2

    assert refused(memory) == ("free", f"frame {pfn + 2}: it is free twice")


def test_a_free_page_with_a_mapping_is_found() -> None:
    """The free path clears it; a tag that stays would make the frame look movable."""
    memory = ground().memory
    pfn = listed(memory, 4)[0]
    memory.mapping[pfn + 1] = 2

    assert refused(memory)[1] == (f"frame {pfn + 1}: it is free, but its mapping is not cleared")


def test_two_pages_of_equal_contents_are_found() -> None:
    """A content is written once and moved, never copied to a second owner."""
    memory = ground().memory
    memory.content[18] = memory.content[17]

    assert refused(memory) == ("anonymous", "frame 17: its contents are another page's")


def test_a_broken_list_is_found() -> None:
    """It is not walked for ever."""
    memory = ground().memory
    pfn = listed(memory, 0)[0]
    memory.next[pfn] = pfn

    assert refused(memory)[0] == "free lists"


def test_more_frames_in_use_than_references_explain_is_found() -> None:
    """The allocator remembers how many frames lie inside larger blocks."""
    memory = ground().memory
    memory.frames_without_reference = 3

    assert refused(memory) == (
        "allocator",
        "the number of frames inside larger blocks is 3, but 0 were counted",
    )


def test_a_larger_block_is_in_use_as_a_whole() -> None:
    """Its tails have no references, and that is no leak; given back, all is as before."""
    memory = ground().memory
    memory.zone["watermark"] = -100

    pfn = memory.alloc_pages(GFP_KERNEL, 2)
    memory.validate()
    memory.free_pages(pfn, 2)

    memory.validate()


@pytest.mark.parametrize("bit", [PG_tail, PG_reserved])
def test_tails_and_reserved_frames_need_no_reference(bit: int) -> None:
    """A compound page's head counts for all; reserved frames are nobody's."""
    memory = ground().memory
    memory.flags[48] |= bit
    memory.refcount[48] = 0

    memory.validate()


def test_what_was_locked_from_the_start_may_stay_so() -> None:
    """A recorded page may be locked by somebody who is not simulated."""
    memory = ground().memory
    memory.flags[18] |= PG_locked
    memory.locked_from_the_start[18] = True

    memory.validate()


def test_the_audit_runs_over_several_zones_and_cpus() -> None:
    """The second zone's per-CPU count is recounted as well."""
    memory = Memory.blank(64, ("DMA", 32), ("DMA32", 32), pageblock_order=3, max_order=5, nr_cpus=2)
    memory.validate()
    memory.zone["pcp_count"][1, 1] = 4

    assert refused(memory) == ("DMA32", "the per-CPU count of CPU 1 is 4, but 0 were counted")
