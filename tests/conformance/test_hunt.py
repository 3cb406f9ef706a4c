"""Hunts: what is planted is found, and what is played depends on the seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from conformance.races import Waits, Walks, search
from movable import AddressSpace, MigrateMode, Page, hookimpl
from movable.conformance.check import FAILED, Check
from movable.conformance.collisions import plan_number
from movable.conformance.declared import Declared
from movable.conformance.hunt import (
    MOST_OF_A_PLAN,
    SCHEDULES_OF_A_PLAN,
    WITH_LOCK_RULES,
    Hunt,
    Orders,
    hunt,
    play_plan,
    rule_of,
)
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.races import Races
from movable.conformance.stage import Stage
from movable.conformance.strategies import STRATEGIES
from movable.errors import AuditFailed, BadInput, ContractViolation, Deadlock, Livelock
from movable.sched import point, relax
from movable.sched.delays import DelayBounded
from movable.sched.exploration import Exploration
from movable_balloon import Balloon

FOUR_PLANS = 4 * SCHEDULES_OF_A_PLAN


def played(kind: type[Balloon], schedules: int = 64, **how: Any) -> Hunt:
    """The first *schedules* of each of five plans."""
    return hunt(search(kind, **how), [(number, schedules) for number in range(5)])


def test_it_finds_a_list_that_is_walked_without_its_lock() -> None:
    """Who walks on comes to a page that the VM has isolated meanwhile."""
    found = hunt(search(Walks), search(Walks).shares(FOUR_PLANS)).found

    assert [one.rule for one in found] == ["I08"]
    assert found[0].deviations
    in_its_plan = (found[0].schedule - 1) % SCHEDULES_OF_A_PLAN
    assert found[0].lock_rules is (in_its_plan < WITH_LOCK_RULES)


def test_single_delays_chance_and_priorities_take_turns() -> None:
    """So that no plan is left before each has been tried; delays until there are no more."""
    plan = plan_number(3, "balloon", Balloon, Declared.of(Balloon), 0)
    assert plan
    stage = Stage("balloon", Balloon, Declared.of(Balloon), plan)
    orders, kinds = Orders(stage.exploration, search(Balloon), "0"), list[str]()
    try:
        with closing(iter(orders)) as each:
            for order in each:
                assert stage.run(order) is None
                kinds.append(type(order).__name__)
                if kinds[-3:].count("Delays") == 0 and len(kinds) > 3:
                    break
    finally:
        stage.close()

    alone = kinds[-3:]
    assert set(alone) == {"RandomWalk", "Pct"}
    assert orders.complete == 1
    assert set(kinds[:-3:2]) == {"Delays"}
    assert set(kinds[1:-3:4]) == {"RandomWalk"}
    assert set(kinds[3:-3:4]) == {"Pct"}


def test_it_finds_a_lock_that_need_not_collide() -> None:
    """The rules about locks are learned from one order; so the very first may tell."""
    found = hunt(search(Waits), [(5, 64)]).found[0]  # somebody inflates it meanwhile

    assert found.rule == "L05"
    assert found.lock_rules
    assert "conf_mutex" in found.message
    assert "allocates with conf_mutex held in Balloon._allocate" in found.message


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_each_strategy_finds_it(strategy: str) -> None:
    """Some sooner than others."""
    times = hunt(search(Walks, strategy, depth=5), [(2, 1_500)]).times

    assert "I08" in times


def test_it_finds_nothing_where_nothing_is() -> None:
    """The balloon as it is."""
    assert not played(Balloon).times


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_same_seed_is_the_same_hunt(strategy: str) -> None:
    """To the last pair of points; another seed has other plans."""
    first = played(Walks, 24, strategy=strategy)
    # Compared apart from the assertion, which would spell out how two hunts differ.
    same = first == played(Walks, 24, strategy=strategy)
    other = first == played(Walks, 24, strategy=strategy, seed=1)

    assert (same, other) == (True, False)


def test_parts_make_the_whole() -> None:
    """It is no matter how plans are spread over processes."""
    sought = search(Walks)
    shares = sought.shares(FOUR_PLANS + 100)
    whole, parts = hunt(sought, shares), Hunt()
    for share in shares:
        parts.add(hunt(sought, [share]))

    # Compared apart from the assertion, which would spell out how two hunts differ.
    same = whole == parts
    assert same


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("schedules", [0, 1, 320, 321, 2_000])
def test_shares_make_what_was_asked_for(strategy: str, schedules: int) -> None:
    """No plan twice, none with more than its quota."""
    sought = search(Balloon, strategy)
    shares = sought.shares(schedules)

    assert sum(count for _, count in shares) == schedules
    assert [number for number, _ in shares] == list(range(len(shares)))
    assert all(0 < count <= MOST_OF_A_PLAN for _, count in shares)


def test_what_was_asked_for_is_played() -> None:
    """All of it, plan by plan."""
    hunted = hunt(search(Balloon, "random"), [(0, 3), (1, 5)])

    assert hunted.schedules == 8
    assert hunted.plans == {"two compactors": 1, "compactor and user": 1}
    assert hunted.steps >= 80
    assert not hunted.pairs - hunted.reachable
    assert 1 < len(hunted.orders) <= 8


def test_an_unknown_strategy_is_refused() -> None:
    """With those that there are."""
    with pytest.raises(BadInput, match="there is no 'randon'"):
        hunt(search(Balloon, "randon"), [])


@pytest.mark.parametrize(
    ("error", "rule"),
    [
        (ContractViolation("I10", "page", "hook", "why"), "I10"),
        (Deadlock("all wait"), "I19"),
        (Livelock("no end"), "I17"),
        (AuditFailed("host", "why"), "invariants"),
        (ZeroDivisionError(), "operations"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_each_error_is_about_a_rule(error: Exception, rule: str) -> None:
    """So that two of a kind are counted as one; and a report knows what it is about."""
    assert rule_of(error) == rule
    assert Check(rule, FAILED, "").about


# Delays, and what they are complete for.


def orders(most: int, points: int = 3) -> Iterator[tuple[DelayBounded, str]]:
    """Play two tasks in every order with up to *most* delays: what has been tried, and the order in
    which the tasks went."""
    run, log = Exploration(), list[str]()

    def work(name: str) -> Any:
        def steps() -> None:
            for number in range(points):
                log.append(name)
                point(f"{number}")

        return name, steps

    tried = DelayBounded(most)
    for order in tried:
        log.clear()
        run.run([work("a"), work("b")], order)
        yield tried, "".join(log)


def test_without_delays_there_is_one_order() -> None:
    """And it is all there is, as soon as it is played."""
    assert [(tried.complete, went) for tried, went in orders(0)] == [(0, "aaabbb")]


def test_delays_are_complete_when_the_last_was_played() -> None:
    """Not before: what has not been played is not claimed."""
    seen = [(tried.complete, went) for tried, went in orders(1)]

    assert [went for _, went in seen[:3]] == ["aaabbb", "abbbaa", "aabbba"]
    assert {complete for complete, _ in seen[1:-1]} == {0}
    assert seen[-1][0] == 1


@pytest.mark.parametrize("points", [1, 3, 5])
def test_there_are_as_many_orders_as_there_are_places_for_delays(points: int) -> None:
    """None is played twice, and no delay is tried where nobody else could run: b's points are no
    places before a was delayed, and a's are none behind the point where it was."""
    counted = [len(list(orders(most, points))) for most in range(4)]

    one, two = points, points**2
    three = points * sum(range(points))
    assert counted == [1, 1 + one, 1 + one + two, 1 + one + two + three]


