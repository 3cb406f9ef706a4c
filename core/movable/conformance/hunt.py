"""`hunt`: plays a driver's collisions in thousands of orders, and keeps what goes wrong.

What is played depends on the driver, the seed and the number of schedules, never on the clock or on
how many processes there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import cycle, islice, product, repeat
from typing import Any

from movable.conformance.collisions import plan_number
from movable.conformance.culprit import Culprit
from movable.conformance.declared import Declared
from movable.conformance.draw import Unprepared
from movable.conformance.plan import Plan
from movable.conformance.stage import Stage
from movable.conformance.strategies import DEPTHS, STRATEGIES
from movable.conformance.watchdog import Watchdog
from movable.errors import (
    AuditFailed,
    BadInput,
    ContractViolation,
    Deadlock,
    Endless,
    Livelock,
    Misconduct,
    TapeDiverged,
    hint,
)
from movable.sched.by_time import ByTime
from movable.sched.delays import DelayBounded
from movable.sched.dpor import Dpor
from movable.sched.exploration import Deviation, Exploration, Strategy
from movable.sched.strategies import Pct, RandomWalk
from movable.sched.told import Logged

SCHEDULES_OF_A_PLAN = 160
"""What is wrong shows in the first orders of the right plan more often than in the last of another:
with twice as many of each plan, most mistakes of the corpus take twice as long to find."""
MOST_OF_A_PLAN = 1 << 14
"""With strategies that come to an end."""
PLANS_TO_AN_END = 16
"""How many plans share the schedules then: two of each collision, or so."""
WITH_LOCK_RULES = 4
"""In how many schedules of a plan the rules about locks are watched: that takes as long again, and
they are learned from what is asked for, not from what collides."""
TWICE_EVERY = 160
"""Every so many schedules of a plan, one is played twice more, and compared."""
MOST_ENDLESS = 2
"""After so many schedules that had to be left, no more are played: each takes seconds."""


def rule_of(error: Exception) -> str:
    """The invariant that *error* is about, or the check that failed."""
    if isinstance(error, ContractViolation):
        return error.rule
    if isinstance(error, Deadlock):
        return "I19"
    if isinstance(error, Misconduct):
        return error.check
    if isinstance(error, Livelock):
        return "I17"
    return "invariants" if isinstance(error, AuditFailed) else "operations"


@dataclass(frozen=True)
class Found:
    """A schedule in which something went wrong."""

    rule: str
    message: str
    plan: Plan
    deviations: tuple[Deviation, ...]
    schedule: int
    """How many schedules had been played until then."""
    strategy: str
    lock_rules: bool
    """The rules about locks were watched."""
    final: bool = False
    """To play it again tells nothing more."""


@dataclass
class Hunt:
    """What was played, and what was found."""

    schedules: int = 0
    steps: int = 0
    longest: int = 0
    """Steps of the longest schedule."""
    orders: set[tuple[str, bytes]] = field(default_factory=set)
    """Of which plan, and a digest of each order in which it was played."""
    pairs: set[tuple[str, str]] = field(default_factory=set)
    """Point at which a task was left, point from which another went on."""
    reachable: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of a point at which some task of a plan was left, and one from which some went on."""
    rows: set[tuple[int, int]] = field(default_factory=set)
    """State and event, by their numbers in automaton.py: the rows of the table that were taken."""
    found: list[Found] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    """How often each rule was broken."""
    plans: Counter[str] = field(default_factory=Counter)
    """How many plans of each kind of collision were played."""
    delays: list[int] = field(default_factory=list)
    """For each plan: every order with so many delays was played; -1 if that was not tried."""
    exhausted: int = 0
    """Of how many plans an order of each kind was played (dpor.py)."""
    endless: int = 0
    """Schedules that had to be left, since the driver never came back."""

    def add(self, other: Hunt) -> None:
        """Take in what another process played, after what was played here."""
        for found in other.found:
            if not self.times[found.rule]:
                self.found.append(replace(found, schedule=self.schedules + found.schedule))
        self.schedules += other.schedules
        self.steps += other.steps
        self.longest = max(self.longest, other.longest)
        self.orders |= other.orders
        self.pairs |= other.pairs
        self.reachable |= other.reachable
        self.rows |= other.rows
        self.times += other.times
        self.plans += other.plans
        self.delays += other.delays
        self.exhausted += other.exhausted
        self.endless += other.endless

    def note(self, found: Found) -> None:
        """Keep what was found, if it is the first of its kind."""
        if not self.times[found.rule]:
            self.found.append(found)
        self.times[found.rule] += 1


