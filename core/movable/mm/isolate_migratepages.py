"""The migrate scanner: picks up movable pages from the zone's start (mm/compaction.c, v6.1).

One call of :func:`isolate_migratepages` scans at most one pageblock. Ordinary (LRU) pages are
taken here; at a driver's page the scan stops and hands it out, and goes on where it was once it is
told whether the page was isolated. Rules MB-1 to MB-5, MS-1 to MS-27.
"""

from __future__ import annotations

from typing import Any

from movable.gfp import Gfp
from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.fast_find_migrateblock import fast_find_migrateblock
from movable.mm.list import list_add
from movable.mm.mm_types import (
    ANON,
    CMA,
    COMPACT_CLUSTER_MAX,
    COMPACTISOLATED,
    FILE,
    HAS_MIGRATE,
    HAS_OWN_MIGRATE,
    ISOLATED,
    MIGRATE_ASYNC,
    MIGRATE_SYNC,
    MOVABLE,
    OPERATIONS_SHIFT,
    REFUSED,
)
from movable.mm.pageblock import block_type, pageblock_pfn_to_page, set_block_skip
from movable.mm.skip_hints import (
    isolation_suitable,
    pageblock_skip_persistent,
    test_and_set_skip,
    update_cached_migrate,
)
from movable.mm.swap import lru_del
from movable.mm.tracepoints import ISOLATE_MIGRATEPAGES, trace_scan
from movable.mm.vmstat import count_vm_events
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_buddy,
    PG_dirty,
    PG_head,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_owner_priv_1,
    PG_swapbacked,
    PG_tail,
    PG_unevictable,
    PG_writeback,
)

Array = Any
FS = int(Gfp.FS)

SCAN_DONE, PUT_BACK = -1, -2
"""Results of a scan; any other is the frame number of a driver's page."""
LOOK, FAIL, TAKEN, ASK, ABORT, WAS_PUT_BACK = 0, -1, -2, -3, -4, -5
"""What comes of a frame; above 0 they are the frames of a free block."""


@compiled
def lru_class(mapping: int) -> int:
    """ANON or FILE: whose column of the statistics an ordinary page is in (by its mapping)."""
    return ANON if mapping & PAGE_MAPPING_ANON or mapping == 0 else FILE


@compiled
def is_file_lru(flags: int) -> int:
    """1 if the page is on a file LRU list: page cache that no swap stands behind."""
    return 0 if flags & PG_swapbacked else 1


@compiled
def has_mapping(flags: int, mapping: int) -> bool:
    """page_mapping() finds an address space: page cache, or swap cache behind anonymous memory."""
    if mapping & PAGE_MAPPING_FLAGS == 0 and mapping != 0:
        return True
    return bool(flags & PG_owner_priv_1 and flags & PG_swapbacked)


@compiled
def suitable_migration_source(
    mem_map: Array, pageblock: Array, node: Array, cc: Array, pfn: int
) -> bool:
    """Not a block that a compound page of a pageblock's size or more fills from its start on.

    An asynchronous request wants blocks of its own type only (MB-4).
    """
    if pageblock_skip_persistent(mem_map, node, pfn):
        return False
    if cc[0]["mode"] != MIGRATE_ASYNC or not cc[0]["direct_compaction"]:
        return True
    migratetype = block_type(pageblock, node, pfn)
    if cc[0]["migratetype"] == MOVABLE:
        return migratetype == MOVABLE or migratetype == CMA
    return bool(migratetype == cc[0]["migratetype"])


