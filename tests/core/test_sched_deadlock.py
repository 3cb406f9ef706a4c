"""What is told about a race that comes to no end."""

from __future__ import annotations

import pytest

from core.frames import Frames
from movable import Mutex, RwLock, SpinLock, Timer, WaitQueue, point
from movable.sched import Clock, Race, Task
from movable.sched.deadlock import Circle, circle, cycle, describe_deadlock, describe_livelock
from movable.sched.tasks import Context


def drive(*tasks: Task) -> None:
    """One step each."""
    for task in tasks:
        task.race._step(task)


# Deadlocks.


def test_a_cycle_is_told_as_one_sentence() -> None:
    """Mutex and page lock, in two orders."""
    balloon_lock, page = Mutex("balloon_lock"), Frames(13).page(12)
    race = Race()

    def compact() -> None:
        page.trylock()
        point("page locked")
        balloon_lock.lock()

    def inflate() -> None:
        balloon_lock.lock()
        point("inflating")
        page.lock()

    compactor, guest = race.task("compactor", compact), race.task("guest", inflate)
    drive(compactor, guest, compactor, guest)

    assert cycle(race.tasks) == [compactor, guest]
    assert describe_deadlock(race.tasks) == (
        "compactor waits for balloon_lock, held by guest,"
        " which waits for the lock of page 12, held by compactor"
    )


def test_who_waits_outside_the_cycle_is_told_too() -> None:
    """With the last point that it has passed."""
    a, b = Mutex("a"), Mutex("b")
    race = Race()

    def both(first: Mutex, second: Mutex) -> None:
        first.lock()
        point("one taken")
        second.lock()

    def look_on() -> None:
        point("looking on")
        b.lock()

    onlooker = race.task("onlooker", look_on)
    tasks = [onlooker, race.task("x", both, a, b), race.task("y", both, b, a)]
    drive(*tasks, *tasks)

    assert describe_deadlock(tasks) == (
        "x waits for b, held by y, which waits for a, held by x;"
        " onlooker waits for b, held by y, after 'looking on'"
    )


def test_a_task_that_waits_for_itself_is_a_cycle_of_one() -> None:
    """A mutex taken twice."""
    mutex, race = Mutex("m"), Race()

    def twice() -> None:
        mutex.lock()
        mutex.lock()

    task = race.task("guest", twice)
    drive(task)

    assert describe_deadlock([task]) == "guest waits for m, held by guest"
    assert cycle([task]) == [task]


def test_every_reader_is_looked_at() -> None:
    """A writer waits for all of them, and the second closes the cycle."""
    pool, m, race = RwLock("pool"), SpinLock("m"), Race()

    def idle() -> None:
        pool.read_lock()
        point("reading")

    def read() -> None:
        pool.read_lock()
        point("reading")
        m.lock()

    def write() -> None:
        m.lock()
        pool.write_lock()

    tasks = [race.task("idle", idle), race.task("reader", read), race.task("writer", write)]
    drive(*tasks, tasks[1])

    assert describe_deadlock(tasks[1:]) == (
        "reader waits for m, held by writer, which waits for pool, held by reader"
    )
    assert pool.holders == tasks[:2]


def test_without_a_cycle_each_wait_is_told() -> None:
    """Somebody who was not woken, and a lock whose holder has gone."""
    queue, kept, race = WaitQueue("idle"), Mutex("kept"), Race()
    race.task("careless", kept.lock).finish()
    tasks = [
        race.task("sleeper", queue.wait_event, lambda: False),
        race.task("late", queue.wait_event, iter([False, True]).__next__),
        race.task("user", kept.lock),
    ]
    drive(*tasks)

    assert describe_deadlock(tasks) == (
        "sleeper waits for somebody to wake idle;"
        " late waits for somebody to wake idle, though its condition holds: the wake-up was lost;"
        " user waits for kept, held by careless"
    )


def test_who_waits_for_a_timer_waits_for_its_callback() -> None:
    """del_timer_sync() with a lock that the callback wants."""
    clock, lock, race = Clock(), SpinLock("lock"), Race()
    timer = Timer(clock, lock.lock, "watchdog")
    timer.mod(1)

    def stop() -> None:
        clock.advance(1)
        lock.lock()
        point("locked")
        timer.delete_sync()

    drive(race.task("stopper", stop))
    drive(race.tasks[1], race.tasks[0])

    assert describe_deadlock(race.tasks) == (
        "stopper waits for the end of timer watchdog's callback, run by watchdog,"
        " which waits for lock, held by stopper"
    )


def test_an_unnamed_lock_is_called_what_it_is() -> None:
    """Its repr would say who holds it a second time."""
    mutex, race = Mutex(), Race()
    race.task("careless", mutex.lock).finish()
    user = race.task("user", mutex.lock)
    drive(user)

    assert describe_deadlock([user]) == "user waits for a Mutex without a name, held by careless"


def test_a_cycle_that_leads_elsewhere_first_is_found() -> None:
    """Whoever waits for a cycle is not in it."""
    a, b, c = (FakeTask(name) for name in "abc")
    a.awaited, b.awaited, c.awaited = Thing(b), Thing(c), Thing(b)

    assert cycle([a, b, c]) == [b, c]


class Thing:
    """Something that says who holds it."""

    def __init__(self, *holders: FakeTask) -> None:
        self.holders = holders
        self.called = "a thing"


class FakeTask(Context):
    """A task that has only what reports need."""

    def __init__(self, name: str, *labels: str) -> None:
        super().__init__(name)
        self.labels = list(labels)
        self.awaited: object = None


# Livelocks.


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("aaa", Circle(("a",), 3)),
        ("xyababab", Circle(("a", "b"), 3)),
        ("abababa", Circle(("b", "a"), 3)),
        ("abcabcabcabc", Circle(("a", "b", "c"), 4)),
        ("aabaabaab", Circle(("a", "a", "b"), 3)),
        ("abab", None),
        ("wxyzabab", None),
        ("abcd", None),
        ("aaab", None),
        ("", None),
    ],
)
def test_a_circle_is_what_the_labels_end_with(labels: str, expected: Circle | None) -> None:
    """The shortest, gone round three times at least."""
    assert circle(list(labels)) == expected


def test_a_long_history_is_not_read_to_its_beginning() -> None:
    """A livelock is found after many steps."""
    found = circle(["x", *"ab" * 100_000])

    assert found == Circle(("a", "b"), 2_000)


def test_each_task_of_a_livelock_is_told_with_its_circle() -> None:
    """Or with what it waits for, or that it is not in one."""
    compactor = FakeTask("compactor", "began", *["page lock busy", "isolate gave up"] * 40)
    guest = FakeTask("guest", *["lock polled"] * 9)
    user = FakeTask("user", "looking", "found")
    idle = FakeTask("idle")
    waiter = FakeTask("waiter", "queued")
    waiter.awaited = Thing(guest)

    told = describe_livelock([compactor, guest, user, idle, waiter])

    assert told.split("; ") == [
        "compactor goes round 'page lock busy', 'isolate gave up', 40 times in a row",
        "guest goes round 'lock polled', 9 times in a row",
        "user is after 'found', in no circle",
        "idle has passed no point",
        "waiter waits for a thing, held by guest, after 'queued'",
    ]
