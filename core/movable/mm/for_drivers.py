"""What a memory does for drivers besides giving them pages; `movable.Memory` says what it promises.

Part of `Memory`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from movable.mm import meminfo
from movable.mm.page_reporting import PageReporting, Report
from movable.mm.shrinker import Shrinker
from movable.sched.clock import Clock
from movable.shrinker import DEFAULT_SEEKS, ShrinkControl

if TYPE_CHECKING:
    from movable.mm.memory import Memory
    from movable.page import Page


class ForDrivers:
    """Counts, notifiers, shrinkers, and the clock that a machine goes by."""

    zone: Any

    @cached_property
    def clock(self) -> Clock:
        """What everything in this machine goes by."""
        return Clock()

    @cached_property
    def oom_notifiers(self) -> list[Callable[[], int]]:
        """Who may give memory back before a process is killed."""
        return []

    @cached_property
    def shrinkers(self) -> list[Shrinker]:
        """Whom reclaim asks, in the order in which they were registered."""
        return []

    @cached_property
    def driver_events(self) -> Counter[str]:
        """Counters of /proc/vmstat that drivers keep."""
        return Counter()

    def adjust_managed_page_count(self, page: Page, count: int) -> None:
        """Count *count* pages more of a zone as the machine's; no watermark changes with that."""
        self.zone["managed"][page.zone] += count

    def register_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Have *notify* free memory when all else has failed; it says how many pages."""
        self.oom_notifiers.append(notify)

    def unregister_oom_notifier(self, notify: Callable[[], int]) -> None:
        """Ask it no more."""
        self.oom_notifiers.remove(notify)

    def register_shrinker(
        self,
        name: str,
        count_objects: Callable[[ShrinkControl], int],
        scan_objects: Callable[[ShrinkControl], int],
        *,
        seeks: int = DEFAULT_SEEKS,
        batch: int = 0,
    ) -> Shrinker:
        """Have reclaim ask a cache for memory (register_shrinker())."""
        shrinker = Shrinker(name, count_objects, scan_objects, seeks, batch)
        self.shrinkers.append(shrinker)
        return shrinker

    def unregister_shrinker(self, shrinker: Shrinker) -> None:
        """Ask it no more."""
        self.shrinkers.remove(shrinker)

    def register_page_reporting(self, report: Report, order: int = 0) -> PageReporting:
        """Have a device told of free blocks (page_reporting_register())."""
        return PageReporting(cast("Memory", self), report, order)

    def count_vm_event(self, event: str, by: int = 1) -> None:
        """Add *by* to a counter of /proc/vmstat that is the driver's."""
        self.driver_events[event] += by

    def meminfo(self) -> dict[str, int]:
        """How much memory there is, in pages; see :func:`movable.mm.meminfo.meminfo`."""
        return meminfo.meminfo(cast("Memory", self))
