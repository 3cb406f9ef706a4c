"""Locks, the page lock, and work for later."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from core.frames import Frames
from movable import Page, sched
from movable.errors import ContractViolation, Deadlock
from movable.sched import Mutex, Race, RwLock, SpinLock, WorkQueue, current, point

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


def fail() -> None:
    raise IndexError


def steps(log: list[str], name: str, count: int = 2) -> str:
    for number in range(count):
        log.append(f"{name}{number}")
        point(f"{name} did {number}")
    return name


# Locks.


def enter(lock: Mutex | SpinLock, log: list[str]) -> None:
    with lock:
        log.append(f"in {current_name()}")
        point("inside")
        log.append(f"out {current_name()}")


def current_name() -> str:
    task = current()
    return task.name if task else "main"


@pytest.mark.parametrize("kind", [Mutex, SpinLock])
def test_one_at_a_time_holds_a_lock(kind: Callable[[], Mutex | SpinLock]) -> None:
    """The second waits at the door, and others go on."""
    lock, log = kind(), list[str]()
    race = Race()
    race.task("a", enter, lock, log)
    race.task("b", enter, lock, log)

    race.run()

    assert log == ["in a", "out a", "in b", "out b"]
    assert not lock.is_locked()


@pytest.mark.parametrize("kind", [Mutex, SpinLock])
def test_trylock_says_whether_the_lock_was_free(kind: Callable[[], Mutex | SpinLock]) -> None:
    """And never waits."""
    lock = kind()

    assert lock.trylock()
    assert not lock.trylock()
    assert lock.is_locked()
    lock.unlock()
    assert not lock.is_locked()


@pytest.mark.parametrize("ask", ["write_lock", "read_lock", "lock"])
def test_a_holder_can_see_that_somebody_spins_for_its_lock(ask: str) -> None:
    """And who has it at last spins no more (spin_is_contended())."""
    lock = SpinLock() if ask == "lock" else RwLock()
    take, leave = ("lock", "unlock") if ask == "lock" else ("write_lock", "write_unlock")
    seen: list[bool] = []

    def hold() -> None:
        getattr(lock, take)()
        seen.append(lock.is_contended())
        point("held")
        seen.append(lock.is_contended())
        getattr(lock, leave)()

    def want() -> None:
        getattr(lock, ask)()
        seen.append(lock.is_contended())
        getattr(lock, ask.replace("lock", "unlock"))()

    race = Race()
    race.task("holder", hold)
    race.task("other", want)
    race.run()

    assert seen == [False, True, False]


def test_locks_say_in_one_line_who_holds_them() -> None:
    """Deadlock messages are made of these lines."""
    mutex, rwlock = Mutex("balloon_lock"), RwLock("pool")
    seen = [repr(mutex), repr(rwlock)]

    with mutex:
        seen.append(repr(mutex))
    with rwlock.read():
        seen.append(repr(rwlock))
    with rwlock.write():
        seen.append(repr(rwlock))

    assert seen == [
        "<Mutex balloon_lock [free]>",
        "<RwLock pool [free]>",
        "<Mutex balloon_lock [held by main]>",
        "<RwLock pool [read by main]>",
        "<RwLock pool [written by main]>",
    ]
    assert repr(SpinLock()) == "<SpinLock [free]>"


def test_who_waits_for_nobody_hears_of_the_deadlock_at_once() -> None:
    """Outside a race nobody can let go of the lock."""
    mutex = Mutex("m")
    mutex.lock()

    with pytest.raises(Deadlock) as error:
        mutex.lock()

    assert "main waits for <Mutex m [held by main]>" in str(error.value)


def test_a_cycle_is_reported_with_who_waits_for_what() -> None:
    """Two locks in two orders, and a point between."""

    def both(first: Mutex, second: Mutex) -> None:
        with first:
            point("one taken")
            second.lock()

    one, two = Mutex("one"), Mutex("two")
    race = Race()
    race.task("a", both, one, two)
    race.task("b", both, two, one)

    with pytest.raises(Deadlock) as error:
        race.run()

    assert str(error.value) == (
        "a waits for <Mutex two [held by b]>; b waits for <Mutex one [held by a]>"
    )


def test_a_waiting_task_lets_the_holder_run_under_until() -> None:
    """No further than it must: to where the lock is free."""
    lock, log = Mutex(), list[str]()
    race = Race()
    holder = race.task("holder", enter, lock, log)
    waiter = race.task("waiter", enter, lock, log)

    holder.until("inside")
    waiter.until("inside")

    assert log == ["in holder", "out holder", "in waiter"]


@pytest.mark.parametrize("sleep", [Mutex("m").lock, Frames().alloc_page().lock])
@pytest.mark.parametrize("spinning", [SpinLock("s"), RwLock("s")])
def test_nobody_sleeps_while_holding_a_spinning_lock(
    spinning: SpinLock | RwLock, sleep: Callable[[], None]
) -> None:
    """Also if the mutex or the page is free this time (might_sleep())."""
    take = spinning.write() if isinstance(spinning, RwLock) else spinning

    with take, pytest.raises(ContractViolation) as error:
        sleep()

    assert error.value.rule == "L10"
    assert "main sleeps" in str(error.value)


def test_a_spinning_lock_is_forgotten_when_it_is_unlocked() -> None:
    """Sleeping is allowed again, whatever order the locks were let go of in."""
    outer, inner = SpinLock("outer"), RwLock("inner")
    outer.lock()
    inner.read_lock()
    outer.unlock()
    inner.read_unlock()

    with Mutex():
        pass


@pytest.mark.parametrize("kind", [Mutex, SpinLock])
def test_only_its_owner_unlocks_a_lock(kind: Callable[[], Mutex | SpinLock]) -> None:
    """An error path that unlocks what it failed to get is found where it happens."""
    lock = kind()
    lock.lock()
    thief = Race().task("thief", lock.unlock)

    with pytest.raises(ContractViolation, match="by thief") as error:
        thief.finish()

    assert error.value.rule == "L11"
    assert lock.is_locked()
    lock.unlock()


def test_readers_share_and_writers_are_alone() -> None:
    """rwlock_t."""
    lock = RwLock()

    assert lock.read_trylock()
    assert lock.read_trylock()
    assert not lock.write_trylock()
    lock.read_unlock()
    lock.read_unlock()
    assert lock.write_trylock()
    assert not lock.read_trylock()
    lock.write_unlock()
    assert not lock.is_locked()


def test_a_writer_waits_for_the_last_reader() -> None:
    """And readers wait for the writer."""
    lock, log = RwLock("rw"), list[str]()

    def read() -> None:
        with lock.read():
            log.append("read")
            point("reading")

    def write() -> None:
        with lock.write():
            log.append("write")
            point("writing")

    race = Race()
    reader, writer = race.task("reader", read), race.task("writer", write)
    late = race.task("late", read)

    reader.until("reading")
    writer.until("writing")
    assert reader.done
    late.until("reading")

    assert log == ["read", "write", "read"]
    assert writer.done


@pytest.mark.parametrize("call", ["read_unlock", "write_unlock"])
def test_only_holders_unlock_an_rwlock(call: str) -> None:
    """As with the other locks."""
    with pytest.raises(ContractViolation) as error:
        getattr(RwLock("rw"), call)()

    assert error.value.rule == "L11"


# The page lock.


def test_waiting_for_a_page_lock_lets_the_holder_run() -> None:
    """lock_page() sleeps."""
    page = Frames().alloc_page()
    log: list[str] = []

    def use(name: str) -> None:
        page.lock()
        log.append(name)
        point("locked")
        page.unlock()

    race = Race()
    race.task("a", use, "a")
    race.task("b", use, "b")

    race.run()

    assert log == ["a", "b"]
    assert not page.locked


def test_whoever_sleeps_is_seen_by_watchers(seen: Seen) -> None:
    """The contract checker forbids it inside isolate_page."""
    page = Frames().alloc_page()
    page.lock()

    with pytest.raises(Deadlock, match="the lock of <Page 0"):
        page.lock()

    assert seen == [(sched.SLEEPS, None)]


# Work.


def test_work_waits_for_flush_outside_a_race() -> None:
    """In the order it was queued."""
    log: list[str] = []
    queue = WorkQueue()
    queue.queue(lambda: log.append("one"))
    queue.queue(lambda: log.append("two"))
    assert repr(queue) == "<WorkQueue kworker [2 pending]>"
    assert log == []

    queue.flush()

    assert log == ["one", "two"]


def test_pending_work_is_queued_once() -> None:
    """But work that has begun can be queued again (queue_work())."""
    log: list[str] = []
    queue = WorkQueue()

    def work() -> None:
        log.append("work")
        if len(log) == 1:
            assert queue.queue(work)

    assert queue.queue(work)
    assert not queue.queue(work)
    queue.flush()

    assert log == ["work", "work"]


def test_in_a_race_work_is_a_task_of_its_own() -> None:
    """So that it can collide with everything else."""
    log: list[str] = []
    queue = WorkQueue("zsmalloc")
    race = Race()

    def user() -> None:
        queue.queue(lambda: steps(log, "w"))
        queue.queue(lambda: steps(log, "x"))
        steps(log, "u")

    race.task("user", user)

    race.run()

    assert log == ["u0", "w0", "u1", "w1", "x0", "x1"]
    assert [task.name for task in race.tasks] == ["user", "zsmalloc"]


def test_flush_in_a_race_waits_for_the_worker() -> None:
    """Nothing is pending and nothing runs when it returns."""
    log: list[str] = []
    queue = WorkQueue("kworker")
    race = Race()

    def user() -> None:
        queue.queue(lambda: steps(log, "w"))
        point("queued")
        queue.flush()
        log.append("flushed")

    task = race.task("user", user)
    task.finish()

    assert log == ["w0", "w1", "flushed"]


def test_work_left_pending_by_one_race_is_done_in_another() -> None:
    """A race that ends early leaves its work where it was."""
    log: list[str] = []
    queue = WorkQueue()
    Race().task("user", queue.queue, lambda: log.append("done")).finish()
    assert log == []

    Race().task("flusher", queue.flush).finish()

    assert log == ["done"]


def test_work_that_fails_does_not_stop_the_queue() -> None:
    """Its exception comes out, and the rest can still be flushed."""
    log: list[str] = []
    queue = WorkQueue()
    queue.queue(fail)
    queue.queue(lambda: log.append("next"))

    with pytest.raises(IndexError):
        queue.flush()
    queue.flush()

    assert log == ["next"]
