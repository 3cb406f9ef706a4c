"""`Tape`: a schedule that goes wrong, as a small file that makes it go wrong again.

It holds what was done and each turn that was not first come, first served, with the point at which
it was taken. So a tape outlives changes of code that leave those points alone, and where it no
longer fits, it can say at which step and what it expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from movable.conformance.culprit import Culprit
from movable.conformance.declared import Declared
from movable.conformance.hunt import Found, Search, not_the_same, rule_of
from movable.conformance.plan import Plan
from movable.conformance.stage import Stage
from movable.conformance.watchdog import Watchdog
from movable.errors import BadInput, ContractViolation, TapeDiverged
from movable.observers.biography import Biography, tell
from movable.operation import operations
from movable.sched.exploration import Deviation
from movable.sched.told import Follow, Logged

TIMES = 3
"""How often a tape is played before it is kept."""


class Told(NamedTuple):
    """A schedule of a plan."""

    plan: Plan
    deviations: Sequence[Deviation]
    lock_rules: bool
    """The rules about locks are watched."""


class Tape(BaseModel):
    """One failing schedule."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    driver: str
    versions: dict[str, str]
    """Of the packages that it was recorded with."""
    seed: int
    """Of the hunt that found it."""
    invariant: str
    message: str
    plan: Plan
    deviations: tuple[Deviation, ...]
    lock_rules: bool
    """The rules about locks are watched."""
    events: str
    """SHA-256 of every point that was passed, and by whom; empty if it was not played again."""

    @classmethod
    def record(cls, search: Search, found: Found) -> Tape:
        """Play what was found three times, and keep it.

        :raises Misconduct: it does not go the same way each time.
        """
        told = Told(found.plan, found.deviations, found.lock_rules)
        try:
            plays = {play(search.name, search.kind, search.declared, told) for _ in range(TIMES)}
        except TapeDiverged:
            plays = set()
        if len(plays) != 1:
            problem = f"{found.rule} is broken in one of several plays of the same schedule"
            raise not_the_same(search.name, Culprit(search.kind).suspects(), problem)
        [(rule, message, events)] = plays
        return cls.kept(search, replace(found, rule=rule, message=message), events)

    @classmethod
    def kept(cls, search: Search, found: Found, events: str = "") -> Tape:
        """What was found, as it stands."""
        return cls(
            driver=search.name,
            versions=versions(search.kind),
            seed=search.seed,
            invariant=found.rule,
            message=found.message,
            plan=found.plan,
            deviations=found.deviations,
            lock_rules=found.lock_rules,
            events=events,
        )

    @classmethod
    def read(cls, path: Path) -> Tape:
        """The tape in a file.

        :raises BadInput: it is not there, or no tape.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BadInput(str(path), error.strerror or "cannot be read") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "it"
            remedy = "record it anew with `movable check`"
            raise BadInput(str(path), f"is no tape: {place}: {first['msg']}", remedy) from error

    def write(self, path: Path) -> None:
        """Keep it in a file."""
        path.write_text(self.model_dump_json(indent=1) + "\n")

    def changes(self, kind: type[Any]) -> Iterator[str]:
        """Which versions are others than those that it was recorded with, a sentence each."""
        for package, now in versions(kind).items():
            then = self.versions.get(package)
            if then and then != now:
                yield f"recorded with {package} {then}; this is {now}"

    def replay(self, kind: type[Any], declared: Declared | None = None) -> tuple[str, str]:
        """Play it with the driver as it is now: rule and message, empty if nothing goes wrong.

        :param declared: what is said of the driver elsewhere than in its class `Conformance`.
        :raises TapeDiverged: it no longer fits.
        :raises BadInput: the driver has no such operations or settings any more.
        """
        self._known_to(kind)
        declared = declared or Declared.of(kind)
        told = Told(self.plan, self.deviations, self.lock_rules)
        rule, message, _ = play(self.driver, kind, declared, told)
        return rule, message

    def _known_to(self, kind: type[Any]) -> None:
        verbs, model = operations(kind), getattr(kind, "Config", None)
        parts = [step for part in self.plan.tasks for step in part.steps]
        for step in (*self.plan.prepare, *parts):
            if step.verb and step.verb not in verbs:
                problem = f"has no operation {step.verb!r}, which the tape tells of"
                raise BadInput(self.driver, problem, "record it anew with `movable check`")
            if step.verb:
                verbs[step.verb].validate(**step.arguments)
        try:
            if model:
                model.model_validate(self.plan.config)
        except ValidationError as error:
            problem = f"has other settings than the tape tells of: {error.errors()[0]['msg']}"
            raise BadInput(self.driver, problem) from error

    def story(self, kind: type[Any], declared: Declared | None = None) -> str:
        """What happens, step by step: of the page that it is about, if it is about one."""
        if not self.events:  # it was not played again, and would tell nothing more
            return self.message
        stage = Stage(self.driver, kind, declared or Declared.of(kind), self.plan)
        biography = Biography()
        stage.mapping.attach(biography)
        try:
            with Watchdog(kind):
                error = stage.run(Follow(self.deviations), self.lock_rules)
        finally:
            stage.mapping.detach(biography)
            stage.close()
        about = error if isinstance(error, ContractViolation) else None
        story = tell(biography, about)
        return story if about else f"{story}\n{self.message}"


def play(name: str, kind: type[Any], declared: Declared, told: Told) -> tuple[str, str, str]:
    """Rule and message of what goes wrong, empty if nothing does, and a hash of the events.

    :raises TapeDiverged: the plan's tasks take other turns than *deviations* say.
    """
    follow = Logged(told.deviations)
    with Watchdog(kind):
        try:
            stage = Stage(name, kind, declared, told.plan)
        except BadInput:
            raise
        except Exception as unprepared:  # noqa: BLE001  a driver may raise anything
            return rule_of(unprepared), Culprit(kind).said(unprepared), ""
        try:
            error = stage.run(follow, told.lock_rules)
        finally:
            stage.close()
    if isinstance(error, TapeDiverged):
        raise error
    if error is None:
        follow.at_end()
        return "", "", follow.events
    return rule_of(error), stage.culprit.said(error), follow.events


def versions(kind: type[Any]) -> dict[str, str]:
    """Of this package and of the driver's, as far as they are installed."""
    package = kind.__module__.partition(".")[0]
    names = ["movable", *packages_distributions().get(package, ())]
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
