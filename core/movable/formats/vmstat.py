"""/proc/vmstat: a name and a number a line (mm/vmstat.c, v6.1).

Which names there are, and in which order, differs by version and configuration; a text that was
filtered for some of them is as good as a whole one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from movable.formats.lines import Lines

LINE = re.compile(r"([A-Za-z]\w*) (\d{1,20})")


@dataclass(frozen=True)
class Vmstat:
    """Counters and gauges under their names, in the order of the file."""

    values: Mapping[str, int]

    def __repr__(self) -> str:
        return f"<Vmstat [{len(self.values)} values]>"

    def __str__(self) -> str:
        return "".join(f"{name} {value}\n" for name, value in self.values.items())


def parse(text: str, place: str = "vmstat") -> Vmstat:
    """Read the file; *place* is what messages call it.

    :raises BadInput: a line is not a name and a number, or a name comes twice.
    """
    lines = Lines(text, place)
    values: dict[str, int] = {}
    while lines.left:
        name, value = lines.take(LINE, "a name and a number").groups()
        if name in values:
            raise lines.bad(f"{name} for the second time")
        values[name] = int(value)
    found = Vmstat(values)
    lines.end(str(found))
    return found
