"""Wait queues and completions: who is woken, who sleeps on, and how a wake-up is lost."""

from __future__ import annotations

import pytest

from movable import Completion, SpinLock, WaitQueue, point, sched
from movable.errors import ContractViolation, Deadlock
from movable.page import Page
from movable.sched import Race


class Counter:
    """Isolated pages, whose last one back lets a destroyer go on."""

    def __init__(self) -> None:
        self.pages, self.gone = 1, False
        self.idle = WaitQueue("idle")

    def destroy(self) -> None:
        self.idle.wait_event(lambda: self.pages == 0)
        self.gone = True

    def give_back(self) -> None:
        self.pages -= 1
        point("given back")
        self.idle.wake_up()


def test_a_condition_that_holds_is_not_waited_for() -> None:
    """Also outside a race, where nobody could wake."""
    counter = Counter()
    counter.pages = 0

    counter.destroy()

    assert counter.gone
    assert not counter.idle.active()


def test_a_sleeper_does_not_see_that_its_condition_holds() -> None:
    """Only whoever wakes it makes it look."""
    counter, race = Counter(), Race()
    destroyer = race.task("destroyer", counter.destroy)
    worker = race.task("worker", counter.give_back)
    race._step(destroyer)

    worker.until("given back")
    assert not destroyer.runnable
    worker.finish()

    destroyer.finish()
    assert counter.gone
    assert repr(counter.idle) == "<WaitQueue idle [nobody]>"


def test_whoever_is_woken_looks_again_and_may_sleep_on() -> None:
    """A wake-up says that something has changed, not what."""
    counter, race = Counter(), Race()
    destroyer = race.task("destroyer", counter.destroy)
    race._step(destroyer)

    counter.idle.wake_up()
    race._step(destroyer)

    assert not destroyer.runnable
    assert repr(counter.idle) == "<WaitQueue idle [destroyer]>"


def test_a_wake_up_that_comes_too_early_is_lost() -> None:
    """And the report says which condition would have held."""
    counter, race = Counter(), Race()

    def wake_and_give_back() -> None:
        counter.idle.wake_up()
        point("woken")
        counter.pages -= 1

    race.task("destroyer", counter.destroy)
    race.task("worker", wake_and_give_back)

    with pytest.raises(Deadlock) as error:
        race.run()

    assert str(error.value) == (
        "destroyer waits for somebody to wake <WaitQueue idle [destroyer]>,"
        " though its condition holds: the wake-up was lost"
    )


def test_a_wake_up_while_the_condition_is_looked_at_is_not_lost() -> None:
    """The waiter stands in line before it looks (prepare_to_wait())."""
    counter, race = Counter(), Race()

    def look() -> bool:
        idle = counter.pages == 0
        point("looked")
        return idle

    waiter = race.task("waiter", counter.idle.wait_event, look)
    worker = race.task("worker", counter.give_back)
    waiter.until("looked")
    worker.finish()

    waiter.finish()

    assert waiter.done


def test_waiting_is_sleeping() -> None:
    """L10, also if the condition holds; and watchers are told."""
    with SpinLock("s"), pytest.raises(ContractViolation) as error:
        WaitQueue().wait_event(lambda: True)

    assert error.value.rule == "L10"


def test_whoever_sleeps_here_is_seen_by_watchers() -> None:
    """The contract checker forbids it inside isolate_page."""
    seen: list[tuple[str, Page | None]] = []

    def watch(label: str, page: Page | None) -> None:
        seen.append((label, page))

    sched.subscribe(watch)
    try:
        with pytest.raises(Deadlock):
            WaitQueue().wait_event(lambda: False)
    finally:
        sched.unsubscribe(watch)

    assert seen == [(sched.SLEEPS, None)]


def test_who_gives_up_waiting_stands_in_line_no_more() -> None:
    """Outside a race waiting is an error, and leaves nothing behind."""
    queue = WaitQueue("q")

    with pytest.raises(Deadlock):
        queue.wait_event(lambda: False)

    assert not queue.active()


# Completions.


def test_one_completion_lets_one_waiter_go_on() -> None:
    """The other sleeps until the next."""
    done, race = Completion("flush"), Race()
    tasks = [race.task(name, done.wait_for_completion) for name in ("first", "second")]
    for task in tasks:
        race._step(task)

    done.complete()
    tasks[0].finish()
    race._step(tasks[1])

    assert [task.done for task in tasks] == [True, False]
    assert not tasks[1].runnable
    done.complete()
    race.run()
    assert not done.done()


def test_what_has_happened_before_is_not_waited_for() -> None:
    """It counts; nothing is lost."""
    done = Completion()
    done.complete()
    done.complete()

    done.wait_for_completion()

    assert done.try_wait_for_completion()
    assert not done.try_wait_for_completion()


def test_everybody_goes_on_after_complete_all() -> None:
    """Until it is made anew."""
    done, race = Completion(), Race()
    for name in ("first", "second"):
        race._step(race.task(name, done.wait_for_completion))

    done.complete_all()
    race.run()

    assert done.try_wait_for_completion()
    assert done.done()
    done.reinit()
    assert not done.done()
