"""Points, locks, work and races."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.frames import Frames
from movable import Page, sched
from movable.errors import BadInput
from movable.sched import Race, WorkQueue, current, point
from movable.sched.work import flush_work

Seen = list[tuple[str, Page | None]]


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What a watcher is told."""
    told: Seen = []

    def watch(label: str, page: Page | None) -> None:
        told.append((label, page))

    sched.subscribe(watch)
    yield told
    sched.unsubscribe(watch)


# Points.


def test_a_point_is_nothing_while_nobody_watches() -> None:
    """The engine passes millions of them."""
    assert not sched.active

    point("anything")

    assert not sched.active


def test_watchers_are_told_the_label_and_the_page(seen: Seen) -> None:
    """A point is the VM's event."""
    page = Frames().page(3)

    point("page locked", page)

    assert sched.active
    assert seen == [("page locked", page)]


def test_who_unsubscribes_is_told_no_more() -> None:
    """And points cost nothing again."""
    told: list[str] = []

    def watch(label: str, page: Page | None) -> None:
        told.append(label)

    sched.subscribe(watch)
    sched.unsubscribe(watch)
    point("late")

    assert told == []
    assert not sched.active


def test_watchers_are_told_before_another_task_runs(seen: Seen) -> None:
    """What they look at is still what the event was about."""
    race = Race()
    first = race.task("first", point, "one")
    second = race.task("second", point, "two")

    first.until("one")
    assert seen == [("one", None)]
    second.until("two")

    assert [label for label, _ in seen] == ["one", "two"]


# Races.


def fail() -> None:
    raise IndexError


def steps(log: list[str], name: str, count: int = 2) -> str:
    for number in range(count):
        log.append(f"{name}{number}")
        point(f"{name} did {number}")
    return name


def test_run_lets_each_task_go_to_its_next_point_in_turn() -> None:
    """First come, first served."""
    log: list[str] = []
    race = Race()
    race.task("a", steps, log, "a")
    race.task("b", steps, log, "b", count=3)

    race.run()

    assert log == ["a0", "b0", "a1", "b1", "b2"]
    assert repr(race) == "<Race [<Task a [done]>, <Task b [done]>]>"


def test_until_stops_right_after_the_point() -> None:
    """And nobody else has run."""
    log: list[str] = []
    race = Race()
    a, b = (race.task(name, steps, log, name) for name in "ab")

    a.until("a did 0")

    assert log == ["a0"]
    assert (repr(a), repr(b)) == ("<Task a [at 'a did 0']>", "<Task b>")


def test_until_means_the_next_point_of_that_name() -> None:
    """A loop passes the same point again and again."""
    log: list[int] = []

    def loop() -> None:
        for number in range(3):
            log.append(number)
            point("round")

    task = Race().task("loop", loop)

    task.until("round")
    task.until("round")

    assert log == [0, 1]


def test_until_names_the_points_that_were_passed_instead() -> None:
    """A misspelt label is found by its message."""
    task = Race().task("a", steps, [], "a")

    with pytest.raises(BadInput) as error:
        task.until("a done")

    assert str(error.value) == (
        "task a: ended before a point 'a done'; the points it passed: 'a did 0', 'a did 1'"
    )


def test_a_task_keeps_what_its_function_returned() -> None:
    """Asserting on it ends most race tests."""
    race = Race()
    task = race.task("a", steps, [], "a")

    assert task.result is None
    assert task.finish() == "a"
    assert task.result == "a"


def test_an_exception_comes_out_where_the_task_was_run() -> None:
    """And the task is over."""
    task = Race().task("bad", fail)

    with pytest.raises(IndexError):
        task.finish()

    assert task.done
    assert not sched.active


def test_current_is_the_running_task_and_none_outside() -> None:
    """Locks and traces name it."""
    race = Race()
    task = race.task("a", current)

    task.finish()

    assert task.result is task
    assert current() is None


def test_a_race_is_not_driven_from_inside_itself() -> None:
    """Who runs is decided in one place."""
    race = Race()
    other = race.task("other", steps, [], "b")
    task = race.task("task", other.finish)

    with pytest.raises(BadInput, match="inside another task"):
        task.finish()


def test_steps_tell_whether_somebody_else_has_run() -> None:
    """The contract checker compares counts only if nobody has."""
    race = Race()

    def count() -> tuple[int, int]:
        before = sched.steps()
        point("here")
        return before, sched.steps()

    a = race.task("a", count)
    b = race.task("b", lambda: None)

    a.until("here")
    b.finish()
    a.finish()

    before, after = a.result
    assert after == before + 2


def test_all_pending_work_can_be_done_at_once() -> None:
    """In the order in which queues came to have work, work that queues more included."""
    first, second, done = WorkQueue("first"), WorkQueue("second"), list[str]()
    second.queue(lambda: done.append("b"))
    first.queue(lambda: done.append("a"))
    second.queue(lambda: second.queue(lambda: done.append("c")))

    assert flush_work() == 3

    assert done == ["b", "c", "a"]
    assert flush_work() == 0


def test_a_queue_that_is_gone_has_no_work() -> None:
    """A machine that nobody has any more leaves nothing behind."""
    done: list[str] = []
    WorkQueue("gone").queue(lambda: done.append("a"))

    assert (flush_work(), done) == (0, [])
