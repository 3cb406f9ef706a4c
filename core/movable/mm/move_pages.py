"""The part of `Memory` that moves a batch of driver pages as one step (`Pagevec.move_to`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np

from movable.errors import BadInput
from movable.mapping import AddressSpace
from movable.mm.compiled import compiled
from movable.mm.engine import Engine
from movable.mm.page_bytes import PageBytes
from movable.page_flags import PAGE_MAPPING_MOVABLE, PG_locked
from movable.pagevec import LOCK, TAG

Array = Any
WRONG_BITS, WRONG_MASK = 2, 3
"""What is wrong with a page stands below its frame number."""


@compiled
def move_pages(mem_map: Array, pfns: Array, targets: Array, word: int) -> int:
    """Move locked driver pages, published with the mapping word *word*, to locked targets.

    0, or the page that cannot be moved and what is wrong with it; then none is.
    """
    for i in range(len(pfns)):
        pfn = pfns[i]
        if not int(mem_map[pfn]["flags"]) & int(mem_map[targets[i]]["flags"]) & PG_locked:
            return int(pfn) << WRONG_BITS | LOCK
        if mem_map[pfn]["mapping"] != word:
            return int(pfn) << WRONG_BITS | TAG
    for i in range(len(pfns)):
        pfn, target = pfns[i], targets[i]
        mem_map[target]["content"] = mem_map[pfn]["content"]
        mem_map[target]["refcount"] += 1
        mem_map[target]["private"] = mem_map[pfn]["private"]
        mem_map[target]["mapping"] = word
        mem_map[pfn]["private"] = 0
        mem_map[pfn]["mapping"] = PAGE_MAPPING_MOVABLE
        mem_map[pfn]["refcount"] -= 1
    return 0


class MovePages(PageBytes):
    """What every success of `migratepage` does to its two pages, for many of them."""

    engine: Engine
    word_of: Callable[[object], int]

    def move_pages(
        self, pfns: Array, targets: Array, mapping: AddressSpace
    ) -> tuple[int, int] | None:
        """Move driver pages to locked targets; what is wrong with which, or None if all moved.

        :raises BadInput: there are more pages than targets.
        """
        if len(targets) < len(pfns):
            problem = f"{len(pfns)} pages are to move to {len(targets)}"
            raise BadInput("Pagevec.move_to", problem, "give a new page for each")
        word = self.word_of(mapping) | PAGE_MAPPING_MOVABLE
        pfns, targets = map(np.ascontiguousarray, (pfns, targets))
        wrong = cast("int", self.engine.call(move_pages, pfns, targets, word))
        if wrong:
            return wrong >> WRONG_BITS, wrong & WRONG_MASK
        if self.real_bytes:
            for pfn, target in zip(pfns.tolist(), targets.tolist(), strict=False):
                self.write(target, 0, self.read(pfn, 0, 1 << self.page_shift))
        return None
