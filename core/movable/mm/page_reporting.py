"""Free page reporting: a device is told which large blocks are free, so that its host can have them
back until they are used (mm/page_reporting.c, v6.1).

Two seconds after a block of the reporting order has come to be, free blocks of that order and
above are taken off their lists, 32 at most, the device is told of them, and they are put back with
a mark (PG_reported) that they lose when they are split, merged or allocated. While the device is
told, nobody else can have them: neither a request nor compaction's free scanner.

A device that is not told of a whole list in one go is told of the rest two seconds later. One
device can register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from movable.errors import AuditFailed, BadInput
from movable.mm import mm_types as t
from movable.mm.alloc_flags import ALLOC_CMA
from movable.mm.buddy import free_one_page, isolate_free_page
from movable.mm.compiled import compiled
from movable.mm.list import list_rotate_to_front
from movable.mm.pageblock import block_type
from movable.mm.watermark import zone_watermark_ok
from movable.page_flags import ORDER_MASK, ORDER_SHIFT, ZONE_SHIFT, PG_buddy, PG_reported
from movable.sched.timer import Timer
from movable.sched.work import WorkQueue

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Array = Any
Blocks = Sequence[tuple[int, int]]
"""Free blocks: the frame of the head, and the order."""
Report = Callable[[Blocks], int]

PAGE_REPORTING_CAPACITY = 32
"""Blocks that a device is told of at once, at most."""
PAGE_REPORTING_DELAY = 2_000_000_000
"""Nanoseconds from a block that is worth it to the work."""
NOBODY_IS_TOLD = t.MAX_NR_ORDERS
"""The reporting order while no device is registered: no block is so large."""
ORDER, REQUESTED = (
    t.word_index(t.NODE, f"page_reporting_{word}") for word in ("order", "requested")
)


class State(IntEnum):
    """Whether the device should be told (PAGE_REPORTING_IDLE and so on)."""

    IDLE, REQUESTED, ACTIVE = range(3)


class PageReporting:
    """The device of one memory that is told of free blocks (`struct page_reporting_dev_info`).

    :param report: tells the device, which may take its time; 0, or a negative errno: then the
        blocks count as not told.
    :param order: of the smallest blocks that it is told of; 0: a pageblock's.
    :raises BadInput: there is such a device already (-EBUSY).
    """

    def __init__(self, memory: Memory, report: Report, order: int = 0) -> None:
        if memory.node_words[ORDER] != NOBODY_IS_TOLD:
            remedy = "let one of them do it"
            raise BadInput("page reporting", "two devices would be told of free memory", remedy)
        self.memory, self.report = memory, report
        self.order = order or memory.pageblock_order
        self.state = State.IDLE
        self.work = WorkQueue("page_reporting")
        self.timer = Timer(memory.clock, self._queue, "page reporting")
        self._told: list[tuple[int, int]] = []
        """Blocks that are off their lists, the first taken first."""
        self._request()
        memory.node_words[ORDER] = self.order
        memory.clock.before_it_goes_on.append(self._notice)

    def __repr__(self) -> str:
        return f"<PageReporting [order {self.order}, {self.state.name.lower()}]>"

    def unregister(self) -> None:
        """Tell the device nothing more, and return when nobody does any more."""
        self.memory.node_words[ORDER] = NOBODY_IS_TOLD
        self.memory.clock.before_it_goes_on.remove(self._notice)
        self.timer.delete_sync()
        self.work.cancel(self._process)
        self.timer.delete_sync()

    def _notice(self) -> None:
        """See whether a block has come to be since the clock last went on."""
        words = self.memory.node_words
        if words[REQUESTED]:
            words[REQUESTED] = 0
            self._request()

    def _request(self) -> None:
        """Begin in two seconds, unless that is due, or under way (__page_reporting_request())."""
        before, self.state = self.state, State.REQUESTED
        if before is State.IDLE:
            self._delay()

    def _delay(self) -> None:
        self.timer.mod(self.memory.clock.now + PAGE_REPORTING_DELAY)

    def _queue(self) -> None:
        self.work.queue(self._process)

    def _process(self) -> None:
        """The work item: all zones, and again if there is more (page_reporting_process())."""
        self.memory.node_words[REQUESTED] = 0
        self.state = State.ACTIVE
        for z in range(len(self.memory.zone_names)):
            if self._process_zone(z):
                break
        self._notice()
        if self.state is State.REQUESTED:
            self._delay()
        else:
            self.state = State.IDLE

    def _process_zone(self, z: int) -> int:
        """The lists of a zone that has enough free pages to go without some for a while."""
        memory = self.memory
        mark = int(memory.zone["watermark"][z, t.WMARK_LOW] + memory.zone["boost"][z])
        mark += PAGE_REPORTING_CAPACITY << self.order
        free = int(memory.zone["free"][z])
        if not memory.engine.call(zone_watermark_ok, z, 0, mark, 0, ALLOC_CMA, max(free, 0)):
            return 0
        for order in range(self.order, memory.max_order):
            for migratetype in range(t.MIGRATE_TYPES):
                if migratetype != t.ISOLATE and (error := self._cycle(z, order, migratetype)):
                    return error
        return self._tell() if self._told else 0

    def _cycle(self, z: int, order: int, migratetype: int) -> int:
        """One list, as far as its budget of messages goes (page_reporting_cycle())."""
        memory, links, flags = self.memory, self.memory.next, self.memory.flags
        head = int(memory.zone["free_list"][z]) + order * t.MIGRATE_TYPES + migratetype
        budget = -(-int(memory.zone["nr_free"][z, order]) // (PAGE_REPORTING_CAPACITY * 16))
        pfn, error = links[head], 0
        while pfn != head and not error:
            following = links[pfn]
            if flags[pfn] & PG_reported:
                pass
            elif budget < 0:
                self.state = State.REQUESTED
                break
            elif len(self._told) < PAGE_REPORTING_CAPACITY:
                if not memory.engine.call(isolate_free_page, z, pfn, order):
                    break
                self._told.append((pfn, order))
            else:
                self._rotate(head, pfn)
                error = self._tell()
                budget -= 1
                following = links[head]
            pfn = following
        self._rotate(head, pfn)
        return error

    def _rotate(self, head: int, pfn: int) -> None:
        """Have the list begin with what has not been looked at."""
        if pfn not in (head, self.memory.next[head]):
            self.memory.engine.call(list_rotate_to_front, head, pfn)

    def _tell(self) -> int:
        """Tell the device of what was taken, and put that back; the device's error, or 0.

        :raises AuditFailed: the answer is no errno.
        """
        error: object = None
        try:
            error = self.report(tuple(reversed(self._told)))
        finally:
            self._drain(reported=error == 0)
        if type(error) is not int or error > 0:
            name = getattr(self.report, "__qualname__", repr(self.report))
            raise AuditFailed(name, f"answered {error!r}; 0, or a negative errno?")
        return error

    def _drain(self, *, reported: bool) -> None:
        """Put back it, marked if it has merged with nothing (page_reporting_drain())."""
        memory = self.memory
        while self._told:
            pfn, order = self._told.pop()
            memory.engine.call(putback_isolated_page, pfn, order)
            if reported and _is_free_block(memory.flags[pfn], order):
                memory.flags[pfn] |= PG_reported


@compiled
def putback_isolated_page(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, pfn: int, order: int
) -> None:
    """Free a block that was only taken to tell of it; nobody need be told again."""
    requested = node[0]["page_reporting_requested"]
    z = int(mem_map[pfn]["flags"]) >> ZONE_SHIFT
    migratetype = block_type(pageblock, node, pfn)
    free_one_page(mem_map, zone, pageblock, node, z, pfn, order, migratetype)
    node[0]["page_reporting_requested"] = requested


def _is_free_block(flags: int, order: int) -> bool:
    return flags & (PG_buddy | ORDER_MASK) == PG_buddy | order << ORDER_SHIFT
