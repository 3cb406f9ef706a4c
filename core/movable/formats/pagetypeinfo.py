"""/proc/pagetypeinfo: free blocks by migratetype and order, pageblocks by migratetype.

Every node with memory has a section of its own, each with all headings (mm/vmstat.c, v6.1). Which
migratetypes there are, in which order, and how many orders, differs by version and configuration:
the text says it itself. A kernel that tracks page owners adds a third table, of mixed blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from movable.formats import zones
from movable.formats.lines import Lines, trim
from movable.formats.zones import Zone

ORDER = re.compile(r"Page block order: (\d\d?)")
PAGES = re.compile(r"Pages per block:  \d+")
EMPTY = re.compile(r"")
FREE = re.compile(r"Free pages count per migrate type at order((?: +\d+)+) ?")
LISTS = re.compile(r"Node +(\d{1,4}), zone +([^\s,]+), type +(\S+)((?: .*)?)")
BLOCKS = re.compile(r"Number of blocks type +(\S.*)")
MIXED = re.compile(r"Number of mixed blocks +(\S.*)")

CAP = 100_000
"""The kernel counts a free list no further, and prints ">100000"; older ones counted on."""


@dataclass(frozen=True)
class FreeLists:
    """How long the free lists of one migratetype in one zone are, by order."""

    node: int
    zone: str
    type: str
    counts: tuple[int, ...]
    capped: frozenset[int] = frozenset()
    """Orders of lists that are longer than :data:`CAP`, at which counting them stopped."""

    def __repr__(self) -> str:
        return f"<FreeLists {self.type} in {self.zone}: {' '.join(self.cells())}>"

    def __str__(self) -> str:
        cells = "".join(f"{cell} " for cell in self.cells("6d"))
        return f"Node {self.node:4d}, zone {self.zone:>8}, type {self.type:>12} {cells}\n"

    def cells(self, form: str = "d") -> list[str]:
        """Each count as printed, ">" before it if the list is longer."""
        return [
            f"{'>' if order in self.capped else ''}{count:{form}}"
            for order, count in enumerate(self.counts)
        ]


@dataclass(frozen=True)
class Blocks:
    """How many pageblocks of each type the zones of a node have."""

    types: tuple[str, ...]
    zones: tuple[Zone, ...]
    title: str = "Number of blocks type"
    trimmed: bool = False
    """As in :class:`Pagetypeinfo`, when the table stands alone."""

    def __repr__(self) -> str:
        return f"<Blocks [{len(self.zones)} zones, {', '.join(self.types)}]>"

    def __str__(self) -> str:
        types = "".join(f"{name:>12} " for name in self.types)
        text = f"{self.title:<23}{types}\n{zones.text(self.zones, '{:12d}'.format)}"
        return trim(text) if self.trimmed else text


@dataclass(frozen=True)
class Node:
    """The section of one node."""

    pageblock_order: int
    free: tuple[FreeLists, ...]
    """Zone by zone, type by type."""
    blocks: Blocks
    mixed: Blocks | None = None
    """Blocks that hold pages of other types too; only of kernels that track page owners."""

    def __repr__(self) -> str:
        return f"<Node {self.free[0].node} [{len(self.blocks.zones)} zones]>"

    def __str__(self) -> str:
        orders = "".join(f"{order:6d} " for order in range(len(self.free[0].counts)))
        parts = [
            f"{'Free pages count per migrate type at order':<43} {orders}\n"
            + "".join(map(str, self.free)),
            str(self.blocks),
        ]
        if self.mixed:
            parts.append(str(self.mixed))
        head = f"Page block order: {self.pageblock_order}\n"
        return "\n".join([f"{head}Pages per block:  {1 << self.pageblock_order}\n", *parts])


@dataclass(frozen=True)
class Pagetypeinfo:
    """The whole file."""

    nodes: tuple[Node, ...]
    trimmed: bool = False
    """The blanks at the ends of lines are gone, as after many a copy and paste."""

    def __repr__(self) -> str:
        return f"<Pagetypeinfo [{len(self.nodes)} nodes]>"

    def __str__(self) -> str:
        text = "".join(map(str, self.nodes))
        return trim(text) if self.trimmed else text


def parse(text: str, place: str = "pagetypeinfo") -> Pagetypeinfo:
    """Read the file; *place* is what messages call it.

    :raises BadInput: it is not a whole /proc/pagetypeinfo.
    """
    lines = Lines(text, place)
    nodes = [_node(lines)]
    while lines.left:
        nodes.append(_node(lines))
    found = Pagetypeinfo(tuple(nodes), lines.trimmed)
    lines.end(str(found))
    return found


def parse_blocks(text: str, place: str = "pagetypeinfo") -> Blocks:
    """Read the second table alone, which is what reports of a problem often quote.

    :raises BadInput: it is something else.
    """
    lines = Lines(text, place)
    found = _blocks(lines, lines.take(BLOCKS, 'the heading "Number of blocks type"'))
    found = replace(found, trimmed=lines.trimmed)
    lines.end(str(found))
    return found


def _node(lines: Lines) -> Node:
    order = int(lines.take(ORDER, 'the line "Page block order: ..."')[1])
    lines.take(PAGES, 'the line "Pages per block: ..."')
    lines.take(EMPTY, "an empty line")
    columns = len(lines.take(FREE, 'the heading "Free pages count ..."')[1].split())
    free = [_lists(lines, lines.take(LISTS, "a line of free lists"), columns)]
    while match := lines.take_if(LISTS):
        free.append(_lists(lines, match, columns))
    lines.take(EMPTY, "an empty line behind the free lists")
    blocks = _blocks(lines, lines.take(BLOCKS, 'the heading "Number of blocks type"'))
    _must_agree(lines, free, blocks)
    mixed = None
    if lines.take_if(EMPTY):
        heading = lines.take(MIXED, 'the heading "Number of mixed blocks"')
        mixed = _blocks(lines, heading, "Number of mixed blocks")
    return Node(order, tuple(free), blocks, mixed)


def _lists(lines: Lines, match: re.Match[str], columns: int) -> FreeLists:
    words = match[4].split()
    counts = lines.numbers([word.removeprefix(">") for word in words])
    lines.count(counts, columns)
    capped = frozenset(order for order, word in enumerate(words) if word[0] == ">")
    return FreeLists(int(match[1]), match[2], match[3], counts, capped)


def _blocks(lines: Lines, heading: re.Match[str], title: str = Blocks.title) -> Blocks:
    types = tuple(heading[1].split())
    return Blocks(types, zones.take_zones(lines, lines.numbers, len(types)), title)


def _must_agree(lines: Lines, free: list[FreeLists], blocks: Blocks) -> None:
    """Both tables are about the same zones and types; else lines are missing from one of them."""
    have = [(row.node, row.zone, row.type) for row in free]
    want = [(zone.node, zone.name, name) for zone in blocks.zones for name in blocks.types]
    if have != want:
        wrong = sorted({f"zone {zone}, type {name}" for _, zone, name in {*have} ^ {*want}})
        where = (wrong or ["the order of lines"])[0]
        raise lines.bad(f"lines are missing: free lists and block counts do not agree on {where}")
