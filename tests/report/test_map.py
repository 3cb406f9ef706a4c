"""The map: the same memory on a terminal and in a text file."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from movable.report.map import cell_order, cells, legend, memory_map
from report.snapshots import drawn

BEFORE = drawn("aab." + "b.a." + "kkkk" + "....")
AFTER = drawn("...." + "...." + "kkkk" + "aabb")


def printed(part: RenderableType) -> str:
    """What a text file of 100 columns gets."""
    file = io.StringIO()
    Console(file=file, width=100, color_system=None).print(part)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def test_before_and_after_stand_side_by_side() -> None:
    """A row is the same part of memory twice."""
    assert printed(memory_map(BEFORE, AFTER, colour=False)).splitlines() == [
        "cell = 16 KiB before: 1 free block after: 2 free blocks",
        "DMA        0M aaK.                 ..KA",
    ]


def test_the_legend_names_the_owners_that_have_pages() -> None:
    """Nobody else's letter is needed."""
    assert printed(legend(BEFORE, AFTER, colour=False)).splitlines() == [
        "a anonymous  k kernel  b balloon  . free",
        "capital: no page of the cell is free",
    ]


def test_on_a_terminal_height_says_how_full_a_cell_is() -> None:
    """And colour says whose it is: two owners never share one."""
    text = cells(BEFORE, BEFORE.zones[0], 2, colour=True)

    assert text.plain == "▆▄█."
    assert len({str(span.style) for span in text.spans}) == 3


def test_a_large_memory_gets_larger_cells() -> None:
    """A map is never longer than a screen."""
    small, large = drawn("a" * 4 * 32), drawn("a" * 4 * 32 * 25)

    assert cell_order(small) == 2
    assert cell_order(large) == 3
