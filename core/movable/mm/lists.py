"""Reading whole lists out of a memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from movable.errors import AuditFailed
from movable.mm.compiled import compiled

if TYPE_CHECKING:
    from movable.mm.memory import Memory

Array = Any


@compiled
def walk(mem_map: Array, zone: Array, pageblock: Array, node: Array, head: int, out: Array) -> int:
    """Copy the frame numbers on a list to *out*, in order; how many, or -1 if it never ends."""
    count = 0
    pfn = mem_map[head]["next"]
    while pfn != head:
        if count == len(out) or mem_map[mem_map[pfn]["next"]]["prev"] != pfn:
            return -1
        out[count] = pfn
        count += 1
        pfn = mem_map[pfn]["next"]
    return count


def collect(memory: Memory, head: int) -> Array:
    """The frame numbers on the list at *head*, first to last.

    :raises AuditFailed: the list is broken.
    """
    if memory.next[head] == head:
        return np.zeros(0, np.int64)
    out = np.empty(memory.nr_frames, np.int64)
    count = int(memory.engine.call(walk, head, out))
    if count < 0:
        raise AuditFailed("free lists", f"the list at head {head} is broken")
    return out[:count]
