"""From the *before* half of a recording to a `Memory` in the same state.

Frames go over field by field. 64-bit words that mean something only to the kernel they came from
(mapping pointers, private words) get small numbers; `Loaded` keeps the way back for the dump.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from movable.drivers.scripted import Script, Scripted, Unscripted
from movable.errors import BadInput
from movable.mm import mm_types as t
from movable.mm import views
from movable.mm.memory import Memory
from movable.mm.population import link_list, put_on_lru
from movable.page_flags import (
    KERNEL_FLAGS,
    NO_ZONE,
    ORDER_SHIFT,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    ZONE_SHIFT,
    PG_buddy,
    PG_head,
    PG_locked,
    PG_lru,
    PG_private,
    PG_reserved,
    PG_swapbacked,
    PG_swapcache,
    PG_tail,
)
from movable.recording import format as f
from movable.recording.format import Inputs

Array = Any
PAGEBLOCK_ORDER = 9
"""Of the machines that were recorded."""
LARGE_PRIVATE = 1 << 31
"""Private words from here on are numbers of entries in `Loaded.privates`."""


class RecordedMapping:
    """A kernel address that pages' mapping words pointed to (an anon_vma, an address_space)."""

    def __init__(self, pointer: int) -> None:
        self.pointer, self.name = pointer, f"mapping at {pointer:#x}"

    def __repr__(self) -> str:
        return f"<RecordedMapping {self.pointer:#x}>"


@dataclass
class Loaded:
    """A memory made from a recording, and what is needed to speak of it as the recording does."""

    inputs: Inputs
    memory: Memory
    pointers: dict[int, int]
    """By mapping word without its tag: the kernel's pointer."""
    privates: Array
    scripted: Scripted | None
    log: list[int]
    """The scripted driver's calls and the scenario's own requests, six numbers each."""
    unscripted: list[Scripted]
    """One for each other driver seen: its pages move at the first try, as real ones mostly do."""


def load(inputs: Inputs) -> Loaded:
    """Make the memory that *inputs* describe.

    :raises BadInput: lists and frames contradict each other.
    """
    check_frames(inputs)
    memory = Memory(
        len(inputs.pages),
        inputs.zone_names,
        nr_cpus=1 + max(line["cpu"] for line in inputs.cpus),
        profile=f.kernel(inputs),
    )
    memory.node["cpu"] = inputs.cpu
    load_zones(inputs, memory)
    load_frames(inputs, memory)
    privates = load_privates(inputs, memory)
    loaded = Loaded(inputs, memory, {0: 0}, privates, None, [], [])
    load_mappings(loaded)
    load_blocks(inputs, memory)
    load_lists(inputs, memory)
    load_lru(inputs, memory)
    remember_odd_frames(memory)
    return loaded


def check_frames(inputs: Inputs) -> None:
    """Refuse frames and lists that no kernel could have had."""
    place, pages, free = inputs.name, inputs.pages, inputs.free
    if len(free) and int(free["pfn"].max()) >= len(pages):
        row = int(np.argmax(free["pfn"] >= len(pages)))
        raise BadInput(f"{place}: free0, row {row}", "its frame does not exist", f.REMEDY)
    values, counts = np.unique(free["pfn"], return_counts=True)
    if len(counts) and counts.max() > 1:
        twice = int(values[np.argmax(counts)])
        raise BadInput(f"{place}: free0", f"frame {twice} is on two lists", f.REMEDY)
    numbers = {zone["zone"] for zone in inputs.zones}
    strange = ~np.isin(pages["zone"], list(numbers)) & (pages["present"] == 1)
    if strange.any():
        pfn = int(np.argmax(strange))
        raise BadInput(f"{place}: pages0, frame {pfn}", "its zone is not in zones0", f.REMEDY)
    buddies = free["pcp"] == 0
    on_list = np.zeros(len(pages), bool)
    on_list[free["pfn"][buddies]] = True
    wrong = on_list != (pages["kind"] == f.BUDDY)
    rows = pages[free["pfn"][buddies]]
    bad_order = (rows["order"] != free["order"][buddies]) | (rows["zone"] != free["zone"][buddies])
    misaligned = free["pfn"][buddies] & ((1 << free["order"][buddies].astype(np.int64)) - 1) != 0
    if wrong.any():
        pfn = int(np.argmax(wrong))
        raise BadInput(f"{place}: frame {pfn}", "free lists and frames disagree on it", f.REMEDY)
    if (bad_order | misaligned).any():
        pfn = int(free["pfn"][buddies][np.argmax(bad_order | misaligned)])
        raise BadInput(f"{place}: free0", f"frame {pfn} is on the wrong free list", f.REMEDY)
    check_lists(inputs)
    check_cpus(inputs)


