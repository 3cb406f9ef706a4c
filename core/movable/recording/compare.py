"""Two files, what a kernel did and what the engine did, laid side by side.

It knows nothing of the engine: it reads the *after* half of a recording and a dump in the same
format. Every measure is [equal, total], or for sequences [length of the equal beginning, length of
the longer one].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from movable.errors import BadInput
from movable.recording import format as f

Array = Any
Pair = list[int]
EVENT = re.compile(r"^\s*(.+)-\d+\s+\[\d+\]\s+\S+\s+[\d.]+: (\w+): (.*)$")
PTE = re.compile(r"pte=([0-9a-f]+)")
SLEEP = "mm_compaction_kcompactd_sleep"
PFN_MASK = (1 << 40) - 1
AFTER = ("pages1", "free1", "zones1", "log", "trace")
"""What a recording holds of *after*, and of the way there."""


@dataclass
class Comparison:
    """How far two outcomes agree."""

    measures: dict[str, Pair | None] = field(default_factory=dict)
    counters: dict[str, Pair] = field(default_factory=dict)
    first_difference: str | None = None

    @property
    def identical(self) -> bool:
        """Nothing differs in any measure or counter."""
        pairs = [pair for pair in self.measures.values() if pair] + list(self.counters.values())
        return all(equal == total for equal, total in pairs)


def compare(theirs: str | Path, ours: str | Path | Mapping[str, Array]) -> Comparison:
    """Compare the *after* half of the recording *theirs* with our own, or with a dump of it.

    :raises BadInput: the recording has no *after* half.
    """
    if not has_after(theirs):
        text = f"it lacks some of {', '.join(AFTER)}, so there is nothing to compare with"
        raise BadInput(str(theirs), text, "write our outcome with --dump OUT.npz")
    if isinstance(ours, str | Path):
        ours = after_half(ours)
    return Comparer(after_half(theirs), ours).run()


def after_half(path: str | Path) -> dict[str, Array]:
    """What the file at *path* says of the memory afterwards, by name."""
    with np.load(path, allow_pickle=False) as data:
        return {name: data[name] for name in AFTER}


def has_after(path: str | Path) -> bool:
    """The recording at *path* says what the kernel did."""
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as data:
        return all(name in data.files for name in AFTER)


class Comparer:
    """Compares, and keeps the first difference in the order in which one would look."""

    def __init__(self, theirs: Mapping[str, Array], ours: Mapping[str, Array]) -> None:
        self.theirs, self.ours = theirs, ours
        self.result = Comparison()

    def run(self) -> Comparison:
        """All measures."""
        self._sequences()
        self._frames()
        self._lists()
        self._zones()
        return self.result

    def _note(self, text: str) -> None:
        if self.result.first_difference is None:
            self.result.first_difference = text

    # Sequences.

    def _sequences(self) -> None:
        theirs, ours = (events(str(data["trace"])) for data in (self.theirs, self.ours))
        self._prefix("events", theirs, ours)
        calls = [call_rows(data["log"]) for data in (self.theirs, self.ours)]
        self._prefix("calls", *calls)
        self._prefix("lru_pairs", *(lru_pairs(data) for data in (theirs, ours)))
        self._prefix(
            "allocations", *(allocations(data["log"]) for data in (self.theirs, self.ours))
        )

    def _prefix(self, name: str, theirs: Sequence[Any], ours: Sequence[Any]) -> None:
        """How much of two sequences agrees; None where there is nothing in either."""
        if not theirs and not ours:
            self.result.measures[name] = None
            return
        equal = next(
            (i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b),
            min(len(theirs), len(ours)),
        )
        longer = max(len(theirs), len(ours))
        self.result.measures[name] = [equal, longer]
        if equal < longer:
            a, b = (rows[equal] if equal < len(rows) else "nothing" for rows in (theirs, ours))
            self._note(f"{name} {equal}: the kernel has {a}, we have {b}")

    def _equal(self, name: str, same: Array, what: str, places: Array | None = None) -> None:
        self.result.measures[name] = [int(np.count_nonzero(same)), len(same)]
        if not np.all(same):
            first = int(np.argmin(same))
            self._note(f"{name}: {what} {int(places[first]) if places is not None else first}")

    # Frames.

    def _frames(self) -> None:
        theirs, ours = self.theirs["pages1"], self.ours["pages1"]
        lists = [list_of_frame(data) for data in (self.theirs, self.ours)]
        same = (theirs["kind"] == ours["kind"]) & (theirs["order"] == ours["order"])
        self._equal("frames", same & (lists[0] == lists[1]), "first at frame")
        owned = np.flatnonzero(np.isin(theirs["kind"], (f.LRU, f.DRIVER, f.HEAD)))
        alike = np.ones(len(owned), bool)
        for name in ("mapping", "refcount", "mapcount", "priv"):
            alike &= theirs[name][owned] == ours[name][owned]
        self._equal("identity", alike, "first at frame", owned)
        free = [free_per_block(data) for data in (self.theirs, self.ours)]
        self._equal("blocks", free[0] == free[1], "first at block")

    # Lists.

    def _lists(self) -> None:
        theirs, ours = (lists_by_name(data["free1"]) for data in (self.theirs, self.ours))
        buddy = [{n: len(v) for n, v in lists.items() if n[3] == 0} for lists in (theirs, ours)]
        counts = [sum_by(lists) for lists in buddy]
        self._keyed("buddyinfo", *counts)
        self._keyed("free_lists", theirs, ours)
        pages = (self.theirs["pages1"], self.ours["pages1"])
        present = pages[0]["present"] == 1
        block = np.arange(len(pages[0]))[present] >> 9
        _, first = np.unique(block, return_index=True)
        same = np.ones(len(first), bool)
        for name in ("migratetype", "skip"):
            same &= pages[0][name][present][first] == pages[1][name][present][first]
        self._equal("block_types_and_skip", same, "first at block", block[first])

    def _keyed(self, name: str, theirs: dict[Any, Any], ours: dict[Any, Any]) -> None:
        keys = sorted(set(theirs) | set(ours))
        same = [key for key in keys if theirs.get(key) == ours.get(key)]
        self.result.measures[name] = [len(same), len(keys)]
        if len(same) < len(keys):
            key = next(key for key in keys if theirs.get(key) != ours.get(key))
            self._note(f"{name}: list {key} (zone, order, type, per-CPU) differs")

    # Zones and counters.

    def _zones(self) -> None:
        theirs, ours = (
            zone_fields(str(data["zones1"]), name)
            for data, name in ((self.theirs, "recording"), (self.ours, "dump"))
        )
        self._keyed_fields(theirs[0], ours[0])
        self.result.counters = {
            name: [ours[1].get(name, 0), value] for name, value in theirs[1].items()
        }
        for name, (mine, value) in self.result.counters.items():
            if mine != value:
                self._note(f"counter {name}: the kernel has {value}, we have {mine}")

    def _keyed_fields(self, theirs: dict[str, int], ours: dict[str, int]) -> None:
        equal = [name for name, value in theirs.items() if ours.get(name) == value]
        self.result.measures["zone_fields"] = [len(equal), len(theirs)]
        for name, value in theirs.items():
            if ours.get(name) != value:
                self._note(f"zone field {name}: the kernel has {value}, we have {ours.get(name)}")


def events(trace: str) -> list[tuple[str, str]]:
    """Name and fields of every event of an ftrace text; of a pte only its frame number.

    Left out is a daemon that goes to sleep without having done anything: that was its timer.
    """
    found = []
    at_work: set[str] = set()
    for line in trace.splitlines():
        match = EVENT.match(line)
        if match is None:
            continue
        task, name, fields = match.groups()
        if name == SLEEP and task not in at_work:
            continue
        (at_work.discard if name == SLEEP else at_work.add)(task)
        found.append((name, pte_frame(name, fields)))
    return found


def pte_frame(name: str, fields: str) -> str:
    """The fields to compare: of a migration pte only the frame number in it."""
    if not name.endswith("_migration_pte"):
        return " ".join(fields.split())
    match = PTE.search(fields)
    if not match:
        return fields
    pte = int(match[1], 16)
    return str((~pte >> 9 if name.startswith("set") else pte >> 12) & PFN_MASK)


def lru_pairs(found: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """(from, to) of every mapped page, once for each of its mappings."""
    pairs, sources = [], []
    for name, frame in found:
        if name == "set_migration_pte":
            sources.append(frame)
        elif name == "remove_migration_pte" and sources:
            pairs.append((sources.pop(0), frame))
    return pairs


def call_rows(log: Array) -> list[tuple[int, ...]]:
    """The scripted driver's calls as (op, number, pfn, new pfn, mode, answer)."""
    rows = log[log["op"] <= f.OP_PUTBACK]
    return [tuple(row) for row in rows.tolist()]


