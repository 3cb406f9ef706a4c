"""The kinds of collision that every driver is put through, and plans for them, drawn from a seed.

A plan is drawn from what the driver declares: its operations with their bounds. What takes no
schedule, because it is over at once or goes on for too long, is drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from movable.conformance.declared import Declared
from movable.conformance.draw import arguments
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.stage import Stage
from movable.errors import Endless, Livelock, Misconduct, MovableError
from movable.operation import Operation, operations, swap_device
from movable.sched.strategies import Fifo

FEWEST_PAGES, MOST_PAGES = 4, 8
"""Movable pages that a driver has when tasks begin."""
FEWEST_STEPS, MOST_STEPS = 10, 240
ATTEMPTS = 40
ENDLESS = 100_000
"""Steps after which a schedule has no end, and is not only long."""
COMPACT, PUT_BACK, RECLAIM = Step(do="compact"), Step(do="put back"), Step(do="reclaim")


class Unprepared(MovableError):
    """A driver that cannot even be used by one user: *plan* says how far it came."""

    def __init__(self, plan: Plan, error: Exception) -> None:
        self.plan, self.error = plan, error
        super().__init__(str(error))


class Draw:
    """Draws what users of one driver do.

    :param random: the same draws come from the same seed.
    """

    def __init__(self, name: str, kind: type[Any], declared: Declared, random: Random) -> None:
        self.name, self.kind, self.declared, self.random = name, kind, declared, random
        left_out = {declared.teardown_of(kind), declared.worker_of(kind)}
        self.verbs = [verb for name, verb in operations(kind).items() if name not in left_out]
        self._growers: list[Operation] = []

    def __repr__(self) -> str:
        return f"<Draw {self.name} [{len(self.verbs)} operations]>"

    def prepare(self) -> tuple[Step, ...]:
        """What users do until the driver has a few pages."""
        steps: tuple[Step, ...] = ()
        pages = 0
        for _ in range(ATTEMPTS if self.verbs else 0):
            if pages >= FEWEST_PAGES:
                break
            tried = (*steps, self.step(self._grower()))
            now = self._pages(tried)
            if pages < now <= MOST_PAGES:
                self._growers.append(operations(self.kind)[tried[-1].verb])
            if now <= MOST_PAGES:
                steps, pages = tried, now
        return steps

    def _pages(self, steps: tuple[Step, ...]) -> int:
        """How many pages the driver has published after *steps*; too many, if they failed."""
        plan = Plan(
            collision="preparations", config=dict(self.declared.config), prepare=steps, tasks=()
        )
        try:
            stage = Stage(self.name, self.kind, self.declared, plan)
        except (Endless, Misconduct) as error:
            raise Unprepared(plan, error) from error
        except Exception:  # noqa: BLE001  what fails alone is for the scenes to find
            return MOST_PAGES + 1
        try:
            return len(stage.pages())
        finally:
            stage.close()

    def _grower(self) -> Operation:
        growers = self._growers if self.random.random() < 0.75 else self.verbs
        return self.random.choice(growers or self.verbs)

    def step(self, verb: Operation | None = None, do: Any = "call") -> Step:
        """One call, of *verb* or any, with arguments by chance."""
        verb = verb or self.random.choice(self.verbs)
        return Step(do=do, verb=verb.name, arguments=arguments(verb, self.random))

    def users(self, name: str, do: Any = "call") -> Part:
        """A task that makes one to three calls."""
        count = self.random.randint(1, 3)
        return Part(name=name, steps=tuple(self.step(do=do) for _ in range(count)))

    def named(self, name: str, verb: str) -> Part:
        """A task that calls *verb*."""
        return Part(name=name, steps=(self.step(operations(self.kind)[verb]),))


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
    "two compactors and user": lambda draw: (CPU0, CPU1, draw.users("user0")),
    "a compaction broken off": lambda draw: (
        Part(name="cpu0", steps=(PUT_BACK,)),
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
    if not Draw("", kind, declared, Random(0)).verbs:
        return [name for name in ("two compactors", "teardown") if not missing.get(name)]
    return [name for name in COLLISIONS if not missing.get(name)]


def plan_number(
    number: int, name: str, kind: type[Any], declared: Declared, seed: int
) -> Plan | None:
    """One of the plans of *seed*: each kind of collision comes in turn. None if what was drawn
    takes no schedule, or goes on for too long.

    :raises BadInput: the driver cannot be put back between schedules.
    :raises Unprepared: the driver cannot even be used by one user.
    """
    names = applicable(kind, declared)
    random = Random(f"{seed}/{number}")
    return draw_plan(name, kind, declared, names[number % len(names)], random)


def draw_plan(
    name: str, kind: type[Any], declared: Declared, collision: str, random: Random
) -> Plan | None:
    """A plan whose tasks are neither over at once nor go on for too long; None if there is none."""
    for _ in range(ATTEMPTS):
        draw = Draw(name, kind, declared, random)
        tasks = COLLISIONS[collision](draw)
        config = dict(declared.config)
        plan = Plan(collision=collision, config=config, prepare=draw.prepare(), tasks=tasks)
        if _takes_a_while(Stage(name, kind, declared, plan)):
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
