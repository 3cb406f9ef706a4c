"""Named races of tasks that compact memory for themselves: what one frees, another does not get."""

from __future__ import annotations

from typing import Any

import pytest

from core.mm.asking import ASYNC, compact, open_to_all
from core.mm.ground import Ground, listed, on_pcp
from movable.drivers.scripted import ISOLATE, PUTBACK, Scripted
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL
from movable.mm import mm_types as t
from movable.mm import page_alloc
from movable.mm.alloc_flags import ALLOC_CPUSET
from movable.mm.direct_compaction import Capture, Request, try_to_compact_pages
from movable.mm.memory import Memory
from movable.sched import Race, point

REQUEST = Request.of(GFP_HIGHUSER_MOVABLE, 3, ALLOC_CPUSET)


def room(blocks: tuple[int, ...] = (0,)) -> tuple[Ground, Scripted, Memory]:
    """Eight blocks of 8 frames, two pages of a driver in each of *blocks*; room in 6 and 7."""
    ground = Ground(8, 3, 5)
    driver = Scripted(ground.memory)
    ground.driver(driver.mapping, [p for block in blocks for p in ground.span(block, [0, 1])])
    used = [block for block in range(6) if block not in blocks]
    ground.kernel([p for block in used for p in ground.span(block, range(8))])
    ground.kernel([ground.at(6), ground.at(7)])
    return ground, driver, open_to_all(ground)


def free_block(memory: Memory, ground: Ground, block: int) -> None:
    """What a task does that frees a pageblock, page by page."""
    for pfn in ground.span(block, range(8)):
        memory.engine.call(page_alloc.free_pages, pfn, 0)
    memory.drain_all_pages()


def test_what_another_task_frees_meanwhile_is_not_captured() -> None:
    """CP-1: its block goes to the free lists, and the compactor gets the one it made itself."""
    ground, _, memory = room()
    race = Race()
    compactor = race.task("compactor", compact, memory, ASYNC, REQUEST)
    other = race.task("other", free_block, memory, ground, 3)

    compactor.until("isolate unlocked")
    other.finish()
    assert listed(memory, 3) == [ground.at(3)]
    compactor.finish()

    assert compactor.result == (t.COMPACT_SUCCESS, ground.at(0))
    assert listed(memory, 3) == [ground.at(3)]
    memory.frames_without_reference = 7
    memory.validate()


def held(memory: Memory, z: int, order: int, *parts: Any) -> int:
    """Free the frames of each part under one capture, with a point behind each."""
    with Capture(memory, z, order) as capture:
        for part in parts:
            for pfn in part:
                memory.engine.call(page_alloc.free_pages, pfn, 0)
            memory.drain_all_pages()
            point("freed a part")
    return capture.pfn


@pytest.mark.parametrize("steps", ["abab", "aabb", "abba", "baba"])
def test_each_of_two_captures_gets_its_own_block(steps: str) -> None:
    """Whoever runs when; one waits for a pageblock, the other for half of one."""
    ground = Ground(6, 4, 6)
    ground.type(2, t.UNMOVABLE)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    race = Race()
    halves = ground.span(1, range(8)), ground.span(1, range(8, 16))
    quarters = ground.span(2, range(4)), ground.span(2, range(4, 8))
    tasks = {
        "a": race.task("a", held, memory, 0, 4, *halves),
        "b": race.task("b", held, memory, 0, 3, *quarters),
    }

    for name in steps:
        tasks[name].until("freed a part")
    race.run()

    assert (tasks["a"].result, tasks["b"].result) == (ground.at(1), ground.at(2))
    assert memory.node["capture_zone"][0] == memory.node["captured"][0] == -1
    memory.frames_without_reference = 15 + 7
    memory.validate()


def test_a_capture_that_has_its_block_keeps_it_while_others_run() -> None:
    """The second block that the first task frees is everybody's, even after the other ended."""
    ground = Ground(6, 3, 5)
    ground.kernel(range(ground.start, ground.end))
    memory = ground.done()
    race = Race()
    one = race.task("one", held, memory, 0, 3, ground.span(0, range(8)), ground.span(2, range(8)))
    two = race.task("two", held, memory, 0, 3, ground.span(4, range(8)))

    one.until("freed a part")
    two.finish()
    one.finish()

    assert (one.result, two.result) == (ground.at(0), ground.at(4))
    assert listed(memory, 3) == [ground.at(2)]


@pytest.mark.parametrize("label", ["isolate unlocked", "migrate returned", "target allocated"])
def test_two_requests_at_once_get_two_blocks(label: str) -> None:
    """Both compact for a block of their own; nobody is given the other's."""
    _, driver, memory = room((0, 1, 2, 3))
    race = Race()
    one, two = (
        race.task(name, memory.alloc_pages, GFP_HIGHUSER_MOVABLE, 3) for name in ("one", "two")
    )

    one.until(label)
    two.finish()
    one.finish()

    assert one.result != two.result
    assert {memory.refcount[task.result] for task in (one, two)} == {1}
    assert {hook for hook in driver.log[::6] if hook == PUTBACK} == set()
    memory.validate()


def test_first_come_first_served() -> None:
    """Each to its next point in turn, until both have their blocks."""
    _, _, memory = room((0, 1, 2, 3))
    race = Race()
    tasks = [race.task(name, memory.alloc_pages, GFP_HIGHUSER_MOVABLE, 3) for name in "ab"]

    race.run()

    assert len({task.result for task in tasks}) == 2
    memory.validate()


def test_a_direct_compactor_never_waits_for_a_page_lock() -> None:
    """MP-5: it may have been the holder's own allocation that brought it here (PF_MEMALLOC)."""
    ground, driver, memory = room()
    page = memory.page(ground.at(0, 1))
    request = Request.of(GFP_KERNEL, 3, ALLOC_CPUSET)
    race = Race()
    compactor = race.task(
        "compactor", try_to_compact_pages, memory, request, t.COMPACT_PRIO_SYNC_LIGHT
    )

    for _ in range(2):
        compactor.until("isolate unlocked")
    page.trylock()
    for _ in range(2):  # the other page moves, this one is put back
        compactor.until("off the migrate list")
    page.unlock()
    compactor.finish()

    assert compactor.labels.count("target returned") == 10
    assert driver.log[::6].count(ISOLATE) == 2
    assert driver.log[::6].count(PUTBACK) == 1
    assert on_pcp(memory, t.MOVABLE)
    memory.drain_all_pages()
    memory.validate()


def test_nor_for_the_lock_of_an_ordinary_page() -> None:
    """MP-5: ten times -EAGAIN, whoever holds it."""
    ground = Ground(8, 3, 5)
    ground.file([ground.at(0)])
    ground.kernel([p for p in range(ground.at(0, 1), ground.end) if p < ground.at(6) or p % 8 == 0])
    memory = open_to_all(ground)
    page = memory.page(ground.at(0))
    page.trylock()
    race = Race()
    compactor = race.task(
        "compactor", try_to_compact_pages, memory, REQUEST, t.COMPACT_PRIO_SYNC_LIGHT
    )

    compactor.finish()
    page.unlock()

    stats = memory.lru_stats["page cache"]
    assert (stats["isolated"], stats["again"], stats["putback"]) == (1, 10, 1)
