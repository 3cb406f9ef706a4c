"""`Reserve`: memory set aside at boot for requests of higher order, as embedded systems do it.

Whoever asks is given blocks of it as long as there are any; everybody else goes without that memory
for ever. What is in here is cut and merged as the buddy allocator does it, without its lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from movable.errors import BadInput, OutOfMemory
from movable.gfp import GFP_KERNEL

if TYPE_CHECKING:
    from movable.mm.memory import Memory


class Reserve:
    """Some largest blocks of a memory, given out in smaller ones."""

    def __init__(self, memory: Memory, pages: int) -> None:
        self.top = memory.max_order - 1
        self.free: dict[int, set[int]] = {order: set() for order in range(self.top + 1)}
        """First frames of free blocks, by order."""
        size = 1 << self.top
        self.blocks = -(-pages // size)
        for _ in range(self.blocks):
            try:
                self.free[self.top].add(memory.alloc_pages(GFP_KERNEL, self.top))
            except OutOfMemory as error:
                remedy = "reserve less"
                raise BadInput("reserve", f"no {pages} pages are free", remedy) from error

    def __repr__(self) -> str:
        pages = sum(len(blocks) << order for order, blocks in self.free.items())
        return f"<Reserve [{pages} of {self.blocks << self.top} pages free]>"

    def alloc(self, order: int) -> int:
        """The lowest block of *order*, cut from the smallest that will do; -1 if there is none."""
        found = next((o for o in range(order, self.top + 1) if self.free[o]), -1)
        if found < 0:
            return -1
        pfn = min(self.free[found])
        self.free[found].remove(pfn)
        for half in range(order, found):
            self.free[half].add(pfn + (1 << half))
        return pfn

    def give_back(self, pfn: int, order: int) -> None:
        """Take a block back, and merge it with its free buddies."""
        while order < self.top and pfn ^ (1 << order) in self.free[order]:
            self.free[order].remove(pfn ^ (1 << order))
            pfn &= ~(1 << order)
            order += 1
        self.free[order].add(pfn)
