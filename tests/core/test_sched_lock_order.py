"""The order of locks: what is learned, what contradicts it, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import pytest

from core.frames import Frames
from movable import Mutex, RwLock, SpinLock, WwAcquireCtx, WwClass, WwMutex, point, sched
from movable.errors import ContractViolation
from movable.sched import LockOrder, Race
from movable.sched.lock_watch import watchers

Lock = AbstractContextManager[Any]


@pytest.fixture
def order() -> Iterator[LockOrder]:
    with LockOrder() as order:
        yield order


def nest(*locks: Lock) -> None:
    """Take all, the first one outermost, and let go of them."""
    with ExitStack() as held:
        for lock in locks:
            held.enter_context(lock)
            point("taken")


def refused(*locks: Lock) -> ContractViolation:
    with pytest.raises(ContractViolation) as error:
        nest(*locks)
    return error.value


# What is learned.


def test_two_orders_are_reported_though_they_never_met(order: LockOrder) -> None:
    """One after the other, in one task: in a race it would be a deadlock."""
    a, b = Mutex("a"), Mutex("b")
    nest(a, b)

    error = refused(b, a)

    assert error.rule == "I19"
    assert error.page == "<Mutex a [free]>"
    assert error.detail == (
        "closes a cycle: main took a in nest, then waits for b in nest after 'taken';"
        " main took b in nest after 'taken', then waits for a in nest after 'taken'"
    )


def test_the_report_comes_before_anybody_waits(order: LockOrder) -> None:
    """The second order is reported while the other holds nothing that it needs."""
    a, b = Mutex("a"), Mutex("b")
    race = Race()
    race.task("one", nest, a, b).finish()
    other = race.task("other", nest, b, a)

    with pytest.raises(ContractViolation, match="one took a in nest"):
        other.finish()

    assert not a.is_locked()


def test_one_order_is_fine_however_often(order: LockOrder) -> None:
    """Also with gaps."""
    a, b, c = Mutex("a"), SpinLock("b"), SpinLock("c")
    for locks in ((a, b), (a, c), (b, c), (a, b, c)):
        nest(*locks)

    assert len(order.edges) == 3
    assert repr(order) == "<LockOrder [3 edges]>"


def test_a_cycle_of_three_has_three_sentences(order: LockOrder) -> None:
    """Each pair is harmless."""
    a, b, c = Mutex("a"), Mutex("b"), Mutex("c")
    nest(a, b)
    nest(b, c)

    error = refused(c, a)

    assert error.detail.count("then waits for") == 3


def test_a_cycle_is_told_once(order: LockOrder) -> None:
    """Or no later one would ever be seen."""
    a, b = Mutex("a"), Mutex("b")
    nest(a, b)
    refused(b, a)

    nest(b, a)


def test_locks_of_one_name_are_one_class(order: LockOrder) -> None:
    """What is seen with one device holds for all."""
    nest(Mutex("region"), Mutex("mmu"))

    assert refused(Mutex("mmu"), Mutex("region")).rule == "I19"


def test_a_name_means_another_class_for_another_kind(order: LockOrder) -> None:
    """A mutex and a spin lock of one name have nothing to do with each other."""
    a = Mutex("outer")
    nest(a, SpinLock("x"))

    nest(Mutex("x"), a)


def test_locks_without_a_name_are_by_themselves(order: LockOrder) -> None:
    """Nothing says that two of them are alike."""
    nest(Mutex(), Mutex("a"))
    nest(Mutex("a"), Mutex())

    assert len(order.edges) == 2


def test_within_a_class_a_fixed_order_is_allowed(order: LockOrder) -> None:
    """A driver may lock its objects by number."""
    low, high = SpinLock("zspage"), SpinLock("zspage")
    nest(low, high)
    nest(low, high)

    assert refused(high, low).rule == "I19"


@pytest.mark.parametrize("make", [Mutex, SpinLock])
def test_waiting_for_a_lock_one_has_is_waiting_for_oneself(
    order: LockOrder, make: Callable[[str], Mutex | SpinLock]
) -> None:
    """In a race it would look as if somebody else had it."""
    lock = make("m")

    error = refused(lock, lock)

    assert (error.rule, "waits for itself" in error.detail) == ("I19", True)


# Trylock.


def test_who_only_tries_does_not_come_behind(order: LockOrder) -> None:
    """L02: the reverse order, with something else to do when it fails."""
    a, b = Mutex("a"), Mutex("b")
    nest(a, b)

    with b:
        assert a.trylock()
        a.unlock()

    assert len(order.edges) == 1


def test_what_was_got_by_trying_is_held_like_any_other(order: LockOrder) -> None:
    """Others wait for it."""
    a, b = Mutex("a"), Mutex("b")
    nest(a, b)
    assert b.trylock()

    assert refused(a).rule == "I19"


def test_what_was_let_go_of_comes_before_nothing(order: LockOrder) -> None:
    """In whatever order locks are let go of."""
    a, b, c = Mutex("a"), Mutex("b"), Mutex("c")
    a.lock()
    b.lock()
    a.unlock()
    c.lock()
    b.unlock()
    c.unlock()

    assert {(edge.first, edge.then) for edge in order.edges} == {
        (a.lock_class, b.lock_class),
        (b.lock_class, c.lock_class),
    }


# Readers.


def test_readers_do_not_wait_for_each_other(order: LockOrder) -> None:
    """Two orders of reading are one order less than a deadlock."""
    x, y = RwLock("x"), RwLock("y")
    nest(x.read(), y.read())

    nest(y.read(), x.read())
    nest(x.read(), x.read())


@pytest.mark.parametrize(("first", "second"), [("read", "write"), ("write", "read")])
def test_a_writer_waits_for_readers_and_they_for_it(
    order: LockOrder, first: str, second: str
) -> None:
    """One of the two must write what the other reads."""
    x, m = RwLock("x"), SpinLock("m")
    nest(getattr(x, first)(), m)

    assert refused(m, getattr(x, second)()).rule == "I19"


@pytest.mark.parametrize("first", ["x", "m"])
def test_a_cycle_through_two_readers_is_none(order: LockOrder, first: str) -> None:
    """Whoever waits for m has x as a reader, and whoever has m reads x too."""
    x, m = RwLock("x"), SpinLock("m")
    if first == "m":
        nest(m, x.read())
    nest(x.read(), m)

    nest(m, x.read())


@pytest.mark.parametrize(("first", "second"), [("read", "write"), ("write", "read")])
def test_who_reads_does_not_write(order: LockOrder, first: str, second: str) -> None:
    """It waits for its own share, and the other way round too."""
    lock = RwLock("x")

    error = refused(getattr(lock, first)(), getattr(lock, second)())

    assert "waits for itself" in error.detail


# Page locks.


def test_a_page_lock_behind_a_drivers_lock_breaks_l01(order: LockOrder) -> None:
    """All page locks are one class: it need not be the same page."""
    frames, pool = Frames(), Mutex("pool_lock")
    one, other = frames.alloc_page(), frames.alloc_page()
    one.lock()
    nest(pool)
    one.unlock()

    with pool, pytest.raises(ContractViolation) as error:
        other.lock()

    assert error.value.rule == "L01"
    assert "then waits for the lock of page 1 in test_" in error.value.detail


def test_pages_are_locked_in_one_order(order: LockOrder) -> None:
    """L03: several pages of one object, always the same way round."""
    frames = Frames()
    one, other = frames.alloc_page(), frames.alloc_page()
    for _ in range(2):
        one.lock()
        other.lock()
        one.unlock()
        other.unlock()
    other.lock()

    with pytest.raises(ContractViolation) as error:
        one.lock()

    assert error.value.rule == "L03"


def test_a_frame_that_is_used_anew_has_no_place(order: LockOrder) -> None:
    """Its neighbours of today are not those of yesterday."""
    frames = Frames()
    one, other = frames.alloc_page(), frames.alloc_page()
    one.lock()
    other.lock()
    one.unlock()
    other.unlock()
    other.put()
    assert frames.alloc_page() == other
    other.lock()

    one.lock()

    assert len(order.edges) == 1


def test_a_page_may_be_unlocked_by_another_task(order: LockOrder) -> None:
    """As when an I/O completes; whoever locked it has it no more."""
    page, mutex = Frames().alloc_page(), Mutex("m")
    race = Race()

    def submit() -> None:
        page.lock()
        point("submitted")
        nest(mutex)

    submitter = race.task("submitter", submit)
    submitter.until("submitted")
    race.task("completer", page.unlock).finish()
    submitter.finish()

    assert order.edges == {}


# Ww mutexes.


def test_under_a_context_locks_of_a_class_come_in_any_order(order: LockOrder) -> None:
    """That is what they are for; against other locks the class has a place like any other."""
    ww_class, mmu = WwClass("reservation"), Mutex("mmu")
    a, b = WwMutex(ww_class, "a"), WwMutex(ww_class, "b")
    for first, second in ((a, b), (b, a)):
        with WwAcquireCtx(ww_class) as ctx:
            first.lock(ctx)
            second.lock(ctx)
            nest(mmu)
            first.unlock()
            second.unlock()

    assert refused(mmu, a).rule == "I19"


def test_under_a_context_other_locks_still_come_first(order: LockOrder) -> None:
    """The context sorts out nothing but its own class."""
    ww_class, mmu = WwClass("reservation"), Mutex("mmu")
    a = WwMutex(ww_class, "a")
    nest(a, mmu)

    with mmu, WwAcquireCtx(ww_class) as ctx, pytest.raises(ContractViolation) as error:
        a.lock(ctx)

    assert error.value.rule == "I19"


def test_without_a_context_they_are_plain_mutexes(order: LockOrder) -> None:
    """Nobody backs off."""
    ww_class = WwClass("reservation")
    a, b = WwMutex(ww_class, "a"), WwMutex(ww_class, "b")
    nest(a, b)

    assert refused(b, a).rule == "I19"


# Watching.


def test_what_is_learned_stays_with_the_order() -> None:
    """Nothing is left behind for the next test, and an unwatched lock tells nobody."""
    a, b = Mutex("a"), Mutex("b")
    with LockOrder() as order:
        nest(a, b)

    nest(b, a)

    assert len(order.edges) == 1
    assert watchers == []
    assert not sched.active


def test_a_new_schedule_begins_with_nothing_held(order: LockOrder) -> None:
    """A task that was given up in the middle will never let go; what it taught stays."""
    a, b = Mutex("a"), Mutex("b")
    nest(a, b)
    a.lock()

    order.begin()
    assert "after" not in order.where()
    nest(Mutex("c"))

    assert len(order.edges) == 1
