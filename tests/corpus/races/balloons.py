"""Balloons: guests inflate and deflate while the VM has pages."""

from __future__ import annotations

from corpus.races.driving import finish, settle, tasks, until
from movable.conformance.bench import Bench
from movable.conformance.scenes import Scene


def deflate_while_isolated(bench: Bench) -> None:
    """The list has been read when the VM takes its only page off it."""
    bench.driver.inflate(1)
    compactor, guest = tasks(bench, bench.driver.deflate, 1)

    until(guest, "list read", "page dequeued")
    until(compactor, "isolate unlocked")
    finish(bench, guest, compactor)

    bench.driver.inflate(2)
    settle(bench)


def inflate_while_deflated(bench: Bench) -> None:
    """The balloon is inflated when pages have been taken out and not yet been freed."""
    bench.driver.inflate(4)
    _, guest = tasks(bench, bench.driver.deflate, 2)
    other = guest.race.task("other", bench.driver.inflate, 2)

    until(guest, "mutex dropped")
    until(other)
    finish(bench, guest)

    settle(bench)


def busy_in_the_first_pass(bench: Bench) -> None:
    """A guest inflates while the first pass of migration asks; in the second nobody is there."""
    bench.driver.inflate(2)
    compactor, guest = tasks(bench, bench.driver.inflate, 1)

    until(guest, "hypervisor asked")
    until(compactor, "target returned")
    finish(bench, guest, compactor)

    settle(bench)


def lent_no_more(bench: Bench) -> None:
    """Each move succeeds by half: the hypervisor wants no new frame. No page is left of that."""
    bench.driver.inflate(8)
    bench.driver.decree(0, stubborn=False)
    bench.compact()
    bench.driver.remove()
    bench.audit()
    bench.audit_empty()


def nothing_moves(bench: Bench) -> None:
    """A balloon whose pages cannot move is inflated, and taken back as a whole."""
    bench.driver.inflate(4)
    _, guest = tasks(bench, bench.driver.remove)

    finish(bench, guest)

    bench.audit_empty()


SCENES: dict[str, Scene] = {
    "balloon: deflated while a page is isolated": deflate_while_isolated,
    "balloon: inflated while it is deflated": inflate_while_deflated,
    "vmw: the mutex is held in the first pass": busy_in_the_first_pass,
    "vmw: the hypervisor wants no more": lent_no_more,
    "nothing moves": nothing_moves,
}
