"""`Snapshot`: who owns which frame at one moment, and what the kernel's own files would say of it.

Owners are counted by pageblock, since a huge page needs a whole one: a block with free pages that
is not free has somebody in the way.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from movable.mm import views

if TYPE_CHECKING:
    from movable.mm.memory import Memory

HOLE, FREE = 0, 1
"""Codes of `Memory.owners()` that are nobody's page."""

LETTERS = {
    "hole": " ",
    "free": ".",
    "reserved": "#",
    "per-CPU": "p",
    "anonymous": "a",
    "page cache": "c",
    "kernel": "k",
    "huge": "h",
}


MOVE = ("free", "per-CPU", "anonymous", "page cache")
"""Owners that no block has to keep."""


class Span(NamedTuple):
    """Where a zone lies."""

    name: str
    start_pfn: int
    end_pfn: int


class Share(NamedTuple):
    """How much of memory one owner has."""

    pages: int
    blocks: int
    """Pageblocks that hold a page of it, and so are not free."""
    in_the_way: int
    """Those among them that have free pages too: without its pages they might be a huge page."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The state of a memory, copied."""

    codes: NDArray[np.uint8]
    names: tuple[str, ...]
    zones: tuple[Span, ...]
    pageblock_order: int
    buddyinfo: dict[str, list[int]]
    unusable: dict[str, list[int]]
    """Per zone and order, 0 (all free memory is usable for the order) to 1000 (none is)."""
    vmstat: dict[str, int]
    calls: dict[str, dict[str, int]]
    """What happened to each owner's pages so far; keys as in `MappingStats`."""
    causes: dict[str, dict[str, int]]
    """Why each driver refused or failed so far, in its own words."""
    pageblocks: dict[str, int] = field(default_factory=dict)
    """How many pageblocks there are of each migratetype (/proc/pagetypeinfo)."""
    fallbacks: dict[tuple[str, str], int] = field(default_factory=dict)
    """By type wanted and type found: how often a part of a pageblock was taken from another type's
    list so far (mm_page_alloc_extfrag events that are fragmenting)."""

    def __repr__(self) -> str:
        return f"<Snapshot [{len(self.codes)} frames, {self.huge_pages} free pageblocks]>"

    @classmethod
    def take(cls, memory: Memory) -> Snapshot:
        """What *memory* looks like now."""
        zones = memory.zones
        unusable = [memory.unusable_index(order) for order in range(memory.max_order)]
        mappings = {
            mapping.name: asdict(mapping.stats) | {"released": mapping.stats.released}
            for mapping in memory.mappings
        }
        return cls(
            codes=np.array(memory.owners(), dtype=np.uint8),
            names=tuple(memory.owner_names),
            zones=tuple(
                Span(z["name"], z["start_pfn"], z["start_pfn"] + z["spanned"]) for z in zones
            ),
            pageblock_order=memory.pageblock_order,
            buddyinfo=memory.buddyinfo(),
            unusable={zone: [index[zone] for index in unusable] for zone in memory.zone_names},
            vmstat=memory.all_vm_events(),
            calls={**memory.lru_stats, **mappings},
            causes={mapping.name: dict(mapping.causes) for mapping in memory.mappings},
            pageblocks=views.pageblocks(memory),
            fallbacks=views.fallbacks(memory),
        )

    @cached_property
    def shares(self) -> dict[str, Share]:
        """Every owner that has a page, in the order of the memory's own list."""
        counts = count(self.codes, self.pageblock_order, len(self.names))
        here = counts > 0
        with_free = here & (counts[:, FREE, None] > 0)
        rows = zip(self.names, counts.sum(0), here.sum(0), with_free.sum(0), strict=True)
        shares = {name: Share(*map(int, numbers)) for name, *numbers in rows}
        del shares["hole"], shares["free"]
        return {name: share for name, share in shares.items() if share.pages}

    def alone(self, owner: str) -> int:
        """Pageblocks in which *owner* has pages, and otherwise only ordinary users have: what a
        block costs that its pages cannot move."""
        if owner not in self.names:
            return 0
        counts = count(self.codes, self.pageblock_order, len(self.names))
        others = [n for n, name in enumerate(self.names) if name not in (*MOVE, owner)]
        alone = (counts[:, others] == 0).all(1) & (counts[:, self.names.index(owner)] > 0)
        return int(alone.sum())

    @property
    def free_pages(self) -> int:
        """Pages on the buddy allocator's lists."""
        return int((self.codes == FREE).sum())

    @property
    def huge_pages(self) -> int:
        """Huge pages that could be had at once: free blocks of at least a pageblock."""
        return self.free_blocks(self.pageblock_order)

    def free_blocks(self, order: int) -> int:
        """Blocks of *order* that could be had at once: larger ones count as several."""
        return sum(
            free << (larger - order)
            for orders in self.buddyinfo.values()
            for larger, free in enumerate(orders)
            if larger >= order
        )

    def map(self, order: int | None = None) -> dict[str, str]:
        """Every zone as text, one letter for each 2**order frames (default: a pageblock).

        The letter is the owner of most pages in it, large if no page of it is free.
        """
        order = self.pageblock_order if order is None else order
        letters = np.array(list(letters_of(self.names).values()))
        return {zone.name: "".join(self._row(zone, order, letters)) for zone in self.zones}

    def _row(self, zone: Span, order: int, letters: NDArray[np.str_]) -> NDArray[np.str_]:
        owner, fill = self.cells(zone, order)
        row = letters[owner]
        return np.where(fill == 1, np.char.upper(row), row)

    def cells(self, zone: Span, order: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """*zone* in steps of 2**order frames: who has most of each, and how much of it is in use.

        Nobody's: the step is free as a whole (or a hole).
        """
        first = zone.start_pfn >> order << order
        end = min(-(-zone.end_pfn >> order) << order, len(self.codes))
        codes = self.codes[first:end].copy()
        codes[: zone.start_pfn - first] = HOLE
        codes[zone.end_pfn - first :] = HOLE
        counts = count(codes, order, len(self.names))
        present = counts[:, FREE:].sum(1)
        used = counts[:, FREE + 1 :].sum(1)
        owner = counts[:, FREE + 1 :].argmax(1) + FREE + 1
        owner[used == 0] = FREE
        owner[present == 0] = HOLE
        return owner, used / np.maximum(present, 1)


def count(codes: NDArray[np.uint8], order: int, owners: int) -> NDArray[np.intp]:
    """How many frames each of *owners* has in every 2**order frames: a row for each step."""
    steps = -(-len(codes) >> order)
    step = np.arange(len(codes)) >> order
    counts = np.bincount(step * owners + codes, minlength=steps * owners)
    return counts.reshape(steps, owners)


def letters_of(names: tuple[str, ...]) -> dict[str, str]:
    """A letter for each owner: its own first one where that is still to be had."""
    letters: dict[str, str] = {}
    for name in names:
        wanted = LETTERS.get(name) or [*name.lower(), *"bdefgijlmnoqstuvwxyz"]
        taken = {*LETTERS.values(), *letters.values()}
        letters[name] = next(
            (one for one in wanted if name in LETTERS or (one.isalpha() and one not in taken)), "?"
        )
    return letters
