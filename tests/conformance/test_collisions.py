"""Plans of collisions: drawn from a seed, of every kind that the driver has operations for."""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from conformance.races import Waits, Walks
from movable import Memory, operation, point, sched
from movable.conformance import collisions, draw, stage
from movable.conformance.collisions import (
    COLLISIONS,
    Wanted,
    applicable,
    draw_plan,
    plan_number,
)
from movable.conformance.declared import Declared
from movable.conformance.draw import Draw
from movable.conformance.plan import ASYNC, COMPACT, PRESSED, PUT_BACK, Plan
from movable.conformance.stage import Stage
from movable.operation import operations
from movable.sched.strategies import Fifo
from movable_balloon import Balloon
from movable_gpu import Gpu
from movable_zsmalloc import Zram

DRIVERS = [Balloon, Zram]


def drawn(kind: type[Any], collision: str, seed: int = 0) -> Plan | None:
    name = kind.__name__.lower()
    return draw_plan(name, kind, Declared.of(kind), Wanted(collision), Random(seed))


def numbered(kind: type[Any], number: int, seed: int = 0) -> Plan | None:
    return plan_number(number, kind.__name__.lower(), kind, Declared.of(kind), seed)


def test_a_plan_is_told_by_seed_and_number() -> None:
    """Whatever was drawn before, in whichever process."""
    plans = [numbered(Balloon, n, seed) for seed in (0, 1) for n in (3, 2, 1)]
    again = [numbered(Balloon, n, seed) for seed in (0, 1) for n in (3, 2, 1)]

    assert plans == again
    assert len(set(map(str, plans))) == 6


def test_each_collision_has_its_turn() -> None:
    """As often as the others."""
    kinds = applicable(Balloon, Declared.of(Balloon))
    plans = [numbered(Balloon, n) for n in range(2 * len(kinds))]

    assert [plan.collision for plan in plans if plan] == kinds * 2


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_plan_keeps_within_bounds(kind: type[Any]) -> None:
    """Few pages, few calls, and a schedule that is neither over at once nor without end."""
    for collision in applicable(kind, Declared.of(kind)):
        plan = drawn(kind, collision)
        assert plan, collision
        assert plan.collision == collision
        assert 1 < len(plan.tasks) <= 3
        assert all(1 <= len(part.steps) <= 3 for part in plan.tasks)
        scene = Stage("drawn", kind, Declared.of(kind), plan)
        try:
            assert 1 <= len(scene.pages()) <= draw.MOST_PAGES
            assert scene.run(Fifo()) is None
            steps = scene.exploration.steps
        finally:
            scene.close()
        assert collisions.FEWEST_STEPS <= steps <= collisions.MOST_STEPS