@dataclass(frozen=True)
class Search:
    """What to look for mistakes in, and how.

    :ivar depth: of PCT, and the largest number of delays that are tried in every place; if left
        out, what is usual for the strategy.
    """

    name: str
    kind: type[Any]
    declared: Declared
    strategy: str = "mix"
    depth: int | None = None
    seed: int = 0

    def shares(self, schedules: int) -> list[tuple[int, int]]:
        """Numbers of plans and how many schedules of each, which make *schedules* in all."""
        quota = self._quota(schedules)
        whole, rest = divmod(schedules, quota)
        return [*((n, quota) for n in range(whole)), *([(whole, rest)] if rest else [])]

    def _quota(self, schedules: int) -> int:
        """How many schedules of one plan are played at most."""
        if self.strategy in ("delays", "dpor"):
            even = schedules // PLANS_TO_AN_END
            return min(max(even, SCHEDULES_OF_A_PLAN), MOST_OF_A_PLAN)
        return 1 if self.strategy == "fifo" else SCHEDULES_OF_A_PLAN


def hunt(search: Search, shares: Iterable[tuple[int, int]], *, stop: bool = False) -> Hunt:
    """Play plans, each in so many orders; *shares* are their numbers and how many.

    :param stop: at the first schedule that breaks a rule.

    :raises BadInput: there is no such strategy, or the driver cannot be put back between schedules.
    """
    if search.strategy not in STRATEGIES:
        remedy = hint(search.strategy, STRATEGIES)
        raise BadInput("--strategy", f"there is no {search.strategy!r}", remedy)
    played = Hunt()
    with Watchdog(search.kind):
        for number, schedules in shares:
            _play_number(search, number, (schedules, stop), played)
            if (stop and played.found) or played.endless >= MOST_ENDLESS:
                break
    return played


def _play_number(search: Search, number: int, how: tuple[int, bool], played: Hunt) -> None:
    try:
        plan = plan_number(number, search.name, search.kind, search.declared, search.seed)
        if plan is not None:
            play_plan(search, plan, (f"{search.seed}/{number}", *how), played)
    except Unprepared as unprepared:
        error = unprepared.error
        message = Culprit(search.kind).said(error)
        where = (unprepared.plan, (), played.schedules, "preparations", False, True)
        played.note(Found(rule_of(error), message, *where))
        played.endless += isinstance(error, Endless)


def play_plan(search: Search, plan: Plan, how: tuple[str, int, bool], played: Hunt) -> None:
    """Play *plan*; *how*: the seed, in how many orders, and whether to stop at what goes wrong."""
    seed, schedules, stop = how
    try:
        stage = Stage(search.name, search.kind, search.declared, plan)
    except BadInput:
        raise
    except Exception as error:  # though it could be prepared before
        raise Unprepared(plan, error) from error
    orders, again = Orders(stage.exploration, search, seed), Again(stage, played)
    try:
        with closing(iter(orders)) as each:
            for number, order in enumerate(islice(each, schedules)):
                again.play()  # not before the strategy has learned from what was played
                _play(stage, order, number < WITH_LOCK_RULES, played)
                played.orders.add((seed, stage.exploration.digest()))
                if (stop and played.found) or isinstance(stage.error, Endless):
                    break
                if number % TWICE_EVERY == 0:
                    again.todo.append((type(order).__name__, tuple(stage.exploration.deviations)))
            else:
                again.play()
    finally:
        stage.close()
    played.plans[plan.collision] += 1
    played.delays.append(orders.complete)
    played.exhausted += orders.exhausted
    played.longest = max(played.longest, stage.exploration.longest)
    pairs = stage.exploration.pairs
    played.pairs |= pairs
    played.reachable |= set(product({left for left, _ in pairs}, {to for _, to in pairs}))
    played.rows |= stage.oracles.contract.rows


