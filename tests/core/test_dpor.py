"""Dynamic partial-order reduction: one order of each kind, and no kind left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from itertools import islice
from math import comb
from random import Random
from typing import Any

import pytest

from core.kinds import Everything, Log, Touched, Work, dpor, locks, pages, play, touch
from movable import Mutex, SpinLock
from movable.sched import Completion, RwLock, WorkQueue, point, wait_for
from movable.sched.dpor import Dpor
from movable.sched.exploration import Exploration
from movable.sched.strategies import Fifo


@pytest.mark.parametrize(
    ("tasks", "kinds"),
    [
        ([pages("a", 1, 2), pages("b", 3, 4)], 1),
        ([pages("a", 1, 1), pages("b", 1, 1)], 6),
        ([pages("a", 1, 2), pages("b", 1, 2)], 4),
        ([pages("a", 1, 2), pages("b", 2, 1)], 3),
        ([pages("a", 1, 1), pages("b", 1, 1), pages("c", 1, 1)], 90),
        ([pages("a", 1), pages("b", 2), pages("c", 1)], 2),
    ],
    ids=["other pages", "one page", "two pages", "crosswise", "three tasks", "one apart"],
)
def test_it_plays_one_order_of_each_kind(tasks: list[tuple[str, Work]], kinds: int) -> None:
    """Who touches nothing that others touch may go whenever it likes."""
    played = dpor(lambda: dict(tasks))

    assert played.schedules == len(played.outcomes) == kinds
    assert (played.complete, played.redundant) == (True, 0)


@pytest.mark.parametrize(
    ("taken", "kinds"),
    [(["AA", "BB"], 1), (["AA", "AA"], 6), (["AB", "BA"], 3), (["A", "A", "A"], 6)],
    ids=["other locks", "one lock", "crosswise", "three tasks"],
)
def test_who_takes_a_lock_first_makes_a_difference(taken: list[str], kinds: int) -> None:
    """And nothing else about locks: to wait for one is to have it later."""

    def make() -> dict[str, Work]:
        known = {name: SpinLock(name) for name in "AB"}
        return dict(
            locks(name, *(known[lock] for lock in each))
            for name, each in zip("abc", taken, strict=False)
        )

    played = dpor(make)

    assert played.schedules == len(played.outcomes) == kinds
    assert (played.complete, played.redundant) == (True, 0)


FEW = 600
"""So many orders can all be played."""


def orders(blocks: Iterable[list[Any]]) -> int:
    """How many orders there are at most of the points in *blocks*, one of each task."""

    def points(block: list[Any]) -> int:
        return sum(1 if isinstance(each, int) else 2 + points(each[2]) for each in block)

    count, before = 1, 0
    for block in blocks:
        before += points(block)
        count *= comb(before, points(block))
    return count


def program(seed: int) -> Callable[[], dict[str, Work]]:
    """Two or three tasks that touch pages, with and without locks, one in the other or not."""
    random = Random(seed)

    def block(depth: int) -> list[Any]:
        return [
            (random.choice("ABR"), random.random() < 0.5, block(depth + 1))
            if random.random() < 0.4 and depth < 2
            else random.randrange(2)
            for _ in range(random.randint(1, 2))
        ]

    tasks = {name: block(0) for name in "abc"[: random.randint(2, 3)]}
    while not 1 < orders(tasks.values()) <= FEW:
        tasks = {name: block(0) for name in tasks}

    def do(name: str, log: Log, block: list[Any], known: dict[str, Any]) -> None:
        for each in block:
            if isinstance(each, int):
                touch(name, log, each)
                continue
            lock, as_reader, inside = each
            if lock == "R":
                held = known["R"].read() if as_reader else known["R"].write()
            else:
                held = known[lock]
            with held:
                if not (lock == "R" and as_reader):
                    log[lock] = log.get(lock, "") + name
                do(name, log, inside, known)

    def make() -> dict[str, Work]:
        known = {"A": SpinLock("A"), "B": SpinLock("B"), "R": RwLock("R")}

        def bound(name: str) -> Work:
            return lambda log: do(name, log, tasks[name], known)

        return {name: bound(name) for name in tasks}

    return make


@pytest.mark.parametrize("seed", range(30))
def test_it_leaves_nothing_out(seed: int) -> None:
    """Whatever comes of some order comes of one that it plays; deadlocks are found, too."""
    make = program(seed)
    run = Exploration()
    all_ = play(run, Everything(), make)

    played = dpor(make)

    assert played.outcomes == all_.outcomes
    if "R" not in "".join(all_.outcomes):  # readers of one lock are taken to collide
        assert played.schedules - played.redundant == len(all_.outcomes)
    assert played.complete == (not any(one.startswith("deadlock") for one in all_.outcomes))


def test_who_is_woken_comes_after_who_woke_it() -> None:
    """That is no choice, and not tried, even where others could go on; what both touched before
    is."""

    def make() -> dict[str, Work]:
        done = Completion("done")

        def waiter(log: Log) -> None:
            touch("w", log, 1)
            done.wait_for_completion()
            touch("w", log, 1)

        def waker(log: Log) -> None:
            touch("k", log, 1)
            done.complete()

        return dict([("waiter", waiter), ("waker", waker), pages("bystander", 2)])

    played = dpor(make)

    assert played.outcomes == {f" [(1, '{order}'), (2, 'bystander')]" for order in ("wkw", "kww")}
    assert (played.schedules, played.complete) == (2, True)


def test_readers_are_let_in_together() -> None:
    """What they do inside may come in any order; a writer waits."""

    def make() -> dict[str, Work]:
        lock = RwLock("R")

        def reader(name: str, *pfns: int) -> tuple[str, Work]:
            def work(log: Log) -> None:
                with lock.read():
                    for pfn in pfns:
                        touch(name, log, pfn)

            return name, work

        return dict([reader("a", 1, 2), reader("b", 2, 1)])

    assert dpor(make).outcomes == play(Exploration(), Everything(), make).outcomes


def test_tasks_that_are_made_meanwhile_take_part() -> None:
    """A driver's worker collides like everybody else."""

    def make() -> dict[str, Work]:
        queue = WorkQueue("worker")

        def user(log: Log) -> None:
            point("alone")
            queue.queue(lambda: touch("w", log, 1))
            point("queued")
            touch("u", log, 1)

        return {"user": user}

    assert dpor(make).outcomes == {" [(1, 'uw')]", " [(1, 'wu')]"}


