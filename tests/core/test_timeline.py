"""Tasks in simulated time: who has a CPU, who waits for what, and what has no end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from movable import Clock, Completion, Mutex, SpinLock, Timer, WorkQueue, point, relax
from movable.errors import Deadlock, Livelock
from movable.sched.timeline import HUNG, SECOND, Timeline
from movable.sched.turns import Cost

US = 1_000
Work = list[tuple[str, Callable[[], Any]]]


class Fixed:
    """Costs by label; what is not told takes a microsecond."""

    wake_up, hand_over, slice = 2 * US, 100, 10_000 * US

    def __init__(self, costs: dict[str, int], asleep: tuple[str, ...] = ()) -> None:
        self.costs, self.asleep = costs, asleep

    def point(self, owner: str, label: str) -> Cost:
        return Cost(self.costs.get(f"{owner}.{label}".strip("."), US), label in self.asleep)

    def work(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes just as long as it costs."""
    monkeypatch.setattr("movable.sched.timeline.SPREAD", 0.0)
    monkeypatch.setattr("movable.sched.timeline.TAIL", 0.0)


def timeline(cpus: int = 2, asleep: tuple[str, ...] = (), **costs: int) -> Timeline:
    """Costs of labels in microseconds."""
    return Timeline(Fixed({name: n * US for name, n in costs.items()}, asleep), cpus, 0)


def steps(label: str, times: int) -> Callable[[], None]:
    """A task that passes so many points."""

    def work() -> None:
        for _ in range(times):
            point(label)

    return work


@pytest.mark.parametrize(("cpus", "expected"), [(1, 300), (2, 200), (3, 100)])
def test_tasks_share_the_cpus_that_there_are(cpus: int, expected: int) -> None:
    """Three tasks of 100 us each."""
    line = timeline(cpus, long=10)
    line.play([(name, steps("long", 10)) for name in "abc"])

    assert line.now == pytest.approx(expected * US, rel=0.15)


def test_who_is_behind_goes_on() -> None:
    """Short steps of one go into a long one of the other."""
    line, log = timeline(long=105, short=10), list[str]()

    def work(label: str, times: int) -> Callable[[], None]:
        def do() -> None:
            for _ in range(times):
                log.append(label[0])
                point(label)

        return do

    line.play([("a", work("long", 3)), ("b", work("short", 20))])

    assert "".join(log) == "l" + "s" * 11 + "l" + "s" * 9 + "l"


def test_a_sleeper_leaves_its_cpu_to_others() -> None:
    """On one CPU, who sleeps and who works are done after the longer of both."""
    line = timeline(1, long=10)
    line.play([("sleeps", lambda: line.sleep(1_000 * US)), ("works", steps("long", 90))])

    assert line.now == pytest.approx(1_000 * US, rel=0.02)


def test_an_answer_that_is_waited_for_asleep_takes_no_cpu() -> None:
    """A host's, for example; a step of the same length takes it."""
    ends = {}
    for asleep in ((), ("answered",)):
        line = timeline(1, asleep, answered=900, long=10)
        line.play([("asks", steps("answered", 1)), ("works", steps("long", 80))])
        ends[asleep] = line.now

    assert ends["answered",] == pytest.approx(900 * US, rel=0.02)
    assert ends[()] == pytest.approx(1_700 * US, rel=0.02)


def test_who_waits_for_a_lock_is_passed_by_others_and_says_how_long() -> None:
    """And in whose code."""
    line, mutex = timeline(3, held=500, long=10), Mutex("m 7")
    ended: dict[str, int] = {}

    def holds() -> None:
        with mutex:
            point("held")

    def waits() -> None:
        with line.inside("driver"):
            line.sleep(8 * US)
            with mutex:
                ended["waits"] = line.reached()

    def works() -> None:
        steps("long", 20)()
        ended["works"] = line.reached()

    line.play([("holds", holds), ("waits", waits), ("works", works)])

    assert ended["works"] < ended["waits"] == pytest.approx(502 * US, rel=0.01)
    assert line.stalled["waits", "driver", "m"] == 494 * US


def test_who_spins_keeps_the_cpu() -> None:
    """So a third task has none on two CPUs, until the lock is let go of."""
    line, lock = timeline(2, held=500, long=10), SpinLock("s")
    ended: dict[str, int] = {}

    def holds() -> None:
        with lock:
            point("held")

    def spins() -> None:
        point("begins")
        with lock:
            ended["spins"] = line.reached()

    def works() -> None:
        line.sleep(50 * US)
        point("long")
        ended["works"] = line.reached()

    line.play([("holds", holds), ("spins", spins), ("works", works)])

    assert ended["spins"] == pytest.approx(500 * US, rel=0.01)
    assert ended["works"] > 500 * US
    assert line.stalled["works", "", "a CPU"] == 500 * US


def test_a_time_slice_comes_to_its_end_unless_a_spinning_lock_is_held() -> None:
    """After 10 ms others get the CPU."""
    for lock in (None, SpinLock("s")):
        line, begun = timeline(1, long=1_000), dict[str, int]()

        def works(lock: SpinLock | None = lock) -> None:
            if lock:
                lock.lock()
            steps("long", 40)()
            if lock:
                lock.unlock()

        def waits(line: Timeline = line, begun: dict[str, int] = begun) -> None:
            begun["waits"] = line.reached()

        line.play([("works", works), ("waits", waits)])
        assert begun["waits"] == (40_000 if lock else 10_000) * US