def allocations(log: Array) -> list[tuple[int, ...]]:
    """What each request of the scenario's own got, as (op, number, pfn, order, result)."""
    rows = log[log["op"] > f.OP_PUTBACK]
    return [tuple(row) for row in rows[["op", "idx", "pfn", "mode", "ret"]].tolist()]


def list_of_frame(data: Mapping[str, Array]) -> Array:
    """By frame: a number for the list it heads a block of, 0 for none."""
    free = data["free1"]
    number = np.zeros(len(data["pages1"]), np.int64)
    key = free["zone"].astype(np.int64) << 24 | free["order"].astype(np.int64) << 16
    number[free["pfn"]] = 1 + (key | free["mt"].astype(np.int64) << 8 | free["pcp"])
    return number


def lists_by_name(free: Array) -> dict[tuple[int, int, int, int], list[int]]:
    """Each list's frames in order, by (zone, order, type, per-CPU)."""
    lists: dict[tuple[int, int, int, int], list[int]] = {}
    for pfn, zone, order, migratetype, pcp in free.tolist():
        lists.setdefault((zone, order, migratetype, pcp), []).append(pfn)
    return lists


def sum_by(counts: dict[tuple[int, int, int, int], int]) -> dict[tuple[int, int], int]:
    """Free blocks by zone and order, all types together; every order of a zone that has any."""
    zones = {zone for zone, *_ in counts}
    total = {(zone, order): 0 for zone in zones for order in range(11)}
    for (zone, order, _, _), count in counts.items():
        total[zone, order] += count
    return total


