"""`hunt`: plays a driver's collisions in thousands of orders, and keeps what goes wrong.

What is played depends on the driver, the seed and the number of schedules, never on the clock or on
how many processes there are.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle, islice, repeat
from typing import Any

from movable.conformance.collisions import plans
from movable.conformance.declared import Declared
from movable.conformance.plan import Plan
from movable.conformance.stage import Stage
from movable.errors import AuditFailed, BadInput, ContractViolation, Deadlock, Livelock, hint
from movable.sched.exploration import Deviation, Exploration, Strategy
from movable.sched.strategies import Delays, Fifo, Pct, RandomWalk

SCHEDULES_OF_A_PLAN = 256
"""At most, where a strategy has no end of its own."""
WITH_LOCK_RULES = 4
"""In how many schedules of a plan the rules about locks are watched: that takes as long again, and
they are learned from what is asked for, not from what collides."""
STRATEGIES = ("mix", "fifo", "random", "pct", "delays")
"""`mix` is a bit of each: no strategy finds everything soonest."""


def rule_of(error: Exception) -> str:
    """The invariant that *error* is about, or the check that failed."""
    if isinstance(error, ContractViolation):
        return error.rule
    if isinstance(error, Deadlock):
        return "I19"
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


@dataclass
class Hunt:
    """What was played, and what was found."""

    schedules: int = 0
    of_this_plan: int = 0
    steps: int = 0
    longest: int = 0
    """Steps of the longest schedule."""
    orders: set[bytes] = field(default_factory=set)
    """A digest of each order that was played, and of which plan."""
    pairs: set[tuple[str, str]] = field(default_factory=set)
    """Point at which a task was left, point from which another went on."""
    found: list[Found] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    """How often each rule was broken."""
    plans: Counter[str] = field(default_factory=Counter)
    """How many plans of each kind of collision were played."""
    delays: list[int] = field(default_factory=list)
    """For each plan: every order with so many delays was played; -1 if that was not tried."""

    def add(self, other: Hunt) -> None:
        """Take in what another process played, after what was played here."""
        for found in other.found:
            if not self.times[found.rule]:
                number = self.schedules + found.schedule
                self.found.append(Found(**{**vars(found), "schedule": number}))
        self.schedules += other.schedules
        self.steps += other.steps
        self.longest = max(self.longest, other.longest)
        self.orders |= other.orders
        self.pairs |= other.pairs
        self.times += other.times
        self.plans += other.plans
        self.delays += other.delays


def hunt(
    name: str,
    kind: type[Any],
    declared: Declared,
    schedules: int,
    *,
    strategy: str = "mix",
    depth: int = 2,
    seed: int = 0,
) -> Hunt:
    """Play *schedules* schedules of *kind*.

    :param depth: of PCT, and the largest number of delays that are tried in every place.
    :raises BadInput: there is no such strategy, or the driver cannot be put back between schedules.
    """
    if strategy not in STRATEGIES:
        raise BadInput("--strategy", f"there is no {strategy!r}", hint(strategy, STRATEGIES))
    played = Hunt()
    for number, plan in enumerate(plans(name, kind, declared, seed)):
        if played.schedules >= schedules:
            break
        played.of_this_plan = 0
        stage = Stage(name, kind, declared, plan)
        orders = Orders(stage.exploration, strategy, depth, f"{seed}/{number}")
        try:
            for order in islice(orders, schedules - played.schedules):
                _play(stage, order, played)
        finally:
            stage.close()
        played.plans[plan.collision] += 1
        played.delays.append(orders.complete)
        played.longest = max(played.longest, stage.exploration.longest)
        played.pairs |= stage.exploration.pairs
    return played


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
                yield from self._delayed(0)
            case "delays":
                yield from self._delayed(self.depth)
            case "mix":
                count = 0
                for count, order in enumerate(self._delayed(1), 1):
                    yield order
                yield from islice(cycle(self._drawn.values()), count)
            case _:
                yield from repeat(self._drawn[self.strategy], SCHEDULES_OF_A_PLAN)

    def _delayed(self, most: int) -> Iterator[Strategy]:
        """Every order with up to *most* delays, those with fewer first."""
        todo: deque[tuple[int, ...]] = deque([()])
        while todo:
            steps = todo.popleft()
            self.complete = max(self.complete, len(steps) - 1)
            yield Delays(steps)
            if len(steps) < most and len(self.run.deviations) == len(steps):
                first = steps[-1] + 1 if steps else 1
                todo.extend((*steps, step) for step in range(first, self.run.steps))
        self.complete = most


def _play(stage: Stage, order: Strategy, played: Hunt) -> None:
    run = stage.exploration
    lock_rules = played.of_this_plan < WITH_LOCK_RULES
    error = stage.run(order, lock_rules)
    played.of_this_plan += 1
    played.schedules += 1
    played.steps += run.steps
    played.orders.add(run.digest() + str(len(played.delays)).encode())
    if error is None:
        return
    rule = rule_of(error)
    if not played.times[rule]:
        took = tuple(run.deviations)
        kind = type(order).__name__
        where = (played.schedules, kind, lock_rules)
        played.found.append(Found(rule, str(error), stage.plan, took, *where))
    played.times[rule] += 1
