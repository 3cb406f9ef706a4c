"""The figures of the README, measured: `python tests/bench/headline.py --json`.

Medians of several runs, on the path that is exact: per-CPU lists, LRU batches, retries, counters
and trace events are all on. Rates are of processor time of the simulating thread; the four commands
are timed by the clock, each as a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from movable.drivers.scripted import Scripted
from movable.mm.memory import Memory
from movable.recording.actions import parse
from movable.recording.format import read
from movable.recording.load import load

GIB = 1 << 18
RUNS = 7
MAIN_COMMAND = ("-m", "movable", "run", "who-is-in-the-way")


def compaction(make: Callable[[], Memory], runs: int = 1) -> dict[str, float]:
    """Compact fresh memories; pages migrated and frames scanned a second (medians)."""
    migrated, scanned = [], []
    for attempt in range(RUNS + 1):
        memory = make()
        before = memory.vmstat()
        start = time.thread_time()
        for _ in range(runs):
            memory.compact_memory()
        seconds = time.thread_time() - start
        after = memory.vmstat()
        if attempt:  # the first compiles
            keys = ("compact_migrate_scanned", "compact_free_scanned")
            pages = after["pgmigrate_success"] - before["pgmigrate_success"]
            migrated.append(pages / seconds)
            scanned.append(sum(after[key] - before[key] for key in keys) / seconds)
    return {"migrated": statistics.median(migrated), "scanned": statistics.median(scanned)}


def half_full(frames: int) -> Memory:
    """One zone full of anonymous pages, of which half, at random, went again in address order."""
    memory = Memory.blank(frames, ("Normal", frames))
    pages = memory.fill("anon", frames)
    gone = np.random.default_rng(1).permutation(pages)[: frames // 2]
    memory.drop(np.sort(gone))
    memory.lru_add_drain()
    return memory


def half_full_of_driver_pages(frames: int) -> Memory:
    """The same with pages of the scripted driver, which nobody watches."""
    memory = Memory.blank(frames, ("Normal", frames), min_free_kbytes=0)
    driver = Scripted(memory)
    memory.add_mapping(driver.mapping)
    pages = [memory.alloc_page() for _ in range(frames)]
    chosen = np.random.default_rng(1).permutation(frames).tolist()
    for number in chosen[: frames // 2]:
        pages[number].put()
    for number in chosen[frames // 2 :]:
        pages[number].trylock()
        pages[number].set_movable(driver.mapping)
        pages[number].unlock()
    return memory


def command(*words: str, environment: dict[str, str] | None = None) -> float:
    """Seconds that a fresh Python takes for *words*."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words],
        check=True,
        capture_output=True,
        env={**os.environ, **(environment or {})},
    )
    return time.perf_counter() - start


def commands() -> dict[str, float]:
    """Import, help, and the README's command with and without compiled code at hand."""
    nothing = statistics.median(command("-c", "pass") for _ in range(RUNS))
    imported = statistics.median(command("-c", "import movable") for _ in range(RUNS))
    with tempfile.TemporaryDirectory() as cache:
        first = command(*MAIN_COMMAND, environment={"MOVABLE_CACHE_DIR": cache})
        warm = [command(*MAIN_COMMAND, environment={"MOVABLE_CACHE_DIR": cache}) for _ in range(3)]
    return {
        "import_s": imported - nothing,
        "help_s": statistics.median(command("-m", "movable", "--help") for _ in range(RUNS)),
        "main_command_warm_s": statistics.median(warm),
        "main_command_first_s": first,
    }


def headline(big: Path | None) -> dict[str, Any]:
    """All figures by name; `big_pages_per_s` is None without that recording."""
    lru = compaction(lambda: half_full(GIB))
    driver = compaction(lambda: half_full_of_driver_pages(GIB // 4))
    memory = half_full(GIB)
    figures: dict[str, Any] = {
        "lru_pages_per_s_1gib": lru["migrated"],
        "scan_frames_per_s_1gib": lru["scanned"],
        "big_pages_per_s": None,
        "driver_pages_per_s": driver["migrated"],
        "bytes_per_frame": (memory.mem_map.nbytes + memory.pageblock.nbytes) / memory.nr_frames,
    }
    if big is not None:
        inputs = read(big)
        rate = compaction(lambda: load(inputs).memory, parse(inputs).numbers[0])
        figures["big_pages_per_s"] = rate["migrated"]
    return figures | commands()


def main() -> None:
    """Print the figures, a line each or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--big", type=Path, help="the recording big.npz, which is not shipped")
    arguments = parser.parse_args()
    figures = headline(arguments.big)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:26} {value if value is None else format(value, ',.3f')}")


if __name__ == "__main__":
    main()
