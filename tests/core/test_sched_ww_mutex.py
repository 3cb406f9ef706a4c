"""Ww mutexes: who backs off, who waits, and what an acquire context must not do."""

from __future__ import annotations

import pickle

import pytest

from movable import SpinLock, WwAcquireCtx, WwClass, WwMutex, point
from movable.errors import AlreadyLocked, BackOff, ContractViolation
from movable.sched import Race, Task

WOUND_WAIT, WAIT_DIE = "wound-wait", "wait-die"
both = pytest.mark.parametrize("algorithm", [WOUND_WAIT, WAIT_DIE])


class Buffers:
    """Two locks of one class, and a diary."""

    def __init__(self, algorithm: str = WOUND_WAIT) -> None:
        self.ww_class = WwClass("reservation", wait_die=algorithm == WAIT_DIE)
        self.a, self.b = (WwMutex(self.ww_class, name) for name in "ab")
        self.log: list[str] = []

    def submit(self, name: str, *locks: WwMutex) -> None:
        """Lock everything as the kernel's documentation says, with a point after each lock."""
        with WwAcquireCtx(self.ww_class) as ctx:
            point("stamped")
            held = self._take_all(name, ctx, locks)
            self.log.append(f"{name} has all")
            for lock in held:
                lock.unlock()

    def _take_all(self, name: str, ctx: WwAcquireCtx, locks: tuple[WwMutex, ...]) -> list[WwMutex]:
        contended: WwMutex | None = None
        while True:
            held: list[WwMutex] = []
            try:
                if contended:
                    contended.lock_slow(ctx)
                    held.append(contended)
                for lock in locks:
                    if lock is not contended:
                        lock.lock(ctx)
                        held.append(lock)
                        point(f"took {lock.name}")
            except BackOff as told:
                contended = told.lock
                self.log.append(f"{name} backs off from {told.lock.name}")
                for lock in held:
                    lock.unlock()
                point("backed off")
            else:
                return held


def older_and_younger(buffers: Buffers) -> tuple[Task, Task]:
    """The older takes a then b, the younger b then a; each has taken its first."""
    race = Race()
    older = race.task("older", buffers.submit, "older", buffers.a, buffers.b)
    younger = race.task("younger", buffers.submit, "younger", buffers.b, buffers.a)
    older.until("took a")
    younger.until("took b")
    return older, younger


def test_whoever_is_younger_dies_on_meeting_an_older_holder() -> None:
    """Wait-die: at once, whether or not the older one waits for it."""
    buffers = Buffers(WAIT_DIE)
    _, younger = older_and_younger(buffers)

    younger.until("backed off")

    assert buffers.log == ["younger backs off from a"]
    assert not buffers.b.is_locked()


def test_whoever_is_younger_waits_while_nobody_older_needs_what_it_holds() -> None:
    """Wound-wait: fewer retries."""
    buffers = Buffers(WOUND_WAIT)
    older, younger = older_and_younger(buffers)

    younger.race._step(younger)

    assert younger.waits_for == "waits for <WwMutex a [held by older]>"
    assert buffers.log == []
    older.finish()
    younger.finish()
    assert buffers.log == ["younger backs off from a", "older has all", "younger has all"]


@both
def test_two_orders_end_without_deadlock(algorithm: str) -> None:
    """The older one has its locks first, whoever gets to run first."""
    buffers = Buffers(algorithm)
    older, younger = older_and_younger(buffers)

    older.race.run()

    assert buffers.log == ["younger backs off from a", "older has all", "younger has all"]
    assert not any(lock.is_locked() for lock in (buffers.a, buffers.b))
    assert older.done
    assert younger.done


def test_a_wounded_holder_goes_on_until_it_has_to_wait() -> None:
    """Wounding is a mark, and a free lock may still be taken."""
    buffers = Buffers()
    free = WwMutex(buffers.ww_class, "free")
    race = Race()
    older = race.task("older", buffers.submit, "older", buffers.a, buffers.b)
    younger = race.task("younger", buffers.submit, "younger", buffers.b, free)
    older.until("took a")
    younger.until("took b")
    race._step(older)
    assert older.waits_for == "waits for <WwMutex b [held by younger]>"

    younger.until("took free")
    race.run()

    assert buffers.log == ["younger has all", "older has all"]


def test_who_takes_a_lock_from_under_an_older_waiter_is_wounded() -> None:
    """The older one stood in line when the lock came free, and another was faster."""
    buffers = Buffers()
    race = Race()

    def hold() -> None:
        with buffers.b:
            point("holds b")

    holder = race.task("holder", hold)
    older = race.task("older", buffers.submit, "older", buffers.a, buffers.b)
    younger = race.task("younger", buffers.submit, "younger", buffers.b, buffers.a)
    holder.until("holds b")
    older.until("took a")
    race._step(older)
    holder.finish()
    younger.until("took b")

    race.run()

    assert buffers.log == ["younger backs off from a", "older has all", "younger has all"]


