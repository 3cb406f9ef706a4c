"""Who runs next: chance, priorities, delays, and what a tape tells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import combinations

import pytest

from movable.errors import TapeDiverged
from movable.sched import point
from movable.sched.by_time import ByTime
from movable.sched.delays import Delays
from movable.sched.exploration import Deviation, Exploration, Strategy
from movable.sched.strategies import Fifo, Pct, RandomWalk
from movable.sched.told import Counted, Follow, Turn, Turns

Task = tuple[str, Callable[[], None]]


def tasks(log: list[str], *names: str, count: int = 2) -> list[Task]:
    """Tasks that pass *count* points each."""

    def work(name: str) -> Callable[[], None]:
        def steps() -> None:
            for number in range(count):
                log.append(name)
                point(f"{number}")

        return steps

    return [(name, work(name)) for name in names]


def order(strategy: Strategy, *names: str, count: int = 2, run: Exploration | None = None) -> str:
    """In which order the tasks did their steps."""
    log: list[str] = []
    (run or Exploration()).run(tasks(log, *names, count=count), strategy)
    return "".join(log)


def test_a_random_walk_takes_every_way() -> None:
    """There are six orders of two tasks of two steps, and each comes up about as it should: who is
    drawn at a point is drawn again at the next."""
    walk, run = RandomWalk(1), Exploration()

    seen = Counter(order(walk, "a", "b", run=run) for _ in range(2_000))

    assert set(seen) == {"aabb", "abab", "abba", "baab", "baba", "bbaa"}
    # Drawn at the start and at each point while both are there.
    assert abs(seen["aabb"] - 500) < 100
    assert abs(seen["abab"] - 250) < 80


def test_the_same_seed_walks_the_same_way() -> None:
    """And another does not."""

    def walked(seed: int) -> list[str]:
        walk, run = RandomWalk(seed), Exploration()
        return [order(walk, "a", "b", "c", run=run) for _ in range(20)]

    assert walked(7) == walked(7) != walked(8)


def test_pct_finds_what_needs_one_ordering_at_once() -> None:
    """With depth 1 each task runs to its end, whoever has the higher priority first."""
    pct, run = Pct(1, depth=1), Exploration()

    seen = Counter(order(pct, "a", "b", run=run) for _ in range(400))

    assert set(seen) == {"aabb", "bbaa"}
    assert abs(seen["aabb"] - 200) < 60


def test_pct_changes_priorities_at_measured_steps() -> None:
    """With depth 2 there is one change, anywhere in the steps that the schedules turned out to
    have."""
    pct, run = Pct(1, depth=2), Exploration()

    seen = {order(pct, "a", "b", count=20, run=run) for _ in range(600)}

    firsts = {len(one) - len(one.lstrip(one[0])) for one in seen}
    assert firsts >= set(range(1, 20))
    assert all(one.count("ab") + one.count("ba") <= 2 for one in seen)


def test_pct_lets_who_has_waited_take_over_again() -> None:
    """The highest that can go on runs, at every point."""
    from movable import Mutex

    mutex, log = Mutex("m"), list[str]()

    def low() -> None:
        with mutex:
            point("has it")
            log.append("low")
        point("let go")
        log.append("low later")

    def high() -> None:
        with mutex:
            log.append("high")

    class HighLast(Pct):
        def begin(self, run: Exploration) -> None:
            super().begin(run)
            self._priority = {0: 0.1, 1: 0.9}
            self._changes = [1 << 40, 2, 1]

    strategy = HighLast(1)
    Exploration().run([("low", low), ("high", high)], Delays([]))
    log.clear()
    Exploration().run([("low", low), ("high", high)], strategy)

    assert log[0] in ("low", "high")
    assert log.index("high") < log.index("low later")


@pytest.mark.parametrize("delays", [[], [2], [3], [2, 3], [2, 4]])
def test_delays_are_tried_where_they_are_told(delays: list[int]) -> None:
    """Each sends who runs to the end of the queue."""
    run = Exploration()

    order(Delays(delays), "a", "b", run=run)

    assert [deviation.step for deviation in run.deviations] == delays


def test_all_delays_together_take_every_way() -> None:
    """What a search with bounded delays leaves out it leaves out by their number alone."""
    seen = set()
    for count in range(4):
        for steps in combinations(range(1, 7), count):
            seen.add(order(Delays(steps), "a", "b"))

    assert seen >= {"aabb", "abab", "abba"}


def timed(seed: int, costs: dict[str, int], counts: dict[str, int]) -> list[str]:
    """Forty orders of tasks that pass so many points, each labelled with its task's name."""

    def work(name: str, log: list[str]) -> Callable[[], None]:
        def steps() -> None:
            for _ in range(counts[name]):
                log.append(name)
                point(name)

        return steps

    strategy, run, went = ByTime(seed, costs), Exploration(), []
    for _ in range(40):
        log: list[str] = []
        run.run([(name, work(name, log)) for name in counts], strategy)
        went.append("".join(log))
    return went


