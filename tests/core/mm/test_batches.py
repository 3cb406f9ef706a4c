"""Batches: what comes of them is what would have come of single calls, to the last byte."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.mm.batching import Asked, bytes_of
from core.mm.test_any_sequence import STEPS, Machine, Step
from movable import MigrateMode, Pagevec
from movable.drivers.scripted import Script, Scripted
from movable.errors import BadInput, ContractViolation
from movable.gfp import GFP_HIGHUSER_MOVABLE
from movable.mm.compact_control import CompactControl, compact_node
from movable.mm.memory import Memory
from movable.mm.profile import PROFILES
from movable.observers.contract import Contract
from movable.observers.lock_rules import LockRules
from movable.observers.refusals import Refusals
from movable.observers.trace import Trace
from movable.sched.exploration import Exploration
from movable.sched.strategies import RandomWalk

FRAMES, BLOCK = 1024, 6
MOVABLE = int(GFP_HIGHUSER_MOVABLE)
TRIES = st.lists(st.sampled_from((0, 0, 0, 1, 3, 12)), max_size=60)
FLAGS = st.lists(st.sampled_from((0, 0, 0, 0, 1)), max_size=60)
SCRIPTS = st.builds(
    lambda refuse, again, fail: (refuse, again, (fail + [0] * 60)[: len(again)]),
    FLAGS,
    TRIES,
    FLAGS,
)
KINDS = st.lists(st.sampled_from("....ddddlfs"), min_size=FRAMES, max_size=FRAMES)
"""By frame: free, a driver's, an ordinary one, one of another driver, one that stays."""
MODES = st.sampled_from((MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC))


class Mixed:
    """Pages of two drivers, of users and of the kernel, and a lock held here and there."""

    def __init__(
        self, kinds: list[str], script: Any, locked: list[int], profile: str, batches: bool
    ) -> None:
        zones = (("Normal", FRAMES),)
        options: dict[str, Any] = {"min_free_kbytes": 0, "profile": PROFILES[profile]}
        self.memory = Memory.blank(FRAMES, *zones, pageblock_order=BLOCK, max_order=8, **options)
        self.memory.asks_in_batches = batches
        self.drivers = [Scripted(self.memory, Script(*map(list, script))) for _ in range(2)]
        for driver in self.drivers:
            self.memory.add_mapping(driver.mapping)
        pages = [self.memory.alloc_page() for _ in range(FRAMES - 64)]
        count = 0
        ordinary = []
        for page, kind in zip(pages, kinds, strict=False):
            if kind in "df":
                page.private = count
                count += 1
                page.trylock()
                page.set_movable(self.drivers[kind == "f"].mapping)
                page.unlock()
            elif kind in ".l":
                page.put()
                ordinary.append(kind)
        self.memory.fill("anon", ordinary.count("l"))
        self.memory.lru_add_drain()
        for number in locked:
            page = pages[number % len(pages)]
            if kinds[number % len(pages)] in "df":
                page.trylock()
        self.asked = [Asked(driver.mapping) for driver in self.drivers]

    def told(self) -> Any:
        """All that can be compared."""
        drivers = [(driver.log, driver.tries, driver.mapping.stats) for driver in self.drivers]
        return bytes_of(self.memory), drivers


def compact(memory: Memory, mode: MigrateMode, **request: int) -> None:
    """As compact_memory() does, in *mode*."""
    memory.lru_add_drain_all()
    compact_node(memory, CompactControl(memory, mode, whole_zone=1, **request))


@settings(max_examples=150, deadline=None)
@given(
    KINDS,
    SCRIPTS,
    st.lists(st.integers(0, FRAMES), max_size=4),
    st.sampled_from(("6.1", "6.1", "4.8")),
    st.lists(
        st.tuples(MODES, st.sampled_from((-1, 3, 6)), st.booleans(), st.booleans()),
        min_size=1,
        max_size=3,
    ),
)
def test_batches_and_single_calls_leave_the_same_bytes(
    kinds: list[str],
    script: Any,
    locked: list[int],
    profile: str,
    runs: list[tuple[MigrateMode, int, bool, bool]],
) -> None:
    """Frames, lists, counters, events, and every call in its order, whatever the mode."""
    told = []
    for batches in (True, False):
        mixed = Mixed(kinds, script, locked, profile, batches)
        for mode, order, direct, hints in runs:
            request = {"direct_compaction": int(direct), "ignore_skip_hint": int(not hints)}
            wanted = max(order, 3) if direct else order  # nobody asks for no order in particular
            compact(mixed.memory, mode, order=wanted, gfp_mask=MOVABLE, **request)
        told.append(mixed.told())
        for asked in mixed.asked:
            assert all(1 < size <= 32 for size in asked.sizes)
            assert all(len(blocks) == 1 for blocks in asked.blocks)
            assert batches or not asked.sizes

    assert told[0] == told[1]


SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_machine_drawn_from_a_seed_ends_the_same(seed: int) -> None:
    """The same as above, and quickly, for those who look for mistakes in the engine."""
    random = Random(seed)
    dense = random.choices(("dddddl", "ddddlf", "dddll")[seed % 3], k=FRAMES // 2)
    kinds = [*dense, *random.choices("...ds", k=FRAMES // 2)]
    again, fail = (random.choices(weights, k=800) for weights in ((0, 0, 1, 12), (0, 0, 1)))
    script = random.choices((0,) * 9 + (1,), k=800), again, fail
    modes = random.choices((MigrateMode.ASYNC, MigrateMode.SYNC_LIGHT, MigrateMode.SYNC), k=4)
    told = []
    for batches in (True, False):
        locked = list(range(40, FRAMES, 97))
        mixed = Mixed(kinds, script, locked, ("6.1", "4.8")[seed % 5 == 4], batches)
        for number, mode in enumerate(modes):
            request = (
                {"order": 5, "direct_compaction": 1, "gfp_mask": MOVABLE} if number % 2 else {}
            )
            compact(mixed.memory, mode, ignore_skip_hint=int(number < 2), **request)
        told.append(mixed.told())
        for asked in mixed.asked:
            assert all(len(blocks) == 1 for blocks in asked.blocks)

    assert told[0] == told[1]


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_any_sequence_of_requests_ends_the_same(steps: list[Step]) -> None:
    """Direct compaction, kcompactd, proactive compaction, and allocations in between."""
    told = []
    for batches in (True, False):
        machine = Machine()
        machine.memory.asks_in_batches = batches
        for step in steps:
            machine.do(step)
        told.append((bytes_of(machine.memory), machine.driver.log, machine.driver.mapping.stats))

    assert told[0] == told[1]


@pytest.fixture
def full() -> Callable[..., tuple[Memory, Scripted]]:
    """Every second frame is the driver's: its pages by number, from the zone's start."""

    def make(
        script: Script | None = None, kind: type[Scripted] = Scripted
    ) -> tuple[Memory, Scripted]:
        memory = Memory.blank(FRAMES, ("Normal", FRAMES), pageblock_order=8, min_free_kbytes=0)
        driver = kind(memory, script)
        memory.add_mapping(driver.mapping)
        pages = sorted((memory.alloc_page() for _ in range(FRAMES)), key=lambda page: page.pfn)
        for number, page in enumerate(pages):
            if number % 2:
                page.put()
            else:
                page.private = number // 2
                page.trylock()
                page.set_movable(driver.mapping)
                page.unlock()
        memory.drain_all_pages()
        return memory, driver

    return make


def test_hook_isolate_pages_is_asked_about_a_cluster(full: Any) -> None:
    """And so are the others: of 32 pages in a row, nothing is asked by itself."""
    memory, driver = full()
    asked = Asked(driver.mapping)

    memory.compact_memory()

    assert max(asked.sizes) == 32
    assert asked.calls["isolate_pages"] > asked.calls["isolate_page"]
    assert asked.calls["migratepages"] > asked.calls["migratepage"]
    memory.validate()


def test_hook_migratepages_takes_new_pages_in_order(full: Any) -> None:
    """One that says -EAGAIN leaves its new page to the next."""
    told = []
    for batches in (True, False):
        memory, driver = full(Script([], [0, 1, 0, 2, 11] * 20, [0] * 100))
        memory.asks_in_batches = batches
        memory.compact_memory()
        told.append((bytes_of(memory), driver.log))

    assert told[0] == told[1]
    assert driver.mapping.stats.again > 100


def test_hook_putback_pages_takes_back_what_failed(full: Any) -> None:
    """In the order in which they fail, batch by batch."""
    memory, driver = full(Script([], [0] * 512, [1] * 512))
    asked = Asked(driver.mapping)

    memory.compact_memory()

    assert driver.mapping.stats.putback == driver.mapping.stats.isolated > 32
    assert asked.calls["putback_pages"] > asked.calls["putback_page"]
    memory.validate()


@pytest.mark.parametrize("observers", [[Contract], [LockRules], [Contract, LockRules]])
def test_who_knows_batches_sees_batches(full: Any, observers: list[type[Any]]) -> None:
    """And finds nothing wrong; the memory is as if nobody had watched."""
    told = []
    for watched in (True, False):
        memory, driver = full(Script([0, 1, 0, 0] * 99, [0, 0, 2, 0] * 99, [0, 0, 0, 1] * 99))
        attached = [kind() for kind in observers] if watched else []
        for observer in attached:
            driver.mapping.attach(observer)
        asked = Asked(driver.mapping)
        memory.compact_memory()
        for observer in attached:
            driver.mapping.detach(observer)
        assert asked.calls["isolate_pages"]
        told.append((bytes_of(memory), driver.log))

    assert told[0] == told[1]


def test_who_knows_no_batches_sees_single_calls(full: Any) -> None:
    """Else calls would pass him by."""
    memory, driver = full()
    driver.mapping.attach(Refusals(0.5, 1))
    asked = Asked(driver.mapping)

    memory.compact_memory()

    assert asked.calls["isolate_pages"] == asked.calls["migratepages"] == 0
    assert driver.mapping.stats.refused


def test_a_scan_that_one_failure_ends_asks_singly(full: Any) -> None:
    """In direct compaction in mode ASYNC the next question depends on each answer."""
    told = []
    for batches in (True, False):
        memory, driver = full(Script([0, 0, 1, 0] * 200))
        memory.asks_in_batches = batches
        request = {"order": 3, "direct_compaction": 1, "highest_zoneidx": 2, "gfp_mask": MOVABLE}
        compact(memory, MigrateMode.ASYNC, **request)
        told.append((bytes_of(memory), driver.log))

    assert told[0] == told[1]
    assert driver.mapping.stats.refused
    assert driver.mapping.stats.putback


def test_in_a_race_there_are_no_batches(full: Any) -> None:
    """Anybody may come between two single calls, and between the pages of a batch nobody."""
    memory, driver = full()
    asked = Asked(driver.mapping)

    Exploration().run([("compactor", memory.compact_memory)], RandomWalk(0))

    assert asked.sizes == []
    assert driver.mapping.stats.migrated


def test_a_trace_has_a_line_for_a_batch(full: Any, tmp_path: Any) -> None:
    """With an answer for each page."""
    memory, driver = full()
    with Trace(tmp_path / "trace.jsonl") as trace:
        driver.mapping.attach(trace)
        memory.compact_memory()
        driver.mapping.detach(trace)

    lines = (tmp_path / "trace.jsonl").read_text().splitlines()
    [batch, *_] = [line for line in lines if '"isolate_pages"' in line]
    assert batch.count("true") == 32
    [moved, *_] = [line for line in lines if '"migratepages"' in line]
    assert moved.count('"SUCCESS"') > 1


def test_a_subclass_that_overrides_the_single_hook_is_asked_singly(full: Any) -> None:
    """The batch hook that it inherits knows nothing of what it does."""

    class Careful(Scripted):
        isolate_page = Scripted.isolate_page

    _, driver = full(kind=Careful)

    assert driver.mapping.batch_ops.isolate_pages is None
    assert driver.mapping.batch_ops.migratepages == driver.migratepages


def test_move_to_wants_locked_movable_pages(full: Any) -> None:
    """All of them, or it moves none."""
    memory, driver = full()
    for pfn in (1, 3):
        memory.page(pfn).trylock()
    memory.page(0).trylock()
    pages, newpages = (Pagevec(memory, np.array(pfns)) for pfns in ([0, 2], [1, 3]))
    before = bytes_of(memory)

    with pytest.raises(ContractViolation, match=r"<Page 2 .* the page is not locked") as raised:
        pages.move_to(newpages, driver.mapping)
    assert raised.value.rule == "I03"
    with pytest.raises(ContractViolation, match=r"<Page 1 .* the page is not movable") as raised:
        newpages.move_to(newpages, driver.mapping)
    assert raised.value.rule == "I02"
    with pytest.raises(BadInput, match="2 pages are to move to 1"):
        pages.move_to(newpages[:1], driver.mapping)

    assert bytes_of(memory) == before


def test_move_to_moves_contents_and_bytes(full: Any) -> None:
    """What `private` and the content tag hold, and real bytes where pages have some."""
    memory, driver = full()
    memory.carry_bytes()
    for pfn in range(4):
        memory.page(pfn).trylock()
    memory.page(0).write(0, b"zero")
    memory.page(0).content = 17
    memory.refcount[0] = memory.refcount[1] = 2
    pages, newpages = (Pagevec(memory, np.array(pfns)) for pfns in ([0], [1]))

    pages.move_to(newpages, driver.mapping)

    old, new = pages[0], newpages[0]
    assert (new.content, new.private, new.refcount, new.mapping) == (17, 0, 3, driver.mapping)
    assert new.read(0, 4) == b"zero"
    assert (old.mapping, old.movable_tag, old.private, old.refcount) == (None, True, 0, 1)


def test_a_pagevec_is_a_sequence(full: Any) -> None:
    """Of pages, of which parts are such sequences too."""
    memory, _ = full()
    pages = Pagevec(memory, np.array([4, 2, 6]))

    assert list(pages) == [memory.page(4), memory.page(2), memory.page(6)]
    assert list(pages[1:]) == list(pages)[1:]
    assert list(pages.chosen([2, 0])) == [memory.page(6), memory.page(4)]
    assert repr(pages) == "<Pagevec [4, 2, 6]>"
