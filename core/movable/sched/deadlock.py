"""Reports about a race that comes to no end: who waits for whom, or who goes round in which circle.

Nothing here decides whether a race is stuck; that is for whoever drives it. A task is anything with
a name, the labels it has passed, and what it waits for; what is waited for says in `called` what it
is, and in `holders` who must act first, if it knows ("held by" them, or what `held_how` says).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

FURTHEST, PERIOD, ROUNDS = 4_000, 64, 3
"""How far back labels are looked at, the longest circle looked for, and how often one must have
been gone round."""


class Waiting(Protocol):
    """A task, as far as reports go (:class:`movable.sched.Task`)."""

    name: str
    labels: list[str]

    @property
    def awaited(self) -> object:
        """What it waits for; `None` while it waits for nothing."""
        ...


class Circle(NamedTuple):
    """Points that a task passes over and over: *labels* in order, *times* in a row."""

    labels: tuple[str, ...]
    times: int

    def __str__(self) -> str:
        return f"{', '.join(map(repr, self.labels))}, {self.times} times in a row"


# Deadlocks.


def called(awaited: object) -> str:
    """What is waited for, in a sentence."""
    return str(getattr(awaited, "called", awaited))


def holders(awaited: object) -> list[Waiting]:
    """Who must act before the wait can end; empty if what is waited for does not say."""
    return list(getattr(awaited, "holders", ()))


def cycle(tasks: Iterable[Waiting]) -> list[Waiting]:
    """Tasks each of which waits for the next, and the last for the first; empty if there are none.

    Where something is held by several (readers), each of them is looked at.
    """
    for task in tasks:
        found = _way_back(task, [task])
        if found:
            return found
    return []


def describe_deadlock(tasks: Sequence[Waiting]) -> str:
    """What to tell about *tasks*, those of a race that have not ended and cannot go on.

    The cycle first if there is one, as one sentence; then each task that is not part of it, with
    what it waits for, who holds that, and the last point that it has passed.
    """
    round_ = cycle(tasks)
    told = [_sentence(round_)] if round_ else []
    told += [_wait(task) for task in tasks if task not in round_]
    return "; ".join(told)


def _way_back(start: Waiting, way: list[Waiting]) -> list[Waiting]:
    for holder in holders(way[-1].awaited):
        if holder is start:
            return way
        if holder not in way and (found := _way_back(start, [*way, holder])):
            return found
    return []


def _sentence(round_: list[Waiting]) -> str:
    first, *others = round_
    waits = [f"waits for {called(task.awaited)}, {_how(task.awaited)}" for task in round_]
    links = [f"{wait} {task.name}" for wait, task in zip(waits, others, strict=False)]
    return f"{first.name} " + ", which ".join([*links, f"{waits[-1]} {first.name}"])


def _how(awaited: object) -> str:
    return str(getattr(awaited, "held_how", "held by"))


def _wait(task: Waiting) -> str:
    names = " and ".join(holder.name for holder in holders(task.awaited))
    held = f", {_how(task.awaited)} {names}" if names else ""
    where = f", after {task.labels[-1]!r}" if task.labels else ""
    return f"{task.name} waits for {called(task.awaited)}{held}{where}"


# Livelocks.


def circle(labels: Sequence[str]) -> Circle | None:
    """The shortest circle that *labels* end with, if it was gone round three times or more.

    A last round that is not complete is left out of the count.
    """
    recent = labels[-FURTHEST:]
    for period in range(1, min(PERIOD, len(recent) // ROUNDS) + 1):
        times = _repeated(recent, period) // period + 1
        if times >= ROUNDS:
            return Circle(tuple(recent[-period:]), times)
    return None


def describe_livelock(tasks: Sequence[Waiting]) -> str:
    """What to tell about *tasks* that pass points for ever: each one's circle, or where it is."""
    return "; ".join(f"{task.name} {_going(task)}" for task in tasks)


def _repeated(labels: Sequence[str], period: int) -> int:
    """How many labels at the end are as the one *period* before them."""
    behind = zip(reversed(labels), reversed(labels[:-period]), strict=False)
    return next((count for count, (a, b) in enumerate(behind) if a != b), len(labels) - period)


def _going(task: Waiting) -> str:
    if task.awaited is not None:
        return _wait(task).removeprefix(f"{task.name} ")
    found = circle(task.labels)
    if found:
        return f"goes round {found}"
    return f"is after {task.labels[-1]!r}, in no circle" if task.labels else "has passed no point"
