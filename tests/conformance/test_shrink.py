"""What goes wrong is made small, and goes wrong still."""

from __future__ import annotations

import pytest

from conformance.races import Waits, Walks, search
from movable.conformance.hunt import Found, hunt, rule_of
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.shrink import Shrinker, smaller
from movable.conformance.stage import Stage
from movable.sched.told import Follow
from movable_balloon import Balloon

DRIVERS: dict[type[Balloon], str] = {Walks: "I08", Waits: "L05"}


FOUND: dict[type[Balloon], tuple[Found, Found]] = {}


def found(kind: type[Balloon]) -> tuple[Found, Found]:
    """What a random search finds, and the same made small."""
    if kind in FOUND:
        return FOUND[kind]
    sought = search(kind, "random")
    large = hunt(sought, [(number, 320) for number in range(1, 6)], stop=True).found[0]
    FOUND[kind] = large, Shrinker(sought, large).shrink()
    return FOUND[kind]


def size(plan: Plan) -> tuple[int, int, int]:
    """Tasks, what they do, and what is done before."""
    return len(plan.tasks), sum(len(part.steps) for part in plan.tasks), len(plan.prepare)


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_small_finding_breaks_the_same_rule(kind: type[Balloon]) -> None:
    """Played as it is told, with the message that is told."""
    _, small = found(kind)
    stage = Stage("small", kind, search(kind).declared, small.plan)
    try:
        error = stage.run(Follow(small.deviations), small.lock_rules)
    finally:
        stage.close()

    assert error
    assert rule_of(error) == small.rule == DRIVERS[kind]
    assert str(error).rpartition("[")[2] == small.message.rpartition("[")[2]


@pytest.mark.parametrize("kind", DRIVERS)
def test_it_is_smaller(kind: type[Balloon]) -> None:
    """In tasks, calls, preparations and turns; ten turns are enough for anybody."""
    large, small = found(kind)

    assert all(now <= then for now, then in zip(size(small.plan), size(large.plan), strict=True))
    assert size(small.plan) < size(large.plan)
    assert len(small.deviations) < len(large.deviations)
    assert len(small.deviations) <= 10


def test_nothing_is_left_that_is_not_needed() -> None:
    """One compactor, one who deflates, one page, and few turns; and what is small stays so."""
    _, small = found(Walks)

    assert [str(part.steps[0]) for part in small.plan.tasks] == ["compact", "deflate(count=1)"]
    assert {len(part.steps) for part in small.plan.tasks} == {1}
    assert [str(step) for step in small.plan.prepare] == ["inflate(count=1)"]
    assert len(small.deviations) <= 3
    again = Shrinker(search(Walks, "random"), small).shrink()
    assert (again.plan, len(again.deviations)) == (small.plan, len(small.deviations))


def test_shrinking_is_the_same_each_time() -> None:
    """It draws nothing."""
    large, small = found(Walks)

    assert Shrinker(search(Walks, "random"), large).shrink() == small


def test_plans_with_one_thing_less() -> None:
    """A task, a call, a number, a preparation; never no task, and never no call."""
    call = Step(do="call", verb="inflate", arguments={"count": 5, "slowly": True})
    compact = Part(name="cpu0", steps=(Step(do="compact"),))
    plan = Plan(
        collision="x", prepare=(call,), tasks=(compact, Part(name="user0", steps=(call, call)))
    )

    less = list(smaller(plan))

    assert [len(one.tasks) for one in less[:2]] == [1, 1]
    assert sum(len(one.prepare) == 0 for one in less) == 1
    assert all(part.steps for one in less for part in one.tasks)
    counts = {step.arguments["count"] for one in less for step in one.prepare}
    assert counts == {1, 2, 4, 5}
    assert plan not in less
