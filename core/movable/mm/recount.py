"""The quick recount: every frame in one place and every counter right, in one compiled pass.

For the end of a schedule, of which there are thousands a second. It holds when nobody is at work.
validate.py is the thorough one: it names owners, and compares contents; this one names the frame,
and the rule. Where both look they look for the same.
"""

from __future__ import annotations

from typing import Any

from movable.mm import mm_types as t
from movable.mm.compiled import compiled
from movable.mm.pcp import pindex_to_order
from movable.page_flags import (
    NO_ZONE,
    ORDER_MASK,
    ORDER_SHIFT,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    ZONE_MASK,
    ZONE_SHIFT,
    PG_buddy,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_reserved,
    PG_tail,
)

Array = Any

NOWHERE, BUDDY, PER_CPU, LRU, LRU_BATCH = range(5)
"""`place` by frame: on which of the VM's lists it is."""

(
    FINE,
    TWICE,
    NOT_BUDDY,
    NR_FREE,
    FREE_PAGES,
    ISOLATED_BLOCKS,
    PCP_COUNT,
    NR_LRU,
    STILL_COUNTED,
    REFERENCED,
    NOT_CLEARED,
    NEGATIVE,
    NOT_LRU,
    LEFT_ISOLATED,
    LEFT_LOCKED,
    PUBLISHED_AND_LISTED,
    NOT_ONE_REFERENCE,
    LOST,
    ONLY_THE_BATCH,
    NOT_ORDINARY,
) = range(20)
PROBLEMS: tuple[tuple[str, str], ...] = (
    ("", ""),
    ("I23", "it is on two lists, or on one whose links are broken"),
    ("I24", "its PG_buddy, order or zone are not those of its free list"),
    ("I20", "nr_free is not the length of the free lists"),
    ("I20", "NR_FREE_PAGES or free_cma is not what the free lists hold"),
    ("I20", "isolate_blocks is not how many pageblocks are isolated"),
    ("I20", "the per-CPU count is not what the per-CPU lists hold"),
    ("I20", "nr_lru is not the length of the LRU list"),
    ("V25", "pages are counted as isolated from the LRU lists, and none is"),
    ("I24", "it is free, and somebody holds a reference"),
    ("I01", "it is free, and its mapping is not cleared"),
    ("I09", "its reference count is negative"),
    ("I23", "PG_lru and the LRU lists disagree"),
    ("I06", "it was left isolated"),
    ("I04", "it was left locked"),
    ("I23", "a driver has it published, and it is on a list of the VM's"),
    ("I09", "it is published, and has other references than its driver's one"),
    ("I24", "nobody owns it, and it is not free"),
    ("I24", "nobody owns it, and it waits for an LRU list"),
    ("V15", "pages were tried as ordinary ones, and none had been isolated from an LRU list"),
)
"""By what :func:`recount` finds: the rule, and what is wrong with the frame, or with the zone."""
OF_A_ZONE = frozenset(
    {NR_FREE, FREE_PAGES, ISOLATED_BLOCKS, PCP_COUNT, NR_LRU, STILL_COUNTED, NOT_ORDINARY}
)
SHIFT = 32


@compiled
def found(problem: int, where: int) -> int:
    """A problem with a frame or zone, as one number."""
    return problem << SHIFT | where


@compiled
def stand(
    mem_map: Array, node: Array, place: Array, head: int, order: int, kind: int, wanted: int
) -> int:
    """Mark what is on a list as being there; how many blocks, or -1 - problem.

    *wanted* are the flags that say so on a block's head, or 0.
    """
    count, before, pfn = 0, head, int(mem_map[head]["next"])
    while pfn != head:
        if pfn + (1 << order) > node[0]["nr_frames"] or mem_map[pfn]["prev"] != before:
            return -1 - found(TWICE, min(pfn, node[0]["nr_frames"] - 1))
        for page in range(pfn, pfn + (1 << order)):
            if place[page]:
                return -1 - found(TWICE, page)
            place[page] = kind
        if wanted and int(mem_map[pfn]["flags"]) & (PG_buddy | ORDER_MASK | ZONE_MASK) != wanted:
            return -1 - found(NOT_BUDDY, pfn)
        count += 1
        before, pfn = pfn, int(mem_map[pfn]["next"])
    return count


@compiled
def recount_free_lists(mem_map: Array, zone: Array, node: Array, place: Array, z: int) -> int:
    """One zone's free lists, and what is counted of them."""
    free = cma = 0
    for order in range(node[0]["max_order"]):
        wanted, blocks = PG_buddy | order << ORDER_SHIFT | z << ZONE_SHIFT, 0
        for kind in range(t.MIGRATE_TYPES):
            head = zone[z]["free_list"] + order * t.MIGRATE_TYPES + kind
            count = stand(mem_map, node, place, head, order, BUDDY, wanted)
            if count < 0:
                return -1 - count
            blocks += count
            free += count << order if kind != t.ISOLATE else 0
            cma += count << order if kind == t.CMA else 0
        if blocks != zone[z]["nr_free"][order]:
            return found(NR_FREE, z)
    kept = zone[z]["free"]
    for cpu in range(t.NR_CPUS):
        kept += zone[z]["free_diff"][cpu]
    return FINE if free == kept and cma == zone[z]["free_cma"] else found(FREE_PAGES, z)