def check_lists(inputs: Inputs) -> None:
    """Refuse lists that the engine does not have, and blocks that overlap."""
    pages, free = inputs.pages, inputs.free
    order, end = free["order"].astype(np.int64), np.int64(len(pages))
    per_cpu = free["pcp"] > 0
    number = t.MIGRATE_PCPTYPES * order + free["mt"]
    unknown = (free["mt"] >= t.MIGRATE_TYPES) | (order > 10)
    unknown |= per_cpu & ((free["mt"] >= t.MIGRATE_PCPTYPES) | (number >= t.NR_PCP_LISTS))
    unknown |= ~np.isin(free["zone"], [zone["zone"] for zone in inputs.zones])
    if unknown.any():
        place = f"{inputs.name}: free0, row {int(np.argmax(unknown))}"
        raise BadInput(place, "a list of an unknown order, type or zone", f.REMEDY)
    large = per_cpu & (number >= t.NR_LOWORDER_PCP_LISTS)
    size = np.int64(1) << np.where(large, PAGEBLOCK_ORDER, order)
    edge = np.zeros(len(pages) + 1, np.int64)
    np.add.at(edge, free["pfn"], 1)
    np.add.at(edge, np.minimum(free["pfn"] + size, end), -1)
    twice = np.cumsum(edge[:-1]) > 1
    if twice.any():
        place = f"{inputs.name}: free0, frame {int(np.argmax(twice))}"
        raise BadInput(place, "it is free twice, in blocks that overlap", f.REMEDY)
    strange = (pages["migratetype"] >= t.MIGRATE_TYPES) & (pages["present"] == 1)
    if strange.any():
        place = f"{inputs.name}: pages0, frame {int(np.argmax(strange))}"
        raise BadInput(place, "its block has an unknown migratetype", f.REMEDY)


def check_cpus(inputs: Inputs) -> None:
    """Refuse CPUs that the engine or `zones0` does not have."""
    numbers = [line["cpu"] for line in inputs.cpus]
    known = {zone["zone"] for zone in inputs.zones}
    if any(line["zone"] not in known for line in inputs.cpus):
        raise BadInput(f"{inputs.name}: zones0", "a CPU's line of an unknown zone", f.REMEDY)
    cpus = 1 + max(numbers)
    bad = min(numbers) < 0 or cpus > t.NR_CPUS or not 0 <= inputs.cpu < cpus
    if bad or (inputs.free["pcp"] > cpus).any():
        raise BadInput(f"{inputs.name}: cpu", "a CPU that zones0 does not know", f.REMEDY)


ZONE_FIELDS = {
    "start_pfn": "start_pfn",
    "spanned": "spanned",
    "present": "present",
    "managed": "managed",
    "boost": "boost",
    "highatomic": "highatomic",
    "isolate_blocks": "isolate_blocks",
    "contiguous": "contiguous",
    "zflags": "zflags",
    "cached_free_pfn": "cached_free_pfn",
    "init_migrate_pfn": "init_migrate_pfn",
    "init_free_pfn": "init_free_pfn",
    "considered": "considered",
    "defer_shift": "defer_shift",
    "order_failed": "order_failed",
    "blockskip_flush": "blockskip_flush",
    "free": "free",
}
"""Fields of a zone's line in a `zones` text, and the `struct zone` field of each."""
ZONE_ARRAYS = {
    "wmark_min": ("watermark", 0),
    "wmark_low": ("watermark", 1),
    "wmark_high": ("watermark", 2),
    "cached_migrate_pfn_async": ("cached_migrate_pfn", 0),
    "cached_migrate_pfn_sync": ("cached_migrate_pfn", 1),
    "lr0": ("lowmem_reserve", 0),
    "lr1": ("lowmem_reserve", 1),
    "lr2": ("lowmem_reserve", 2),
    "lr3": ("lowmem_reserve", 3),
}
CPU_FIELDS = {
    "pcp_count": "pcp_count",
    "high": "pcp_high",
    "batch": "pcp_batch",
    "free_factor": "pcp_free_factor",
    "stat_threshold": "stat_threshold",
    "free_diff": "free_diff",
}


def zone_index(inputs: Inputs) -> Array:
    """By the kernel's zone number: the position of that zone in our arrays."""
    index = np.full(256, NO_ZONE)
    for position, zone in enumerate(inputs.zones):
        index[zone["zone"]] = position
    return index


