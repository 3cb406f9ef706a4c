"""Users inside the kernel: their requests for blocks, what serves them, what they keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from movable.errors import OutOfMemory
from movable.experiment import model
from movable.gfp import Gfp
from movable.machine import Machine
from movable.mm import mm_types as t


class Block(NamedTuple):
    """What served one request."""

    order: int
    pfns: list[int]
    """One frame, the first of the block; or all, one by one."""
    reserved: bool = False

    @property
    def whole(self) -> bool:
        """It is physically contiguous."""
        return len(self.pfns) == 1


@dataclass
class Requests:
    """The kernel's users on one machine."""

    machine: Machine
    kept: list[Block] = field(default_factory=list)

    def allocate(self, phase: model.Allocate) -> dict[str, int]:
        """Ask for blocks: how many came whole, in single pages or not at all, and how many requests
        had to wait until memory was reclaimed or compacted."""
        found, held = Counter[str](), list[Block]()
        for _ in _times(phase.count):
            if phase.interval:
                self.machine.daemons.wait(phase.interval)
            before = self._stalls()
            block = self._serve(phase)
            found["stalls"] += self._stalls() > before
            if block is None:
                found["failed"] += 1
                if phase.until:
                    break
                continue
            found["allocated" if block.whole else "in_single_pages"] += 1
            if phase.hold is False:
                self._give_back(block)
            else:
                held.append(block)
        if phase.hold == "phase":
            for block in held:
                self._give_back(block)
        else:
            self.kept += held
        names = ["allocated", "failed", "stalls"]
        if phase.by != "alloc_pages":
            names.append("in_single_pages")
        return {name: found[name] for name in names}

    def free(self, phase: model.Free, random: np.random.Generator) -> dict[str, int]:
        """Give back a random share of what is kept."""
        chosen = [n for n, block in enumerate(self.kept) if phase.order in (None, block.order)]
        leaving = set(random.permutation(chosen)[: round(len(chosen) * phase.share)].tolist())
        for number in sorted(leaving):
            self._give_back(self.kept[number])
        self.kept = [block for n, block in enumerate(self.kept) if n not in leaving]
        return {"blocks": len(leaving)}

    def _serve(self, phase: model.Allocate) -> Block | None:
        if phase.by != "vmalloc" or phase.order == 0:
            block = self._whole(phase)
            if block or phase.by == "alloc_pages" or phase.order == 0:
                return block
        return self._in_single_pages(phase)

    def _whole(self, phase: model.Allocate) -> Block | None:
        """One block, from the reserve while that has any."""
        reserve = self.machine.reserve
        pfn = reserve.alloc(phase.order) if reserve else -1
        if pfn >= 0:
            return Block(phase.order, [pfn], reserved=True)
        try:
            return Block(phase.order, [self.machine.allocate(phase.order, phase.flags)])
        except OutOfMemory:
            return None

    def _in_single_pages(self, phase: model.Allocate) -> Block | None:
        """As many single pages, for which there is no further way out: so they are insisted on."""
        gfp, pfns = phase.flags & ~Gfp.NORETRY, list[int]()
        try:
            while len(pfns) < 1 << phase.order:
                pfns.append(self.machine.allocate(0, gfp))
        except OutOfMemory:
            self._give_back(Block(0, pfns))
            return None
        return Block(phase.order, pfns)

    def _give_back(self, block: Block) -> None:
        reserve = self.machine.reserve
        if reserve and block.reserved:
            reserve.give_back(block.pfns[0], block.order)
            return
        order = block.order if block.whole else 0
        for pfn in block.pfns:
            self.machine.memory.free_pages(pfn, order)

    def _stalls(self) -> int:
        memory = self.machine.memory
        stalls = int(memory.node["vm"][0, t.COMPACTSTALL])
        return stalls + memory.vmscan.events.get("allocstall", 0)


def _times(count: int | None) -> Iterator[None]:
    done = 0
    while count is None or done < count:
        done += 1
        yield
