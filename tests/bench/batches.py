"""Driver pages a second, asked for in batches and one by one: `python tests/bench/batches.py`.

A memory of driver pages, every second frame of it at random empty, is compacted. Nobody watches.
The driver does what a balloon does at the least: it knows which frames it has listed, lets go of
them, and moves what is in them. Both ways go through the same engine and the same memory, in turns,
and end in the same bytes, which is compared. Rates are of processor time of the thread; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from movable import (  # noqa: E402
    AddressSpace,
    IsolateMode,
    MigrateMode,
    MigrateResult,
    Page,
    Pagevec,
    hookimpl,
)
from movable.mm.memory import Memory  # noqa: E402
from movable.mm.mm_types import words  # noqa: E402

RUNS = 7
FRAMES = 1 << 17
SUCCESS = MigrateResult.SUCCESS


class Ledger:
    """Pages that are listed in an array of flags by frame number, and do nothing else."""

    def __init__(self, memory: Memory) -> None:
        self.listed = np.zeros(memory.nr_frames, bool)
        self.words = words(self.listed)
        self.calls = 0
        self.mapping = AddressSpace(self, memory)

    @hookimpl
    def isolate_page(self, page: Page, mode: IsolateMode) -> bool:
        self.calls += 1
        self.words[page.pfn] = False
        return True

    @hookimpl
    def migratepage(
        self, mapping: AddressSpace, newpage: Page, page: Page, mode: MigrateMode
    ) -> int:
        self.calls += 1
        newpage.copy_from(page)
        newpage.private = page.private
        newpage.get()
        newpage.set_movable(mapping)
        page.private = 0
        page.clear_movable()
        page.put()
        self.words[newpage.pfn] = True
        return SUCCESS

    @hookimpl
    def putback_page(self, page: Page) -> None:
        self.calls += 1
        self.words[page.pfn] = True

    @hookimpl
    def isolate_pages(self, pages: Pagevec, mode: IsolateMode) -> Sequence[bool]:
        self.calls += 1
        self.listed[pages.pfns] = False
        return [True] * len(pages)

    @hookimpl
    def migratepages(
        self, mapping: AddressSpace, newpages: Pagevec, pages: Pagevec, mode: MigrateMode
    ) -> Sequence[int]:
        self.calls += 1
        pages.move_to(newpages, mapping)
        self.listed[newpages.pfns] = True
        return [SUCCESS] * len(pages)

    @hookimpl
    def putback_pages(self, pages: Pagevec) -> None:
        self.calls += 1
        self.listed[pages.pfns] = True


def half_full(frames: int) -> tuple[Memory, Ledger]:
    """One zone of a driver's pages, of which half, at random, are gone again."""
    memory = Memory.blank(frames, ("Normal", frames), min_free_kbytes=0)
    driver = Ledger(memory)
    memory.add_mapping(driver.mapping)
    pages = [memory.alloc_page() for _ in range(frames)]
    chosen = np.random.default_rng(1).permutation(frames).tolist()
    for number in chosen[: frames // 2]:
        pages[number].put()
    for number in chosen[frames // 2 :]:
        page = pages[number]
        page.private = number
        page.trylock()
        page.set_movable(driver.mapping)
        page.unlock()
        driver.words[page.pfn] = True
    return memory, driver


def one(frames: int, in_batches: bool) -> tuple[float, int, list[bytes]]:
    """Compact once: pages moved a second, calls of the driver, and what is left."""
    memory, driver = half_full(frames)
    memory.asks_in_batches = in_batches
    start = time.thread_time()
    memory.compact_memory()
    seconds = time.thread_time() - start
    left = [array.tobytes() for array in (memory.mem_map, memory.zone, memory.node, memory.events)]
    return driver.mapping.stats.migrated / seconds, driver.calls, [*left, driver.listed.tobytes()]


def measure(frames: int, runs: int) -> dict[str, Any]:
    """Both ways in turns."""
    one(frames // 16, in_batches=True)  # compiles
    turns = [(one(frames, in_batches=True), one(frames, in_batches=False)) for _ in range(runs)]
    assert all(batched[2] == single[2] for batched, single in turns)
    rates = [sorted(turn[way][0] for turn in turns) for way in (0, 1)]
    ratio = median(batched[0] / single[0] for batched, single in turns)
    return {
        "frames": frames,
        "runs": runs,
        "pages_per_s_in_batches": median(rates[0]),
        "pages_per_s_one_by_one": median(rates[1]),
        "least_and_most_in_batches": [rates[0][0], rates[0][-1]],
        "least_and_most_one_by_one": [rates[1][0], rates[1][-1]],
        "ratio": ratio,
        "calls_in_batches": turns[0][0][1],
        "calls_one_by_one": turns[0][1][1],
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Print the figures, a line each or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--runs", type=int, default=RUNS)
    asked = parser.parse_args()
    figures = measure(asked.frames, asked.runs)
    if asked.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:28} {format(value, ',.3f') if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