@compiled
def recount_zone(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, place: Array, z: int, nr_cpus: int
) -> int:
    """One zone: free lists, isolated pageblocks, per-CPU lists."""
    problem = recount_free_lists(mem_map, zone, node, place, z)
    if problem:
        return problem
    order, isolated, start = node[0]["pageblock_order"], 0, zone[z]["start_pfn"]
    for block in range(start >> order, (start + zone[z]["spanned"] - 1 >> order) + 1):
        isolated += 1 if pageblock[block] & t.BLOCK_TYPE == t.ISOLATE else 0
    if isolated != zone[z]["isolate_blocks"]:
        return found(ISOLATED_BLOCKS, z)
    for cpu in range(nr_cpus):
        pages = 0
        for index in range(t.NR_PCP_LISTS):
            order = pindex_to_order(node, index)
            head = zone[z]["pcp_list"][cpu] + index
            count = stand(mem_map, node, place, head, order, PER_CPU, 0)
            if count < 0:
                return -1 - count
            pages += count << order
        if pages != zone[z]["pcp_count"][cpu]:
            return found(PCP_COUNT, z)
    return FINE


@compiled
def recount_lru(mem_map: Array, node: Array, place: Array) -> int:
    """The LRU lists, and the batch in front of them."""
    for number in range(t.NR_LRU_LISTS):
        count = stand(mem_map, node, place, node[0]["lru_list"] + number, 0, LRU, 0)
        if count < 0:
            return -1 - count
        if count != node[0]["nr_lru"][number]:
            return found(NR_LRU, 0)
    for index in range(node[0]["lru_add_count"]):
        if place[node[0]["lru_add"][index]]:
            return found(TWICE, node[0]["lru_add"][index])
        place[node[0]["lru_add"][index]] = LRU_BATCH
    if node[0]["nr_isolated"][t.ANON] or node[0]["nr_isolated"][t.FILE]:
        return found(STILL_COUNTED, 0)
    isolated, tried = 0, 0
    for kind in (t.ANON, t.FILE):
        isolated += node[0]["lru_stats"][kind, t.ISOLATED]
        for answer in (t.MIGRATED, t.AGAIN, t.FAILED):
            tried += node[0]["lru_stats"][kind, answer]
    return found(NOT_ORDINARY, 0) if tried and not isolated else FINE


@compiled
def recount_frame(mem_map: Array, place: Array, known: Array, pfn: int) -> int:
    """One frame: where it is, and what its numbers say of that."""
    flags, word = int(mem_map[pfn]["flags"]), int(mem_map[pfn]["mapping"])
    references, kind = int(mem_map[pfn]["refcount"]), int(place[pfn])
    movable = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
    published = movable and word >> t.HANDLE_SHIFT
    if references < 0:
        return NEGATIVE
    if kind in (BUDDY, PER_CPU) and references:
        return REFERENCED
    if published and kind != NOWHERE:
        return PUBLISHED_AND_LISTED
    if kind in (BUDDY, PER_CPU) and word:
        return NOT_CLEARED
    if (flags & PG_lru != 0) != (kind == LRU):
        return NOT_LRU
    if movable and flags & PG_isolated:
        return LEFT_ISOLATED
    if flags & PG_locked and not known[pfn]:
        return LEFT_LOCKED
    if flags & PG_buddy and kind != BUDDY:
        return NOT_BUDDY
    if published and references != 1:
        return NOT_ONE_REFERENCE
    if kind == LRU_BATCH and references == 1 and word == 0:
        return ONLY_THE_BATCH
    return FINE


@compiled
def recount(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    place: Array,
    known: Array,
    nr_cpus: int,
    inside_blocks: int,
) -> int:
    """Recount a memory in which nobody is at work: `FINE`, or a problem and where (`SHIFT`).

    *place*, a byte for each frame, is written. *known* are the frames that were locked from the
    start, *inside_blocks* how many frames may be in use without a reference.
    """
    nr_frames = int(node[0]["nr_frames"])
    for pfn in range(nr_frames):
        place[pfn] = NOWHERE
    for z in range(node[0]["nr_zones"]):
        problem = recount_zone(mem_map, zone, pageblock, node, place, z, nr_cpus)
        if problem:
            return problem
    problem = recount_lru(mem_map, node, place)
    if problem:
        return problem
    for pfn in range(nr_frames):
        problem = recount_frame(mem_map, place, known, pfn)
        if problem:
            return found(problem, pfn)
        if place[pfn] == NOWHERE and mem_map[pfn]["refcount"] == 0:
            flags = int(mem_map[pfn]["flags"])
            if not flags & (PG_tail | PG_reserved) and flags >> ZONE_SHIFT != NO_ZONE:
                inside_blocks -= 1
                if inside_blocks < 0:
                    return found(LOST, pfn)
    return FINE
