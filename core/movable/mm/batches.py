"""Which pages a driver is asked about at once, and what becomes of its answers.

Linux asks page by page. A batch asks once about pages that it would have asked about one right
after another, so that nobody can tell the difference from what comes of it. Hence a batch ends
where what follows is not sure, and the rest is asked about in the next one, or singly:

- It is of one driver and one pageblock, and at most COMPACT_CLUSTER_MAX pages.
- To isolate, the frames behind the first page are looked at as the scanner will (look()): it passes
  over free blocks, and frames that it cannot take. It will come by every page of the batch, however
  the driver answers, if the LRU pages in between and the batch together do not fill the cluster:
  another compactor's skip hint ends a scan only at a block's first frame, which is behind it then.
  A scan that gives up a block for one page that fails (direct compaction in mode ASYNC) depends on
  each answer, and asks singly.
- To migrate, it is a run of pages on the list, each still isolated, not freed meanwhile and not
  locked, with targets that stand ready: a new scan for targets might find what a page of this run
  has left. Page by page, a target that was refused goes to the next page; so of a batch the first
  page that moves takes the first target (D26). Where targets are the page allocator's, or pages
  that failed are put back at once, it asks singly.
- To put back, it is a run of pages on the list, not locked by anybody.
- At a page that another driver owns, is locked, or has been given up, a batch ends.

In a race there are no batches: any other CPU may come between two single calls, and between the
pages of a batch none could. Nor are there while the driver is watched by somebody who knows no
batches (mapping.py).

What follows an answer is the steps of migrate_movable.py, page by page, in the same order.
"""

from __future__ import annotations

from typing import Any

from movable.mm import steps
from movable.mm.buddy import flags_order
from movable.mm.compiled import compiled
from movable.mm.isolate_freepages import compaction_free
from movable.mm.isolate_migratepages import frames_of
from movable.mm.list import list_del, list_empty, list_next
from movable.mm.mm_types import COMPACT_CLUSTER_MAX, COMPACTION_ALLOC
from movable.mm.steps import ask, point
from movable.page_flags import (
    ALL_FLAGS,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_buddy,
    PG_head,
    PG_isolated,
    PG_locked,
    PG_lru,
    PG_tail,
)

Array = Any
NOT_LOCKED = ALL_FLAGS ^ PG_locked


@compiled
def batch_pending(cc: Array) -> bool:
    """A driver has answered already for the page whose turn it is."""
    return bool(cc[0]["batch_next"] < cc[0]["batch_pages"])


@compiled
def begin(mem_map: Array, cc: Array) -> int:
    """A batch of the page at `cc.page` alone; how many there may be."""
    pfn = cc[0]["page"]
    cc[0]["batch_word"] = mem_map[pfn]["mapping"]
    cc[0]["batch_page"][0] = pfn
    cc[0]["batch_target"][0] = cc[0]["target"]
    cc[0]["batch_pages"] = cc[0]["batch_targets"] = 1
    cc[0]["batch_next"] = 1
    if cc[0]["batch_declined"]:
        cc[0]["batch_declined"] -= 1
        return 1
    return COMPACT_CLUSTER_MAX


@compiled
def add(mem_map: Array, cc: Array, pfn: int) -> None:
    """Lock *pfn*, and have it in the batch."""
    mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | PG_locked
    cc[0]["batch_page"][cc[0]["batch_pages"]] = pfn
    cc[0]["batch_pages"] += 1


@compiled
def waits_for_lock(mem_map: Array, cc: Array, pfn: int) -> bool:
    """*pfn* is the same driver's as the batch, and nobody has its lock."""
    locked = int(mem_map[pfn]["flags"]) & PG_locked
    return bool(mem_map[pfn]["mapping"] == cc[0]["batch_word"] and not locked)


@compiled
def end_of_block(node: Array, pfn: int) -> int:
    """The first frame behind *pfn*'s pageblock."""
    order = node[0]["pageblock_order"]
    return int(((pfn >> order) + 1) << order)


@compiled
def gather_to_isolate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Find the pages behind `cc.page` that the scan will ask about next, and lock them, with a
    reference each; how many they are with that one."""
    most = begin(mem_map, cc)
    room = COMPACT_CLUSTER_MAX
    if not cc[0]["rescan"]:
        room -= cc[0]["nr_migratepages"]
    if cc[0]["skip_on_failure"]:
        room = 1
    end = min(cc[0]["end_pfn"], end_of_block(node, cc[0]["page"]))
    pfn, met = cc[0]["page"] + 1, 1
    while pfn < end and met < room and cc[0]["batch_pages"] < most:
        flags = int(mem_map[pfn]["flags"])
        if flags & PG_buddy:
            pfn += 1 << flags_order(flags)
        elif flags & PG_lru and not flags & (PG_head | PG_tail):
            met += 1
            pfn += 1
        elif (
            not flags & (PG_head | PG_tail | PG_isolated)
            and int(mem_map[pfn]["mapping"]) & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
        ):
            if mem_map[pfn]["refcount"] <= 0 or not waits_for_lock(mem_map, cc, pfn):
                break
            mem_map[pfn]["refcount"] += 1
            add(mem_map, cc, pfn)
            met += 1
            pfn += 1
        else:
            pfn += frames_of(mem_map, node, pfn)
    return int(cc[0]["batch_pages"])


@compiled
def gather_to_migrate(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Find the pages behind `cc.page` that will be tried next, and lock them, with a locked target
    each; how many they are with that one."""
    most = begin(mem_map, cc)
    if cc[0]["get_new_page"] != COMPACTION_ALLOC or cc[0]["putback_at_once"]:
        return 1
    end, head = end_of_block(node, cc[0]["page"]), cc[0]["freepages"]
    start = end - (1 << node[0]["pageblock_order"])
    pfn = cc[0]["cursor"]
    while start <= pfn < end and cc[0]["batch_pages"] < most and not list_empty(mem_map, head):
        target = list_next(mem_map, head)
        if mem_map[pfn]["refcount"] <= 1 or not waits_for_lock(mem_map, cc, pfn):
            break
        if int(mem_map[target]["flags"]) & PG_locked:
            break
        list_del(mem_map, target)
        cc[0]["nr_freepages"] -= 1
        mem_map[target]["flags"] = int(mem_map[target]["flags"]) | PG_locked
        cc[0]["batch_target"][cc[0]["batch_pages"]] = target
        add(mem_map, cc, pfn)
        pfn = list_next(mem_map, pfn)
    cc[0]["batch_targets"] = cc[0]["batch_pages"]
    return int(cc[0]["batch_pages"])


