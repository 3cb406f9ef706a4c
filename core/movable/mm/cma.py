"""Contiguous memory regions (mm/cma.c, v6.1; rules CM-1 to CM-3).

A region is set apart at boot for one device, which needs large pieces of memory now and then. Until
it does, movable pages may live there; when it does, they must go. Whoever has a page in there that
cannot move keeps the device from its memory, if it finds no other place in its region.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.mm import page_isolation, views
from movable.mm import tracepoints as tp
from movable.mm.contig import alloc_contig_range, check_range, free_contig_range
from movable.mm.contig_range import ContigPages, ContigRange, ContigResult
from movable.mm.vmstat import count_vm_events

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Array = Any


class Cma:
    """One region, *count* pages from *base_pfn* on (`struct cma`).

    :param order_per_bit: the region is given out in pieces of 2**order_per_bit pages.
    """

    def __init__(
        self, memory: Memory, name: str, base_pfn: int, count: int, order_per_bit: int
    ) -> None:
        self.memory, self.name = memory, name
        self.base_pfn, self.count, self.order_per_bit = base_pfn, count, order_per_bit
        self.number = len(memory.cma)
        self.bitmap: Array = np.zeros(count >> order_per_bit, bool)
        """Which pieces are in use, or being fetched."""

    def __repr__(self) -> str:
        return f"<Cma {self.name} [{self.used} of {self.count} pages]>"

    @property
    def used(self) -> int:
        """Pages that the region's owner has."""
        return int(np.count_nonzero(self.bitmap)) << self.order_per_bit

    def alloc(self, count: int, align: int = 0) -> ContigPages:
        """Take *count* pages, from a multiple of 2**align pages on, from the first place that can
        be had (cma_alloc()).

        A place with a page that cannot be moved is passed by; if there is no page to move somebody
        to, that is the end.

        :raises BadInput: the region has no such place, even if it is empty.
        :raises ContractViolation: a driver broke a promise; nothing is left isolated or taken.
        """
        self._check(count, align)
        self._trace(tp.CMA_ALLOC_START, count, align)
        attempts: list[ContigRange] = []
        bit, pfn = self._next_zero_area(0, count, align), -1
        while bit is not None:
            pfn = self.base_pfn + (bit << self.order_per_bit)
            attempts.append(self._fetch(bit, pfn, count))
            if attempts[-1].result is not ContigResult.BUSY:
                break
            self._trace(tp.CMA_ALLOC_BUSY_RETRY, pfn, count, 1, align)
            bit = self._next_zero_area(bit + 1, count, align)
        found = ContigPages(count, tuple(attempts))
        self._trace(tp.CMA_ALLOC_FINISH, pfn, count, int(bool(found)), align)
        event = t.CMA_ALLOC_SUCCESS if found else t.CMA_ALLOC_FAIL
        self.memory.engine.call(count_vm_events, event, 1)
        return found

    def release(self, pfn: int, count: int) -> None:
        """Give *count* pages back, one by one (cma_release()).

        :raises BadInput: some of them are not the region's, or nobody has them.
        """
        first, bits = (pfn - self.base_pfn) >> self.order_per_bit, self._bits(count)
        inside = self.base_pfn <= pfn and pfn + count <= self.base_pfn + self.count
        if not inside or count <= 0 or not self.bitmap[first : first + bits].all():
            problem = f"frames {pfn} to {pfn + count - 1} are not all in use from this region"
            raise BadInput(f"CMA region {self.name}", problem, "give back what alloc gave")
        free_contig_range(self.memory, pfn, count)
        self.bitmap[first : first + bits] = False
        self._trace(tp.CMA_RELEASE, pfn, count)

    def _fetch(self, bit: int, pfn: int, count: int) -> ContigRange:
        """Take one place, of which nobody else is to think meanwhile."""
        bits = slice(bit, bit + self._bits(count))
        self.bitmap[bits] = True
        had = False
        try:
            with self.memory.cma_mutex:
                attempt = alloc_contig_range(self.memory, pfn, pfn + count, t.CMA)
            had = bool(attempt)
        finally:
            self.bitmap[bits] = had
        return attempt

    def _next_zero_area(self, start: int, count: int, align: int) -> int | None:
        """The first bit from *start* on where *count* unused pages begin, aligned."""
        bits, bit = self._bits(count), self._aligned(start, align)
        while bit + bits <= len(self.bitmap):
            used = np.flatnonzero(self.bitmap[bit : bit + bits])
            if not len(used):
                return bit
            bit = self._aligned(bit + int(used[-1]) + 1, align)
        return None

    def _bits(self, count: int) -> int:
        return -(-count >> self.order_per_bit)

    def _aligned(self, bit: int, align: int) -> int:
        """The first bit from *bit* on whose frame is a multiple of 2**align."""
        step = 1 << max(align - self.order_per_bit, 0)
        offset = (self.base_pfn & ((1 << align) - 1)) >> self.order_per_bit
        return -(-(bit + offset) // step) * step - offset

    def _check(self, count: int, align: int) -> None:
        place = f"CMA region {self.name}"
        if align < 0:
            raise BadInput(place, f"{align} is no order to align to", "0 aligns to single pages")
        if count <= 0 or self._aligned(0, align) + self._bits(count) > len(self.bitmap):
            problem = f"{count} pages, aligned to order {align}, of {self.count} pages"
            raise BadInput(place, problem, "ask for what the region has if it is empty")

    def _trace(self, event: int, *words: int) -> None:
        self.memory.event_buffer.make_room()
        for word in (event, self.number, *words):
            self.memory.engine.call(tp.trace_word, word)


def init_reserved_mem(
    memory: Memory, name: str, base_pfn: int, count: int, order_per_bit: int
) -> Cma:
    """Make free pageblocks a region, as at boot (cma_init_reserved_areas()).

    :raises BadInput: the name is taken, or these are not whole, free pageblocks of one zone.
    """
    place, end = f"CMA region {name}", base_pfn + count
    if name in memory.cma:
        raise BadInput(place, "this name is taken", "call the region otherwise")
    block = 1 << memory.pageblock_order
    if base_pfn % block or count % block or count <= 0:
        problem = f"frames {base_pfn} to {end - 1} are not whole pageblocks of {block} frames"
        raise BadInput(place, problem, "choose size and place in pageblocks")
    if not 0 <= order_per_bit <= memory.pageblock_order:
        raise BadInput(
            place, f"pieces of order {order_per_bit}", f"say 0 to {memory.pageblock_order}"
        )
    check_range(place, memory, base_pfn, end, t.MOVABLE)
    used = np.flatnonzero(views.owners(memory, base_pfn, end) != views.FREE)
    for pfn in (base_pfn + used[:1]).tolist():
        owner = views.owner_names(memory)[int(views.owners(memory, pfn, pfn + 1)[0])]
        raise BadInput(
            place, f"frame {pfn} is not free, but {owner}", "choose a place that is free"
        )
    obstacle = page_isolation.start_isolate_page_range(memory, base_pfn, end, t.MOVABLE)
    if obstacle:
        raise BadInput(place, f"frame {obstacle.pfn} {obstacle.why}", "choose another place")
    for pfn in range(end - block, base_pfn - 1, -block):
        page_isolation.undo_isolate_page_range(memory, pfn, pfn + block, t.CMA)
    return Cma(memory, name, base_pfn, count, order_per_bit)
