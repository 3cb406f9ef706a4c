"""What users of a driver do, drawn from a seed within what the driver declares."""

from __future__ import annotations

from itertools import cycle
from random import Random
from typing import Any

from movable.conformance.declared import Declared
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.prepared import Prepared
from movable.errors import Endless, Misconduct, MovableError
from movable.operation import SPREAD, Argument, Operation, operations

MOST_PAGES = 8
"""Movable pages that a driver has when tasks begin, unless it makes more at once."""
ATTEMPTS = 40


class Unprepared(MovableError):
    """A driver that cannot even be used by one user: *plan* says how far it came."""

    def __init__(self, plan: Plan, error: Exception) -> None:
        self.plan, self.error = plan, error
        super().__init__(str(error))


class Draw:
    """Draws what users of one driver do.

    :param random: the same draws come from the same seed.
    :param first: the operations that users begin with, user by user; any, where it is at an end.
    """

    def __init__(
        self,
        name: str,
        kind: type[Any],
        declared: Declared,
        random: Random,
        first: tuple[Operation, ...] = (),
    ) -> None:
        self.name, self.kind, self.declared, self.random = name, kind, declared, random
        self.verbs = verbs_of(kind, declared)
        self._first = list(first)
        self._growers: list[Operation] = []

    def __repr__(self) -> str:
        return f"<Draw {self.name} [{len(self.verbs)} operations]>"

    def prepare(self, config: dict[str, Any], pages: int) -> tuple[Step, ...]:
        """What users do until the driver has a few pages: *pages*, or up to twice as many."""
        steps: tuple[Step, ...] = ()
        ground, there = self._ground(config, steps), 0
        # A page that is nearly empty, as often as not, where one page is all there is to be.
        least = pages == 1 and self.random.random() < 0.5
        in_turn = cycle(self.random.sample(self.verbs, len(self.verbs)))
        try:
            for attempt in range(max(ATTEMPTS, 3 * len(self.verbs)) if self.verbs else 0):
                if there >= pages or (there and attempt >= ATTEMPTS):
                    break
                verb = self._grower() if self._growers else next(in_turn)
                step = self.step(verb, least=least)
                now = self._pages(ground, config, (*steps, step))
                if there < now <= MOST_PAGES:
                    self._growers.append(verb)
                in_vain = not now and verb.name in {other.verb for other in steps}
                if now <= (2 * pages if attempt < ATTEMPTS // 2 else MOST_PAGES) and not in_vain:
                    steps, there = (*steps, step), now
                else:
                    ground.close()
                    ground = self._ground(config, steps)
        finally:
            ground.close()
        return steps

    def _ground(self, config: dict[str, Any], steps: tuple[Step, ...]) -> Prepared:
        try:
            ground = Prepared(self.name, self.kind, config)
            for step in steps:
                ground.call(step)
        except (Endless, Misconduct) as error:
            raise Unprepared(_preparations(config, steps), error) from error
        return ground

    @staticmethod
    def _pages(ground: Prepared, config: dict[str, Any], steps: tuple[Step, ...]) -> int:
        """How many pages the driver has published after the last of *steps*; too many, if that
        failed."""
        try:
            ground.call(steps[-1])
        except (Endless, Misconduct) as error:
            raise Unprepared(_preparations(config, steps), error) from error
        except Exception:  # noqa: BLE001  what fails alone is for the scenes to find
            return MOST_PAGES + 1
        return len(ground.pages())

    def _grower(self) -> Operation:
        return self.random.choice(self._growers if self.random.random() < 0.75 else self.verbs)

    def step(self, verb: Operation | None = None, do: Any = "call", *, least: bool = False) -> Step:
        """One call, of *verb* or any, with arguments by chance; numbers as small as can be, if
        *least*, but not 0."""
        verb = verb or self.random.choice(self.verbs)
        values = arguments(verb, self.random)
        if least:
            values |= {one.name: _least(one) for one in verb.arguments if one.type is int}
        return Step(do=do, verb=verb.name, arguments=values)

    def users(self, name: str, do: Any = "call") -> Part:
        """A task that makes one to three calls."""
        count = self.random.randint(1, 3)
        first = self._first.pop(0) if self._first else None
        others = (None,) * (count - 1)
        return Part(name=name, steps=tuple(self.step(verb, do) for verb in (first, *others)))

    def named(self, name: str, verb: str) -> Part:
        """A task that calls *verb*."""
        return Part(name=name, steps=(self.step(operations(self.kind)[verb]),))


def verbs_of(kind: type[Any], declared: Declared) -> list[Operation]:
    """What users of a driver may do at any time."""
    left_out = {declared.teardown_of(kind), declared.worker_of(kind)}
    return [verb for name, verb in operations(kind).items() if name not in left_out]


def _preparations(config: dict[str, Any], steps: tuple[Step, ...]) -> Plan:
    return Plan(collision="preparations", config=config, prepare=steps, tasks=())


def arguments(verb: Operation, random: Random) -> dict[str, Any]:
    """A value for each argument of *verb*."""
    return {argument.name: _value(argument, random) for argument in verb.arguments}


def _least(argument: Argument) -> int:
    low, high = argument.limits
    return max(low, min(1, high))


def _value(argument: Argument, random: Random) -> Any:
    if argument.choices:
        return random.choice(argument.choices)
    if argument.type is bool:
        return random.random() < 0.5
    if argument.type is str:
        least = argument.bounds.get("min_length", 1)
        most = argument.bounds.get("max_length", least + SPREAD)
        return "".join(random.choices("abcdef", k=random.randint(least, most)))
    low, high = argument.limits
    # Small numbers as often as large ones, whatever the bounds.
    return low + int((high - low + 1) ** random.random()) - 1
