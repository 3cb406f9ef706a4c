"""A simulated memory in the words of the kernel: the texts of movable.formats, from its state.

What /proc/buddyinfo, /proc/pagetypeinfo, /proc/vmstat, the two files of debugfs extfrag and the
ftrace buffer would hold, if `Memory` were the machine that one reads them on (mm/vmstat.c, v6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from movable.formats import ftrace
from movable.formats.buddyinfo import Buddyinfo
from movable.formats.extfrag import EXTFRAG_WIDTH, UNUSABLE_WIDTH, Index
from movable.formats.pagetypeinfo import CAP, Blocks, FreeLists, Node, Pagetypeinfo
from movable.formats.vmstat import Vmstat
from movable.formats.zones import Zone
from movable.mm import mm_types as t
from movable.mm import tracepoints, views
from movable.mm.fragmentation import fragmentation_index
from movable.mm.lists import collect
from movable.page_flags import ORDER_MASK, ORDER_SHIFT, ZONE_SHIFT, PG_head

if TYPE_CHECKING:
    from movable.mm.memory import Memory

NODE = 0
"""A memory is one node's."""

NAMES = (
    "nr_free_pages",
    "nr_zspages",
    "nr_inactive_anon",
    "nr_active_anon",
    "nr_inactive_file",
    "nr_active_file",
    "nr_unevictable",
    "nr_isolated_anon",
    "nr_isolated_file",
    "pgfree",
    "numa_pages_migrated",
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
    "cma_alloc_success",
    "cma_alloc_fail",
)
"""Of /proc/vmstat, in the kernel's order: what the engine keeps, and two that recordings have among
these."""


def texts(memory: Memory, carried: Vmstat | None = None) -> dict[str, str]:
    """The files that say how *memory* is now, by name; for *carried* see :func:`vmstat`."""
    return {
        "buddyinfo": str(buddyinfo(memory)),
        "pagetypeinfo": str(pagetypeinfo(memory)),
        "vmstat": str(vmstat(memory, carried)),
        "extfrag_index": str(extfrag_index(memory)),
        "unusable_index": str(unusable_index(memory)),
    }


def files(
    before: Mapping[str, str], memory: Memory, carried: Vmstat | None = None
) -> dict[str, str]:
    """All files of a run that began with the texts *before*: of *memory* now, and its trace.

    Those of one moment are in one folder under their names in /proc, so that whatever can be told
    where /proc is can read them.
    """
    after = texts(memory, carried)
    return {
        **{f"before/{name}": text for name, text in before.items()},
        **{f"after/{name}": text for name, text in after.items()},
        "trace": trace(memory),
    }


def trace(memory: Memory) -> str:
    """Every event so far, as the file `trace` of tracefs holds them; all at time 0."""
    cpu = int(memory.node["cpu"][0])
    events = tracepoints.lines(memory.events, memory.zone_names, cpu, list(memory.cma))
    return ftrace.whole(events, cpus=memory.nr_cpus)


def buddyinfo(memory: Memory) -> Buddyinfo:
    """Free blocks by zone and order; pages on per-CPU lists are in none."""
    return Buddyinfo(_zones(memory.buddyinfo()))


def extfrag_index(memory: Memory) -> Index:
    """For each order, why it cannot be had: 0 too little memory, 1 too fragmented; -1 it can."""
    call, orders = memory.engine.call, range(memory.max_order)
    rows = {
        name: [int(call(fragmentation_index, z, order)) for order in orders]
        for z, name in enumerate(memory.zone_names)
    }
    return Index(_zones(rows), EXTFRAG_WIDTH)


def unusable_index(memory: Memory) -> Index:
    """For each order, which part of the free memory cannot serve it."""
    rows = {
        name: [views.unusable_index(counts, order) for order in range(memory.max_order)]
        for name, counts in memory.buddyinfo().items()
    }
    return Index(_zones(rows), UNUSABLE_WIDTH)


def _zones(rows: Mapping[str, Iterable[int]]) -> tuple[Zone, ...]:
    return tuple(Zone(NODE, name, tuple(values)) for name, values in rows.items())


