"""Invariants that drivers declare, asked in schedules when they must hold and not before."""

from __future__ import annotations

from typing import Any

import pytest

from movable import invariant, operation, point, sched
from movable.errors import AuditFailed
from oracles.cupboard import Cupboard
from oracles.scenes import breaks, scene_of


class Declares(Cupboard):
    """Has one invariant of each kind; *wrong* says which does not hold."""

    wrong: object = None

    @invariant
    def holds_at_rest(self) -> object:
        """Nothing is wrong at rest."""
        if isinstance(self.wrong, Exception):
            raise self.wrong
        return self.wrong


@pytest.mark.parametrize(
    ("wrong", "detail"),
    [
        (False, "holds_at_rest: holds_at_rest does not hold: Nothing is wrong at rest"),
        ("two too many", "holds_at_rest: two too many"),
        (AssertionError("three"), "holds_at_rest: three"),
        (AuditFailed("cupboard", "four"), "holds_at_rest: four"),
    ],
)
def test_an_invariant_that_does_not_hold_at_rest_is_a_violation(wrong: object, detail: str) -> None:
    """I20: when the operation has returned."""
    with scene_of(Declares) as scene:
        setattr(scene.cupboard, "wrong", wrong)  # noqa: B010
        with breaks("I20", detail):
            scene.cupboard.look()


class HalfWay(Cupboard):
    """Is in order only while nobody is inside."""

    @operation
    def look(self) -> None:
        self.isolated_pages += 1
        point("looking")
        self.isolated_pages -= 1


def test_an_invariant_is_not_asked_while_somebody_is_inside() -> None:
    """Wherever the others are in between."""
    with scene_of(HalfWay) as scene:
        user = scene.race.task("user", scene.cupboard.look)
        user.until("looking")
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        compactor.until("isolate unlocked")
        scene.end()


class Always(HalfWay):
    @invariant(always=True)
    def nothing_is_half_done(self) -> bool:
        """Not even inside."""
        return self.isolated_pages == 0 or any(page.isolated for page in self.handles.values())


def test_an_invariant_that_holds_always_is_asked_at_every_point() -> None:
    """I20: inside too, where it is broken."""
    with scene_of(Always) as scene, breaks("I20", "point 'looking': nothing_is_half_done"):
        scene.cupboard.look()


def test_without_audits_only_what_holds_always_is_asked() -> None:
    """The quickest way through many schedules."""
    with scene_of(Declares, audits="never") as scene:
        setattr(scene.cupboard, "wrong", False)  # noqa: B010
        scene.cupboard.look()
        scene.oracles.at_end()


class Tidies(Cupboard):
    """Leaves work for later, in the midst of which its books are wrong."""

    def __init__(self, memory: Any) -> None:
        super().__init__(memory)
        self.worker = sched.WorkQueue("tidy")

    @operation
    def look(self) -> None:
        self.worker.queue(self.tidy)

    def tidy(self) -> None:
        self.isolated_pages += 1
        point("tidying")
        self.isolated_pages -= 1


def test_an_invariant_is_not_asked_while_work_is_half_done() -> None:
    """Nobody is in an operation, and yet somebody is inside."""
    with scene_of(Tidies) as scene:
        scene.race.task("user", scene.cupboard.look).finish()
        scene.race.tasks[-1].until("tidying")
        compactor = scene.race.task("compactor", scene.memory.compact_memory)
        compactor.until("isolate unlocked")
        scene.end()
