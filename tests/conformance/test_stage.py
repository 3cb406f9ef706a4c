"""What a task of a plan does on the stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest

from conformance.third_party.vmw_balloon.movable_vmw_balloon import VmwBalloon
from movable import IsolateMode, MigrateMode, Page, hookimpl
from movable.conformance.declared import Declared
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.stage import Stage
from movable.mm.memory import Memory
from movable.sched import tasks
from movable.sched.exploration import Strategy
from movable.sched.strategies import Fifo, RandomWalk

ASYNC = Step(do="compact, without waiting")


def inflate(count: int, do: Any = "call") -> Step:
    """A call of the balloon's, which allocates with nothing locked."""
    return Step(do=do, verb="inflate", arguments={"count": count})


def stage(*parts: Part) -> Stage:
    """A balloon of two pages, and who uses it."""
    plan = Plan(collision="here", prepare=(inflate(2),), tasks=parts)
    return Stage("balloon", VmwBalloon, Declared.of(VmwBalloon), plan)


def test_who_is_short_of_memory_compacts_whenever_he_allocates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before each page, and nobody else does; also when the others come between."""
    compacted: Counter[str] = Counter()

    def count(memory: Memory) -> None:
        compacted[tasks.here.name] += 1

    monkeypatch.setattr(Memory, "compact_memory", count)
    short = Part(name="short", steps=(inflate(3, "call, short of memory"), inflate(1)))
    scene = stage(short, Part(name="well off", steps=(inflate(1),) * 3))
    try:
        walk = RandomWalk("0")
        orders: list[Strategy] = [Fifo(), *[walk] * 8]
        for order in orders:
            compacted.clear()
            assert scene.run(order) is None
            assert compacted == {"short": 3}
    finally:
        scene.close()


class Spy:
    """Writes down in which mode a driver is asked."""

    def __init__(self) -> None:
        self.modes: set[object] = set()

    @hookimpl(wrapper=True)
    def isolate_page(self, page: Page, mode: IsolateMode) -> Generator[None, Any, Any]:
        self.modes.add(mode & IsolateMode.ASYNC_MIGRATE)
        return (yield)

    @hookimpl(wrapper=True)
    def migratepage(self, page: Page, mode: MigrateMode) -> Generator[None, Any, Any]:
        self.modes.add(mode)
        return (yield)


def test_who_does_not_wait_says_so() -> None:
    """Drivers are told, and nothing is left isolated; so they can be held to not waiting."""
    scene, spy = stage(Part(name="cpu0", steps=(ASYNC,))), Spy()
    scene.mapping.attach(spy)
    try:
        assert scene.run(Fifo()) is None
        assert spy.modes == {IsolateMode.ASYNC_MIGRATE, MigrateMode.ASYNC}
        assert not any(page.isolated for page in scene.pages())
    finally:
        scene.mapping.detach(spy)
        scene.close()
