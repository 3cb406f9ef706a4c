"""What is done for a request that the free lists cannot serve (rules D-2 to D-4, D-7, W-8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.mm.asking import ASYNC, FULL, LIGHT, open_to_all
from core.mm.ground import FAR, Ground, rows
from movable import gfp as g
from movable.errors import OutOfMemory
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, GFP_NOIO, Gfp
from movable.mm import highatomic, page_alloc, slowpath, tracepoints
from movable.mm import mm_types as t
from movable.mm.memory import Memory
from movable.mm.vmscan import HeldBack

RECLAIM = "reclaim"
ONCE = Gfp.NORETRY
QUIET = ~Gfp.KSWAPD_RECLAIM


class Reclaim(HeldBack):
    """Notes when it is called; does what the test says, and claims to have freed *progress*."""

    def __init__(self, memory: Memory, *, progress: int = 0, rounds: int = 10**6) -> None:
        super().__init__(memory)
        self.log: list[Any] = []
        self.progress, self.rounds = progress, rounds
        self.frees: Callable[[], None] | None = None
        self.could_give = 0
        self.woken: list[tuple[int, int]] = []

    def wake_kswapd(self, gfp: int, order: int, highest_zoneidx: int) -> None:
        self.woken.append((order, highest_zoneidx))

    def try_to_free_pages(self, order: int, highest_zoneidx: int) -> int:
        self.log.append(RECLAIM)
        if self.frees:
            self.frees()
        self.rounds -= 1
        return self.progress if self.rounds >= 0 else 0

    def reclaimable(self, z: int) -> int:
        return self.could_give


def full(**options: Any) -> tuple[Memory, Reclaim]:
    """Six blocks of 32 frames, nothing movable, what is free in single pages: no block to get."""
    ground = Ground(6, 5, 7)
    ground.kernel([p for p in range(ground.start, ground.end) if p < ground.at(4) or p % 2])
    memory = open_to_all(ground)
    memory.vmscan = reclaim = Reclaim(memory, **options)
    return memory, reclaim


def asked_for(memory: Memory, reclaim: Reclaim, gfp: int, order: int) -> list[Any]:
    """What was done for a request: RECLAIM, and the priorities of compactions, in order.

    *reclaim* writes into the trace where it is called.
    """
    marks: list[tuple[int, Any]] = []
    done, reclaim.log = reclaim.try_to_free_pages, []

    def noted(order: int, highest_zoneidx: int) -> int:
        marks.append((compactions(memory), RECLAIM))
        return done(order, highest_zoneidx)

    reclaim.try_to_free_pages = noted  # type: ignore[method-assign]
    assert slowpath.alloc_pages(memory, gfp, order) == -1
    made: list[Any] = [row[3] for row in rows(memory, tracepoints.TRY_TO_COMPACT_PAGES)]
    for position, mark in reversed(marks):
        made.insert(position, mark)
    return made


def compactions(memory: Memory) -> int:
    return len(rows(memory, tracepoints.TRY_TO_COMPACT_PAGES))


@pytest.mark.parametrize(
    ("gfp", "order", "steps"),
    [
        (GFP_HIGHUSER_MOVABLE | ONCE, 3, [RECLAIM, LIGHT]),
        (GFP_KERNEL | ONCE, 3, [ASYNC, RECLAIM, LIGHT]),
        (GFP_KERNEL | Gfp.RECLAIMABLE | ONCE, 1, [ASYNC, RECLAIM, LIGHT]),
        (GFP_HIGHUSER_MOVABLE | ONCE, 4, [ASYNC, RECLAIM, ASYNC]),
        (GFP_HIGHUSER_MOVABLE | ONCE | Gfp.THISNODE, 4, [ASYNC]),
        (GFP_KERNEL | ONCE | Gfp.THISNODE, 3, [ASYNC, RECLAIM, LIGHT]),
        (GFP_HIGHUSER_MOVABLE, 4, [ASYNC, RECLAIM, LIGHT]),
        (GFP_KERNEL & ~Gfp.DIRECT_RECLAIM, 4, []),
        (GFP_NOIO | ONCE, 4, [RECLAIM]),
    ],
    ids=[
        "small",
        "small, unmovable",
        "small, reclaimable",
        "costly, once",
        "costly, once, here",
        "small, once, here",
        "costly",
        "must not wait",
        "must not start IO",
    ],
)
def test_what_is_done_and_in_which_order(gfp: int, order: int, steps: list[Any]) -> None:
    """D-2: large blocks and unmovable ones are compacted for at once, then reclaim comes first."""
    memory, reclaim = full()

    assert asked_for(memory, reclaim, gfp, order) == steps


@pytest.mark.parametrize(
    "change", [{"watermark": FAR}, {"defer_shift": 3}], ids=["skipped", "deferred"]
)
def test_a_costly_request_gives_up_if_compaction_did_not_begin(change: dict[str, int]) -> None:
    """D-2: with NORETRY; a small one goes on."""
    for gfp, order, steps in (
        (GFP_HIGHUSER_MOVABLE | ONCE, 4, [ASYNC]),
        (GFP_KERNEL | ONCE, 3, [ASYNC, RECLAIM, LIGHT]),
    ):
        memory, reclaim = full()
        for name, value in change.items():
            memory.zone[name] = value

        assert asked_for(memory, reclaim, gfp, order) == steps


@pytest.mark.parametrize(("gfp", "woken"), [(GFP_KERNEL, [(3, 2)]), (GFP_KERNEL & QUIET, [])])
def test_kswapd_is_woken_if_the_request_says_so(gfp: int, woken: list[tuple[int, int]]) -> None:
    """D-2: before anything else."""
    memory, reclaim = full()

    asked_for(memory, reclaim, gfp | ONCE, 3)

    assert reclaim.woken == woken


def thp(always: bool = False, kswapd: bool = False, madvised: bool = False) -> Gfp:
    """The mask of a huge page's first attempt, for a setting of `defrag` (vma_thp_gfp_mask())."""
    if always:
        return g.GFP_TRANSHUGE | (Gfp(0) if madvised else ONCE)
    if madvised:
        return g.GFP_TRANSHUGE_LIGHT | Gfp.DIRECT_RECLAIM
    return g.GFP_TRANSHUGE_LIGHT | (Gfp.KSWAPD_RECLAIM if kswapd else Gfp(0))


