"""Everybody out of an isolated range of frames (mm/page_alloc.c and mm/compaction.c, v6.1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from movable.mm import mm_types as t
from movable.mm import steps
from movable.mm.compact_control import CompactControl
from movable.mm.lists import collect
from movable.mm.migration_target import drop_target
from movable.mm.page_isolation import pageblocks
from movable.mm.reclaim_clean_pages import reclaim_clean_pages_from_list

if TYPE_CHECKING:
    from movable.mm.memory import Memory

MIGRATE_TRIES = 5
"""Calls of migrate_pages() for one batch of pages, each of up to ten passes."""


def alloc_contig_migrate_range(cc: CompactControl, start: int, end: int) -> tuple[int, list[int]]:
    """Move everybody out of [*start*, *end*) who can be moved (__alloc_contig_migrate_range()).

    Returned are 0 or an errno, and the pages that were isolated and put back in the end, with
    -ENOMEM first the one for which there was no target.

    :raises ContractViolation: a driver broke a promise.
    """
    memory, pfn, tries, rc = cc.memory, start, 0, 0
    waiting = cc["migratepages"]
    with lru_cache_disabled(memory):
        while pfn < end or memory.next[waiting] != waiting:
            if memory.next[waiting] == waiting:
                pfn, tries = isolate_migratepages_range(cc, pfn, end), 0
            else:
                tries += 1
            rc = t.EBUSY if tries == MIGRATE_TRIES else _migrate_batch(cc)
            if rc in (t.EBUSY, t.ENOMEM) or memory.fault:
                break
    stayed = collect(memory, waiting).tolist()
    if rc == t.ENOMEM:
        stayed.insert(0, cc["page"])
    if stayed:
        cc.run(steps.PUTBACK_MOVABLE_PAGES, putback_head=waiting)
    memory.engine.compact(drop_target, cc.record)
    memory.raise_fault()
    return min(rc, 0), stayed


def _migrate_batch(cc: CompactControl) -> int:
    """Drop what can be read again, and move the rest: how many failed, or -ENOMEM."""
    memory = cc.memory
    memory.event_buffer.make_room()
    cc["nr_migratepages"] -= int(memory.engine.compact(reclaim_clean_pages_from_list, cc.record))
    return cc.run(steps.MIGRATE_PAGES)


def isolate_migratepages_range(cc: CompactControl, start: int, end: int) -> int:
    """Collect pages of [*start*, *end*) until they are enough for a batch; where it stopped."""
    memory = cc.memory
    memory.event_buffer.make_room()
    cc["nr_migratepages"] = 0
    for block in pageblocks(memory, start, end):
        first, behind = max(block, start), min(block + (1 << memory.pageblock_order), end)
        cc.run(steps.ISOLATE_MIGRATEPAGES, migrate_pfn=first, end_pfn=behind)
        if cc["nr_migratepages"] >= t.COMPACT_CLUSTER_MAX:
            break
    return cc["migrate_pfn"]


@contextmanager
def lru_cache_disabled(memory: Memory) -> Iterator[None]:
    """Let no page wait in an LRU batch, where nobody can isolate it (lru_cache_disable())."""
    memory.node["lru_disable_count"] += 1
    memory.lru_add_drain_all()
    try:
        yield
    finally:
        memory.node["lru_disable_count"] -= 1
