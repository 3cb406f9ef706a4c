"""The migrate scanner: picks up movable pages from the zone's start (mm/compaction.c, v6.1).

One call of :func:`isolate_migratepages` scans at most one pageblock. Ordinary (LRU) pages are
taken here; at a driver's page the scan stops and hands it out, and goes on where it was once it is
told whether the page was isolated. Rules MB-1 to MB-5, MS-1 to MS-27, SK-3.

Built for the `compact_memory` run: synchronous, no order, skip hints not heeded but still written.
"""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.list import list_add
from movable.mm.mm_types import (
    ANON,
    COMPACT_CLUSTER_MAX,
    COMPACTISOLATED,
    FILE,
    ISOLATED,
    REFUSED,
)
from movable.mm.pageblock import pageblock_pfn_to_page, set_block_skip
from movable.mm.swap import lru_del
from movable.mm.tracepoints import ISOLATE_MIGRATEPAGES, trace_scan
from movable.mm.vmstat import count_vm_events
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_buddy,
    PG_head,
    PG_isolated,
    PG_lru,
    PG_owner_priv_1,
    PG_swapbacked,
    PG_tail,
)

Array = Any

SCAN_DONE = -1
"""Result: the round is over. Any other result is the frame number of a driver's page."""
NOT_ASKED, NOT_ISOLATED, IS_ISOLATED = -1, 0, 1
"""What the caller says on entry: a new round, or what became of the page handed out."""


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
def update_cached_migrate(zone: Array, node: Array, cc: Array, pfn: int) -> None:
    """Remember that later scans may start behind the block that *pfn* is in.

    Callers pass the first frame behind the block, so the block after it is skipped too (SK-3).
    """
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    behind = (pfn // size + 1) * size
    for sync in range(2):
        zone[z]["cached_migrate_pfn"][sync] = max(zone[z]["cached_migrate_pfn"][sync], behind)


@compiled
def suitable_migration_source(mem_map: Array, node: Array, pfn: int) -> bool:
    """Not a block that a compound page of a pageblock's size or more fills from its start on."""
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_tail:
        flags = int(mem_map[mem_map[pfn]["next"]]["flags"])
    return not flags & PG_head or flags_order(flags) < node[0]["pageblock_order"]


@compiled
def choose_block(mem_map: Array, zone: Array, node: Array, cc: Array) -> bool:
    """Find the next pageblock worth scanning, below the free scanner, and start on it."""
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    low = cc[0]["migrate_pfn"]
    start = max(low // size * size, zone[z]["start_pfn"])
    end = (low // size + 1) * size
    while end <= cc[0]["free_pfn"]:
        if pageblock_pfn_to_page(mem_map, zone, node, z, start, end):
            if suitable_migration_source(mem_map, node, start):
                cc[0]["start_pfn"] = cc[0]["low_pfn"] = cc[0]["migrate_pfn"] = low
                cc[0]["end_pfn"] = end
                cc[0]["nr_scanned"] = cc[0]["nr_isolated"] = 0
                cc[0]["valid_page"] = -1
                cc[0]["skip_updated"] = 0
                return True
            update_cached_migrate(zone, node, cc, end)
        cc[0]["migrate_pfn"] = low = start = end
        end += size
    return False


@compiled
def isolate_lru_page(mem_map: Array, node: Array, pfn: int) -> bool:
    """Take an LRU page off its list, with a reference, unless something pins it (MS-11 to MS-18).

    An anonymous page with more references than mappings is pinned and not worth trying.
    """
    flags = int(mem_map[pfn]["flags"])
    mapping = int(mem_map[pfn]["mapping"])
    stats = lru_class(mapping)
    refcount = mem_map[pfn]["refcount"]
    pinned = refcount > mem_map[pfn]["mapcount"] and not has_mapping(flags, mapping)
    if refcount == 0 or pinned:
        node[0]["lru_stats"][stats, REFUSED] += 1
        return False
    mem_map[pfn]["refcount"] = refcount + 1
    lru_del(mem_map, node, pfn)
    node[0]["nr_isolated"][is_file_lru(flags)] += 1
    node[0]["lru_stats"][stats, ISOLATED] += 1
    return True


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
def isolate_migratepages_block(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, answer: int
) -> int:
    """Scan on in the chosen block: SCAN_DONE, or the next driver's page to be asked about."""
    low = cc[0]["low_pfn"]
    end = cc[0]["end_pfn"]
    scanned = cc[0]["nr_scanned"]
    taken = answer == IS_ISOLATED
    resumed = answer != NOT_ASKED
    while low < end:
        if not resumed:
            scanned += 1
            if cc[0]["valid_page"] < 0 and low & ((1 << node[0]["pageblock_order"]) - 1) == 0:
                cc[0]["valid_page"] = low
            flags = int(mem_map[low]["flags"])
            taken = False
            if flags & PG_buddy:
                low += (1 << flags_order(flags)) - 1
            elif flags & PG_head:
                order = flags_order(flags)
                if order < node[0]["max_order"]:
                    low += (1 << order) - 1
            elif flags & PG_tail:
                pass
            elif flags & PG_lru:
                taken = isolate_lru_page(mem_map, node, low)
                if taken:
                    cc[0]["skip_updated"] = 1
            elif not flags & PG_isolated:
                tag = int(mem_map[low]["mapping"]) & PAGE_MAPPING_FLAGS
                if tag == PAGE_MAPPING_MOVABLE:
                    cc[0]["low_pfn"] = low
                    cc[0]["nr_scanned"] = scanned
                    return int(low)
        resumed = False
        if taken:
            list_add(mem_map, low, cc[0]["migratepages"])
            cc[0]["nr_migratepages"] += 1
            cc[0]["nr_isolated"] += 1
        low += 1
        if taken and cc[0]["nr_migratepages"] >= COMPACT_CLUSTER_MAX and not cc[0]["rescan"]:
            break
    cc[0]["low_pfn"] = low
    cc[0]["nr_scanned"] = scanned
    finish_block(zone, pageblock, node, cc, trace)
    return SCAN_DONE


@compiled
def isolate_migratepages(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array, answer: int
) -> int:
    """Collect pages of the next pageblock on `cc.migratepages`, the last found first.

    At most 32 at a time, all the rest of the block in a rescan. Returns SCAN_DONE, or a driver's
    page that the caller must try to isolate, calling again with the outcome as *answer*.
    """
    if answer == NOT_ASKED and not choose_block(mem_map, zone, node, cc):
        return SCAN_DONE
    return isolate_migratepages_block(mem_map, zone, pageblock, node, cc, trace, answer)
