"""The events as ftrace prints them: a replay is compared line by line."""

from __future__ import annotations

import numpy as np
import pytest

from movable.mm import tracepoints as tp
from movable.mm.event_buffer import TRACE_COUNT
from movable.mm.memory import Memory
from movable.mm.tracepoints import remove_pte, set_pte
from movable.recording import compare

ZONES = ("DMA", "DMA32")
PLACES = "zone_start=0x10 migrate_pfn=0x20 free_pfn=0x1000 zone_end=0x2000"
SCAN = "range=(0x200 ~ 0x400) nr_scanned=131 nr_taken=32"
NO_THP = "nr_thp_succeeded=0 nr_thp_failed=0 nr_thp_split=0 mode"
REASON = " reason=compaction"
CONTIG = "reason=contig_range"
REGIONS = ("display", "camera")
AT_512 = "pfn=0x200 page=ffffea0000008000"


def fill_and_compact(memory: Memory) -> None:
    memory.drop(memory.fill("anon", 2000)[::2])
    memory.compact_memory()


def compacted() -> Memory:
    memory = Memory.blank(4096)
    fill_and_compact(memory)
    return memory


def lines(*words: int) -> list[str]:
    """The text of one event, without the head of the line."""
    printed = tp.lines(np.array(words, np.int32), ZONES, 2, REGIONS)
    return [line.split(": ", 1)[1] for line in printed]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            (tp.SUITABLE, 1, -1, 4),
            "mm_compaction_suitable: node=0 zone=DMA32    order=-1 ret=continue",
        ),
        (
            (tp.FINISHED, 0, -1, 5),
            "mm_compaction_finished: node=0 zone=DMA      order=-1 ret=complete",
        ),
        (
            (tp.BEGIN, 16, 32, 4096, 8192, 1),
            f"mm_compaction_begin: {PLACES}, mode=sync",
        ),
        (
            (tp.END, 16, 32, 4096, 8192, 0, 7),
            f"mm_compaction_end: {PLACES}, mode=async status=contended",
        ),
        (
            (tp.ISOLATE_MIGRATEPAGES, 512, 1024, 131, 32),
            f"mm_compaction_isolate_migratepages: {SCAN}",
        ),
        (
            (tp.ISOLATE_FREEPAGES, 512, 1024, 131, 32),
            f"mm_compaction_isolate_freepages: {SCAN}",
        ),
        ((tp.MIGRATEPAGES, 31, 1), "mm_compaction_migratepages: nr_migrated=31 nr_failed=1"),
        (
            (tp.MIGRATE_PAGES_START, 2, 0),
            "mm_migrate_pages_start: mode=MIGRATE_SYNC reason=compaction",
        ),
        (
            (tp.MIGRATE_PAGES, 31, 1, 1, 0),
            f"mm_migrate_pages: nr_succeeded=31 nr_failed=1 {NO_THP}=MIGRATE_SYNC_LIGHT" + REASON,
        ),
        (
            (tp.MIGRATE_PAGES_START, 2, 6),
            "mm_migrate_pages_start: mode=MIGRATE_SYNC reason=contig_range",
        ),
        (
            (tp.MIGRATE_PAGES, 0, 1, 2, 6),
            f"mm_migrate_pages: nr_succeeded=0 nr_failed=1 {NO_THP}=MIGRATE_SYNC {CONTIG}",
        ),
        (
            (tp.TEST_PAGES_ISOLATED, 512, 1024, 1536),
            "test_pages_isolated: start_pfn=0x200 end_pfn=0x400 fin_pfn=0x600 ret=success",
        ),
        (
            (tp.TEST_PAGES_ISOLATED, 512, 1024, 600),
            "test_pages_isolated: start_pfn=0x200 end_pfn=0x400 fin_pfn=0x258 ret=fail",
        ),
        (
            (tp.CMA_ALLOC_START, 1, 4096, 8),
            "cma_alloc_start: name=camera count=4096 align=8",
        ),
        (
            (tp.CMA_ALLOC_BUSY_RETRY, 0, 512, 4096, 1, 8),
            f"cma_alloc_busy_retry: name=display {AT_512} count=4096 align=8",
        ),
        (
            (tp.CMA_ALLOC_FINISH, 0, 512, 4096, 1, 8),
            f"cma_alloc_finish: name=display {AT_512} count=4096 align=8",
        ),
        (
            (tp.CMA_ALLOC_FINISH, 0, -1, 4096, 0, 0),
            f"cma_alloc_finish: name=display pfn=0x{'f' * 16} page={'0' * 16} count=4096 align=0",
        ),
        ((tp.CMA_RELEASE, 0, 512, 4096), f"cma_release: name=display {AT_512} count=4096"),
    ],
)
def test_an_event_reads_as_the_kernels(words: tuple[int, ...], text: str) -> None:
    """include/trace/events/compaction.h, migrate.h, page_isolation.h and cma.h."""
    assert lines(*words) == [text]


@pytest.mark.parametrize("event", [tp.SET_MIGRATION_PTE, tp.REMOVE_MIGRATION_PTE])
def test_a_page_has_a_line_for_each_of_its_mappings(event: int) -> None:
    """One event here stands for all of them."""
    assert len(lines(event, 4711, 3)) == 3


@pytest.mark.parametrize(
    ("event", "name", "pte"),
    [
        (tp.SET_MIGRATION_PTE, "set_migration_pte", set_pte),
        (tp.REMOVE_MIGRATION_PTE, "remove_migration_pte", remove_pte),
    ],
)
def test_a_frame_can_be_read_back_from_its_pte(event: int, name: str, pte: object) -> None:
    """What compare.py does with the kernel's lines."""
    (line,) = lines(event, 0x1234567, 1)

    assert compare.events("  task-1 [000] ..... 1.0: " + line) == [(name, str(0x1234567))]
    assert callable(pte)


def test_a_line_begins_as_ftraces() -> None:
    """Task, CPU, flags, time 0."""
    (line,) = tp.lines(np.array([tp.MIGRATE_PAGES_START, 2, 0], np.int32), ZONES, 2)

    assert line.startswith("         movable-1       [002] .....     0.000000: mm_migrate_pages")


def test_what_was_traced_survives_a_full_trace() -> None:
    """Compiled code asks for room before it runs out, and goes on in an empty trace."""
    memory = compacted()
    whole = memory.events.tolist()

    tight = Memory.blank(4096)
    tight.node["trace_limit"] = 0
    fill_and_compact(tight)

    assert tight.events.tolist() == whole
    assert len(tight.trace) > tight.node_words[TRACE_COUNT] == 0


def test_the_events_of_a_run_begin_and_end_with_the_zone() -> None:
    """In the order of the kernel; a second look at them changes nothing."""
    memory = compacted()

    kinds = [number for number, _ in tp.events(memory.events)]

    assert kinds[:3] == [tp.SUITABLE, tp.BEGIN, tp.FINISHED]
    assert kinds[-2:] == [tp.FINISHED, tp.END]
    assert [number for number, _ in tp.events(memory.events)] == kinds
