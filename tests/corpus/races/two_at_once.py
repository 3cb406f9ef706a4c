"""The VM's own races: two compactors, or one and somebody who has locked a page."""

from __future__ import annotations

from corpus.races.driving import OUT, finish, holding, settle, tasks, until
from movable.conformance.bench import Bench
from movable.conformance.scenes import Scene
from movable.hookspecs import MigrateMode
from movable.page import Page
from movable.sched import point


def two_compactors(bench: Bench) -> None:
    """Both have seen that a page is movable; one has isolated it when the other gets the lock."""
    bench.grow(1)
    one, two = tasks(bench, bench.memory.compact_memory)

    until(one, "movable tested")
    until(two, "isolate unlocked")
    finish(bench, one, two)

    settle(bench)


def lock(page: Page) -> None:
    """What anybody does who needs a page to stay as it is for a moment."""
    page.lock()
    point("page held")
    page.unlock()


def asynchronous(bench: Bench) -> None:
    """A compactor that must not block gets to putback while others keep the lock (P04)."""
    bench.grow(1)
    bench.compact()
    page = bench.pages()[0]
    compactor, holder = holding(bench, MigrateMode.ASYNC, lock, page)

    until(compactor, OUT)
    until(holder, "page held")
    finish(bench, compactor)

    settle(bench)


SCENES: dict[str, Scene] = {
    "two compactors at one page": two_compactors,
    "a page is locked while an asynchronous compactor wants it": asynchronous,
}