def test_what_was_before_a_task_was_made_is_no_choice() -> None:
    """Even where others could have gone on."""

    def make() -> dict[str, Work]:
        queue = WorkQueue("worker")

        def user(log: Log) -> None:
            touch("u", log, 1)
            queue.queue(lambda: touch("w", log, 1))

        return dict([("user", user), pages("bystander", 2)])

    assert dpor(make).schedules == 1


def test_it_finds_a_check_that_is_out_of_date() -> None:
    """Two tasks look whether a page is theirs to free, and both find it is."""
    run = Exploration()
    freed: list[str] = []

    def free(name: str) -> Callable[[], None]:
        def work() -> None:
            there = not freed
            touch(name, {}, 7)
            if there:
                freed.append(name)
                touch(name, {}, 7)

        return work

    seen = set()
    for order in Dpor(run):
        freed.clear()
        run.run([("a", free("a")), ("b", free("b"))], order)
        seen.add("".join(freed))

    assert {"ab", "ba"} & seen


def test_a_schedule_that_fails_leaves_it_unfinished() -> None:
    """What would have come after the failure is not known."""

    def make() -> dict[str, Work]:
        one, two = Mutex("one"), Mutex("two")

        def both(name: str, first: Mutex, second: Mutex) -> tuple[str, Work]:
            def work(log: Log) -> None:
                with first, second:
                    log[name] = "done"

            return name, work

        return dict([both("a", one, two), both("b", two, one)])

    played = dpor(make)

    assert any(one.startswith("deadlock") for one in played.outcomes)
    assert not played.complete


def test_who_does_not_do_the_same_twice_is_never_done() -> None:
    """It is played on, but nothing is claimed."""
    turns = iter(range(1_000))

    def make() -> dict[str, Work]:
        odd = next(turns) == 1

        def fickle(log: Log) -> None:
            point(f"{odd}", Touched(1))  # type: ignore[arg-type]
            touch("f", log, 1)

        return dict([("f", fickle), pages("a", 1, 1)])

    run = Exploration()
    search = Dpor(run)
    play(run, islice(search, 50), make)

    assert not search.complete


def test_nobody_is_watched_any_more_when_it_is_over() -> None:
    """Points cost nothing again."""
    from movable import sched

    run = Exploration()
    orders = iter(Dpor(run))
    run.run([("a", lambda: wait_for(lambda: True, "nothing"))], next(orders))
    assert sched.active
    orders.close()

    assert not sched.active


def test_what_is_played_between_two_schedules_is_not_looked_at() -> None:
    """Other tasks, for another purpose."""
    run = Exploration()
    with closing(iter(Dpor(run))) as orders:
        run.run([(name, partial(touch, name, {}, 1)) for name in "abc"], next(orders))
        second = next(orders)
        run.run([("other", partial(touch, "other", {}, 2))], Fifo())
        run.run([(name, partial(touch, name, {}, 1)) for name in "abc"], second)

    assert len(run.tasks) == 3
