"""Lines about one zone each, with a number for every order or every type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from movable.formats.lines import Lines

LINE = re.compile(r"Node (\d{1,4}), zone +([^\s,]+)((?: .*)?)")


@dataclass(frozen=True)
class Zone:
    """What a file says of one zone."""

    node: int
    name: str
    values: tuple[int, ...]
    """One for each order, or for each migratetype."""

    def __repr__(self) -> str:
        return f"<Zone {self.name} of node {self.node}: {' '.join(map(str, self.values))}>"


def take_zones(
    lines: Lines, numbers: Callable[[list[str]], tuple[int, ...]], columns: int = 0
) -> tuple[Zone, ...]:
    """The next lines as far as they are about zones: at least one, all of one length.

    :param numbers: what the words behind a zone's name mean.
    :param columns: how many there must be; 0: as many as in the first line, at least one.
    """
    zones = []
    match: re.Match[str] | None = lines.take(LINE, "a zone's line")
    while match is not None:
        node, name, rest = match.groups()
        values = numbers(rest.split())
        columns = columns or max(len(values), 1)
        lines.count(values, columns)
        zones.append(Zone(int(node), name, values))
        match = lines.take_if(LINE)
    return tuple(zones)


def text(zones: Iterable[Zone], cell: Callable[[int], str]) -> str:
    """*zones*, a line each, every number as *cell* prints it and a blank behind it."""
    return "".join(
        f"Node {zone.node}, zone {zone.name:>8} {''.join(f'{cell(n)} ' for n in zone.values)}\n"
        for zone in zones
    )
