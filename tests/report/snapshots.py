"""Snapshots drawn by hand: a letter a frame."""

from __future__ import annotations

import numpy as np

from movable.snapshot import Snapshot, Span

NAMES = (
    "hole",
    "free",
    "per-CPU",
    "anonymous",
    "page cache",
    "kernel",
    "reserved",
    "huge",
    "balloon",
    "bin",
)
LETTERS = {letter: code for code, letter in enumerate(" .packrhbi")}


def drawn(frames: str, *, start: int = 0, block: int = 2, **calls: dict[str, int]) -> Snapshot:
    """The memory that *frames* shows, one zone from *start* on, in blocks of 2**block frames."""
    free = frames.count(".")
    blocks = [frames[at : at + (1 << block)] for at in range(0, len(frames), 1 << block)]
    whole = sum(part == "." * (1 << block) for part in blocks)
    orders = [free - (whole << block), *[0] * (block - 1), whole]
    return Snapshot(
        codes=np.array([LETTERS[letter] for letter in frames], dtype=np.uint8),
        names=NAMES,
        zones=(Span("DMA", start, len(frames)),),
        pageblock_order=block,
        buddyinfo={"DMA": orders},
        unusable={"DMA": [0, *[1000 - (whole << block) * 1000 // max(free, 1)] * block]},
        vmstat={"pgmigrate_success": len(calls), "pgfree": 0},
        calls=calls,
        causes={},
    )
