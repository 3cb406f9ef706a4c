"""What each phase does to a machine, and what it says about it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movable.errors import BadInput, OutOfMemory
from movable.experiment import model
from movable.experiment.bench import Plan
from movable.experiment.regions import Devices
from movable.experiment.requests import Requests
from movable.experiment.seeds import generator
from movable.experiment.shape import free_blocks
from movable.experiment.steps import Step
from movable.experiment.together import Together
from movable.machine import Machine
from movable.mm.population import touch
from movable.mm.swapfile import Swap

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
    plan: Plan
    kept: dict[str, list[Pfns]] = field(default_factory=dict)
    """Pages of the kernel's kinds that `fill` took; they stay where they are."""
    devices: Devices = field(init=False)
    requests: Requests = field(init=False)

    def __post_init__(self) -> None:
        self.devices, self.requests = Devices(self.machine), Requests(self.machine)

    def perform(self, step: Step) -> dict[str, Any]:  # noqa: PLR0912  a branch for each phase
        """Do one step, and report what came of it."""
        phase, random = step.phase, generator(self.seed, "phase", *step.seeds)
        match phase:
            case model.Fill():
                done = self.fill(phase, random)
            case model.Drop():
                done = self.drop(phase, random)
            case model.Churn():
                done = self.churn(phase, random)
            case model.Shape():
                done = self.shape(phase, random)
            case model.Touch():
                done = self.touch(phase, random)
            case model.Wait():
                done = {"works": self.machine.wait(phase.seconds)}
            case model.Compact():
                done = {}
                for _ in range(phase.times):
                    self.machine.compact(phase.who, phase.order)
            case model.Allocate():
                done = dict(self.requests.allocate(phase))
            case model.Free():
                done = dict(self.requests.free(phase, random))
            case model.CmaAlloc():
                done = self.devices.cma_alloc(phase)
            case model.CmaRelease():
                done = self.devices.cma_release(phase)
            case model.AllocContig():
                done = self.devices.alloc_contig(phase)
            case model.Together():
                done = Together(self, step, phase).run()
            case model.Operation():
                answer = self.machine.do(phase.do, **self.plan.arguments[step.where])
                done = {"answer": answer if isinstance(answer, int | float | str) else None}
        return done

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
        """Give a share back: a random one, in random order, or one spread evenly, from below."""
        kinds = [phase.kind] if phase.kind else list(VM_KINDS)
        if not phase.evenly:
            return {"pages": sum(self._drop(kind, phase.share, random) for kind in kinds)}
        return {"pages": sum(self._leave(k, self._evenly(k, phase.share)) for k in kinds)}

    def churn(self, phase: model.Churn, random: np.random.Generator) -> dict[str, Any]:
        """Drop and fill, round after round; each kind gets back what it lost, in random order."""
        kinds = [phase.kind] if phase.kind else list(VM_KINDS)
        turned = 0
        for _ in range(phase.times):
            left = {kind: self._drop(kind, phase.share, random) for kind in kinds}
            turned += sum(left.values())
            picks = np.repeat(kinds, [-(-count // CHUNK) for count in left.values()])
            for kind in random.permutation(picks):
                left[kind] -= self._take(str(kind), min(CHUNK, left[kind]))
        return {"pages": turned}

    def shape(self, phase: model.Shape, random: np.random.Generator) -> dict[str, Any]:
        """Let anonymous users take all that is free, and then free just what is wanted."""
        memory = self.machine.memory
        names = memory.zone_names
        if phase.zone not in (names if len(names) > 1 else [None, *names]):
            raise BadInput("zone", f"no zone {phase.zone!r}", f"known: {', '.join(names)}")
        zone = memory.zones[names.index(phase.zone) if phase.zone else 0]
        memory.drain_all_pages()
        memory.fill_up()
        ours = np.zeros(memory.nr_frames, bool)
        for kind in VM_KINDS:
            ours[self._pages(kind)] = True
        pfns = free_blocks(ours, zone["start_pfn"], zone["spanned"], phase.buddyinfo, random)
        for kind, kept in self.kept.items():
            self.kept[kind] = [np.setdiff1d(np.concatenate(kept), pfns)]
        memory.drop(pfns)
        memory.drain_all_pages()
        return {"pages": len(pfns)}

    def touch(self, phase: model.Touch, random: np.random.Generator) -> dict[str, Any]:
        """Have users touch a random share of their pages, wherever those are."""
        here, swapped = self._share(phase.kind, phase.share, random)
        touch(self.machine.memory, here)
        for slot in swapped:
            self._swap.fault(slot)
        return {"pages": len(here) + len(swapped), "swapped_in": len(swapped)}

    def _missing(self, used: float) -> int:
        zones = self.machine.memory.zones
        managed, free = (sum(int(z[field]) for z in zones) for field in ("managed", "free"))
        return max(0, int(used * managed) - (managed - free))

    def _take(self, kind: str, count: int) -> int:
        pfns = self.machine.memory.fill(VM_KINDS[kind], count)
        if kind not in LRU:
            self.kept.setdefault(kind, []).append(pfns)
        if len(pfns) < count:
            raise OutOfMemory(f"memory had {count - len(pfns)} pages too few of kind {kind}")
        return len(pfns)

    def _drop(self, kind: str, share: float, random: np.random.Generator) -> int:
        leaving, swapped = self._share(kind, share, random)
        self._leave(kind, leaving)
        if swapped:
            self._swap.forget(swapped)
        return len(leaving) + len(swapped)

    def _leave(self, kind: str, leaving: Pfns) -> int:
        if kind not in LRU:
            pfns = self._pages(kind)
            self.kept[kind] = [pfns[~np.isin(pfns, leaving)]]
        self.machine.memory.drop(leaving)
        return len(leaving)

    def _evenly(self, kind: str, share: float) -> Pfns:
        """A share of the pages of *kind* in memory: the same of any stretch of them."""
        pfns = np.sort(self._pages(kind))
        due = np.floor(np.arange(len(pfns) + 1) * share)
        leaving: Pfns = pfns[np.diff(due) > 0]
        return leaving

    def _share(
        self, kind: str, share: float, random: np.random.Generator
    ) -> tuple[Pfns, list[int]]:
        """A random share of the pages of *kind*, in random order: frames, and slots of swap."""
        pfns, slots = self._pages(kind), np.empty(0, np.int64)
        if kind == "anon" and self.machine.memory.vmscan.swap:
            slots = np.array(list(self._swap.slots), np.int64)
        total = len(pfns) + len(slots)
        chosen = random.permutation(total)[: round(total * share)]
        here = chosen < len(pfns)
        return pfns[chosen[here]], slots[chosen[~here] - len(pfns)].tolist()

    @property
    def _swap(self) -> Swap:
        swap = self.machine.memory.vmscan.swap
        assert swap
        return swap

    def _pages(self, kind: str) -> Pfns:
        if kind not in LRU:
            return np.concatenate(self.kept.get(kind) or [np.empty(0, dtype=np.int64)])
        memory = self.machine.memory
        pfns: Pfns = np.flatnonzero(memory.owners() == memory.owner_names.index(LRU[kind]))
        alone: NDArray[np.bool_] = memory.mem_map["refcount"][pfns] == 1
        return pfns[alone]
