"""A cupboard watched by oracles, and what it means that a rule is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from movable import sched
from movable.errors import ContractViolation
from movable.mm.memory import Memory
from movable.oracles import Oracles
from movable.sched import Race
from movable.sched.tasks import MAIN
from oracles.cupboard import Cupboard, room


class Scene:
    """A cupboard in a room, with the oracles watching."""

    def __init__(self, kind: type[Cupboard] = Cupboard, **options: Any) -> None:
        self.memory: Memory = room()
        self.cupboard = kind(self.memory)
        self.memory.add_mapping(self.cupboard.mapping)
        self.cupboard.store(3)
        self.oracles = Oracles(self.memory, [self.cupboard], **options)
        self.oracles.attach()
        self.race = Race()

    def end(self) -> None:
        self.race.run()
        self.oracles.at_end(self.race.tasks)


@contextmanager
def scene_of(kind: type[Cupboard] = Cupboard, **options: Any) -> Iterator[Scene]:
    scene = Scene(kind, **options)
    try:
        yield scene
    finally:
        scene.oracles.detach()
        MAIN.forget_locks()
    assert not sched.active


@contextmanager
def breaks(rule: str, detail: str = "") -> Iterator[None]:
    """What is done here breaks *rule*."""
    with pytest.raises(ContractViolation) as error:
        yield
    assert error.value.rule == rule, error.value
    assert detail in str(error.value)
