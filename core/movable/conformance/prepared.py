"""`Prepared`: a small memory with one driver, used as a plan says before its tasks begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from movable.conformance.ground import make, scatter, settings
from movable.conformance.plan import PRESSED, Step
from movable.conformance.watchdog import guarded
from movable.errors import BadInput, OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, Gfp
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.operation import operations
from movable.page import Page
from movable.sched import tasks
from movable.sched.tasks import MAIN, Context

FRAMES, PAGEBLOCK_ORDER, ORDERS = 256, 3, 6
LOW = 24
"""Frames at the start of memory that are free: what the driver allocates first, and the compactor
moves first."""


class Prepared:
    """A driver and its users; nobody watches.

    :param config: the driver's settings.
    """

    def __init__(self, name: str, kind: type[Any], config: Mapping[str, Any]) -> None:
        self.name, self.kind = name, kind
        self.memory = Memory.blank(FRAMES, pageblock_order=PAGEBLOCK_ORDER, max_order=ORDERS)
        # Most drivers use none, and putting them back takes longer than a schedule.
        self.memory.bytes_on_demand = True
        scatter(self.memory, LOW)
        self.machine = Machine(self.memory, contract=False)
        self.pressed = Pressed(self.memory)
        self.driver = guarded(lambda: self._make(config))
        self.verbs = operations(kind)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} [{len(self.pages())} pages]>"

    def close(self) -> None:
        """Forget the locks that a broken driver has left locked."""
        self.machine.close()
        MAIN.forget_locks()

    def _make(self, config: Mapping[str, Any]) -> Any:
        given = settings(self.kind, config)
        return make(self.machine, self.name, self.kind, self.pressed, given)

    @property
    def mapping(self) -> Any:
        """The driver's address space."""
        return self.driver.mapping

    def pages(self) -> list[Page]:
        """The pages that the driver has published, lowest first."""
        return self.memory.published(self.mapping)

    def call(self, step: Step) -> None:
        """Have a user call one of the driver's operations.

        :raises Endless: it goes on for ever.
        :raises Misconduct: it does not come back as functions do.
        """
        guarded(self.bound(step))

    def bound(self, step: Step) -> Callable[[], None]:
        """That call, to be made later."""
        arguments = self.verbs[step.verb].validate(**step.arguments)
        method = getattr(self.driver, step.verb)

        def call() -> None:
            with suppress(OutOfMemory, BadInput):
                method(**arguments)

        def call_short_of_memory() -> None:
            with self.pressed.short():
                call()

        return call_short_of_memory if step.do == PRESSED else call


class Pressed:
    """The memory as the driver gets it: a task may be short of it, and then compacts whenever it
    allocates."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._short: set[Context] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    @contextmanager
    def short(self) -> Iterator[None]:
        """From now on the task that runs has no page left unless it compacts first."""
        self._short.add(tasks.here)
        try:
            yield
        finally:
            self._short.discard(tasks.here)

    def alloc_page(self, gfp: int = GFP_HIGHUSER_MOVABLE) -> Page:
        """`movable.Memory.alloc_page`."""
        if tasks.here in self._short:
            if not gfp & Gfp.DIRECT_RECLAIM:
                raise OutOfMemory("memory is short, and the request must not wait")
            # Whoever allocates while it compacts does not compact once more (PF_MEMALLOC).
            self._short.discard(tasks.here)
            self._memory.compact_memory()
            self._short.add(tasks.here)
        return self._memory.alloc_page(gfp)
