"""A range of frames for one user, whoever is in it now (mm/page_alloc.c, v6.1; rules AC-1, AC-2).

:func:`alloc_contig_range` isolates the range's pageblocks, moves out who is there, and takes all
pages from the free lists. Every driver with a page in the range is asked, up to fifty times; if one
page stays, the range is given up, and the answer says whose page that is.

Not modelled: huge pages are not migrated, so that one in the range keeps it from being had. Kernels
before 6.0 isolated blocks of the largest order instead of pageblocks; here no profile does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from movable.errors import BadInput
from movable.gfp import GFP_KERNEL
from movable.hookspecs import MigrateMode
from movable.mm import mm_types as t
from movable.mm import page_isolation, views
from movable.mm.alloc_flags import gfp_zone
from movable.mm.compact_control import CompactControl
from movable.mm.contig_migrate import alloc_contig_migrate_range
from movable.mm.contig_range import ContigPages, ContigRange, ContigResult
from movable.mm.direct_compaction import zonelist
from movable.mm.isolate_freepages_range import (
    covering_buddy,
    isolate_freepages_range,
    put_range,
)
from movable.mm.page_isolation import InTheWay, pageblocks
from movable.page_flags import ZONE_SHIFT, PG_reserved

if TYPE_CHECKING:
    from movable.mm.memory import Memory


def alloc_contig_range(
    memory: Memory,
    start: int,
    end: int,
    migratetype: int = t.MOVABLE,
    gfp_mask: int = GFP_KERNEL,
) -> ContigRange:
    """Take all pages of [*start*, *end*) for the caller, each with one reference.

    :param migratetype: what the range's pageblocks are afterwards: MOVABLE, or CMA for the owner of
        a CMA region.
    :raises BadInput: there is no such range.
    :raises ContractViolation: a driver broke a promise; nothing is left isolated.
    """
    check_range(f"contiguous range {start}..{end}", memory, start, end, migratetype)
    where = memory, start, end
    obstacle = page_isolation.start_isolate_page_range(*where, migratetype)
    if obstacle:
        return _refused(*where, ContigResult.BUSY, obstacle)
    cc = CompactControl(
        memory,
        MigrateMode.SYNC,
        zone=memory.flags[start] >> ZONE_SHIFT,
        gfp_mask=gfp_mask,
        alloc_contig=1,
        ignore_skip_hint=1,
        no_set_skip_hint=1,
        get_new_page=t.ALLOC_MIGRATION_TARGET,
        reason=t.MR_CONTIG_RANGE,
    )
    try:
        memory.drain_zone_pages(cc["zone"])
        return _take_range(cc, start, end)
    finally:
        cc.close()
        page_isolation.undo_isolate_page_range(*where, migratetype)


def check_range(place: str, memory: Memory, start: int, end: int, migratetype: int) -> None:
    """Refuse what is no range of frames, or not one that could be isolated.

    :raises BadInput: it is empty, has holes or spans zones, or its pageblocks do.
    """
    check_frames(place, memory, start, end)
    blocks = pageblocks(memory, start, end)
    zones = np.unique(memory.mem_map["flags"][blocks.start : blocks.stop] >> ZONE_SHIFT)
    if blocks.stop > memory.nr_frames or len(zones) > 1 or zones[0] >= len(memory.zone_names):
        problem = f"its pageblocks, {blocks.start} to {blocks.stop}, are not all inside one zone"
        raise BadInput(place, problem, "choose whole pageblocks of a zone, without holes")
    if migratetype not in (t.MOVABLE, t.CMA):
        raise BadInput(place, f"its blocks cannot become type {migratetype}", "say MOVABLE or CMA")
    types = memory.pageblock[blocks.start // blocks.step : blocks.stop // blocks.step]
    if migratetype == t.CMA and (types & t.BLOCK_TYPE != t.CMA).any():
        raise BadInput(place, "not all of it is in a CMA region", "say type MOVABLE")


def check_frames(place: str, memory: Memory, start: int, end: int) -> None:
    """Refuse what is no range of frames.

    :raises BadInput: it is empty, or reaches out of memory.
    """
    if not 0 <= start < end <= memory.nr_frames:
        problem = f"frames from {start} up to {end}, of 0 to {memory.nr_frames - 1}"
        raise BadInput(place, problem, "choose one at least, and only what is there")


def _take_range(cc: CompactControl, start: int, end: int) -> ContigRange:
    """Empty the isolated range, and take its pages; what else was in their blocks goes back."""
    memory, where = cc.memory, (cc.memory, start, end)
    rc, stayed = alloc_contig_migrate_range(cc, start, end)
    if rc == t.ENOMEM:
        obstacle = InTheWay(stayed[0], "has nowhere to go: no page is free")
        return _refused(*where, ContigResult.NOMEM, obstacle)
    first = int(memory.engine.call(covering_buddy, start))
    page, last = page_isolation.test_pages_isolated(memory, first, end), -1
    if page is None:
        page = start
        last = int(memory.engine.compact(isolate_freepages_range, cc.record, first, end))
    if last < 0:
        why = "could not be moved" if page in stayed else "could not be isolated"
        return _refused(*where, ContigResult.BUSY, InTheWay(page, why))
    memory.engine.call(put_range, first, start)
    memory.engine.call(put_range, end, last)
    return ContigRange(start, end, ContigResult.SUCCESS)


def _refused(
    memory: Memory, start: int, end: int, result: ContigResult, obstacle: InTheWay
) -> ContigRange:
    """Say who was in the way, and who else is still there."""
    names, pfn = views.owner_names(memory), obstacle.pfn
    first = min(start, pfn)
    codes = views.owners(memory, first, max(end, pfn + 1))
    used = codes[start - first : end - first]
    counts = np.bincount(used[used > views.PER_CPU], minlength=len(names)).tolist()
    left = {name: count for name, count in zip(names, counts, strict=True) if count}
    return ContigRange(start, end, result, obstacle, names[codes[pfn - first]], left)


def alloc_contig_pages(memory: Memory, count: int, gfp_mask: int = GFP_KERNEL) -> ContigPages:
    """Take *count* pages in one piece from the first place that can be had (AC-2).

    Tried are all multiples of *count*, in the highest zone first, that hold no reserved page.

    :raises ContractViolation: a driver broke a promise; nothing is left isolated.
    """
    if count <= 0:
        raise BadInput("alloc_contig_pages", f"{count} pages", "ask for one at least")
    attempts: list[ContigRange] = []
    for z in zonelist(memory, gfp_zone(gfp_mask)):
        start, spanned = (int(memory.zone[field][z]) for field in ("start_pfn", "spanned"))
        for pfn in range(-(-start // count) * count, start + spanned - count + 1, count):
            if _valid_contig(memory, z, pfn, pfn + count):
                attempts.append(alloc_contig_range(memory, pfn, pfn + count, gfp_mask=gfp_mask))
                if attempts[-1]:
                    return ContigPages(count, tuple(attempts))
    return ContigPages(count, tuple(attempts))


def _valid_contig(memory: Memory, z: int, start: int, end: int) -> bool:
    """All of it is in zone *z*, with the pageblocks around it, and nothing is reserved."""
    blocks, flags = pageblocks(memory, start, end), memory.mem_map["flags"]
    if blocks.stop > memory.nr_frames or (flags[start:end] & PG_reserved).any():
        return False
    return bool((flags[blocks.start : blocks.stop] >> ZONE_SHIFT == z).all())


def free_contig_range(memory: Memory, start: int, count: int) -> None:
    """Free *count* pages from *start* on, one by one.

    :raises BadInput: there are no such frames, or one is free already or has another user, too.
    """
    place = f"contiguous range {start}..{start + count}"
    check_frames(place, memory, start, start + count)
    users = memory.mem_map["refcount"][start : start + count]
    for pfn in (start + np.flatnonzero(users != 1)[:1]).tolist():
        problem = f"frame {pfn} has {memory.refcount[pfn]} users"
        raise BadInput(place, problem, "give back what was had, once")
    memory.engine.call(put_range, start, start + count)
