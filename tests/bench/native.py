"""The kernel of this machine beside the engine: `python tests/bench/native.py --json`, as root.

Both compact as many pages of which half, at random, are anonymous and the others free: the kernel
those of a mapping of this process, by a write to /proc/sys/vm/compact_memory, the engine a zone.
They take turns, so that whatever else the machine does slows both. First turns, in which the
hypervisor may have to find memory and code is compiled, do not count. Nor do those in which the
kernel moved hardly anything: the mapping lies in its zones as it pleases, beside everybody's pages,
and some runs end long before the scanners have met.

The ratio is of pages migrated in a second of processor time of the thread that compacts; seconds by
the clock are told too. It is not a ratio of equal work. The kernel copies four kilobytes a page,
changes page tables, interrupts other CPUs to flush their TLBs, takes locks, and in a virtual
machine pays the hypervisor for some of that; it also walks over the rest of its zones, at most a
tenth of its time. The engine copies no bytes, but decides, links and counts as the kernel does, and
writes down every tracepoint. So the ratio says how much sooner the answer is there, not whose code
is better. And the kernel is the one that runs here, not the 6.1 that the engine follows.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.headline import half_full

COMPACT_MEMORY = Path("/proc/sys/vm/compact_memory")
VMSTAT = Path("/proc/vmstat")
MEMINFO = Path("/proc/meminfo")
GIB, PAGE = 1 << 30, mmap.PAGESIZE
TURNS = 5
ATTEMPTS = 8
"""For each turn that is to count."""
LEAST = 20_000
"""Pages that the kernel must migrate for its turn to count."""
WANTED = 10
"""The engine is to migrate at least this many times as many pages a second."""
CANNOT = 2


class Unmeasurable(Exception):
    """This machine cannot be measured; the text says why."""


@dataclass(frozen=True)
class Turn:
    """What one compaction did, and how long it took."""

    migrated: int
    scanned: int
    thread: float
    """Seconds of processor time of the thread that compacted."""
    clock: float

    @classmethod
    def of(cls, compact: Callable[[], object], counters: Callable[[], dict[str, int]]) -> Turn:
        """Run *compact* between two looks at the *counters* of /proc/vmstat."""
        before = counters()
        clock, thread = time.perf_counter(), time.thread_time()
        compact()
        thread, clock = time.thread_time() - thread, time.perf_counter() - clock
        after = counters()
        migrated, to, of = (
            after[name] - before[name]
            for name in ("pgmigrate_success", "compact_migrate_scanned", "compact_free_scanned")
        )
        return cls(migrated, to + of, thread, clock)


def kernel(pages: int) -> Turn:
    """Half fill *pages* pages of this machine's memory, have it compacted, and give it back."""
    with mmap.mmap(-1, pages * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        np.frombuffer(memory, np.uint8)[::PAGE] = 1
        gone = np.random.default_rng(1).permutation(pages)[: pages // 2]
        for page in np.sort(gone).tolist():
            memory.madvise(mmap.MADV_DONTNEED, page * PAGE, PAGE)
        return Turn.of(lambda: COMPACT_MEMORY.write_text("1"), vmstat)


def engine(frames: int) -> Turn:
    """Half fill a memory of *frames* frames and compact it."""
    memory = half_full(frames)
    return Turn.of(memory.compact_memory, memory.vmstat)


def vmstat() -> dict[str, int]:
    """/proc/vmstat."""
    pairs = (line.split() for line in VMSTAT.read_text().splitlines())
    return {name: int(value) for name, value in pairs}


def turns(pages: int, wanted: int) -> list[tuple[Turn, Turn]]:
    """Turns of both sides: as many as are *wanted*, or fewer if that takes too long.

    :raises Unmeasurable: the kernel never finds enough to move.
    """
    engine(pages)
    counted: list[tuple[Turn, Turn]] = []
    for attempt in range(1 + ATTEMPTS * wanted):
        theirs = kernel(pages)
        if attempt and theirs.migrated >= LEAST:
            counted.append((theirs, engine(pages)))
        if len(counted) == wanted:
            break
    if not counted:
        raise Unmeasurable("the kernel found too little to move; try another --gib")
    return counted


def figures(side: Sequence[Turn]) -> dict[str, float]:
    """Medians over the turns of one side."""
    return {
        "pages_per_s": median(turn.migrated / turn.thread for turn in side),
        "pages_per_s_by_the_clock": median(turn.migrated / turn.clock for turn in side),
        "pages_migrated": median(turn.migrated for turn in side),
        "frames_scanned": median(turn.scanned for turn in side),
    }


def measure(gib: float, wanted: int) -> dict[str, Any]:
    """Both sides' figures, and how many times the kernel's pages a second the engine reaches.

    :raises Unmeasurable: not on this machine, or not by this user.
    """
    check(gib)
    counted = turns(int(gib * GIB) // PAGE, wanted)
    theirs, ours = (figures(side) for side in zip(*counted, strict=True))
    return {
        "release": platform.release(),
        "gib": gib,
        "turns": len(counted),
        "kernel": theirs,
        "engine": ours,
        "ratio": ours["pages_per_s"] / theirs["pages_per_s"],
        "wanted": WANTED,
    }


def check(gib: float) -> None:
    """Refuse before anything is filled.

    :raises Unmeasurable: no such file, no right to write it, or not twice as much memory.
    """
    if not COMPACT_MEMORY.exists():
        raise Unmeasurable(f"there is no {COMPACT_MEMORY}; it needs a Linux with CONFIG_COMPACTION")
    if os.geteuid() != 0 or not os.access(COMPACT_MEMORY, os.W_OK):
        raise Unmeasurable(f"{COMPACT_MEMORY} cannot be written; run this as root")
    lines = (line.split() for line in MEMINFO.read_text().splitlines())
    free = next(int(line[1]) << 10 for line in lines if line[0] == "MemAvailable:") / GIB
    if free < 2 * gib:
        raise Unmeasurable(f"{gib:g} of {free:.1f} GiB is more than half; ask for less with --gib")


def text(found: dict[str, Any]) -> str:
    """A line a figure."""
    lines = [f"{found['gib']:g} GiB, half full".ljust(24) + f"{'kernel':>14}{'engine':>14}"]
    for name, value in found["kernel"].items():
        lines.append(f"{name:24}{value:14,.0f}{found['engine'][name]:14,.0f}")
    lines.append(f"ratio of pages_per_s: {found['ratio']:.1f}, wanted: {found['wanted']}")
    return "\n".join([*lines, f"(Linux {found['release']}; medians of {found['turns']} turns)"])


def main(*words: str) -> None:
    """Print the figures side by side, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gib", type=float, default=2.0, help="how much memory (default: 2)")
    parser.add_argument("--turns", type=int, default=TURNS, help="that count (default: 5)")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    try:
        found = measure(asked.gib, asked.turns)
    except Unmeasurable as reason:
        print(f"native: {reason}", file=sys.stderr)
        raise SystemExit(CANNOT) from None
    print(json.dumps(found, indent=2) if asked.json else text(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
