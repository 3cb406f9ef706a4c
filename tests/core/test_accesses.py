"""What steps touch besides pages: memory, frames that are gone over, what they wait for."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from core.kinds import Log, Touched, Work, dpor, touch
from movable.mm.memory import Memory
from movable.sched import Completion, frame_watch, lock_watch, wait_for
from movable.sched.page_lock import PageLock


def test_who_waits_for_a_page_has_asked_for_it() -> None:
    """The VM takes page locks without a word. When a driver has waited for one, it could also have
    come first."""
    page: Any = Touched(1)

    def make() -> dict[str, Work]:
        locked: list[str] = []
        go = Completion("go")

        def vm(log: Log) -> None:
            wait_for(lambda: not locked, "the page")
            locked.append("vm")
            touch("v", log, 1)
            go.wait_for_completion()
            locked.clear()
            touch("v", log, 1)

        def driver(log: Log) -> None:
            lock_watch.wants(PageLock(page))
            wait_for(lambda: not locked, "the page")
            lock_watch.took(PageLock(page))
            log[1] = log.get(1, "") + "d"
            lock_watch.let_go(PageLock(page))

        return {"vm": vm, "driver": driver, "third": lambda _: go.complete()}

    assert dpor(make).outcomes == {f" [(1, '{order}')]" for order in ("vvd", "dvv")}


def test_allocations_make_a_difference() -> None:
    """Who comes first gets the first page."""

    def allocator(name: str) -> tuple[str, Work]:
        def work(log: Log) -> None:
            lock_watch.allocates()
            log["memory"] = log.get("memory", "") + name

        return name, work

    played = dpor(lambda: dict([allocator("a"), allocator("b")]))

    assert played.outcomes == {" [('memory', 'ab')]", " [('memory', 'ba')]"}
    assert played.schedules == 2


@pytest.mark.parametrize(("pfn", "outcomes"), [(3, {"sees", "misses"}), (12, {"misses"})])
def test_what_is_gone_over_makes_a_difference(pfn: int, outcomes: set[str]) -> None:
    """A scanner that passes by a page would have stopped at it, had it been there."""

    def make() -> dict[str, Work]:
        there: set[int] = set()

        def scan(log: Log) -> None:
            frame_watch.gone_over(range(10))
            log["scanner"] = "sees" if there & set(range(10)) else "misses"

        def publish(log: Log) -> None:
            there.add(pfn)
            touch("p", {}, pfn)

        return {"scanner": scan, "driver": publish}

    played = dpor(make)

    assert played.outcomes == {f" [('scanner', '{outcome}')]" for outcome in outcomes}
    assert (played.schedules, played.complete) == (len(outcomes), True)


def test_compaction_says_what_it_goes_over() -> None:
    """Each frame once, up to where the scanners meet: at least those that it counts."""
    memory = Memory.blank(4096)
    memory.drop(memory.fill("anon", 3000)[::2])
    seen: list[range] = []
    frame_watch.watchers.append(seen.append)
    try:
        memory.compact_memory()
    finally:
        frame_watch.watchers.remove(seen.append)

    assert seen[0].start == 0
    assert all(one.stop == other.start for one, other in pairwise(seen))
    assert seen[-1].stop > memory.vmstat()["compact_migrate_scanned"] > 1000


def test_an_allocation_comes_after_its_point() -> None:
    """Others, woken before it, may come between."""

    def make() -> dict[str, Work]:
        done = Completion("done")

        def allocate(name: str, log: Log) -> None:
            lock_watch.allocates()
            log["memory"] = log.get("memory", "") + name

        def waker(log: Log) -> None:
            done.complete()
            allocate("a", log)

        def waiter(log: Log) -> None:
            done.wait_for_completion()
            allocate("b", log)

        return {"waiter": waiter, "waker": waker}

    assert dpor(make).outcomes == {" [('memory', 'ab')]", " [('memory', 'ba')]"}
