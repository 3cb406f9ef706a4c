"""The memory that an experiment starts from: recorded, or empty."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from movable.errors import BadInput, hint
from movable.experiment import machine_table
from movable.experiment.units import size

if TYPE_CHECKING:
    from movable.mm.memory import Memory


PAGEBLOCK_ORDER = 9
"""2 MiB, as on x86-64."""


@dataclass(frozen=True)
class Origin:
    """Where the memories of a variant come from: every run gets one of its own."""

    place: str
    machine: machine_table.Machine
    path: Path | None
    content: bytes | None = field(default=None, repr=False)
    """What the file at *path* holds, when this goes where the file is not."""

    @classmethod
    def of(cls, place: str, machine: machine_table.Machine) -> Origin:
        """Find what *machine* starts from.

        :raises BadInput: it names a recording that does not exist.
        """
        path = _recording(place, machine.recording) if machine.recording else None
        return cls(place, machine, path)

    def whole(self) -> Origin:
        """This, with the recording itself; one that cannot be read is found out by `memory`."""
        with suppress(OSError):
            return replace(self, content=self.path.read_bytes() if self.path else None)
        return self

    def memory(self) -> Memory:
        """A new memory.

        :raises BadInput: the recording cannot be used, or the sizes make no machine.
        """
        memory = self._recorded(self.path) if self.path else self._blank()
        self._set_apart(memory)
        if self.machine.compact_on_failure:
            memory.on_alloc_failure = type(memory).compact_memory
        if self.machine.reclaim:
            from movable.mm.reclaim import Reclaim

            memory.vmscan = Reclaim(memory)
        if self.machine.real_bytes:
            memory.carry_bytes()
        if self.machine.proactiveness is not None:
            memory.node["compaction_proactiveness"] = self.machine.proactiveness
        return memory

    def _recorded(self, path: Path) -> Memory:
        from movable.recording.format import read, willing
        from movable.recording.load import load

        try:
            inputs = read(path, self.content)
            return load(willing(inputs) if self.machine.willing else inputs).memory
        except BadInput as error:
            where = f"{self.place}: machine.recording: {error.place}"
            raise BadInput(where, error.problem, error.remedy) from None

    def _blank(self) -> Memory:
        from movable.mm.memory import Memory
        from movable.mm.profile import profile, with_rules

        machine = self.machine
        zones = machine.zones or {}
        try:
            return Memory.blank(
                machine.memory or sum(zones.values()),
                *zones.items(),
                pageblock_order=machine.pageblock_order or PAGEBLOCK_ORDER,
                profile=with_rules(profile(machine.profile), machine.rules),
            )
        except BadInput as error:
            where = f"{self.place}: machine: {error.place}"
            raise BadInput(where, error.problem, error.remedy) from None

    def _set_apart(self, memory: Memory) -> None:
        """Make the CMA regions; those that have no place of their own from the top down."""
        highest = memory.zones[-1]
        start, end = highest["start_pfn"], highest["start_pfn"] + highest["spanned"]
        top = end >> memory.pageblock_order << memory.pageblock_order
        for index, region in enumerate(self.machine.cma):
            where = f"{self.place}: machine.cma[{index}]"
            if region.at is None and (top := top - region.size) < start:
                problem = f"{size(region.size)} are more than zone {highest['name']} has left"
                raise BadInput(f"{where}.size", problem, "choose less, or say where with `at`")
            base = top if region.at is None else region.at
            try:
                memory.add_cma(region.name, base, region.size, region.order_per_bit)
            except BadInput as error:
                raise BadInput(f"{where}: {error.place}", error.problem, error.remedy) from None


def sha256(path: Path) -> str:
    """Checksum of a recording."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def samples() -> list[str]:
    """The recorded memories that come with movable."""
    folder = resources.files("movable") / "samples"
    return sorted(
        file.name.removesuffix(".npz") for file in folder.iterdir() if file.name.endswith(".npz")
    )


def _recording(place: str, name: str) -> Path:
    """A sample's file, or the file called *name*, seen from the experiment's own folder."""
    if name in samples():
        return Path(str(resources.files("movable") / "samples" / f"{name}.npz"))
    path = Path(place).parent / name
    if not path.is_file():
        where = f"{place}: machine.recording"
        raise BadInput(where, f"no sample and no file is called {name!r}", hint(name, samples()))
    return path
