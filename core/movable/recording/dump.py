"""The *after* half of a replay, in the recordings' own format."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from movable.mm import mm_types as t
from movable.mm import tracepoints
from movable.mm.lists import collect
from movable.mm.memory import Memory
from movable.page_flags import (
    KERNEL_FLAGS,
    ORDER_MASK,
    ORDER_SHIFT,
    PAGE_MAPPING_FLAGS,
    PAGE_MAPPING_MOVABLE,
    PG_buddy,
    PG_head,
    PG_lru,
    PG_reserved,
    PG_slab,
    PG_tail,
)
from movable.recording import format as f
from movable.recording.load import CPU_FIELDS, LARGE_PRIVATE, ZONE_ARRAYS, ZONE_FIELDS, Loaded

Array = Any


def after(loaded: Loaded) -> dict[str, Array]:
    """`pages1`, `free1`, `zones1`, `log` and `trace` of the memory as it is now."""
    memory = loaded.memory
    free = free_rows(loaded)
    rows = np.array(loaded.log, np.int64).reshape(-1, len(f.LOG.names or ()))
    log = np.zeros(len(rows), f.LOG)
    for column, name in enumerate(f.LOG.names or ()):
        log[name] = rows[:, column]
    text = "\n".join(tracepoints.lines(memory.events, memory.zone_names, loaded.inputs.cpu))
    return {
        "pages1": page_rows(loaded, free),
        "free1": free,
        "zones1": np.array(zones_text(loaded)),
        "log": log,
        "trace": np.array(text + "\n"),
    }


def page_rows(loaded: Loaded, free: Array) -> Array:
    """One row a frame."""
    memory, before = loaded.memory, loaded.inputs.pages
    frames = memory.mem_map[: memory.nr_frames]
    flags = frames["flags"].astype(np.int64)
    word = frames["mapping"].astype(np.int64)
    rows = np.zeros(memory.nr_frames, f.PAGES)
    upper = before["flags"] >> np.uint64(22) << np.uint64(22)
    rows["flags"] = upper | (flags & KERNEL_FLAGS).astype(np.uint64)
    for name in ("present", "zone"):
        rows[name] = before[name]
    rows["refcount"], rows["mapcount"] = frames["refcount"], frames["mapcount"]
    rows["mapping"] = _pointers(loaded, word)
    rows["priv"] = _privates(loaded, frames["private"])
    block = memory.pageblock[np.arange(memory.nr_frames) >> memory.pageblock_order]
    rows["migratetype"] = block & t.BLOCK_TYPE
    rows["skip"] = block & t.BLOCK_SKIP != 0
    rows["kind"] = _kinds(flags, word, free)
    rows["order"] = np.where(flags & PG_head != 0, before["order"], f.NO_ORDER)
    free_heads = flags & PG_buddy != 0
    rows["order"][free_heads] = (flags[free_heads] & ORDER_MASK) >> ORDER_SHIFT
    rows[before["present"] == 0] = before[before["present"] == 0]
    return rows


def _kinds(flags: Array, word: Array, free: Array) -> Array:
    movable = word & PAGE_MAPPING_FLAGS == PAGE_MAPPING_MOVABLE
    tests = [
        (flags & PG_buddy != 0, f.BUDDY),
        (flags & PG_tail != 0, f.TAIL),
        (flags & PG_slab != 0, f.SLAB),
        (flags & PG_head != 0, f.HEAD),
        (flags & PG_reserved != 0, f.RESERVED),
        (movable, f.DRIVER),
        (flags & PG_lru != 0, f.LRU),
    ]
    kind = np.select([test for test, _ in tests], [value for _, value in tests], f.OTHER)
    kind[free["pfn"][free["pcp"] > 0]] = f.PER_CPU
    return kind


def _pointers(loaded: Loaded, word: Array) -> Array:
    bare = word & ~PAGE_MAPPING_FLAGS
    values, number = np.unique(bare, return_inverse=True)
    pointers = np.array([loaded.pointers[value] for value in values.tolist()], np.uint64)
    return pointers[number] | (word & PAGE_MAPPING_FLAGS).astype(np.uint64)


def _privates(loaded: Loaded, private: Array) -> Array:
    words = private.astype(np.uint64)
    large = private >= LARGE_PRIVATE
    words[large] = loaded.privates[private[large] - LARGE_PRIVATE]
    return words


def free_rows(loaded: Loaded) -> Array:
    """Every free list and per-CPU list, in list order."""
    memory = loaded.memory
    parts = []
    for z, zone in enumerate(loaded.inputs.zones):
        for order in range(memory.max_order):
            for migratetype in range(t.MIGRATE_TYPES):
                head = int(memory.zone["free_list"][z]) + order * t.MIGRATE_TYPES + migratetype
                parts.append(_rows(memory, head, zone["zone"], order, migratetype, 0))
        for cpu in range(memory.nr_cpus):
            for index in range(t.NR_PCP_LISTS):
                head = int(memory.zone["pcp_list"][z, cpu]) + index
                order, migratetype = divmod(index, t.MIGRATE_PCPTYPES)
                parts.append(_rows(memory, head, zone["zone"], order, migratetype, 1 + cpu))
    return np.concatenate(parts)


def _rows(memory: Memory, head: int, *where: int) -> Array:
    """The list at *head*, whose zone, order, migratetype and per-CPU number are *where*."""
    pfns = collect(memory, head)
    rows = np.zeros(len(pfns), f.FREE)
    rows["pfn"] = pfns
    for name, value in zip(("zone", "order", "mt", "pcp"), where, strict=True):
        rows[name] = value
    return rows


def zones_text(loaded: Loaded) -> str:
    """The zones, their per-CPU parts and the event counters, line by line as in `zones0`."""
    memory, inputs, lines = loaded.memory, loaded.inputs, []
    for z, zone in enumerate(inputs.zones):
        for line in inputs.cpus:
            if line["zone"] == zone["zone"]:
                values = {**line, **_cpu(memory, z, line["cpu"])}
                lines.append(" ".join(f"{name} {value}" for name, value in values.items()))
        values = {**zone, **_zone(memory, z)}
        text = " ".join(f"{name} {value}" for name, value in list(values.items())[1:])
        lines.append(f"zone {zone['zone']} name {inputs.zone_names[z]} {text}")
    known = {name for name in t.VM_EVENTS if name in inputs.vm or name not in t.CMA_EVENTS}
    counters = {**inputs.vm, **{name: n for name, n in memory.vmstat().items() if name in known}}
    lines.append("vm " + " ".join(f"{name} {value}" for name, value in counters.items()))
    return "\n".join(lines) + "\n"


def _zone(memory: Memory, z: int) -> dict[str, int]:
    values = {name: int(memory.zone[field][z]) for name, field in ZONE_FIELDS.items()}
    for name, (field, item) in ZONE_ARRAYS.items():
        values[name] = int(memory.zone[field][z, item])
    return values


def _cpu(memory: Memory, z: int, cpu: int) -> dict[str, int]:
    return {name: int(memory.zone[field][z, cpu]) for name, field in CPU_FIELDS.items()}


def write(path: Path, arrays: dict[str, Array]) -> None:
    """Write an .npz whose bytes depend on the arrays alone; nothing is left half-written."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue())
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(path)
