"""One variant under one seed: a machine, its phases, and a recount at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movable.errors import AuditFailed
from movable.experiment import curves, durations, measures, model
from movable.experiment.bench import Plan
from movable.experiment.blame import naming
from movable.experiment.memories import Origin
from movable.experiment.phases import Stage
from movable.experiment.record import Run
from movable.experiment.steps import Step, written
from movable.experiment.texts import Texts

if TYPE_CHECKING:
    from movable.machine import Machine
    from movable.snapshot import Snapshot

ACTS = (model.Compact, model.Allocate, model.CmaAlloc, model.AllocContig, model.Together)
"""Phases in which the VM works; "before" is the moment when the first of them begins."""

DEFAULT_MEASURES = ("huge_pages", "pages_migrated", "pages_refused")

Observe = Callable[["Machine", "Job"], object]
Say = Callable[[str, float], object]


def silent(*_: object) -> None:
    """Nobody watches and nobody waits."""


@dataclass(frozen=True)
class Job:
    """One variant under one seed."""

    experiment: str
    variant: str
    replica: int
    seed: int
    plan: Plan
    origin: Origin
    moments: bool = False
    """Keep a snapshot of every phase's end."""
    proc: Path | None = None
    """Where the kernel's own files about this run go."""

    def __repr__(self) -> str:
        return f"<Job {self}>"

    def __str__(self) -> str:
        words = [self.experiment, self.variant, f"seed {self.replica}" if self.replica else ""]
        return " ".join(word for word in words if word)

    def run(self, observe: Observe = silent, say: Say = silent) -> Run:
        """Make the machine, go through the phases, recount."""
        began = time.perf_counter()
        say(f"{self}: machine", 0)
        with self.plan.machine(self.origin.memory(), self.seed) as machine:
            start = machine.snapshot()
            wanted = self.plan.experiment.measure or DEFAULT_MEASURES
            known = measures.measures(start, machine.drivers)
            known |= curves.measures(self.plan.experiment.phases)
            known |= durations.measures(self.plan.experiment.phases, machine.drivers)
            measures.check(wanted, known, self.plan.place)
            observe(machine, self)
            history = _History(start, self.moments, Texts(self.proc, machine.memory))
            outcome, audit = self._observed(machine, history, say)
            if audit is None:
                history.texts.write()
        values = {name: known[name].of(outcome) for name in wanted}
        seconds = time.perf_counter() - began
        return Run(self.variant, self.replica, self.seed, outcome, values, audit, seconds)

    def _observed(
        self, machine: Machine, history: _History, say: Say
    ) -> tuple[measures.Outcome, dict[str, str] | None]:
        audit = None
        try:
            self._phases(Stage(machine, self.seed, self.plan), history, say)
            with naming(f"{self.plan.place}: the audit", machine):
                machine.audit()
        except AuditFailed as failure:
            audit = {"owner": failure.owner, "problem": failure.problem, "after": history.done}
        return history.outcome(machine.snapshot()), audit

    def _phases(self, stage: Stage, history: _History, say: Say) -> None:
        steps = self.plan.steps()
        for number, step in enumerate(steps):
            phase, place = step.phase, f"{self.plan.place}: {written(step.where)} ({step.phase.do})"
            say(f"{self}: {phase.do}", number / len(steps))
            if isinstance(phase, ACTS):
                history.acts(stage.machine)
            with naming(place, stage.machine):
                done = stage.perform(step)
            history.phases.append({"do": phase.do, **_named(step), **done})
            history.moment(stage.machine)


def _named(step: Step) -> dict[str, Any]:
    """What tells a step from others that do the same."""
    name = getattr(step.phase, "name", None)
    again = {} if step.round is None else {"round": step.round}
    return again | ({"name": name} if name else {})


@dataclass
class _History:
    """What is kept of a run while it goes on."""

    start: Snapshot
    keep: bool
    texts: Texts
    before: Snapshot | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)
    moments: list[Snapshot] = field(default_factory=list)

    def moment(self, machine: Machine) -> None:
        """A phase has ended."""
        if self.keep:
            self.moments.append(machine.snapshot())

    def acts(self, machine: Machine) -> None:
        """The VM is about to do something: the first time, this is the moment "before"."""
        if self.before is None:
            self.before = machine.snapshot()
            self.texts.keep()

    @property
    def done(self) -> str:
        """The last phase that was done."""
        return str(self.phases[-1]["do"]) if self.phases else "nothing"

    def outcome(self, after: Snapshot) -> measures.Outcome:
        return measures.Outcome(
            self.start, self.before or self.start, after, self.phases, self.moments
        )
