"""`Meter`: what the driver has done, how long that took, and how long others had to wait for it.

Time is simulated (`Clock`): what a thing takes is spent when it is done, and passes once nothing is
held that a timer could want.
"""

from __future__ import annotations

from collections import Counter

from movable import Clock
from movable_gpu.costs import Costs

MS, US = 1_000_000, 1_000


class Meter:
    """One GPU's time, in ns, and counts of what was done."""

    def __init__(self, costs: Costs) -> None:
        self.costs, self.clock = costs, Clock()
        self.counts: Counter[str] = Counter()
        """How often each thing was done: "flush_all", "as_command", "copy", "zap" and so on."""
        self.cpu_ns = 0
        """All that was spent, wherever."""
        self.stall_ns = 0
        """How long the GPU was kept away from a range of its own."""
        self.irq_off_ns = self.longest_irq_off_ns = 0
        """How long the CPU took no interrupts, together and at once."""
        self.waited_ns = self.async_waited_ns = 0
        """How long migrations waited for others, and those that may not wait."""
        self.delayed_ns = 0
        """How long others waited for a migration: faults of the CPU and of the GPU."""
        self._due = 0

    def __repr__(self) -> str:
        return f"<Meter [{self.cpu_ns} ns spent, {self.stall_ns} ns stalled]>"

    def spend(self, what: str, ns: int, times: int = 1) -> None:
        """*what* has been done *times*, and took *ns* altogether."""
        self.counts[what] += times
        self.cpu_ns += ns
        self._due += ns

    def settle(self) -> None:
        """Let pass what was spent: timers may be called now."""
        due, self._due = self._due, 0
        if due:
            self.clock.advance(due)

    def wait(self, ns: int, *, may_not: bool = False) -> None:
        """A migration lets *ns* pass, waiting for somebody."""
        self.waited_ns += ns
        self.async_waited_ns += ns * may_not
        self.settle()
        self.clock.advance(ns)

    def irqs_were_off(self, ns: int) -> None:
        """Nobody could be interrupted for so long."""
        self.irq_off_ns += ns
        self.longest_irq_off_ns = max(self.longest_irq_off_ns, ns)