@pytest.mark.parametrize(
    ("mask", "compacts", "wakes"),
    [
        (thp(always=True), [ASYNC], False),
        (thp(always=True, madvised=True), [ASYNC], False),
        (thp(kswapd=True), [], True),
        (thp(kswapd=True, madvised=True), [ASYNC], False),
        (thp(), [], False),
    ],
    ids=["always", "always, madvised", "defer", "defer+madvise, madvised", "madvise or never"],
)
def test_huge_pages_compact_as_their_setting_says(
    mask: Gfp, compacts: list[int], wakes: bool
) -> None:
    """D-7: the first attempt is for the own node, and just once."""
    memory, reclaim = full()

    steps = asked_for(memory, reclaim, mask | Gfp.THISNODE | ONCE, 4)

    assert (steps, bool(reclaim.woken)) == (compacts, wakes)


# Who may have all there is.


def test_who_frees_memory_gets_the_last_page_and_does_not_wait() -> None:
    """W-8: NO_WATERMARKS for a task that reclaims (PF_MEMALLOC)."""
    memory, reclaim = full()
    memory.zone["watermark"] = FAR

    with pytest.raises(OutOfMemory):
        memory.alloc_pages(GFP_KERNEL | ONCE, 0)
    reclaim.log.clear()
    with reclaim.no_reclaim():
        pfn = memory.alloc_pages(GFP_KERNEL | ONCE, 0)

    assert (pfn >= 0, reclaim.log) == (True, [])
    assert not reclaim.reclaiming