def load_zones(inputs: Inputs, memory: Memory) -> None:
    """Fill `struct zone`, the per-CPU parts and the event counters."""
    index = zone_index(inputs)
    try:
        for z, fields in enumerate(inputs.zones):
            for name, field in ZONE_FIELDS.items():
                memory.zone[field][z] = fields[name]
            for name, (field, item) in ZONE_ARRAYS.items():
                memory.zone[field][z, item] = fields[name]
        for line in inputs.cpus:
            for name, field in CPU_FIELDS.items():
                memory.zone[field][index[line["zone"]], line["cpu"]] = line[name]
    except KeyError as error:
        raise BadInput(f"{inputs.name}: zones0", f"no field {error}", f.REMEDY) from None
    for number, name in enumerate(t.VM_EVENTS):
        memory.node["vm"][0, number] = inputs.vm.get(name, 0)
    for z in range(len(inputs.zones)):
        start, spanned = (int(memory.zone[field][z]) for field in ("start_pfn", "spanned"))
        if start < 0 or spanned <= 0 or start + spanned > memory.nr_frames:
            name = inputs.zone_names[z]
            raise BadInput(f"{inputs.name}: zones0", f"zone {name} has no such frames", f.REMEDY)


def load_frames(inputs: Inputs, memory: Memory) -> None:
    """Flags, counts and contents; a frame's first content is its own number."""
    pages, frames = inputs.pages, memory.mem_map[: memory.nr_frames]
    kind = pages["kind"]
    zone = np.where(pages["present"] == 1, zone_index(inputs)[pages["zone"]], NO_ZONE)
    flags = (pages["flags"] & np.uint64(KERNEL_FLAGS)).astype(np.int64)
    heads = (flags & PG_head != 0) & (pages["order"] != f.NO_ORDER)
    # Orders beyond any free block's (gigantic pages) only need to be known as such.
    order = np.minimum(pages["order"].astype(np.int64), t.MAX_NR_ORDERS - 1)
    flags |= np.where(heads, order << ORDER_SHIFT, 0)
    flags[kind == f.BUDDY] = 0
    flags[kind == f.PER_CPU] = 0
    flags |= np.where(kind == f.TAIL, PG_tail, 0)
    frames["flags"] = flags | zone.astype(np.int64) << ZONE_SHIFT
    frames["refcount"] = pages["refcount"]
    counted = np.isin(kind, (f.LRU, f.DRIVER, f.HEAD)) | (kind == f.OTHER)
    frames["mapcount"] = np.where(counted, pages["mapcount"], 0)
    frames["content"] = np.arange(memory.nr_frames)
    memory.next_content = memory.nr_frames
    pfns = np.arange(memory.nr_frames)
    last_head = np.maximum.accumulate(np.where(flags & PG_head != 0, pfns, 0))
    tails = kind == f.TAIL
    frames["next"][tails] = last_head[tails]


def load_privates(inputs: Inputs, memory: Memory) -> Array:
    """Give each large private word a number; return the words by number."""
    words = np.where(inputs.pages["kind"] == f.BUDDY, 0, inputs.pages["priv"])
    large = words >= LARGE_PRIVATE
    table, number = np.unique(words[large], return_inverse=True)
    private = words.copy()
    private[large] = number + LARGE_PRIVATE
    memory.mem_map["private"][: memory.nr_frames] = private
    return table


def load_mappings(loaded: Loaded) -> None:
    """Give each mapping pointer a mapping word, and each driver's an address space."""
    pages, memory = loaded.inputs.pages, loaded.memory
    live = (pages["kind"] != f.BUDDY) & (pages["kind"] != f.PER_CPU) & (pages["kind"] != f.TAIL)
    words = np.where(live, pages["mapping"], 0)
    tag = (words & np.uint64(PAGE_MAPPING_FLAGS)).astype(np.uint32)
    pointers, number = np.unique(words & ~np.uint64(PAGE_MAPPING_FLAGS), return_inverse=True)
    driver = (pages["kind"] == f.DRIVER) & (tag == PAGE_MAPPING_MOVABLE)
    table = np.zeros(len(pointers), np.uint32)
    for position, pointer in enumerate(pointers.tolist()):
        if pointer:
            table[position] = _word(loaded, pointer, pages[driver & (number == position)])
            loaded.pointers[int(table[position])] = pointer
    memory.mem_map["mapping"][: memory.nr_frames] = table[number] | tag


