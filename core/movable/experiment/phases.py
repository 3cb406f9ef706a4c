"""What each phase does to a machine, and what it says about it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movable.errors import OutOfMemory
from movable.experiment import model
from movable.experiment.seeds import generator
from movable.machine import Machine
from movable.mm.mm_types import UNMOVABLE

Pfns = NDArray[np.integer[Any]]

VM_KINDS = {"anon": "anon", "file": "file", "kernel": "unmovable", "reclaimable": "reclaimable"}
"""The file's words and the memory manager's."""
LRU = {"anon": "anonymous", "file": "page cache"}
"""Kinds whose pages move about, so that they are looked up when they are dropped."""
CHUNK = 16
"""Pages taken at a time when several kinds are mixed."""


@dataclass
class Stage:
    """A machine on which phases act, and what they have to remember between them."""

    machine: Machine
    seed: int
    kept: dict[str, list[Pfns]] = field(default_factory=dict)
    """Pages of the kernel's kinds that `fill` took; they stay where they are."""

    def perform(self, index: int, phase: model.Phase, arguments: dict[str, Any]) -> dict[str, Any]:
        """Do *phase*, the *index*-th, and report what came of it."""
        random = generator(self.seed, "phase", index)
        match phase:
            case model.Fill():
                return self.fill(phase, random)
            case model.Drop():
                return self.drop(phase, random)
            case model.Compact():
                for _ in range(phase.times):
                    self.machine.compact()
                return {}
            case model.Allocate():
                return {"allocated": self.allocate(phase)}
            case model.Operation():
                answer = self.machine.do(phase.do, **arguments)
                return {"answer": answer if isinstance(answer, int | float | str) else None}

    def fill(self, phase: model.Fill, random: np.random.Generator) -> dict[str, Any]:
        """Take pages of one kind, or of several in random order."""
        wanted = phase.size if phase.size is not None else self._missing(phase.until_used or 0)
        if phase.mix is None:
            return {"pages": self._take(phase.kind, wanted)}
        shares = np.array(list(phase.mix.values())) / sum(phase.mix.values())
        picks = random.choice(list(phase.mix), size=-(-wanted // CHUNK), p=shares)
        left = wanted
        for kind in picks:
            left -= self._take(str(kind), min(CHUNK, left))
        return {"pages": wanted - left}

    def drop(self, phase: model.Drop, random: np.random.Generator) -> dict[str, Any]:
        """Give a random share back, in random order."""
        kinds = [phase.kind] if phase.kind else list(VM_KINDS)
        return {"pages": sum(self._drop(kind, phase.share, random) for kind in kinds)}

    def allocate(self, phase: model.Allocate) -> int:
        """Take blocks until there are enough or there are no more; say how many came."""
        taken = 0
        while phase.count is None or taken < phase.count:
            try:
                self.machine.memory.alloc_pages(phase.order, UNMOVABLE)
            except OutOfMemory:
                break
            taken += 1
        return taken

    def _missing(self, used: float) -> int:
        zones = self.machine.memory.zones
        managed, free = (sum(int(z[field]) for z in zones) for field in ("managed", "free"))
        return max(0, int(used * managed) - (managed - free))

    def _take(self, kind: str, count: int) -> int:
        pfns = self.machine.memory.fill(VM_KINDS[kind], count)
        if len(pfns) < count:
            raise OutOfMemory(f"memory had {count - len(pfns)} pages too few of kind {kind}")
        if kind not in LRU:
            self.kept.setdefault(kind, []).append(pfns)
        return len(pfns)

    def _drop(self, kind: str, share: float, random: np.random.Generator) -> int:
        pfns = self._pages(kind)
        leaving = random.permutation(len(pfns))[: round(len(pfns) * share)]
        if kind not in LRU:
            self.kept[kind] = [np.delete(pfns, leaving)]
        self.machine.memory.drop(pfns[leaving])
        return len(leaving)

    def _pages(self, kind: str) -> Pfns:
        if kind not in LRU:
            return np.concatenate(self.kept.get(kind) or [np.empty(0, dtype=np.int64)])
        memory = self.machine.memory
        pfns: Pfns = np.flatnonzero(memory.owners() == memory.owner_names.index(LRU[kind]))
        alone: NDArray[np.bool_] = memory.mem_map["refcount"][pfns] == 1
        return pfns[alone]