@compiled
def gather_to_put_back(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, trace: Array
) -> int:
    """Take the pages behind `cc.page` off the list that will be put back next, and lock them; how
    many they are with that one."""
    most = begin(mem_map, cc)
    head = cc[0]["putback_head"]
    end = end_of_block(node, cc[0]["page"])
    start = end - (1 << node[0]["pageblock_order"])
    pfn = list_next(mem_map, head)
    while start <= pfn < end and cc[0]["batch_pages"] < most:
        if not waits_for_lock(mem_map, cc, pfn):
            break
        list_del(mem_map, pfn)
        add(mem_map, cc, pfn)
        pfn = list_next(mem_map, head)
    return int(cc[0]["batch_pages"])


# What becomes of the answers to migratepages.


@compiled
def as_answered(mem_map: Array, cc: Array) -> bool:
    """Count the targets that are needed; whether pages and targets are as the answers say."""
    word = cc[0]["batch_word"]
    moved = 0
    well = True
    for i in range(cc[0]["batch_pages"]):
        pfn = cc[0]["batch_page"][i]
        given_up = mem_map[pfn]["mapping"] == PAGE_MAPPING_MOVABLE
        if i < cc[0]["batch_answers"] and cc[0]["batch_rc"][i] == 0:
            moved += 1
            well = well and given_up
        elif mem_map[pfn]["mapping"] != word:
            well = False
        if not int(mem_map[pfn]["flags"]) & PG_locked:
            well = False
    for i in range(cc[0]["batch_targets"]):
        target = cc[0]["batch_target"][i]
        if i >= moved and (mem_map[target]["mapping"] or mem_map[target]["refcount"] != 1):
            well = False
        if not int(mem_map[target]["flags"]) & PG_locked:
            well = False
    cc[0]["batch_needed"] = moved
    return well


@compiled
def batch_step(
    mem_map: Array, zone: Array, pageblock: Array, node: Array, cc: Array, step: int
) -> int:
    """Take one step with an answered batch; which comes next.

    Targets that are left over go back in the order in which they came, as if they had never been
    taken. Then each page that was answered for is settled by the steps of a single one.
    """
    if step == steps.BATCH_ANSWERED:
        if as_answered(mem_map, cc):
            return steps.RETURN_SPARE_TARGETS
        return ask(cc, steps.JUDGE_BATCH, steps.RETURN_SPARE_TARGETS)
    if step == steps.RETURN_SPARE_TARGETS:
        if cc[0]["batch_targets"] <= cc[0]["batch_needed"]:
            return steps.UNLOCK_NOT_ASKED
        cc[0]["batch_targets"] -= 1
        target = cc[0]["batch_target"][cc[0]["batch_targets"]]
        cc[0]["target"] = target
        mem_map[target]["flags"] = int(mem_map[target]["flags"]) & NOT_LOCKED
        compaction_free(mem_map, zone, pageblock, node, cc, target)
        return point(cc, steps.TARGET_RETURNED, steps.RETURN_SPARE_TARGETS)
    if step == steps.UNLOCK_NOT_ASKED:
        if cc[0]["batch_pages"] > cc[0]["batch_answers"]:
            cc[0]["batch_pages"] -= 1
            cc[0]["page"] = cc[0]["batch_page"][cc[0]["batch_pages"]]
            flags = int(mem_map[cc[0]["page"]]["flags"])
            mem_map[cc[0]["page"]]["flags"] = flags & NOT_LOCKED
            return point(cc, steps.UNLOCKED, steps.UNLOCK_NOT_ASKED)
        cc[0]["batch_moved"] = 0
        if cc[0]["batch_declined"]:
            cc[0]["page"], cc[0]["target"] = cc[0]["batch_page"][0], cc[0]["batch_target"][0]
            return ask(cc, steps.MIGRATEPAGE, steps.MIGRATE_ANSWERED)
        cc[0]["batch_next"] = 0
        return steps.SETTLE_BATCH
    if step == steps.UNLOCK_NOT_MOVED:
        flags = int(mem_map[cc[0]["page"]]["flags"])
        mem_map[cc[0]["page"]]["flags"] = flags & NOT_LOCKED
        return point(cc, steps.UNLOCKED, cc[0]["after_page"])
    number = cc[0]["batch_next"]  # SETTLE_BATCH
    cc[0]["batch_next"] = number + 1
    cc[0]["page"] = cc[0]["batch_page"][number]
    cc[0]["rc"] = cc[0]["batch_rc"][number]
    cc[0]["target"] = -1
    if cc[0]["rc"]:
        return point(cc, steps.MIGRATE_RETURNED, steps.UNLOCK_NOT_MOVED)
    cc[0]["target"] = cc[0]["batch_target"][cc[0]["batch_moved"]]
    cc[0]["batch_moved"] += 1
    return point(cc, steps.MIGRATE_RETURNED, steps.END_MOVE)
