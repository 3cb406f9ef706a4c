"""/proc/buddyinfo: how many free blocks each zone has, by order (mm/vmstat.c, v6.1)."""

from __future__ import annotations

from dataclasses import dataclass

from movable.formats import zones
from movable.formats.lines import Lines, trim
from movable.formats.zones import Zone


@dataclass(frozen=True)
class Buddyinfo:
    """Free blocks by zone and order."""

    zones: tuple[Zone, ...]
    trimmed: bool = False
    """The blanks at the ends of lines are gone, as after many a copy and paste."""

    def __repr__(self) -> str:
        return f"<Buddyinfo [{len(self.zones)} zones, {len(self.zones[0].values)} orders]>"

    def __str__(self) -> str:
        text = zones.text(self.zones, "{:6d}".format)
        return trim(text) if self.trimmed else text


def parse(text: str, place: str = "buddyinfo") -> Buddyinfo:
    """Read the file; *place* is what messages call it.

    :raises BadInput: it is not a whole /proc/buddyinfo.
    """
    lines = Lines(text, place)
    found = Buddyinfo(zones.take_zones(lines, lines.numbers), lines.trimmed)
    lines.end(str(found))
    return found
