"""A range of pageblocks, kept from the allocator (mm/page_isolation.c, v6.1; rules I-1 to I-5).

Whoever wants a range of frames for himself isolates its pageblocks first: then nothing new moves
in while he moves out who is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from movable.mm import mm_types as t
from movable.mm import views
from movable.mm.isolate_pageblock import (
    ISOLATED_ALREADY,
    NOTHING,
    first_not_isolated,
    set_migratetype_isolate,
    split_at_edge,
    unset_migratetype_isolate,
)
from movable.mm.tracepoints import trace_test_pages_isolated
from movable.page_flags import ZONE_SHIFT

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class InTheWay(NamedTuple):
    """What keeps a range of frames from becoming one piece."""

    pfn: int
    why: str
    """A clause about the page, for messages."""


def pageblocks(memory: Memory, start: int, end: int) -> range:
    """The first frames of the pageblocks that [*start*, *end*) touches."""
    order = memory.pageblock_order
    return range(start >> order << order, -(-end >> order) << order, 1 << order)


def start_isolate_page_range(
    memory: Memory, start: int, end: int, migratetype: int
) -> InTheWay | None:
    """Isolate the pageblocks of [*start*, *end*), or say what is in the way; then none is isolated.

    First and last block come first, since a page may reach across the range's edges (I-1). A block
    whose isolation is taken back becomes one of *migratetype*, whatever it was.
    """
    blocks = pageblocks(memory, start, end)
    done: list[int] = []
    edges = ((blocks[0], blocks.start), (blocks[-1], blocks.stop))
    for block in dict.fromkeys((blocks[0], blocks[-1], *blocks)):
        outward = [edge for inside, edge in edges if inside == block]
        found = _isolate_single_pageblock(memory, block, outward, migratetype)
        if found:
            _undo(memory, sorted(done), migratetype)
            return found
        done.append(block)
    return None


def _isolate_single_pageblock(
    memory: Memory, block: int, edges: list[int], migratetype: int
) -> InTheWay | None:
    z = memory.flags[block] >> ZONE_SHIFT
    page = int(memory.engine.call(set_migratetype_isolate, z, block, migratetype))
    if page == ISOLATED_ALREADY:
        return InTheWay(block, "is in a pageblock that somebody else isolates")
    if page != NOTHING:
        return InTheWay(page, _why_unmovable(memory, page))
    for edge in edges:
        page = int(memory.engine.call(split_at_edge, z, block, edge))
        if page != NOTHING:
            _undo(memory, [block], migratetype)
            return InTheWay(page, "reaches across the edge of the range's pageblocks")
    return None


def _why_unmovable(memory: Memory, pfn: int) -> str:
    if memory.pageblock[pfn >> memory.pageblock_order] & t.BLOCK_TYPE == t.CMA:
        return "is in a CMA region"
    if views.in_lru_batches(memory)[pfn]:
        return "waits in a CPU's LRU batch"
    return "is of a kind that cannot be moved"


def _undo(memory: Memory, blocks: list[int], migratetype: int) -> None:
    for block in blocks:
        z = memory.flags[block] >> ZONE_SHIFT
        memory.engine.call(unset_migratetype_isolate, z, block, migratetype)


def undo_isolate_page_range(memory: Memory, start: int, end: int, migratetype: int) -> None:
    """Let the pageblocks of [*start*, *end*) take part again, as blocks of *migratetype*."""
    _undo(memory, list(pageblocks(memory, start, end)), migratetype)


def test_pages_isolated(memory: Memory, start: int, end: int) -> int | None:
    """The first frame of [*start*, *end*) that is not free in an isolated block, if there is one.

    Says so in the trace, too.
    """
    memory.event_buffer.make_room()
    last = int(memory.engine.call(first_not_isolated, start, end))
    memory.engine.call(trace_test_pages_isolated, start, end, last)
    return None if last >= end else last
