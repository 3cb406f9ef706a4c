"""`struct page`, `struct zone` and their relatives as numpy records, and the numbers they hold.

A memory is six arrays, always passed in this order: `mem_map` (frames, then list heads), `zone`,
`pageblock` (one byte a block), `node` (one record), and for compaction `cc` (one
`compact_control`) and `trace` (event rows). Compiled code reads `mem_map[pfn]["refcount"]`
(the row first: then LLVM knows how far apart rows are).

Lists are linked through the frames' own `next` and `prev`, as through `page->lru`; a list head is
a further record behind the last frame, so that no list operation has special cases.

Follows include/linux/mm_types.h, mmzone.h and mm/internal.h of Linux v6.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def words(array: Any) -> memoryview[int]:
    """Python's way to single numbers of *array*: three times as fast as indexing the array."""
    return memoryview(array)


def word_index(record: np.dtype[Any], field: str) -> int:
    """Where *field* stands in a record that is all 64-bit words (ZONE, NODE, COMPACT_CONTROL)."""
    assert record.fields is not None
    return record.fields[field][1] // 8


PAGE = np.dtype(
    [
        ("flags", "u4"),
        ("refcount", "i4"),
        ("mapcount", "i4"),
        ("next", "i4"),
        ("prev", "i4"),
        ("mapping", "u4"),
        ("private", "u4"),
        ("content", "u4"),
    ],
    align=True,
)
"""One frame, 32 bytes. `mapping` is handle << 4 | operations << 2 | tag (see Operations below)."""

MAX_NR_ORDERS = 16
NR_CPUS = 64
PAGEVEC_SIZE = 15
"""Pages in a CPU's LRU batch before it is flushed."""

ZONE_TYPES = ("DMA", "DMA32", "Normal", "Movable", "Device")
"""The kernel's zones by number (`enum zone_type`); requests and reserves speak of these numbers."""
ZONE_NORMAL = ZONE_TYPES.index("Normal")
ZONE_MOVABLE = ZONE_TYPES.index("Movable")

ZONE = np.dtype(
    [
        ("zone_idx", "i8"),
        ("start_pfn", "i8"),
        ("spanned", "i8"),
        ("present", "i8"),
        ("managed", "i8"),
        ("watermark", "i8", (3,)),
        ("boost", "i8"),
        ("lowmem_reserve", "i8", (4,)),
        ("highatomic", "i8"),
        ("isolate_blocks", "i8"),
        ("contiguous", "i8"),
        ("zflags", "i8"),
        ("cached_free_pfn", "i8"),
        ("cached_migrate_pfn", "i8", (2,)),
        ("init_migrate_pfn", "i8"),
        ("init_free_pfn", "i8"),
        ("considered", "i8"),
        ("defer_shift", "i8"),
        ("order_failed", "i8"),
        ("blockskip_flush", "i8"),
        ("free", "i8"),
        ("free_cma", "i8"),
        ("nr_free", "i8", (MAX_NR_ORDERS,)),
        ("free_list", "i8"),
        ("pcp_list", "i8", (NR_CPUS,)),
        ("pcp_count", "i8", (NR_CPUS,)),
        ("pcp_high", "i8", (NR_CPUS,)),
        ("pcp_batch", "i8", (NR_CPUS,)),
        ("pcp_free_factor", "i8", (NR_CPUS,)),
        ("stat_threshold", "i8", (NR_CPUS,)),
        ("free_diff", "i8", (NR_CPUS,)),
    ],
    align=True,
)
"""One zone. `zone_idx` is its number among ZONE_TYPES; `free_list` and `pcp_list` are the first of
its rows of list heads; `free` is the global part of NR_FREE_PAGES and `free_diff` what each CPU has
not yet added to it; `free_cma` is what of it lies in CMA regions."""

VM_EVENTS = (
    "pgmigrate_success",
    "pgmigrate_fail",
    "compact_migrate_scanned",
    "compact_free_scanned",
    "compact_isolated",
    "compact_stall",
    "compact_fail",
    "compact_success",
    "compact_daemon_wake",
    "compact_daemon_migrate_scanned",
    "compact_daemon_free_scanned",
    "pgfree",
    "cma_alloc_success",
    "cma_alloc_fail",
)
"""The counters, under their names in /proc/vmstat, in the order of `node["vm"]`."""
PGMIGRATE_SUCCESS, PGMIGRATE_FAIL, COMPACTMIGRATE_SCANNED, COMPACTFREE_SCANNED = range(4)
COMPACTISOLATED, COMPACTSTALL, COMPACTFAIL, COMPACTSUCCESS, KCOMPACTD_WAKE = range(4, 9)
KCOMPACTD_MIGRATE_SCANNED, KCOMPACTD_FREE_SCANNED, PGFREE = range(9, 12)
CMA_ALLOC_SUCCESS, CMA_ALLOC_FAIL = range(12, 14)
CMA_EVENTS = VM_EVENTS[CMA_ALLOC_SUCCESS:]
"""Those that only kernels with CMA have."""