@pytest.mark.parametrize(
    ("flags", "served"), [(Gfp.MEMALLOC, True), (Gfp.MEMALLOC | Gfp.NOMEMALLOC, False)]
)
def test_a_request_may_ask_for_all_there_is(flags: Gfp, served: bool) -> None:
    """W-8: __GFP_NOMEMALLOC has the last word."""
    memory, _ = full()
    memory.zone["watermark"] = FAR

    assert (slowpath.alloc_pages(memory, GFP_KERNEL | ONCE | flags, 0) >= 0) is served


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        (Gfp.MEMALLOC, [RECLAIM, LIGHT]),
        (Gfp.MEMALLOC | Gfp.NOMEMALLOC, [ASYNC, RECLAIM, ASYNC]),
    ],
)
def test_who_may_have_all_there_is_tries_that_before_compaction(
    flags: Gfp, steps: list[Any]
) -> None:
    """D-2: and nothing has failed yet that would have it give up."""
    memory, reclaim = full()

    assert asked_for(memory, reclaim, GFP_HIGHUSER_MOVABLE | ONCE | flags, 4) == steps


# After reclaim.


def test_what_reclaim_freed_serves_the_request() -> None:
    """D-2: once more from the free lists; no compaction."""
    memory, reclaim = full(progress=1)
    reclaim.frees = lambda: memory.engine.call(page_alloc.free_pages, 32, 4)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 3) == 32
    assert compactions(memory) == 0


def test_what_reclaim_freed_may_have_to_leave_the_per_cpu_lists() -> None:
    """D-2: drain_all_pages()."""
    memory, reclaim = full(progress=8)

    def free_eight() -> None:
        for pfn in range(32, 40):
            memory.engine.call(page_alloc.free_pages, pfn, 0)

    reclaim.frees = free_eight

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 3) == 32
    assert compactions(memory) == 0


def test_after_reclaim_part_of_the_highatomic_reserve_is_given_up() -> None:
    """D-2, H-2: all but the last block."""
    memory, _ = full(progress=1)
    memory.zone["managed"] = 6400
    for block in (0, 1):
        memory.engine.call(page_alloc.free_pages, 32 * (block + 1), 4)
        memory.engine.call(highatomic.reserve_highatomic_pageblock, 0, 32 * (block + 1))

    pfn = slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 4)

    assert pfn in (32, 64)
    assert memory.zone["highatomic"][0] == 32


def test_without_progress_nothing_has_changed() -> None:
    """D-2: the free lists are not even asked; compaction is next."""
    memory, reclaim = full(progress=0)
    reclaim.frees = lambda: memory.engine.call(page_alloc.free_pages, 32, 4)

    slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE | ONCE, 3)

    assert compactions(memory) == 1


# Once more.


class Compaction:
    """Stands in for direct_compact(): what it is to return, the last for ever, and what it saw."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *results: int) -> None:
        self.results, self.priorities = list(results), list[int]()
        monkeypatch.setattr(slowpath, "direct_compact", self)

    def __call__(self, memory: Memory, request: Any, priority: int) -> tuple[int, int]:
        self.priorities.append(priority)
        return self.results.pop(0) if len(self.results) > 1 else self.results[0], -1


@pytest.mark.parametrize(
    "results",
    [
        [t.COMPACT_COMPLETE],
        [t.COMPACT_PARTIAL_SKIPPED],
        [t.COMPACT_DEFERRED],
        [t.COMPACT_CONTENDED, t.COMPACT_COMPLETE],
    ],
)
def test_a_small_request_compacts_harder_and_then_gives_up(
    results: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-4, D-3: SYNC_FULL is the hardest."""
    memory, _ = full(progress=1, rounds=40)
    compaction = Compaction(monkeypatch, *results)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 3) == -1

    assert compaction.priorities == [LIGHT, FULL]


