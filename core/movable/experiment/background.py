"""What goes on beside the tasks of a simulated time: daemons, and somebody who counts huge pages.

kswapd and kcompactd are tasks that sleep until they are woken, and compete with the others for CPUs
and locks. Elsewhere kswapd has done its work whenever it is woken, and kcompactd works where time
is said to pass (mm/daemons.py).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from movable import sched
from movable.mm.daemons import Daemons
from movable.mm.kswapd import Kswapd
from movable.sched.timeline import SECOND, Timeline

if TYPE_CHECKING:
    from movable.machine import Machine
    from movable.mm.memory import Memory


class InTime(Daemons):
    """Stands where a machine's daemons do: whoever lets time pass there sleeps."""

    def __init__(self, memory: Memory, timeline: Timeline) -> None:
        super().__init__(memory)
        self.timeline = timeline

    def __repr__(self) -> str:
        return f"<InTime {self.timeline!r}>"

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""
        self.timeline.sleep(int(seconds * SECOND))


class Background:
    """The daemons of *machine*, as a context manager, while *timeline* is theirs.

    :param period: from one count of the huge pages to the next, in ns.
    :ivar huge_pages: when, in ns, and how many could be had then.
    """

    def __init__(self, machine: Machine, timeline: Timeline, period: int) -> None:
        self.machine, self.timeline, self.period = machine, timeline, period
        self.huge_pages: list[tuple[int, int]] = []
        self._in_time = InTime(machine.memory, timeline)
        self._daemons, self._contents = machine.daemons, machine.compares_contents
        self._kswapd = getattr(machine.memory.vmscan, "kswapd", None)

    def __repr__(self) -> str:
        return f"<Background of {self.machine!r}>"

    def __enter__(self) -> None:
        # What a driver holds changes while a compactor is at work, since its users are, too.
        self.machine.daemons, self.machine.compares_contents = self._in_time, False
        if self._kswapd:
            self._kswapd.in_background = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.machine.daemons, self.machine.compares_contents = self._daemons, self._contents
        if self._kswapd:
            self._kswapd.in_background = False

    def tasks(self) -> list[tuple[str, Callable[[], None]]]:
        """Their names and what they do."""
        tasks: list[tuple[str, Callable[[], None]]] = [("observer", self._count)]
        if kswapd := self._kswapd:
            tasks.append(("kswapd", lambda: self._reclaim(kswapd)))
        if self._daemons.kcompactd:
            tasks.append(("kcompactd", self._compact))
        return tasks

    def _reclaim(self, kswapd: Kswapd) -> None:
        timeline = self.timeline
        while not timeline.over:
            timeline.sleep(SECOND, lambda: kswapd.awake or timeline.over)
            if kswapd.awake:
                kswapd.run()
                sched.point("kswapd goes to sleep")

    def _compact(self) -> None:
        """What it was woken for; and two looks a second whether memory is too fragmented."""
        daemon, timeline, daemons = self.machine.memory.kcompactd, self.timeline, self._daemons
        look = timeline.now + int(daemons.next_look * SECOND)
        while not timeline.over:
            timeline.sleep(look - timeline.reached(), lambda: daemon.awake or timeline.over)
            if daemon.awake:
                daemon.run()
            elif timeline.reached() >= look:
                daemons.look()
                look = timeline.reached() + int(daemons.next_look * SECOND)
            sched.point("kcompactd goes to sleep")

    def _count(self) -> None:
        """Takes neither time nor a CPU."""
        self.timeline.take_no_cpu()
        while not self.timeline.over:
            self.huge_pages.append((self.timeline.now, huge_pages(self.machine)))
            self.timeline.sleep(self.period, lambda: self.timeline.over)


def huge_pages(machine: Machine) -> int:
    """Free blocks of at least a pageblock, as the pageblocks that they are."""
    memory, block = machine.memory, machine.memory.pageblock_order
    return sum(
        free << (order - block)
        for orders in memory.buddyinfo().values()
        for order, free in enumerate(orders)
        if order >= block
    )
