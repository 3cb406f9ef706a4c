"""Many pages at once: linking lists when a memory is made, and filling it with ordinary users.

A phase of an experiment takes or drops thousands of pages; here they pass through the same
allocator, one by one, in compiled code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import BadInput
from movable.mm.compiled import compiled
from movable.mm.gfp import (
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    Gfp,
    cma_flag,
    gfp_migratetype,
    gfp_zone,
)
from movable.mm.mm_types import NR_LRU_LISTS
from movable.mm.page_alloc import alloc_pages
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


def fill(memory: Memory, kind: str, count: int) -> Array:
    """Take up to *count* pages for a *kind* of user (a key of KINDS): their frame numbers, int64.

    Fewer come back when memory runs out.
    """
    if kind not in KINDS:
        raise BadInput("fill", f"no kind {kind!r} of user", f"choose one of {', '.join(KINDS)}")
    gfp, flags, mapped = KINDS[kind]
    request = int(gfp), gfp_migratetype(gfp), gfp_zone(gfp), cma_flag(gfp)
    word = 0
    if kind in ("anon", "file"):
        mapping = memory.ordinary.setdefault(kind, OrdinaryMapping(kind))
        word = memory.word_of(mapping) | (PAGE_MAPPING_ANON if kind == "anon" else 0)
    out = np.empty(count, np.int64)
    first = memory.next_content
    taken = int(memory.engine.call(fill_pages, out, *request, flags, word, mapped, first))
    memory.next_content += taken
    return out[:taken]


def fill_up(memory: Memory) -> None:
    """Take every page that is left for anonymous users, the reserves below watermarks too."""
    marks = memory.zone["watermark"].copy()
    memory.zone["watermark"] = -(1 << 40)
    try:
        fill(memory, "anon", memory.nr_frames)
    finally:
        memory.zone["watermark"] = marks
    memory.lru_add_drain_all()


def release(memory: Memory, pfns: Array) -> None:
    """Drop pages that :func:`fill` gave: the last user goes away."""
    memory.engine.call(release_pages, np.ascontiguousarray(pfns, np.int64))


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
) -> int:
    """Allocate one page for each place in *out*; how many there were."""
    for i in range(len(out)):
        pfn = alloc_pages(mem_map, zone, pageblock, node, gfp, 0, migratetype, highest, alloc_flags)
        if pfn < 0:
            return i
        mem_map[pfn]["flags"] = int(mem_map[pfn]["flags"]) | flags
        mem_map[pfn]["mapping"] = word
        mem_map[pfn]["mapcount"] = mapped
        mem_map[pfn]["content"] = content + i
        if word:
            folio_add_lru(mem_map, zone, pageblock, node, pfn, False)
        out[i] = pfn
    return len(out)


@compiled
def release_pages(mem_map: Array, zone: Array, pageblock: Array, node: Array, pfns: Array) -> None:
    """Unmap and put each page."""
    for pfn in pfns:
        mem_map[pfn]["mapcount"] = 0
        put_page(mem_map, zone, pageblock, node, pfn)