def test_a_costly_request_compacts_no_harder(monkeypatch: pytest.MonkeyPatch) -> None:
    """D-3: SYNC_LIGHT is the least for it, and it tries again only if asked to (RETRY_MAYFAIL)."""
    memory, _ = full(progress=1, rounds=40)
    compaction = Compaction(monkeypatch, t.COMPACT_PARTIAL_SKIPPED)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL, 4) == -1

    assert compaction.priorities == [ASYNC, LIGHT]


@pytest.mark.parametrize(
    ("order", "priorities"),
    [(3, [LIGHT] * 17 + [FULL] * 17), (4, [ASYNC] + [LIGHT] * 5)],
    ids=["small", "costly"],
)
def test_success_without_a_block_is_tried_again_for_a_while(
    order: int, priorities: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-4: somebody else was quicker; sixteen times, or four for a costly order, then harder."""
    memory, _ = full(progress=1, rounds=40)
    compaction = Compaction(monkeypatch, t.COMPACT_SUCCESS)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE | Gfp.RETRY_MAYFAIL, order) == -1

    assert compaction.priorities == priorities


@pytest.mark.parametrize(
    ("could_give", "free", "tries"),
    [(0, 40, 5), (0, 20, 1), (60, 20, 5), (30, 20, 1)],
    ids=["enough", "too little", "enough with reclaim", "reclaim in full would do"],
)
def test_a_skipped_run_is_tried_again_if_reclaim_could_help(
    could_give: int, free: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-4: free + reclaimable / order must exceed the minimum and a gap of 16, here 22 + 16."""
    memory, reclaim = full(progress=1, rounds=4)
    memory.zone["watermark"][0] = 22, 22, 22
    memory.zone["free"], reclaim.could_give = free, could_give
    compaction = Compaction(monkeypatch, t.COMPACT_SKIPPED)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 3) == -1

    assert compaction.priorities == [LIGHT] * tries


@pytest.mark.parametrize(
    ("flags", "order", "tries"),
    [(Gfp(0), 0, 17), (ONCE, 0, 1), (Gfp(0), 4, 1), (Gfp.RETRY_MAYFAIL, 4, 1)],
    ids=["plain", "once", "costly", "costly, may fail"],
)
def test_reclaim_in_vain_is_tried_sixteen_times_more(flags: Gfp, order: int, tries: int) -> None:
    """While all that could be reclaimed would do for the request; a block is not made by that."""
    memory, reclaim = full()
    memory.zone["watermark"], reclaim.could_give = 200, 1000

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE | flags, order) == -1

    assert reclaim.log == [RECLAIM] * tries


def test_progress_begins_the_count_anew() -> None:
    """Three rounds with progress, and then sixteen and one without."""
    memory, reclaim = full(progress=1, rounds=3)
    memory.zone["watermark"], reclaim.could_give = 200, 1000

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 0) == -1

    assert len(reclaim.log) == 3 + 17


def test_at_last_the_whole_highatomic_reserve_is_given_up() -> None:
    """H-2: by force, before memory is said to be out."""
    memory, _ = full()
    memory.engine.call(page_alloc.free_pages, 32, 4)
    memory.engine.call(highatomic.reserve_highatomic_pageblock, 0, 32)

    assert slowpath.alloc_pages(memory, GFP_HIGHUSER_MOVABLE, 3) == 32
    assert memory.zone["highatomic"][0] == 0


def test_a_cpus_share_of_the_free_pages_is_counted_here() -> None:
    """zone_page_state_snapshot(), never negative."""
    memory, _ = full()
    memory.zone["free"], memory.zone["free_diff"][0, :2] = 10, (5, -3)

    assert slowpath.free_pages_snapshot(memory, 0) == 12
    memory.zone["free"] = -20
    assert slowpath.free_pages_snapshot(memory, 0) == 0
