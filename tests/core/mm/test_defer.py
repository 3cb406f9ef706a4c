"""After a failure compaction waits, each time twice as long (rules DF-1 to DF-5)."""

from __future__ import annotations

import pytest

from core.mm.ground import Ground, rows
from movable.mm import defer, tracepoints
from movable.mm.memory import Memory


def zone(**fields: int) -> Memory:
    """A zone with these fields of the deferral triple."""
    memory = Ground(1).memory
    for name, value in fields.items():
        memory.zone[name] = value
    return memory


def triple(memory: Memory) -> tuple[int, int, int]:
    """considered, shift, order_failed."""
    zone = memory.zone
    return int(zone["considered"][0]), int(zone["defer_shift"][0]), int(zone["order_failed"][0])


def fails(memory: Memory, order: int) -> None:
    memory.engine.call(defer.defer_compaction, 0, order)


def passes_by(memory: Memory, order: int) -> bool:
    return bool(memory.engine.call(defer.compaction_deferred, 0, order))


def attempts_until_the_next_run(memory: Memory, order: int) -> int:
    """How many attempts pass by."""
    count = 0
    while passes_by(memory, order):
        count += 1
    return count


def test_each_failure_doubles_the_wait_up_to_63_attempts() -> None:
    """V-4, from boot."""
    memory = zone()
    waits = []

    for _ in range(9):
        waits.append(attempts_until_the_next_run(memory, 9))
        fails(memory, 9)

    assert waits == [0, 1, 3, 7, 15, 31, 63, 63, 63]


def test_a_failure_begins_to_count_anew_and_remembers_the_smallest_order() -> None:
    """DF-1."""
    memory = zone(considered=5, defer_shift=2, order_failed=7)

    fails(memory, 9)
    assert triple(memory) == (0, 3, 7)
    fails(memory, 4)
    assert triple(memory) == (0, 4, 4)


def test_smaller_orders_do_not_wait_and_do_not_count() -> None:
    """DF-2."""
    memory = zone(considered=1, defer_shift=3, order_failed=5)

    assert not passes_by(memory, 4)
    assert triple(memory) == (1, 3, 5)
    assert passes_by(memory, 5)
    assert triple(memory) == (2, 3, 5)


def test_once_the_wait_is_over_the_count_stays_at_its_end() -> None:
    """DF-2: at 2^shift; each further attempt runs."""
    memory = zone(considered=3, defer_shift=2)

    assert [passes_by(memory, 3) for _ in range(3)] == [False, False, False]
    assert triple(memory) == (4, 2, 0)


@pytest.mark.parametrize(("had", "after"), [(True, (0, 0, 10)), (False, (3, 2, 10))])
def test_a_block_that_was_had_ends_the_wait(had: bool, after: tuple[int, int, int]) -> None:
    """DF-3: one that is only promised lets larger orders wait on."""
    memory = zone(considered=3, defer_shift=2, order_failed=4)

    memory.engine.call(defer.compaction_defer_reset, 0, 9, had)

    assert triple(memory) == after


def test_a_small_block_says_nothing_about_larger_ones() -> None:
    """DF-3: order_failed never falls by it."""
    memory = zone(order_failed=7)

    memory.engine.call(defer.compaction_defer_reset, 0, 3, True)

    assert triple(memory) == (0, 0, 7)


@pytest.mark.parametrize(
    ("fields", "order", "restarts"),
    [
        ((64, 6, 4), 4, True),
        ((64, 6, 4), 3, False),
        ((63, 6, 4), 9, False),
        ((32, 5, 4), 9, False),
    ],
    ids=["at last", "a smaller order", "one to wait", "a shorter wait"],
)
def test_a_run_restarts_after_the_longest_wait(
    fields: tuple[int, int, int], order: int, restarts: bool
) -> None:
    """DF-4."""
    considered, shift, failed = fields
    memory = zone(considered=considered, defer_shift=shift, order_failed=failed)

    assert bool(memory.engine.call(defer.compaction_restarting, 0, order)) is restarts


def test_what_happens_to_the_wait_is_traced() -> None:
    """Zone, order, order_failed, considered, and the limit 2^shift."""
    memory = zone()

    fails(memory, 9)
    passes_by(memory, 9)
    memory.engine.call(defer.compaction_defer_reset, 0, 9, True)

    kinds = tracepoints.DEFER_COMPACTION, tracepoints.DEFERRED, tracepoints.DEFER_RESET
    assert rows(memory, *kinds) == [
        (tracepoints.DEFER_COMPACTION, 0, 9, 0, 0, 2),
        (tracepoints.DEFERRED, 0, 9, 0, 1, 2),
        (tracepoints.DEFER_RESET, 0, 9, 10, 0, 1),
    ]