def test_by_time_many_short_steps_go_into_a_long_one() -> None:
    """Whatever chance adds, a task of ten short steps is done before another's second long one."""
    orders = timed(1, {"a": 100_000, "b": 10}, {"a": 3, "b": 10})

    assert all(one.endswith("aa") for one in orders)
    assert len({one.index("a") for one in orders}) > 1


def test_by_time_steps_of_one_kind_alternate() -> None:
    """But not exactly."""
    orders = timed(1, {}, {"a": 40, "b": 40})

    assert len(set(orders)) > 30
    assert all(one.count("ab") > 5 for one in orders)


def test_by_time_the_seed_decides() -> None:
    """And nothing else."""
    costs, counts = {"a": 70}, {"a": 10, "b": 10, "c": 10}

    assert timed(7, costs, counts) == timed(7, costs, counts) != timed(8, costs, counts)


def test_by_time_who_waited_goes_on_now() -> None:
    """Not at the time when it began to wait: what it does then takes its time, too."""
    from movable import Mutex

    orders = set()
    strategy, run = ByTime(3, {"holds": 90_000, "works": 500}), Exploration()
    for _ in range(40):
        mutex, log = Mutex("m"), list[str]()

        def holder(mutex: Mutex = mutex, log: list[str] = log) -> None:
            with mutex:
                point("has it")
                point("holds")
            for _ in range(20):
                log.append("h")
                point("works")

        def waiter(mutex: Mutex = mutex, log: list[str] = log) -> None:
            point("holds")
            with mutex:
                for _ in range(20):
                    log.append("w")
                    point("works")

        run.run([("holder", holder), ("waiter", waiter)], strategy)
        orders.add("".join(log))

    late = [one for one in orders if one[0] == "h"]
    assert late
    assert all("w" * 12 not in one.rstrip("w") for one in late)


# Tapes.


def test_following_goes_the_same_way_again() -> None:
    """Whatever the strategy was that went it first."""
    walk, run = RandomWalk(3), Exploration()
    for _ in range(50):
        went = order(walk, "a", "b", "c", count=4, run=run)
        told = run.deviations

        assert order(Follow(told), "a", "b", "c", count=4, run=run) == went
        assert run.deviations == told


def test_a_tape_that_no_longer_fits_says_where() -> None:
    """The step, what was expected there, and what was found."""
    told = [Deviation(2, "a", "0", "b"), Deviation(3, "b", "elsewhere", "a")]

    with pytest.raises(TapeDiverged) as error:
        order(Follow(told), "a", "b")

    assert str(error.value) == (
        "the tape no longer fits at step 3: expected b at 'elsewhere', found b at '0'"
    )


def test_a_tape_that_names_somebody_else_says_so() -> None:
    """A task that is not there, or cannot run."""
    with pytest.raises(TapeDiverged, match="expected c able to run"):
        order(Follow([Deviation(2, "a", "0", "c")]), "a", "b")


def test_a_tape_that_is_longer_than_the_schedule_says_so() -> None:
    """At its first turn that was not taken."""
    follow = Follow([Deviation(90, "a", "0", "b")])
    order(follow, "a", "b")

    with pytest.raises(TapeDiverged, match="step 90: expected a at '0', found the end"):
        follow.at_end()


def test_counted_deviations_are_turns_that_lead_the_same_way() -> None:
    """They tell by what happens, so that they outlive what is left out before them."""
    walk, run = RandomWalk(5), Exploration()
    for _ in range(50):
        went = order(walk, "a", "b", "c", count=4, run=run)
        counted = Counted(run.deviations)
        order(counted, "a", "b", "c", count=4, run=run)

        assert order(Turns(counted.turns), "a", "b", "c", count=4, run=run) == went


def test_turns_that_do_not_apply_are_left_out() -> None:
    """A shrunk plan may have no such point, or no such task."""
    turns = [Turn("a", "1", 1, "nobody"), Turn("a", "0", 9, "b")]

    assert order(Turns(turns), "a", "b") == order(Fifo(), "a", "b")


def test_the_nth_time_is_counted_from_the_turn_before() -> None:
    """So leaving out an early turn does not move the later ones."""
    log: list[str] = []

    def loop(name: str) -> Task:
        def work() -> None:
            for _ in range(4):
                log.append(name)
                point("round")

        return name, work

    turns = [Turn("a", "round", 2, "b"), Turn("b", "round", 1, "a")]
    Exploration().run([loop("a"), loop("b")], Turns(turns))

    assert "".join(log) == "aabaabbb"
