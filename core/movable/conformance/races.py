"""`race`: hunts in a driver's collisions, and says what was covered and what was not.

The counterpart of `check`, which plays its scenes with one task at work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from movable.conformance.hunt import Found, Hunt, Search, hunt
from movable.conformance.shrink import Shrinker
from movable.conformance.tape import Tape
from movable.errors import Misconduct
from movable.lifecycle import EVENTS_OF_THE_VM, TABLE, Event, State
from movable.observers import automaton

PLANS_OF_A_JOB = 8
Say = Callable[[str, float], object]


@dataclass(frozen=True)
class Violation:
    """A rule that a schedule breaks, made as small as could be."""

    tape: Tape
    story: str
    strategy: str
    """That found it."""
    schedule: int
    """How many schedules had been played by then."""
    times: int
    """In how many schedules it was broken."""
    shrunk_from: int
    """Deviations from first come, first served, when it was found."""

    @classmethod
    def of(cls, search: Search, found: Found, times: int) -> Violation:
        """Make small what was *found*, in *times* schedules, and tell it."""
        tape = _tape(search, found)
        where = (found.strategy, found.schedule, times, len(found.deviations))
        return cls(tape, tape.story(search.kind, search.declared), *where)

    def document(self) -> dict[str, Any]:
        """As `movable check --json` has it."""
        return {
            "invariant": self.tape.invariant,
            "message": self.tape.message,
            "strategy": self.strategy,
            "schedule": self.schedule,
            "times": self.times,
            "shrunk_from": self.shrunk_from,
            "shrunk_to": len(self.tape.deviations),
            "tape": self.tape.model_dump(mode="json"),
            "story": self.story.splitlines(),
        }


@dataclass(frozen=True)
class Races:
    """What came of all schedules; the same for the same seed, driver and versions."""

    search: Search
    played: Hunt
    violations: tuple[Violation, ...]

    @property
    def states(self) -> list[int]:
        """Rows of the state table that were taken, and all."""
        return [len(rows()) - len(self.missed), len(rows())]

    @property
    def missed(self) -> list[tuple[State, Event]]:
        """Rows of the state table that no schedule took."""
        seen = {(automaton.STATES[s], automaton.EVENTS[e]) for s, e in self.played.rows}
        return [row for row in rows() if row not in seen]

    @property
    def complete_for_delays(self) -> int | None:
        """Every order with so many delays was played of every plan; None if that was not tried."""
        complete = min(self.played.delays, default=-1)
        return complete if self.tried_delays and complete >= 0 else None

    @property
    def tried_delays(self) -> bool:
        """Delays are part of the strategy."""
        return self.search.strategy in ("mix", "delays", "fifo")

    def document(self) -> dict[str, Any]:
        """What races add to the document of `movable check --json`."""
        played = self.played
        return {
            "strategy": self.search.strategy,
            "schedules": played.schedules,
            "steps": {"all": played.steps, "longest": played.longest},
            "distinct": len(played.orders),
            "plans": dict(played.plans),
            "coverage": {
                "states": self.states,
                "states_missed": [f"{s.value}: {e.value}" for s, e in self.missed],
                "point_pairs": [len(played.pairs), len(played.reachable | played.pairs)],
            },
            "complete_for_delays": self.complete_for_delays,
            "plans_exhausted": played.exhausted,
            "violations": [violation.document() for violation in self.violations],
        }

    def __str__(self) -> str:
        """In one line: what was covered, and what was not."""
        played, (taken, rows_) = self.played, self.states
        pairs, reachable = len(played.pairs), len(played.reachable | played.pairs)
        complete = self.complete_for_delays
        delays = "" if complete is None else f", every order with {complete} delays or fewer"
        if self.search.strategy == "dpor":
            delays = f", {played.exhausted} plans in an order of each kind"
        more = "more delays" if complete is not None else "all orders"
        return (
            f"{played.schedules} schedules ({self.search.strategy}, seed {self.search.seed}) of"
            f" {sum(played.plans.values())} plans, {len(played.orders)} distinct, up to"
            f" {played.longest} steps: {taken} of {rows_} rows of the state table, {pairs} of at"
            f" most {reachable} ordered pairs of points{delays}; not covered: {rows_ - taken} rows,"
            f" {reachable - pairs} pairs, {more}"
        )


def rows() -> list[tuple[State, Event]]:
    """The rows of the state table that the VM's steps take."""
    every = ((state, event) for state, row in TABLE.items() for event in row)
    return [(state, event) for state, event in every if event in EVENTS_OF_THE_VM]


def race(
    search: Search, shares: list[tuple[int, int]], jobs: int = 1, say: Say = lambda *_: None
) -> Races:
    """Play *shares*, numbers of plans and how many schedules of each, in *jobs* processes, and make
    small what goes wrong.

    :raises BadInput: there is no such strategy, or the driver cannot be put back between schedules.
    """
    played = Hunt()
    chunks = [shares[n : n + PLANS_OF_A_JOB] for n in range(0, len(shares), PLANS_OF_A_JOB)]
    for number, part in enumerate(_hunts(search, chunks, jobs), 1):
        played.add(part)
        say(f"{played.schedules} schedules", number / (len(chunks) + 1))
    violations: list[Violation] = []
    for found in played.found:
        say(f"making {found.rule} small", len(chunks) / (len(chunks) + 1))
        violation = Violation.of(search, found, played.times[found.rule])
        known = {other.tape.invariant for other in violations}
        if violation.tape.invariant not in known:
            violations.append(violation)
    return Races(search, played, tuple(violations))


def _tape(search: Search, found: Found) -> Tape:
    """The smallest tape of what was found; of what cannot be played again, all there is."""
    if found.final:
        return Tape.kept(search, found)
    try:
        Tape.record(search, found)
        return Tape.record(search, Shrinker(search, found).shrink())
    except Misconduct as error:
        return Tape.kept(search, replace(found, rule=error.check, message=str(error)))


def _hunts(search: Search, chunks: Sequence[list[tuple[int, int]]], jobs: int) -> Iterator[Hunt]:
    if jobs == 1 or len(chunks) < 2:
        yield from (hunt(search, chunk) for chunk in chunks)
        return
    # Not forked: a process may have threads by now, and greenlets do not survive a fork.
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(hunt, [search] * len(chunks), chunks)
