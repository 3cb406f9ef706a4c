"""What a `Bench` and a `Stage` have in common: a memory with room here and there, and a driver."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

from movable.errors import OutOfMemory
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.page import Page


def scatter(memory: Memory, low: int) -> None:
    """Leave the lowest *low* frames free, and every other frame behind them.

    A block that is free as a whole would be no target for compaction.
    """
    taken: list[Page] = []
    with suppress(OutOfMemory):
        while True:
            taken.append(memory.alloc_page())
    taken.sort(key=lambda page: page.pfn)
    # What was freed last is allocated first.
    for page in reversed(taken[:low] + taken[low::2]):
        page.put()


def settings(kind: type[Any], config: Mapping[str, Any]) -> Any:
    """*config* as *kind* wants to be given it: what is not said there is its default."""
    table = deepcopy(dict(config))
    model = getattr(kind, "Config", None)
    return model.model_validate(table) if model else table or None


def make(machine: Machine, name: str, kind: type[Any], memory: Any, config: Any) -> Any:
    """A driver in *machine*, called *name*, that allocates from *memory*: the machine's, or what
    stands before it."""
    build: Any = lambda _, given: kind(memory, given)  # noqa: E731
    return machine.add(name, build, config)
