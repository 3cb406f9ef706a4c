"""`Stage`: a small memory with one driver, on which one plan is played again and again.

Each schedule finds memory and driver as they were when the plan's preparations were done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from movable.conformance.checkpoint import Checkpoint
from movable.conformance.culprit import Culprit
from movable.conformance.declared import Declared
from movable.conformance.held import Held
from movable.conformance.plan import ASYNC, COMPACT, PUT_BACK, RECLAIM, Part, Plan, Step
from movable.conformance.prepared import Prepared
from movable.conformance.watchdog import judged
from movable.hookspecs import MigrateMode
from movable.mm.reclaim import Reclaim
from movable.observers.lock_rules import LockRules
from movable.operation import swap_device
from movable.oracles.oracles import Audits, Oracles
from movable.sched.exploration import Exploration, Strategy
from movable.sched.lock_points import LockPoints

ORDINARY = 24
"""Ordinary pages, where there is somebody to reclaim them."""
MOST_STEPS = 5_000
AUDITS: Audits = "at the end"


class Stage(Prepared):
    """The scene of one plan; there is one at a time, since whoever watches sees every point.

    :raises BadInput: the driver keeps something that cannot be put back between schedules.
    """

    def __init__(self, name: str, kind: type[Any], declared: Declared, plan: Plan) -> None:
        super().__init__(name, kind, plan.config)
        self.declared, self.plan, self.culprit = declared, plan, Culprit(kind)
        self.oracles = Oracles(self.memory, [self.driver], audits=AUDITS)
        self.exploration = Exploration(MOST_STEPS)
        self.error: Exception | None = None
        """What went wrong in the last schedule."""
        for step in plan.prepare:
            self.call(step)
        self.oracles.attach()
        if plan.reclaims:
            self._let_reclaim()
        self._points = LockPoints()
        self._points.start()
        worker = declared.worker_of(kind)
        self._flush = getattr(self.driver, worker) if worker else None
        self._work = [(part.name, self._task(part)) for part in plan.tasks]
        machine = [("memory", self.memory), ("machine", self.machine), ("lent", self.pressed)]
        outside = (self.memory.trace, self.memory.pages, self.oracles, self.oracles.contract)
        self.checkpoint = Checkpoint([("driver", self.driver), *machine], outside)

    def __repr__(self) -> str:
        return f"<Stage {self.name} [{self.plan}]>"

    def close(self) -> None:
        """Watch no more."""
        self._points.stop()
        self.oracles.detach()
        super().close()

    def _let_reclaim(self) -> None:
        """Have ordinary pages, and somebody who frees them, or swaps them to this driver.

        Either page cache or anonymous pages: the latter's turn would come too late beside others.
        """
        memory, device = self.memory, swap_device(self.driver)
        memory.fill("anon" if device else "file", ORDINARY)
        memory.lru_add_drain_all()
        memory.vmscan = Reclaim(memory)
        if device:
            memory.vmscan.swapon(device)

    # What tasks do.

    def _task(self, part: Part) -> Callable[[], None]:
        steps = [self._step(step) for step in part.steps]

        def work() -> None:
            for step in steps:
                step()

        return work

    def _step(self, step: Step) -> Callable[[], None]:
        if step.do == COMPACT:
            return self.memory.compact_memory
        if step.do == ASYNC:
            return self._compact_async
        if step.do == PUT_BACK:
            return self._put_back
        if step.do == RECLAIM:
            return self._reclaim
        return self.bound(step)

    def _compact_async(self) -> None:
        with Held(self, self.pages(), MigrateMode.ASYNC) as held:
            held.migrate()

    def _put_back(self) -> None:
        with Held(self, self.pages()):
            pass

    def _reclaim(self) -> None:
        memory = self.memory
        highest = int(memory.zone["zone_idx"].max())
        with memory.vmscan.no_reclaim():
            memory.vmscan.try_to_free_pages(0, highest)

    # Schedules.

    def run(self, strategy: Strategy, lock_rules: bool = False) -> Exception | None:
        """Play the plan once; what went wrong.

        :param lock_rules: watch in which order locks are taken, and which are held in allocations,
            too; it takes as long again.
        """
        self.checkpoint.restore()
        self.oracles.reset()
        with self._watched(lock_rules):
            self.error = self._play(strategy)
        return self.error

    def state(self) -> str:
        """A digest of the memory as it is."""
        return sha256(self.memory.mem_map.tobytes()).hexdigest()

    @contextmanager
    def _watched(self, lock_rules: bool) -> Iterator[None]:
        if not lock_rules:
            yield
            return
        rules = LockRules()
        self.mapping.attach(rules)
        try:
            yield
        finally:
            self.mapping.detach(rules)

    def _play(self, strategy: Strategy) -> Exception | None:
        try:
            self.exploration.run(self._work, strategy)
            self._at_end()
        except BaseException as error:  # noqa: BLE001  a driver may raise anything
            fault = self.memory.fault
            return fault or judged(error)
        return None

    def _at_end(self) -> None:
        if self._flush:
            self._flush()
        self.oracles.at_end(self.exploration.tasks)
