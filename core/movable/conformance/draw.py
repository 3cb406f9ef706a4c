"""Arguments for operations, drawn from a seed within their declared bounds."""

from __future__ import annotations

from random import Random
from typing import Any

from movable.operation import SPREAD, Argument, Operation


def arguments(verb: Operation, random: Random) -> dict[str, Any]:
    """A value for each argument of *verb*."""
    return {argument.name: _value(argument, random) for argument in verb.arguments}


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
