"""How the share of requests that succeed goes from round to round, and when variants part.

What is followed is every `allocate` phase inside a `repeat` that has a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from movable.experiment import model
from movable.experiment.measures import Measure, Outcome

if TYPE_CHECKING:
    from movable.experiment.record import Run

WINDOW = 3
"""Rounds over which a curve is averaged before two are compared, and for which they must be apart:
one lucky day is no trend."""

Curve: TypeAlias = NDArray[np.float64]
"""A row for each run, a column for each round: the share of requests that succeeded."""


def names(phases: Iterable[model.Phase]) -> list[str]:
    """What is followed, in the order of the file."""
    inside = (one for phase in phases if isinstance(phase, model.Repeat) for one in phase.phases)
    found = (one.name for one in inside if isinstance(one, model.Allocate) and one.name)
    return list(dict.fromkeys(found))


def success(outcome: Outcome, name: str) -> list[float]:
    """The share of the requests called *name* that were served whole, round by round."""
    rounds: dict[int, list[Mapping[str, Any]]] = {}
    for phase in outcome.phases:
        if phase.get("name") == name and "round" in phase:
            rounds.setdefault(phase["round"], []).append(phase)
    return list(map(_share, rounds.values()))


def measures(phases: Iterable[model.Phase]) -> dict[str, Measure]:
    """The end of each curve, and what came of requests that are made once, as measures."""
    listed = list(phases)
    meaning = "share of requests served whole in the last round"
    last = {f"success.{name}": Measure(meaning, partial(_last, name)) for name in names(listed)}
    once = (one.name for one in listed if isinstance(one, model.Allocate) and one.name)
    meaning = "share of requests served whole, all rounds together"
    named = dict.fromkeys([*once, *names(listed)])
    return {f"served.{name}": Measure(meaning, partial(_served, name)) for name in named} | last


def curves(runs: Sequence[Run], name: str) -> dict[str, Curve]:
    """The curve called *name* of every variant that has it, as far as all runs have come."""
    rows: dict[str, list[list[float]]] = {}
    for run in runs:
        if row := success(run.outcome, name):
            rows.setdefault(run.variant, []).append(row)
    rounds = min((len(row) for several in rows.values() for row in several), default=0)
    return {
        variant: np.array([row[:rounds] for row in several]) for variant, several in rows.items()
    }


def separated(one: Curve, other: Curve) -> int | None:
    """The first round from which on two curves are apart to the end; None if they are not.

    Apart: of the means over `WINDOW` rounds, the lowest of the one curve's runs is above the
    highest of the other's, for as many rounds at least. With two runs each, chance alone puts one
    curve above another in a third of all rounds.
    """
    first, second = smooth(one), smooth(other)
    apart = (first.min(0) > second.max(0)) | (first.max(0) < second.min(0))
    together = np.flatnonzero(~apart)
    since = int(together[-1]) + 1 if len(together) else 0
    return since if since <= max(len(apart) - WINDOW, 0) else None


def smooth(curve: Curve) -> Curve:
    """Each round's mean with the rounds before it, `WINDOW` in all."""
    rounds = range(curve.shape[1])
    means = [curve[:, max(0, last - WINDOW + 1) : last + 1].mean(1) for last in rounds]
    return np.stack(means, 1)


def separations(found: Mapping[str, Curve]) -> dict[tuple[str, str], int | None]:
    """For each two variants the round from which on they are apart."""
    listed = list(found)
    return {
        (one, other): separated(found[one], found[other])
        for number, one in enumerate(listed)
        for other in listed[number + 1 :]
    }


def document(runs: Sequence[Run], phases: Iterable[model.Phase]) -> dict[str, Any]:
    """All curves for a result file: shares by variant, run and round, and the pairs that part.

    `apart` has a row for each two variants; its last entry is the round, counted from 1, from which
    on they are apart, or None.
    """
    found = {name: curves(runs, name) for name in names(phases)}
    return {
        name: {
            "variants": {variant: curve.tolist() for variant, curve in by_variant.items()},
            "apart": [
                [*pair, None if first is None else first + 1]
                for pair, first in separations(by_variant).items()
            ],
        }
        for name, by_variant in found.items()
    }


def _share(phases: Sequence[Mapping[str, Any]]) -> float:
    answers = ("allocated", "failed", "in_single_pages")
    asked = sum(phase.get(answer, 0) for phase in phases for answer in answers)
    return sum(phase["allocated"] for phase in phases) / asked if asked else 0.0


def _served(name: str, outcome: Outcome) -> float:
    return round(_share([one for one in outcome.phases if one.get("name") == name]), 4)


def _last(name: str, outcome: Outcome) -> float:
    return round((success(outcome, name) or [0.0])[-1], 4)
