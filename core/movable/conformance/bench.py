"""`Bench`: a small memory with one driver in it, whose operations are drawn by chance from a seed.

It knows a driver by what every driver declares: its operations with their bounds, its mapping, what
it reads back. Rules broken outside the hooks (contents, recounts, leaks) become violations here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np

from movable.conformance.declared import Declared
from movable.conformance.draw import arguments
from movable.conformance.ground import make, scatter, settings
from movable.conformance.witness import Lent, Witness
from movable.errors import (
    AuditFailed,
    BadInput,
    ContractViolation,
    Misconduct,
    MovableError,
    OutOfMemory,
)
from movable.invariant import hold_invariants
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.observers.contract import Contract
from movable.operation import Operation, operations, reader
from movable.oracles.conservation import Conservation
from movable.oracles.parts import parts
from movable.page import Page
from movable.sched.tasks import MAIN
from movable.sched.work import WorkQueue

FRAMES, PAGEBLOCK_ORDER, ORDERS = 512, 4, 7
LOW = 96
"""Frames at the start of memory that are free: what the driver allocates first, and the compactor
moves first."""
POISON = 0x6B6B6B
"""Contents of a free frame: who still reads it reads this."""
ENOUGH = 24
"""Pages that a driver should own before a scene begins."""


class Broken(Exception):
    """A check that is no rule failed: *check* names it."""

    def __init__(self, check: str, detail: str) -> None:
        self.check, self.detail = check, detail
        super().__init__(f"{check}: {detail}")


class Bench:
    """One scene's memory and driver; `seen` is shared by all scenes of a check."""

    def __init__(
        self, name: str, driver: type[Any], declared: Declared, seed: int, seen: Counter[str]
    ) -> None:
        self.name, self.kind, self.declared, self.seen = name, driver, declared, seen
        self.random = Random(seed)
        self.memory = Memory.blank(
            FRAMES, pageblock_order=PAGEBLOCK_ORDER, max_order=ORDERS, real_bytes=True
        )
        scatter(self.memory, LOW)
        self.in_use = self._frames_in_use()
        self.conservation = Conservation(self.memory)
        self.machine = Machine(self.memory, contract=False)
        self.witness = Witness(seen)
        self.lent = Lent(self.memory, self.witness)
        self.driver = self._make()
        self.mapping = self.driver.mapping
        self.mapping.attach(self.witness)
        self.contract = self.machine.contract = Contract(reread=True)
        self.mapping.attach(self.contract)
        self.teardown = declared.teardown_of(driver)
        self.worker = declared.worker_of(driver)
        ends = (self.teardown, self.worker)
        self.verbs = [verb for name, verb in operations(driver).items() if name not in ends]
        self._growers: list[Operation] = []

    def __repr__(self) -> str:
        return f"<Bench [{self.name}, {len(self.pages())} pages]>"

    def close(self) -> None:
        """Watch no more, and forget the locks that a broken driver has left locked."""
        self.machine.close()
        MAIN.forget_locks()

    def _make(self) -> Any:
        try:
            config = settings(self.kind, self.declared.config)
            self._given = config, deepcopy(config)
            return make(self.machine, self.name, self.kind, self.lent, config)
        except MovableError:
            raise
        except Exception as error:
            problem = f"{self.kind.__name__}(memory, config) raised {type(error).__name__}: {error}"
            raise Broken("made", problem) from error

    def same_as_given(self, call: str = "") -> None:
        """The settings, and the pages' numbers, are as the driver was given them.

        :raises Misconduct: it has written to them.
        """
        now, then = self._given
        place = f"{self.kind.__name__}{call}"
        if now != then:
            detail = f"writes to its settings, which were {then!r} and are {now!r}"
            raise Misconduct("settings", place, detail)
        for pfn, page in self.memory.pages.items():
            if page.pfn != pfn:
                raise Misconduct("settings", place, f"gives page {pfn} the number {page.pfn}")

    # What the driver has.

    def pages(self) -> list[Page]:
        """The pages that the driver has published, lowest first."""
        return self.memory.published(self.mapping)

    def _frames_in_use(self) -> int:
        return int(np.count_nonzero(self.memory.mem_map["refcount"][:FRAMES]))

    # What its users do.

    def do(self, verb: Operation, **values: Any) -> bool:
        """Have the driver do something; `False` if it said that it cannot."""
        self.witness.users_did_something()
        try:
            verb.call(self.driver, **values)
        except (OutOfMemory, BadInput):
            return False
        except MovableError:
            raise
        except Exception as error:
            said = ", ".join(f"{name}={value!r}" for name, value in values.items())
            detail = f"{verb.name}({said}) raised {type(error).__name__}: {error}"
            raise Broken("operations", detail) from error
        self.seen["operated"] += 1
        self.same_as_given(f".{verb.name}")
        for page in self.pages():
            if page.locked and not page.isolated:
                detail = "returned with the page locked, so that it can never be isolated"
                raise ContractViolation("L07", repr(page), f"{self.name}.{verb.name}", detail)
        return True

    def do_by_name(self, name: str) -> None:
        """Have the driver do *name*, with arguments drawn by chance."""
        verb = operations(self.kind)[name]
        self.do(verb, **arguments(verb, self.random))

    def something(self) -> None:
        """One operation by chance, with arguments by chance."""
        verb = self.random.choice(self.verbs)
        before = len(self.pages())
        self.do(verb, **arguments(verb, self.random))
        if len(self.pages()) > before:
            self.seen["published"] += 1
            self._growers.append(verb)

    def stir(self, times: int) -> None:
        """Some operations by chance."""
        for _ in range(times if self.verbs else 0):
            self.something()

    def shrink(self, times: int) -> None:
        """Operations by chance, rather those that have never made the driver larger."""
        others = [verb for verb in self.verbs if verb not in self._growers] or self.verbs
        for _ in range(times if self.verbs else 0):
            if self.random.random() < 0.9:
                verb = self.random.choice(others)
                self.do(verb, **arguments(verb, self.random))
            else:
                self.something()

    def grow(self, enough: int = ENOUGH, calls: int = 300) -> None:
        """Operations by chance, rather those that made the driver larger before, until it owns
        *enough* pages."""
        for _ in range(calls if self.verbs else 0):
            if len(self.pages()) >= enough:
                break
            if self._growers and self.random.random() < 0.75:
                verb = self.random.choice(self._growers)
                self.do(verb, **arguments(verb, self.random))
            else:
                self.something()

    def work(self) -> None:
        """Let the driver's worker, and its work queues, do what was left for them."""
        if self.worker:
            self.do_by_name(self.worker)
        for queue in parts(self.driver, WorkQueue):
            queue.flush()

    # What the VM does.

    def compact(self) -> None:
        """Compact everything; the driver's users must not notice, and nothing be left behind."""
        with self.kept():
            self.memory.compact_memory()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Hold the driver to this: whatever the VM does, users read the same, also once free
        frames have been written to by others."""
        with self._compared("I12", "after migration"):
            yield
        with self._compared("I13", "once the old page's frame was used by others"):
            self._scribble()

    @contextmanager
    def _compared(self, rule: str, when: str) -> Iterator[None]:
        try:
            with self.machine.contents_kept():
                yield
        except AuditFailed as error:
            detail = f"{error.problem}, {when}"
            raise ContractViolation(rule, repr(self.mapping), "contents", detail) from error
        self.seen["read_back"] += reader(self.driver) is not None

    def _scribble(self) -> None:
        junk = bytes([0x6B]) * self.memory.page_size
        for pfn in np.flatnonzero(self.memory.mem_map["refcount"][:FRAMES] == 0).tolist():
            self.memory.content[pfn] = POISON
            self.memory.write(pfn, 0, junk)

    # What must hold at rest.

    def audit(self) -> None:
        """Recount everything, each part under its own name."""
        self.work()
        self.conservation.check("at rest")
        try:
            self.memory.validate()
        except AuditFailed as error:
            raise ContractViolation("I24", repr(self.mapping), "at rest", str(error)) from error
        self.seen["recounted"] += 1
        self.contract.check_at_rest()
        try:
            self.seen["held"] += hold_invariants(self.driver)
        except AuditFailed as error:
            raise Broken("invariants", str(error)) from error

    def audit_empty(self) -> None:
        """After teardown: the driver has no page left, published or not."""
        left = self.pages()
        if left:
            detail = f"{len(left)} pages are still published when it has returned"
            raise ContractViolation("D23", repr(left[0]), f"{self.name}.{self.teardown}", detail)
        leaked = self._frames_in_use() - self.in_use
        if leaked > 0:
            detail = f"{leaked} frames are still in use when it has returned"
            call = f"{self.name}.{self.teardown}"
            raise ContractViolation("D23", repr(self.mapping), call, detail)