@compiled
def choose_block(mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array) -> bool:
    """Find the next pageblock worth scanning, below the free scanner, and start on it."""
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    low = fast_find_migrateblock(mem_map, zone, pageblock, node, cc)
    just_found = low != cc[0]["migrate_pfn"] and cc[0]["fast_search_fail"] == 0
    start = max(low // size * size, zone[z]["start_pfn"])
    end = (low // size + 1) * size
    while end <= cc[0]["free_pfn"]:
        if pageblock_pfn_to_page(mem_map, zone, node, z, start, end) and (
            low & (size - 1) or just_found or isolation_suitable(pageblock, node, cc, start)
        ):
            if suitable_migration_source(mem_map, pageblock, node, cc, start):
                start_block(cc, low, end)
                return True
            update_cached_migrate(zone, node, cc, end)
        just_found = False
        cc[0]["migrate_pfn"] = low = start = end
        end += size
    return False


@compiled
def start_block(cc: Array, low: int, end: int) -> None:
    """Begin the scan of [*low*, *end*)."""
    cc[0]["start_pfn"] = cc[0]["low_pfn"] = cc[0]["migrate_pfn"] = low
    cc[0]["end_pfn"] = end
    cc[0]["nr_scanned"] = cc[0]["nr_isolated"] = 0
    cc[0]["valid_page"] = -1
    cc[0]["skip_updated"] = 0
    cc[0]["skip_on_failure"] = cc[0]["direct_compaction"] and cc[0]["mode"] == MIGRATE_ASYNC
    if cc[0]["skip_on_failure"]:
        cc[0]["next_skip_pfn"] = behind(low, cc[0]["order"])


@compiled
def behind(pfn: int, order: int) -> int:
    """The first frame behind the block of *order* that *pfn* is in (block_end_pfn())."""
    return ((pfn >> order) + 1) << order


@compiled
def would_block(mem_map: Array, cc: Array, pfn: int) -> bool:
    """Migration in a mode that must not wait would get nowhere with this page (MS-16, MS-17)."""
    flags = int(mem_map[pfn]["flags"])
    if cc[0]["mode"] == MIGRATE_SYNC:
        return False
    if flags & PG_writeback:
        return True
    if not flags & PG_dirty:
        return False
    if flags & PG_locked:
        return True
    mapping = int(mem_map[pfn]["mapping"])
    if mapping & PAGE_MAPPING_FLAGS or mapping == 0:
        return False
    able = mapping >> OPERATIONS_SHIFT & 3
    return able != HAS_MIGRATE and able != HAS_OWN_MIGRATE


@compiled
def worth_isolating(mem_map: Array, node: Array, cc: Array, pfn: int) -> bool:
    """Nothing is known that would keep an LRU page from being migrated (MS-11 to MS-17).

    An anonymous page with more references than mappings is pinned and not worth trying.
    """
    flags = int(mem_map[pfn]["flags"])
    mapping = int(mem_map[pfn]["mapping"])
    refcount = mem_map[pfn]["refcount"]
    if refcount == 0:
        return False
    mapped = has_mapping(flags, mapping)
    if refcount > mem_map[pfn]["mapcount"] and not mapped:
        return False
    if mapped and not cc[0]["gfp_mask"] & FS:
        return False
    if flags & PG_unevictable and not node[0]["compact_unevictable_allowed"]:
        return bool(cc[0]["alloc_contig"])
    return not would_block(mem_map, cc, pfn)


@compiled
def isolate_lru_page(mem_map: Array, pageblock: Array, node: Array, cc: Array, pfn: int) -> int:
    """Take an LRU page off its list, with a reference, if that is worth while: TAKEN or FAIL.

    ABORT: somebody else is scanning this block already.
    """
    flags = int(mem_map[pfn]["flags"])
    stats = lru_class(int(mem_map[pfn]["mapping"]))
    if not worth_isolating(mem_map, node, cc, pfn):
        node[0]["lru_stats"][stats, REFUSED] += 1
        return FAIL
    if not cc[0]["skip_updated"]:
        cc[0]["skip_updated"] = 1
        if test_and_set_skip(pageblock, node, cc, pfn):
            return ABORT
    mem_map[pfn]["refcount"] += 1
    lru_del(mem_map, node, pfn)
    node[0]["nr_isolated"][is_file_lru(flags)] += 1
    node[0]["lru_stats"][stats, ISOLATED] += 1
    return TAKEN


@compiled
def finish_block(zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array) -> None:
    """End the scan of a block: hints, counters, event.

    A block that gave nothing, or is being rescanned, is marked to be skipped, also by a run that
    ignores skip hints; not, though, once an LRU page of it was isolated in this call.
    """
    low = min(cc[0]["low_pfn"], cc[0]["end_pfn"])
    isolated = cc[0]["nr_isolated"]
    if low == cc[0]["end_pfn"] and (isolated == 0 or cc[0]["rescan"]):
        if cc[0]["valid_page"] >= 0 and not cc[0]["skip_updated"]:
            set_block_skip(pageblock, node, cc[0]["valid_page"])
        update_cached_migrate(zone, node, cc, low)
    scanned = cc[0]["nr_scanned"]
    trace_scan(node, trace, ISOLATE_MIGRATEPAGES, cc[0]["start_pfn"], low, scanned, isolated)
    cc[0]["total_migrate_scanned"] += scanned
    count_vm_events(node, COMPACTISOLATED, isolated)
    cc[0]["migrate_pfn"] = low


@compiled
def look(mem_map: Array, pageblock: Array, node: Array, cc: Array, pfn: int) -> int:
    """What frame *pfn* is to the scan: TAKEN, FAIL, ASK, ABORT, or how many frames it fills.

    Free blocks are passed over without harm; anything else that cannot be isolated is a failure.
    """
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_buddy:
        return 1 << flags_order(flags)
    if flags & PG_lru and not flags & (PG_head | PG_tail):
        return isolate_lru_page(mem_map, pageblock, node, cc, pfn)
    if not flags & (PG_head | PG_tail | PG_isolated):
        tag = int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS
        if tag == PAGE_MAPPING_MOVABLE:
            return ASK
    return FAIL


@compiled
def frames_of(mem_map: Array, node: Array, pfn: int) -> int:
    """How many frames the scan jumps for a page that it does not isolate: a compound's at once."""
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_head and not flags & PG_buddy and flags_order(flags) < node[0]["max_order"]:
        return 1 << flags_order(flags)
    return 1


@compiled
def next_order_block(cc: Array, low: int) -> int:
    """After a failure, the last frame of the request's block, the rest of which is useless now."""
    limit = cc[0]["next_skip_pfn"]
    if low < limit:
        cc[0]["next_skip_pfn"] = limit + (1 << cc[0]["order"])
        return int(limit - 1)
    return low


@compiled
def isolate_migratepages_block(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, answer: int
) -> int:
    """Scan on in the chosen block: SCAN_DONE, PUT_BACK, or the next driver's page to ask about."""
    low = cc[0]["low_pfn"]
    end = cc[0]["end_pfn"]
    scanned = cc[0]["nr_scanned"]
    aligned = (1 << node[0]["pageblock_order"]) - 1
    picky = cc[0]["skip_on_failure"] != 0
    verdict = answer
    while low < end:
        if verdict == LOOK:
            if picky and low >= cc[0]["next_skip_pfn"]:
                if cc[0]["nr_isolated"]:
                    break
                cc[0]["next_skip_pfn"] = behind(low, cc[0]["order"])
            scanned += 1
            if cc[0]["valid_page"] < 0 and low & aligned == 0:
                if not isolation_suitable(pageblock, node, cc, low):
                    low = end
                    break
                cc[0]["valid_page"] = low
            verdict = look(mem_map, pageblock, node, cc, low)
            if verdict == ABORT:
                break
            if verdict == ASK:
                cc[0]["low_pfn"] = low
                cc[0]["nr_scanned"] = scanned
                return int(low)
        if verdict == TAKEN:
            list_add(mem_map, low, cc[0]["migratepages"])
            cc[0]["nr_migratepages"] += 1
            cc[0]["nr_isolated"] += 1
            low += 1
            if cc[0]["nr_migratepages"] >= COMPACT_CLUSTER_MAX and not cc[0]["rescan"]:
                break
        elif verdict == FAIL:
            low += frames_of(mem_map, node, low) - 1
            if picky:
                if cc[0]["nr_isolated"]:
                    cc[0]["low_pfn"] = low
                    cc[0]["nr_scanned"] = scanned
                    return PUT_BACK
                low = next_order_block(cc, low)
            low += 1
        elif verdict == WAS_PUT_BACK:
            cc[0]["nr_migratepages"] = cc[0]["nr_isolated"] = 0
            low = next_order_block(cc, low) + 1
        else:
            low += verdict
        verdict = LOOK
    cc[0]["low_pfn"] = low
    cc[0]["nr_scanned"] = scanned
    finish_block(zone, pageblock, node, cc, trace)
    return SCAN_DONE


@compiled
def isolate_migratepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, answer: int
) -> int:
    """Collect pages of the next pageblock on `cc.migratepages`, the last found first.

    At most 32 at a time, all the rest of the block in a rescan; for a contiguous range, of the
    piece [`migrate_pfn`, `end_pfn`) that the caller has chosen. Returns SCAN_DONE; or a driver's
    page that the caller must try to isolate, calling again with the outcome, TAKEN or FAIL; or
    PUT_BACK, if all that was collected is to be put back before it calls again.
    """
    if answer == LOOK:
        if cc[0]["alloc_contig"]:
            start_block(cc, cc[0]["migrate_pfn"], cc[0]["end_pfn"])
        elif not choose_block(mem_map, zone, pageblock, node, cc):
            return SCAN_DONE
    return isolate_migratepages_block(mem_map, zone, pageblock, node, cc, trace, answer)
