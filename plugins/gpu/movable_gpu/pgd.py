"""Page tables (PGDs) and the pages they stand in.

Where each table stands is what the driver knows (`Pgd`, `PgdPage`); what is written in it stands in
memory, and is found by the frame, as the GPU finds it (`Tables`). So a page of tables that was
moved, and whose parent's entry was not rewritten, leads the GPU to where it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from movable import Page
from movable_gpu.page_metadata import PageMetadata

if TYPE_CHECKING:
    from movable_gpu.context import Context

ENTRIES = 512
"""Entries of one page table."""
BOTTOM = 3
"""The level whose entries name pages; the root's is 0."""


class HiddenFrame:
    """A frame that a page table stands in, and that takes no memory: `page_tables = false`."""


Frame = Page | HiddenFrame


class Entry(NamedTuple):
    """An entry that names a page table (PTE of levels 0 to 2), with its attributes."""

    frame: Frame
    part: int
    level: int
    pbha: int = 0
    flags: int = 1


Table = dict[int, "Entry | Page"]
Tables = dict[Frame, list[Table]]
"""What is written in the frames of page tables: the valid entries of each part, by their index."""


class PgdPage:
    """One page in which 1, 4 or 16 page tables have room."""

    __slots__ = ("_hidden", "context", "metadata", "pgds")

    def __init__(self, context: Context, metadata: PageMetadata | None, parts: int) -> None:
        self.context, self.metadata = context, metadata
        self._hidden = HiddenFrame()
        self.pgds: list[Pgd | None] = [None] * parts

    def __repr__(self) -> str:
        return f"<PgdPage [{sum(map(bool, self.pgds))} tables]>"

    @property
    def frame(self) -> Frame:
        """Where it is at present."""
        return self.metadata.page if self.metadata else self._hidden

    @property
    def used(self) -> list[Pgd]:
        """The tables in it."""
        return [pgd for pgd in self.pgds if pgd]


class Pgd:
    """One page table: what the driver knows of it.

    :ivar base: the first virtual page that it translates.
    :ivar num_valid_entries: how many of its entries are valid (`num_valid_entries`).
    """

    __slots__ = ("base", "level", "num_valid_entries", "page", "parent", "part")

    def __init__(self, level: int, base: int, page: PgdPage, part: int, parent: Pgd | None) -> None:
        self.level, self.base, self.page, self.part, self.parent = level, base, page, part, parent
        self.num_valid_entries = 0

    def __repr__(self) -> str:
        valid = self.num_valid_entries
        return f"<Pgd of level {self.level} for {self.base} [{valid} valid entries]>"
