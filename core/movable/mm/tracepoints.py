"""The kernel's tracepoints as a stream of numbers, and as the text that ftrace prints.

An event is its number and then its fields, as many as :data:`FIELDS` says, each a 32-bit word;
compiled code appends them, :func:`lines` prints them in the form of compaction.h, migrate.h,
page_isolation.h and cma.h in include/trace/events (v6.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from movable.gfp import show_gfp_flags
from movable.mm.compiled import compiled
from movable.mm.mm_types import ZONE_TYPES

Array = Any
(
    SUITABLE,
    BEGIN,
    FINISHED,
    ISOLATE_MIGRATEPAGES,
    ISOLATE_FREEPAGES,
    MIGRATE_PAGES_START,
    MIGRATE_PAGES,
    MIGRATEPAGES,
    END,
    SET_MIGRATION_PTE,
    REMOVE_MIGRATION_PTE,
    TRY_TO_COMPACT_PAGES,
    DEFERRED,
    DEFER_COMPACTION,
    DEFER_RESET,
    KCOMPACTD_SLEEP,
    WAKEUP_KCOMPACTD,
    KCOMPACTD_WAKE,
    TEST_PAGES_ISOLATED,
    CMA_ALLOC_START,
    CMA_ALLOC_BUSY_RETRY,
    CMA_ALLOC_FINISH,
    CMA_RELEASE,
) = range(23)
FIELDS = (3, 5, 3, 4, 4, 2, 4, 2, 6, 2, 2, 3, 5, 5, 5, 0, 2, 2, 3, 3, 5, 5, 3)
"""By event number: how many fields follow."""
WORDS_OF_A_BLOCK = 5
"""Words that the free scanner's look into one block writes."""
WORDS_OF_A_PAGE = 64
"""More than what else one attempt at a page, with all that may begin or end around it, writes."""

STATUS = {
    0: "not_suitable_zone",
    1: "skipped",
    2: "deferred",
    3: "no_suitable_page",
    4: "continue",
    5: "complete",
    6: "partial_skipped",
    7: "contended",
    8: "success",
}
DEFER_NAMES = {
    DEFERRED: "deferred",
    DEFER_COMPACTION: "defer_compaction",
    DEFER_RESET: "defer_reset",
}
CMA_NAMES = {
    CMA_ALLOC_START: "cma_alloc_start",
    CMA_ALLOC_BUSY_RETRY: "cma_alloc_busy_retry",
    CMA_ALLOC_FINISH: "cma_alloc_finish",
    CMA_RELEASE: "cma_release",
}
MODES = ("MIGRATE_ASYNC", "MIGRATE_SYNC_LIGHT", "MIGRATE_SYNC", "MIGRATE_SYNC_NO_COPY")
REASONS = (
    *("compaction", "memory_failure", "memory_hotplug", "syscall_or_cpuset", "mempolicy_mbind"),
    *("numa_misplaced", "contig_range", "longterm_pin", "demotion"),
)
PTE_EVENTS = (SET_MIGRATION_PTE, REMOVE_MIGRATION_PTE)
PTE_MASK = (1 << 40) - 1
VMEMMAP, PAGE_STRUCT = 0xFFFFEA0000000000, 64
"""Where the kernel keeps its `struct page`s, and how large one is there."""
ULONG_MASK = (1 << 64) - 1


@compiled
def trace_word(node: Array, trace: Array, word: int) -> None:
    """Append one word of an event."""
    at = node[0]["trace_count"]
    trace[at] = word
    node[0]["trace_count"] = at + 1


@compiled
def trace_status(node: Array, trace: Array, event: int, z: int, order: int, status: int) -> None:
    """Append SUITABLE or FINISHED."""
    trace_word(node, trace, event)
    trace_word(node, trace, z)
    trace_word(node, trace, order)
    trace_word(node, trace, status)


@compiled
def trace_defer(zone: Array, node: Array, trace: Array, event: int, z: int, order: int) -> None:
    """Append DEFERRED, DEFER_COMPACTION or DEFER_RESET."""
    trace_word(node, trace, event)
    trace_word(node, trace, z)
    trace_word(node, trace, order)
    trace_word(node, trace, zone[z]["order_failed"])
    trace_word(node, trace, zone[z]["considered"])
    trace_word(node, trace, 1 << zone[z]["defer_shift"])


@compiled
def trace_two(node: Array, trace: Array, event: int, one: int, two: int) -> None:
    """Append WAKEUP_KCOMPACTD or KCOMPACTD_WAKE: order and highest zone."""
    trace_word(node, trace, event)
    trace_word(node, trace, one)
    trace_word(node, trace, two)


