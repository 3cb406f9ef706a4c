"""`Memory`: what a driver is given to live in, as far as it need know it.

The memory manager's own class, movable/mm/memory.py, does all of it, and more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.shrinker import DEFAULT_SEEKS, ShrinkControl

if TYPE_CHECKING:
    from movable.page import Page
    from movable.sched.clock import Clock


class Reporting(Protocol):
    """What stands for a device that is told of free blocks."""

    def unregister(self) -> None:
        """Tell it nothing more, and return when nobody does any more."""
        ...


class Memory(Protocol):
    """What a driver is given to live in: a place to get pages from."""

    @property
    def page_size(self) -> int:
        """Bytes of a page."""
        ...

    @property
    def clock(self) -> Clock:
        """What the machine goes by: for timers, and for :func:`movable.sleep`."""
        ...

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        """Take one page for the caller, who holds its only reference (alloc_page()).

        *gfp* says what may be done for it, and chooses the kind of pageblock: pages that the
        driver will publish with :meth:`Page.set_movable` belong among movable ones, others come
        with `GFP_KERNEL`. With `Gfp.DIRECT_RECLAIM`, which both have, the call may sleep and enter
        compaction, and so may call the driver's own hooks: hold no lock that they wait for.

        :raises OutOfMemory: no frame is free.
        """
        ...

    def alloc_pages(self, gfp_mask: int, order: int) -> int:
        """Take a block of 2**order pages; its first frame (alloc_pages(), or OutOfMemory)."""
        ...

    def free_pages(self, pfn: int, order: int) -> None:
        """Give back a block that :meth:`alloc_pages` gave (__free_pages())."""
        ...

    def page(self, pfn: int) -> Page:
        """The page with frame number *pfn*."""
        ...

    def adjust_managed_page_count(self, page: Page, count: int) -> None:
        """Have the guest's memory count *count* pages more in the zone of *page*: fewer, of what
        it has no use of for the time being (adjust_managed_page_count())."""
        ...

    def register_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Have *notify* called before a process would be killed for want of memory; it frees what
        it can and says how many pages that was, and the request that failed is tried again.

        It runs in whoever allocates, who may hold what he may hold then; see :meth:`alloc_page`.
        """
        ...

    def unregister_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Have *notify* called no more."""
        ...

    def register_shrinker(
        self,
        name: str,
        count_objects: Callable[[ShrinkControl], int],
        scan_objects: Callable[[ShrinkControl], int],
        *,
        seeks: int = DEFAULT_SEEKS,
        batch: int = 0,
    ) -> object:
        """Have a cache of the driver's asked for memory when it runs short (register_shrinker()).

        *count_objects* says, without waiting, how many objects could be freed, or `SHRINK_EMPTY`;
        *scan_objects* looks at `nr_to_scan` of them and says how many it freed, or `SHRINK_STOP`:
        nothing can be freed at present. Both run in whoever allocates, like a notifier, or in
        kswapd.

        :param name: the cache's, for messages.
        :param seeks: what an object costs to make again; 0: nothing.
        :param batch: objects worth a call of *scan_objects*; 0: 128.
        :returns: what :meth:`unregister_shrinker` takes.
        """
        ...

    def register_page_reporting(
        self, report: Callable[[Sequence[tuple[int, int]]], int], order: int = 0
    ) -> Reporting:
        """Have *report* told of free blocks of *order* and more, two seconds after there are new
        ones (page_reporting_register()).

        It gets up to 32 blocks, each as the frame of its head and its order, which nobody else has
        meanwhile; it may sleep. It answers 0, or a negative errno if the device was not told.

        :param order: 0: a pageblock's.
        :raises BadInput: another device is told already.
        """
        ...

    def count_vm_event(self, event: str, by: int = 1) -> None:
        """Add *by* to *event*, a counter of /proc/vmstat that the driver's kernel has."""
        ...

    def meminfo(self) -> Mapping[str, int]:
        """How much memory there is, in pages: `totalram`, `freeram`, `available` without swapping,
        and `file`, the page cache (si_meminfo())."""
        ...

    def all_vm_events(self) -> Mapping[str, int]:
        """The counters of events, the drivers' among them, under their names in /proc/vmstat."""
        ...
