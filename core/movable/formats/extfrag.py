"""The two indexes in debugfs, extfrag/extfrag_index and extfrag/unusable_index (mm/vmstat.c, v6.1).

Both are a table of zones by orders with three decimals, and are kept as thousandths. Before "mm:
vmstat.c: make extfrag_index show more pretty" (linux-mm, 19 Oct 2021) the first had no column for
a sign, and its numbers did not stand below each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from movable.formats import zones
from movable.formats.lines import Lines, trim
from movable.formats.zones import Zone

NUMBER = re.compile(r"(-?\d{1,9})\.(-?\d{2,3})")


@dataclass(frozen=True)
class Index:
    """One of the two, in thousandths by zone and order."""

    zones: tuple[Zone, ...]
    width: int
    """Columns before the point."""
    trimmed: bool = False
    """The blanks at the ends of lines are gone, as after many a copy and paste."""

    def __repr__(self) -> str:
        return f"<Index [{len(self.zones)} zones, {len(self.zones[0].values)} orders]>"

    def __str__(self) -> str:
        text = zones.text(self.zones, partial(decimal, width=self.width))
        return trim(text) if self.trimmed else text


EXTFRAG_WIDTH = 2
UNUSABLE_WIDTH = 1


def parse(text: str, place: str = "extfrag") -> Index:
    """Read either file; *place* is what messages call it.

    :raises BadInput: it is neither of them, or not whole.
    """
    lines = Lines(text, place)

    def thousandths(words: list[str]) -> tuple[int, ...]:
        return tuple(_thousandths(lines, word) for word in words)

    found = zones.take_zones(lines, thousandths)
    # Without a blank before a digit there is no telling, and it makes no difference.
    widths = (UNUSABLE_WIDTH, EXTFRAG_WIDTH)
    tries = [Index(found, width, lines.trimmed) for width in widths]
    index = next((one for one in tries if str(one) == text), tries[0])
    lines.end(str(index))
    return index


def decimal(thousandths: int, width: int) -> str:
    """A number as C's integer division makes it: -31 is " 0.-31", since both parts have a sign."""
    whole = abs(thousandths) // 1000 * (-1 if thousandths < 0 else 1)
    return f"{whole:{width}d}.{thousandths - 1000 * whole:03d}"


def _thousandths(lines: Lines, word: str) -> int:
    match = NUMBER.fullmatch(word)
    if not match:
        raise lines.bad(f"{word[:20]!r} is not a number with three decimals")
    return 1000 * int(match[1]) + int(match[2])
