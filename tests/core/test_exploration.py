"""Explorations: tasks that hand over to each other, and what ends a schedule before its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from movable import Mutex, SpinLock, sched
from movable.errors import ContractViolation, Deadlock, Livelock
from movable.mm.memory import Memory
from movable.sched import WorkQueue, point, relax
from movable.sched.delays import Delays
from movable.sched.exploration import Deviation, Exploration
from movable.sched.lock_points import LockPoints
from movable.sched.runner import PATIENCE
from movable.sched.strategies import Fifo, RandomWalk

Log = list[str]


def worker(log: Log, name: str, count: int = 2) -> tuple[str, Callable[[], None]]:
    """A task that passes *count* points and says what it did."""

    def work() -> None:
        for number in range(count):
            log.append(f"{name}{number}")
            point(f"{name} did {number}")

    return name, work


def test_first_come_first_served_runs_each_task_to_its_end() -> None:
    """Nobody is interrupted who need not wait."""
    log: Log = []

    Exploration().run([worker(log, "a"), worker(log, "b")], Fifo())

    assert log == ["a0", "a1", "b0", "b1"]
    assert not sched.active
    assert sched.current() is None


def test_a_delay_sends_who_runs_to_the_end_of_the_queue() -> None:
    """And the deviation tells where, so that it can be done again."""
    log: Log = []
    run = Exploration()

    run.run([worker(log, "a"), worker(log, "b"), worker(log, "c")], Delays([2]))

    assert log == ["a0", "b0", "b1", "c0", "c1", "a1"]
    assert run.deviations == [Deviation(2, "a", "a did 0", "b")]


def test_who_waits_comes_out_of_turn_until_the_wait_is_over() -> None:
    """The lock goes to the waiter as soon as he is chosen."""
    log: Log = []
    mutex = Mutex("m")

    def user(name: str) -> tuple[str, Callable[[], None]]:
        def work() -> None:
            with mutex:
                log.append(f"{name} in")
                point("inside")
                log.append(f"{name} out")

        return name, work

    Exploration().run([user("a"), user("b")], Delays([2]))

    assert log == ["a in", "a out", "b in", "b out"]


def test_a_deadlock_says_who_waits_for_whom() -> None:
    """And leaves nothing behind: the same exploration goes on with the next schedule."""
    one, two = Mutex("one"), Mutex("two")

    def both(first: Mutex, second: Mutex) -> Callable[[], None]:
        def work() -> None:
            with first:
                point("has one")
                with second:
                    pass

        return work

    run = Exploration()
    tasks = [("a", both(one, two)), ("b", both(two, one))]

    with pytest.raises(Deadlock) as error:
        run.run(tasks, Delays([2]))

    assert str(error.value) == ("a waits for two, held by b, which waits for one, held by a")
    assert not one.is_locked()
    assert not two.is_locked()
    run.run(tasks, Fifo())
    assert not sched.active


def test_what_a_task_raises_comes_out_and_the_others_are_unwound() -> None:
    """Their `finally` blocks run, and they pass no further point."""
    log: Log = []

    def bystander() -> None:
        try:
            point("waits here")
            log.append("went on")
        finally:
            log.append("unwound")
            point("not reached by anybody")
            log.append("went on after that")

    def bad() -> None:
        raise IndexError("bad")

    run = Exploration()
    with pytest.raises(IndexError):
        run.run([("bystander", bystander), ("bad", bad)], Delays([2]))

    assert log == ["unwound"]
    again: Log = []
    run.run([worker(again, "a"), worker(again, "b")], Fifo())
    assert again == ["a0", "a1", "b0", "b1"]


def test_a_promise_that_the_vm_sees_broken_ends_the_schedule() -> None:
    """At once, though the VM outside races keeps it until its call is done: what is come upon then
    is only a consequence."""
    log: Log = []
    memory = Memory.blank(1024)

    def compactor() -> None:
        memory.keep_fault(ContractViolation("I08", "a page", "migratepage", "why"))
        log.append("went on")

    def bystander() -> None:
        point("waits here")
        log.append("went on")

    with pytest.raises(ContractViolation, match="why"):
        Exploration().run([("bystander", bystander), ("cpu0", compactor)], Delays([2]))

    assert log == []


def test_a_task_that_cannot_be_unwound_is_left_behind() -> None:
    """A driver that catches everything does not stop the search."""

    def stubborn() -> None:
        for _ in range(3 * PATIENCE):
            try:
                point("again")
            except BaseException:  # noqa: BLE001
                continue

    def bad() -> None:
        raise IndexError

    run = Exploration()
    with pytest.raises(IndexError):
        run.run([("stubborn", stubborn), ("bad", bad)], Delays([2]))

    log: Log = []
    run.run([worker(log, "a"), worker(log, "b")], Fifo())
    assert log == ["a0", "a1", "b0", "b1"]


def test_a_task_that_ends_its_own_stack_is_an_error_of_the_schedule() -> None:
    """`SystemExit` or `GreenletExit` from a driver does not end the program."""

    def leaves() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Exploration().run([("leaves", leaves)], Fifo())


def test_a_schedule_without_end_tells_the_circle() -> None:
    """A livelock, after so many steps."""

    def spin() -> None:
        while True:
            point("try")
            point("fail")

    with pytest.raises(Livelock, match="goes round 'try', 'fail'"):
        Exploration(most_steps=50).run([("spinner", spin), worker([], "b")], Fifo())


def test_who_relaxes_lets_the_others_go_first() -> None:
    """Also by priorities and in turn: else a loop that waits for others would never end."""
    done: list[bool] = []

    def spin() -> None:
        while not done:
            relax("not yet")

    run = Exploration(most_steps=50)
    run.run([("spinner", spin), ("other", lambda: done.append(True))], Fifo())

    assert done == [True]


def test_two_that_relax_for_each_other_are_a_livelock() -> None:
    """Nobody does what they wait for."""

    def spin() -> None:
        while True:
            relax("after you")

    with pytest.raises(Livelock):
        Exploration(most_steps=50).run([("a", spin), ("b", spin)], Fifo())


def test_work_that_is_queued_becomes_a_task() -> None:
    """It is done before the schedule ends."""
    log: Log = []
    queue = WorkQueue("kworker")

    def user() -> None:
        queue.queue(lambda: log.append("work"))
        point("queued")
        log.append("user")

    run = Exploration()
    run.run([("user", user)], Fifo())

    assert log == ["user", "work"]
    assert [task.name for task in run.tasks] == ["user", "kworker"]


def test_pairs_are_where_tasks_were_left_and_went_on() -> None:
    """What coverage counts."""
    run = Exploration()

    run.run([worker([], "a"), worker([], "b")], Delays([2, 4]))

    assert run.pairs == {("a did 0", "(begins)"), ("b did 1", "a did 0")}


def test_a_digest_tells_orders_apart() -> None:
    """And is the same for the same order."""
    run, digests = Exploration(), []
    for steps in ([2], [3], [2]):
        run.run([worker([], "a"), worker([], "b")], Delays(steps))
        digests.append(run.digest())

    assert digests[0] == digests[2] != digests[1]


def test_locks_are_points_while_somebody_asks_for_it() -> None:
    """Before they are taken, and after they are let go of."""
    lock, points = SpinLock("pages_lock"), LockPoints()

    def user() -> None:
        with lock:
            pass

    run = Exploration()
    points.start()
    try:
        run.run([("a", user), ("b", user)], Delays([2, 4]))
    finally:
        points.stop()

    assert [deviation.label for deviation in run.deviations] == [
        "wants pages_lock",
        "let go of pages_lock",
    ]
    run.run([("a", user), ("b", user)], RandomWalk(0))
    assert run.steps == 3
