"""Timers and the clock they go by."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from movable import Clock, Mutex, SpinLock, Timer, WaitQueue, point
from movable.errors import BadInput, ContractViolation, Deadlock
from movable.sched import Race
from movable.sched.tasks import context

MS = 1_000_000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log() -> list[str]:
    return []


def says(log: list[str], what: str) -> Callable[[], object]:
    return lambda: log.append(what)


def test_a_timer_is_called_when_the_clock_reaches_its_time(clock: Clock, log: list[str]) -> None:
    """Once, and not before."""
    timer = Timer(clock, says(log, "called"))
    assert not timer.mod(5 * MS)

    clock.advance(5 * MS - 1)
    assert (log, timer.pending) == ([], True)
    clock.advance(1)
    assert (log, timer.pending) == (["called"], False)
    clock.advance(5 * MS)

    assert log == ["called"]
    assert clock.now == 10 * MS


def test_timers_are_called_in_the_order_of_their_times(clock: Clock, log: list[str]) -> None:
    """At equal times in the order in which they were set; the clock reads their time."""
    for name, expires in (("b", 2), ("a", 1), ("c", 2)):
        Timer(clock, lambda name=name: log.append(f"{name}{clock.now}")).mod(expires)  # type: ignore[misc]

    clock.advance(10)

    assert log == ["a1", "b2", "c2"]


def test_a_callback_may_set_its_own_timer(clock: Clock, log: list[str]) -> None:
    """A periodic one; it is called for each period that passes."""

    def tick() -> None:
        log.append("tick")
        timer.mod(clock.now + MS)

    timer = Timer(clock, tick)
    timer.mod(MS)

    clock.advance(3 * MS)

    assert log == ["tick"] * 3
    assert repr(timer) == f"<Timer timer [pending, at {4 * MS} ns]>"


def test_a_time_that_has_passed_means_the_next_nanosecond(clock: Clock, log: list[str]) -> None:
    """Or a callback that sets its timer to now would stop time."""
    clock.advance(MS)
    timer = Timer(clock, says(log, "called"))
    timer.mod(0)

    clock.advance(0)
    assert log == []
    clock.advance(1)

    assert log == ["called"]


def test_setting_it_anew_replaces_the_time(clock: Clock, log: list[str]) -> None:
    """And says that it was pending."""
    timer = Timer(clock, says(log, "called"))
    timer.mod(1)

    assert timer.mod(3)
    clock.advance(2)
    assert log == []
    clock.advance(1)

    assert log == ["called"]


@pytest.mark.parametrize("delete", [Timer.delete, Timer.delete_sync])
def test_what_is_taken_back_is_not_called(
    clock: Clock, log: list[str], delete: Callable[[Timer], bool]
) -> None:
    """And whoever takes it back hears whether it was still to come."""
    timer = Timer(clock, says(log, "called"))
    timer.mod(1)

    assert delete(timer)
    assert not delete(timer)
    clock.advance(1)

    assert log == []
    assert repr(timer) == "<Timer timer [idle]>"


def test_time_does_not_go_back(clock: Clock) -> None:
    """A sign error in a test is found."""
    with pytest.raises(BadInput, match="go back"):
        clock.advance(-1)


@pytest.mark.parametrize(
    "sleep", [Mutex("m").lock, lambda: WaitQueue().wait_event(lambda: True)], ids=["lock", "wait"]
)
def test_a_callback_must_not_sleep(clock: Clock, sleep: Callable[[], None]) -> None:
    """L10, also if it would not have to wait; afterwards sleeping is allowed again."""
    timer = Timer(clock, sleep, name="watchdog")
    timer.mod(1)

    with pytest.raises(ContractViolation, match="inside the callback of timer watchdog") as error:
        clock.advance(1)

    assert error.value.rule == "L10"
    with Mutex():
        pass


def test_a_callback_may_spin(clock: Clock, log: list[str]) -> None:
    """A spinning lock is what protects what it shares."""
    lock = SpinLock("s")

    def callback() -> None:
        with lock:
            log.append("called")

    Timer(clock, callback).mod(1)
    clock.advance(1)

    assert log == ["called"]


# In a race.


class Watchdog:
    """A driver with a timer that takes two steps."""

    def __init__(self, clock: Clock, log: list[str]) -> None:
        self.clock, self.log = clock, log
        self.timer = Timer(clock, self.bark, "watchdog")

    def bark(self) -> None:
        self.log.append(f"{context().name} barks")
        point("barking")
        self.log.append("barked")

    def wait_a_while(self) -> None:
        self.timer.mod(MS)
        self.clock.advance(MS)
        point("expired")
        self.log.append("went on")


def test_in_a_race_the_callback_is_a_task_of_its_own(clock: Clock, log: list[str]) -> None:
    """So that it can collide with everything else, from the time on at which it expires."""
    dog, race = Watchdog(clock, log), Race()
    user = race.task("user", dog.wait_a_while)

    user.finish()
    assert log == ["went on"]
    assert dog.timer.pending
    race.run()

    assert log == ["went on", "watchdog barks", "barked"]
    assert [task.name for task in race.tasks] == ["user", "watchdog"]


def test_the_callback_may_come_before_the_clocks_task_goes_on(clock: Clock, log: list[str]) -> None:
    """Another order of the same race."""
    dog, race = Watchdog(clock, log), Race()
    user = race.task("user", dog.wait_a_while)
    user.until("expired")

    race.tasks[1].finish()
    user.finish()

    assert log == ["watchdog barks", "barked", "went on"]


def test_a_task_that_came_too_late_does_nothing(clock: Clock, log: list[str]) -> None:
    """The timer was taken back, or put off, after it had expired."""
    for undo in (Timer.delete, lambda timer: timer.mod(9 * MS)):
        dog, race = Watchdog(clock, log), Race()
        user = race.task("user", dog.wait_a_while)
        user.until("expired")

        assert undo(dog.timer)
        race.run()

    assert log == ["went on", "went on"]


def test_only_one_task_calls_an_expired_timer(clock: Clock, log: list[str]) -> None:
    """However often the clock is advanced before it gets to run."""
    dog, race = Watchdog(clock, log), Race()

    def user() -> None:
        dog.wait_a_while()
        clock.advance(1)

    race.task("user", user).finish()
    assert len(race.tasks) == 2
    race.run()

    assert log.count("barked") == 1


def test_each_expiry_in_a_race_has_its_task(clock: Clock, log: list[str]) -> None:
    """In another race as well, if the first one ended without."""
    dog = Watchdog(clock, log)

    def wait_again() -> None:
        dog.timer.mod(clock.now + MS)
        clock.advance(MS)

    for races in (1, 2):
        race = Race()
        race.task("user", wait_again).finish()
        assert len(race.tasks) == 2, races
    race.run()
    race.task("user", wait_again).finish()
    race.run()

    assert log.count("barked") == 2


def test_tasks_begin_in_the_order_of_expiry(clock: Clock, log: list[str]) -> None:
    """As far as nobody overtakes."""
    race = Race()

    def user() -> None:
        for name, expires in (("late", 2), ("early", 1)):
            Timer(clock, says(log, name), name).mod(expires)
        clock.advance(2)

    race.task("user", user)
    race.run()

    assert log == ["early", "late"]


def test_a_callback_does_not_run_twice_at_once(clock: Clock, log: list[str]) -> None:
    """Who expires anew while it runs, on another CPU, waits for its end."""
    dog, race = Watchdog(clock, log), Race()
    user = race.task("user", dog.wait_a_while)
    user.until("expired")
    race.tasks[1].until("barking")
    dog.timer._task = None
    race.task("again", dog.wait_a_while).until("expired")

    race._step(race.tasks[-1])

    assert not race.tasks[-1].runnable
    race.run()
    assert log.count("barked") == 2


def test_delete_sync_waits_for_a_callback_that_runs(clock: Clock, log: list[str]) -> None:
    """And delete does not: what the callback uses must not be freed after it alone."""
    dog, race = Watchdog(clock, log), Race()
    user = race.task("user", dog.wait_a_while)
    user.until("expired")
    race.tasks[1].until("barking")
    assert repr(dog.timer) == "<Timer watchdog [running in watchdog]>"

    def free(delete: Callable[[], bool]) -> None:
        delete()
        log.append("freed")

    race.task("careless", free, dog.timer.delete).finish()
    assert log[-1] == "freed"
    race.task("careful", free, dog.timer.delete_sync).finish()

    assert log[-2:] == ["barked", "freed"]


def test_delete_sync_takes_back_what_the_callback_set_anew(clock: Clock, log: list[str]) -> None:
    """When it returns, nothing runs and nothing is pending."""
    dog, race = Watchdog(clock, log), Race()

    def bark() -> None:
        point("barking")
        dog.timer.mod(9 * MS)

    dog.timer.function = bark
    race.task("user", dog.wait_a_while).until("expired")
    race.tasks[1].until("barking")

    stopper = race.task("stopper", dog.timer.delete_sync)

    assert stopper.finish() is True
    assert not dog.timer.pending


def test_a_callback_that_waits_for_its_own_end_waits_for_ever(clock: Clock) -> None:
    """del_timer_sync() from the callback."""
    timer = Timer(clock, lambda: None)
    timer.function = timer.delete_sync
    timer.mod(1)

    with pytest.raises(Deadlock, match="running in main"):
        clock.advance(1)


def test_a_timer_left_over_by_a_race_is_called_outside(clock: Clock, log: list[str]) -> None:
    """A race that ends early leaves it pending."""
    dog = Watchdog(clock, log)
    Race().task("user", dog.wait_a_while).finish()

    clock.advance(0)

    assert log == ["went on", "main barks", "barked"]


def test_a_callback_does_not_sleep_in_a_race_either(clock: Clock) -> None:
    """The task is atomic from its first step to its last."""
    race = Race()
    timer = Timer(clock, Mutex("m").lock)

    def user() -> None:
        timer.mod(1)
        clock.advance(1)

    race.task("user", user)

    with pytest.raises(ContractViolation) as error:
        race.run()

    assert error.value.rule == "L10"
