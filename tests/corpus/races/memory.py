"""Memory as no bench has it: at its watermark, in two zones, with words that mean other things."""

from __future__ import annotations

from contextlib import suppress

from movable.conformance.bench import FRAMES, LOW, PAGEBLOCK_ORDER, Bench, Broken
from movable.conformance.scenes import Scene
from movable.errors import AuditFailed, OutOfMemory
from movable.gfp import GFP_KERNEL
from movable.invariant import hold_invariants
from movable.machine import Machine
from movable.mm.memory import Memory
from movable.mm.population import OrdinaryMapping
from movable.page import Page
from movable.page_flags import (
    ORDER_SHIFT,
    PAGE_MAPPING_ANON,
    PAGE_MAPPING_KSM,
    PAGE_MAPPING_MOVABLE,
    PG_head,
    PG_tail,
)

BLOCK = 1 << PAGEBLOCK_ORDER
GROW = {"Zram": "swap_out", "PseriesCmm": "loan"}
"""By driver: what makes it own pages."""


def at_its_watermark(bench: Bench) -> None:
    """No free block may be taken for a target, so nothing moves."""
    bench.grow()
    marks = bench.memory.zone["watermark"].copy()
    bench.memory.zone["watermark"] = FRAMES
    bench.compact()
    bench.memory.zone["watermark"] = marks
    bench.compact()
    bench.audit()


def targets_run_out(bench: Bench) -> None:
    """There are fewer free frames than pages to move."""
    bench.grow()
    bench.compact()
    bench.grow(2 * LOW // 3)
    taken: list[Page] = []
    with suppress(OutOfMemory):
        while True:
            taken.append(bench.memory.alloc_page(GFP_KERNEL))
    taken.sort(key=lambda page: page.pfn)
    for page in (*taken[-3:], *taken[:2]):
        page.put()
    bench.compact()
    bench.audit()


def other_words(bench: Bench) -> None:
    """Pages that are nobody's to move have mapping words that look much like a driver's: an
    anonymous page and a KSM page, on no LRU list at present, and the head of a compound page."""
    memory = bench.memory
    other = memory.word_of(OrdinaryMapping("anon_vma"))
    driver = memory.word_of(bench.mapping)
    words = {
        memory.alloc_pages(GFP_KERNEL, 0): other | PAGE_MAPPING_ANON,
        memory.alloc_pages(GFP_KERNEL, 0): other | PAGE_MAPPING_KSM,
        (head := memory.alloc_pages(GFP_KERNEL, 1)): driver | PAGE_MAPPING_MOVABLE,
    }
    flags = memory.flags[head], memory.flags[head + 1]
    memory.flags[head] |= PG_head | 1 << ORDER_SHIFT
    memory.flags[head + 1] |= PG_tail
    bench.grow()
    for pfn, word in words.items():
        memory.mapping[pfn] = word
    memory.compact_memory()
    for pfn in words:
        memory.mapping[pfn] = 0
    memory.flags[head], memory.flags[head + 1] = flags
    bench.audit()


def to_another_zone(bench: Bench) -> None:
    """A pageblock full of the driver's pages is emptied into the other zone."""
    memory = Memory.blank(
        FRAMES,
        ("DMA32", FRAMES // 2),
        ("Normal", FRAMES // 2),
        pageblock_order=PAGEBLOCK_ORDER,
        max_order=PAGEBLOCK_ORDER + 2,
    )
    with Machine(memory, {bench.name: (bench.kind, dict(bench.declared.config))}) as machine:
        driver = machine[bench.name]
        getattr(driver, GROW[bench.kind.__name__])(6 * BLOCK)
        while memory.alloc_page().zone:
            pass
        owned = [memory.page(pfn).mapping is driver.mapping for pfn in range(FRAMES)]
        start = next(
            pfn for pfn in range(FRAMES // 2, FRAMES, BLOCK) if all(owned[pfn : pfn + BLOCK])
        )
        with machine.contents_kept():
            had = memory.alloc_contig_range(start, start + BLOCK)
        assert had, had
        try:
            hold_invariants(driver)
        except AuditFailed as error:
            raise Broken("invariants", str(error)) from error


SCENES: dict[str, Scene] = {
    "a zone at its watermark": at_its_watermark,
    "targets run out": targets_run_out,
    "words that mean something else": other_words,
    "moved to another zone": to_another_zone,
}