def test_timers_go_off_on_time_whoever_works() -> None:
    """Their clock goes on from what it reads, and reads what the time is."""
    clock, read = Clock(), dict[str, int]()
    clock.advance(77)
    line = Timeline(Fixed({"long": 1_000 * US}), 1, 0, [clock])
    done = Completion("the answer")
    timer = Timer(clock, done.complete, "host")

    def asks() -> None:
        timer.mod(clock.now + 40 * US)
        done.wait_for_completion()
        read["asks"] = line.reached()

    line.play([("asks", asks), ("works", steps("long", 1))])
    assert read["asks"] == pytest.approx(1_000 * US, rel=0.01)  # on one CPU, which is taken

    line = Timeline(Fixed({}), 1, 0, [clock])
    line.play([("asks", asks)])
    assert read["asks"] == 42 * US
    assert clock.now == pytest.approx(1_042 * US, rel=0.01)


def test_a_timer_interrupts_who_works() -> None:
    """At its time, though the only CPU is taken and nobody waits."""
    clock, read = Clock(), list[int]()
    line = Timeline(Fixed({"short": 10 * US}), 1, 0, [clock])
    timer = Timer(clock, lambda: read.append(clock.now))

    def works() -> None:
        timer.mod(45 * US)
        for _ in range(10):
            point("short")
            read.append(clock.now)

    line.play([("works", works)])
    assert read == [*(n * 10 * US for n in (1, 2, 3, 4)), 45 * US, *range(50_000, 101_000, 10_000)]


def test_what_is_left_for_later_is_a_task_that_is_woken() -> None:
    """And the run is for it, too."""
    line, queue, done = timeline(), WorkQueue("later"), list[int]()
    line.play([("user", lambda: queue.queue(lambda: done.append(line.reached())))])

    assert done == [2 * US]


def test_who_spins_for_others_lets_the_time_pass_that_they_need() -> None:
    """Without going round a thousand times."""
    line, over = timeline(), list[bool]()

    def spins() -> None:
        while not over:
            relax("not yet")

    def works() -> None:
        line.sleep(SECOND)
        over.append(True)

    line.play([("spins", spins), ("works", works)])
    assert line.now == pytest.approx(SECOND, rel=0.01)
    assert line.steps < 20


def test_the_background_ends_when_all_others_have() -> None:
    """It may be woken before its time."""
    line, woken = timeline(), list[int]()
    wanted: list[str] = []

    def daemon() -> None:
        while not line.over:
            line.sleep(10 * SECOND, lambda: bool(wanted) or line.over)
            if wanted:
                woken.append(line.reached())
                wanted.clear()

    def user() -> None:
        point("works")
        wanted.append("something")
        line.sleep(SECOND)

    line.play([("user", user)], [("daemon", daemon)])
    assert woken == [3 * US]
    assert line.now == pytest.approx(SECOND, rel=0.01)


def test_a_deadlock_says_who_waits_for_whom_though_daemons_go_on() -> None:
    """At once if it is a circle."""
    line, one, two = timeline(), Mutex("one"), Mutex("two")

    def takes(first: Mutex, second: Mutex) -> Callable[[], None]:
        def work() -> None:
            with first:
                line.sleep(SECOND)
                with second:
                    pass

        return work

    def daemon() -> None:
        while not line.over:
            line.sleep(SECOND, lambda: line.over)

    with pytest.raises(Deadlock, match="a waits for two, held by b, which waits for one, held by"):
        line.play([("a", takes(one, two)), ("b", takes(two, one))], [("daemon", daemon)])
    assert line.now < 10 * SECOND


def test_a_wait_that_nobody_ends_is_noticed_though_daemons_go_on() -> None:
    """After two minutes, as the kernel does."""
    line, never = timeline(), Completion("an answer")

    def daemon() -> None:
        while not line.over:
            line.sleep(SECOND, lambda: line.over)

    with pytest.raises(Deadlock, match="a waits for somebody to wake an answer"):
        line.play([("a", never.wait_for_completion)], [("daemon", daemon)])
    assert HUNG < line.now < HUNG + 2 * SECOND


def test_a_task_that_goes_on_for_ever_is_named() -> None:
    """With where it is."""
    line = timeline()
    line.limit = SECOND

    def spins() -> None:
        while True:
            relax("not empty")
            line.sleep(SECOND // 10)

    with pytest.raises(Livelock, match=r"no end .* after all should be over: a is at"):
        line.play([("a", spins)])


def test_what_a_task_raises_comes_out() -> None:
    """And the others are left where they are."""
    line = timeline()

    def raises() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        line.play([("a", steps("long", 100)), ("b", raises)])


def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else."""
    monkeypatch.setattr("movable.sched.timeline.SPREAD", 0.5)

    def ends(seed: int) -> int:
        line, mutex = Timeline(Fixed({"long": 10 * US}), 2, seed), Mutex("m")

        def work() -> None:
            for _ in range(20):
                with mutex:
                    point("long")

        line.play([(name, work) for name in "abc"])
        return line.now

    assert ends(1) == ends(1) != ends(2)
