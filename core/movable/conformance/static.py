"""What can be said about a driver without running it: its hooks, its operations, their bounds, its
invariants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from movable.check_hooks import hook_problems, missing_hooks
from movable.errors import DriverRefused
from movable.invariant import invariant_problems
from movable.operation import REQUIRED, Argument, operations


def problems(driver: type[Any]) -> Iterator[tuple[str, str]]:
    """Check and what is wrong, at most once for each check."""
    hooks = missing_hooks(driver) + hook_problems(driver)
    if hooks:
        yield "hooks", "; ".join(hooks)
    wrong = list(_operations(driver))
    if wrong:
        yield "operations", "; ".join(wrong)
    unasked = list(invariant_problems(driver))
    if unasked:
        yield "invariants", "; ".join(unasked)


def _operations(driver: type[Any]) -> Iterator[str]:
    try:
        declared = operations(driver)
    except DriverRefused as refusal:
        yield refusal.problem
        return
    if not declared:
        yield "it declares no @operation, so nobody can make it own a page"
    for verb in declared.values():
        for argument in verb.arguments:
            yield from (f"{verb.name}: {problem}" for problem in _ranges(argument))


def _ranges(argument: Argument) -> Iterator[str]:
    """Bounds that exclude each other, and a default that they exclude."""
    if argument.type is not int:
        return
    low, high = argument.limits
    if low > high:
        yield f"no number is allowed for {argument.name}: from {low} to {high}"
    elif argument.default is not REQUIRED and not low <= argument.default <= high:
        yield f"{argument.name} is {argument.default} by default, and may be {low} to {high}"
