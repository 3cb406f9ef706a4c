"""What the drivers of a real kernel were asked and answered, as recorder/record.py writes it down.

One event a line: `TASK-PID CPU EVENT NAME=VALUE...`; the probes say what the names are.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RECORDED = Path(__file__).with_name("requests")
VMEMMAP = 0xFFD4000000000000
"""Where `struct page` of frame 0 is: five levels of page tables, no randomisation."""
SIZEOF_STRUCT_PAGE = 64


@dataclass(frozen=True)
class Event:
    """One line.

    :ivar number: of the line, from 1.
    """

    number: int
    task: str
    name: str
    values: dict[str, int | list[int]]

    def __str__(self) -> str:
        values = " ".join(f"{name}={value}" for name, value in self.values.items())
        return f"line {self.number}, {self.task}: {self.name} {values}"

    def __getitem__(self, name: str) -> int:
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def array(self, *names: str) -> list[int]:
        """Arrays that the probe read in parts, one behind the other."""
        parts = [self.values[name] for name in names]
        return [number for part in parts if isinstance(part, list) for number in part]


def recorded(path: Path) -> Iterator[Event]:
    """The events of one recording, in order."""
    for number, line in enumerate(lzma.decompress(path.read_bytes()).decode().splitlines(), 1):
        task, _, event, *values = line.split()
        pairs = [value.split("=") for value in values]
        yield Event(number, task, event, {name: _number(value) for name, value in pairs})


def _number(text: str) -> int | list[int]:
    return [int(one) for one in text[1:-1].split(",")] if text[0] == "{" else int(text, 0)


def pfn(page: int) -> int:
    """The frame of a `struct page`."""
    return (page - VMEMMAP) // SIZEOF_STRUCT_PAGE


class Names:
    """What things of one kind are called there and here: one name each, while they exist."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.ours: dict[int, int] = {}
        self.theirs: dict[int, int] = {}

    def meet(self, theirs: int, ours: int) -> None:
        """They are the same, from now on or as before."""
        known = self.ours.get(theirs, ours), self.theirs.get(ours, theirs)
        assert known == (ours, theirs), f"{self.what} {theirs:#x} is {known[0]}, and not {ours}"
        self.ours[theirs] = ours
        self.theirs[ours] = theirs

    def forget(self, theirs: int) -> int:
        """It is gone; what it was called here."""
        ours = self.ours.pop(theirs)
        del self.theirs[ours]
        return ours
