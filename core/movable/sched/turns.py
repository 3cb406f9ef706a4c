"""What tasks on a :class:`movable.sched.timeline.Timeline` take, and where each of them stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Cost(NamedTuple):
    """What it takes to get to a point."""

    ns: int
    asleep: bool = False
    """It is waited for, and the CPU is somebody else's meanwhile."""


class Prices(Protocol):
    """What time everything takes."""

    wake_up: int
    """From the moment when a sleeper may go on until it does, in ns."""
    hand_over: int
    """The same for one that spins."""
    slice: int
    """How long a task has a CPU that others want, in ns."""

    def point(self, owner: str, label: str) -> Cost:
        """Of getting to *label*, in the code of the driver called *owner* ("": in the VM's)."""
        ...

    def work(self) -> int:
        """Of what was done since this was last asked and passes no points, in ns."""
        ...


@dataclass(eq=False)
class Turn:
    """Where a task stands."""

    clock: int
    """The time that it has come to, in ns."""
    background: bool = False
    """It ends when all others have."""
    interrupt: bool = False
    """It takes nobody's CPU."""
    cpu: int | None = None
    since: int = 0
    """When it got that CPU."""
    woken: bool = False
    """What it waits for has happened, and it has been noticed."""
    waits_since: int | None = None
    what: tuple[str, str] = ("", "")
    """In whose code it waits, and for what."""
    early: Callable[[], bool] | None = None
    """What ends its sleep before the time."""
    inside: list[str] = field(default_factory=list)
    """The drivers in whose code it is, the innermost last."""

    @property
    def wants_a_cpu(self) -> bool:
        """It cannot go on without."""
        return self.cpu is None and not self.interrupt