@pytest.mark.parametrize(("rounds", "played"), [(stage.MOST_STEPS, False), (1 << 30, True)])
def test_what_takes_long_is_drawn_anew_and_what_has_no_end_is_played(
    rounds: int, played: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one says nothing about the driver, and the other all that there is to say."""
    monkeypatch.setattr(collisions, "ENDLESS", 4 * stage.MOST_STEPS)

    class Ponders(Balloon):
        inflate: ClassVar = None  # type: ignore[assignment]
        inflate_slowly: ClassVar = None  # type: ignore[assignment]

        @operation
        def deflate(self, count: int) -> int:
            for _ in range(rounds if sched.current() else 0):
                point("ponders")
            return super().deflate(count)

    plan = draw_plan("ponders", Ponders, Declared(), Wanted("compactor and user"), Random(0))

    assert (plan is not None) is played


def test_what_a_driver_cannot_do_does_not_collide() -> None:
    """No teardown, or no worker: no such collision."""

    class Eternal(Balloon):
        remove: ClassVar = None  # type: ignore[assignment]

    def missing(kind: type[Any]) -> set[str]:
        return set(COLLISIONS) - set(applicable(kind, Declared()))

    assert missing(Eternal) == {"teardown", "worker", "reclaim"}
    assert missing(Balloon) == {"worker", "reclaim"}
    assert "reclaim" not in missing(Zram)
    assert "reclaim" not in missing(Gpu)


def test_a_driver_without_operations_is_still_compacted() -> None:
    """But has no users who could collide; and if nothing happens then, there is no plan."""

    class Alone:
        def __init__(self, memory: Memory, config: object = None) -> None:
            self.mapping = Balloon(memory).mapping

    assert applicable(Alone, Declared()) == ["two compactors"]
    assert drawn(Alone, "two compactors") is None


def test_who_ends_the_device_is_no_user() -> None:
    """Users do everything else; the device ends in its own collision."""
    verbs = {
        step.verb
        for number in range(14)
        if (plan := numbered(Balloon, number))
        for part in plan.tasks
        if part.name.startswith("user")
        for step in (*plan.prepare, *part.steps)
    }

    assert verbs == set(operations(Balloon)) - {"remove"}


def test_who_does_what() -> None:
    """A compaction that is broken off puts back; one does not wait; who is short of memory compacts
    before he gets any; the teardown is one call."""

    def does(collision: str) -> dict[str, set[str]]:
        plan = drawn(Balloon, collision)
        assert plan
        return {part.name: {step.do for step in part.steps} for part in plan.tasks}

    assert does("a compaction broken off")["cpu0"] == {PUT_BACK}
    assert does("an asynchronous compactor")["cpu0"] == {ASYNC}
    assert does("allocations that compact")["user0"] == {PRESSED}
    assert does("two compactors") == {"cpu0": {COMPACT}, "cpu1": {COMPACT}}
    plan = drawn(Balloon, "teardown")
    assert plan
    assert str(plan.tasks[2]) == "teardown: remove()"


def test_tasks_meet_on_one_page_or_on_a_few() -> None:
    """Each kind of collision has its turn with either; and a driver that can have pages has some,
    however many of its operations make none."""
    kinds = len(applicable(Balloon, Declared.of(Balloon)))
    turns = [[pages(Balloon, number + kinds * turn) for turn in range(3)] for number in range(3)]

    assert all(pages(Gpu, number) for number in range(3))
    for counts in turns:
        least, more, most = sorted(counts)
        assert 1 <= least <= 2 <= more <= 4 <= most


def pages(kind: type[Any], number: int) -> int:
    """How many pages the driver has when the tasks of a plan begin."""
    plan = numbered(kind, number)
    assert plan
    scene = Stage("drawn", kind, Declared.of(kind), plan)
    try:
        return len(scene.pages())
    finally:
        scene.close()


def test_one_page_is_often_made_with_as_little_as_can_be() -> None:
    """The last of a page's users is then the first; but not always."""
    declared = Declared.of(Balloon)
    draws = [Draw("balloon", Balloon, declared, Random(seed)) for seed in range(12)]
    calls = [draw.prepare({}, 1) for draw in draws]
    least = [{count for step in steps for count in step.arguments.values()} for steps in calls]

    assert 2 <= least.count({1}) <= 10


def test_each_operation_begins_in_turn() -> None:
    """None is left to chance: who draws three of ten may miss one for long."""
    verbs = set(operations(Balloon)) - {"remove"}
    kinds = len(applicable(Balloon, Declared.of(Balloon)))
    plans = [numbered(Balloon, 1 + kinds * turn) for turn in range(len(verbs))]

    assert {plan.tasks[1].steps[0].verb for plan in plans if plan} == verbs


def test_variants_come_in_turn() -> None:
    """Each kind of collision is played with each of them, and without."""

    class Varied(Waits):
        class Conformance(Balloon.Conformance):
            config: ClassVar = {"allocate_under_lock": False}
            variants: ClassVar = ({"allocate_under_lock": True},)

    kinds = len(applicable(Varied, Declared.of(Varied)))
    for number in range(2):
        plans = [numbered(Varied, number + kinds * turn) for turn in range(2)]
        settings = [plan.config["allocate_under_lock"] for plan in plans if plan]
        assert sorted(settings) == [False, True]


def test_arguments_are_within_what_is_declared() -> None:
    """As everywhere."""

    class Choosy(Walks):
        @operation
        def inflate(self, count: Annotated[int, Field(ge=2, le=3)]) -> int:
            assert 2 <= count <= 3
            return super().inflate(count)

    for number in range(8):
        plan = numbered(Choosy, number)
        assert plan
        calls = [step for part in plan.tasks for step in (*plan.prepare, *part.steps)]
        assert {s.arguments["count"] for s in calls if s.verb == "inflate"} <= {2, 3}


def test_settings_are_those_declared() -> None:
    """A plan keeps them, so that a tape does."""
    declared = Declared(config={"allocate_under_lock": True})
    plan = draw_plan("waits", Waits, declared, Wanted("two compactors"), Random(0))

    assert plan
    assert plan.config == {"allocate_under_lock": True}
