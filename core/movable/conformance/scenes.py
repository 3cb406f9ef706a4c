"""The scenes: what is done to a driver, so that each promise has its occasion.

Each has a fresh bench. A scene ends at the first broken promise; the others begin anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from movable.conformance.batched import in_batches
from movable.conformance.bench import ENOUGH, Bench
from movable.conformance.held import Held
from movable.conformance.interrupted import Interrupted
from movable.conformance.witness import PATIENCE
from movable.errors import ContractViolation
from movable.hookspecs import MigrateMode, MigrateResult
from movable.observers.refusals import Refusals

ROUNDS = 16
FEW = 6
"""Pages, where each should be emptied."""

Scene = Callable[[Bench], None]


def move(bench: Bench) -> None:
    """Pages are moved, and moved once more: a driver that moves each page once is a classic."""
    bench.grow()
    for _ in range(3):
        bench.compact()
        bench.audit()
        bench.stir(4)
        bench.grow()
    bench.compact()
    bench.audit()


def use(bench: Bench) -> None:
    """Users go on between compactions, so that pages are met in every state they are left in."""
    for _ in range(ROUNDS):
        bench.stir(3)
        bench.compact()
        bench.grow(ROUNDS // 2, calls=8)
    bench.audit()


def press(bench: Bench) -> None:
    """Each of the driver's allocations is made in a memory so short that it enters compaction."""
    bench.grow(8)
    for work in (bench.grow, partial(bench.stir, ROUNDS)):
        bench.lent.pressure = 2 * ROUNDS
        work()
    bench.lent.pressure = 0
    bench.audit()


def put_back(bench: Bench, answer: MigrateResult | None) -> None:
    """Migration fails: with *answer*, or for want of targets; every page is as it was before."""
    bench.grow()
    bench.work()
    with bench.kept(), Held(bench, bench.pages()) as held:
        if answer is None:
            held.migrate_without_targets()
        else:
            _injected(bench, held, answer)
    bench.work()  # a page that is given back instead of kept is its driver's no more
    held.compare()
    bench.audit()
    bench.compact()
    bench.audit()


def _injected(bench: Bench, held: Held, answer: MigrateResult) -> None:
    refusals = Refusals(1, 0, isolate=False, answer=answer)
    bench.witness.injected = True
    bench.mapping.attach(refusals)
    try:
        held.migrate()
    finally:
        bench.mapping.detach(refusals)
        bench.witness.injected = False


def migrate_in(bench: Bench, mode: MigrateMode) -> None:
    """One batch in another mode than that of a manual run."""
    bench.grow()
    bench.work()
    with bench.kept(), Held(bench, bench.pages(), mode) as held:
        held.migrate()
    bench.audit()


def ask_again(bench: Bench) -> None:
    """All pages are to be moved, again and again, and nobody does anything else."""
    bench.grow()
    bench.work()
    for _ in range(PATIENCE):
        with bench.kept(), Held(bench, bench.pages()) as held:
            held.migrate()
    bench.audit()


def free_meanwhile(bench: Bench, end: str) -> None:
    """Users go on while the VM holds every page it could get; then it migrates, or puts back.

    In the end the device goes away, so that what nobody has freed is found.
    """

    def look(interrupted: Interrupted) -> None:
        bench.seen["operated_meanwhile"] += len(interrupted.held.pages)
        bench.seen["released"] += interrupted.held.released

    def last() -> None:
        bench.seen["deferred"] += interrupted.held.freed_by(bench.work)
        bench.audit()
        if bench.teardown:
            bench.do_by_name(bench.teardown)
            bench.audit()
            bench.audit_empty()

    shrink = partial(bench.shrink, 8 * ROUNDS)
    interrupted = Interrupted(bench, end, partial(_prepare, bench, FEW), shrink, last)
    interrupted.play(look)


def tear_down(bench: Bench, end: str) -> None:
    """The device goes away while the VM holds every page it could get."""
    if bench.teardown is None:
        return

    def look(interrupted: Interrupted) -> None:
        bench.seen["torn_down"] += bool(interrupted.held.pages)
        if not interrupted.waited:
            _nothing_left_to_ask(bench, interrupted.held)

    def last() -> None:
        bench.audit()
        bench.audit_empty()

    ends = partial(bench.do_by_name, bench.teardown)
    Interrupted(bench, end, partial(_prepare, bench, ENOUGH), ends, last).play(look)


def _prepare(bench: Bench, pages: int) -> None:
    bench.grow(pages)
    bench.work()
    if not bench.pages():  # the work gave all of them back
        bench.grow(pages)


def _nothing_left_to_ask(bench: Bench, held: Held) -> None:
    for page in held.pages:
        if page.mapping is bench.mapping:
            detail = "has returned, and the VM has this page still, and will ask about it"
            raise ContractViolation("I21", repr(page), f"{bench.name}.{bench.teardown}", detail)


SCENES: dict[str, Scene] = {
    "move": move,
    "use": use,
    "press": press,
    "put back after -EBUSY": partial(put_back, answer=MigrateResult.BUSY),
    "put back after -EAGAIN": partial(put_back, answer=MigrateResult.AGAIN),
    "put back for want of targets": partial(put_back, answer=None),
    "migrate in ASYNC": partial(migrate_in, mode=MigrateMode.ASYNC),
    "migrate in SYNC_NO_COPY": partial(migrate_in, mode=MigrateMode.SYNC_NO_COPY),
    "asked again and again": ask_again,
    "in batches": in_batches,
    "free, then migrate": partial(free_meanwhile, end="migrate"),
    "free, then put back": partial(free_meanwhile, end="put back"),
    "tear down, then migrate": partial(tear_down, end="migrate"),
    "tear down, then put back": partial(tear_down, end="put back"),
}
"""By name, in the order in which they are played."""
