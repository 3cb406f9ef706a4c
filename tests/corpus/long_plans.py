"""Draws collisions with much in them: three tasks, thirty points each, four movable pages.

`movable check` plays small ones, too, which find a mistake sooner. To say that a driver has none,
they have to be long. So what `check` would draw is made longer, by calls before what a task does
anyway, until the task passes thirty points if nobody else is there.
"""

from __future__ import annotations

from contextlib import closing
from random import Random

from movable.conformance.collisions import FEWEST_PAGES, Wanted, applicable, draw_plan
from movable.conformance.draw import Draw
from movable.conformance.hunt import Search
from movable.conformance.plan import CALL, PRESSED, Part, Plan
from movable.conformance.stage import Stage
from movable.sched.strategies import Fifo

TASKS, POINTS = 3, 30
MOST_POINTS = 120
"""Of a task that was made longer: a balloon of half the memory keeps a compactor busy for ever."""
CALLS = 40
"""That are tried to make one task longer."""
OF_TWO_TASKS = ("two compactors", "compactor and user", "two users")
BEGIN_AND_END = 2
"""Steps of a schedule that are no points: its only task begins, and ends."""


def long_plan(search: Search, number: int) -> Plan | None:
    """One of the plans of the search's seed; None if it does not come to be long enough."""
    names = [name for name in applicable(search.kind, search.declared) if name not in OF_TWO_TASKS]
    random = Random(f"{search.seed}/{number}/long")
    collision = names[number % len(names)]
    plan = draw_plan(search.name, search.kind, search.declared, Wanted(collision), random)
    if plan is None or pages(search, plan) < FEWEST_PAGES:
        return None
    draw = Draw(search.name, search.kind, search.declared, random)
    tasks = tuple(_longer(search, plan, part, draw) for part in plan.tasks)
    plan = plan.model_copy(update={"tasks": tasks})
    return plan if all(points(search, plan, part) >= POINTS for part in tasks) else None


def pages(search: Search, plan: Plan) -> int:
    """How many pages the driver has published when the tasks begin."""
    with staged(search, plan) as stage:
        return len(stage.pages())


def points(search: Search, plan: Plan, part: Part) -> int:
    """How many points *part* passes where *plan* begins, if nobody else does anything."""
    alone = plan.model_copy(update={"tasks": (part,)})
    return steps(search, alone) - BEGIN_AND_END


def steps(search: Search, plan: Plan) -> int:
    """How many steps *plan* takes when everybody comes in turn."""
    with staged(search, plan) as stage:
        stage.run(Fifo())
        return stage.exploration.steps


def staged(search: Search, plan: Plan) -> closing[Stage]:
    """*plan*, ready to be played."""
    return closing(Stage(search.name, search.kind, search.declared, plan))


def _longer(search: Search, plan: Plan, part: Part, draw: Draw) -> Part:
    """*part* after further calls, as many as it takes: what a task is for, such as the end of the
    device, comes last."""
    do = PRESSED if any(step.do == PRESSED for step in part.steps) else CALL
    passed = points(search, plan, part)
    for _ in range(CALLS):
        if passed >= POINTS:
            break
        longer = Part(name=part.name, steps=(draw.step(do=do), *part.steps))
        now = points(search, plan, longer)
        if passed < now <= MOST_POINTS:
            part, passed = longer, now
    return part