LRU_STATS = ("isolated", "refused", "migrated", "again", "failed", "putback")
ISOLATED, REFUSED, MIGRATED, AGAIN, FAILED, PUTBACK = range(6)
ANON, FILE = range(2)

LRU_LISTS = ("inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable")
NR_LRU_LISTS = len(LRU_LISTS)

NODE = np.dtype(
    [
        ("nr_frames", "i8"),
        ("nr_zones", "i8"),
        ("max_order", "i8"),
        ("pageblock_order", "i8"),
        ("cpu", "i8"),
        ("lru_add", "i8", (PAGEVEC_SIZE,)),
        ("lru_add_count", "i8"),
        ("lru_disable_count", "i8"),
        ("lru_list", "i8"),
        ("nr_lru", "i8", (NR_LRU_LISTS,)),
        ("nr_isolated", "i8", (2,)),
        ("lru_stats", "i8", (2, len(LRU_STATS))),
        ("vm", "i8", (len(VM_EVENTS),)),
        ("fallbacks", "i8", (3, 3)),
        ("trace_count", "i8"),
        ("trace_limit", "i8"),
        ("fault", "i8"),
        # The capture_control of the running task: no zone (-1), or where a block is waited for.
        ("capture_zone", "i8"),
        ("capture_order", "i8"),
        ("captured", "i8"),
        # Free blocks of this order a device is told of, and whether one came to be since it looked.
        ("page_reporting_order", "i8"),
        ("page_reporting_requested", "i8"),
        ("kcompactd_max_order", "i8"),
        ("kcompactd_highest_zoneidx", "i8"),
        # Under /proc/sys/vm.
        ("compaction_proactiveness", "i8"),
        ("extfrag_threshold", "i8"),
        ("compact_unevictable_allowed", "i8"),
        # The profile's fields of the same names.
        ("three_pcp_lists", "i8"),
        ("migration_events", "i8"),
        ("avoids_mixing", "i8"),
        ("boosts_watermarks", "i8"),
        ("counts_movable_pages", "i8"),
        ("small_steals_for_movable", "i8"),
        ("steals_for_unmovable_from", "i8"),
        ("unmovable_steals_whole", "i8"),
    ],
    align=True,
)
"""The node (`pglist_data`): machine parameters, the running CPU, LRU lists, counters, sysctls.

While `lru_disable_count` is not 0, no page waits in an LRU batch. `fallbacks` counts, by
the type wanted and the type found, how often less than a pageblock was taken from another type's
list: mm_page_alloc_extfrag events that are fragmenting."""

COMPACT_CLUSTER_MAX = 32
"""Pages that compaction isolates before it migrates them."""

COMPACT_CONTROL = np.dtype(
    [
        ("zone", "i8"),
        ("mode", "i8"),
        # The request: what for, and how hard.
        ("order", "i8"),
        ("gfp_mask", "i8"),
        ("migratetype", "i8"),
        ("alloc_flags", "i8"),
        ("highest_zoneidx", "i8"),
        ("direct_compaction", "i8"),
        ("proactive_compaction", "i8"),
        ("whole_zone", "i8"),
        ("ignore_skip_hint", "i8"),
        ("no_set_skip_hint", "i8"),
        ("ignore_block_suitable", "i8"),
        ("alloc_contig", "i8"),
        # The fast searches.
        ("search_order", "i8"),
        ("fast_search_fail", "i8"),
        ("fast_start_pfn", "i8"),
        ("migrate_pfn", "i8"),
        ("free_pfn", "i8"),
        ("nr_migratepages", "i8"),
        ("nr_freepages", "i8"),
        ("total_migrate_scanned", "i8"),
        ("total_free_scanned", "i8"),
        ("rescan", "i8"),
        # List heads.
        ("migratepages", "i8"),
        ("freepages", "i8"),
        ("isolated_blocks", "i8"),
        ("folios", "i8"),
        ("ret_folios", "i8"),
        # Where isolate_migratepages_block() stands while a driver is asked.
        ("start_pfn", "i8"),
        ("low_pfn", "i8"),
        ("end_pfn", "i8"),
        ("nr_scanned", "i8"),
        ("nr_isolated", "i8"),
        ("valid_page", "i8"),
        ("skip_updated", "i8"),
        ("skip_on_failure", "i8"),
        ("next_skip_pfn", "i8"),
        # What migrate_pages() is told: where targets come from, and what for.
        ("get_new_page", "i8"),
        ("no_target", "i8"),
        ("reason", "i8"),
        # Where migrate_pages() stands.
        ("force", "i8"),
        ("nr_succeeded", "i8"),
        ("nr_failed", "i8"),
        ("retry", "i8"),
        ("nr_failed_pages", "i8"),
        ("stopped", "i8"),
        ("attempt", "i8"),
        ("cursor", "i8"),
        ("result", "i8"),
        # Where compact_zone() stands.
        ("iteration_start", "i8"),
        ("last_migrated", "i8"),
        ("update_cached", "i8"),
        ("error", "i8"),
        ("status", "i8"),
        # The step under way (steps.py): what it is about, its outcome, and where it leads.
        ("watched", "i8"),
        ("page", "i8"),
        ("target", "i8"),
        ("freeing", "i8"),
        ("rc", "i8"),
        ("putback_head", "i8"),
        ("then", "i8"),
        ("after_free", "i8"),
        ("after_page", "i8"),
        ("after_isolate", "i8"),
        ("after_putback", "i8"),
        ("after_migrate", "i8"),
        # Pages that a driver is asked about at once (batches.py): how many, how many answers there
        # are, whose turn is next; how many targets, how many of them are needed, and are in use;
        # of how many pages a driver wants to be asked page by page; and by page, what there is.
        ("batch_word", "i8"),
        ("batch_pages", "i8"),
        ("batch_answers", "i8"),
        ("batch_next", "i8"),
        ("batch_targets", "i8"),
        ("batch_needed", "i8"),
        ("batch_moved", "i8"),
        ("batch_declined", "i8"),
        ("batch_page", "i8", (COMPACT_CLUSTER_MAX,)),
        ("batch_target", "i8", (COMPACT_CLUSTER_MAX,)),
        ("batch_rc", "i8", (COMPACT_CLUSTER_MAX,)),
        # The profile's fields of the same names.
        ("target_before_freed_test", "i8"),
        ("target_disposed_by_own_tag", "i8"),
        ("putback_at_once", "i8"),
        ("retries_fail_with_enomem", "i8"),
        ("batch", "i8"),
        ("counts_isolated_driver_pages", "i8"),
        ("free_block_counts_as_one", "i8"),
        ("fast_limit_is_one", "i8"),
        ("highest_may_be_low", "i8"),
        ("remaining_pages_failed", "i8"),
        ("drains_after_mapped_page", "i8"),
        ("fast_search", "i8"),
        ("fast_search_marks_block", "i8"),
        ("rescues_pageblocks", "i8"),
    ],
    align=True,
)
"""One compaction run (`struct compact_control`), with the state of its two resumable loops."""

