"""Which pageblocks scanners pass by, and where they begin (mm/compaction.c, v6.1; SK-1 to SK-7)."""

from __future__ import annotations

from typing import Any

from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.mm_types import MIGRATE_ASYNC, MOVABLE, PAGE_ALLOC_COSTLY_ORDER
from movable.mm.pageblock import block_skip, block_type, clear_block_skip, set_block_skip
from movable.page_flags import NO_ZONE, ZONE_SHIFT, PG_buddy, PG_head, PG_lru, PG_tail

Array = Any


@compiled
def isolation_suitable(pageblock: Array, node: Array, cc: Array, pfn: int) -> bool:
    """The block of *pfn* is worth a scan, or the run does not heed hints (SK-1)."""
    return bool(cc[0]["ignore_skip_hint"] or not block_skip(pageblock, node, pfn))


@compiled
def test_and_set_skip(pageblock: Array, node: Array, cc: Array, pfn: int) -> bool:
    """Mark *pfn*'s block as being scanned; True if somebody had done so already (SK-2)."""
    if cc[0]["ignore_skip_hint"] or pfn & ((1 << node[0]["pageblock_order"]) - 1):
        return False
    skip = block_skip(pageblock, node, pfn)
    if not skip and not cc[0]["no_set_skip_hint"]:
        set_block_skip(pageblock, node, pfn)
    return skip


@compiled
def update_cached_migrate(zone: Array, node: Array, cc: Array, pfn: int) -> None:
    """Remember that later scans may start behind the block that *pfn* is in.

    Callers pass the first frame behind the block, so the block after it is skipped too (SK-3).
    """
    if cc[0]["no_set_skip_hint"]:
        return
    z = cc[0]["zone"]
    size = 1 << node[0]["pageblock_order"]
    behind = (pfn // size + 1) * size
    for sync in range(1 if cc[0]["mode"] == MIGRATE_ASYNC else 2):
        zone[z]["cached_migrate_pfn"][sync] = max(zone[z]["cached_migrate_pfn"][sync], behind)


@compiled
def update_pageblock_skip(zone: Array, pageblock: Array, node: Array, cc: Array, pfn: int) -> None:
    """The free scanner found the block at *pfn* full; the next run begins there (SK-4)."""
    if cc[0]["no_set_skip_hint"]:
        return
    z = cc[0]["zone"]
    set_block_skip(pageblock, node, pfn)
    zone[z]["cached_free_pfn"] = min(zone[z]["cached_free_pfn"], pfn)


@compiled
def pageblock_skip_persistent(mem_map: Array, node: Array, pfn: int) -> bool:
    """A compound page of a pageblock's size or more is here, and will be next time."""
    flags = int(mem_map[pfn]["flags"])
    if flags & PG_tail:
        flags = int(mem_map[mem_map[pfn]["next"]]["flags"])
    return bool(flags & PG_head and flags_order(flags) >= node[0]["pageblock_order"])


@compiled
def reset_isolation_pfn(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    z: int,
    pfn: int,
    check_source: bool,
    check_target: bool,
) -> bool:
    """Take the hint from *pfn*'s block if a sample finds a source or target in it (SK-6)."""
    if int(mem_map[pfn]["flags"]) >> ZONE_SHIFT != z:
        return False
    if pageblock_skip_persistent(mem_map, node, pfn):
        return False
    if check_source and check_target and not block_skip(pageblock, node, pfn):
        return True
    if not check_source and check_target and block_type(pageblock, node, pfn) != MOVABLE:
        return False
    size = 1 << node[0]["pageblock_order"]
    start = max(pfn // size * size, zone[z]["start_pfn"])
    if int(mem_map[start]["flags"]) >> ZONE_SHIFT == NO_ZONE:
        start = pfn
    last = min(start // size * size + size, zone[z]["start_pfn"] + zone[z]["spanned"]) - 1
    if int(mem_map[last]["flags"]) >> ZONE_SHIFT == NO_ZONE:
        return False
    for page in range(start, last + 1, 1 << PAGE_ALLOC_COSTLY_ORDER):
        flags = int(mem_map[page]["flags"])
        if (check_source and flags & PG_lru) or (check_target and flags & PG_buddy):
            clear_block_skip(pageblock, node, page)
            return True
    return False


@compiled
def reset_isolation_suitable(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, z: int
) -> None:
    """Take hints from blocks that look promising, from both ends, if a run asked for it (SK-5).

    The free scanner's start becomes the last frame of a block, not the first.
    """
    migrate = zone[z]["start_pfn"]
    free = migrate + zone[z]["spanned"] - 1
    reset_migrate, reset_free = free, migrate
    source_set = free_set = False
    if not zone[z]["blockskip_flush"]:
        return
    zone[z]["blockskip_flush"] = 0
    size = 1 << node[0]["pageblock_order"]
    while migrate < free:
        if (
            reset_isolation_pfn(mem_map, zone, pageblock, node, z, migrate, True, source_set)
            and migrate < reset_migrate
        ):
            source_set = True
            reset_migrate = migrate
            zone[z]["init_migrate_pfn"] = migrate
            zone[z]["cached_migrate_pfn"][0] = zone[z]["cached_migrate_pfn"][1] = migrate
        if (
            reset_isolation_pfn(mem_map, zone, pageblock, node, z, free, free_set, True)
            and free > reset_free
        ):
            free_set = True
            reset_free = free
            zone[z]["init_free_pfn"] = zone[z]["cached_free_pfn"] = free
        migrate += size
        free -= size
    if reset_migrate >= reset_free:
        zone[z]["cached_migrate_pfn"][0] = zone[z]["cached_migrate_pfn"][1] = migrate
        zone[z]["cached_free_pfn"] = free