def pagetypeinfo(memory: Memory) -> Pagetypeinfo:
    """Free blocks by migratetype and order, and pageblocks by migratetype."""
    types = migratetypes(memory)
    free = tuple(
        _free_lists(memory, z, migratetype)
        for z in range(len(memory.zone_names))
        for migratetype in types
    )
    blocks = {
        name: [counts[migratetype] for migratetype in types]
        for name, counts in ((n, block_counts(memory, z)) for z, n in enumerate(memory.zone_names))
    }
    table = Blocks(tuple(t.MIGRATETYPE_NAMES[migratetype] for migratetype in types), _zones(blocks))
    return Pagetypeinfo((Node(memory.pageblock_order, free, table),))


def has_cma(memory: Memory) -> bool:
    """A machine without CMA regions is taken for one whose kernel was built without CMA, as the
    recorded ones were."""
    return bool((memory.pageblock & t.BLOCK_TYPE == t.CMA).any())


def migratetypes(memory: Memory) -> list[int]:
    """The migratetypes in the order in which the machine's kernel prints them."""
    types = (t.UNMOVABLE, t.MOVABLE, t.RECLAIMABLE, t.HIGHATOMIC, t.CMA, t.ISOLATE)
    return [kind for kind in types if kind != t.CMA or has_cma(memory)]


def _free_lists(memory: Memory, z: int, migratetype: int) -> FreeLists:
    first = int(memory.zone["free_list"][z]) + migratetype
    heads = [first + order * t.MIGRATE_TYPES for order in range(memory.max_order)]
    lengths = [len(collect(memory, head)) for head in heads]
    return FreeLists(
        NODE,
        memory.zone_names[z],
        t.MIGRATETYPE_NAMES[migratetype],
        tuple(min(length, CAP) for length in lengths),
        frozenset(order for order, length in enumerate(lengths) if length >= CAP),
    )


def block_counts(memory: Memory, z: int) -> list[int]:
    """How many pageblocks of each type, by its number, zone *z* has.

    As the kernel does, this looks at one frame in every 2**pageblock_order, beginning where the
    zone does, and leaves out those that are in a hole or in another zone.
    """
    start, spanned = (int(memory.zone[field][z]) for field in ("start_pfn", "spanned"))
    pfns = np.arange(start, start + spanned, 1 << memory.pageblock_order)
    flags = memory.mem_map["flags"][pfns].astype(np.int64)
    blocks = pfns[flags >> ZONE_SHIFT == z] >> memory.pageblock_order
    types = memory.pageblock[blocks] & t.BLOCK_TYPE
    return [int(n) for n in np.bincount(types, minlength=t.MIGRATE_TYPES)]


def vmstat(memory: Memory, carried: Vmstat | None = None) -> Vmstat:
    """The counters and gauges that the engine keeps, and no others.

    *carried* is what a recorded machine said: its values that the engine does not keep stay. What
    drivers count is added to them, or comes last, as the kernel's own drivers' does.
    """
    counters = memory.vmstat()
    if not has_cma(memory):
        counters = {name: n for name, n in counters.items() if name not in t.CMA_EVENTS}
    before = carried.values if carried else {}
    theirs = {name: before.get(name, 0) + n for name, n in memory.driver_events.items()}
    kept = {name: n for name, n in counters.items() if name not in theirs}
    return Vmstat(_in_order({**before, **_gauges(memory), **kept}) | theirs)


def _in_order(values: dict[str, int]) -> dict[str, int]:
    """*values* in the kernel's order; a name that is not in NAMES stays behind its predecessor."""
    place, places = 0, {}
    for name in values:
        place = NAMES.index(name) if name in NAMES else place
        places[name] = place
    return {name: values[name] for name in sorted(values, key=places.__getitem__)}


def _gauges(memory: Memory) -> dict[str, int]:
    node = memory.node[0]
    lru = {f"nr_{name}": _lru_pages(memory, n) for n, name in enumerate(t.LRU_LISTS)}
    isolated = {
        "nr_isolated_anon": int(node["nr_isolated"][t.ANON]),
        "nr_isolated_file": int(node["nr_isolated"][t.FILE]),
    }
    # What CPUs keep to themselves is not in it: the kernel does not ask them either.
    return {"nr_free_pages": max(0, int(memory.zone["free"].sum())), **lru, **isolated}


def _lru_pages(memory: Memory, number: int) -> int:
    """Pages on an LRU list, where a huge page is one entry."""
    flags = memory.mem_map["flags"][collect(memory, int(memory.node["lru_list"][0]) + number)]
    order = np.where(flags & PG_head, (flags & ORDER_MASK) >> ORDER_SHIFT, 0)
    return int((1 << order.astype(np.int64)).sum())
