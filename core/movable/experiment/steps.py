"""The phases of one variant in the order in which they are done, repeated ones written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from movable.errors import BadInput, hint
from movable.experiment import model

OF_A_TASK = 3
"""How many numbers say where a task's phase stands."""
Where = tuple[int, ...]
"""A phase's number in the file; of one that is repeated also its number among those, and of a
task's, the number of the task and its own among the task's."""


class Step(NamedTuple):
    """One phase, once."""

    where: Where
    phase: model.Once | model.Together
    round: int | None = None
    """Which repetition this is, from 0 on; None if the phase is not repeated."""

    @property
    def seeds(self) -> Where:
        """What tells its random numbers from those of all other steps."""
        first, *rest = self.where
        return (first,) if self.round is None else (first, self.round, *rest)


def written(where: Where) -> str:
    """Where a phase stands in the file: `phases[2].phases[0]`, `phases[2].tasks[1].phases[0]`."""
    return ".".join(f"{key}[{index}]" for key, index in parts(where))


def parts(where: Where) -> list[tuple[str, int]]:
    """Where a phase stands, with the key of each list that it stands in."""
    keys = ("phases", "tasks", "phases") if len(where) == OF_A_TASK else ("phases", "phases")
    return list(zip(keys, where, strict=False))


def phases(listed: Sequence[model.Phase]) -> Iterator[tuple[Where, model.Once]]:
    """All phases that do something by themselves, once each."""
    for index, phase in enumerate(listed):
        if isinstance(phase, model.Repeat):
            yield from (((index, inner), one) for inner, one in enumerate(phase.phases))
        elif isinstance(phase, model.Together):
            for number, task in enumerate(phase.tasks):
                yield from (((index, number, n), one) for n, one in enumerate(task.phases))
        else:
            yield (index,), phase


def steps(listed: Sequence[model.Phase], variant: str) -> Iterator[Step]:
    """What is done in *variant*."""
    for index, phase in enumerate(listed):
        if not has(phase, variant):
            continue
        if not isinstance(phase, model.Repeat):
            yield Step((index,), phase)
            continue
        inside = [(number, one) for number, one in enumerate(phase.phases) if has(one, variant)]
        for again in range(phase.times):
            yield from (Step((index, number), one, again) for number, one in inside)


def tasks(phase: model.Together, variant: str) -> list[tuple[int, model.Task]]:
    """The tasks that *variant* has, and their numbers in the file."""
    return [(number, task) for number, task in enumerate(phase.tasks) if has(task, variant)]


def has(phase: model.Phase | model.Task, variant: str) -> bool:
    """*variant* has this phase, or this task."""
    return phase.only is None or variant in phase.only


def check_only(place: str, listed: Sequence[model.Phase], variants: Iterable[str]) -> None:
    """Refuse a phase that is only for a variant that does not exist, and names that are not one's.

    :raises BadInput: there is one.
    """
    known = list(variants)
    for where, phase in _all(listed):
        for name in phase.only or ():
            if name not in known:
                problem = f"{where}.only: no variant is called {name!r}"
                raise BadInput(place, problem, hint(name, known))
    for index, phase in enumerate(listed):
        if isinstance(phase, model.Together):
            for variant in known or [""]:
                _check_tasks(f"{place}: phases[{index}].tasks", phase, variant)


def _check_tasks(place: str, phase: model.Together, variant: str) -> None:
    names = [task.name for _, task in tasks(phase, variant)]
    if not names:
        raise BadInput(place, f"variant {variant!r} has none", "leave the phase out of it")
    for name in names:
        if names.count(name) > 1:
            raise BadInput(place, f"two are called {name!r}", "give each a name of its own")


def _all(listed: Sequence[model.Phase]) -> Iterator[tuple[str, model.Phase | model.Task]]:
    for index, phase in enumerate(listed):
        yield f"phases[{index}]", phase
        if isinstance(phase, model.Together):
            for number, task in enumerate(phase.tasks):
                yield f"phases[{index}].tasks[{number}]", task
    yield from ((written(where), phase) for where, phase in phases(listed))
