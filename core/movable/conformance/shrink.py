"""Makes what went wrong small: fewer deviations, fewer tasks, fewer calls, fewer pages.

A smaller plan counts if some order of it breaks the same rule. Orders with hardly a deviation are
tried first, because most mistakes need no more: a long random schedule then shrinks at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from movable.conformance.hunt import Found, Search, rule_of
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.stage import Stage
from movable.conformance.watchdog import Watchdog
from movable.sched.delays import DelayBounded
from movable.sched.exploration import Deviation, Strategy
from movable.sched.strategies import Pct, RandomWalk
from movable.sched.told import Counted, Turn, Turns

MOST_ORDERS = 200
"""With up to two delays, for a plan that has become smaller."""
DELAYS = 2
MOST_DRAWN = 64
"""By chance, of each kind, where that is not enough."""


class Shrinker:
    """Shrinks one finding.

    :ivar schedules: how many schedules that took.
    """

    def __init__(self, search: Search, found: Found) -> None:
        self.search = search
        self.rule, self.plan, self.lock_rules = found.rule, found.plan, found.lock_rules
        self.deviations: tuple[Deviation, ...] = found.deviations
        self.turns: list[Turn] = []
        self.schedules = 0
        self.message = found.message

    def shrink(self) -> Found:
        """The same mistake with as little around it as could be found."""
        with Watchdog(self.search.kind):
            self._shrink()
        where = (self.schedules, "shrunk", self.lock_rules)
        return Found(self.rule, self.message, self.plan, self.deviations, *where)

    def _shrink(self) -> None:
        before = None
        while before != (self.plan, len(self.deviations)):
            before = (self.plan, len(self.deviations))
            self._fewer_deviations()
            while any(self._try(plan) for plan in smaller(self.plan)):
                pass

    def _fewer_deviations(self) -> None:
        """With few delays if that is enough; else leave out what can be left out."""
        stage = self._stage(self.plan)
        assert stage
        try:
            self.turns = self._told(stage)
            if not self._few_delays(stage):
                self._leave_out(stage)
        finally:
            stage.close()

    def _leave_out(self, stage: Stage) -> None:
        for size in (8, 4, 2, 1):
            self._without(stage, size)

    def _without(self, stage: Stage, size: int) -> None:
        """Leave out *size* turns at once, wherever that still leads to the mistake."""
        at = 0
        while at < len(self.turns):
            fewer = self.turns[:at] + self.turns[at + size :]
            if not self._fails(stage, Turns(fewer)):
                at += size

    def _told(self, stage: Stage) -> list[Turn]:
        """The deviations as turns."""
        counted = Counted(self.deviations)
        stage.run(counted, self.lock_rules)
        return counted.turns

    def _try(self, plan: Plan) -> bool:
        """Take *plan* instead, if some order of it leads to the mistake."""
        stage = self._stage(plan)
        if stage is None:
            return False
        try:
            found = self._as_before(stage) or self._few_delays(stage) or self._drawn(stage)
        finally:
            stage.close()
        if found:
            self.plan = plan
        return found

    def _as_before(self, stage: Stage) -> bool:
        """In the turns that led there, as far as those are left whose turns they are."""
        gone = _names(self.plan) - _names(stage.plan)
        turns = [turn for turn in self.turns if gone.isdisjoint((turn.task, turn.to))]
        return self._fails(stage, Turns(turns))

    def _drawn(self, stage: Stage) -> bool:
        """In an order that chance finds, without what it does not need."""
        walk, pct = RandomWalk("shrink/walk"), Pct("shrink/pct")
        if not any(self._fails(stage, order) for _ in range(MOST_DRAWN) for order in (walk, pct)):
            return False
        self._leave_out(stage)
        return True

    def _few_delays(self, stage: Stage) -> bool:
        orders = islice(DelayBounded(DELAYS), MOST_ORDERS)
        return any(self._fails(stage, order) for order in orders)

    def _fails(self, stage: Stage, order: Strategy) -> bool:
        """Play *order*; if it breaks the same rule with fewer deviations, keep them."""
        self.schedules += 1
        error = stage.run(order, self.lock_rules)
        if error is None or rule_of(error) != self.rule:
            return False
        self.message = stage.culprit.said(error)
        self.deviations = tuple(stage.exploration.deviations)
        self.turns = self._told(stage)
        return True

    def _stage(self, plan: Plan) -> Stage | None:
        try:
            return Stage(self.search.name, self.search.kind, self.search.declared, plan)
        except Exception:  # noqa: BLE001  what is left out was needed
            return None


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, the largest thing first."""
    for n in range(len(plan.tasks)):
        if len(plan.tasks) > 1:
            yield plan.model_copy(update={"tasks": _less(plan.tasks, n)})
    for n, part in enumerate(plan.tasks):
        for less in _smaller_part(part):
            tasks = (*plan.tasks[:n], less, *plan.tasks[n + 1 :])
            yield plan.model_copy(update={"tasks": tasks})
    for n in range(len(plan.prepare)):
        yield plan.model_copy(update={"prepare": _less(plan.prepare, n)})
    for n, step in enumerate(plan.prepare):
        for fewer in _smaller_step(step):
            prepare = (*plan.prepare[:n], fewer, *plan.prepare[n + 1 :])
            yield plan.model_copy(update={"prepare": prepare})


def _names(plan: Plan) -> set[str]:
    return {part.name for part in plan.tasks}


def _less(things: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    return (*things[:n], *things[n + 1 :])


def _smaller_part(part: Part) -> Iterator[Part]:
    for n, step in enumerate(part.steps):
        if len(part.steps) > 1:
            yield part.model_copy(update={"steps": _less(part.steps, n)})
        for fewer in _smaller_step(step):
            steps = (*part.steps[:n], fewer, *part.steps[n + 1 :])
            yield part.model_copy(update={"steps": steps})


def _smaller_step(step: Step) -> Iterator[Step]:
    for name, value in step.arguments.items():
        if type(value) is int and value > 1:
            for less in {1, value // 2, value - 1}:
                arguments = {**step.arguments, name: less}
                yield step.model_copy(update={"arguments": arguments})
