"""The part of `Memory` that hands out ranges of frames, and regions of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from movable.gfp import GFP_KERNEL
from movable.mm import contig
from movable.mm import mm_types as t
from movable.mm.cma import Cma, init_reserved_mem
from movable.mm.contig_range import ContigPages, ContigRange
from movable.sched import Mutex, lock_watch
from movable.sched.lock_watch import watchers

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Contiguous:
    """What `Memory` can do with physically contiguous memory."""

    @property
    def _memory(self) -> Memory:
        return cast("Memory", self)

    @cached_property
    def cma(self) -> dict[str, Cma]:
        """The CMA regions by name, in the order in which they were made."""
        return {}

    @cached_property
    def cma_mutex(self) -> Mutex:
        """One place in a CMA region is fetched at a time, whosever region it is."""
        return Mutex("cma_mutex")

    def add_cma(self, name: str, base_pfn: int, count: int, order_per_bit: int = 0) -> Cma:
        """Make *count* frames from *base_pfn* on, all free, a CMA region.

        :param order_per_bit: the region is given out in pieces of 2**order_per_bit pages.
        :raises BadInput: the name is taken, or these are not whole, free pageblocks of one zone.
        """
        self.cma[name] = init_reserved_mem(self._memory, name, base_pfn, count, order_per_bit)
        return self.cma[name]

    def alloc_contig_range(
        self,
        start: int,
        end: int,
        migratetype: int = t.MOVABLE,
        gfp_mask: int = GFP_KERNEL,
    ) -> ContigRange:
        """Take the frames from *start* to *end*, moving out who is there, or say who was in the
        way; see :func:`movable.mm.contig.alloc_contig_range`."""
        if watchers:
            lock_watch.allocates()
        return contig.alloc_contig_range(self._memory, start, end, migratetype, gfp_mask)

    def alloc_contig_pages(self, count: int, gfp_mask: int = GFP_KERNEL) -> ContigPages:
        """Take *count* pages in one piece, wherever; see :func:`contig.alloc_contig_pages`."""
        return contig.alloc_contig_pages(self._memory, count, gfp_mask)

    def free_contig_range(self, start: int, count: int) -> None:
        """Give *count* pages back, one by one; see :func:`contig.free_contig_range`."""
        contig.free_contig_range(self._memory, start, count)