def test_more_delays_are_more_orders() -> None:
    """With enough of them, all twenty orders of two times three steps that a begins, and its
    last step may come first."""
    few, many = ({went for _, went in orders(most)} for most in (1, 4))

    assert few < many
    assert {went for went in many if went[0] == "a"} == many


def test_a_hunt_is_complete_for_what_all_its_plans_are() -> None:
    """The least of them counts; a search that tries no delays claims nothing."""

    def complete(strategy: str, schedules: int, depth: int = 1) -> int | None:
        sought = search(Balloon, strategy, depth=depth)
        return Races(sought, hunt(sought, [(0, schedules), (1, 400)]), ()).complete_for_delays

    assert complete("delays", 400) == 1
    assert complete("delays", 5) == 0
    assert complete("delays", 1) is None
    assert complete("mix", 320) == 1
    assert complete("fifo", 1) == 0
    assert complete("random", 20) is None


# An order of each kind, and orders by time.


@pytest.mark.parametrize("twice_every", [160, 1])
def test_a_plan_is_exhausted_when_an_order_of_each_kind_was_played(
    twice_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is told to stop earlier claims nothing; what is played again in between is not learned
    from."""
    monkeypatch.setattr("movable.conformance.hunt.TWICE_EVERY", twice_every)
    sought = search(Balloon, "dpor")
    count = {"count": 1}
    plan = Plan(
        collision="compactor and user",
        prepare=(Step(do="call", verb="inflate", arguments=count),),
        tasks=(
            Part(name="user0", steps=(Step(do="call", verb="deflate", arguments=count),)),
            Part(name="cpu0", steps=(Step(do="compact"),)),
        ),
    )
    all_, few = Hunt(), Hunt()
    for schedules, played in ((400, all_), (5, few)):
        play_plan(sought, plan, ("seed", schedules, False), played)

    assert (all_.exhausted, few.exhausted) == (1, 0)
    assert (few.schedules, all_.schedules) == (5, 11)
    assert "1 plans in an order of each kind" in str(Races(sought, all_, ()))


def test_by_time_what_a_driver_says_about_its_costs_counts() -> None:
    """A host that takes no time is told in other orders than one that does."""
    slow = search(Balloon, "time", seed=0)
    quick = replace(slow, declared=replace(slow.declared, costs={}))

    assert hunt(slow, [(1, 40)]).orders != hunt(quick, [(1, 40)]).orders


# Drivers that spin.


class Spins(Balloon):
    """It waits in a loop for what only another task could do, and none does."""

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        while True:
            relax("waiting for better days")


def test_a_schedule_without_end_is_found() -> None:
    """And the next one is played as if nothing had been."""
    hunted = hunt(search(Spins, "random"), [(0, 20)])

    assert hunted.times == {"I17": 20}
    assert "no end after" in hunted.found[0].message
