"""Many pages at once: linking lists when a memory is made, and filling it with ordinary users.

A phase of an experiment takes or drops thousands of pages; here they pass through the same
allocator, one by one, in compiled code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import BadInput
from movable.gfp import GFP_HIGHUSER_MOVABLE, GFP_KERNEL, Gfp
from movable.mm.alloc_flags import ALLOC_KSWAPD, cma_flag, gfp_migratetype, gfp_zone
from movable.mm.compiled import compiled
from movable.mm.mm_types import NR_LRU_LISTS
from movable.mm.page_alloc import alloc_pages, alloc_pages_fast
from movable.mm.shrink_lists import touch_pages
from movable.mm.slowpath import alloc_pages as alloc_pages_slowly
from movable.mm.swap import folio_add_lru, put_page
from movable.page_flags import (
    PAGE_MAPPING_ANON,
    PG_active,
    PG_slab,
    PG_swapbacked,
    PG_unevictable,
    PG_uptodate,
)

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Array = Any

KINDS = {
    "anon": (GFP_HIGHUSER_MOVABLE, PG_swapbacked | PG_uptodate, 1),
    "file": (GFP_HIGHUSER_MOVABLE, PG_uptodate, 0),
    "unmovable": (GFP_KERNEL, 0, 0),
    "reclaimable": (GFP_KERNEL | Gfp.RECLAIMABLE, PG_slab, 0),
}
"""By kind of user: what it asks for, flags, how often mapped."""


class OrdinaryMapping:
    """What ordinary pages' mapping words point to: an anon_vma or an address space, unnamed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<OrdinaryMapping {self.name}>"


def link_list(memory: Memory, head: int, pfns: Array) -> None:
    """Make *pfns*, in this order, the whole list at *head*."""
    chain = np.concatenate(([head], pfns, [head]))
    memory.mem_map["next"][chain[:-1]] = chain[1:]
    memory.mem_map["prev"][chain[1:]] = chain[:-1]


def put_on_lru(memory: Memory, pfns: Array) -> None:
    """Make *pfns*, PG_lru already, the LRU lists, each page on the list its flags say."""
    flags = memory.mem_map["flags"][pfns].astype(np.int64)
    index = np.where(flags & PG_swapbacked, 0, 2) + np.where(flags & PG_active, 1, 0)
    index[flags & PG_unevictable != 0] = NR_LRU_LISTS - 1
    for number in range(NR_LRU_LISTS):
        members = pfns[index == number]
        link_list(memory, int(memory.node["lru_list"][0]) + number, members)
        memory.node["nr_lru"][0, number] = len(members)


def fill(memory: Memory, kind: str, count: int, *, waits: bool | None = None) -> Array:
    """Take up to *count* pages for a *kind* of user (a key of KINDS): their frame numbers, int64.

    Fewer come back when memory runs out.

    :param waits: users wait until memory is reclaimed; left out: if this memory is.
    """
    waits = memory.vmscan.reclaims if waits is None else waits
    if kind not in KINDS:
        raise BadInput("fill", f"no kind {kind!r} of user", f"choose one of {', '.join(KINDS)}")
    gfp, flags, mapped = KINDS[kind]
    request = int(gfp), gfp_migratetype(gfp), gfp_zone(gfp), cma_flag(gfp)
    looks = flags, _word(memory, kind), mapped
    out, taken = np.empty(count, np.int64), 0
    while True:
        more = (*request, *looks, memory.next_content, waits)
        got = int(memory.engine.call(fill_pages, out[taken:], *more))
        memory.next_content += got
        taken += got
        pfn = alloc_pages_slowly(memory, int(gfp), 0) if waits and taken < count else -1
        if pfn < 0:
            return out[:taken]
        memory.engine.call(dress, pfn, *looks, memory.next_content)
        memory.next_content += 1
        out[taken] = pfn
        taken += 1


def _word(memory: Memory, kind: str) -> int:
    """The mapping word of a *kind* of user's pages."""
    if kind not in ("anon", "file"):
        return 0
    mapping = memory.ordinary.setdefault(kind, OrdinaryMapping(kind))
    return memory.word_of(mapping) | (PAGE_MAPPING_ANON if kind == "anon" else 0)


def dress_anon(memory: Memory, pfn: int, content: int) -> None:
    """Make a new page, which was allocated, an anonymous user's that reads *content*."""
    _, flags, mapped = KINDS["anon"]
    memory.engine.call(dress, pfn, flags, _word(memory, "anon"), mapped, content)


def touch(memory: Memory, pfns: Array) -> None:
    """Have the users of these pages read or write them."""
    memory.engine.call(touch_pages, np.ascontiguousarray(pfns, np.int64))


def fill_up(memory: Memory) -> None:
    """Take every page that is left for anonymous users, the reserves below watermarks too."""
    marks = memory.zone["watermark"].copy()
    memory.zone["watermark"] = -(1 << 40)
    try:
        fill(memory, "anon", memory.nr_frames, waits=False)
    finally:
        memory.zone["watermark"] = marks
    memory.lru_add_drain_all()


def release(memory: Memory, pfns: Array) -> None:
    """Drop pages that :func:`fill` gave: the last user goes away."""
    memory.engine.call(release_pages, np.ascontiguousarray(pfns, np.int64))


@compiled
def dress(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    pfn: int,
    flags: int,
    word: int,
    mapped: int,
    content: int,
) -> None:
    """Make a new page look like its user's; pages that have a mapping are LRU pages."""
    mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | flags
    mem_map[pfn]["mapping"] = word
    mem_map[pfn]["mapcount"] = mapped
    mem_map[pfn]["content"] = content
    if word:
        folio_add_lru(mem_map, zone, pageblock, node, pfn, False)


@compiled
def fill_pages(
    mem_map: Array,
    zone: Array,
    pageblock: Array,
    node: Array,
    out: Array,
    gfp: int,
    migratetype: int,
    highest: int,
    alloc_flags: int,
    flags: int,
    word: int,
    mapped: int,
    content: int,
    waits: bool,
) -> int:
    """Allocate one page for each place in *out*; how many there were.

    Who *waits* for reclaim stops where it begins.
    """
    for i in range(len(out)):
        if waits:
            rights = alloc_flags | ALLOC_KSWAPD
            pfn = alloc_pages_fast(
                mem_map, zone, pageblock, node, gfp, 0, migratetype, highest, rights
            )
        else:
            pfn = alloc_pages(
                mem_map, zone, pageblock, node, gfp, 0, migratetype, highest, alloc_flags
            )
        if pfn < 0:
            return i
        dress(mem_map, zone, pageblock, node, pfn, flags, word, mapped, content + i)
        out[i] = pfn
    return len(out)


@compiled
def release_pages(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfns: Array) -> None:
    """Unmap and put each page."""
    for pfn in pfns:
        mem_map[pfn]["mapcount"] = 0
        put_page(mem_map, zone, pageblock, node, pfn)
