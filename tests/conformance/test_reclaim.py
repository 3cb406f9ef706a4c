"""Reclaim as somebody who collides: it has work, reaches the driver, and is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from movable.conformance.collisions import Wanted, draw_plan
from movable.conformance.declared import Declared
from movable.conformance.plan import Part, Plan, Step
from movable.conformance.stage import ORDINARY, Stage
from movable.mm.shrink_lists import INACTIVE_ANON, INACTIVE_FILE
from movable.sched.strategies import Fifo, RandomWalk
from movable_gpu import Gpu
from movable_zsmalloc import Zram

RECLAIM, COMPACT = Step(do="reclaim"), Step(do="compact")


@contextmanager
def staged(kind: type[Any], *tasks: Part) -> Iterator[Stage]:
    """A stage with these tasks."""
    plan = Plan(collision="reclaim", tasks=tasks)
    stage = Stage(kind.__name__.lower(), kind, Declared.of(kind), plan)
    try:
        yield stage
    finally:
        stage.close()


def lru(stage: Stage) -> tuple[int, int]:
    """Anonymous pages and page cache that could be reclaimed."""
    sizes = stage.memory.node["nr_lru"][0]
    return int(sizes[INACTIVE_ANON]), int(sizes[INACTIVE_FILE])


def test_anonymous_pages_are_swapped_to_a_driver_that_takes_them() -> None:
    """Its own allocations are then made while memory is reclaimed."""
    with staged(Zram, Part(name="kswapd", steps=(RECLAIM,))) as stage:
        assert lru(stage) == (ORDINARY, 0)
        assert stage.run(Fifo()) is None
        out = stage.memory.vmscan.events["pswpout"]

        assert out > 0
        assert lru(stage) == (ORDINARY - out, 0)
        assert len(stage.driver.table) == out


def test_page_cache_is_freed_where_nobody_swaps() -> None:
    """The driver is asked by its shrinker, in a step of its own."""
    with staged(Gpu, Part(name="kswapd", steps=(RECLAIM,))) as stage:
        assert lru(stage) == (0, ORDINARY)
        assert stage.run(Fifo()) is None

        assert lru(stage) == (0, 0)


def test_without_reclaim_there_are_no_ordinary_pages() -> None:
    """So other collisions are as they were."""
    with staged(Zram, Part(name="cpu0", steps=(COMPACT,))) as stage:
        assert lru(stage) == (0, 0)
        assert not stage.memory.vmscan.reclaims


def test_each_schedule_finds_the_pages_where_they_were() -> None:
    """Those on the lists, the swap device's slots and the counters."""
    tasks = Part(name="kswapd", steps=(RECLAIM,)), Part(name="cpu0", steps=(COMPACT,))
    with staged(Zram, *tasks) as stage:
        walk, outcomes = RandomWalk(1), set()
        for _ in range(12):
            assert stage.run(walk) is None
        for _ in range(3):
            assert stage.run(Fifo()) is None
            swap = stage.memory.vmscan.swap
            assert swap
            outcomes.add((lru(stage), tuple(swap.slots.items()), stage.exploration.steps))
            assert stage.memory.vmscan.events["allocstall"] == 1

        assert len(outcomes) == 1


@pytest.mark.parametrize(("kind", "verbs"), [(Zram, [""]), (Gpu, ["", "shrink"])])
def test_the_plan_is_drawn(kind: type[Any], verbs: list[str]) -> None:
    """kswapd reclaims, and asks the driver's shrinker if it has one, while others are at work."""
    plan = draw_plan(kind.__name__.lower(), kind, Declared.of(kind), Wanted("reclaim"), Random(0))

    assert plan
    assert [part.name for part in plan.tasks] == ["cpu0", "kswapd", "user0"]
    assert [step.verb for step in plan.tasks[1].steps] == verbs
    assert plan.tasks[1].steps[0] == RECLAIM
