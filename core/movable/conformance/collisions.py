"""The kinds of collision that every driver is put through, and plans for them, drawn from a seed.

A plan is drawn from what the driver declares: its operations with their bounds. What takes no
schedule, because it is over at once or goes on for too long, is drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from movable.conformance.declared import Declared
from movable.conformance.draw import ATTEMPTS, Draw, verbs_of
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.stage import Stage
from movable.errors import Livelock
from movable.operation import Operation, swap_device
from movable.sched.strategies import Fifo

FEWEST_PAGES = 4
PAGES = (FEWEST_PAGES, 1, 2)
"""How many movable pages a driver should have when tasks begin, in turn: with few, tasks meet."""
FEWEST_STEPS, MOST_STEPS = 10, 240
ENDLESS = 100_000
"""Steps after which a schedule has no end, and is not only long."""
BARREN = 4
"""After so many preparations without a page, a driver may have none when tasks begin."""
COMPACT, PUT_BACK, RECLAIM = Step(do="compact"), Step(do="put back"), Step(do="reclaim")
ASYNC = Step(do="compact, without waiting")

Kind = Callable[[Draw], tuple[Part, ...]]
CPU0 = Part(name="cpu0", steps=(COMPACT,))
CPU1 = Part(name="cpu1", steps=(COMPACT,))


def _teardown(draw: Draw) -> tuple[Part, ...]:
    verb = draw.declared.teardown_of(draw.kind)
    assert verb
    return CPU0, CPU1, draw.named("teardown", verb)


def _worker(draw: Draw) -> tuple[Part, ...]:
    verb = draw.declared.worker_of(draw.kind)
    assert verb
    return CPU0, draw.users("user0"), draw.named("worker", verb)


def _reclaim(draw: Draw) -> tuple[Part, ...]:
    """Ordinary pages first, and then what the driver gives back (shrink_node())."""
    verb = draw.declared.shrinker_of(draw.kind)
    shrinker = draw.named("shrinker", verb).steps if verb else ()
    return CPU0, Part(name="kswapd", steps=(RECLAIM, *shrinker)), draw.users("user0")


COLLISIONS: dict[str, Kind] = {
    "two compactors": lambda draw: (CPU0, CPU1),
    "compactor and user": lambda draw: (CPU0, draw.users("user0")),
    "compactor and two users": lambda draw: (CPU0, draw.users("user0"), draw.users("user1")),
    "two users": lambda draw: (draw.users("user0"), draw.users("user1")),
    "two compactors and user": lambda draw: (CPU0, CPU1, draw.users("user0")),
    "a compaction broken off": lambda draw: (
        Part(name="cpu0", steps=(PUT_BACK,)),
        CPU1,
        draw.users("user0"),
    ),
    "an asynchronous compactor": lambda draw: (
        Part(name="cpu0", steps=(ASYNC,)),
        CPU1,
        draw.users("user0"),
    ),
    "allocations that compact": lambda draw: (
        CPU0,
        draw.users("user0", "call, short of memory"),
        draw.users("user1"),
    ),
    "teardown": _teardown,
    "worker": _worker,
    "reclaim": _reclaim,
}
"""By name: the tasks, for a driver that has such an operation. One that neither is swapped to nor
gives anything back is no concern of reclaim's, nor reclaim of its."""


def applicable(kind: type[Any], declared: Declared) -> list[str]:
    """The collisions for which the driver has the operations."""
    missing = {
        "teardown": not declared.teardown_of(kind),
        "worker": not declared.worker_of(kind),
        "reclaim": not (declared.shrinker_of(kind) or swap_device(kind)),
    }
    if not verbs_of(kind, declared):
        return [name for name in ("two compactors", "teardown") if not missing.get(name)]
    return [name for name in COLLISIONS if not missing.get(name)]


@dataclass(frozen=True)
class Wanted:
    """What a plan should be like."""

    collision: str
    pages: int = FEWEST_PAGES
    """Movable pages that the driver has when tasks begin, or up to twice as many, if that can be
    brought about."""
    first: tuple[Operation, ...] = ()
    """What users begin with, user by user, if that can be played."""
    variant: Mapping[str, Any] = field(default_factory=dict)
    """Settings besides those that the driver is checked with."""


def plan_number(
    number: int, name: str, kind: type[Any], declared: Declared, seed: int
) -> Plan | None:
    """One of the plans of *seed*: each kind of collision comes in turn, each operation comes first
    in turn, and so do few pages and very few, and the driver's variants. None if what was drawn
    takes no schedule, or goes on for too long.

    :raises BadInput: the driver cannot be put back between schedules.
    :raises Unprepared: the driver cannot even be used by one user.
    """
    names = applicable(kind, declared)
    turn, place = divmod(number, len(names))
    verbs = verbs_of(kind, declared)
    Random(f"{seed}/verbs").shuffle(verbs)
    first = tuple(verbs[(place + turn * user + user) % len(verbs)] for user in (1, 2) if verbs)
    variants = ({}, *declared.variants)
    variant = variants[(place + turn) % len(variants)]
    wanted = Wanted(names[place], PAGES[(place + turn) % len(PAGES)], first, variant)
    return draw_plan(name, kind, declared, wanted, Random(f"{seed}/{number}"))


def draw_plan(
    name: str, kind: type[Any], declared: Declared, wanted: Wanted, random: Random
) -> Plan | None:
    """A plan whose tasks are neither over at once nor go on for too long; None if there is none."""
    collision = wanted.collision
    config, barren = {**declared.config, **wanted.variant}, 0
    for attempt in range(ATTEMPTS):
        draw = Draw(name, kind, declared, random, wanted.first if attempt < ATTEMPTS // 2 else ())
        tasks = COLLISIONS[collision](draw)
        prepare = draw.prepare(config, wanted.pages)
        plan = Plan(collision=collision, config=config, prepare=prepare, tasks=tasks)
        stage = Stage(name, kind, declared, plan)
        bare = not stage.pages()
        barren += bare
        if _takes_a_while(stage) and (not bare or barren > BARREN):
            return plan
    return None


def _takes_a_while(stage: Stage) -> bool:
    try:
        failed = stage.run(Fifo())
        if isinstance(failed, Livelock):
            stage.exploration.most_steps = ENDLESS
            return isinstance(stage.run(Fifo()), Livelock)
        steps = stage.exploration.steps
        return failed is not None or FEWEST_STEPS <= steps <= MOST_STEPS
    finally:
        stage.close()
