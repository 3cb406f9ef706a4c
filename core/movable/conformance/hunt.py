"""`hunt`: plays a driver's collisions in thousands of orders, and keeps what goes wrong.

What is played depends on the driver, the seed and the number of schedules, never on the clock or on
how many processes there are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice, product, repeat
from typing import Any

from movable.conformance.collisions import Unprepared, plan_number
from movable.conformance.culprit import Culprit
from movable.conformance.declared import Declared
from movable.conformance.plan import Plan
from movable.conformance.stage import Stage
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
from movable.sched.exploration import Deviation, Exploration, Strategy
from movable.sched.strategies import Delays, Pct, RandomWalk
from movable.sched.told import Logged

SCHEDULES_OF_A_PLAN = 320
MOST_DELAYED = 256
"""Of these, so many with one delay at most."""
MOST_WITH_DELAYS = 1 << 14
WITH_LOCK_RULES = 4
"""In how many schedules of a plan the rules about locks are watched: that takes as long again, and
they are learned from what is asked for, not from what collides."""
TWICE_EVERY = 160
"""Every so many schedules of a plan, one is played twice more, and compared."""
MOST_ENDLESS = 2
"""After so many schedules that had to be left, no more are played: each takes seconds."""
STRATEGIES = ("mix", "fifo", "random", "pct", "delays")
"""`mix` is a bit of each: no strategy finds everything soonest."""


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
    return "validate" if isinstance(error, AuditFailed) else "operations"


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
    orders: set[bytes] = field(default_factory=set)
    """A digest of each order that was played, and of which plan."""
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
    endless: int = 0
    """Schedules that had to be left, since the driver never came back."""

    def add(self, other: Hunt) -> None:
        """Take in what another process played, after what was played here."""
        for found in other.found:
            if not self.times[found.rule]:
                number = self.schedules + found.schedule
                self.found.append(Found(**{**vars(found), "schedule": number}))
        self.schedules += other.schedules
        self.steps += other.steps
        self.longest = max(self.longest, other.longest)
        self.orders |= {order + str(len(self.delays)).encode() for order in other.orders}
        self.pairs |= other.pairs
        self.reachable |= other.reachable
        self.rows |= other.rows
        self.times += other.times
        self.plans += other.plans
        self.delays += other.delays
        self.endless += other.endless

    def note(self, found: Found) -> None:
        """Keep what was found, if it is the first of its kind."""
        if not self.times[found.rule]:
            self.found.append(found)
        self.times[found.rule] += 1


@dataclass(frozen=True)
class Search:
    """What to look for mistakes in, and how.

    :ivar depth: of PCT, and the largest number of delays that are tried in every place.
    """

    name: str
    kind: type[Any]
    declared: Declared
    strategy: str = "mix"
    depth: int = 2
    seed: int = 0

    @property
    def quota(self) -> int:
        """How many schedules of one plan are played at most."""
        return {"fifo": 1, "delays": MOST_WITH_DELAYS}.get(self.strategy, SCHEDULES_OF_A_PLAN)

    def shares(self, schedules: int) -> list[tuple[int, int]]:
        """Numbers of plans and how many schedules of each, which make *schedules* in all."""
        whole, rest = divmod(schedules, self.quota)
        return [*((n, self.quota) for n in range(whole)), *([(whole, rest)] if rest else [])]


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
            if (stop and played.found) or played.endless == MOST_ENDLESS:
                break
    return played


def _play_number(search: Search, number: int, how: tuple[int, bool], played: Hunt) -> None:
    try:
        plan = plan_number(number, search.name, search.kind, search.declared, search.seed)
        if plan is not None:
            _play_plan(search, plan, (f"{search.seed}/{number}", *how), played)
    except Unprepared as unprepared:
        error = unprepared.error
        message = Culprit(search.kind).said(error)
        where = (unprepared.plan, (), played.schedules, "preparations", False, True)
        played.note(Found(rule_of(error), message, *where))
        played.endless += isinstance(error, Endless)


def _play_plan(search: Search, plan: Plan, how: tuple[str, int, bool], played: Hunt) -> None:
    seed, schedules, stop = how
    try:
        stage = Stage(search.name, search.kind, search.declared, plan)
    except BadInput:
        raise
    except Exception as error:  # though it could be prepared before
        raise Unprepared(plan, error) from error
    orders = Orders(stage.exploration, search.strategy, search.depth, seed)
    try:
        for number, order in enumerate(islice(orders, schedules)):
            _play(stage, order, number < WITH_LOCK_RULES, played)
            if (stop and played.found) or isinstance(stage.error, Endless):
                break
            if number % TWICE_EVERY == 0:
                _play_twice(stage, type(order).__name__, played)
    finally:
        stage.close()
    played.plans[plan.collision] += 1
    played.delays.append(orders.complete)
    played.longest = max(played.longest, stage.exploration.longest)
    played.pairs |= stage.exploration.pairs
    pairs = stage.exploration.pairs
    played.reachable |= set(product({left for left, _ in pairs}, {to for _, to in pairs}))
    played.rows |= stage.oracles.contract.rows


class Orders:
    """The orders in which one plan is played.

    :ivar complete: every order with so many delays has been played; -1 if none was tried.
    """

    def __init__(self, run: Exploration, strategy: str, depth: int, seed: str) -> None:
        self.run, self.strategy, self.depth = run, strategy, depth
        self.complete = -1
        self._drawn: dict[str, Strategy] = {
            "random": RandomWalk(f"{seed}/walk"),
            "pct": Pct(f"{seed}/pct", depth),
        }

    def __iter__(self) -> Iterator[Strategy]:
        match self.strategy:
            case "fifo":
                yield from self.delayed(0)
            case "delays":
                yield from self.delayed(self.depth)
            case "mix":
                yield from self._mixed()
            case _:
                yield from repeat(self._drawn[self.strategy])

    def _mixed(self) -> Iterator[Strategy]:
        """First what differs least from first come, first served, and then anything."""
        yield from islice(self.delayed(1), MOST_DELAYED)
        yield from cycle(self._drawn.values())

    def delayed(self, most: int) -> Iterator[Strategy]:
        """Every order with up to *most* delays, those with fewer first."""
        todo: deque[tuple[int, ...]] = deque([()])
        while todo:
            steps = todo.popleft()
            last = len(steps) == most and not todo
            self.complete = max(self.complete, most if last else len(steps) - 1)
            yield Delays(steps)
            if len(steps) < most and len(self.run.deviations) == len(steps):
                first = steps[-1] + 1 if steps else 1
                todo.extend((*steps, step) for step in range(first, self.run.steps))
        self.complete = most


def _play(stage: Stage, order: Strategy, lock_rules: bool, played: Hunt) -> None:
    run = stage.exploration
    error = stage.run(order, lock_rules)
    played.schedules += 1
    played.steps += run.steps
    played.orders.add(run.digest() + str(len(played.delays)).encode())
    if error is None:
        return
    endless = isinstance(error, Endless)
    where = (played.schedules, type(order).__name__, lock_rules, endless)
    message, took = stage.culprit.said(error), tuple(run.deviations)
    played.note(Found(rule_of(error), message, stage.plan, took, *where))
    played.endless += endless


def _play_twice(stage: Stage, strategy: str, played: Hunt) -> None:
    """See whether the order that was just played is the same schedule each time."""
    took = tuple(stage.exploration.deviations)
    first, second = Logged(took), Logged(took)
    ends = [_end(stage, order) for order in (first, second)]
    difference = first.difference(second)
    if difference is None and ends[0] == ends[1] and "" not in ends:
        return
    detail = difference or "ends otherwise the second time"
    message = str(not_the_same(stage.name, stage.culprit.suspects(), detail))
    where = (played.schedules, strategy, False, True)
    played.note(Found("same_twice", message, stage.plan, took, *where))


def _end(stage: Stage, order: Strategy) -> str:
    """What came of a schedule; empty if it could not be gone through as told."""
    error = stage.run(order)
    if isinstance(error, TapeDiverged):
        return ""
    return f"{stage.state()} {error}"


def not_the_same(name: str, suspects: list[str], detail: str) -> Misconduct:
    """What to say of a driver that does not do the same twice, and where to look."""
    remedy = "let it use neither clock nor unseeded chance, nor what survives between runs"
    look = f" ({', '.join(suspects)})" if suspects else ""
    return Misconduct("same_twice", name, f"does not do the same twice: {detail}; {remedy}{look}")
