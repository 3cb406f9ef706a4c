"""z3fold: claims, references and mapped objects."""

from __future__ import annotations

from corpus.races.driving import OUT, finish, holding, settle, tasks, until
from movable.conformance.bench import Bench
from movable.conformance.scenes import Scene
from movable.hookspecs import MigrateMode


def destroy_at_the_end(bench: Bench) -> None:
    """The pool is destroyed while the last isolation is being counted out."""
    bench.driver.store(3)
    compactor, user = tasks(bench, bench.driver.destroy)

    until(compactor, "isolation counted out")
    until(user, "isolated pages are out")
    finish(bench, compactor, user)

    bench.audit()


def free_at_the_end(bench: Bench) -> None:
    """An object of a full page goes as soon as the page has been put back."""
    bench.driver.store(3)
    bench.compact()
    compactor, user = holding(bench, None, bench.driver.free, 0)

    until(compactor, OUT)
    until(compactor, "header unlocked", "isolation counted out")
    finish(bench, user, compactor)

    settle(bench)


def free_while_reclaimed(bench: Bench) -> None:
    """The last object of a page goes while reclaim wants the page."""
    bench.driver.store(1)
    _, user = tasks(bench, bench.driver.free, 0)
    reclaimer = user.race.task("reclaimer", bench.driver.reclaim)

    until(user, "object freed")
    until(reclaimer, "header busy")
    user.race.advance(user)
    finish(bench, reclaimer, user)

    bench.driver.store(3)
    settle(bench)


def map_while_moving(bench: Bench) -> None:
    """An object is mapped when its page has been copied; who reads it must find it also later,
    when others have written to what is free."""
    bench.driver.store(3)
    compactor, user = tasks(bench, bench.driver.map, 0)

    with bench.kept():
        until(compactor, "page copied")
        finish(bench, user, compactor)

    bench.audit()


def isolate_at_birth(bench: Bench) -> None:
    """A page is isolated as soon as it is published."""
    compactor, user = tasks(bench, bench.driver.store, 1)

    until(user, "published")
    finish(bench, compactor, user)

    settle(bench)


def map_while_isolated(bench: Bench) -> None:
    """An object is mapped while the VM has its page, which then cannot be migrated."""
    bench.driver.store(3)
    bench.compact()
    compactor, user = holding(bench, MigrateMode.SYNC, bench.driver.map, 0)

    until(compactor, OUT)
    finish(bench, user, compactor)

    bench.driver.unmap()
    settle(bench)


SCENES: dict[str, Scene] = {
    "z3fold: destroyed as the last isolation ends": destroy_at_the_end,
    "z3fold: freed as a claim ends": free_at_the_end,
    "z3fold: freed while reclaim looks at it": free_while_reclaimed,
    "z3fold: mapped while its page moves": map_while_moving,
    "z3fold: mapped while it is isolated": map_while_isolated,
    "z3fold: isolated as soon as it is published": isolate_at_birth,
}
