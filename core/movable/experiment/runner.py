"""Runs an experiment: every variant under every seed, each ending with a recount of everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from movable.errors import AuditFailed
from movable.experiment import measures, model, source
from movable.experiment.bench import Plan, plan
from movable.experiment.blame import naming
from movable.experiment.memories import Origin, sha256
from movable.experiment.phases import Stage
from movable.experiment.record import Result, Run, provenance
from movable.experiment.seeds import derived

if TYPE_CHECKING:
    from movable.machine import Machine
    from movable.snapshot import Snapshot

ACTS = (model.Compact, model.Allocate)
"""Phases in which the VM works; "before" is the moment when the first of them begins."""

DEFAULT_MEASURES = ("huge_pages", "pages_migrated", "pages_refused")

Observe = Callable[["Machine", "Job"], object]
Say = Callable[[str, float], object]


def _silent(*_: object) -> None:
    """Nobody watches and nobody waits."""


def run(
    experiment: str | Path | Mapping[str, Any] | source.Source,
    *,
    drivers: Mapping[str, type] | None = None,
    seed: int | None = None,
    observe: Observe = _silent,
    say: Say = _silent,
) -> Result:
    """Run *experiment*: a shipped one's name, a file, or a table of the same shape.

    :param drivers: classes that need not be installed, by the name of an instance or of a type.
    :param seed: instead of the experiment's own.
    :param observe: called with every machine, and what it is for, before its first phase.
    :param say: told what is being done, and how much of everything is done already.
    :raises BadInput: it cannot be run as it stands.
    :raises ContractViolation: a driver broke a promise; notes say where, and how memory is.
    """
    found = _source(experiment)
    base = found.model.seed if seed is None else seed
    plans = {name: plan(found.place, e, drivers or {}) for name, e in found.variants().items()}
    origins = {name: Origin.of(one.place, one.experiment.machine) for name, one in plans.items()}
    jobs = [
        Job(found.name, name, replica, _seed(found, base, replica), one, origins[name])
        for replica in range(found.model.seeds)
        for name, one in plans.items()
    ]
    runs = [
        job.run(observe, lambda step, part, n=n: say(step, (n + part) / len(jobs)))  # type: ignore[misc]
        for n, job in enumerate(jobs)
    ]
    return Result(found, provenance(plans, base, _recordings(origins.values())), runs)


def _source(experiment: str | Path | Mapping[str, Any] | source.Source) -> source.Source:
    if isinstance(experiment, source.Source):
        return experiment
    if isinstance(experiment, Mapping):
        return source.from_table(experiment, "experiment", "experiment")
    return source.find(str(experiment))


def _recordings(origins: Iterable[Origin]) -> list[dict[str, str]]:
    """What was started from, each recording once."""
    paths = dict.fromkeys(origin.path for origin in origins if origin.path)
    return [{"name": path.stem, "sha256": sha256(path)} for path in paths]


def _seed(found: source.Source, base: int, replica: int) -> int:
    """The seed of one replica. All variants share it, so that they differ by their differences.

    Another variant, measure or replica changes no seed; another machine or phase does.
    """
    table = found.model.model_dump(mode="json", exclude_unset=True)
    ignored = ("title", "seed", "seeds", "variants", "measure")
    return derived(base, replica, {key: table[key] for key in table if key not in ignored})


@dataclass(frozen=True)
class Job:
    """One variant under one seed."""

    experiment: str
    variant: str
    replica: int
    seed: int
    plan: Plan
    origin: Origin

    def __str__(self) -> str:
        words = [self.experiment, self.variant, f"seed {self.replica}" if self.replica else ""]
        return " ".join(word for word in words if word)

    def run(self, observe: Observe = _silent, say: Say = _silent) -> Run:
        """Make the machine, go through the phases, recount."""
        began = time.perf_counter()
        say(f"{self}: machine", 0)
        with self.plan.machine(self.origin.memory(), self.seed) as machine:
            start = machine.snapshot()
            wanted = self.plan.experiment.measure or DEFAULT_MEASURES
            known = measures.measures(start, machine.drivers)
            measures.check(wanted, known, self.plan.place)
            observe(machine, self)
            outcome, audit = self._observed(machine, _History(start), say)
        values = {name: known[name].of(outcome) for name in wanted}
        seconds = time.perf_counter() - began
        return Run(self.variant, self.replica, self.seed, outcome, values, audit, seconds)

    def _observed(
        self, machine: Machine, history: _History, say: Say
    ) -> tuple[measures.Outcome, dict[str, str] | None]:
        audit = None
        try:
            self._phases(Stage(machine, self.seed), history, say)
            with naming(f"{self.plan.place}: the audit", machine):
                machine.audit()
        except AuditFailed as failure:
            audit = {"owner": failure.owner, "problem": failure.problem, "after": history.done}
        return history.outcome(machine.snapshot()), audit

    def _phases(self, stage: Stage, history: _History, say: Say) -> None:
        phases = self.plan.experiment.phases
        for index, phase in enumerate(phases):
            say(f"{self}: {phase.do}", index / len(phases))
            if isinstance(phase, ACTS):
                history.acts(stage.machine)
            with naming(f"{self.plan.place}: phases[{index}] ({phase.do})", stage.machine):
                done = stage.perform(index, phase, self.plan.arguments.get(index, {}))
            history.phases.append({"do": phase.do, **done})


@dataclass
class _History:
    """What is kept of a run while it goes on."""

    start: Snapshot
    before: Snapshot | None = None
    phases: list[dict[str, Any]] = field(default_factory=list)

    def acts(self, machine: Machine) -> None:
        """The VM is about to do something: the first time, this is the moment "before"."""
        self.before = self.before or machine.snapshot()

    @property
    def done(self) -> str:
        """The last phase that was done."""
        return str(self.phases[-1]["do"]) if self.phases else "nothing"

    def outcome(self, after: Snapshot) -> measures.Outcome:
        return measures.Outcome(self.start, self.before or self.start, after, self.phases)
