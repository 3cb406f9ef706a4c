"""`check`: plays every scene with a driver, and says of each promise what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from movable.conformance import static
from movable.conformance.bench import Bench, Broken
from movable.conformance.culprit import Culprit
from movable.conformance.declared import Declared
from movable.conformance.promises import CONDUCT, PROMISES, STAGES, STATIC
from movable.conformance.scenes import SCENES
from movable.conformance.watchdog import Watchdog, guarded
from movable.errors import ContractViolation, Deadlock, Livelock, Misconduct
from movable.rules import RULES

if TYPE_CHECKING:
    from movable.conformance.races import Races

PASSED, FAILED, EXPECTED = "passed", "failed", "expected_failure"
NOT_EXERCISED, NOT_APPLICABLE = "not_exercised", "not_applicable"
CONFORMS, VIOLATES, INCOMPLETE = "conforms", "violates", "incomplete"
MOST_ENDLESS = 2
"""After so many scenes from which the driver never came back, the others are left out."""
HINTS = {
    "isolated": "no page was isolated: which operation makes the driver publish one?",
    "torn_down": "name the operation that ends the device: teardown = '...'",
}
"""What an author can do about a stage that was not reached, if not declare it impossible."""


@dataclass(frozen=True)
class Check:
    """A row of the table."""

    id: str
    status: str
    detail: str

    @property
    def about(self) -> str:
        """What was checked, in one sentence."""
        said = STATIC | STAGES | CONDUCT
        return said.get(self.id) or RULES[self.id].rule


@dataclass(frozen=True)
class Report:
    """What became of each check of one driver; the same for the same seed, but for `seconds`."""

    driver: str
    checks: tuple[Check, ...]
    seed: int
    seconds: float

    @property
    def verdict(self) -> str:
        """`violates` if anything failed, `incomplete` if a stage was neither seen nor declared
        impossible, `conforms` otherwise."""
        if any(check.status == FAILED for check in self.checks):
            return VIOLATES
        return INCOMPLETE if self.missed else CONFORMS

    @property
    def missed(self) -> list[Check]:
        """The stages that were neither seen nor declared impossible."""
        return [row for row in self.checks if row.id in STAGES and row.status == NOT_EXERCISED]

    @property
    def playable(self) -> bool:
        """Nothing is wrong with how the driver is written, so it can be made and played with."""
        return not any(row.status == FAILED and row.id in STATIC for row in self.checks)

    def with_races(self, races: Races) -> Report:
        """The same, with the rules that schedules broke."""
        rows = {check.id: check for check in self.checks}
        for violation in races.violations:
            rule = violation.tape.invariant
            said = f"in a race ({violation.tape.plan}): {violation.tape.message}"
            reason = races.search.declared.expected_failures.get(rule)
            if rule not in rows or rows[rule].status != FAILED:
                given = (EXPECTED, f"{reason}: {said}") if reason else (FAILED, said)
                rows[rule] = Check(rule, *given)
        return replace(self, checks=tuple(rows.values()))

    def __getitem__(self, id: str) -> Check:  # noqa: A002
        """The check called *id*; a rule that is not in the report was not broken."""
        found = (check for check in self.checks if check.id == id)
        return next(found, Check(id, NOT_EXERCISED, "nothing came of it"))

    def document(self) -> dict[str, Any]:
        """As `movable check --json` has it."""
        return {
            "driver": self.driver,
            "verdict": self.verdict,
            "checks": [vars(check) for check in self.checks],
            "seed": self.seed,
            "seconds": round(self.seconds, 3),
        }


def check(
    driver: type[Any],
    name: str | None = None,
    *,
    declared: Declared | None = None,
    seed: int = 0,
    scenes: Iterable[str] = tuple(SCENES),
) -> Report:
    """Check *driver*, calling it *name* in messages; *declared* is its class `Conformance`, unless
    given, and *scenes* are all unless given.

    :raises BadInput: what is declared names checks or operations that do not exist.
    """
    began = perf_counter()
    name = name or driver.__name__.lower()
    seen: Counter[str] = Counter()
    failed = dict(static.problems(driver))
    if not failed:
        declared = declared or Declared.of(driver)
        with Watchdog(driver) as watchdog:
            given = (name, driver, declared, seed, seen)
            for scene in scenes:
                if watchdog.left < MOST_ENDLESS:
                    _play(scene, Bench, given, failed)
        _progress(name, seen, declared, failed)
    rows = _rows(seen, failed, declared or Declared())
    return Report(name, tuple(rows), seed, perf_counter() - began)


def _play(scene: str, make: type[Bench], given: Any, failed: dict[str, str]) -> None:
    """Play *scene* on a fresh bench; what breaks is written to *failed* unless it broke before."""
    benches: list[Bench] = []

    def play() -> None:
        benches.append(make(*given))
        try:
            SCENES[scene](benches[0])
        finally:  # what was written to explains whatever else went wrong
            benches[0].same_as_given()

    where = f"in the scene {scene!r}: "
    try:
        guarded(play)
    except ContractViolation as broken:
        failed.setdefault(broken.rule, f"{where}{broken}")
    except Broken as broken:
        failed.setdefault(broken.check, f"{where}{broken.detail}")
    except Deadlock as stuck:
        failed.setdefault("I19", f"{where}{stuck} [I19; see: movable explain I19]")
    except Livelock as endless:
        failed.setdefault("I17", f"{where}{endless} [I17; see: movable explain I17]")
    except Misconduct as error:
        failed.setdefault(error.check, f"{where}{error}")
    except Exception as error:  # noqa: BLE001  a driver may raise anything
        failed.setdefault("operations", f"{where}{Culprit(given[1]).said(error)}")
    finally:
        for bench in benches:
            bench.close()


def _progress(name: str, seen: Counter[str], declared: Declared, failed: dict[str, str]) -> None:
    """Nobody else was at work, so some page must have moved."""
    if failed or seen["migrated"] or "migrated" in declared.impossible:
        return
    if seen["asked_to_migrate"]:
        detail = (
            f"was asked {seen['asked_to_migrate']} times with nobody else at work, and no page has"
            " ever moved: does it try to lock what the VM has locked (D11)?"
        )
        failed["I17"] = str(ContractViolation("I17", name, "migratepage", detail))


def _rows(seen: Counter[str], failed: dict[str, str], declared: Declared) -> Iterator[Check]:
    stage = "freed_while_isolated"
    # What a worker frees once it is back may have been asked for at any time: a device that makes
    # itself smaller does that with any page, and gives up none that the VM has.
    seen[stage] = seen["released"] + (0 if stage in declared.impossible else seen["deferred"])
    for name in STATIC:
        occasions = seen["held"] if name == "invariants" else 1
        yield _row(name, occasions, failed, declared)
    for stage in STAGES:
        yield _stage(stage, seen[stage], declared)
    told = {*STATIC, *STAGES}
    for promise in PROMISES:
        told.add(promise.rule)
        reason = declared.impossible.get(promise.stage or "")
        if reason and promise.rule not in failed:
            yield Check(promise.rule, NOT_APPLICABLE, f"{promise.stage} is impossible: {reason}")
        else:
            yield _row(promise.rule, seen[promise.occasion], failed, declared)
    for other in sorted({*failed, *declared.expected_failures} - told):
        yield _row(other, 0, failed, declared)


def _stage(stage: str, times: int, declared: Declared) -> Check:
    reason = declared.impossible.get(stage)
    if reason and times:
        return Check(stage, FAILED, f"declared impossible ({reason}), and seen {times} times")
    if reason:
        return Check(stage, NOT_APPLICABLE, reason)
    if times:
        return Check(stage, PASSED, _times(times))
    hint = HINTS.get(stage, "never seen")
    return Check(stage, NOT_EXERCISED, f"{hint}; or declare it impossible")


def _row(id: str, occasions: int, failed: dict[str, str], declared: Declared) -> Check:  # noqa: A002
    reason = declared.expected_failures.get(id)
    if id in failed:
        return (
            Check(id, EXPECTED, f"{reason}: {failed[id]}")
            if reason
            else Check(id, FAILED, failed[id])
        )
    if reason:
        return Check(id, FAILED, f"expected to fail ({reason}), and does not: say so no longer")
    if occasions:
        return Check(id, PASSED, _times(occasions))
    return Check(id, NOT_EXERCISED, "there was no occasion")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