class Orders:
    """The orders in which one plan is played.

    :ivar exhausted: an order of each kind has been played.
    """

    def __init__(self, run: Exploration, search: Search, seed: str) -> None:
        self.run, self.strategy = run, search.strategy
        self.depth = search.depth or DEPTHS.get(search.strategy, DEPTHS["pct"])
        self.exhausted = False
        self._delays: DelayBounded | None = None
        self._mixed: dict[str, Strategy] = {
            "random": RandomWalk(f"{seed}/walk"),
            "pct": Pct(f"{seed}/pct", self.depth),
        }
        time = ByTime(f"{seed}/time", search.declared.costs)
        self._drawn: dict[str, Strategy] = {**self._mixed, "time": time}

    def __iter__(self) -> Generator[Strategy]:
        match self.strategy:
            case "fifo":
                yield from self._delayed(0)
            case "delays":
                yield from self._delayed(self.depth)
            case "dpor":
                yield from self._of_each_kind()
            case "mix":
                yield from _in_turn(self._delayed(1), cycle(self._mixed.values()))
            case _:
                yield from repeat(self._drawn[self.strategy])

    @property
    def complete(self) -> int:
        """Every order with so many delays has been played; -1 if none was tried."""
        return self._delays.complete if self._delays else -1

    def _delayed(self, most: int) -> DelayBounded:
        self._delays = DelayBounded(most)
        return self._delays

    def _of_each_kind(self) -> Iterator[Strategy]:
        dpor = Dpor(self.run)
        yield from dpor
        self.exhausted = dpor.complete


def _in_turn(some: Iterable[Strategy], others: Iterable[Strategy]) -> Iterator[Strategy]:
    """One of each, and *others* alone when there are no more of *some*."""
    rest = iter(others)
    for one, other in zip(some, rest, strict=False):
        yield one
        yield other
    yield from rest


def _play(stage: Stage, order: Strategy, lock_rules: bool, played: Hunt) -> None:
    run = stage.exploration
    error = stage.run(order, lock_rules)
    played.schedules += 1
    played.steps += run.steps
    if error is None:
        return
    endless = isinstance(error, Endless)
    where = (played.schedules, type(order).__name__, lock_rules, endless)
    message, took = stage.culprit.said(error), tuple(run.deviations)
    played.note(Found(rule_of(error), message, stage.plan, took, *where))
    played.endless += endless


class Again:
    """Plays orders twice more, to see whether each is the same schedule every time.

    :ivar todo: by which strategy, and the turns that it took.
    """

    def __init__(self, stage: Stage, played: Hunt) -> None:
        self.stage, self.played = stage, played
        self.todo: list[tuple[str, tuple[Deviation, ...]]] = []

    def play(self) -> None:
        """Play what there is, and note what is not the same."""
        stage, played = self.stage, self.played
        while self.todo:
            strategy, took = self.todo.pop()
            first, second = Logged(took), Logged(took)
            ends = [self._end(order) for order in (first, second)]
            difference = first.difference(second)
            if difference is None and ends[0] == ends[1] and "" not in ends:
                continue
            detail = difference or "ends otherwise the second time"
            message = str(not_the_same(stage.name, stage.culprit.suspects(), detail))
            where = (played.schedules, strategy, False, True)
            played.note(Found("same_twice", message, stage.plan, took, *where))

    def _end(self, order: Logged) -> str:
        """What came of a schedule; empty if it could not be gone through as told."""
        error = self.stage.run(order)
        return "" if isinstance(error, TapeDiverged) else f"{self.stage.state()} {error}"


def not_the_same(name: str, suspects: list[str], detail: str) -> Misconduct:
    """What to say of a driver that does not do the same twice, and where to look."""
    remedy = "let it use neither clock nor unseeded chance, nor what survives between runs"
    look = f" ({', '.join(suspects)})" if suspects else ""
    return Misconduct("same_twice", name, f"does not do the same twice: {detail}; {remedy}{look}")
