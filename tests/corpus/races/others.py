"""Rings of asynchronous I/O, and a GPU's pool."""

from __future__ import annotations

from corpus.races.driving import finish, settle, tasks, until
from movable.conformance.bench import Bench
from movable.conformance.scenes import Scene


def move_while_set_up(bench: Bench) -> None:
    """A ring's first page moves as soon as it is published."""
    compactor, user = tasks(bench, bench.driver.setup, 2)

    until(user, "ring page published")
    finish(bench, compactor, user)

    settle(bench)


def give_out_while_isolated(bench: Bench) -> None:
    """A page is on its way into a buffer when isolation, which has seen it pooled, goes on."""
    bench.driver.allocate(1, 1)
    bench.driver.free(0)
    compactor, user = tasks(bench, bench.driver.allocate, 1, 2)

    until(compactor, "pooled page seen")
    until(user, "page published")
    finish(bench, compactor, user)

    settle(bench)


SCENES: dict[str, Scene] = {
    "aio: moved while the ring is set up": move_while_set_up,
    "gpu: given out while it is isolated": give_out_while_isolated,
}