@compiled
def trace_try_to_compact_pages(
    node: Array, trace: Array, order: int, gfp_mask: int, priority: int
) -> None:
    """Append TRY_TO_COMPACT_PAGES."""
    trace_two(node, trace, TRY_TO_COMPACT_PAGES, order, gfp_mask)
    trace_word(node, trace, priority)


@compiled
def trace_begin(
    node: Array, trace: Array, start: int, migrate: int, free: int, end: int, sync: bool
) -> None:
    """Append BEGIN."""
    trace_word(node, trace, BEGIN)
    trace_word(node, trace, start)
    trace_word(node, trace, migrate)
    trace_word(node, trace, free)
    trace_word(node, trace, end)
    trace_word(node, trace, 1 if sync else 0)


@compiled
def trace_end(
    node: Array,
    trace: Array,
    start: int,
    migrate: int,
    free: int,
    end: int,
    sync: bool,
    status: int,
) -> None:
    """Append END."""
    trace_begin(node, trace, start, migrate, free, end, sync)
    trace[node[0]["trace_count"] - 6] = END
    trace_word(node, trace, status)


@compiled
def trace_migrate_pages_start(node: Array, trace: Array, mode: int, reason: int) -> None:
    """Append MIGRATE_PAGES_START."""
    if not node[0]["migration_events"]:
        return
    trace_two(node, trace, MIGRATE_PAGES_START, mode, reason)


@compiled
def trace_migrate_pages(
    node: Array, trace: Array, succeeded: int, failed: int, mode: int, reason: int
) -> None:
    """Append MIGRATE_PAGES."""
    trace_two(node, trace, MIGRATE_PAGES, succeeded, failed)
    trace_word(node, trace, mode)
    trace_word(node, trace, reason)


@compiled
def trace_migratepages(node: Array, trace: Array, migrated: int, left: int) -> None:
    """Append MIGRATEPAGES."""
    trace_word(node, trace, MIGRATEPAGES)
    trace_word(node, trace, migrated)
    trace_word(node, trace, left)


@compiled
def trace_pte(node: Array, trace: Array, event: int, pfn: int, mapcount: int) -> None:
    """Append SET_ or REMOVE_MIGRATION_PTE of a page that is mapped *mapcount* times.

    As with all of these, the caller has seen to it that there is room.
    """
    if not node[0]["migration_events"]:
        return
    at = node[0]["trace_count"]
    trace[at] = event
    trace[at + 1] = pfn
    trace[at + 2] = mapcount
    node[0]["trace_count"] = at + 3


@compiled
def trace_scan(
    node: Array, trace: Array, event: int, start: int, end: int, scanned: int, taken: int
) -> None:
    """Append ISOLATE_MIGRATEPAGES or ISOLATE_FREEPAGES."""
    at = node[0]["trace_count"]
    trace[at] = event
    trace[at + 1] = start
    trace[at + 2] = end
    trace[at + 3] = scanned
    trace[at + 4] = taken
    node[0]["trace_count"] = at + 5


@compiled
def trace_test_pages_isolated(node: Array, trace: Array, start: int, end: int, last: int) -> None:
    """Append TEST_PAGES_ISOLATED."""
    trace_two(node, trace, TEST_PAGES_ISOLATED, start, end)
    trace_word(node, trace, last)


def set_pte(pfn: int) -> int:
    """A swap pte for a migration entry that names *pfn*: its frame bits are stored inverted."""
    return 0xDFFA000000000002 | ((~pfn & PTE_MASK) << 9)


def remove_pte(pfn: int) -> int:
    """A present, writable pte of a user page at *pfn*."""
    return 0x8000000000000067 | pfn << 12


def isolation_text(event: int, fields: Sequence[int], regions: Sequence[str]) -> str:
    """One event of page_isolation.h or cma.h; a page's address is as with a fixed, plain memmap."""
    if event == TEST_PAGES_ISOLATED:
        start, end, last = fields
        result = "success" if end <= last else "fail"
        return (
            f"test_pages_isolated: start_pfn=0x{start:x} end_pfn=0x{end:x} fin_pfn=0x{last:x}"
            f" ret={result}"
        )
    head = f"{CMA_NAMES[event]}: name={regions[fields[0]]}"
    if event == CMA_ALLOC_START:
        return f"{head} count={fields[1]} align={fields[2]}"
    found = fields[3] if event != CMA_RELEASE else 1
    page = VMEMMAP + PAGE_STRUCT * fields[1] if found else 0
    text = f"{head} pfn=0x{fields[1] & ULONG_MASK:x} page={page:016x} count={fields[2]}"
    return text if event == CMA_RELEASE else f"{text} align={fields[4]}"


