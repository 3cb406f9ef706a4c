"""`Tape`: a schedule that goes wrong, as a small file that makes it go wrong again.

It holds what was done and each turn that was not first come, first served, with the point at which
it was taken. So a tape outlives changes of code that leave those points alone, and where it no
longer fits, it can say at which step and what it expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from movable.conformance.declared import Declared
from movable.conformance.hunt import Found, Search, rule_of
from movable.conformance.plan import Plan
from movable.conformance.stage import Stage
from movable.errors import BadInput, ContractViolation, TapeDiverged
from movable.observers.biography import Biography, tell
from movable.sched.exploration import Deviation, Exploration
from movable.sched.runner import Runner
from movable.sched.told import Follow

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
    """SHA-256 of every point that was passed, and by whom."""

    @classmethod
    def record(cls, search: Search, found: Found) -> Tape:
        """Play what was found three times, and keep it.

        :raises BadInput: it does not go the same way each time.
        """
        name, kind = search.name, search.kind
        told = Told(found.plan, found.deviations, found.lock_rules)
        plays = {play(name, kind, search.declared, told) for _ in range(TIMES)}
        if len(plays) > 1:
            problem = f"breaks {found.rule} in one of several plays of the same schedule"
            remedy = "let it use neither time nor unseeded chance, nor what survives between runs"
            raise BadInput(name, problem, remedy)
        [(invariant, message, events)] = plays
        return cls(
            driver=name,
            versions=versions(kind),
            seed=search.seed,
            invariant=invariant,
            message=message,
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

    def replay(self, kind: type[Any]) -> tuple[str, str]:
        """Play it with the driver as it is now: rule and message, empty if nothing goes wrong.

        :raises TapeDiverged: it no longer fits.
        """
        declared = Declared.of(kind)
        told = Told(self.plan, self.deviations, self.lock_rules)
        rule, message, _ = play(self.driver, kind, declared, told)
        return rule, message

    def story(self, kind: type[Any]) -> str:
        """What happens, step by step: of the page that it is about, if it is about one."""
        stage = Stage(self.driver, kind, Declared.of(kind), self.plan)
        biography = Biography()
        stage.mapping.attach(biography)
        try:
            error = stage.run(Follow(self.deviations), self.lock_rules)
        finally:
            stage.mapping.detach(biography)
            stage.close()
        about = error if isinstance(error, ContractViolation) else None
        story = tell(biography, about)
        return story if about else f"{story}\n{error}"


class Logged(Follow):
    """Follows deviations, and notes every point that is passed."""

    def begin(self, run: Exploration) -> None:
        """Ask at each point."""
        super().begin(run)
        self.log = sha256()
        run.ask_at = 0

    def at_point(self, run: Exploration, task: Runner) -> Runner | None:
        """As told."""
        self.log.update(f"{task.name}\t{task.at}\n".encode())
        to = super().at_point(run, task)
        run.ask_at = 0
        return to

    def pick(self, run: Exploration, runnable: Sequence[Runner]) -> Runner:
        """As told."""
        self.log.update("{}\t{}\n".format(*run.left).encode())
        to = super().pick(run, runnable)
        run.ask_at = 0
        return to


def play(name: str, kind: type[Any], declared: Declared, told: Told) -> tuple[str, str, str]:
    """Rule and message of what goes wrong, empty if nothing does, and a hash of the events.

    :raises TapeDiverged: the plan's tasks take other turns than *deviations* say.
    """
    stage = Stage(name, kind, declared, told.plan)
    try:
        follow = Logged(told.deviations)
        error = stage.run(follow, told.lock_rules)
    finally:
        stage.close()
    if isinstance(error, TapeDiverged):
        raise error
    if error is None:
        follow.at_end()
        return "", "", follow.log.hexdigest()
    return rule_of(error), str(error), follow.log.hexdigest()


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