def test_who_dies_for_an_older_waiter_does_not_stand_in_line() -> None:
    """Wait-die: behind an older waiter it would die as soon as that one has the lock."""
    buffers = Buffers(WAIT_DIE)
    third = WwMutex(buffers.ww_class, "third")
    race = Race()

    def hold() -> None:
        with buffers.b:
            point("holds b")

    race.task("holder", hold).until("holds b")
    older = race.task("older", buffers.submit, "older", buffers.a, buffers.b)
    younger = race.task("younger", buffers.submit, "younger", third, buffers.b)
    older.until("took a")
    race._step(older)

    younger.until("backed off")

    assert buffers.log == ["younger backs off from b"]


def test_a_waiter_dies_when_an_older_one_comes_to_wait_too() -> None:
    """Wait-die: the line is sorted by age, and only its first may hold others."""
    buffers = Buffers(WAIT_DIE)
    third = WwMutex(buffers.ww_class, "third")
    race = Race()

    def hold() -> None:
        with buffers.b:
            point("holds b")

    race.task("holder", hold).until("holds b")
    older = race.task("older", buffers.submit, "older", buffers.a, buffers.b)
    younger = race.task("younger", buffers.submit, "younger", third, buffers.b)
    older.until("took a")
    younger.until("took third")
    race._step(younger)
    goes_on = [younger.runnable]

    race._step(older)
    goes_on.append(younger.runnable)
    race._step(younger)

    assert goes_on == [False, True]
    assert buffers.log == ["younger backs off from b"]


@both
def test_the_oldest_waiter_is_next(algorithm: str) -> None:
    """Whoever asked first, unless somebody is faster than both."""
    buffers = Buffers(algorithm)
    race = Race()

    def hold() -> None:
        with buffers.a:
            point("holds a")

    holder = race.task("holder", hold)
    first = race.task("first", buffers.submit, "first", buffers.a)
    second = race.task("second", buffers.submit, "second", buffers.a)
    holder.until("holds a")
    first.until("stamped")
    second.until("stamped")
    race._step(second)
    race._step(first)
    holder.finish()

    assert first.runnable
    assert not second.runnable
    race.run()
    assert buffers.log == ["first has all", "second has all"]


def test_who_holds_nothing_else_waits_and_wounds_nobody() -> None:
    """It is in nobody's way."""
    buffers = Buffers()
    race = Race()
    older = race.task("older", buffers.submit, "older", buffers.b)
    younger = race.task("younger", buffers.submit, "younger", buffers.b, buffers.a)
    older.until("stamped")
    younger.until("took b")
    race._step(older)

    assert buffers.b.ctx
    assert not buffers.b.ctx.wounded
    race.run()
    assert buffers.log == ["younger has all", "older has all"]


@both
def test_only_one_of_the_algorithms_wounds(algorithm: str) -> None:
    """The other makes the younger die when it meets the older."""
    buffers = Buffers(algorithm)
    older, _ = older_and_younger(buffers)

    older.race._step(older)

    assert buffers.b.ctx
    assert buffers.b.ctx.wounded == (algorithm == WOUND_WAIT)


def test_whoever_has_let_go_of_everything_is_not_wounded_any_more() -> None:
    """Or it would back off from the next lock for nothing."""
    buffers = Buffers()
    ctx = WwAcquireCtx(buffers.ww_class)
    ctx.wounded = True

    buffers.a.lock(ctx)

    assert not ctx.wounded


def test_a_holder_without_context_is_waited_for_by_all() -> None:
    """As a hook that tries the lock holds it: it has no age, and is not wounded."""
    buffers = Buffers()
    race = Race()

    def move() -> None:
        assert buffers.b.trylock()
        point("moving")
        buffers.b.unlock()

    mover = race.task("mover", move)
    user = race.task("user", buffers.submit, "user", buffers.a, buffers.b)
    mover.until("moving")
    user.until("took a")
    race._step(user)

    assert not user.runnable
    race.run()
    assert buffers.log == ["user has all"]


def test_a_context_does_not_take_a_lock_twice() -> None:
    """-EALREADY: a user may name a buffer twice, and drivers go on."""
    buffers = Buffers()
    with WwAcquireCtx(buffers.ww_class) as ctx:
        buffers.a.lock(ctx)

        with pytest.raises(AlreadyLocked):
            buffers.a.lock(ctx)

        assert ctx.acquired == 1
        buffers.a.unlock()


def test_trying_never_backs_off() -> None:
    """It says whether the lock was free, and takes it under the context."""
    buffers = Buffers()
    with WwAcquireCtx(buffers.ww_class) as ctx:
        assert buffers.a.trylock(ctx)
        assert not buffers.a.trylock(ctx)
        assert (ctx.acquired, buffers.a.ctx) == (1, ctx)
        buffers.a.unlock()
        assert (ctx.acquired, buffers.a.ctx) == (0, None)


def test_it_sleeps_like_any_mutex() -> None:
    """L10, also if it is free."""
    with SpinLock("s"), pytest.raises(ContractViolation) as error:
        WwMutex(WwClass("reservation")).lock()

    assert error.value.rule == "L10"


def test_backing_off_can_be_told_to_another_process() -> None:
    """Checks run in several; the lock itself stays behind."""
    told = BackOff(WwMutex(WwClass("reservation")))

    again = pickle.loads(pickle.dumps(told))

    assert (str(again), again.lock) == (str(told), None)