def event_text(
    event: int, fields: Sequence[int], zones: Sequence[str], regions: Sequence[str] = ()
) -> str:
    """One event as ftrace prints it after the time stamp; pte lines are the caller's to repeat."""
    if event == TEST_PAGES_ISOLATED or event in CMA_NAMES:
        return isolation_text(event, fields, regions)
    if event in (SUITABLE, FINISHED):
        zone, order, status = fields
        name = "suitable" if event == SUITABLE else "finished"
        return (
            f"mm_compaction_{name}: node=0 zone={zones[zone]:<8} order={order} ret={STATUS[status]}"
        )
    if event in (BEGIN, END):
        name = "begin" if event == BEGIN else "end"
        start, migrate, free, end, sync = fields[:5]
        text = (
            f"mm_compaction_{name}: zone_start=0x{start:x} migrate_pfn=0x{migrate:x}"
            f" free_pfn=0x{free:x} zone_end=0x{end:x}, mode={'sync' if sync else 'async'}"
        )
        return text + (f" status={STATUS[fields[5]]}" if event == END else "")
    if event in (ISOLATE_MIGRATEPAGES, ISOLATE_FREEPAGES):
        start, end, scanned, taken = fields
        name = "migratepages" if event == ISOLATE_MIGRATEPAGES else "freepages"
        return (
            f"mm_compaction_isolate_{name}: range=(0x{start:x} ~ 0x{end:x})"
            f" nr_scanned={scanned} nr_taken={taken}"
        )
    if event == MIGRATEPAGES:
        return f"mm_compaction_migratepages: nr_migrated={fields[0]} nr_failed={fields[1]}"
    if event == MIGRATE_PAGES_START:
        return f"mm_migrate_pages_start: mode={MODES[fields[0]]} reason={REASONS[fields[1]]}"
    if event == MIGRATE_PAGES:
        succeeded, failed, mode, reason = fields
        return (
            f"mm_migrate_pages: nr_succeeded={succeeded} nr_failed={failed} nr_thp_succeeded=0"
            f" nr_thp_failed=0 nr_thp_split=0 mode={MODES[mode]} reason={REASONS[reason]}"
        )
    if event == TRY_TO_COMPACT_PAGES:
        order, gfp, priority = fields
        return (
            f"mm_compaction_try_to_compact_pages: order={order}"
            f" gfp_mask={show_gfp_flags(gfp)} priority={priority}"
        )
    if event in DEFER_NAMES:
        zone, order, order_failed, considered, limit = fields
        return (
            f"mm_compaction_{DEFER_NAMES[event]}: node=0 zone={zones[zone]:<8} order={order}"
            f" order_failed={order_failed} consider={considered} limit={limit}"
        )
    if event == KCOMPACTD_SLEEP:
        return "mm_compaction_kcompactd_sleep: nid=0"
    if event in (WAKEUP_KCOMPACTD, KCOMPACTD_WAKE):
        name = "wakeup_kcompactd" if event == WAKEUP_KCOMPACTD else "kcompactd_wake"
        zone_type = ZONE_TYPES[fields[1]]
        return f"mm_compaction_{name}: nid=0 order={fields[0]} classzone_idx={zone_type:<8}"
    is_set = event == SET_MIGRATION_PTE
    name, pte = "set" if is_set else "remove", (set_pte if is_set else remove_pte)(fields[0])
    return f"{name}_migration_pte: addr=0, pte={pte:x} order=0"


def events(stream: Array) -> Iterator[tuple[int, list[int]]]:
    """Each event of a stream: its number and its fields."""
    words = stream.tolist()
    at = 0
    while at < len(words):
        event = words[at]
        end = at + 1 + FIELDS[event]
        yield event, words[at + 1 : end]
        at = end


def lines(
    stream: Array, zones: Sequence[str], cpu: int, regions: Sequence[str] = ()
) -> Iterator[str]:
    """Every event as a line of ftrace text at time 0; a pte event once for each mapping.

    *zones* and *regions* are the names of the memory's zones and CMA regions.
    """
    prefix = f"         movable-1       [{cpu:03d}] .....     0.000000: "
    for event, fields in events(stream):
        text = prefix + event_text(event, fields, zones, regions)
        for _ in range(fields[1] if event in PTE_EVENTS else 1):
            yield text
