"""The phases of one variant in the order in which they are done, repeated ones written out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from movable.errors import BadInput, hint
from movable.experiment import model

Where = tuple[int, ...]
"""A phase's number in the file, and of one that is repeated also its number among those."""


class Step(NamedTuple):
    """One phase, once."""

    where: Where
    phase: model.Once
    round: int | None = None
    """Which repetition this is, from 0 on; None if the phase is not repeated."""

    @property
    def seeds(self) -> Where:
        """What tells its random numbers from those of all other steps."""
        first, *rest = self.where
        return (first,) if self.round is None else (first, self.round, *rest)


def written(where: Where) -> str:
    """Where a phase stands in the file: `phases[2].phases[0]`."""
    return ".".join(f"phases[{index}]" for index in where)


def phases(listed: Sequence[model.Phase]) -> Iterator[tuple[Where, model.Once]]:
    """All phases, once each."""
    for index, phase in enumerate(listed):
        if isinstance(phase, model.Repeat):
            yield from (((index, inner), one) for inner, one in enumerate(phase.phases))
        else:
            yield (index,), phase


def steps(listed: Sequence[model.Phase], variant: str) -> Iterator[Step]:
    """What is done in *variant*."""
    for index, phase in enumerate(listed):
        if not _has(phase, variant):
            continue
        if not isinstance(phase, model.Repeat):
            yield Step((index,), phase)
            continue
        inside = [(number, one) for number, one in enumerate(phase.phases) if _has(one, variant)]
        for again in range(phase.times):
            yield from (Step((index, number), one, again) for number, one in inside)


def check_only(place: str, listed: Sequence[model.Phase], variants: Iterable[str]) -> None:
    """Refuse a phase that is only for a variant that does not exist.

    :raises BadInput: there is one.
    """
    known = list(variants)
    outside = [((index,), phase) for index, phase in enumerate(listed)]
    for where, phase in [*outside, *phases(listed)]:
        for name in phase.only or ():
            if name not in known:
                problem = f"{written(where)}.only: no variant is called {name!r}"
                raise BadInput(place, problem, hint(name, known))


def _has(phase: model.Phase, variant: str) -> bool:
    return phase.only is None or variant in phase.only