def _word(loaded: Loaded, pointer: int, pages: Array) -> int:
    memory = loaded.memory
    if not len(pages):
        return memory.register(RecordedMapping(pointer))
    rows = loaded.inputs.script
    if len(pages) == len(rows) and np.array_equal(np.sort(pages["priv"]), np.arange(len(rows))):
        script = Script(*(rows[:, column].tolist() for column in range(3)))
        driver = loaded.scripted = Scripted(memory, script)
        driver.mapping.name = "scripted"
        driver.log = loaded.log
    else:
        driver = Unscripted(memory)
        loaded.unscripted.append(driver)
        driver.mapping.name = f"unscripted-{len(loaded.unscripted)}"
    memory.add_mapping(driver.mapping)
    return memory.word_of(driver.mapping)


def load_blocks(inputs: Inputs, memory: Memory) -> None:
    """Migratetype and skip hint of each pageblock that has a frame."""
    present = inputs.pages["present"] == 1
    pages = inputs.pages[present]
    block = np.arange(memory.nr_frames)[present] >> memory.pageblock_order
    memory.pageblock[block] = pages["migratetype"] | np.where(pages["skip"], t.BLOCK_SKIP, 0)


def load_lists(inputs: Inputs, memory: Memory) -> None:
    """Link the free lists and per-CPU lists, each in its order."""
    free, frames = inputs.free, memory.mem_map
    z = zone_index(inputs)[free["zone"]]
    order, migratetype = free["order"].astype(np.int64), free["mt"].astype(np.int64)
    pfn, buddy = free["pfn"].astype(np.int64), free["pcp"] == 0
    lists = memory.zone["free_list"][z] + order * t.MIGRATE_TYPES + migratetype
    frames["flags"][pfn[buddy]] |= (PG_buddy | order[buddy] << ORDER_SHIFT).astype(np.uint32)
    np.add.at(memory.zone["nr_free"], (z[buddy], order[buddy]), 1)
    cpu = np.maximum(free["pcp"].astype(np.int64) - 1, 0)
    per_cpu = memory.zone["pcp_list"][z, cpu] + t.MIGRATE_PCPTYPES * order + migratetype
    frames["private"][pfn[~buddy]] = np.where(
        memory.pageblock[pfn >> memory.pageblock_order] & t.BLOCK_TYPE == t.HIGHATOMIC,
        t.HIGHATOMIC,
        migratetype,
    )[~buddy]
    frames["refcount"][pfn] = 0
    head = np.where(buddy, lists, per_cpu)
    for first in np.unique(head):
        link_list(memory, int(first), pfn[head == first])


def load_lru(inputs: Inputs, memory: Memory) -> None:
    """Link LRU pages in frame order (theirs is not recorded), and find those still in a batch.

    A page in a batch looks like nobody's, but is anonymous memory or page cache, and has one
    reference more than its uses explain: the batch's.
    """
    flags = memory.mem_map["flags"][: memory.nr_frames].astype(np.int64)
    put_on_lru(memory, np.flatnonzero(flags & PG_lru))
    pages = inputs.pages
    tag = pages["mapping"] & np.uint64(PAGE_MAPPING_FLAGS)
    swap_backed = flags & PG_swapbacked != 0
    cached = (tag == 0) | (swap_backed & (flags & PG_swapcache != 0))
    private = flags & PG_private != 0
    excess = pages["refcount"].astype(np.int64) - pages["mapcount"] - cached - private
    waiting = (
        (pages["kind"] == f.OTHER)
        & (pages["mapping"] != 0)
        & (tag & np.uint64(PAGE_MAPPING_MOVABLE) == 0)
        & ((tag == 0) | swap_backed)
        & (excess == 1)
    )
    memory.other_lru_batches = np.flatnonzero(waiting).tolist()


def remember_odd_frames(memory: Memory) -> None:
    """Note what the audit must not hold against anybody: the recording had it so."""
    flags = memory.mem_map["flags"][: memory.nr_frames].astype(np.int64)
    memory.locked_from_the_start = flags & PG_locked != 0
    free = views.blocks_of(flags, flags & PG_buddy != 0) | views.per_cpu_pages(memory)
    unowned = ~free & (flags >> ZONE_SHIFT != NO_ZONE) & (flags & (PG_tail | PG_reserved) == 0)
    unowned &= memory.mem_map["refcount"][: memory.nr_frames] == 0
    memory.frames_without_reference = int(np.count_nonzero(unowned))
