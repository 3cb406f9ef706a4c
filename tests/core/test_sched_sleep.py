"""Time that passes: sleepers, work that timers leave for later, and work that is cancelled."""

from __future__ import annotations

import pytest

from movable import Clock, SpinLock, Timer, WorkQueue, point, sleep
from movable.errors import ContractViolation, Deadlock
from movable.sched import Race
from movable.sched.work import pass_time


def test_a_sleeper_lets_time_pass() -> None:
    """Outside a race nobody else could; timers are called meanwhile."""
    clock, log = Clock(), list[int]()
    Timer(clock, lambda: log.append(clock.now), "early").mod(3)
    Timer(clock, lambda: log.append(clock.now), "late").mod(9)

    sleep(clock, 5)

    assert (clock.now, log) == (5, [3])


def test_in_a_race_others_run_meanwhile() -> None:
    """The sleeper waits for its timer, which is a task like any other."""
    clock, log, race = Clock(), list[str](), Race()

    def sleeper() -> None:
        sleep(clock, 5)
        log.append("awake")

    def other() -> None:
        for _ in range(3):
            point("step")
        log.append("other")

    asleep = race.task("sleeper", sleeper)
    busy = race.task("other", other)
    race.advance(asleep)
    assert not asleep.runnable
    busy.finish()
    race.run()

    assert log == ["other", "awake"]


def test_a_clock_that_is_driven_is_left_to_its_driver() -> None:
    """Who sleeps only waits; the driver knows when the time has come."""
    clock, race = Clock(), Race()
    clock.driven = True
    asleep = race.task("sleeper", sleep, clock, 5)
    race.advance(asleep)
    assert (clock.now, len(race.tasks)) == (0, 1)

    race.task("driver", clock.advance, 5).finish()
    race.run()

    assert asleep.done


def test_who_spins_must_not_sleep() -> None:
    """L10, and no time has passed."""
    clock = Clock()

    with SpinLock("lock"), pytest.raises(ContractViolation, match="L10"):
        sleep(clock, 5)

    assert (clock.now, clock.timers) == (0, [])


def test_work_is_done_when_its_timer_has_left_it() -> None:
    """Time and again, and at the right time; work that begins in time may end late."""
    clock, queue, log = Clock(), WorkQueue(), list[int]()

    def work() -> None:
        log.append(clock.now)
        sleep(clock, 4)
        timer.mod(clock.now + 6)

    timer = Timer(clock, lambda: queue.queue(work), "timer")
    timer.mod(2)

    assert pass_time(clock, 22) >= 3
    assert (log, clock.now) == ([2, 12, 22], 26)


def test_who_looks_before_time_passes_sets_his_timer_in_time() -> None:
    """What happened while the clock stood still happened then."""
    clock, log = Clock(), list[int]()
    timer = Timer(clock, lambda: log.append(clock.now), "timer")
    seen: list[bool] = []
    clock.before_it_goes_on.append(lambda: seen and seen.pop() and timer.mod(clock.now + 5))

    clock.advance(10)
    seen.append(True)
    clock.advance(3)
    clock.advance(20)

    assert log == [15]


def test_cancelled_work_is_not_done() -> None:
    """What was pending is taken back, and other work is not."""
    queue, log = WorkQueue(), list[str]()

    def first() -> None:
        log.append("first")

    def second() -> None:
        log.append("second")

    queue.queue(first)
    queue.queue(second)

    assert queue.cancel(first)
    assert not queue.cancel(first)
    queue.flush()
    assert log == ["second"]
    queue.queue(first)
    queue.cancel(first)
    assert len(queue) == 0


def test_work_that_runs_is_waited_for_and_cannot_queue_itself() -> None:
    """Afterwards it can be queued again."""
    queue, log, race = WorkQueue("queue"), list[bool](), Race()

    def work() -> None:
        point("at work")
        log.append(queue.queue(work))

    race.task("begin", queue.queue, work).finish()
    worker = race.tasks[1]
    worker.until("at work")
    canceller = race.task("cancel", queue.cancel, work)
    race.advance(canceller)
    assert not canceller.runnable

    worker.finish()
    assert canceller.finish() is False
    assert log == [False]
    assert queue.queue(work)
    queue.cancel(work)


def test_work_cannot_wait_for_its_own_end() -> None:
    """Nobody else could end it."""
    queue = WorkQueue()

    def work() -> None:
        queue.cancel(work)

    queue.queue(work)

    with pytest.raises(Deadlock):
        queue.flush()
