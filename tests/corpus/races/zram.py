"""zram: users of an object meet the compactor, which moves the object's page."""

from __future__ import annotations

from functools import partial

from corpus.races.driving import finish, settle, tasks, until
from movable.conformance.bench import Bench
from movable.conformance.held import Held
from movable.conformance.scenes import Scene

HALF = 2000
"""A size of which two objects lie in one page."""


def fill(bench: Bench, pages: int) -> None:
    """Store *pages* pages, each of which is half a page once compressed."""
    driver = bench.driver
    driver.config = driver.config.model_copy(update={"same_filled": 0})
    driver.data.size = lambda: HALF
    driver.swap_out(pages)


def free_while_locked(bench: Bench) -> None:
    """The last object goes while the VM has the page locked, so the zspage is freed later, by a
    worker that has to wait for the lock."""
    fill(bench, 1)
    compactor, user = tasks(bench, bench.driver.free, 1)

    until(compactor, "source locked")
    until(user)
    for worker in user.race.tasks[2:]:
        until(worker, "empty zspages taken")
        user.race.advance(worker)
    finish(bench, compactor)

    fill(bench, 2)
    settle(bench)


def write_while_moving(bench: Bench) -> None:
    """A new object is about to be written when its page is copied."""
    fill(bench, 1)
    compactor, user = tasks(bench, bench.driver.swap_out, 1)

    until(user, "object mapped")
    until(compactor, "page copied")
    finish(bench, user, compactor)

    settle(bench)


def read_while_moving(bench: Bench) -> None:
    """An object is read as soon as nobody is kept from it any more."""
    fill(bench, 2)
    compactor, user = tasks(bench, bench.driver.read, 2)

    until(compactor, "objects moved")
    finish(bench, user, compactor)

    settle(bench)


def free_while_copied(bench: Bench) -> None:
    """One of two objects goes when the page has been copied."""
    fill(bench, 2)
    compactor, user = tasks(bench, bench.driver.free, 1)

    until(compactor, "page copied")
    finish(bench, user, compactor)

    settle(bench)


def empty_while_isolated(bench: Bench, migrate: bool) -> None:
    """All objects go while the VM has their pages, which then go one way or the other."""
    fill(bench, 8)
    bench.compact()
    with Held(bench, bench.pages()) as held:
        bench.driver.free(8)
        if migrate:
            held.migrate()
    bench.audit()


SCENES: dict[str, Scene] = {
    "zram: freed while its page is locked": free_while_locked,
    "zram: freed while its page moves": free_while_locked,
    "zram: written while its page moves": write_while_moving,
    "zram: read while its page moves": read_while_moving,
    "zram: freed between copy and switch": free_while_copied,
    "zram: emptied, then migrated": partial(empty_while_isolated, migrate=True),
    "zram: emptied, then put back": partial(empty_while_isolated, migrate=False),
}
