"""Contiguous memory in an experiment: which region a phase means, and what came of asking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from movable.errors import BadInput, hint
from movable.experiment import machine_table, model
from movable.experiment.steps import phases, written
from movable.experiment.units import size
from movable.machine import Machine
from movable.mm.cma import Cma
from movable.mm.contig_range import ContigPages


def region_of(
    place: str, machine: machine_table.Machine, phase: model.CmaAlloc | model.CmaRelease
) -> machine_table.Region:
    """The CMA region that *phase* is about.

    :raises BadInput: there is none, or none of this name, or it is not said which.
    """
    known = {region.name: region for region in machine.cma}
    name = phase.region or (next(iter(known)) if len(known) == 1 else None)
    if name in known:
        return known[name]
    if not known:
        raise BadInput(place, "there is no CMA region", 'write cma = [{name = "…", size = "…"}]')
    problem = f"no CMA region is called {name!r}" if name else "there are several CMA regions"
    raise BadInput(f"{place}.region", problem, hint(name or "", known))


def check(place: str, experiment: model.Experiment) -> None:
    """Refuse a phase that no region could serve, even if it were empty.

    :raises BadInput: a region is unknown, or too small.
    """
    for number, phase in phases(experiment.phases):
        if not isinstance(phase, model.CmaAlloc | model.CmaRelease):
            continue
        where = f"{place}: {written(number)}"
        region = region_of(where, experiment.machine, phase)
        if isinstance(phase, model.CmaAlloc) and phase.size > region.size:
            problem = f"{size(phase.size)} of the {size(region.size)} that {region.name} has"
            raise BadInput(f"{where}.size", problem, "ask for less, or make the region larger")


@dataclass
class Devices:
    """Who has contiguous memory in a machine, and what has become of those who asked for it."""

    machine: Machine
    had: dict[str, list[ContigPages]] = field(default_factory=dict)
    """What was taken from each region and not given back."""

    def cma_alloc(self, phase: model.CmaAlloc) -> dict[str, Any]:
        """Take pieces from a region; the next request may come after one that was in vain."""
        region = self._region(phase.region)
        found = [self._ask(lambda: region.alloc(phase.size, phase.align)) for _ in _times(phase)]
        self.had.setdefault(region.name, []).extend(piece for piece in found if piece)
        return _report(found)

    def cma_release(self, phase: model.CmaRelease) -> dict[str, Any]:
        """Give back what a region's device has."""
        region = self._region(phase.region)
        pieces = self.had.pop(region.name, [])
        for piece in pieces:
            region.release(piece.attempts[-1].start, piece.count)
        return {"released": sum(piece.count for piece in pieces)}

    def alloc_contig(self, phase: model.AllocContig) -> dict[str, Any]:
        """Take pieces from anywhere."""
        memory = self.machine.memory
        return _report(
            [self._ask(lambda: memory.alloc_contig_pages(phase.size)) for _ in _times(phase)]
        )

    def _region(self, name: str | None) -> Cma:
        regions = self.machine.memory.cma
        return regions[name or next(iter(regions))]

    def _ask(self, request: Callable[[], ContigPages]) -> ContigPages:
        """What drivers hold must read the same before and after."""
        with self.machine.contents_kept():
            return request()


def _times(phase: model.CmaAlloc | model.AllocContig) -> range:
    return range(phase.count)


def _report(found: Sequence[ContigPages]) -> dict[str, Any]:
    """How many were asked for and had, and by owner, how many places a page of his spoilt."""
    blame = sum((pieces.blame for pieces in found), Counter[str]())
    had = sum(map(bool, found))
    return {"asked": len(found), "ranges": had, "in_the_way": dict(blame.most_common())}