def free_per_block(data: Mapping[str, Array]) -> Array:
    """Free pages in each block of 512 frames."""
    free = data["free1"][data["free1"]["pcp"] == 0]
    pages = np.zeros(-(-len(data["pages1"]) // 512) + 2, np.int64)
    size = 1 << free["order"].astype(np.int64)
    first = free["pfn"].astype(np.int64) >> 9
    np.add.at(pages, first, np.minimum(size, 512))
    np.add.at(pages, first[size > 512] + 1, size[size > 512] - 512)
    return pages[:-2]


def zone_fields(text: str, place: str) -> tuple[dict[str, int], dict[str, int]]:
    """Every field of every zone and CPU by name, and the event counters.

    Free pages count once a zone, with what its CPUs have not yet added to the zone's number.
    """
    zones, names, cpus, counters = f.parse_zones(text, place)
    fields: dict[str, int] = {}
    for name, zone in zip(names, zones, strict=True):
        drift = sum(line["free_diff"] for line in cpus if line["zone"] == zone["zone"])
        for key, value in zone.items():
            fields[f"{name}.{key}"] = value + drift if key == "free" else value
    for line in cpus:
        for key, value in line.items():
            if key != "free_diff":
                fields[f"zone {line['zone']} cpu {line['cpu']}.{key}"] = value
    return fields, counters