UNMOVABLE, MOVABLE, RECLAIMABLE, HIGHATOMIC, ISOLATE, CMA = range(6)
MIGRATE_TYPES = 6
"""With CMA last, though the kernel counts ISOLATE last: so numbers are those of kernels without."""
MIGRATETYPE_NAMES = ("Unmovable", "Movable", "Reclaimable", "HighAtomic", "Isolate", "CMA")
MIGRATE_PCPTYPES = 3
BLOCK_TYPE = 7
BLOCK_SKIP = 8
"""A pageblock's byte: migratetype in the low bits, and the skip hint."""

PAGE_ALLOC_COSTLY_ORDER = 3
NR_LOWORDER_PCP_LISTS = MIGRATE_PCPTYPES * (PAGE_ALLOC_COSTLY_ORDER + 1)
NR_PCP_LISTS = NR_LOWORDER_PCP_LISTS + 2
"""Orders 0 to 3 by type, then pageblock order: not movable, movable."""
PCP_BATCH_SCALE_MAX = 5
COMPACTION_HPAGE_ORDER = 9

WMARK_MIN, WMARK_LOW, WMARK_HIGH = range(3)
ZONE_BOOSTED_WATERMARK, ZONE_RECLAIM_ACTIVE = 1, 2
"""Bits of `zflags`."""

MIGRATE_ASYNC, MIGRATE_SYNC_LIGHT, MIGRATE_SYNC = range(3)
MR_COMPACTION, MR_CONTIG_RANGE = 0, 6
"""`enum migrate_reason`: who has pages migrated."""
COMPACTION_ALLOC, ALLOC_MIGRATION_TARGET = range(2)
"""Where migration gets its targets: from the free scanner, or from the page allocator."""
EAGAIN, ENOMEM, EBUSY, EINVAL = -11, -12, -16, -22

# What the operations of a page's mapping can do (bits 2 and 3 of the mapping word).
HAS_MIGRATE, HAS_WRITEPAGE, HAS_NEITHER, HAS_OWN_MIGRATE = range(4)
OPERATIONS_SHIFT = 2
HANDLE_SHIFT = 4

(
    COMPACT_NOT_SUITABLE_ZONE,
    COMPACT_SKIPPED,
    COMPACT_DEFERRED,
    COMPACT_NO_SUITABLE_PAGE,
    COMPACT_CONTINUE,
    COMPACT_COMPLETE,
    COMPACT_PARTIAL_SKIPPED,
    COMPACT_CONTENDED,
    COMPACT_SUCCESS,
) = range(9)
"""`enum compact_result`; of several zones' results the largest counts."""
COMPACT_PRIO_SYNC_FULL, COMPACT_PRIO_SYNC_LIGHT, COMPACT_PRIO_ASYNC = range(3)
"""`enum compact_priority`: the lower, the harder."""
