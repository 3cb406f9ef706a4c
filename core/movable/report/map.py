"""Memory before and after as a map, side by side: who has which part, and where it is whole.

On a terminal a cell's colour is the owner of most of its pages and its height says how full it is;
elsewhere letters say the same, large when no page is free.
"""

from __future__ import annotations

from rich.style import Style
from rich.table import Table
from rich.text import Text

from movable.experiment.units import PAGE_SHIFT, size
from movable.snapshot import LETTERS, Snapshot, Span, letters_of

COLUMNS = 32
ROWS = 24
"""Most rows of a map; a larger memory gets larger cells."""

COLOURS = {
    "free": "bright_black",
    "reserved": "grey39",
    "per-CPU": "grey70",
    "anonymous": "dodger_blue1",
    "page cache": "green3",
    "kernel": "red1",
    "huge": "deep_sky_blue1",
}
DRIVERS = ("orange1", "magenta1", "yellow1", "cyan1", "plum1", "khaki1")
LEVELS = "▁▂▃▄▅▆▇█"


def memory_map(before: Snapshot, after: Snapshot, *, colour: bool) -> Table:
    """Both moments in one table, a row of each zone's cells beside the same row later."""
    order = cell_order(before)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    cell = size(1 << order)
    table.add_column(f"cell = {cell}", no_wrap=True)
    for moment in (before, after):
        blocks = f"{moment.huge_pages} free block{'' if moment.huge_pages == 1 else 's'}"
        table.add_column(f"{'before' if moment is before else 'after'}: {blocks}", no_wrap=True)
    for zone in before.zones:
        first, second = (cells(moment, zone, order, colour=colour) for moment in (before, after))
        for start in range(0, len(first), COLUMNS):
            address = ((zone.start_pfn >> order) + start) << order
            part = slice(start, start + COLUMNS)
            table.add_row(_label("" if start else zone.name, address), first[part], second[part])
    return table


def legend(before: Snapshot, after: Snapshot, *, colour: bool) -> Text:
    """What the cells mean, for the owners that have a page."""
    names = [name for name in before.names if name in before.shares or name in after.shares]
    text = Text()
    for name in names:
        mark = LEVELS[-1] if colour else letters_of(before.names)[name]
        text.append(mark, _style(name, before.names) if colour else "").append(f" {name}  ")
    text.append(LETTERS["free"], _style("free", before.names) if colour else "")
    text.append(" free")
    text.append(f"\n{'height: how full' if colour else 'capital: no page of the cell is free'}")
    return text


def cells(moment: Snapshot, zone: Span, order: int, *, colour: bool) -> Text:
    """One zone as a line of cells."""
    if not colour:
        return Text(moment.map(order)[zone.name])
    owner, fill = moment.cells(zone, order)
    text = Text()
    for code, full in zip(owner.tolist(), fill.tolist(), strict=True):
        name = moment.names[code]
        level = LETTERS[name] if name in ("hole", "free") else LEVELS[int(full * 7.999)]
        text.append(level, _style(name, moment.names))
    return text


def cell_order(moment: Snapshot) -> int:
    """Order of a cell: a pageblock, or the multiple of it at which the map is not too long."""
    order = moment.pageblock_order
    while sum(-(-(z.end_pfn - z.start_pfn) // (COLUMNS << order)) for z in moment.zones) > ROWS:
        order += 1
    return order


def _label(zone: str, pfn: int) -> str:
    return f"{zone:<7}{pfn << PAGE_SHIFT >> 20:>5}M"


def _style(name: str, names: tuple[str, ...]) -> Style:
    drivers = [one for one in names if one not in LETTERS]
    if name in COLOURS or name not in drivers:
        return Style.parse(COLOURS.get(name, "white"))
    return Style.parse(DRIVERS[drivers.index(name) % len(DRIVERS)])
