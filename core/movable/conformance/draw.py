"""Arguments for operations, drawn from a seed within their declared bounds."""

from __future__ import annotations

from random import Random
from typing import Any

from movable.operation import SPREAD, Argument, Operation


def arguments(verb: Operation, random: Random) -> dict[str, Any]:
    """A value for each argument of *verb*."""
    return {argument.name: _value(argument, random) for argument in verb.arguments}


def limits(argument: Argument) -> tuple[int, int]:
    """The least and the greatest number that *argument* allows, or that is drawn for it."""
    bounds = argument.bounds
    low = bounds.get("ge", bounds.get("gt", -1) + 1)
    return low, bounds.get("le", bounds.get("lt", low + SPREAD + 1) - 1)


def _value(argument: Argument, random: Random) -> Any:
    if argument.choices:
        return random.choice(argument.choices)
    if argument.type is bool:
        return random.random() < 0.5
    if argument.type is str:
        least = argument.bounds.get("min_length", 1)
        most = argument.bounds.get("max_length", least + SPREAD)
        return "".join(random.choices("abcdef", k=random.randint(least, most)))
    low, high = limits(argument)
    # Small numbers as often as large ones, whatever the bounds.
    return low + int((high - low + 1) ** random.random()) - 1
